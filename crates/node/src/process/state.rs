//! One process: its mailbox, and whom it watches and who watches it, under one lock. Nothing here
//! calls anybody while it holds the lock: what has to be told to others is given back.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Waker};

use tokio::task::AbortHandle;
use trunkline_etf::{Atom, Pid, Reference, Term, atom};
use trunkline_proto::control::{Control, PidOrName};

use super::alias::AliasMode;
use super::few::Few;
use super::left::Left;
use super::table::number;
use super::{Outgoing, Then};
use crate::mailbox::{Body, Event, MaxMailbox, Queue, WhenFull};

/// A process, as the table and those who send to it hold it.
pub(crate) struct Inner {
    pub(crate) pid: Pid,
    /// A task runs it; otherwise whoever holds its handle.
    task: bool,
    abort: OnceLock<AbortHandle>,
    /// Its future is there.
    runs: AtomicBool,
    /// There is a limit for what waits.
    limited: AtomicBool,
    /// What the process has taken out of its mailbox and not received, where it has one.
    taken: AtomicUsize,
    taken_bytes: AtomicUsize,
    /// It has ended, or is to.
    over: AtomicBool,
    left: Left,
    state: Mutex<State>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) queue: Queue,
    pub(crate) waker: Option<Waker>,
    pub(crate) life: Life,
    pub(crate) trap: bool,
    pub(crate) limit: Option<MaxMailbox>,
    pub(crate) dropped: u64,
    pub(crate) name: Option<Atom>,
    pub(crate) links: HashSet<Pid>,
    /// Links that are given up, until the other side has acknowledged it.
    pub(crate) unlinking: HashMap<Pid, u64>,
    pub(crate) monitors: HashMap<Reference, Monitored>,
    pub(crate) watchers: Few<Reference, Watcher>,
    /// How often each node is monitored.
    pub(crate) nodes: HashMap<Atom, u32>,
    pub(crate) aliases: HashMap<Reference, AliasMode>,
}

/// Whether it runs.
#[derive(Debug, Default, PartialEq)]
pub(crate) enum Life {
    #[default]
    Running,
    /// It is to end for this reason, and its task has not come to that yet.
    Doomed(Term),
    Ended,
}

/// Whom a process monitors.
#[derive(Debug)]
pub(crate) struct Monitored {
    pub(crate) node: Atom,
    pub(crate) target: PidOrName,
}

/// Who monitors a process.
#[derive(Debug)]
pub(crate) struct Watcher {
    pub(crate) pid: Pid,
    /// What it called this process; its DOWN repeats it.
    pub(crate) named: PidOrName,
}

/// By which way an exit signal comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// A link broke.
    Link,
    /// Somebody called `exit/2`.
    Call,
}

/// What an exit signal does.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    Nothing,
    Message,
    Ends(Term),
}

/// What an exit signal does to a process that it reaches (`erlang:exit/2`, and the chapter
/// "Processes" of the reference manual).
pub(crate) fn effect(by: By, own: bool, trap: bool, reason: &Term) -> Effect {
    // By a link it is a reason like any other.
    let kill = by == By::Call && reason.is_atom("kill");
    if trap && !kill {
        Effect::Message
    } else if kill {
        Effect::Ends(atom!("killed").into())
    } else if reason.is_atom("normal") && !(own && by == By::Call) {
        Effect::Nothing
    } else {
        Effect::Ends(reason.clone())
    }
}

/// What it has is its own.
impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner")
            .field("pid", &self.pid)
            .finish_non_exhaustive()
    }
}

impl Inner {
    pub(crate) fn new(pid: Pid, task: bool) -> Self {
        Self {
            pid,
            task,
            abort: OnceLock::new(),
            runs: AtomicBool::new(false),
            limited: AtomicBool::new(false),
            taken: AtomicUsize::new(0),
            taken_bytes: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            left: Left::default(),
            state: Mutex::default(),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state of a process that has not ended. Into that of one that has, nothing may come: nobody
    /// takes it out again.
    pub(crate) fn living(&self) -> Option<MutexGuard<'_, State>> {
        let state = self.state();
        (state.life != Life::Ended).then_some(state)
    }

    /// The states of this process and another, locked in the order of their pids.
    pub(crate) fn with<'a>(
        &'a self,
        other: &'a Self,
    ) -> (MutexGuard<'a, State>, MutexGuard<'a, State>) {
        if number(&self.pid) < number(&other.pid) {
            let here = self.state();
            (here, other.state())
        } else {
            let there = other.state();
            (self.state(), there)
        }
    }

    pub(crate) const fn is_task(&self) -> bool {
        self.task
    }

    /// Whether its future is there: a process may end before that does.
    pub(crate) fn runs(&self) -> bool {
        self.runs.load(Ordering::Acquire)
    }

    pub(crate) fn set_runs(&self, runs: bool) {
        self.runs.store(runs, Ordering::Release);
    }

    /// Whether it has ended, or is to: it receives nothing more.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// What it has looked at and left.
    pub(super) const fn left(&self) -> &Left {
        &self.left
    }

    /// Drops its future where that waits next.
    pub(crate) fn abort(&self) {
        if let Some(abort) = self.abort.get() {
            abort.abort();
        }
    }

    /// Whether it is to end.
    pub(crate) fn is_doomed(&self) -> bool {
        matches!(self.state().life, Life::Doomed(_))
    }

    /// Its task runs: it can be ended from now on.
    pub(crate) fn runs_as(&self, abort: AbortHandle) {
        let ends = matches!(self.state().life, Life::Doomed(_));
        if ends {
            abort.abort();
        }
        self.abort.set(abort).ok();
        // Between the look and the handle's coming.
        if matches!(self.state().life, Life::Doomed(_))
            && let Some(abort) = self.abort.get()
        {
            abort.abort();
        }
    }

    /// There is a limit for what waits, or there is none any more.
    pub(crate) fn set_limited(&self, limited: bool) {
        self.limited.store(limited, Ordering::Relaxed);
    }

    /// Whether the process has to say what it [holds](Self::holds).
    pub(crate) fn is_limited(&self) -> bool {
        self.limited.load(Ordering::Relaxed)
    }

    /// What the process itself holds of its mailbox.
    pub(crate) fn holds(&self, messages: usize, bytes: usize) {
        self.taken.store(messages, Ordering::Relaxed);
        self.taken_bytes.store(bytes, Ordering::Relaxed);
    }

    // ---- messages ----

    /// A message; `false` when the process is gone.
    pub(crate) fn message(&self, body: Body, then: &mut Then) -> bool {
        let mut one = Queue::default();
        one.push_body(body);
        self.messages(&mut one, then)
    }

    /// Many messages: one lock, and one wake at most; `false` when the process is gone. The batch is
    /// empty then.
    pub(crate) fn messages(&self, batch: &mut Queue, then: &mut Then) -> bool {
        self.messages_to(self.state(), batch, then)
    }

    fn messages_to(
        &self,
        mut state: MutexGuard<'_, State>,
        batch: &mut Queue,
        then: &mut Then,
    ) -> bool {
        if state.life != Life::Running {
            drop(state);
            batch.clear();
            return false;
        }
        match state.limit {
            None => state.queue.append(batch),
            Some(limit) => {
                if let Some(reason) = self.within(limit, &mut state, batch) {
                    self.end_by(state, reason, then);
                    batch.clear();
                    return false;
                }
            }
        }
        then.wakes(state);
        true
    }

    /// As much as may wait; the reason for which the process ends when that is exceeded.
    fn within(&self, limit: MaxMailbox, state: &mut State, batch: &mut Queue) -> Option<Term> {
        let taken = self.taken.load(Ordering::Relaxed);
        let taken_bytes = self.taken_bytes.load(Ordering::Relaxed);
        let left = limit.messages.saturating_sub(taken + state.queue.len());
        let left_bytes = limit.bytes.saturating_sub(taken_bytes + state.queue.size());
        if batch.len() <= left && batch.size() <= left_bytes {
            state.queue.append(batch);
            return None;
        }
        match limit.when_full {
            WhenFull::DropNew => {
                state.dropped += state.queue.append_some(batch, left, left_bytes);
                None
            }
            WhenFull::Kill => {
                let messages = taken + state.queue.len() + batch.len();
                let bytes = taken_bytes + state.queue.size() + batch.size();
                let max = atom!("max_mailbox").into();
                Some(Term::tuple([max, Term::from(messages), bytes.into()]))
            }
        }
    }

    /// A message by way of an alias: only as long as that is one.
    pub(crate) fn aliased(&self, alias: &Reference, body: Body, then: &mut Then) -> bool {
        let mut state = self.state();
        match state.aliases.get(alias) {
            None => return false,
            Some(AliasMode::Reply) => {
                state.aliases.remove(alias);
            }
            Some(AliasMode::ReplyDemonitor) => {
                state.aliases.remove(alias);
                then.extend(state.demonitor(&self.pid, alias));
            }
            Some(AliasMode::Explicit | AliasMode::Demonitor) => {}
        }
        let mut one = Queue::default();
        one.push_body(body);
        self.messages_to(state, &mut one, then)
    }

    // ---- exits ----

    /// An exit signal.
    pub(crate) fn exit(&self, from: Pid, reason: Body, by: By, then: &mut Then) {
        let mut state = self.state();
        // A link that broke counts only where there is one.
        if state.life != Life::Running || (by == By::Link && !state.links.remove(&from)) {
            return;
        }
        if state.trap && by == By::Link {
            state.queue.push_event(Event::Exit { from, reason });
            return then.wakes(state);
        }
        let reason = reason.into_term();
        match effect(by, from == self.pid, state.trap, &reason) {
            Effect::Nothing => {}
            Effect::Message => {
                let reason = reason.into();
                state.queue.push_event(Event::Exit { from, reason });
                then.wakes(state);
            }
            Effect::Ends(reason) => self.end_by(state, reason, then),
        }
    }

    /// Ends the process, whatever it traps.
    pub(crate) fn end(&self, reason: Term, then: &mut Then) {
        let state = self.state();
        if state.life == Life::Running {
            self.end_by(state, reason, then);
        }
    }

    /// Ends the process: at once, or where it is a task at the next point where that waits.
    fn end_by(&self, mut state: MutexGuard<'_, State>, reason: Term, then: &mut Then) {
        self.over.store(true, Ordering::Relaxed);
        if self.task {
            state.life = Life::Doomed(reason);
            drop(state);
            self.abort();
        } else {
            then.push(Outgoing::Ended(self.pid.clone()));
            // Whatever else ends it meanwhile.
            state.life = Life::Doomed(reason);
            then.wakes(state);
        }
    }

    /// The process has ended: its state is taken out, and for which reason it ended. `None` the
    /// second time.
    pub(crate) fn finish(&self, reason: Term) -> Option<(State, Term)> {
        let mut state = self.state();
        let reason = match mem::replace(&mut state.life, Life::Ended) {
            Life::Ended => return None,
            Life::Doomed(doom) => doom,
            Life::Running => reason,
        };
        self.over.store(true, Ordering::Relaxed);
        let left = mem::take(&mut *state);
        state.life = Life::Ended;
        drop(state);
        self.left.end();
        Some((left, reason))
    }

    // ---- links and monitors ----

    /// Somebody links to this process; `false` when it is gone, or an exit signal has come that ends it.
    pub(crate) fn linked(&self, from: Pid) -> bool {
        let mut state = self.state();
        if state.life != Life::Running {
            return false;
        }
        // One that crosses our own unlink is undone by it.
        if !state.unlinking.contains_key(&from) {
            state.links.insert(from);
        }
        true
    }

    /// Somebody monitors this process; gives it back when the process is gone, or an exit signal has come that ends it: for
    /// OTP, too, it is nobody then.
    pub(crate) fn watched(&self, reference: Reference, watcher: Watcher) -> Result<(), Watcher> {
        let mut state = self.state();
        if state.life != Life::Running {
            return Err(watcher);
        }
        state.watchers.insert(reference, watcher);
        Ok(())
    }

    /// Somebody unlinks from this process.
    pub(crate) fn unlinked(&self, from: &Pid) {
        self.state().links.remove(from);
    }

    /// The other side has seen that this process unlinked.
    pub(crate) fn unlink_acknowledged(&self, id: u64, from: &Pid) {
        let mut state = self.state();
        if state.unlinking.get(from) == Some(&id) {
            state.unlinking.remove(from);
        }
    }

    /// A process that this one monitors ended; gives that back when it monitors no such thing. Who it
    /// was is what the monitor was of, whatever the other side calls it.
    pub(crate) fn down(
        &self,
        reference: &Reference,
        reason: Body,
        then: &mut Then,
    ) -> Result<(), Body> {
        let mut state = self.state();
        let Some(Monitored { node, target }) = state.monitors.remove(reference) else {
            return Err(reason);
        };
        state.alias_with_monitor_ends(reference);
        let reference = reference.clone();
        state.queue.push_event(Event::Down {
            reference,
            node,
            from: target,
            reason,
        });
        then.wakes(state);
        Ok(())
    }

    /// A node that was to be monitored is not connected, and is not dialled.
    pub(crate) fn no_node(&self, node: Atom, then: &mut Then) {
        let mut state = self.state();
        if state.take_node(&node) {
            state.queue.push_event(Event::NodeDown { node });
            then.wakes(state);
        }
    }

    /// The connection to a node is lost, and with it everything there.
    pub(crate) fn node_down(&self, node: &Atom, then: &mut Then) {
        let mut state = self.state();
        if state.life == Life::Ended {
            return;
        }
        let lost = || Body::Term(atom!("noconnection").into());
        state
            .watchers
            .retain(|_, watcher| watcher.pid.node != *node);
        state.unlinking.retain(|pid, _| pid.node != *node);
        let here = |watched: &Monitored| watched.node == *node;
        let monitors: Vec<_> = state.monitors.extract_if(|_, m| here(m)).collect();
        for (reference, watched) in monitors {
            if state.alias_with_monitor_ends(&reference) {
                then.push(Outgoing::AliasEnded(reference.clone()));
            }
            let Monitored { node, target } = watched;
            state.queue.push_event(Event::Down {
                reference,
                node,
                from: target,
                reason: lost(),
            });
        }
        for _ in 0..state.nodes.remove(node).unwrap_or(0) {
            let node = node.clone();
            state.queue.push_event(Event::NodeDown { node });
        }
        let broken = |pid: &Pid| pid.node == *node;
        let links: Vec<_> = state
            .links
            .iter()
            .filter(|pid| broken(pid))
            .cloned()
            .collect();
        then.wakes(state);
        for from in links {
            self.exit(from, lost(), By::Link, then);
        }
    }
}

impl State {
    /// Somebody waits for what comes next.
    pub(super) fn waits(&mut self, cx: &Context<'_>) {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }

    /// The process no longer monitors; what to send, if it did.
    pub(crate) fn demonitor(&mut self, pid: &Pid, reference: &Reference) -> Option<Outgoing> {
        let Monitored { node, target } = self.monitors.remove(reference)?;
        self.alias_with_monitor_ends(reference);
        let control = Control::DemonitorP {
            from: pid.clone(),
            to: target,
            reference: reference.clone(),
        };
        Some(Outgoing::Signal(node, control))
    }

    /// One monitor of this node fewer; `false` when there was none.
    pub(crate) fn take_node(&mut self, node: &Atom) -> bool {
        let Some(count) = self.nodes.get_mut(node) else {
            return false;
        };
        *count -= 1;
        if *count == 0 {
            self.nodes.remove(node);
        }
        true
    }

    /// An alias that lives as long as its monitor; whether there was one.
    fn alias_with_monitor_ends(&mut self, reference: &Reference) -> bool {
        let mode = self.aliases.get(reference);
        let ends = matches!(mode, Some(AliasMode::Demonitor | AliasMode::ReplyDemonitor));
        if ends {
            self.aliases.remove(reference);
        }
        ends
    }
}
