//! Many pieces on their way to a sink.

use bytes::Bytes;

use super::{
    Sink,
    copy::{SHORT, copy},
    out::{At, Out, piece},
    parts::{NEAR, near},
};
use crate::{Atom, Term};

/// Pieces wait in a block, and go to the sink together. How long it is is known when this is compiled, so a piece costs one
/// comparison; what it holds costs a copy in the end.
pub(super) struct Block<'s, S: Sink> {
    sink: &'s mut S,
    bytes: [u8; LENGTH],
    /// Of the bytes from the beginning of the block on, so many are written with their atoms in full.
    in_full: usize,
}

impl<'s, S: Sink> Block<'s, S> {
    #[inline(always)]
    pub(super) fn new(sink: &'s mut S, in_full: usize) -> Self {
        Self {
            sink,
            bytes: [0; LENGTH],
            in_full,
        }
    }

    /// The last of it; gives how many of the next bytes are written with their atoms in full.
    pub(super) fn end(mut self, at: At) -> usize {
        self.flush(at);
        self.in_full
    }

    #[cold]
    #[inline(never)]
    fn flush(&mut self, at: At) -> At {
        self.sink.put(self.bytes.get(..at).unwrap_or_default());
        self.given(at)
    }

    fn given(&mut self, bytes: usize) -> At {
        self.in_full = self.in_full.saturating_sub(bytes);
        0
    }

    #[inline(never)]
    fn long(&mut self, at: At, bytes: &[u8]) -> At {
        if bytes.len() > COPIED {
            self.flush(at);
            self.sink.put(bytes);
            return self.given(bytes.len());
        }
        let at = match at {
            at if at > LENGTH.saturating_sub(bytes.len()) => self.flush(at),
            at => at,
        };
        let end = at.wrapping_add(bytes.len());
        if let Some(place) = self.bytes.get_mut(at..end) {
            place.copy_from_slice(bytes);
        }
        end
    }
}

impl<S: Sink> Out for Block<'_, S> {
    const COUNTS: bool = false;
    const SMALL: bool = false;

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
        let at = match at {
            at if at > LENGTH.saturating_sub(longest) => self.flush(at),
            at => at,
        };
        if let Some(place) = self.bytes.get_mut(at..) {
            let _there_is_room = piece(place, head, begun, content);
        }
        at.wrapping_add(begun.into()).wrapping_add(count.into())
    }

    #[inline(always)]
    fn slice(&mut self, at: At, bytes: &[u8]) -> At {
        if bytes.len() > SHORT {
            return self.long(at, bytes);
        }
        let at = match at {
            at if at > LENGTH.saturating_sub(SHORT) => self.flush(at),
            at => at,
        };
        let place = self.bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut);
        if let Some(place) = place {
            copy(bytes, place);
        }
        at.wrapping_add(bytes.len())
    }

    fn shared(&mut self, at: At, bytes: &[u8], shared: impl FnOnce() -> Bytes) -> At {
        self.flush(at);
        self.sink.put_shared(bytes, shared);
        self.given(bytes.len())
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

    fn many(&mut self, at: At, terms: &[Term]) -> At {
        near::<_, NEAR>(terms, self, at)
    }
}

/// Few flushes, and little to clear for those who have enough to write.
const LENGTH: usize = 1024;

/// What is longer goes to the sink at once.
const COPIED: usize = LENGTH.wrapping_shr(1);
