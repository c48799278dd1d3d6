//! One live connection. `reader` and `writer` are its two tasks; `queue` is between the writer and
//! everybody who sends.

mod again;
mod clock;
mod queue;
mod quiet;
mod reader;
#[cfg(test)]
mod tests;
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
