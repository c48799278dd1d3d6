//! Receiving.

use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt as _;
use thiserror::Error;
use tokio::time::timeout;

use super::left::Skipped;
use super::received::Received;
use super::state::Life;
use super::{Message, Process};
use crate::mailbox::parts;

/// A point in the order of arrival: [`Process::mark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(u64);

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
        if self.has_left()
            && let Some(first) = self.inner.left().pop()
        {
            return Some(self.unskip(first));
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
        if let Some(found) = self.among_left(mark, &mut wanted) {
            return Some(found);
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
            self.received.left += 1;
            self.received.left_bytes += size;
            self.inner.left().push(skipped);
        }
    }

    /// The first of those that were left, behind the mark, that is wanted.
    fn among_left(
        &mut self,
        since: Mark,
        mut wanted: impl FnMut(&Message) -> bool,
    ) -> Option<Message> {
        if !self.has_left() {
            return None;
        }
        let mut left = self.inner.left().take();
        let first = left.partition_point(|one| one.number < since.0);
        let found = left.range(first..).position(|one| wanted(&one.message))?;
        let one = left.remove(first + found)?;
        drop(left);
        Some(self.unskip(one))
    }

    /// Whether there are some.
    fn has_left(&self) -> bool {
        self.received.left > 0 && !self.inner.is_over()
    }

    /// One that was left is received.
    fn unskip(&mut self, one: Skipped) -> Message {
        self.received.left -= 1;
        self.received.left_bytes -= one.size;
        self.count();
        one.message
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
            if self.inner.is_over() {
                return Some(None);
            }
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
        if self.inner.is_over() {
            return 0;
        }
        let received = &self.received;
        received.left + received.queue.len() + self.inner.state().queue.len()
    }

    /// What nobody has looked at yet. It is to be [settled](Self::settle), or kept.
    async fn fresh(&mut self) -> Option<Message> {
        std::future::poll_fn(|cx| self.poll_fresh(cx)).await
    }

    fn poll_fresh(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        loop {
            if self.inner.is_over() {
                return self.poll_over(cx);
            }
            match self.received.take() {
                Some(Ok(message)) => return Poll::Ready(Some(message)),
                Some(Err(why)) => {
                    tracing::warn!(
                        "a message is dropped: {why} · to {} · look at what its sender sends",
                        self.inner.pid
                    );
                    self.settle();
                }
                None if self.poll_refill(cx).is_pending() => return Poll::Pending,
                None => {}
            }
        }
    }

    /// The process has ended, or is to: it receives nothing more. The future of a spawned one is dropped where it waits now.
    #[cold]
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.received = Received::default();
        let mut state = self.inner.state();
        if self.inner.is_task() && state.life != Life::Ended {
            // Whoever else has the handle hears of it when that is done.
            state.waits(cx);
            return Poll::Pending;
        }
        Poll::Ready(None)
    }

    /// Takes what waits first, or is to be asked again: the process may have ended.
    fn poll_refill(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let received = &mut self.received;
        if received.has_had_its_turn() {
            received.turn = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut state = self.inner.state();
        if state.life != Life::Running {
            return Poll::Ready(());
        }
        if state.queue.is_empty() {
            state.waits(cx);
            received.turn = 0;
            return Poll::Pending;
        }
        received.refill(&mut state.queue);
        // Under the lock: what moves from there to here counts all the time.
        self.count();
        Poll::Ready(())
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
            let messages = received.left + received.queue.len();
            let bytes = received.left_bytes + received.queue.size();
            self.inner.holds(messages, bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use trunkline_etf::{Term, atom, term};
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

    /// Whoever holds its handle never looks at it again.
    #[tokio::test]
    async fn what_a_process_had_is_given_back_when_it_ends() {
        const COUNT: usize = 4000;
        let (one, two) = (node("one@127.0.0.1").await, node("two@127.0.0.1").await);
        let there = Target::new(two.name().clone()).on_port(two.port().unwrap());
        one.connect(&there).await.unwrap();
        let account = two.shared.budget.account(&atom!("one@127.0.0.1"));
        let (sender, mut ended) = (one.process(), two.process());
        let own = Term::binary(vec![7; 1000]);
        for n in 0..COUNT {
            let message = term!({ (n), (own.clone()) });
            sender.send(&ended.pid(), message).await.unwrap();
        }
        let begun = std::time::Instant::now();
        while ended.waiting() < COUNT {
            assert!(begun.elapsed() < Duration::from_secs(60), "they come");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let middle = |message: &Message| {
            let number = message.as_term().and_then(Term::as_tuple);
            number.and_then(|parts| parts[0].as_u64()) == Some(COUNT as u64 / 2)
        };
        assert!(ended.recv_matching(middle).await.is_some());
        assert_eq!(ended.waiting(), COUNT - 1);
        assert!(account.held() > 1000 * COUNT);
        two.process().exit(&ended.pid(), atom!("kill")).unwrap();
        let held = account.held();
        assert!(held <= 256 << 10, "{held}");
        assert_eq!((ended.waiting(), ended.recv().await), (0, None));
        assert_eq!(account.held(), 0);
    }
}
