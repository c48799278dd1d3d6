//! Few pieces, straight to where they stay.

use alloc::vec::Vec;
use core::mem;

use bytes::Bytes;

use super::{
    Sink,
    block::Block,
    copy::{SHORT, copy},
    out::{At, Out, piece},
    parts::{NEAR, near},
};
use crate::{Atom, Term};

/// Pieces go to the sink's own buffer, which is here meanwhile, or to one that goes to the sink in the end. So what was written a
/// moment ago need not be read again to be moved, for which the processor would have to wait.
pub(super) struct Straight<'s, S: Sink> {
    sink: &'s mut S,
    /// With zeros after what is there: no piece changes the length.
    bytes: Vec<u8>,
    /// Whether it is the sink's.
    lent: bool,
    /// Up to this length atoms are written in full.
    in_full: usize,
}

impl<'s, S: Sink> Straight<'s, S> {
    #[inline(always)]
    pub(super) fn new(sink: &'s mut S) -> Self {
        Self {
            sink,
            bytes: Vec::new(),
            lent: false,
            in_full: 0,
        }
    }

    /// For a sink that has a buffer: with this one instead of its own, which is an empty one.
    #[inline(always)]
    pub(super) fn holding(sink: &'s mut S, bytes: Vec<u8>) -> Self {
        Self {
            sink,
            bytes,
            lent: true,
            in_full: 0,
        }
    }

    /// Takes the buffer of the sink, and clears room in it where there is some.
    #[inline(always)]
    pub(super) fn begin(&mut self) -> At {
        self.lent = false;
        if let Some(buffer) = self.sink.buffer() {
            mem::swap(buffer, &mut self.bytes);
            self.lent = true;
        }
        self.clear()
    }

    /// Clears room in the buffer where there is some.
    #[inline(always)]
    pub(super) fn clear(&mut self) -> At {
        let at = self.bytes.len();
        if self.bytes.capacity().wrapping_sub(at) >= CLEARED {
            self.bytes.extend_from_slice(&[0; CLEARED]);
        }
        at
    }

    /// Everything to the sink.
    #[inline(always)]
    pub(super) fn end(&mut self, at: At) {
        self.bytes.truncate(at);
        if self.lent
            && let Some(buffer) = self.sink.buffer()
        {
            if !buffer.is_empty() {
                self.bytes.append(buffer);
            }
            return mem::swap(buffer, &mut self.bytes);
        }
        // With what came before the term, when the sink had a buffer then and has none now.
        self.sink.put(&self.bytes);
        self.bytes.clear();
    }

    /// The buffer with everything, which does not go back to the sink.
    #[inline(always)]
    pub(super) fn into_bytes(mut self, at: At) -> Vec<u8> {
        self.bytes.truncate(at);
        self.bytes
    }

    /// The buffer again, after it was with the sink; `come` is the length that it would have if there were one for all.
    fn again(&mut self, come: usize) -> At {
        let at = self.begin();
        self.in_full = self.in_full.saturating_add(at).saturating_sub(come);
        at
    }

    #[cold]
    #[inline(never)]
    fn crowded_piece<const H: usize, const N: usize>(
        &mut self,
        at: At,
        head: [u8; H],
        begun: u8,
        content: &[u8; N],
        count: u8,
    ) -> At {
        let head = head.get(..begun.into()).unwrap_or_default();
        let content = content.get(..count.into()).unwrap_or_default();
        self.crowded(at, head, content)
    }

    /// A piece for which there may be no room: exactly what it takes, so that a buffer made for one term stays as it is.
    #[cold]
    #[inline(never)]
    fn crowded(&mut self, at: At, head: &[u8], content: &[u8]) -> At {
        self.bytes.truncate(at);
        if !self.lent && at >= MOST {
            self.end(at);
            self.in_full = self.in_full.saturating_sub(at);
        }
        if self.bytes.capacity() == 0 {
            self.bytes.reserve(CLEARED.wrapping_mul(2));
        }
        self.bytes.extend_from_slice(head);
        self.bytes.extend_from_slice(content);
        let length = self.bytes.len();
        let room = self.bytes.capacity().saturating_sub(length);
        let cleared = length.saturating_add(room.min(length.clamp(CLEARED, MOST)));
        self.bytes.resize(cleared, 0);
        length
    }
}

impl<S: Sink> Out for Straight<'_, S> {
    const COUNTS: bool = false;
    const SMALL: bool = true;

    #[inline(always)]
    fn short<const H: usize, const N: usize>(
        &mut self,
        at: At,
        head: [u8; H],
        begun: u8,
        content: &[u8; N],
        count: u8,
    ) -> At {
        let longest = usize::from(begun).wrapping_add(N).max(H);
        if let Some(place) = self.bytes.get_mut(at..at.wrapping_add(longest))
            && piece(place, head, begun, content).is_some()
        {
            return at.wrapping_add(begun.into()).wrapping_add(count.into());
        }
        self.crowded_piece(at, head, begun, content, count)
    }

    #[inline(always)]
    fn slice(&mut self, at: At, bytes: &[u8]) -> At {
        if bytes.len() <= SHORT
            && let Some(place) = self.bytes.get_mut(at..at.wrapping_add(SHORT))
            && let Some(place) = place.first_chunk_mut()
        {
            copy(bytes, place);
            return at.wrapping_add(bytes.len());
        }
        self.crowded(at, &[], bytes)
    }

    fn shared(&mut self, at: At, bytes: &[u8], shared: impl FnOnce() -> Bytes) -> At {
        self.end(at);
        self.sink.put_shared(bytes, shared);
        self.again(at.saturating_add(bytes.len()))
    }

    #[inline(always)]
    fn place_of(&mut self, at: At, atom: &Atom) -> Option<u8> {
        if at < self.in_full {
            return None;
        }
        self.sink.place_of(atom)
    }

    #[inline(always)]
    fn measured(&mut self, at: At, length: usize) {
        self.in_full = self.in_full.max(at.saturating_add(length));
    }

    #[inline(never)]
    fn many(&mut self, at: At, terms: &[Term]) -> At {
        self.end(at);
        let in_full = self.in_full.saturating_sub(at);
        let mut block = Block::new(self.sink, in_full);
        let at = near::<_, NEAR>(terms, &mut block, 0);
        let in_full = block.end(at);
        self.in_full = 0;
        let at = self.again(0);
        self.measured(at, in_full);
        at
    }
}

/// What is cleared at first: enough for most messages, and less than a new buffer has, which would be asked for in a dearer way.
const CLEARED: usize = 96;

/// What is cleared at once at most.
const MOST: usize = 4096;
