//! Leaves that messages mostly consist of, in their common forms, read in a loop of their own.

use core::mem;

use crate::{
    Atom, Pid, Reference, Term,
    big::{self, ShortBig},
    binary::ShortBinary,
    input::Input,
    tag,
    term::{Repr, put},
    text,
};

/// Fills these places as far as there are leaves; stops at everything else, and at faults. Gives the places that are left.
///
/// Each kind is put to its place by itself: a value that were made in several branches and moved in one would wait for
/// its own bytes. And nothing here makes a `Result`, which would cost as much as the value.
#[cfg_attr(not(debug_assertions), inline(always))]
pub(super) fn leaves<'p, 'b>(
    mut places: &'p mut [Term],
    mut rest: Input<'b>,
    atoms: &[Atom],
) -> (&'p mut [Term], Input<'b>) {
    while let Some(place) = places.first_mut() {
        let Some((tag, after)) = rest.0.split_first() else {
            break;
        };
        match *tag {
            tag::SMALL_INTEGER => {
                let Some((value, after)) = after.split_first() else {
                    break;
                };
                put(place, Repr::Int((*value).into()));
                rest = Input(after);
            }
            tag::INTEGER => {
                let Some((value, after)) = after.split_first_chunk() else {
                    break;
                };
                put(place, Repr::Int(i32::from_be_bytes(*value).into()));
                rest = Input(after);
            }
            tag::NIL => rest = Input(after),
            tag::SMALL_ATOM_UTF8 => {
                let Some((atom, after)) = short_atom(Input(after)) else {
                    break;
                };
                put(place, Repr::Atom(atom));
                rest = after;
            }
            tag::ATOM_CACHE_REF => {
                let Some((atom, after)) = cached_atom(Input(after), atoms) else {
                    break;
                };
                put(place, Repr::Atom(atom));
                rest = after;
            }
            tag::BINARY => {
                let Some((binary, after)) = short_binary(Input(after)) else {
                    break;
                };
                put(place, Repr::ShortBinary(binary));
                rest = after;
            }
            tag::NEW_FLOAT => {
                let Some((value, after)) = after.split_first_chunk() else {
                    break;
                };
                let value = f64::from_be_bytes(*value);
                if !value.is_finite() {
                    break;
                }
                put(place, Repr::Float(value));
                rest = Input(after);
            }
            tag::SMALL_BIG => match short_big(Input(after)) {
                Some((Ok(value), after)) => {
                    put(place, Repr::Int(value));
                    rest = after;
                }
                Some((Err(value), after)) => {
                    put(place, Repr::ShortBig(value));
                    rest = after;
                }
                None => break,
            },
            _ => break,
        }
        places = mem::take(&mut places).get_mut(1..).unwrap_or_default();
    }
    (places, rest)
}

/// A process of which the node's name is short, after its tag.
#[inline(always)]
pub(super) fn short_pid<'b>(input: Input<'b>, atoms: &[Atom]) -> Option<(Pid, Input<'b>)> {
    let (node, rest) = short_name(input, atoms)?;
    let (numbers, rest) = rest.0.split_first_chunk::<12>()?;
    let ([id, serial, creation], _) = numbers.as_chunks::<4>() else {
        return None;
    };
    let pid = Pid {
        node,
        id: u32::from_be_bytes(*id),
        serial: u32::from_be_bytes(*serial),
        creation: u32::from_be_bytes(*creation),
    };
    Some((pid, Input(rest)))
}

/// A reference of which the node's name is short, after its tag.
#[inline(always)]
pub(super) fn short_reference<'b>(
    input: Input<'b>,
    atoms: &[Atom],
) -> Option<(Reference, Input<'b>)> {
    let (length, rest) = input.0.split_first_chunk()?;
    let length = u16::from_be_bytes(*length);
    let (node, rest) = short_name(Input(rest), atoms)?;
    let (creation, rest) = rest.0.split_first_chunk()?;
    let (bytes, rest) = rest.split_at_checked(usize::from(length).saturating_mul(4))?;
    let reference = Reference::of_words(node, u32::from_be_bytes(*creation), bytes.as_chunks().0)?;
    Some((reference, Input(rest)))
}

#[inline(always)]
fn short_name<'b>(input: Input<'b>, atoms: &[Atom]) -> Option<(Atom, Input<'b>)> {
    let (tag, after) = input.0.split_first()?;
    match *tag {
        tag::SMALL_ATOM_UTF8 => short_atom(Input(after)),
        tag::ATOM_CACHE_REF => cached_atom(Input(after), atoms),
        _ => None,
    }
}

/// An atom of the frame that has no memory of its own.
#[inline(always)]
fn cached_atom<'b>(input: Input<'b>, atoms: &[Atom]) -> Option<(Atom, Input<'b>)> {
    let (place, after) = input.0.split_first()?;
    let atom = atoms.get(usize::from(*place))?;
    Some((atom.clone_short()?, Input(after)))
}

/// The quick way for most atoms; `None` when it may be another one.
#[inline(always)]
pub(super) fn short_atom(input: Input<'_>) -> Option<(Atom, Input<'_>)> {
    let (length, text) = input.0.split_first()?;
    let length = usize::from(*length);
    let words = text::padded_ascii(text, length)?;
    Some((Atom::from_words(words, length)?, Input(text.get(length..)?)))
}

/// The quick way for short binaries.
#[inline(always)]
fn short_binary(input: Input<'_>) -> Option<(ShortBinary, Input<'_>)> {
    let (length, content) = input.0.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let binary = ShortBinary::of_input(content, length)?;
    Some((binary, Input(content.get(length..)?)))
}

/// The quick way for integers of up to 21 bytes; `Err` has a large one.
#[inline(always)]
fn short_big(input: Input<'_>) -> Option<(Result<i64, ShortBig>, Input<'_>)> {
    let ([length, sign], magnitude) = input.0.split_first_chunk()?;
    let negative = *sign != 0;
    let words = text::padded(magnitude, usize::from(*length))?;
    let value = if *length <= 8 {
        Ok(big::small_word(negative, *words.first()?)?)
    } else {
        // The highest byte counts, so this is its normal form.
        let highest = magnitude.get(usize::from(length.saturating_sub(1)))?;
        let normal = *highest != 0 && usize::from(*length) <= ShortBig::MAX;
        normal.then(|| Err(ShortBig::from_words(negative, words, *length)))?
    };
    Some((value, Input(magnitude.get(usize::from(*length)..)?)))
}
