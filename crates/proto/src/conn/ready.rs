//! What is to be written next, in order.

use alloc::collections::VecDeque;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::PushError;

/// Binaries of this size and more go out as they are. Below, a copy is cheaper than one more
/// segment for the kernel to gather.
pub(super) const SHARED_FROM: usize = 4 << 10;

/// A queue that grew beyond this is given back when all is sent.
const MAX_KEPT: usize = 1 << 20;

/// A header is 255 atoms of 1,020 bytes and a few numbers at most.
const MAX_HEADER: usize = 512 << 10;

/// A frame without content.
const TICK: [u8; 4] = [0; 4];

/// Frames that are next, oldest first.
#[derive(Default)]
pub(super) struct Ready {
    queue: VecDeque<Bytes>,
    /// Where small frames gather, behind `queue`.
    tail: BytesMut,
    pub(super) bytes: usize,
}

impl Ready {
    /// Begins a frame: its length and what `header` writes. `len` bytes have to follow.
    pub(super) fn frame(
        &mut self,
        len: usize,
        header: impl FnOnce(&mut BytesMut),
    ) -> Result<(), PushError> {
        Self::check(len)?;
        let begin = self.tail.len();
        self.tail.put_bytes(0, TICK.len());
        header(&mut self.tail);
        let written = self.tail.len().saturating_sub(begin);
        let body = written.saturating_sub(TICK.len()).saturating_add(len);
        let body = u32::try_from(body).map_err(|_| PushError::TooLarge { len })?;
        if let Some(prefix) = self.tail.get_mut(begin..).and_then(<[u8]>::first_chunk_mut) {
            *prefix = body.to_be_bytes();
        }
        self.bytes = self.bytes.saturating_add(written);
        Ok(())
    }

    /// Whether a frame holds so many bytes and any header.
    pub(super) fn check(len: usize) -> Result<(), PushError> {
        match u32::try_from(len.saturating_add(MAX_HEADER)) {
            Ok(_) => Ok(()),
            Err(_) => Err(PushError::TooLarge { len }),
        }
    }

    pub(super) fn copy(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        self.bytes = self.bytes.saturating_add(bytes.len());
    }

    pub(super) fn share(&mut self, bytes: Bytes) {
        if bytes.len() < SHARED_FROM {
            return self.copy(&bytes);
        }
        self.bytes = self.bytes.saturating_add(bytes.len());
        if !self.tail.is_empty() {
            self.queue.push_back(self.tail.split().freeze());
        }
        self.queue.push_back(bytes);
    }

    pub(super) fn tick(&mut self) {
        self.copy(&TICK);
    }

    pub(super) fn segments(&self) -> impl Iterator<Item = &[u8]> {
        let tail = (!self.tail.is_empty()).then_some(&self.tail[..]);
        self.queue.iter().map(|bytes| &bytes[..]).chain(tail)
    }

    pub(super) fn sent(&mut self, count: usize) {
        self.bytes = self.bytes.saturating_sub(count);
        let mut left = count;
        while let Some(first) = self.queue.front_mut() {
            if left < first.len() {
                first.advance(left);
                return;
            }
            left = left.saturating_sub(first.len());
            self.queue.pop_front();
        }
        self.tail.advance(left.min(self.tail.len()));
        // A queue that was long once shall not cost its length for ever.
        if self.tail.is_empty() && self.tail.try_reclaim(MAX_KEPT) {
            self.tail = BytesMut::new();
        }
    }
}
