//! Terms without parts.

use alloc::sync::Arc;

use super::Parse;
use crate::{
    Atom, DecodeError, Export, Pid, Port, Reference, Term,
    big::{self, Big, ShortBig},
    binary::{Binary, ShortBinary},
    input::Input,
    items::Items,
    parts::{self, Names, OVERHEAD},
    tag,
    term::Repr,
    text,
};

impl<'b> Parse<'b> {
    /// Any leaf after its tag, in any of its forms; `None` when the tag is none of a leaf.
    pub(super) fn leaf(
        &mut self,
        tag: u8,
        input: &mut Input<'b>,
    ) -> Result<Option<Term>, DecodeError> {
        Ok(Some(match tag {
            tag::SMALL_INTEGER => input.u8()?.into(),
            tag::INTEGER => i32::from_be_bytes(input.array()?).into(),
            tag::SMALL_BIG | tag::LARGE_BIG => {
                let (negative, magnitude) = parts::big(tag, input)?;
                self.charge(Big::heap_bytes(magnitude.len()))?;
                Term::integer(negative, magnitude)
            }
            tag::NEW_FLOAT => Term(Repr::Float(parts::float(input)?)),
            tag::FLOAT => Term(Repr::Float(parts::old_float(input)?)),
            tag::NIL => Term::nil(),
            tag::STRING => self.string(input)?,
            tag::BINARY => {
                let length = input.count()?;
                self.binary(input, length)?
            }
            tag::BIT_BINARY => self.bit_binary(input)?,
            tag::PID | tag::NEW_PID => {
                let (node, id, serial, creation) = parts::pid(self, tag, input)?;
                self.charge(OVERHEAD)?;
                Pid {
                    node,
                    id,
                    serial,
                    creation,
                }
                .into()
            }
            tag::PORT | tag::NEW_PORT | tag::V4_PORT => {
                let (node, id, creation) = parts::port(self, tag, input)?;
                self.charge(OVERHEAD)?;
                Port { node, id, creation }.into()
            }
            tag::REFERENCE | tag::NEW_REFERENCE | tag::NEWER_REFERENCE => {
                let (node, creation, (words, length)) = parts::reference(self, tag, input)?;
                self.charge(OVERHEAD)?;
                let words = words.get(..length).unwrap_or_default();
                Reference::new(node, creation, words)?.into()
            }
            tag::EXPORT => {
                let (module, function, arity) = parts::export(self, input)?;
                self.charge(OVERHEAD)?;
                Export {
                    module,
                    function,
                    arity,
                }
                .into()
            }
            _ => return Ok(self.atom(tag, input)?.map(Term::from)),
        }))
    }

    /// An atom after its tag; `None` when the tag is not an atom's.
    fn atom(&mut self, tag: u8, input: &mut Input<'b>) -> Result<Option<Atom>, DecodeError> {
        let Some(text) = parts::atom(tag, input)? else {
            return Ok(None);
        };
        let atom = parts::owned(text, self.atoms)?;
        self.charge(atom.heap_bytes())?;
        Ok(Some(atom))
    }

    pub(super) fn string(&mut self, input: &mut Input<'b>) -> Result<Term, DecodeError> {
        let length = usize::from(input.u16()?);
        let bytes = input.take(length)?;
        self.charge(length.saturating_mul(size_of::<Term>()))?;
        let items: Items = bytes.iter().map(|byte| Term::from(*byte)).collect();
        Ok(if items.is_empty() {
            Term::nil()
        } else {
            Term(Repr::List(items))
        })
    }

    /// The next bytes: inside of the term when they fit, else a part of the input.
    fn binary(&mut self, input: &mut Input<'b>, length: usize) -> Result<Term, DecodeError> {
        let start = self.source.len().saturating_sub(input.left());
        let bytes = input.take(length)?;
        if let Some(short) = ShortBinary::new(bytes) {
            return Ok(Term(Repr::ShortBinary(short)));
        }
        let source = self.source;
        let shared = self
            .shared
            .get_or_insert_with(|| Arc::new(source.to_bytes()));
        // A frame has less than 4 GiB; what is beyond cannot be addressed.
        let binary = Binary::part(shared, start, length).ok_or(DecodeError::Truncated)?;
        Ok(Term(Repr::Binary(binary)))
    }

    fn bit_binary(&mut self, input: &mut Input<'b>) -> Result<Term, DecodeError> {
        let mut ahead = *input;
        let (bytes, bits) = parts::bits(&mut ahead)?;
        if bits == 8 {
            // Five bytes before the content.
            input.skip(5)?;
            return self.binary(input, bytes.len());
        }
        *input = ahead;
        self.charge(OVERHEAD)?;
        Ok(Term::from_bits(self.source.part(bytes), bits))
    }
}

impl<'b> Names<'b> for Parse<'b> {
    type Name = Atom;

    fn name(&mut self, input: &mut Input<'b>) -> Result<Atom, DecodeError> {
        let tag = input.u8()?;
        if tag == tag::SMALL_ATOM_UTF8
            && let Some((atom, rest)) = short_atom(*input)
        {
            *input = rest;
            return Ok(atom);
        }
        self.atom(tag, input)?.ok_or(DecodeError::Part)
    }
}

/// The quick way for most atoms; `None` when it may be another one.
#[inline(always)]
pub(super) fn short_atom(mut input: Input<'_>) -> Option<(Atom, Input<'_>)> {
    let length = usize::from(input.u8().ok()?);
    let words = text::padded_ascii(input.0, length)?;
    input.skip(length).ok()?;
    Some((Atom::from_words(words, length)?, input))
}

/// The quick way for short binaries that more bytes follow.
#[inline(always)]
pub(super) fn short_binary(mut input: Input<'_>) -> Option<(ShortBinary, Input<'_>)> {
    let length = input.count().ok()?;
    let binary = ShortBinary::before_more(input.0, length)?;
    input.skip(length).ok()?;
    Some((binary, input))
}

/// The quick way for integers of up to 21 bytes that more bytes follow; `Err` has a large one.
#[inline(always)]
pub(super) fn short_big(mut input: Input<'_>) -> Option<(Result<i64, ShortBig>, Input<'_>)> {
    let length = input.u8().ok()?;
    let negative = input.u8().ok()? != 0;
    let words = text::padded(input.0, length.into())?;
    let value = if length <= 8 {
        Ok(big::small_word(negative, *words.first()?)?)
    } else {
        // The highest byte counts, so this is its normal form.
        let highest = input.0.get(usize::from(length.saturating_sub(1)))?;
        let normal = *highest != 0 && usize::from(length) <= ShortBig::MAX;
        normal.then(|| Err(ShortBig::from_words(negative, words, length)))?
    };
    input.skip(length.into()).ok()?;
    Some((value, input))
}
