//! Terms without parts.

use alloc::sync::Arc;

use super::{Parse, Parsed};
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
    /// The next term. `depth` containers are open around it, of which `owed` other parts have not begun.
    ///
    /// What messages consist of is decoded right here; inlined into the loop over a container's parts.
    #[inline(always)]
    pub(super) fn part(&mut self, mut input: Input<'b>, depth: usize, owed: usize) -> Parsed<'b> {
        let repr = match input.u8()? {
            tag::SMALL_INTEGER => Repr::Int(input.u8()?.into()),
            tag::INTEGER => Repr::Int(i32::from_be_bytes(input.array()?).into()),
            tag::NIL => Repr::Nil,
            tag::SMALL_ATOM_UTF8 => match short_atom(&mut input) {
                Some(atom) => Repr::Atom(atom),
                None => return self.leaf(tag::SMALL_ATOM_UTF8, input),
            },
            tag::BINARY => match short_binary(&mut input) {
                Some(binary) => Repr::ShortBinary(binary),
                None => return self.leaf(tag::BINARY, input),
            },
            tag::NEW_FLOAT => Repr::Float(parts::float(&mut input)?),
            tag::SMALL_BIG => match short_big(&mut input) {
                Some(repr) => repr,
                None => return self.leaf(tag::SMALL_BIG, input),
            },
            tag => return self.container(tag, input, depth, owed),
        };
        Ok((Term(repr), input))
    }

    /// A leaf after its tag; seldom the quick way.
    #[inline(never)]
    pub(super) fn leaf(&mut self, tag: u8, mut input: Input<'b>) -> Parsed<'b> {
        match self.seldom(tag, &mut input)? {
            Some(term) => Ok((term, input)),
            None => Err(DecodeError::Tag(tag)),
        }
    }

    /// Any leaf after its tag, in any of its forms; `None` when the tag is none of a leaf.
    pub(super) fn seldom(
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
        let shared = self.shared.get_or_insert_with(|| Arc::new(source.clone()));
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
        Ok(Term::from_bits(self.source.slice_ref(bytes), bits))
    }
}

impl<'b> Names<'b> for Parse<'b> {
    type Name = Atom;

    fn name(&mut self, input: &mut Input<'b>) -> Result<Atom, DecodeError> {
        let tag = input.u8()?;
        if tag == tag::SMALL_ATOM_UTF8
            && let Some(atom) = short_atom(input)
        {
            return Ok(atom);
        }
        self.atom(tag, input)?.ok_or(DecodeError::Part)
    }
}

/// The quick way for most atoms; `None`, and nothing read, when it may be another one.
#[inline(always)]
fn short_atom(input: &mut Input<'_>) -> Option<Atom> {
    let mut ahead = *input;
    let length = usize::from(ahead.u8().ok()?);
    let words = text::padded_ascii(ahead.0, length)?;
    ahead.skip(length).ok()?;
    *input = ahead;
    Atom::from_words(words, length)
}

/// The quick way for short binaries that more bytes follow.
#[inline(always)]
fn short_binary(input: &mut Input<'_>) -> Option<ShortBinary> {
    let mut ahead = *input;
    let length = ahead.count().ok()?;
    let binary = ShortBinary::before_more(ahead.0, length)?;
    ahead.skip(length).ok()?;
    *input = ahead;
    Some(binary)
}

/// The quick way for integers of up to 21 bytes that more bytes follow.
#[inline(always)]
fn short_big(input: &mut Input<'_>) -> Option<Repr> {
    let mut ahead = *input;
    let length = ahead.u8().ok()?;
    let negative = ahead.u8().ok()? != 0;
    let words = text::padded(ahead.0, length.into())?;
    let repr = if length <= 8 {
        Repr::Int(big::small_word(negative, *words.first()?)?)
    } else {
        // The highest byte counts, so this is its normal form.
        let highest = ahead.0.get(usize::from(length.saturating_sub(1)))?;
        let normal = *highest != 0 && usize::from(length) <= ShortBig::MAX;
        normal.then(|| Repr::ShortBig(ShortBig::from_words(negative, words, length)))?
    };
    ahead.skip(length.into()).ok()?;
    *input = ahead;
    Some(repr)
}
