//! How many bytes may wait in the mailboxes of a node.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// What all mailboxes of a node may hold together of what came from other nodes. A connection that
/// brings more is not read until there is room; it lives on.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    used: AtomicUsize,
    freed: Notify,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            used: AtomicUsize::new(0),
            freed: Notify::new(),
        }
    }

    /// Whether more waits than may.
    pub(crate) fn is_over(&self) -> bool {
        self.used.load(Ordering::Relaxed) > self.limit
    }

    /// Waits until less waits than may. Cancel safe.
    pub(crate) async fn room(&self) {
        loop {
            let freed = self.freed.notified();
            if !self.is_over() {
                return;
            }
            freed.await;
        }
    }

    /// Bytes came into a mailbox.
    pub(crate) fn take(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes left a mailbox.
    pub(crate) fn give(&self, bytes: usize) {
        let before = self.used.fetch_sub(bytes, Ordering::AcqRel);
        if before > self.limit && before - bytes <= self.limit {
            self.freed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_waits_for_room_gets_it() {
        let budget = Budget::new(100);
        budget.take(100);
        assert!(!budget.is_over());
        budget.take(1);
        assert!(budget.is_over());
        let freed = async {
            tokio::task::yield_now().await;
            budget.give(51);
        };
        tokio::join!(budget.room(), freed);
        assert!(!budget.is_over());
    }
}
