//! What is to be written next, in order.

use alloc::vec::Vec;

use bytes::BufMut;

use super::PushError;
use super::chunks::{Chunks, Mark};
use super::frame::{HEADER, PASS_THROUGH, VERSION};

/// A header is 255 atoms of 1,020 bytes and a few numbers at most.
const MAX_HEADER: usize = 512 << 10;

/// A frame without content.
const TICK: [u8; 4] = [0; 4];

/// What precedes a message without atoms in its header: the length, and what the frame is.
const WHOLE: [u8; 7] = [0, 0, 0, 0, VERSION, HEADER, 0];

/// The same where no headers were negotiated.
const BARE: [u8; 5] = [0, 0, 0, 0, PASS_THROUGH];

/// Frames that are next, oldest first.
#[derive(Default)]
pub(super) struct Ready {
    /// Behind the last whole frame is nothing, except between `begin` and `end`.
    pub(super) chunks: Chunks,
    /// Bytes in it, headers left out, whose senders did not wait for room.
    pub(super) forced: usize,
}

impl Ready {
    /// Begins the frame of a message whose atoms are all written out.
    pub(super) fn begin(&mut self, headers: bool) -> Mark {
        let mark = self.chunks.mark();
        let head: &[u8] = if headers { &WHOLE } else { &BARE };
        self.chunks.copied().extend_from_slice(head);
        mark
    }

    /// Begins a frame of any kind: `header` writes what follows the length.
    pub(super) fn begin_with(&mut self, header: impl FnOnce(&mut Vec<u8>)) -> Mark {
        let mark = self.chunks.mark();
        let out = self.chunks.copied();
        out.put_slice(&TICK);
        header(out);
        mark
    }

    /// The frame that began at `mark` is whole. One that is too large for its length is taken back.
    pub(super) fn end(&mut self, mark: Mark) -> Result<(), PushError> {
        let len = self.chunks.len_since(mark).saturating_sub(TICK.len());
        let Ok(length) = u32::try_from(len) else {
            self.chunks.truncate(mark);
            return Err(PushError::TooLarge { len });
        };
        if let Some(word) = self.chunks.word_at(mark) {
            *word = length.to_be_bytes();
        }
        Ok(())
    }

    /// Whether a frame holds so many bytes and any header.
    pub(super) fn check(len: usize) -> Result<(), PushError> {
        match u32::try_from(len.saturating_add(MAX_HEADER)) {
            Ok(_) => Ok(()),
            Err(_) => Err(PushError::TooLarge { len }),
        }
    }

    pub(super) fn tick(&mut self) {
        self.chunks.copied().put_slice(&TICK);
    }
}
