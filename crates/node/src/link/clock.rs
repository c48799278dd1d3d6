//! A timer that is set once for many events: what is due is later after each of them, mostly.

use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

use super::quiet::Quiet;

/// When something may be due.
pub(super) struct Clock {
    sleep: Quiet<Sleep>,
    /// `None`: there is nothing to wait for.
    set: Option<Instant>,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self {
            sleep: Quiet::new(sleep_until(Instant::now())),
            set: None,
        }
    }

    /// [`reached`](Self::reached) comes at `due` at the latest; earlier where it was set so before.
    pub(super) fn set(&mut self, due: Option<Instant>) {
        let Some(due) = due else {
            return;
        };
        if self.set.is_none_or(|set| due < set) {
            self.sleep.change().reset(due);
            self.set = Some(due);
        }
    }

    /// Whether [`reached`](Self::reached) would return at once, for whoever does not come to wait. It counts as reached then.
    pub(super) fn is_reached(&mut self) -> bool {
        let is_reached = self.set.is_some_and(|due| due <= Instant::now());
        if is_reached {
            self.set = None;
        }
        is_reached
    }

    /// Waits until it is time to look whether something is due. Cancel safe.
    pub(super) async fn reached(&mut self) {
        std::future::poll_fn(|cx| self.poll_reached(cx)).await;
    }

    pub(super) fn poll_reached(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.set.is_none() || self.sleep.poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.set = None;
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_never_waits_sees_that_it_is_time() {
        let mut clock = Clock::new();
        assert!(!clock.is_reached(), "it is not set");
        clock.set(Some(Instant::now() + Duration::from_secs(1)));
        assert!(!clock.is_reached());
        advance(Duration::from_secs(1)).await;
        assert!(clock.is_reached());
        assert!(!clock.is_reached(), "once");
        clock.set(Some(Instant::now() + Duration::from_secs(1)));
        clock.reached().await;
    }
}
