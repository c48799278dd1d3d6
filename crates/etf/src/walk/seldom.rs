//! One value of any kind, in any of its forms, and every fault of it.

use super::{AtomRef, Encoded, PidRef, PortRef, ReferenceRef, Token};
use crate::{
    Atom, DecodeError, RawTerm,
    big::{Big, BigInt, Normal},
    input::Input,
    parts::{self, Names, OVERHEAD, Text},
    tag,
};

/// Checks single values against the limits.
pub(super) struct Single<'a> {
    pub(super) raw: &'a RawTerm,
    /// How much memory the term may still take if somebody decodes it.
    pub(super) budget: usize,
    /// [`Limits::size`](crate::Limits::size), for the error.
    pub(super) size: usize,
}

impl<'a> Single<'a> {
    /// For values that were checked before.
    pub(super) fn unlimited(raw: &'a RawTerm) -> Self {
        Self {
            raw,
            budget: usize::MAX,
            size: usize::MAX,
        }
    }

    /// The value that begins here, and what follows it. What containers take is left to the caller, and so are the content of a
    /// closure and the names in a record.
    #[inline(never)]
    pub(super) fn token(
        &mut self,
        mut input: Input<'a>,
    ) -> Result<(Token<'a>, Input<'a>), DecodeError> {
        let mut begun = input;
        let mut tag = input.u8()?;
        // OTP takes a list without elements for its tail.
        while tag == tag::LIST && input.skip_zero_count() {
            begun = input;
            tag = input.u8()?;
        }
        let token = match self.plain(tag, &mut input)? {
            Some(token) => token,
            None => self.compound(tag, begun, &mut input)?,
        };
        Ok((token, input))
    }

    fn plain(&mut self, tag: u8, from: &mut Input<'a>) -> Result<Option<Token<'a>>, DecodeError> {
        Ok(Some(match tag {
            tag::SMALL_INTEGER => Token::Int(from.u8()?.into()),
            tag::INTEGER => Token::Int(i32::from_be_bytes(from.array()?).into()),
            tag::SMALL_BIG | tag::LARGE_BIG => {
                let (negative, magnitude) = parts::big(tag, from)?;
                self.charge(Big::heap_bytes(magnitude.len()))?;
                match BigInt::normal(negative, magnitude) {
                    Normal::Small(value) => Token::Int(value),
                    Normal::Big(value) => Token::Big(value),
                }
            }
            tag::NEW_FLOAT => Token::Float(parts::float(from)?),
            tag::FLOAT => Token::Float(parts::old_float(from)?),
            tag::NIL => Token::Nil,
            tag::STRING => {
                let length = usize::from(from.u16()?);
                let text = from.take(length)?;
                self.charge(parts::string_cost(length))?;
                match text {
                    [] => Token::Nil,
                    bytes => Token::String(bytes),
                }
            }
            tag::BINARY => {
                let length = from.count()?;
                Token::Binary(from.take(length)?)
            }
            tag::BIT_BINARY => match parts::bits(from)? {
                (bytes, 8) => Token::Binary(bytes),
                (bytes, bits) => {
                    self.charge(parts::bits_cost(bytes, bits))?;
                    Token::Bits(bytes, bits)
                }
            },
            tag::SMALL_TUPLE => Token::Tuple(from.u8()?.into()),
            tag::LARGE_TUPLE => Token::Tuple(from.count()?),
            tag::LIST => Token::List(from.count()?),
            tag::MAP => Token::Map(from.count()?),
            tag::RECORD => {
                let fields = from.count()?;
                Token::Record(fields, from.u8()?)
            }
            tag => return Ok(self.atom(tag, from)?.map(Token::Atom)),
        }))
    }

    /// What consists of several fields, but is shown as one value; `begun` is where it began.
    fn compound(
        &mut self,
        tag: u8,
        begun: Input<'a>,
        from: &mut Input<'a>,
    ) -> Result<Token<'a>, DecodeError> {
        let token = match tag {
            tag::PID | tag::NEW_PID => {
                let (node, id, serial, creation) = parts::pid(self, tag, from)?;
                Token::Pid(PidRef {
                    node,
                    id,
                    serial,
                    creation,
                })
            }
            tag::PORT | tag::NEW_PORT | tag::V4_PORT => {
                let (node, id, creation) = parts::port(self, tag, from)?;
                Token::Port(PortRef { node, id, creation })
            }
            tag::REFERENCE | tag::NEW_REFERENCE | tag::NEWER_REFERENCE => {
                let (node, creation, (_, words)) = parts::reference(self, tag, from)?;
                // The oldest form has the creation after its one word.
                let after = usize::from(tag == tag::REFERENCE);
                let size = words.saturating_mul(4).saturating_add(after);
                let bytes = self.between(begun, *from).bytes();
                let words = bytes.get(bytes.len().saturating_sub(size)..);
                let words = words.unwrap_or_default().as_chunks().0;
                Token::Reference(ReferenceRef {
                    node,
                    creation,
                    words,
                })
            }
            tag::EXPORT => {
                parts::export(self, from)?;
                Token::Export(self.between(begun, *from))
            }
            tag::NEW_FUN => {
                // Its size counts itself.
                let size = Input(from.0).count()?;
                from.skip(size)?;
                return Ok(Token::Fun(self.between(begun, *from)));
            }
            other => return Err(DecodeError::Tag(other)),
        };
        self.charge(OVERHEAD)?;
        Ok(token)
    }

    /// An atom after its tag; `None` when the tag is not an atom's.
    pub(super) fn atom(
        &mut self,
        tag: u8,
        from: &mut Input<'a>,
    ) -> Result<Option<AtomRef<'a>>, DecodeError> {
        let Some(text) = parts::atom(tag, from)? else {
            return Ok(None);
        };
        let (atom, heap) = match text {
            Text::Utf8(text) => (
                AtomRef::utf8(text.as_bytes()),
                Atom::heap_bytes_of(text.len()),
            ),
            Text::Latin1(text) => {
                let length = parts::latin1_length(text);
                (AtomRef::latin1(text), Atom::heap_bytes_of(length))
            }
            Text::Cached(place) => {
                let atom = self.raw.atoms().get(usize::from(place));
                let atom = atom.ok_or(DecodeError::AtomCache(place))?;
                // The table has it.
                (AtomRef::known(atom), 0)
            }
        };
        self.charge(heap)?;
        Ok(Some(atom))
    }

    pub(super) fn charge(&mut self, bytes: usize) -> Result<(), DecodeError> {
        let left = self.budget.checked_sub(bytes);
        self.budget = left.ok_or(DecodeError::TooLarge(self.size))?;
        Ok(())
    }

    /// What stands from `begun` up to `end`.
    pub(super) fn between(&self, begun: Input<'a>, end: Input<'_>) -> Encoded<'a> {
        let length = begun.left().saturating_sub(end.left());
        Encoded::new(begun.0.get(..length).unwrap_or_default(), self.raw)
    }
}

impl<'a> Names<'a> for Single<'a> {
    type Name = AtomRef<'a>;

    fn name(&mut self, input: &mut Input<'a>) -> Result<AtomRef<'a>, DecodeError> {
        let tag = input.u8()?;
        self.atom(tag, input)?.ok_or(DecodeError::Part)
    }
}
