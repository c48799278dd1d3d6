//! One value of those that messages mostly consist of, checked and shown.

use core::ops::ControlFlow;

use super::{AtomRef, Encoded, PidRef, ReferenceRef, Token, Visit};
use crate::{
    BigInt, RawTerm,
    big::ShortBig,
    parts::{self, OVERHEAD},
    tag, text,
};

/// What was read.
#[derive(Clone, Copy)]
pub(super) enum Head {
    /// A value without parts, which has been shown.
    Leaf,
    /// The beginning of a container, which is shown when the limits allow it.
    Tuple(usize),
    /// At least one element.
    List(usize),
    Map(usize),
    /// The beginning of another container of so many parts, which has been shown.
    Shown(usize),
}

/// What was read, unless the visitor stops, and what follows it.
type Found<'a, Stop> = (ControlFlow<Stop, Head>, &'a [u8]);

/// The value that begins here and what follows it; `None` for everything else, and for faults. Each kind is shown at a place
/// of its own, so that the visitor needs no look at what it is; and nothing here makes a `Result`, which would cost as much as the value.
///
/// `budget` is how much memory the term may still take if somebody decodes it, without what its containers take.
#[inline(always)]
pub(super) fn common<'a, V: Visit<'a> + ?Sized>(
    bytes: &'a [u8],
    raw: &'a RawTerm,
    budget: &mut usize,
    visitor: &mut V,
) -> Option<Found<'a, V::Stop>> {
    let (tag, after) = bytes.split_first()?;
    let (flow, rest) = match *tag {
        tag::SMALL_INTEGER => {
            let (value, rest) = after.split_first()?;
            (visitor.int((*value).into()), rest)
        }
        tag::INTEGER => {
            let (value, rest) = after.split_first_chunk()?;
            (visitor.int(i32::from_be_bytes(*value).into()), rest)
        }
        tag::NIL => (visitor.nil(), after),
        tag::SMALL_ATOM_UTF8 => {
            let (text, rest) = short_atom(after)?;
            (visitor.atom(AtomRef::utf8(text)), rest)
        }
        tag::ATOM_CACHE_REF => {
            let (text, rest) = cached_atom(after, raw, budget)?;
            (visitor.atom(AtomRef::utf8(text)), rest)
        }
        tag::BINARY => {
            let (length, rest) = count(after)?;
            let (content, rest) = rest.split_at_checked(length)?;
            (visitor.binary(content), rest)
        }
        tag::STRING => {
            let (length, rest) = after.split_first_chunk()?;
            let length = usize::from(u16::from_be_bytes(*length));
            let (text, rest) = rest.split_at_checked(length)?;
            if text.is_empty() {
                return None;
            }
            *budget = budget.checked_sub(parts::string_cost(length))?;
            (visitor.string(text), rest)
        }
        tag::NEW_FLOAT => {
            let (value, rest) = after.split_first_chunk()?;
            let value = f64::from_be_bytes(*value);
            if !value.is_finite() {
                return None;
            }
            (visitor.float(value), rest)
        }
        tag::SMALL_BIG => integer(after, visitor)?,
        tag::SMALL_TUPLE => {
            let (arity, rest) = after.split_first()?;
            return Some((ControlFlow::Continue(Head::Tuple((*arity).into())), rest));
        }
        tag::LIST => match count(after)? {
            (0, _) => return None,
            (length, rest) => return Some((ControlFlow::Continue(Head::List(length)), rest)),
        },
        tag::MAP => {
            let (pairs, rest) = count(after)?;
            return Some((ControlFlow::Continue(Head::Map(pairs)), rest));
        }
        tag::NEW_PID => {
            let rest = name(after, raw, budget)?.get(12..)?;
            *budget = budget.checked_sub(OVERHEAD)?;
            let pid = PidRef::new(until(bytes, rest, raw)?);
            (visitor.pid(pid), rest)
        }
        tag::NEWER_REFERENCE => {
            let ([0, words @ 1..=5], after) = after.split_first_chunk()? else {
                return None;
            };
            let words = usize::from(*words).saturating_add(1).saturating_mul(4);
            let rest = name(after, raw, budget)?.get(words..)?;
            *budget = budget.checked_sub(OVERHEAD)?;
            let reference = ReferenceRef::new(until(bytes, rest, raw)?);
            (visitor.reference(reference), rest)
        }
        _ => return None,
    };
    Some((flow.map_continue(|()| Head::Leaf), rest))
}

/// An integer in the form of large ones, after its tag.
#[inline(always)]
fn integer<'a, V: Visit<'a> + ?Sized>(
    bytes: &'a [u8],
    visitor: &mut V,
) -> Option<(ControlFlow<V::Stop>, &'a [u8])> {
    let ([length, sign], rest) = bytes.split_first_chunk()?;
    let length = usize::from(*length);
    if length > size_of::<u64>() {
        let (magnitude, after) = rest.split_at_checked(length)?;
        // Longer ones cost memory.
        let short = length <= ShortBig::MAX;
        let value = BigInt::in_normal_form(*sign != 0, magnitude).filter(|_| short)?;
        return Some((visitor.token(Token::Big(value)), after));
    }
    let word = text::word(rest, length)?;
    // The one negative value that has this bit, too, is for those who are seldom.
    if word >> 63 != 0 {
        return None;
    }
    // Without a jump: nobody can tell which sign comes next.
    let minus = u64::from(*sign != 0).wrapping_neg();
    let value = (word ^ minus).wrapping_sub(minus).cast_signed();
    Some((visitor.int(value), rest.get(length..)?))
}

/// A short ASCII atom after its tag, for which no heap is needed; `None` when it may be something else.
#[inline(always)]
fn short_atom(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, text) = bytes.split_first()?;
    let length = usize::from(*length);
    text::is_short_ascii(text, length)?;
    text.split_at_checked(length)
}

/// An atom of the frame, after its tag.
#[inline(always)]
fn cached_atom<'a>(
    bytes: &'a [u8],
    raw: &'a RawTerm,
    budget: &mut usize,
) -> Option<(&'a [u8], &'a [u8])> {
    let (place, rest) = bytes.split_first()?;
    let atom = raw.atoms().get(usize::from(*place))?;
    *budget = budget.checked_sub(atom.heap_bytes())?;
    Some((atom.as_bytes(), rest))
}

/// Passes over the name of a node.
#[inline(always)]
fn name<'a>(bytes: &'a [u8], raw: &'a RawTerm, budget: &mut usize) -> Option<&'a [u8]> {
    match bytes {
        [tag::SMALL_ATOM_UTF8, after @ ..] => Some(short_atom(after)?.1),
        [tag::ATOM_CACHE_REF, after @ ..] => Some(cached_atom(after, raw, budget)?.1),
        _ => None,
    }
}

/// What stands before `rest`.
#[inline(always)]
fn until<'a>(bytes: &'a [u8], rest: &[u8], raw: &'a RawTerm) -> Option<Encoded<'a>> {
    let length = bytes.len().saturating_sub(rest.len());
    Some(Encoded::new(bytes.get(..length)?, raw))
}

#[inline(always)]
fn count(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (count, rest) = bytes.split_first_chunk()?;
    Some((usize::try_from(u32::from_be_bytes(*count)).ok()?, rest))
}
