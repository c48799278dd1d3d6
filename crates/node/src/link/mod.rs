//! One live connection. `reader` and `writer` are its two tasks; `queue` is between the writer and
//! everybody who sends.

mod again;
mod clock;
mod queue;
mod quiet;
mod reader;
mod unsent;
mod window;
mod wire;
mod writer;

use std::future::poll_fn;
use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::FutureExt as _;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use trunkline_etf::{Atom, Pid, Term};
use trunkline_proto::conn::{Origin, Outbound, Payload, Portion, PushError, Queued, Sending};
use trunkline_proto::control::Control;
use trunkline_proto::handshake::Connected;

use self::again::Again;
use self::queue::{Queue, Sends};
use self::quiet::Quiet;
use self::wire::Wire;
use crate::budget::{Account, Budget};
use crate::gate::Gate;
use crate::lifetime::Work;
use crate::process::Then;
use crate::shared::{Shared, Visited};
use crate::shutdown::guarded;
use crate::transport::Transport;
use crate::{DownReason, SendError};

pub(crate) use self::again::Called;

/// So many bytes may wait that were sent by those who do not wait. What others have queued, who waited
/// for room, does not count.
const MAX_FORCED: usize = 256 << 20;

/// A connection to a node.
#[derive(Debug)]
pub(crate) struct Link {
    /// Who is there, and what was agreed.
    pub(crate) info: Connected,
    /// The peer's name as pids hold it.
    pub(crate) atom: Atom,
    /// Ends the tasks.
    pub(crate) stop: CancellationToken,
    /// Messages are delivered through it.
    pub(crate) gate: Gate,
    /// What waits here of what came by it.
    pub(crate) account: Arc<Account>,
    /// Who began it, and when.
    pub(crate) visit: Visited,
    begun: Instant,
    queue: Queue,
    wire: Wire,
    /// The last read brought one message alone: what is sent next answers it, as a rule.
    asked: AtomicBool,
    /// When that was, in nanoseconds since the connection began.
    heard: AtomicU64,
    tick_time: Mutex<Duration>,
    /// `tick_time` is another one.
    retimed: Notify,
    tick_intensity: u32,
    /// Nothing follows what is queued.
    closing: CancellationToken,
    /// When the peer was last seen to read what waited for it, in nanoseconds since the connection
    /// began.
    peer_read: AtomicU64,
    /// Messages that were dropped because they were too long.
    lost: AtomicU64,
    /// It was said that it is read slowly.
    slow: AtomicBool,
    /// Too much waits for a peer that takes none of it.
    overflows: Notify,
    /// Why it ends: what was found out first.
    ended: OnceLock<DownReason>,
    /// How many bytes had not left when it was over.
    unsent: OnceLock<usize>,
}

impl Link {
    /// `stop` ends it; the node's own token is above it.
    pub(crate) fn new(
        info: Connected,
        ticks: Ticks,
        sending: Sending,
        stop: CancellationToken,
        visit: Visited,
        budget: &Arc<Budget>,
    ) -> Arc<Self> {
        let now = trunkline_proto::Instant::ZERO;
        let out = Outbound::new(now, info.flags, info.peer_flags, ticks.time)
            .with_tick_intensity(ticks.intensity)
            .with_sending(sending);
        let atom = Atom::new(info.peer.as_str())
            .expect("a node name has at most 255 characters, as an atom");
        Arc::new(Self {
            account: budget.account(&atom),
            atom,
            stop,
            gate: Gate::default(),
            visit,
            begun: Instant::now(),
            queue: Queue::new(out),
            wire: Wire::default(),
            asked: AtomicBool::new(false),
            heard: AtomicU64::new(0),
            tick_time: Mutex::new(ticks.time),
            retimed: Notify::new(),
            tick_intensity: ticks.intensity,
            closing: CancellationToken::new(),
            peer_read: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            slow: AtomicBool::new(false),
            overflows: Notify::new(),
            ended: OnceLock::new(),
            unsent: OnceLock::new(),
            info,
        })
    }

    /// Queues a message of `from`, who has waited for [`room`](Self::room). An answer leaves at once,
    /// as far as it can be told: see [`asked`](Self::asked).
    pub(crate) fn push(
        &self,
        from: &Pid,
        control: &Control,
        message: &Term,
    ) -> Result<(), SendError> {
        self.append(waited(Some(from)), |out, now, origin| {
            out.push_of(now, origin, control, Payload::Term(message))
        })
    }

    /// Queues `{First, Second}`, as [`push`](Self::push).
    pub(crate) fn push_pair(
        &self,
        from: &Pid,
        control: &Control,
        (first, second): (&Term, &Term),
    ) -> Result<(), SendError> {
        self.append(waited(Some(from)), |out, now, origin| {
            out.push_of(now, origin, control, Payload::Pair(first, second))
        })
    }

    /// Queues a message from one process to another, as [`push`](Self::push).
    pub(crate) fn send(&self, from: &Pid, to: &Pid, message: &Term) -> Result<(), SendError> {
        self.append(waited(None), |Sends { out, again, .. }, now, _| {
            let control = || self.send_control(from.clone(), to.clone());
            let control = again.send(from, to, control);
            out.push_again(now, from, true, control, Payload::Term(message))
        })
    }

    /// Queues the monitor and the request of a call, as [`push`](Self::push).
    pub(crate) fn call(&self, called: Called<'_>, request: &Term) -> Result<(), SendError> {
        self.append(waited(None), |Sends { out, again, .. }, now, _| {
            let control = || self.fitted(called.control());
            again.call((out, now), called, request, control)
        })
    }

    /// Queues that a call is over: its monitor is taken back.
    pub(crate) fn call_ends(&self, called: Called<'_>) -> Result<(), SendError> {
        let origin = Origin {
            from: None,
            waited: false,
        };
        self.append(origin, |Sends { out, again, .. }, now, _| {
            again.call_ends((out, now), called)
        })
    }

    /// Queues what cannot wait: signals, and answers to the peer's own requests. `from` is for what
    /// does not say itself who sends it.
    pub(crate) fn force(
        &self,
        from: Option<&Pid>,
        control: &Control,
        payload: Option<&Term>,
    ) -> Result<(), SendError> {
        let payload = payload.map_or(Payload::None, Payload::Term);
        let origin = Origin {
            from,
            waited: false,
        };
        self.append(origin, |out, now, origin| {
            out.push_of(now, origin, control, payload)
        })
    }

    fn append<'a>(
        &self,
        origin: Origin<'a>,
        append: impl FnOnce(
            &mut Sends,
            trunkline_proto::Instant,
            Origin<'a>,
        ) -> Result<Queued, PushError>,
    ) -> Result<(), SendError> {
        let now = || self.now_or_heard();
        let append = |out: &mut Sends, now| append(out, now, origin);
        let at_once = |bytes| origin.waited && self.answers(bytes);
        let forced = self.queue.push(now, append, at_once)?;
        // A peer that leaves so much unread is given up: answers to its own requests cannot wait.
        if !origin.waited && forced > MAX_FORCED {
            // The task that writes ends it: whoever sends may hold a lock.
            self.overflows.notify_one();
        }
        Ok(())
    }

    /// Writes what waits at once, if it answers what came last. Whether it has left.
    fn answers(&self, bytes: usize) -> bool {
        if bytes > AT_ONCE || !self.asked.load(Ordering::Relaxed) {
            return false;
        }
        self.asked.store(false, Ordering::Relaxed);
        self.wire.flush_at_once(&self.queue)
    }

    /// Whether somebody may have to wait for [`room`](Self::room).
    pub(crate) fn is_busy(&self) -> bool {
        self.queue.is_busy()
    }

    /// Waits until a message of `sender` has less than 1 MiB before it, or the connection is over:
    /// what others have in fragments does not count, they take turns.
    pub(crate) async fn room(&self, sender: &Pid) {
        if self.queue.is_busy() {
            self.queue.room(sender).await;
        }
    }

    /// Whether somebody here waits for what may come by it: an answer, or room to send, for which the
    /// peer may have to be read.
    fn is_awaited(&self, shared: &Shared) -> bool {
        self.queue.is_awaited() || shared.processes.awaits(&self.atom)
    }

    /// It ends: its tasks do, nothing is queued any more, and nobody waits for room. For this reason, or the
    /// one that was there before.
    pub(crate) fn ends_for(&self, reason: DownReason, then: &mut Then) -> DownReason {
        let reason = self.ended.get_or_init(|| reason).clone();
        self.queue.close(then);
        if !guarded(|| self.stop.cancel()) {
            // Those behind the one that panicked were not woken.
            guarded(|| self.retimed.notify_one());
        }
        reason
    }

    /// Hangs up once everything has left that is queued now; ends when the peer has hung up too. Whoever sends
    /// from now on hears that nothing was sent.
    pub(crate) fn close(&self) {
        let mut then = Then::default();
        // First: the task that writes ends when it finds the queue empty.
        self.queue.close(&mut then);
        self.closing.cancel();
        then.wake_guarded();
        self.queue.look();
    }

    /// Whether more waits than a peer may leave unread.
    fn is_overfull(&self) -> bool {
        self.queue.lock().forced() > MAX_FORCED
    }

    /// How many bytes have not left.
    pub(crate) fn queued(&self) -> usize {
        self.queue.lock().queued()
    }

    /// How many bytes have never left; those that wait, as long as the connection is not over.
    pub(crate) fn unsent(&self) -> usize {
        let unsent = self.unsent.get().copied();
        unsent.unwrap_or_else(|| self.queued())
    }

    /// Why it ended: what broke it first, where somebody else than who found out now has met that.
    fn reason(&self, found: DownReason) -> DownReason {
        match (found, self.wire.failure()) {
            (DownReason::Closed, Some(first)) => first,
            (found, _) => found,
        }
    }

    /// Nothing leaves any more: gives the memory of what waits back. Whoever has sent by it may hold this
    /// for as long as he sends nothing else.
    fn forget(&self) {
        let left = self.wire.clear();
        let mut sends = self.queue.lock();
        // What was taken counts as taken until the next portion is.
        sends.out.take(&mut Portion::default());
        let unsent = left.saturating_add(sends.queued());
        // For the first time: later there is nothing.
        self.unsent.get_or_init(|| unsent);
        sends.clear();
        sends.again = Again::default();
    }

    pub(crate) fn set_tick_time(&self, tick_time: Duration) {
        let current = &mut *self.lock_tick_time();
        if std::mem::replace(current, tick_time) != tick_time {
            self.queue.lock().set_tick_time(tick_time);
            self.queue.look();
            self.retimed.notify_one();
        }
    }

    fn tick_time(&self) -> Duration {
        *self.lock_tick_time()
    }

    /// Between two ticks.
    fn tick_interval(&self) -> Duration {
        self.tick_time() / self.tick_intensity.clamp(1, 1000)
    }

    fn lock_tick_time(&self) -> MutexGuard<'_, Duration> {
        self.tick_time
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The peer reads: it lives, whether it says anything or not.
    fn peer_read(&self) {
        let now = u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.peer_read.store(now, Ordering::Relaxed);
    }

    /// When it last did.
    fn peer_has_read(&self) -> trunkline_proto::Instant {
        let read = Duration::from_nanos(self.peer_read.load(Ordering::Relaxed));
        trunkline_proto::Instant::at(read)
    }

    /// It is read slowly, because too much waits that came by it: said once.
    fn say_slow(&self) {
        if !self.slow.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "messages are read slowly · from {} · {} bytes of it wait here, and {} may in all: look which \
                 process takes nothing, or raise max_mailboxes · said once for each connection",
                self.info.peer,
                self.account.held(),
                self.account.limit()
            );
        }
    }

    /// A message was dropped because it was too long; the first one is said.
    fn count_lost(&self, say: impl FnOnce()) {
        if self.lost.fetch_add(1, Ordering::Relaxed) == 0 {
            say();
        }
    }

    /// When a tick may be due.
    fn tick_due(&self) -> Option<Instant> {
        let due = self.queue.lock().poll_timeout();
        due.and_then(|due| self.moment(due))
    }

    /// The time of the halves: since the connection began.
    fn now(&self) -> trunkline_proto::Instant {
        trunkline_proto::Instant::at(self.begun.elapsed())
    }

    /// The same, without a look at the clock, for what answers what came last: that was a moment ago. Were it longer, a tick
    /// would come earlier than it has to.
    fn now_or_heard(&self) -> trunkline_proto::Instant {
        if self.asked.load(Ordering::Relaxed) {
            let heard = Duration::from_nanos(self.heard.load(Ordering::Relaxed));
            trunkline_proto::Instant::at(heard)
        } else {
            self.now()
        }
    }

    /// Something was read now.
    fn heard(&self) -> trunkline_proto::Instant {
        let now = self.begun.elapsed();
        let nanos = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        self.heard.store(nanos, Ordering::Relaxed);
        trunkline_proto::Instant::at(now)
    }

    /// A moment of the halves on the clock. `None` when that does not go so far: the peer says what
    /// its tick time is.
    fn moment(&self, at: trunkline_proto::Instant) -> Option<Instant> {
        self.begun.checked_add(at.since_start())
    }
}

/// Somebody who has waited for room.
const fn waited(from: Option<&Pid>) -> Origin<'_> {
    Origin { from, waited: true }
}

/// What is larger is left to the task that writes: whoever sends does not copy that into the system.
const AT_ONCE: usize = 16 << 10;

/// How long the reader may go on with what is here, once nothing can be written any more.
const LAST_READS: Duration = Duration::from_secs(10);

/// How often a connection shows that it lives, and how long it may be silent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticks {
    /// `net_ticktime`.
    pub(crate) time: Duration,
    /// `net_tickintensity`.
    pub(crate) intensity: u32,
}

/// Runs the connection until it ends. Neither half waits for the other. `over` is closed when there is time.
pub(crate) fn spawn(
    shared: Arc<Shared>,
    link: Arc<Link>,
    transport: Transport,
    rest: BytesMut,
    over: Option<TcpStream>,
) {
    let (read, write) = transport.split();
    let life = shared.life.clone();
    let writer = {
        let (shared, link) = (Arc::clone(&shared), Arc::clone(&link));
        let doing = shared.life.doing(Work::Writing(link.info.peer.clone()));
        async move {
            let _doing = doing;
            let written = pin!(writer::run(&link, write));
            let written = unless_panics(written).await;
            if link.wire.failure().is_some() {
                // The peer has closed it, as a rule. What it sent before lies here: the reader ends the
                // connection once it has that, and pauses no more.
                link.close();
                let _reads_on = timeout(LAST_READS, link.stop.cancelled()).await;
            }
            shared.end(&link, link.reason(written));
        }
    };
    let writer = life.begin_task(writer);
    let doing = shared.life.doing(Work::Reading(link.info.peer.clone()));
    let connected = link.account.connected();
    life.begin_task(async move {
        let _doing = doing;
        drop(over);
        let received = pin!(reader::run(&shared, &link, read, rest));
        let received = unless_stopped(&link.stop, unless_panics(received)).await;
        let reason = received.unwrap_or(DownReason::Disconnected);
        let reason = link.reason(reason);
        // Also when somebody panics who is told of the end.
        let _over = Over {
            writer,
            link: &link,
        };
        shared.end(&link, reason);
        drop(connected);
    });
}

/// Runs a half until it ends, or is stopped, which is looked for only when that says so.
///
/// What runs a half has it pinned: a connection keeps one copy of what that is made of, however idle it is.
async fn unless_stopped<T>(stop: &CancellationToken, half: impl Future<Output = T>) -> Option<T> {
    let (mut half, mut stopped) = (pin!(half), Quiet::new(stop.cancelled()));
    poll_fn(|cx| match stopped.poll(cx) {
        Poll::Ready(()) => Poll::Ready(None),
        Poll::Pending => half.as_mut().poll(cx).map(Some),
    })
    .await
}

/// Ends the writer, and what it has not written, when this is dropped.
struct Over<'a> {
    writer: AbortHandle,
    link: &'a Link,
}

impl Drop for Over<'_> {
    fn drop(&mut self) {
        // It only looks for what there is to write.
        self.writer.abort();
        self.link.forget();
    }
}

/// Why a half has ended, also when it panicked: what it calls is code of others, too (wakers of those
/// who receive, whoever takes the log). Everybody who relies on the connection is told then as if the
/// peer were gone.
async fn unless_panics(half: Pin<&mut impl Future<Output = DownReason>>) -> DownReason {
    let half = AssertUnwindSafe(half).catch_unwind();
    // What it said is on standard error already, as of every panic.
    half.await.unwrap_or(DownReason::Panicked)
}

/// A process that dies closes its sockets with a reset when something was unread.
fn broken(why: &io::Error) -> DownReason {
    match why.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => DownReason::Closed,
        _ => DownReason::Broken(why.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::task::{Context, Wake, Waker};

    use trunkline_etf::{Reference, atom, term};
    use trunkline_proto::{Cookie, Creation, Flags};

    use super::*;
    use crate::process::state::Watcher;
    use crate::{MaxMailbox, Message, Node, NodeEvent, NodeType, Target, WhenFull};

    async fn node(name: &str) -> Node {
        let node = Node::builder(name.parse().unwrap()).epmd(None);
        let node = node.cookie(Cookie::new("monster").unwrap());
        let node = node.listen([Ipv4Addr::LOCALHOST.into()], 0);
        node.follow_tick_time(false).start().await.unwrap()
    }

    struct Bomb;

    impl Wake for Bomb {
        fn wake(self: Arc<Self>) {
            panic!("a waker of somebody's own runtime");
        }
    }

    /// What a delivery calls is not all ours.
    #[tokio::test]
    async fn a_reader_that_panics_ends_its_connection() {
        let (one, two) = (node("one@127.0.0.1").await, node("two@127.0.0.1").await);
        let there = Target::new(two.name().clone()).on_port(two.port().unwrap());
        one.connect(&there).await.unwrap();
        let mut events = two.monitor_nodes_of(NodeType::All);
        let (sender, mut watcher) = (one.process(), two.process());
        let monitor = watcher.monitor(&sender.pid());
        let mut victim = two.process();
        let (to, bystander) = (victim.pid(), two.process());
        let waker = Waker::from(Arc::new(Bomb));
        let mut received = pin!(victim.recv());
        let polled = received.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        sender.send(&bystander.pid(), Term::nil()).await.unwrap();
        sender.send(&to, Term::nil()).await.unwrap();
        let soon = Duration::from_secs(60);
        let lost = timeout(soon, watcher.recv()).await.expect("it is told");
        assert!(
            matches!(lost, Some(Message::Down { ref reference, ref reason, .. })
                if *reference == monitor && reason.is_atom("noconnection")),
            "{lost:?}"
        );
        assert!(two.connected().is_empty());
        let down = timeout(soon, events.next()).await.expect("it is said");
        assert!(
            matches!(down, Some(NodeEvent::Down { ref reason, .. }) if *reason == DownReason::Panicked),
            "{down:?}"
        );
        // Nothing is locked for ever: it connects again.
        one.connect(&there).await.unwrap();
    }

    /// Whoever is told of the end may panic, too: nothing of the connection stays.
    #[tokio::test]
    async fn an_end_that_panics_ends_the_connection() {
        let (one, two) = (node("one@127.0.0.1").await, node("two@127.0.0.1").await);
        let there = Target::new(two.name().clone()).on_port(two.port().unwrap());
        one.connect(&there).await.unwrap();
        let (sender, mut watcher) = (one.process(), two.process());
        watcher.monitor(&sender.pid());
        let waker = Waker::from(Arc::new(Bomb));
        let mut received = pin!(watcher.recv());
        let polled = received.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        // The reader of the other node ends for it.
        let link = two.shared.link(one.name().as_str()).unwrap();
        link.stop.cancel();
        let begun = Instant::now();
        while !one.connected().is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(20), "it stays");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Panics at the event of this module that so many went before.
    struct Log(&'static str, AtomicU64);

    impl tracing::Subscriber for Log {
        fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
            true
        }

        fn event(&self, event: &tracing::Event<'_>) {
            let Self(module, left) = self;
            let is_meant = event.metadata().target().ends_with(module);
            if is_meant && left.fetch_sub(1, Ordering::Relaxed) == 0 {
                panic!("somebody's own log");
            }
        }

        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }

        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}
    }

    /// Who got something before is woken all the same.
    #[tokio::test]
    async fn a_reader_that_panics_leaves_nobody_asleep() {
        let (one, two) = (node("one@127.0.0.1").await, node("two@127.0.0.1").await);
        let there = Target::new(two.name().clone()).on_port(two.port().unwrap());
        one.connect(&there).await.unwrap();
        let (sender, mut receiver) = (one.process(), two.process());
        receiver.trap_exit(true);
        let pid = receiver.pid();
        let received = tokio::spawn(async move { (receiver.recv().await, receiver) });
        tokio::task::yield_now().await;
        let third = Log("::dispatch::batch", AtomicU64::new(2));
        let _log = tracing::subscriber::set_default(third);
        // In one read: nothing waits in between.
        sender.send(&pid, term!(first)).await.unwrap();
        sender.link(&pid);
        sender.send(&pid, term!(second)).await.unwrap();
        let soon = Duration::from_secs(60);
        let received = timeout(soon, received).await.expect("it is woken");
        let (first, mut receiver) = received.unwrap();
        assert_eq!(first, Some(Message::Term(term!(first))));
        let next = timeout(soon, receiver.recv()).await.expect("it is told");
        assert!(matches!(next, Some(Message::Exit { .. })), "{next:?}");
        assert!(two.connected().is_empty());
    }

    /// The same where the last delivery of a read panics, which is that of its messages.
    #[tokio::test]
    async fn a_last_delivery_that_panics_leaves_nobody_asleep() {
        let (one, two) = (node("one@127.0.0.1").await, node("two@127.0.0.1").await);
        let there = Target::new(two.name().clone()).on_port(two.port().unwrap());
        one.connect(&there).await.unwrap();
        let (sender, mut receiver, full) = (one.process(), two.process(), two.process());
        full.max_mailbox(Some(MaxMailbox {
            messages: 0,
            bytes: 0,
            when_full: WhenFull::Kill,
        }));
        // That it has ended is to be told to a node that is not there: that is said in the log.
        let watcher = Watcher {
            pid: Pid {
                node: atom!("three@127.0.0.1"),
                ..full.pid()
            },
            named: full.pid().into(),
        };
        let reference = Reference::new(atom!("three@127.0.0.1"), 1, &[1, 2, 3]).unwrap();
        let inner = two.shared.processes.find(&full.pid()).unwrap();
        inner.watched(reference, watcher).unwrap();
        let pid = receiver.pid();
        let received = tokio::spawn(async move { receiver.recv().await });
        tokio::task::yield_now().await;
        let first = Log("::dispatch", AtomicU64::new(0));
        let _log = tracing::subscriber::set_default(first);
        // In one read: nothing waits in between.
        sender.send(&pid, term!(first)).await.unwrap();
        sender.send(&full.pid(), term!(second)).await.unwrap();
        let soon = Duration::from_secs(60);
        let received = timeout(soon, received).await.expect("it is woken");
        assert_eq!(received.unwrap(), Some(Message::Term(term!(first))));
        let begun = Instant::now();
        while !two.connected().is_empty() {
            assert!(begun.elapsed() < soon, "it stays");
            tokio::task::yield_now().await;
        }
    }

    /// A call waits for what comes by the connection to its node, for as long as it does, and for nothing else.
    #[tokio::test]
    async fn who_is_awaited() {
        let (one, two) = (node("one@127.0.0.1").await, node("two@127.0.0.1").await);
        let there = Target::new(two.name().clone()).on_port(two.port().unwrap());
        one.connect(&there).await.unwrap();
        let link = one.shared.link(two.name().as_str()).unwrap();
        let back = two.shared.link(one.name().as_str()).unwrap();
        assert!(!link.is_awaited(&one.shared));
        let silent = two.process();
        let call = |node: &Node| {
            let (node, to) = (node.clone(), silent.pid());
            let soon = Duration::from_secs(600);
            tokio::spawn(async move { node.call(&to, term!(question), soon).await })
        };
        let until = async |awaited: bool| {
            let begun = Instant::now();
            while link.is_awaited(&one.shared) != awaited {
                assert!(begun.elapsed() < Duration::from_secs(60), "{awaited}");
                tokio::task::yield_now().await;
            }
        };
        let calls = [call(&one), call(&one)];
        until(true).await;
        while silent.waiting() < 2 {
            tokio::task::yield_now().await;
        }
        assert!(!back.is_awaited(&two.shared), "the other way nobody waits");
        calls[0].abort();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(link.is_awaited(&one.shared), "the other call waits");
        calls[1].abort();
        until(false).await;
    }

    /// A process that has sent much, and nothing since the connection was lost, still knows the link.
    #[tokio::test]
    async fn what_did_not_leave_a_connection_is_not_kept() {
        let (one, two) = (node("one@127.0.0.1").await, node("two@127.0.0.1").await);
        let there = Target::new(two.name().clone()).on_port(two.port().unwrap());
        one.connect(&there).await.unwrap();
        let link = one.shared.link(two.name().as_str()).unwrap();
        let process = one.process();
        let name = atom!("nobody");
        let much = Term::binary(vec![0; 64 << 20]);
        process.send((&name, two.name()), much).await.unwrap();
        assert!(link.queued() > 64 << 20);
        one.disconnect(two.name());
        let begun = Instant::now();
        while link.queued() > 0 {
            assert!(begun.elapsed() < Duration::from_secs(60), "it is kept");
            tokio::task::yield_now().await;
        }
        assert!(Arc::strong_count(&link) > 1, "the process knows it");
        drop(process);
    }

    /// A process that sent to a node that is gone, and nothing since, knows the link: the node has no part of
    /// the budget all the same.
    #[tokio::test]
    async fn a_lost_connection_has_no_part() {
        let one = Node::builder("one@127.0.0.1".parse().unwrap()).epmd(None);
        let one = one.cookie(Cookie::new("monster").unwrap());
        let one = one.max_mailboxes(100).start().await.unwrap();
        let two = node("two@127.0.0.1").await;
        let there = Target::new(two.name().clone()).on_port(two.port().unwrap());
        one.connect(&there).await.unwrap();
        let process = one.process();
        let to = two.process();
        process.send(&to.pid(), Term::nil()).await.unwrap();
        let other = one.shared.budget.account(&atom!("other@127.0.0.1"));
        let (_connected, _waits) = (other.connected(), other.charge(60));
        let mut unfinished = other.unfinished();
        unfinished.set(50);
        assert!(other.is_over(), "each has a half");
        one.disconnect(two.name());
        let begun = Instant::now();
        while other.is_over() {
            assert!(begun.elapsed() < Duration::from_secs(60), "it has a half");
            tokio::task::yield_now().await;
        }
        drop(process);
    }

    /// Large messages of one process, then small ones of another between their fragments.
    #[tokio::test]
    async fn little_lies_in_the_system_while_others_go_between() {
        let (one, two) = (node("one@127.0.0.1").await, node("two@127.0.0.1").await);
        let there = Target::new(two.name().clone()).on_port(two.port().unwrap());
        one.connect(&there).await.unwrap();
        let link = one.shared.link(two.name().as_str()).unwrap();
        let mut receiver = two.process();
        let to = receiver.pid();
        tokio::spawn(async move { while receiver.recv().await.is_some() {} });
        let (bulk, small) = (one.process(), one.process());
        let large = Term::binary(vec![7; 8 << 20]);
        let (near, own) = (crate::socket::UNSENT_NEAR, crate::socket::SYSTEMS);
        let begun = Instant::now();
        let late = || begun.elapsed() > Duration::from_secs(120);
        small.send(&to, term!(first)).await.unwrap();
        assert_eq!(link.wire.unsent_limit(), Some(near));
        while link.wire.unsent_limit() != Some(own) {
            assert!(!late(), "large messages are alone");
            bulk.send(&to, &large).await.unwrap();
        }
        while link.wire.unsent_limit() != Some(near) {
            assert!(!late(), "somebody goes between");
            bulk.send(&to, &large).await.unwrap();
            small.send(&to, term!(between)).await.unwrap();
        }
    }

    #[test]
    fn a_link_shows_how_much_waits_and_not_what() {
        let info = Connected {
            me: "me@h".parse().unwrap(),
            my_creation: Creation(1),
            peer: "peer@h".parse().unwrap(),
            peer_flags: Flags::hidden_default(),
            flags: Flags::hidden_default(),
            creation: Creation(1),
        };
        let ticks = Ticks {
            time: Duration::from_secs(60),
            intensity: 4,
        };
        let stop = CancellationToken::new();
        let budget = Budget::new(1 << 20);
        let sending = Sending::default();
        let link = Link::new(info, ticks, sending, stop, Visited::Dialled, &budget);
        let control = Control::RegSend {
            from: Pid {
                node: atom!("me@h"),
                id: 2,
                serial: 0,
                creation: 1,
            },
            to: atom!("logger"),
            token: None,
        };
        let word = Term::from("a word for one process");
        link.force(None, &control, Some(&word)).unwrap();
        // The peer says what its tick time is.
        assert_eq!(
            link.moment(trunkline_proto::Instant::at(Duration::MAX)),
            None
        );
        let shown = format!("{link:?}");
        assert!(shown.contains("Outbound { "), "{shown}");
        assert!(
            !shown.contains("word") && !shown.contains("logger"),
            "{shown}"
        );
    }
}
