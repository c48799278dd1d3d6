//! What one writer writes at a time.

use core::fmt;

use super::chunks::Chunks;

/// Memory that is kept between two portions: what a busy queue holds.
pub(super) const KEPT_BUSY: usize = 512 << 10;

/// Memory that is kept when it is quiet.
pub(super) const KEPT: usize = 4 << 10;

/// What was ready at some moment, taken out of the queue so that others can fill that meanwhile.
///
/// Write [`segments`](Self::segments), say how much was [`sent`](Self::sent), and take the next one
/// when it is [empty](Self::is_empty).
#[derive(Default)]
pub struct Portion {
    chunks: Chunks,
    /// Bytes that were sent.
    sent: usize,
    /// Nobody goes between the large messages of which this is.
    alone: bool,
}

impl Portion {
    /// What is still to be written, in order.
    pub fn segments(&self) -> impl Iterator<Item = &[u8]> {
        self.chunks.segments(self.sent)
    }

    /// The first `count` bytes of [`segments`](Self::segments) were written.
    pub fn sent(&mut self, count: usize) {
        self.sent = self.sent.saturating_add(count);
        if self.is_empty() {
            self.chunks.clear(KEPT_BUSY);
            self.sent = 0;
        }
    }

    /// Whether all of it was sent.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes are still to be written.
    pub fn len(&self) -> usize {
        self.chunks.len().saturating_sub(self.sent)
    }

    /// Whether it is of large messages, between whose fragments nothing of others has gone for long: whoever writes
    /// need not keep the system's queue short for others' sake.
    pub fn is_alone(&self) -> bool {
        self.alone
    }

    /// Gives back what it held for the next one, when it is empty.
    pub fn release(&mut self) {
        if self.is_empty() {
            self.chunks.clear(KEPT);
        }
    }

    /// Takes all of `ready`, which gets the memory of this one, which is empty.
    pub(super) fn fill(&mut self, ready: &mut Chunks, alone: bool) {
        self.alone = alone;
        core::mem::swap(&mut self.chunks, ready);
    }
}

/// It is somebody's message: its size only.
impl fmt::Debug for Portion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Portion")
            .field("bytes", &self.len())
            .finish()
    }
}
