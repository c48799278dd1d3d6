//! What decoding and checking have in common: the fields of leaves, each read at one place only.

use alloc::string::String;
use core::str;

use crate::{
    Atom, AtomError, DecodeError, Record, Reference, Term, fun::Fun, input::Input, tag, text,
};

/// Who reads the atoms inside identifiers and closures: decoding makes [`crate::Atom`]s of them, checking nothing.
pub(crate) trait Names<'b> {
    type Name;

    /// An atom, in any of its forms; nothing else.
    fn name(&mut self, input: &mut Input<'b>) -> Result<Self::Name, DecodeError>;
}

/// Text of an atom as it stands on the wire.
pub(crate) enum Text<'b> {
    Utf8(&'b str),
    /// At most 255 bytes, some above 127.
    Latin1(&'b [u8]),
    /// Its place in the frame's table.
    Cached(u8),
}

/// An atom after its tag; `None` when the tag is not an atom's.
pub(crate) fn atom<'b>(tag: u8, input: &mut Input<'b>) -> Result<Option<Text<'b>>, DecodeError> {
    let length = match tag {
        tag::SMALL_ATOM_UTF8 | tag::SMALL_ATOM => input.u8()?.into(),
        tag::ATOM_UTF8 | tag::ATOM => input.u16()?,
        tag::ATOM_CACHE_REF => return Ok(Some(Text::Cached(input.u8()?))),
        _ => return Ok(None),
    };
    let bytes = input.take(length.into())?;
    let latin1 = matches!(tag, tag::ATOM | tag::SMALL_ATOM);
    Ok(Some(match bytes {
        _ if latin1 && !bytes.is_ascii() => Text::Latin1(latin1_text(bytes)?),
        _ => Text::Utf8(text::utf8(bytes)?),
    }))
}

/// The atom with this text, or of this place in `table`.
pub(crate) fn owned(text: Text<'_>, table: &[Atom]) -> Result<Atom, DecodeError> {
    Ok(match text {
        Text::Utf8(text) => Atom::new(text)?,
        Text::Latin1(text) => latin1_atom(text)?,
        Text::Cached(place) => {
            let atom = table.get(usize::from(place));
            atom.cloned().ok_or(DecodeError::AtomCache(place))?
        }
    })
}

pub(crate) fn latin1_atom(text: &[u8]) -> Result<Atom, AtomError> {
    let text: String = text.iter().map(|byte| char::from(*byte)).collect();
    Atom::new(&text)
}

/// How long this text is in UTF-8: each byte above 127 becomes two.
pub(crate) fn latin1_length(text: &[u8]) -> usize {
    let high = text.iter().filter(|byte| !byte.is_ascii()).count();
    text.len().saturating_add(high)
}

fn latin1_text(bytes: &[u8]) -> Result<&[u8], DecodeError> {
    if bytes.len() > crate::atom::MAX_CHARS {
        return Err(AtomError::TooLong.into());
    }
    Ok(bytes)
}

/// Node, id, serial and creation of a process identifier after its tag.
pub(crate) fn pid<'b, N: Names<'b>>(
    names: &mut N,
    tag: u8,
    input: &mut Input<'b>,
) -> Result<(N::Name, u32, u32, u32), DecodeError> {
    let node = names.name(input)?;
    let (id, serial) = (input.u32()?, input.u32()?);
    let creation = match tag {
        tag::NEW_PID => input.u32()?,
        tag::PID => old_creation(input)?,
        _ => return Err(DecodeError::Part),
    };
    Ok((node, id, serial, creation))
}

/// Node, id and creation of a port after its tag.
pub(crate) fn port<'b, N: Names<'b>>(
    names: &mut N,
    tag: u8,
    input: &mut Input<'b>,
) -> Result<(N::Name, u64, u32), DecodeError> {
    let node = names.name(input)?;
    let id = if tag == tag::V4_PORT {
        input.u64()?
    } else {
        input.u32()?.into()
    };
    let creation = if tag == tag::PORT {
        old_creation(input)?
    } else {
        input.u32()?
    };
    Ok((node, id, creation))
}

/// The words of a reference, and how many of them count.
pub(crate) type Words = ([u32; Reference::MAX_WORDS], usize);

/// Node, creation and words of a reference after its tag.
pub(crate) fn reference<'b, N: Names<'b>>(
    names: &mut N,
    tag: u8,
    input: &mut Input<'b>,
) -> Result<(N::Name, u32, Words), DecodeError> {
    let length = if tag == tag::REFERENCE {
        1
    } else {
        usize::from(input.u16()?)
    };
    let node = names.name(input)?;
    let mut words = [0; Reference::MAX_WORDS];
    let used = words
        .get_mut(..length)
        .filter(|words| !words.is_empty())
        .ok_or(crate::ReferenceError(length))?;
    // The oldest form has the creation after its one word.
    let mut creation = match tag {
        tag::NEWER_REFERENCE => input.u32()?,
        tag::NEW_REFERENCE => old_creation(input)?,
        _ => 0,
    };
    for word in used {
        *word = input.u32()?;
    }
    if tag == tag::REFERENCE {
        creation = old_creation(input)?;
    }
    Ok((node, creation, (words, length)))
}

/// Module, function and arity of an external function after its tag.
pub(crate) fn export<'b, N: Names<'b>>(
    names: &mut N,
    input: &mut Input<'b>,
) -> Result<(N::Name, N::Name, u8), DecodeError> {
    let (module, function) = (names.name(input)?, names.name(input)?);
    let arity = u8::try_from(integer(input)?).map_err(|_| DecodeError::Part)?;
    Ok((module, function, arity))
}

/// What a closure has before its variables.
pub(crate) struct FunHead<P, M> {
    pub(crate) arity: u8,
    pub(crate) uniq: [u8; 16],
    pub(crate) index: u32,
    pub(crate) module: M,
    pub(crate) old_index: i64,
    pub(crate) old_uniq: i64,
    pub(crate) pid: P,
    pub(crate) variables: usize,
    /// How many bytes are left where it ends.
    pub(crate) left: usize,
}

/// A closure after its tag, up to its variables.
#[allow(clippy::type_complexity, reason = "the fields of a pid, unnamed")]
pub(crate) fn fun<'b, N: Names<'b>>(
    names: &mut N,
    input: &mut Input<'b>,
) -> Result<FunHead<(N::Name, u32, u32, u32), N::Name>, DecodeError> {
    let before = input.left();
    let left = before
        .checked_sub(input.count()?)
        .ok_or(DecodeError::Truncated)?;
    let arity = input.u8()?;
    let uniq = input.array()?;
    let index = input.u32()?;
    let variables = input.count()?;
    let module = names.name(input)?;
    let (old_index, old_uniq) = (integer(input)?, integer(input)?);
    let tag = input.u8()?;
    Ok(FunHead {
        arity,
        uniq,
        index,
        module,
        old_index,
        old_uniq,
        pid: pid(names, tag, input)?,
        variables,
        left,
    })
}

/// Sign and magnitude of a large integer after its tag. As the runtimes have it, any sign but 0 is minus.
#[inline]
pub(crate) fn big<'b>(tag: u8, input: &mut Input<'b>) -> Result<(bool, &'b [u8]), DecodeError> {
    let length = if tag == tag::SMALL_BIG {
        input.u8()?.into()
    } else {
        input.count()?
    };
    let sign = input.u8()?;
    Ok((sign != 0, input.take(length)?))
}

/// A small integer, in any of its forms; nothing else.
fn integer(input: &mut Input<'_>) -> Result<i64, DecodeError> {
    match input.u8()? {
        tag::SMALL_INTEGER => Ok(input.u8()?.into()),
        tag::INTEGER => Ok(i32::from_be_bytes(input.array()?).into()),
        tag @ (tag::SMALL_BIG | tag::LARGE_BIG) => {
            let (negative, magnitude) = big(tag, input)?;
            crate::big::small(negative, crate::big::trimmed(magnitude)).ok_or(DecodeError::Part)
        }
        _ => Err(DecodeError::Part),
    }
}

fn old_creation(input: &mut Input<'_>) -> Result<u32, DecodeError> {
    match input.u8()? {
        creation @ 0..=3 => Ok(creation.into()),
        creation => Err(DecodeError::Creation(creation)),
    }
}

/// Length and used bits of the last byte of a bitstring after its tag; 8 bits make it a binary.
pub(crate) fn bits<'b>(input: &mut Input<'b>) -> Result<(&'b [u8], u8), DecodeError> {
    let length = input.count()?;
    match input.u8()? {
        bits @ 1..=8 if length > 0 => Ok((input.take(length)?, bits)),
        bits => Err(DecodeError::Bits(bits)),
    }
}

#[inline]
pub(crate) fn float(input: &mut Input<'_>) -> Result<f64, DecodeError> {
    let value = f64::from_be_bytes(input.array()?);
    if value.is_finite() {
        Ok(value)
    } else {
        Err(DecodeError::Float)
    }
}

/// A float as text in 31 bytes, ended by a zero.
pub(crate) fn old_float(input: &mut Input<'_>) -> Result<f64, DecodeError> {
    let field = input.take(31)?;
    let text = field
        .split(|byte| *byte == 0)
        .next()
        .filter(|text| text.len() < field.len());
    let text = text
        .filter(|text| is_decimal(text))
        .and_then(|text| str::from_utf8(text).ok());
    let value: Option<f64> = text.and_then(|text| text.parse().ok());
    value
        .filter(|value| value.is_finite())
        .ok_or(DecodeError::Float)
}

/// Digits, point, digits, perhaps an exponent: what `sscanf` in the runtimes takes, and nothing that Rust takes besides.
fn is_decimal(text: &[u8]) -> bool {
    let text = match text {
        [b'+' | b'-', rest @ ..] => rest,
        all => all,
    };
    let digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let mut parts = text.splitn(2, |byte| matches!(byte, b'e' | b'E'));
    let mantissa = parts.next().unwrap_or_default();
    let exponent = parts.next().is_none_or(|exponent| match exponent {
        [b'+' | b'-', rest @ ..] => digits(rest),
        all => digits(all),
    });
    let mut mantissa = mantissa.splitn(2, |byte| *byte == b'.');
    exponent && mantissa.next().is_some_and(digits) && mantissa.next().is_some_and(digits)
}

/// What a shared value takes on the heap at most, beside its parts: no kind has more but those that say so.
pub(crate) const OVERHEAD: usize = 64;

/// What a part takes: a part of a large map has half of a place in an index, and one of a list may be kept as a byte besides.
pub(crate) const PART: usize = size_of::<Term>().saturating_add(2);

/// What a container of so many parts takes on the heap at most.
#[inline(always)]
pub(crate) const fn cost(parts: usize) -> usize {
    parts.saturating_mul(PART).saturating_add(OVERHEAD)
}

/// What a list of so many bytes takes on the heap at most: the bytes and, when somebody asks for them, the elements.
#[inline(always)]
pub(crate) const fn string_cost(length: usize) -> usize {
    if length == 0 {
        return 0;
    }
    length
        .saturating_mul(size_of::<Term>().saturating_add(1))
        .saturating_add(OVERHEAD)
}

/// What a closure takes on the heap at most, without its variables.
pub(crate) const fn fun_cost() -> usize {
    size_of::<Fun>().saturating_add(OVERHEAD)
}

/// What a native record takes on the heap at most, without its values.
pub(crate) const fn record_cost(fields: usize) -> usize {
    fields
        .saturating_mul(size_of::<Atom>())
        .saturating_add(size_of::<Record>())
        .saturating_add(OVERHEAD)
}

/// What a bitstring takes on the heap at most: it is copied when bits are set that do not count.
pub(crate) fn bits_cost(bytes: &[u8], bits: u8) -> usize {
    let own = if crate::binary::is_clean(bytes, bits) {
        0
    } else {
        bytes.len()
    };
    own.saturating_add(OVERHEAD)
}
