//! One value of those that messages mostly consist of, checked and shown.

use core::ops::ControlFlow;

use super::{AtomRef, PidRef, ReferenceRef, Token, Visit};
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
    /// The beginning of a container with parts, which is shown when the limits allow it.
    Tuple(usize),
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
    let (flow, rest) = match *bytes.first()? {
        tag::SMALL_INTEGER => {
            let ([_, value], rest) = bytes.split_first_chunk()?;
            (visitor.int((*value).into()), rest)
        }
        tag::INTEGER => {
            let ([_, value @ ..], rest) = bytes.split_first_chunk::<5>()?;
            (visitor.int(i32::from_be_bytes(*value).into()), rest)
        }
        tag::NIL => (visitor.nil(), bytes.get(1..)?),
        tag::SMALL_ATOM_UTF8 => {
            let (text, rest) = short_atom(bytes)?;
            (visitor.atom(text), rest)
        }
        tag::ATOM_CACHE_REF => {
            let (atom, rest) = known_atom(bytes, raw)?;
            (visitor.atom(atom), rest)
        }
        tag::BINARY => {
            let (length, rest) = count(bytes)?;
            let (content, rest) = rest.split_at_checked(length)?;
            (visitor.binary(content), rest)
        }
        tag::STRING => {
            let ([_, length @ ..], rest) = bytes.split_first_chunk::<3>()?;
            let length = usize::from(u16::from_be_bytes(*length));
            let (text, rest) = rest.split_at_checked(length)?;
            if text.is_empty() {
                return None;
            }
            *budget = budget.checked_sub(parts::string_cost(length))?;
            (visitor.string(text), rest)
        }
        tag::NEW_FLOAT => {
            let ([_, value @ ..], rest) = bytes.split_first_chunk::<9>()?;
            let value = f64::from_be_bytes(*value);
            if !value.is_finite() {
                return None;
            }
            (visitor.float(value), rest)
        }
        tag::SMALL_BIG => integer(bytes, visitor)?,
        tag::SMALL_TUPLE => match bytes.split_first_chunk()? {
            ([_, 0], _) => return None,
            ([_, arity], rest) => {
                return Some((ControlFlow::Continue(Head::Tuple((*arity).into())), rest));
            }
        },
        tag::LIST => match count(bytes)? {
            (0, _) => return None,
            (length, rest) => return Some((ControlFlow::Continue(Head::List(length)), rest)),
        },
        tag::MAP => match count(bytes)? {
            (0, _) => return None,
            (pairs, rest) => return Some((ControlFlow::Continue(Head::Map(pairs)), rest)),
        },
        tag::NEW_PID => {
            let (node, rest) = name(bytes.get(1..)?, raw)?;
            let (numbers, rest) = rest.split_first_chunk::<12>()?;
            let ([id, serial, creation], _) = numbers.as_chunks() else {
                return None;
            };
            *budget = budget.checked_sub(OVERHEAD)?;
            let pid = PidRef {
                node,
                id: u32::from_be_bytes(*id),
                serial: u32::from_be_bytes(*serial),
                creation: u32::from_be_bytes(*creation),
            };
            (visitor.pid(pid), rest)
        }
        tag::NEWER_REFERENCE => {
            let ([_, 0, words @ 1..=5], rest) = bytes.split_first_chunk()? else {
                return None;
            };
            let (node, rest) = name(rest, raw)?;
            let (creation, rest) = rest.split_first_chunk()?;
            let size = usize::from(*words).wrapping_mul(4);
            let (words, rest) = rest.split_at_checked(size)?;
            *budget = budget.checked_sub(OVERHEAD)?;
            let reference = ReferenceRef {
                node,
                creation: u32::from_be_bytes(*creation),
                words: words.as_chunks().0,
            };
            (visitor.reference(reference), rest)
        }
        _ => return None,
    };
    Some((flow.map_continue(|()| Head::Leaf), rest))
}

/// An integer in the form of large ones.
#[inline(always)]
fn integer<'a, V: Visit<'a> + ?Sized>(
    bytes: &'a [u8],
    visitor: &mut V,
) -> Option<(ControlFlow<V::Stop>, &'a [u8])> {
    let ([_, length, sign], rest) = bytes.split_first_chunk()?;
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

/// A short ASCII atom, for which no heap is needed; `None` when it may be something else.
#[inline(always)]
fn short_atom(bytes: &[u8]) -> Option<(AtomRef<'_>, &[u8])> {
    let ([_, length], text) = bytes.split_first_chunk()?;
    let length = usize::from(*length);
    text::is_short_ascii(text, length)?;
    let (text, rest) = text.split_at_checked(length)?;
    Some((AtomRef::utf8(text), rest))
}

/// An atom of the frame, which takes no memory: its table has it.
#[inline(always)]
fn known_atom<'a>(bytes: &'a [u8], raw: &'a RawTerm) -> Option<(AtomRef<'a>, &'a [u8])> {
    let ([_, place], rest) = bytes.split_first_chunk()?;
    let atom = raw.atoms().get(usize::from(*place))?;
    Some((AtomRef::known(atom), rest))
}

/// The name of a node.
#[inline(always)]
fn name<'a>(bytes: &'a [u8], raw: &'a RawTerm) -> Option<(AtomRef<'a>, &'a [u8])> {
    match *bytes.first()? {
        tag::SMALL_ATOM_UTF8 => short_atom(bytes),
        tag::ATOM_CACHE_REF => known_atom(bytes, raw),
        _ => None,
    }
}

/// A count of 32 bits after a tag.
#[inline(always)]
fn count(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let ([_, count @ ..], rest) = bytes.split_first_chunk::<5>()?;
    Some((usize::try_from(u32::from_be_bytes(*count)).ok()?, rest))
}
