//! Where pieces of a term go.

use bytes::Bytes;

use super::parts::{NEAR, near};
use crate::{Atom, Term};

/// How many bytes are there. It goes through the functions by value, so that loops keep it in a register: in memory each piece
/// would wait until the one before has stored it.
pub(super) type At = usize;

/// Takes pieces, one after another.
pub(super) trait Out: Sized {
    /// Whether terms are only counted: of those that were measured before, nobody looks at the parts then.
    const COUNTS: bool;

    /// Whether [`many`](Self::many) is worth a call.
    const SMALL: bool;

    /// Appends the first `begun` bytes of a head and the first `count` of the content. All of them may be written: content
    /// covers what the head has more, and the next piece the rest.
    fn short<const H: usize, const N: usize>(
        &mut self,
        at: At,
        head: [u8; H],
        begun: u8,
        content: &[u8; N],
        count: u8,
    ) -> At;

    /// Appends any number of bytes.
    fn slice(&mut self, at: At, bytes: &[u8]) -> At;

    /// As [`Sink::put_shared`](super::Sink::put_shared).
    fn shared(&mut self, at: At, bytes: &[u8], shared: impl FnOnce() -> Bytes) -> At;

    /// As [`Sink::place_of`](super::Sink::place_of).
    fn place_of(&mut self, at: At, atom: &Atom) -> Option<u8>;

    /// So many of the next bytes were measured with their atoms written out: these have no place then.
    fn measured(&mut self, at: At, length: usize);

    /// Appends many terms, which pay for more room.
    fn many(&mut self, at: At, terms: &[Term]) -> At;

    #[inline(always)]
    fn put<const N: usize>(&mut self, at: At, bytes: [u8; N]) -> At {
        // Heads and numbers.
        let length = u8::try_from(N).unwrap_or(u8::MAX);
        self.short(at, bytes, length, &[], 0)
    }
}

/// Writes a piece, as [`short`](Out::short) describes it, to the beginning of a place that has room for all of it.
#[inline(always)]
pub(super) fn piece<const H: usize, const N: usize>(
    place: &mut [u8],
    head: [u8; H],
    begun: u8,
    content: &[u8; N],
) -> Option<()> {
    let begun = usize::from(begun);
    *place.first_chunk_mut()? = head;
    *place.get_mut(begun..)?.first_chunk_mut()? = *content;
    Some(())
}

/// Counts.
pub(super) struct Count;

impl Out for Count {
    const COUNTS: bool = true;
    const SMALL: bool = false;

    #[inline(always)]
    fn short<const H: usize, const N: usize>(
        &mut self,
        at: At,
        _: [u8; H],
        begun: u8,
        _: &[u8; N],
        count: u8,
    ) -> At {
        at.wrapping_add(begun.into()).wrapping_add(count.into())
    }

    #[inline(always)]
    fn slice(&mut self, at: At, bytes: &[u8]) -> At {
        at.saturating_add(bytes.len())
    }

    #[inline(always)]
    fn shared(&mut self, at: At, bytes: &[u8], _: impl FnOnce() -> Bytes) -> At {
        at.saturating_add(bytes.len())
    }

    #[inline(always)]
    fn place_of(&mut self, _: At, _: &Atom) -> Option<u8> {
        None
    }

    #[inline(always)]
    fn measured(&mut self, _: At, _: usize) {}

    fn many(&mut self, at: At, terms: &[Term]) -> At {
        near::<_, NEAR>(terms, self, at)
    }
}
