//! Terms without parts, in all their forms.

use triomphe::Arc;

use super::{Parse, leaves::short_atom, source::Source};
use crate::{
    Atom, DecodeError, Export, Pid, Port, Reference, Term,
    big::Big,
    binary::{Binary, ShortBinary},
    input::Input,
    parts::{self, Names, OVERHEAD, Text},
    tag,
    term::Repr,
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
                self.charge(Big::heap_bytes(magnitude.len()))
                    .ok_or(self.fault)?;
                Term::integer(negative, magnitude)
            }
            tag::NEW_FLOAT => Term(Repr::Float(parts::float(input)?)),
            tag::FLOAT => Term(Repr::Float(parts::old_float(input)?)),
            tag::NIL => Term::nil(),
            tag::STRING => Term::byte_list(self.string(input)?),
            tag::BINARY => {
                let length = input.count()?;
                self.binary(input, length)?
            }
            tag::BIT_BINARY => self.bit_binary(input)?,
            tag::PID | tag::NEW_PID => {
                let (node, id, serial, creation) = parts::pid(self, tag, input)?;
                self.charge(OVERHEAD).ok_or(self.fault)?;
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
                self.charge(OVERHEAD).ok_or(self.fault)?;
                Port { node, id, creation }.into()
            }
            tag::REFERENCE | tag::NEW_REFERENCE | tag::NEWER_REFERENCE => {
                let (node, creation, (words, length)) = parts::reference(self, tag, input)?;
                self.charge(OVERHEAD).ok_or(self.fault)?;
                let words = words.get(..length).unwrap_or_default();
                Reference::new(node, creation, words)?.into()
            }
            tag::EXPORT => {
                let (module, function, arity) = parts::export(self, input)?;
                self.charge(OVERHEAD).ok_or(self.fault)?;
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
        let from_table = matches!(text, Text::Cached(_));
        let atom = parts::owned(text, self.atoms)?;
        // One of the frame's table is there, whatever the term has of it.
        if !from_table {
            self.charge(atom.heap_bytes()).ok_or(self.fault)?;
        }
        Ok(Some(atom))
    }

    /// The bytes of a list of small integers, which are charged for as the list that they become.
    pub(super) fn string(&mut self, input: &mut Input<'b>) -> Result<&'b [u8], DecodeError> {
        let length = usize::from(input.u16()?);
        let bytes = input.take(length)?;
        self.charge(parts::string_cost(length)).ok_or(self.fault)?;
        Ok(bytes)
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
        let cost = match self.source {
            Source::Shared(_) => parts::bits_cost(bytes, bits),
            Source::Lent(_) => OVERHEAD.saturating_add(bytes.len()),
        };
        self.charge(cost).ok_or(self.fault)?;
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
