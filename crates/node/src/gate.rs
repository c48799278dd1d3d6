//! What keeps the messages of a connection before its end.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Open while messages of a connection may be delivered. Whoever delivers holds it, one read's worth
/// at a time; whoever ends the connection closes it first. So nobody receives a message of a node
/// after he was told that the node is gone, whichever thread found that out.
#[derive(Debug, Default)]
pub(crate) struct Gate(Mutex<Closed>);

#[derive(Debug, Default)]
struct Closed(bool);

/// Messages may be delivered while this lives.
#[derive(Debug)]
pub(crate) struct Open<'a>(#[expect(dead_code, reason = "held, not read")] MutexGuard<'a, Closed>);

impl Gate {
    /// `None` once it is closed.
    pub(crate) fn enter(&self) -> Option<Open<'_>> {
        let closed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (!closed.0).then_some(Open(closed))
    }

    /// Waits for the delivery that is under way, and lets none follow. Not to be called with any
    /// lock held that a delivery takes.
    pub(crate) fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 = true;
    }
}
