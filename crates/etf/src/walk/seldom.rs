//! Tokens that are not worth a place in the loop.

use super::{AtomRef, Encoded, Token, Walk};
use crate::{
    DecodeError,
    big::{BigInt, Normal},
    input::Input,
    parts::{self, Names, Text},
    tag,
};

/// The next token, in any form, and what follows it.
#[inline(never)]
pub(super) fn token(mut walk: Walk<'_>) -> Option<(Token<'_>, &[u8])> {
    let token = walk.seldom()?;
    Some((token, walk.rest.0))
}

impl<'a> Walk<'a> {
    fn seldom(&mut self) -> Option<Token<'a>> {
        let mut input = self.rest;
        let mut tag = input.u8().ok()?;
        // OTP takes a list without elements for its tail.
        while tag == tag::LIST && input.skip_zero_count() {
            self.rest = input;
            tag = input.u8().ok()?;
        }
        let from = &mut input;
        let token = match tag {
            tag::SMALL_INTEGER => Token::Int(from.u8().ok()?.into()),
            tag::INTEGER => Token::Int(i32::from_be_bytes(from.array().ok()?).into()),
            tag::SMALL_BIG | tag::LARGE_BIG => {
                let (negative, magnitude) = parts::big(tag, from).ok()?;
                match BigInt::normal(negative, magnitude) {
                    Normal::Small(value) => Token::Int(value),
                    Normal::Big(value) => Token::Big(value),
                }
            }
            tag::NEW_FLOAT => Token::Float(parts::float(from).ok()?),
            tag::FLOAT => Token::Float(parts::old_float(from).ok()?),
            tag::NIL => Token::Nil,
            tag::STRING => {
                let length = from.u16().ok()?;
                match from.take(length.into()).ok()? {
                    [] => Token::Nil,
                    bytes => Token::String(bytes),
                }
            }
            tag::BINARY => {
                let length = from.count().ok()?;
                Token::Binary(from.take(length).ok()?)
            }
            tag::BIT_BINARY => match parts::bits(from).ok()? {
                (bytes, 8) => Token::Binary(bytes),
                (bytes, bits) => Token::Bits(bytes, bits),
            },
            tag::LIST => Token::List(from.count().ok()?),
            tag::SMALL_TUPLE => Token::Tuple(from.u8().ok()?.into()),
            tag::LARGE_TUPLE => Token::Tuple(from.count().ok()?),
            tag::MAP => Token::Map(from.count().ok()?),
            tag::PID | tag::NEW_PID => {
                parts::pid(&mut Skip, tag, from).ok()?;
                return Some(Token::Pid(self.move_to(input)));
            }
            tag::PORT | tag::NEW_PORT | tag::V4_PORT => {
                parts::port(&mut Skip, tag, from).ok()?;
                return Some(Token::Port(self.move_to(input)));
            }
            tag::REFERENCE | tag::NEW_REFERENCE | tag::NEWER_REFERENCE => {
                parts::reference(&mut Skip, tag, from).ok()?;
                return Some(Token::Reference(self.move_to(input)));
            }
            tag::EXPORT => {
                parts::export(&mut Skip, from).ok()?;
                return Some(Token::Export(self.move_to(input)));
            }
            tag::NEW_FUN => {
                // Its size counts itself.
                let size = Input(from.0).count().ok()?;
                from.skip(size).ok()?;
                return Some(Token::Fun(self.move_to(input)));
            }
            tag::RECORD => {
                let fields = from.count().ok()?;
                Token::Record(fields, from.u8().ok()?)
            }
            tag => match parts::atom(tag, from).ok()?? {
                Text::Utf8(text) => Token::Atom(AtomRef::utf8(text.as_bytes())),
                Text::Latin1(text) => Token::Atom(AtomRef::latin1(text)),
                Text::Cached(place) => {
                    let atom = self.raw.atoms().get(usize::from(place))?;
                    Token::Atom(AtomRef::utf8(atom.as_bytes()))
                }
            },
        };
        self.rest = input;
        Some(token)
    }

    /// What was passed.
    fn move_to(&mut self, input: Input<'a>) -> Encoded<'a> {
        let begun = *self;
        self.rest = input;
        self.since(begun)
    }
}

/// Passes over atoms that were checked before.
struct Skip;

impl<'b> Names<'b> for Skip {
    type Name = ();

    fn name(&mut self, input: &mut Input<'b>) -> Result<(), DecodeError> {
        let length = match input.u8()? {
            tag::ATOM_CACHE_REF => 1,
            tag::ATOM_UTF8 | tag::ATOM => usize::from(input.u16()?),
            _ => usize::from(input.u8()?),
        };
        input.skip(length)
    }
}
