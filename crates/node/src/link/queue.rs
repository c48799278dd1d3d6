//! What waits to be written, and who waits until less does.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use trunkline_etf::Pid;
use trunkline_proto::Instant;
use trunkline_proto::conn::{Outbound, Payload, Portion, PushError};
use trunkline_proto::control::Control;

/// With so much before its message a sender that can wait waits; OTP's `+zdbbl` is 1 MiB too.
pub(super) const BUSY: usize = 1 << 20;

/// A peer that leaves so much unread is given up: answers to its own requests cannot wait.
const MAX_QUEUED: usize = 256 << 20;

/// The sending half, and whom to wake.
#[derive(Debug)]
pub(super) struct Queue {
    out: Mutex<Outbound>,
    /// There is something to write: it was empty.
    filled: Notify,
    /// More than [`BUSY`] waits. Whoever wants to send has to look closer.
    busy: AtomicBool,
    /// Less waits than before.
    shorter: Notify,
}

impl Queue {
    pub(super) fn new(out: Outbound) -> Self {
        Self {
            out: Mutex::new(out),
            filled: Notify::new(),
            busy: AtomicBool::new(false),
            shorter: Notify::new(),
        }
    }

    /// Appends a message. False when its sender never waits, and too much does.
    pub(super) fn push(
        &self,
        now: impl FnOnce() -> Instant,
        control: &Control,
        payload: Payload<'_>,
    ) -> Result<bool, PushError> {
        let mut out = self.lock();
        let was_empty = out.is_empty();
        let queued = out.push(now(), control, payload)?;
        if queued.bytes > BUSY {
            self.busy.store(true, Ordering::Relaxed);
        }
        drop(out);
        if was_empty {
            self.filled.notify_one();
        }
        Ok(queued.before <= MAX_QUEUED)
    }

    /// Whether somebody may have to wait.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed)
    }

    /// Waits until a message of `sender` has less than [`BUSY`] before it.
    pub(super) async fn room(&self, sender: &Pid) {
        loop {
            let mut shorter = pin!(self.shorter.notified());
            // Before the look: what gets shorter right after it is heard.
            shorter.as_mut().enable();
            if self.lock().before(sender) <= BUSY {
                return;
            }
            shorter.await;
        }
    }

    /// Waits until there is something to write.
    pub(super) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Takes what is to be written next, when all that was taken before is written; whether there
    /// is something.
    pub(super) fn take(&self, portion: &mut Portion) -> bool {
        let mut out = self.lock();
        out.take(portion);
        let busy = self.is_busy();
        if busy && out.queued() <= BUSY {
            self.busy.store(false, Ordering::Relaxed);
        }
        drop(out);
        if busy {
            self.shorter.notify_waiters();
        }
        !portion.is_empty()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Outbound> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
