//! Running futures as processes.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Once};
use std::task::{Context, Poll};

use trunkline_etf::{Pid, Reference, Term, atom};

use super::ending::exit;
use super::state::{Inner, Monitored, Watcher};
use super::{ExitReason, Process};
use crate::Node;
use crate::shared::Shared;

impl Node {
    /// Starts a process that runs this future, as a task of the runtime. It ends
    ///
    /// - when the future returns, for the reason that it returns ([`ExitReason`]; `()` is `normal`);
    /// - when it, or what makes it, panics, for the reason `{panic, <<"message">>, <<"file:line:column">>}`; nothing else of the
    ///   node is hurt (with `panic = "abort"` all is);
    /// - by an exit signal, at the next point where it waits: the future is dropped there. A future
    ///   that never waits cannot be ended, as nothing can be in Rust.
    ///
    /// A process that panics, or returns an `Err`, has one line in the log (level `ERROR`): why, its pid, and its name if it has one. As
    /// everywhere in Rust the program's panic hook hears of each panic first, of one that the future catches itself too, which is
    /// nobody else's and not in the log.
    ///
    /// All processes end with the node; one that is started when that has ended, or ends, does not run.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn spawn<F, R>(&self, body: impl FnOnce(Process) -> F) -> Pid
    where
        F: Future<Output = R> + Send + 'static,
        R: ExitReason,
    {
        let inner = self.shared.new_process(true);
        self.shared.run(&inner, body)
    }
}

impl Process {
    /// Starts a process, as [`Node::spawn`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn spawn<F, R>(&self, body: impl FnOnce(Self) -> F) -> Pid
    where
        F: Future<Output = R> + Send + 'static,
        R: ExitReason,
    {
        let inner = self.shared.new_process(true);
        self.shared.run(&inner, body)
    }

    /// Starts a process that is linked to this one from its beginning.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn spawn_link<F, R>(&self, body: impl FnOnce(Self) -> F) -> Pid
    where
        F: Future<Output = R> + Send + 'static,
        R: ExitReason,
    {
        let inner = self.shared.new_process(true);
        inner.state().links.insert(self.pid());
        match self.inner.living() {
            Some(mut state) => drop(state.links.insert(inner.pid.clone())),
            // As when the other end of any link is gone.
            None => self.gone_for(&inner),
        }
        self.shared.run(&inner, body)
    }

    /// Starts a process that this one monitors from its beginning.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn spawn_monitor<F, R>(&self, body: impl FnOnce(Self) -> F) -> (Pid, Reference)
    where
        F: Future<Output = R> + Send + 'static,
        R: ExitReason,
    {
        let inner = self.shared.new_process(true);
        let reference = self.shared.processes.reference();
        let watcher = Watcher {
            pid: self.pid(),
            named: inner.pid.clone().into(),
        };
        let monitored = Monitored {
            node: self.shared.atom.clone(),
            target: inner.pid.clone().into(),
        };
        // First there: who ends in between takes it away, as any monitor of his.
        inner.state().watchers.insert(reference.clone(), watcher);
        match self.inner.living() {
            Some(mut state) => drop(state.monitors.insert(reference.clone(), monitored)),
            None => drop(inner.state().watchers.remove(&reference)),
        }
        (self.shared.run(&inner, body), reference)
    }

    /// This process has ended; one that is linked to it hears so.
    fn gone_for(&self, inner: &Inner) {
        let noproc = exit(&self.pid(), inner.pid.clone(), atom!("noproc").into());
        self.shared.carry_out(noproc.into());
    }
}

impl Shared {
    fn run<F, R>(self: &Arc<Self>, inner: &Arc<Inner>, body: impl FnOnce(Process) -> F) -> Pid
    where
        F: Future<Output = R> + Send + 'static,
        R: ExitReason,
    {
        note_panics();
        if inner.is_doomed() {
            // It is not to begin at all: what dooms it says why.
            self.ended(inner, atom!("killed").into());
            return inner.pid.clone();
        }
        let process = Process::new(Arc::clone(self), Arc::clone(inner));
        // What makes the future may end the process already, and so may whoever it gives the handle to.
        inner.set_runs(true);
        match watched(|| body(process)) {
            Ok(body) => {
                let running = Running {
                    body: Some(Box::pin(body)),
                    shared: Arc::clone(self),
                    inner: Arc::clone(inner),
                };
                let task = self.life.processes.spawn(running);
                inner.runs_as(task.abort_handle());
                // Whoever ended the node meanwhile found nothing to abort.
                if inner.living().is_none() && self.processes.runs_on(inner) {
                    inner.abort();
                }
            }
            // What makes the future is the process's own too.
            Err(panic) => self.runs_no_more(inner, panicked(inner, &*panic)),
        }
        inner.pid.clone()
    }

    /// The future of the process is gone: it ends for this reason, if it has not before.
    fn runs_no_more(&self, inner: &Arc<Inner>, reason: Term) {
        inner.set_runs(false);
        let was_over = inner.living().is_none();
        self.ended(inner, reason);
        if was_over {
            self.processes.runs_no_more(&inner.pid);
        }
    }
}

/// The task of a process.
struct Running<F> {
    body: Option<Pin<Box<F>>>,
    shared: Arc<Shared>,
    inner: Arc<Inner>,
}

impl<F: Future<Output = R>, R: ExitReason> Future for Running<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let Some(body) = &mut this.body else {
            return Poll::Ready(());
        };
        // What becomes of the value is code of the process too.
        let reason = match watched(|| {
            body.as_mut()
                .poll(cx)
                .map(|value| reason_of(value, &this.inner))
        }) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(reason)) => reason,
            Err(panic) => panicked(&this.inner, &*panic),
        };
        // What the future holds goes first: whoever hears of the end finds it gone.
        this.end(reason);
        Poll::Ready(())
    }
}

impl<F> Running<F> {
    fn end(&mut self, reason: Term) {
        if let Some(body) = self.body.take() {
            // A `Drop` in it that panics hurts nobody else.
            if catch_unwind(AssertUnwindSafe(|| drop(body))).is_err() {
                tracing::error!(
                    "a process panicked while it was dropped · {} · look at its Drop",
                    self.inner.pid
                );
            }
        }
        self.shared.runs_no_more(&self.inner, reason);
    }
}

/// Ended by an exit signal, or with the runtime.
impl<F> Drop for Running<F> {
    fn drop(&mut self) {
        if self.body.is_some() {
            self.end(atom!("killed").into());
        }
    }
}

/// Runs code of a process; the place of its panic is kept for [`panicked`].
fn watched<T>(run: impl FnOnce() -> T) -> std::thread::Result<T> {
    let before = WATCHED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(run));
    WATCHED.set(before);
    result
}

/// The reason for which a process ends that returned this.
fn reason_of(value: impl ExitReason, inner: &Inner) -> Term {
    let is_error = value.is_error();
    let reason = value.into_reason();
    // What ends it already says why.
    if is_error && !inner.is_over() {
        let text = reason.as_tuple().and_then(|parts| parts.last()?.to_text());
        match text {
            Some(text) => inner.report(format_args!("a process ended with an error: {text}")),
            None => inner.report(format_args!("a process ended with an error: {reason}")),
        }
    }
    reason
}

/// The reason for which a process ends that panicked.
fn panicked(inner: &Inner, panic: &(dyn Any + Send)) -> Term {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("a value that is no text");
    let place = PLACE.take();
    let at = place.as_deref().unwrap_or("an unknown place");
    inner.report(format_args!("a process panicked: {text} · at {at}"));
    let place = place.map_or_else(|| atom!("undefined").into(), |place| Term::from(&*place));
    Term::tuple([atom!("panic").into(), Term::from(text), place])
}

impl Inner {
    /// Says what the person on call is to see of a process, as a crash report does in Erlang.
    fn report(&self, what: fmt::Arguments<'_>) {
        let name = self.state().name.clone();
        let name = name.map_or_else(String::new, |name| format!(" ({name})"));
        tracing::error!(
            "{what} · {}{name} · whatever is linked to it hears of it",
            self.pid
        );
    }
}

thread_local! {
    /// A process runs on this thread: whoever watches it wants to know where it panicked.
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    /// Where it panicked.
    static PLACE: Cell<Option<String>> = const { Cell::new(None) };
}

/// The place of a panic is known to the hook only. The hook that was there does what it did: it is the program's, and has the
/// backtrace.
fn note_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            if WATCHED.get() {
                PLACE.set(info.location().map(ToString::to_string));
            }
            others(info);
        }));
    });
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;
    use std::sync::Mutex;
    use std::time::Duration;

    use tokio::time::timeout;
    use tracing::field::Field;
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Level, Metadata, Subscriber};
    use trunkline_proto::Cookie;

    use super::*;

    /// A monitor of somebody who has ended would be there for as long as what is monitored.
    #[tokio::test]
    async fn who_has_ended_leaves_no_monitor_at_what_he_spawns() {
        let node = Node::builder("one@127.0.0.1".parse().unwrap());
        let node = node.cookie(Cookie::new("monster").unwrap()).epmd(None);
        let node = node.listen([std::net::Ipv4Addr::LOCALHOST.into()], 0);
        let node = node.start().await.unwrap();
        let (one, other) = (node.process(), node.process());
        other.exit(&one.pid(), atom!("kill")).unwrap();
        assert!(!node.is_alive(&one.pid()));
        let (pid, _) = one.spawn_monitor(|_| std::future::pending::<()>());
        let inner = node.shared.processes.find(&pid).expect("it runs");
        assert!(inner.state().watchers.is_empty());
    }

    /// What is said as an error.
    #[derive(Clone, Debug, Default)]
    struct Errors(Arc<Mutex<Vec<String>>>);

    impl Subscriber for Errors {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() == Level::ERROR
        }
        fn event(&self, event: &Event<'_>) {
            event.record(&mut |_: &Field, value: &dyn Debug| {
                self.0.lock().unwrap().push(format!("{value:?}"));
            });
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    /// The person on call sees who ended with an error and why, once; what a process catches itself, and what it ends for on purpose,
    /// is its own.
    #[tokio::test]
    async fn what_is_said_of_a_process_that_fails() {
        let errors = Errors::default();
        let _said = tracing::subscriber::set_default(errors.clone());
        let node = Node::builder("one@127.0.0.1".parse().unwrap());
        let node = node.cookie(Cookie::new("monster").unwrap());
        let node = node.start().await.unwrap();
        let mut me = node.process();
        me.trap_exit(true);
        let named = me.spawn_link(async |process| {
            process.register(&atom!("worker"));
            assert!(process.pid().creation == 0, "number {}", 7);
        });
        let fails = me.spawn_link(async |_| Err::<(), _>("no room"));
        let catches = me.spawn_link(async |_| {
            let caught = catch_unwind(|| panic!("caught"));
            caught.is_err().then_some(()).ok_or("it was not caught")
        });
        let wants = me.spawn_link(async |_| Term::atom("enough"));
        for _ in 0..4 {
            let ended = timeout(Duration::from_secs(20), me.recv()).await;
            assert!(ended.is_ok_and(|message| message.is_some()));
        }
        let said = errors.0.lock().unwrap().clone();
        let of = |pid: &Pid| {
            let pid = pid.to_string();
            said.iter()
                .filter(|line| line.contains(&pid))
                .collect::<Vec<_>>()
        };
        assert!(
            matches!(of(&named)[..], [line] if line.contains("number 7") && line.contains("(worker)") && line.contains("spawn.rs:")),
            "{said:?}"
        );
        assert!(
            matches!(of(&fails)[..], [line] if line.contains("no room")),
            "{said:?}"
        );
        assert!(of(&catches).is_empty() && of(&wants).is_empty(), "{said:?}");
    }
}
