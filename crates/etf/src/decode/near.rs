//! What messages mostly consist of: tuples, proper lists and maps a few levels deep, each built where it stays.
//! Everything else, and every fault, is for [`far`](super::far).

use core::slice;

use triomphe::Arc;

use super::{
    NEAR, Parse, Parsed,
    leaves::{leaves, short_pid, short_reference},
};
use crate::{
    DecodeError, Map, Term,
    input::Input,
    items::{Items, Levels},
    parts::{OVERHEAD, string_cost},
    tag,
    term::{Repr, put},
};

impl<'b> Parse<'b> {
    /// The next term, of any kind.
    #[inline]
    pub(super) fn term(&mut self, rest: Input<'b>) -> Parsed<'b> {
        let mut term = Term::nil();
        let done = match rest.0 {
            // Most messages.
            [tag::SMALL_TUPLE, ..] => self.message(&mut term, rest),
            _ => self.fill(slice::from_mut(&mut term), rest, 0, 0),
        };
        match done {
            Some(rest) => Ok((term, rest)),
            None => Err(self.fault),
        }
    }

    /// Puts a term into each of these places, in which nothing is yet. `level` containers are open, and `owed`
    /// of their parts have not begun.
    ///
    /// `None`, here and below, when there is a [`fault`](Self::fault): what is left of the input, or nothing, fits into two
    /// registers, and a `Result` does not.
    fn fill(
        &mut self,
        mut places: &mut [Term],
        mut rest: Input<'b>,
        level: usize,
        owed: usize,
    ) -> Option<Input<'b>> {
        loop {
            (places, rest) = leaves(places, rest, self.atoms);
            let Some((place, more)) = places.split_first_mut() else {
                return Some(rest);
            };
            let owed = owed.saturating_add(more.len());
            rest = match self.tuple(place, rest, level, owed)? {
                Some(after) => after,
                None => self.part(place, rest, level, owed)?,
            };
            places = more;
        }
    }

    /// A tuple at the beginning.
    #[inline]
    fn message(&mut self, place: &mut Term, rest: Input<'b>) -> Option<Input<'b>> {
        match self.tuple(place, rest, 0, 0)? {
            Some(after) => Some(after),
            None => self.far(place, rest, 0, 0),
        }
    }

    /// A short tuple; `Some(None)` when another term follows. In the loop itself: of what nests deep each level is one call then.
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn tuple(
        &mut self,
        place: &mut Term,
        rest: Input<'b>,
        level: usize,
        owed: usize,
    ) -> Option<Option<Input<'b>>> {
        let [tag::SMALL_TUPLE, arity @ 1..=u8::MAX, ref after @ ..] = *rest.0 else {
            return Some(None);
        };
        if level >= self.near {
            return Some(None);
        }
        let count = usize::from(arity);
        self.claim(count, owed, Input(after))?;
        let (items, after) = self.claimed(Items::nils(count), Input(after), level, owed)?;
        put(place, Repr::Tuple(items));
        Some(Some(after))
    }

    /// Everything but short tuples.
    #[inline]
    fn part(
        &mut self,
        place: &mut Term,
        rest: Input<'b>,
        level: usize,
        owed: usize,
    ) -> Option<Input<'b>> {
        match *rest.0 {
            [tag::LIST, ref after @ ..] if level < self.near => match counted(after) {
                Some((count, after)) => self.list(place, count, after, level, owed),
                None => self.far(place, rest, level, owed),
            },
            [tag::MAP, ref after @ ..] if level < self.near => match counted(after) {
                Some((count, after)) => self.map(place, count, after, level, owed),
                None => self.far(place, rest, level, owed),
            },
            _ => match self.shared_leaf(place, rest)? {
                Some(after) => Some(after),
                None => self.far(place, rest, level, owed),
            },
        }
    }

    /// Leaves that have memory of their own; `Some(None)` when another term follows, or one with a fault.
    #[inline]
    fn shared_leaf(&mut self, place: &mut Term, rest: Input<'b>) -> Option<Option<Input<'b>>> {
        let Some((tag, after)) = rest.0.split_first() else {
            return Some(None);
        };
        Some(match *tag {
            tag::STRING => match bytes(after) {
                Some((bytes, after)) => {
                    self.charge(string_cost(bytes.len()))?;
                    put(place, Term::byte_list(bytes).0);
                    Some(after)
                }
                None => None,
            },
            tag::NEW_PID => match short_pid(Input(after), self.atoms) {
                Some((pid, after)) => {
                    self.charge(OVERHEAD)?;
                    put(place, Repr::Pid(Arc::new(pid)));
                    Some(after)
                }
                None => None,
            },
            tag::NEWER_REFERENCE => match short_reference(Input(after), self.atoms) {
                Some((reference, after)) => {
                    self.charge(OVERHEAD)?;
                    put(place, Repr::Reference(Arc::new(reference)));
                    Some(after)
                }
                None => None,
            },
            _ => None,
        })
    }

    #[inline]
    fn list(
        &mut self,
        place: &mut Term,
        count: usize,
        after: Input<'b>,
        level: usize,
        owed: usize,
    ) -> Option<Input<'b>> {
        if count == 1 && has_tail(after) {
            let (items, after) = self.with_tail(after, level, owed)?;
            put(place, Repr::Improper(items));
            return Some(after);
        }
        let (items, after) = self.parts(count, after, level, owed.saturating_add(1))?;
        if let [tag::NIL, after @ ..] = after.0 {
            put(place, Repr::list(items));
            return Some(Input(after));
        }
        self.list_goes_on(place, items, after, level, owed)
    }

    #[inline]
    fn map(
        &mut self,
        place: &mut Term,
        pairs: usize,
        after: Input<'b>,
        level: usize,
        owed: usize,
    ) -> Option<Input<'b>> {
        let (items, after) = self.parts(pairs.saturating_mul(2), after, level, owed)?;
        let Some(map) = Map::distinct(items) else {
            return self.fail(DecodeError::DuplicateKey);
        };
        put(place, Repr::Map(map));
        Some(after)
    }

    /// So many terms, one at least.
    #[inline]
    fn parts(
        &mut self,
        count: usize,
        after: Input<'b>,
        level: usize,
        owed: usize,
    ) -> Option<(Items, Input<'b>)> {
        self.claim(count, owed, after)?;
        self.claimed(Items::nils(count), after, level, owed)
    }

    /// One element and a tail, which is no list.
    #[inline(never)]
    fn with_tail(
        &mut self,
        after: Input<'b>,
        level: usize,
        owed: usize,
    ) -> Option<(Items, Input<'b>)> {
        self.claim(1, owed.saturating_add(1), after)?;
        self.claimed(Items::nils(2), after, level, owed)
    }

    /// Terms for all these places.
    #[inline(always)]
    fn claimed(
        &mut self,
        mut items: Items,
        after: Input<'b>,
        level: usize,
        owed: usize,
    ) -> Option<(Items, Input<'b>)> {
        let (levels, places) = items.open()?;
        let after = self.fill(places, after, level.saturating_add(1), owed)?;
        *levels = Levels::try_from(NEAR.saturating_sub(level)).unwrap_or(Levels::MAX);
        if self.deep {
            items.seal();
        }
        Some((items, after))
    }
}

/// Whether a short atom comes, and behind it a reference, which no list goes on with: `[alias|Reference]` is in all calls of
/// servers.
#[inline(always)]
fn has_tail(elements: Input<'_>) -> bool {
    let [tag::SMALL_ATOM_UTF8, length, ref after @ ..] = *elements.0 else {
        return false;
    };
    after.get(usize::from(length)) == Some(&tag::NEWER_REFERENCE)
}

/// As many bytes as their length says.
#[inline(always)]
fn bytes(bytes: &[u8]) -> Option<(&[u8], Input<'_>)> {
    let (length, after) = bytes.split_first_chunk()?;
    let (bytes, after) = after.split_at_checked(u16::from_be_bytes(*length).into())?;
    Some((bytes, Input(after)))
}

/// A count that is not zero.
#[inline(always)]
fn counted(bytes: &[u8]) -> Option<(usize, Input<'_>)> {
    let (count, after) = bytes.split_first_chunk()?;
    let count = usize::try_from(u32::from_be_bytes(*count)).ok()?;
    (count > 0).then_some((count, Input(after)))
}
