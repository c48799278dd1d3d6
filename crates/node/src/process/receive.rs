//! Receiving.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::LazyLock;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt as _;
use thiserror::Error;
use tokio::time::timeout;
use trunkline_etf::{DecodeError, Limits, Reference, Term};

use super::state::Life;
use super::{Message, Process};
use crate::budget::Charge;
use crate::mailbox::{Incoming, Queue, parts};

/// What a process has taken out of its mailbox: nobody else looks at it, so it needs no lock.
#[derive(Default)]
pub(super) struct Received {
    /// Looked at and left by [`Process::recv_matching`], with their numbers in the order of arrival.
    skipped: VecDeque<Skipped>,
    /// What that was counted as.
    skipped_bytes: usize,
    queue: Queue,
    /// The number of what comes out of the queue next.
    next: u64,
    /// The number of what came out last, and what it was counted as.
    last: (u64, usize),
    /// Numbers from `next` on of what was taken out of its place in between: ascending, with something
    /// that waits between each two. Nothing else gets them, because marks count them.
    gone: VecDeque<Range<u64>>,
    /// The charge of what came out last, where it came as more than a message.
    apart: Option<Charge>,
    /// Since when others had no turn.
    turn: u32,
}

struct Skipped {
    number: u64,
    /// What it was counted as in the mailbox.
    size: usize,
    message: Message,
    /// It waits still, for all others too.
    _charge: Option<Charge>,
}

/// A point in the order of arrival: [`Process::mark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(u64);

/// So many messages are taken before the other tasks of the thread have a turn.
const TURN: u32 = 4096;

/// What one message may become.
static LIMITS: LazyLock<Limits> = LazyLock::new(Limits::default);

/// Waiting with a limit found nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecvError {
    /// Nothing came in time.
    #[error("nothing came in time")]
    Timeout,
    /// The process was ended by an exit signal.
    #[error("the process has ended")]
    Ended,
}

impl Process {
    /// The next message, in the order of arrival. `None` when the process was ended by an exit
    /// signal: a spawned one never sees that, its future is dropped. A message that cannot be decoded
    /// is dropped, and said in the log. Cancel safe.
    pub async fn recv(&mut self) -> Option<Message> {
        if let Some(first) = self.unskip(0) {
            return Some(first);
        }
        let fresh = self.fresh().await;
        self.settle();
        fresh
    }

    /// As [`recv`](Self::recv), but waits at most this long: `receive … after Limit`. Zero looks at
    /// what is there already.
    ///
    /// # Errors
    /// When nothing came in time, or the process has ended.
    pub async fn recv_timeout(&mut self, limit: Duration) -> Result<Message, RecvError> {
        let in_time = timeout(limit, self.recv()).await.ok();
        let message = in_time.or_else(|| self.at_last(|_| true));
        message.ok_or(RecvError::Timeout)?.ok_or(RecvError::Ended)
    }

    /// The first message that `wanted` says yes to; others stay, in their order. Each is looked at
    /// once in a call, and again in the next: where many wait, [`mark`](Self::mark) first and use
    /// [`recv_matching_since`](Self::recv_matching_since). Cancel safe.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let builder = trunkline_node::Node::builder("me@127.0.0.1".parse()?);
    /// # let node = builder.cookie(trunkline_proto::Cookie::new("secret")?).start().await?;
    /// use trunkline_etf::term;
    /// use trunkline_node::Message;
    ///
    /// let mut process = node.process();
    /// process.send(&process.pid(), term!(first)).await?;
    /// process.send(&process.pid(), term!(second)).await?;
    /// let wanted = |message: &Message| *message == Message::Term(term!(second));
    /// assert!(process.recv_matching(wanted).await.is_some());
    /// assert_eq!(process.recv().await, Some(Message::Term(term!(first))));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn recv_matching(&mut self, wanted: impl FnMut(&Message) -> bool) -> Option<Message> {
        self.recv_matching_since(Mark(0), wanted).await
    }

    /// A mark behind all that has come until now. An answer to a question that is asked after it
    /// comes behind it.
    pub fn mark(&self) -> Mark {
        let received = &self.received;
        let waiting = received.queue.len() + self.inner.state().queue.len();
        Mark(received.number(waiting))
    }

    /// As [`recv_matching`](Self::recv_matching), without a look at what came before the mark.
    pub async fn recv_matching_since(
        &mut self,
        mark: Mark,
        mut wanted: impl FnMut(&Message) -> bool,
    ) -> Option<Message> {
        let skipped = &self.received.skipped;
        let first = skipped.partition_point(|one| one.number < mark.0);
        let found = skipped.range(first..).position(|one| wanted(&one.message));
        if let Some(found) = found {
            return self.unskip(first + found);
        }
        loop {
            let message = self.fresh().await?;
            let (number, size) = self.received.last;
            if number >= mark.0 && wanted(&message) {
                self.settle();
                return Some(message);
            }
            // It is one that waits all the time, there or here: nobody finds room in between.
            let mut charge = self.received.keep();
            if let Some(charge) = &mut charge {
                // What is decoded takes more, and waits on.
                charge.resize(charge.bytes() + parts(&message));
            }
            let skipped = Skipped {
                number,
                size,
                message,
                _charge: charge,
            };
            self.received.skipped_bytes += size;
            self.received.skipped.push_back(skipped);
        }
    }

    /// Takes one of those that were left.
    fn unskip(&mut self, at: usize) -> Option<Message> {
        let one = self.received.skipped.remove(at)?;
        self.received.skipped_bytes -= one.size;
        self.count();
        Some(one.message)
    }

    /// As [`recv_matching`](Self::recv_matching), but waits at most this long.
    ///
    /// # Errors
    /// When nothing came in time, or the process has ended.
    pub async fn recv_matching_timeout(
        &mut self,
        limit: Duration,
        mut wanted: impl FnMut(&Message) -> bool,
    ) -> Result<Message, RecvError> {
        let in_time = timeout(limit, self.recv_matching(&mut wanted)).await.ok();
        let message = in_time.or_else(|| self.at_last(wanted));
        message.ok_or(RecvError::Timeout)?.ok_or(RecvError::Ended)
    }

    /// The time is up: what is there by now and was not looked at counts, though others were to have
    /// their turn first.
    fn at_last(&mut self, mut wanted: impl FnMut(&Message) -> bool) -> Option<Option<Message>> {
        let end = self.mark();
        loop {
            let next = Mark(self.received.number(0));
            self.received.turn = 0;
            let found = self.recv_matching_since(next, &mut wanted).now_or_never();
            if found.is_some() || self.received.number(0) >= end.0 {
                return found;
            }
        }
    }

    /// How many messages wait.
    pub fn waiting(&self) -> usize {
        let received = &self.received;
        received.skipped.len() + received.queue.len() + self.inner.state().queue.len()
    }

    /// What nobody has looked at yet. It is to be [settled](Self::settle), or kept.
    async fn fresh(&mut self) -> Option<Message> {
        std::future::poll_fn(|cx| self.poll_fresh(cx)).await
    }

    fn poll_fresh(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        loop {
            let received = &mut self.received;
            match received.take() {
                Some(Ok(message)) => return Poll::Ready(Some(message)),
                Some(Err(why)) => {
                    tracing::warn!(
                        "a message is dropped: {why} · to {} · look at what its sender sends",
                        self.inner.pid
                    );
                    self.settle();
                }
                None => match self.poll_refill(cx) {
                    Poll::Ready(true) => {}
                    Poll::Ready(false) => {
                        // Nobody receives any more of it.
                        self.received = Received::default();
                        return Poll::Ready(None);
                    }
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
    }

    /// Takes all that waits; `false` when the process has ended.
    fn poll_refill(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let epoch = || self.shared.epoch.load(Ordering::Acquire);
        self.recent.renew(epoch);
        let received = &mut self.received;
        if received.turn >= TURN {
            received.turn = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut state = self.inner.state();
        if state.life != Life::Running {
            return Poll::Ready(false);
        }
        if state.queue.is_empty() {
            match &mut state.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            received.turn = 0;
            return Poll::Pending;
        }
        std::mem::swap(&mut state.queue, &mut received.queue);
        // Under the lock: what moves from there to here counts all the time.
        self.count();
        drop(state);
        let received = &mut self.received;
        let came = u32::try_from(received.queue.len()).unwrap_or(TURN);
        received.turn = received.turn.saturating_add(came);
        Poll::Ready(true)
    }

    /// What came out last is received: it waits no longer.
    fn settle(&mut self) {
        self.received.settle();
        self.count();
    }

    /// Says what is left, where there is a limit. Never too little: what is taken out counts until it is
    /// received.
    pub(super) fn count(&self) {
        let received = &self.received;
        if self.inner.is_limited() {
            let messages = received.skipped.len() + received.queue.len();
            let bytes = received.skipped_bytes + received.queue.size();
            self.inner.holds(messages, bytes);
        }
    }
}

impl Received {
    /// What comes next, to be [settled](Self::settle) or [kept](Self::keep).
    fn take(&mut self) -> Option<Result<Message, DecodeError>> {
        self.settle();
        let before = self.queue.size();
        let message = match self.queue.pop()? {
            Incoming::Small(bytes, atoms) => {
                let atoms = atoms.as_deref().unwrap_or_default();
                Term::decode_lent(bytes, atoms, &LIMITS).map(Message::Term)
            }
            Incoming::Large(raw) => raw.decode(&LIMITS).map(Message::Term),
            Incoming::Local(term) => Ok(Message::Term(term)),
            Incoming::Event(mut event) => {
                self.apart = event.take_charge();
                Ok((*event).into())
            }
        };
        let size = before - self.queue.size();
        let number = self.number(0);
        self.last = (number, size);
        self.next = number + 1;
        let passed = |gone: &Range<u64>| gone.end < self.next;
        if self.gone.front().is_some_and(passed) {
            self.gone.pop_front();
        }
        Some(message)
    }

    /// What came out last is received.
    fn settle(&mut self) {
        self.apart = None;
        self.queue.settle();
        if self.queue.is_empty() {
            self.queue.clear();
        }
    }

    /// What came out last waits on, here: its charge.
    fn keep(&mut self) -> Option<Charge> {
        let charge = self.apart.take().or_else(|| self.queue.keep());
        self.settle();
        charge
    }

    /// The number that a message has, or gets, which comes out of the queue behind so many others.
    fn number(&self, before: usize) -> u64 {
        let mut number = self.next + before as u64;
        for gone in &self.gone {
            if gone.start > number {
                break;
            }
            number += gone.end - gone.start;
        }
        number
    }

    fn is_gone(&mut self, number: u64) {
        let place = self.gone.partition_point(|gone| gone.end < number);
        match self.gone.get_mut(place) {
            Some(gone) if gone.end == number => gone.end += 1,
            Some(gone) if gone.start == number + 1 => gone.start = number,
            _ => return self.gone.insert(place, number..number + 1),
        }
        // What was between two of them may be what has gone.
        let after = self.gone.get(place + 1).cloned();
        if let (Some(gone), Some(after)) = (self.gone.get_mut(place), after)
            && gone.end == after.start
        {
            gone.end = after.end;
            self.gone.remove(place + 1);
        }
    }

    /// Forgets the news of this monitor, which may wait in the mailbox, here, or among what was
    /// looked at.
    pub(super) fn forget_down(&mut self, monitor: &Reference, mailbox: &mut Queue) {
        let down = |message: &Message| matches!(message, Message::Down { reference, .. } if reference == monitor);
        let bytes = &mut self.skipped_bytes;
        self.skipped.retain(|one| {
            let stays = !down(&one.message);
            *bytes -= if stays { 0 } else { one.size };
            stays
        });
        let here = self.queue.len();
        let at = self.queue.forget_down(monitor);
        let at = at.or_else(|| Some(here + mailbox.forget_down(monitor)?));
        if let Some(at) = at {
            let number = self.number(at);
            self.is_gone(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use trunkline_etf::{atom, term};
    use trunkline_proto::Cookie;

    use super::*;
    use crate::{Node, Target};

    async fn node(name: &str) -> Node {
        let node = Node::builder(name.parse().unwrap()).epmd(None);
        let node = node.cookie(Cookie::new("monster").unwrap());
        let node = node.listen([Ipv4Addr::LOCALHOST.into()], 0);
        node.start().await.unwrap()
    }

    /// What is decoded and left is counted as what it takes, not as what it came as.
    #[tokio::test]
    async fn what_is_left_counts_as_it_is() {
        const COUNT: usize = 10_000;
        let (one, two) = (node("one@127.0.0.1").await, node("two@127.0.0.1").await);
        let there = Target::new(two.name().clone()).on_port(two.port().unwrap());
        one.connect(&there).await.unwrap();
        let account = two.shared.budget.account(&atom!("one@127.0.0.1"));
        let (sender, mut picky) = (one.process(), two.process());
        let integers = || Term::list((0..COUNT).map(|n| Term::from(n % 500)));
        let nested = || (0..COUNT).fold(Term::nil(), |inner, _| term!({ (inner) }));
        let pid = Term::from(sender.pid());
        let pids = Term::list((0..COUNT / 100).map(|_| pid.clone()));
        let map = Term::map((0..COUNT).map(|n| (Term::from(n), Term::from(n))));
        let place = size_of::<Term>();
        for (message, least) in [
            (integers(), COUNT * place),
            (nested(), COUNT * (place + 16)),
            (term!({(atom!("reply")), (integers())}), COUNT * place),
            (Term::list([7_u8; COUNT].map(Term::from)), COUNT * place),
            (
                pids,
                COUNT / 100 * (place + size_of::<trunkline_etf::Pid>()),
            ),
            (map, COUNT * 2 * place),
        ] {
            sender.send(&picky.pid(), &message).await.unwrap();
            sender.send(&picky.pid(), term!(last)).await.unwrap();
            let last = |message: &Message| *message == Message::Term(term!(last));
            let soon = Duration::from_secs(60);
            let last = picky.recv_matching_timeout(soon, last).await;
            last.expect("it comes");
            let held = account.held();
            assert!((least..4 * least).contains(&held), "{held} of {least}");
            assert_eq!(picky.recv().await, Some(Message::Term(message)));
            assert_eq!(account.held(), 0);
        }
    }
}
