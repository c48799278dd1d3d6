//! What waits to be written, and who waits until less does.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use trunkline_etf::Pid;
use trunkline_proto::Instant;
use trunkline_proto::conn::{Outbound, Portion, PushError, Queued};

use super::again::Again;
use super::quiet::Bell;
use crate::SendError;
use crate::process::Then;

/// With so much before its message a sender that can wait waits; OTP's `+zdbbl` is 1 MiB too.
pub(super) const BUSY: usize = 1 << 20;

/// The sending half, and whom to wake.
#[derive(Debug)]
pub(super) struct Queue {
    out: Mutex<Sends>,
    /// There is something to write: it was empty.
    filled: Bell,
    /// More than [`BUSY`] waits. Whoever wants to send has to look closer.
    busy: AtomicBool,
    /// How many wait until less does.
    waiting: AtomicUsize,
}

/// The sending half, and what is known of those who send.
pub(super) struct Sends {
    pub(super) out: Outbound,
    pub(super) again: Again,
    /// Nothing follows what is queued.
    over: bool,
    /// Those who wait for room, in the order in which they came.
    waiting: BTreeMap<u64, Waker>,
    /// How many have waited.
    came: u64,
}

impl Deref for Sends {
    type Target = Outbound;

    fn deref(&self) -> &Outbound {
        &self.out
    }
}

impl DerefMut for Sends {
    fn deref_mut(&mut self) -> &mut Outbound {
        &mut self.out
    }
}

impl fmt::Debug for Sends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.out.fmt(f)
    }
}

impl Queue {
    pub(super) fn new(out: Outbound) -> Self {
        let sends = Sends {
            out,
            again: Again::default(),
            over: false,
            waiting: BTreeMap::new(),
            came: 0,
        };
        Self {
            out: Mutex::new(sends),
            filled: Bell::default(),
            busy: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Appends a message. How many bytes waited before it whose senders do not wait for room. The
    /// writer is woken when nothing waited before, unless `at_once` has written the so many bytes that
    /// do now.
    ///
    /// # Errors
    /// When it is [closed](Self::close), or no frame can hold the message.
    pub(super) fn push(
        &self,
        now: impl FnOnce() -> Instant,
        append: impl FnOnce(&mut Sends, Instant) -> Result<Queued, PushError>,
        at_once: impl FnOnce(usize) -> bool,
    ) -> Result<usize, SendError> {
        let mut out = self.lock();
        if out.over {
            return Err(SendError::NotConnected);
        }
        let was_empty = out.is_empty();
        // Where something waits no tick is needed: the clock is asked for the first message only.
        let now = if was_empty { now() } else { Instant::ZERO };
        let appended = append(&mut out, now);
        let bytes = appended.map_or_else(|_| out.queued(), |queued| queued.bytes);
        if bytes > BUSY {
            self.busy.store(true, Ordering::Relaxed);
        }
        drop(out);
        // Also what waits already: a caller's last call ends as its next one begins.
        if !at_once(bytes) && was_empty {
            self.filled.ring();
        }
        appended
            .map(|queued| queued.forced)
            .map_err(|_| SendError::TooLarge)
    }

    /// Whether somebody may have to wait.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed)
    }

    /// Whether somebody waits for [`room`](Self::room).
    pub(super) fn is_awaited(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Waits until a message of `sender` has less than [`BUSY`] before it, or nothing is taken any more.
    pub(super) fn room<'a>(&'a self, sender: &'a Pid) -> Room<'a> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Room {
            queue: self,
            sender,
            number: None,
        }
    }

    /// Nothing follows what is queued: who sends from now on hears so, who waits for room does too.
    pub(super) fn close(&self, then: &mut Then) {
        let mut out = self.lock();
        out.over = true;
        out.wake(then);
    }

    /// Has the writer look at everything again.
    pub(super) fn look(&self) {
        self.filled.ring();
    }

    /// Waits until there is something to write, or to [look](Self::look) at.
    pub(super) fn poll_filled(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.filled.poll(cx)
    }

    /// Takes what is to be written next, when all that was taken before is written; whether there
    /// is something. Who waits for room is to be woken when the caller holds no lock.
    pub(super) fn take(&self, portion: &mut Portion, then: &mut Then) -> bool {
        let mut out = self.lock();
        out.take(portion);
        if self.is_busy() {
            if out.queued() <= BUSY {
                self.busy.store(false, Ordering::Relaxed);
            }
            out.wake(then);
        }
        drop(out);
        !portion.is_empty()
    }

    #[cfg(test)]
    pub(super) fn try_lock(&self) -> bool {
        self.out.try_lock().is_ok()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Sends> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sends {
    /// Has those who wait for room look again.
    fn wake(&mut self, then: &mut Then) {
        for waker in mem::take(&mut self.waiting).into_values() {
            then.wake(Some(waker));
        }
    }
}

/// Somebody waits for room. A waker may be anybody's code: none is called, or dropped, under a lock.
pub(super) struct Room<'a> {
    queue: &'a Queue,
    sender: &'a Pid,
    /// Its place among those who wait.
    number: Option<u64>,
}

impl Future for Room<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut out = self.queue.lock();
        if out.over || out.before(self.sender) <= BUSY {
            drop(out);
            return Poll::Ready(());
        }
        let number = *self.number.get_or_insert_with(|| {
            out.came += 1;
            out.came
        });
        let before = out.waiting.insert(number, waker);
        // Whoever finds none waits, and is told: not only a message makes the queue longer, a tick does so too.
        self.queue.busy.store(true, Ordering::Relaxed);
        drop(out);
        drop(before);
        Poll::Pending
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.queue.waiting.fetch_sub(1, Ordering::Relaxed);
        if let Some(number) = self.number {
            let waker = self.queue.lock().waiting.remove(&number);
            drop(waker);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::time::timeout;
    use trunkline_etf::{Term, atom};
    use trunkline_proto::Flags;
    use trunkline_proto::conn::DEFAULT_TICK_TIME;

    use trunkline_proto::conn::{Payload, Sending};
    use trunkline_proto::control::Control;

    use super::*;

    fn pid(id: u32) -> Pid {
        Pid {
            node: atom!("a@h"),
            id,
            serial: 0,
            creation: 1,
        }
    }

    /// A large message makes its own sender wait until most of it has left, and nobody else.
    #[tokio::test]
    async fn who_sent_much_waits_alone() {
        let flags = Flags::hidden_default();
        let queue = Queue::new(Outbound::new(
            Instant::ZERO,
            flags,
            flags,
            DEFAULT_TICK_TIME,
        ));
        let push = |from, len| {
            let control = Control::SendSender {
                from: pid(from),
                to: pid(9),
                token: None,
            };
            let term = Term::binary(vec![0; len]);
            let pushed = queue.push(
                || Instant::ZERO,
                |out, now| out.push(now, &control, Payload::Term(&term)),
                |_| false,
            );
            assert_eq!(pushed, Ok(0));
        };
        let large = pid(1);
        push(1, 10 << 20);
        assert!(queue.is_busy());
        timeout(Duration::from_secs(20), queue.room(&pid(2)))
            .await
            .expect("at once");
        push(2, 100);
        let mut portion = Portion::default();
        let mut left = 0;
        let drain = async {
            while queue.take(&mut portion, &mut Then::default()) {
                portion.sent(portion.len());
                left += 1;
                tokio::task::yield_now().await;
            }
        };
        let mut waited = 0;
        tokio::select! {
            biased;
            () = queue.room(&large) => waited = queue.lock().queued(),
            () = drain => {}
        }
        assert!((1..=BUSY).contains(&waited), "{waited}");
        assert!(left > 10, "{left}");
        while queue.take(&mut portion, &mut Then::default()) {
            portion.sent(portion.len());
        }
        assert!(!queue.is_busy() && queue.lock().is_empty());
    }

    /// A large message that is alone leaves in large portions. However large they are, who says something small does not
    /// wait until all of it has left.
    #[tokio::test]
    async fn large_portions_of_one_keep_nobody_waiting() {
        let flags = Flags::hidden_default();
        let sending = Sending::default().with_piece(3 * BUSY);
        let out = Outbound::new(Instant::ZERO, flags, flags, DEFAULT_TICK_TIME);
        let queue = Queue::new(out.with_sending(sending));
        let push = |from, len| {
            let control = Control::SendSender {
                from: pid(from),
                to: pid(9),
                token: None,
            };
            let term = Term::binary(vec![0; len]);
            let append = |out: &mut Sends, now| out.push(now, &control, Payload::Term(&term));
            queue
                .push(|| Instant::ZERO, append, |_| false)
                .expect("a frame holds it");
        };
        push(1, 20 * BUSY);
        let two = pid(2);
        let (mut portion, mut largest) = (Portion::default(), 0);
        while queue.take(&mut portion, &mut Then::default()) {
            largest = largest.max(portion.len());
            let room = timeout(Duration::from_secs(20), queue.room(&two));
            room.await.expect("nothing of its own waits");
            portion.sent(portion.len());
        }
        assert!(largest > BUSY, "{largest}");
        // What others said, and did not wait for, is before it all the same.
        for _ in 0..9 {
            push(3, BUSY / 8);
        }
        let room = queue.room(&two);
        assert!(futures_util::poll!(std::pin::pin!(room)).is_pending());
    }

    /// Whoever waits for room is counted for as long as he does, also where he gives up.
    #[tokio::test]
    async fn who_waits_for_room_is_counted() {
        let flags = Flags::hidden_default();
        let out = Outbound::new(Instant::ZERO, flags, flags, DEFAULT_TICK_TIME);
        let queue = Queue::new(out);
        let control = Control::SendSender {
            from: pid(1),
            to: pid(9),
            token: None,
        };
        let much = Term::binary(vec![0; 2 * BUSY]);
        let push = |out: &mut Sends, now| out.push(now, &control, Payload::Term(&much));
        queue
            .push(|| Instant::ZERO, push, |_| false)
            .expect("small");
        assert!(!queue.is_awaited());
        let sender = pid(1);
        {
            let mut two = [Box::pin(queue.room(&sender)), Box::pin(queue.room(&sender))];
            for room in &mut two {
                assert!(futures_util::poll!(room).is_pending());
            }
            let [one, other] = two;
            drop(one);
            assert!(queue.is_awaited(), "the other one waits");
            drop(other);
        }
        assert!(!queue.is_awaited());
    }

    /// The first message of many wakes the writer, who takes them all for one system call.
    #[tokio::test]
    async fn many_messages_are_one_wake_and_one_write() {
        let flags = Flags::hidden_default();
        let out = Outbound::new(Instant::ZERO, flags, flags, DEFAULT_TICK_TIME);
        let queue = Queue::new(out);
        let control = Control::SendSender {
            from: pid(1),
            to: pid(9),
            token: None,
        };
        let (term, mut wakes) = (Term::atom("small"), 0);
        for _ in 0..5000 {
            let push = |out: &mut Sends, now| out.push(now, &control, Payload::Term(&term));
            queue
                .push(|| Instant::ZERO, push, |_| false)
                .expect("small");
            let woken = timeout(Duration::ZERO, poll_fn(|cx| queue.poll_filled(cx))).await;
            wakes += usize::from(woken.is_ok());
        }
        assert_eq!(wakes, 1);
        let queued = queue.lock().queued();
        let mut portion = Portion::default();
        assert!(queue.take(&mut portion, &mut Then::default()));
        assert_eq!((portion.len(), portion.segments().count()), (queued, 1));
        portion.sent(queued);
        assert!(!queue.take(&mut portion, &mut Then::default()));
    }

    /// Somebody saw that much waits, and when he looks closer that is so by the length of a tick only.
    #[tokio::test]
    async fn a_tick_makes_the_queue_longer() {
        let flags = Flags::hidden_default();
        let queue = Queue::new(Outbound::new(
            Instant::ZERO,
            flags,
            flags,
            DEFAULT_TICK_TIME,
        ));
        let message = |len| {
            let control = Control::SendSender {
                from: pid(1),
                to: pid(9),
                token: None,
            };
            let term = Term::binary(vec![0; len]);
            let push = |out: &mut Sends, now| out.push(now, &control, Payload::Term(&term));
            queue
                .push(|| Instant::ZERO, push, |_| false)
                .expect("small");
        };
        message(100);
        let head = queue.lock().queued() - 100;
        while queue.lock().queued() < BUSY {
            let left = BUSY - queue.lock().queued();
            message(if left > 300_000 { 200_000 } else { left - head });
        }
        assert_eq!(queue.lock().queued(), BUSY);
        assert!(!queue.is_busy());
        let due = queue.lock().poll_timeout().expect("a tick");
        queue.lock().handle_timeout(due);
        let sender = pid(2);
        let room = queue.room(&sender);
        let drain = async {
            let mut portion = Portion::default();
            while queue.take(&mut portion, &mut Then::default()) {
                portion.sent(portion.len());
            }
        };
        let both = async { tokio::join!(room, drain) };
        timeout(Duration::from_secs(20), both)
            .await
            .expect("it is told");
    }
}
