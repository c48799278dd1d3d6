//! The schedule on which a question is asked: interval, jitter, backoff, `Retry-After`, quotas.

mod pace;

use std::time::Duration;

use futures_util::future::BoxFuture;
use rand::RngExt;
use tokio::time::Instant;
use trunkline_reconcile::evidence::Kind;

use crate::DiscoverError;
use crate::source::{Poll, PollCx, Source, SourceCx};
use pace::Pace;

/// What every polling strategy has as the default of `polling_interval`, as libcluster has it.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);

/// A poke is no way around the schedule: this much lies between two polls.
const POKE_GAP: Duration = Duration::from_millis(500);

/// Runs a [`Poll`] on a schedule:
///
/// - every `interval`, the first at once; each wait is shortened by up to a tenth at random, so that
///   agents that were deployed together do not stay in step;
/// - after errors the wait doubles up to a minute (never less than the interval), lasting ones
///   (a wrong token) wait that minute at once;
/// - `Retry-After` is a lower bound, up to an hour;
/// - when an API says how many requests are left, polling slows down before they end;
/// - [`poke`](crate::SourceHandle::poke) asks at once, unless one of the last two forbids it.
///
/// A poll that takes longer than its timeout is abandoned, and is an error.
#[derive(Debug)]
pub struct Polling<P> {
    poll: P,
    kind: Kind,
    interval: Duration,
    timeout: Duration,
}

impl<P: Poll> Polling<P> {
    /// Polls every `interval`.
    pub fn new(poll: P, kind: Kind, interval: Duration) -> Self {
        Self {
            poll,
            kind,
            interval: interval.max(Duration::from_millis(1)),
            timeout: Duration::from_secs(30),
        }
    }

    /// Abandons a poll after `timeout`; by default after 30 s, all its pages together.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// One poll by hand, within the timeout: what `trunkline discover` does.
    pub async fn once(
        &self,
        cx: &PollCx,
    ) -> Result<trunkline_reconcile::evidence::Answer, DiscoverError> {
        let asked = tokio::time::timeout(self.timeout, self.poll.poll(cx)).await;
        asked.unwrap_or_else(|_| {
            Err(DiscoverError::Timeout {
                from: "the source".into(),
                after: self.timeout,
            })
        })
    }

    async fn repeat(&self, cx: SourceCx) {
        let mut pace = Pace::new(self.interval);
        loop {
            let poll_cx = PollCx::new(cx.me());
            let answer = self.once(&poll_cx).await;
            let asked_at = Instant::now();
            let wait = pace.after(&answer, poll_cx.spent().quota, rand::rng().random());
            // A question that waits for our name is asked again when the name comes.
            let waits = matches!(answer, Err(DiscoverError::NotReady { .. }));
            cx.report(answer).await;
            tokio::select! {
                () = tokio::time::sleep_until(asked_at + wait.sleep) => {}
                () = cx.poked() => tokio::time::sleep_until(asked_at + wait.at_least.max(POKE_GAP)).await,
                () = cx.me_changed_from(poll_cx.me()), if waits => {}
            }
        }
    }
}

impl<P: Poll + 'static> Source for Polling<P> {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn run(self: Box<Self>, cx: SourceCx) -> BoxFuture<'static, ()> {
        let cancelled = cx.cancellation();
        Box::pin(async move {
            // A question has nothing to withdraw: it is simply abandoned.
            cancelled.run_until_cancelled(self.repeat(cx)).await;
        })
    }
}
