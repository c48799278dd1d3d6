//! A timer that is set once for many events: what is due is later after each of them, mostly.

use std::future::pending;
use std::pin::Pin;

use tokio::time::{Instant, Sleep, sleep_until};

/// When something may be due.
#[derive(Debug)]
pub(super) struct Clock {
    sleep: Pin<Box<Sleep>>,
    /// `None`: there is nothing to wait for.
    set: Option<Instant>,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self {
            sleep: Box::pin(sleep_until(Instant::now())),
            set: None,
        }
    }

    /// [`reached`](Self::reached) comes at `due` at the latest; earlier where it was set so before.
    pub(super) fn set(&mut self, due: Option<Instant>) {
        let Some(due) = due else {
            return;
        };
        if self.set.is_none_or(|set| due < set) {
            self.sleep.as_mut().reset(due);
            self.set = Some(due);
        }
    }

    /// Waits until it is time to look whether something is due. Cancel safe.
    pub(super) async fn reached(&mut self) {
        if self.set.is_none() {
            return pending().await;
        }
        self.sleep.as_mut().await;
        self.set = None;
    }
}
