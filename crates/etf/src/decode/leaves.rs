//! Terms without parts.

use alloc::string::String;
use core::str;

use super::{Decoder, Head};
use crate::{
    Atom, AtomError, DecodeError, Pid, Port, Reference, Term, fun::Export, items::Items, tag,
    term::Repr,
};

impl Decoder<'_> {
    /// The next term, or the beginning of it; `others` parts of open containers come after it.
    pub(super) fn head(&mut self, others: usize) -> Result<Head, DecodeError> {
        let mut tag = self.reader.u8()?;
        // OTP takes a list without elements for its tail.
        while tag == tag::LIST && self.reader.skip_zero_count() {
            tag = self.reader.u8()?;
        }
        let term = match tag {
            tag::SMALL_INTEGER => Term::from(self.reader.u8()?),
            tag::INTEGER => Term::from(i32::from_be_bytes(self.reader.array()?)),
            tag::SMALL_BIG | tag::LARGE_BIG => self.big(tag)?,
            tag::NEW_FLOAT => self.float()?,
            tag::FLOAT => self.old_float()?,
            tag::NIL => Term::nil(),
            tag::STRING => self.string()?,
            tag::BINARY => {
                let length = self.reader.count()?;
                Term(Repr::Binary(self.reader.binary(length)?))
            }
            tag::BIT_BINARY => self.bit_binary()?,
            tag::PID | tag::NEW_PID => self.pid(tag)?.into(),
            tag::PORT | tag::NEW_PORT | tag::V4_PORT => self.port(tag)?.into(),
            tag::REFERENCE | tag::NEW_REFERENCE | tag::NEWER_REFERENCE => {
                self.reference(tag)?.into()
            }
            tag::EXPORT => self.export()?.into(),
            _ => match self.atom_of(tag)? {
                Some(atom) => atom.into(),
                None => return self.container(tag, others),
            },
        };
        Ok(Head::Leaf(term))
    }

    /// An atom, in any of its forms; nothing else.
    pub(super) fn atom(&mut self) -> Result<Atom, DecodeError> {
        let tag = self.reader.u8()?;
        self.atom_of(tag)?.ok_or(DecodeError::Part)
    }

    fn atom_of(&mut self, tag: u8) -> Result<Option<Atom>, DecodeError> {
        let atom = match tag {
            tag::SMALL_ATOM_UTF8 => {
                let length = self.reader.u8()?;
                utf8(self.reader.take(length.into())?)?
            }
            tag::ATOM_UTF8 => {
                let length = self.reader.u16()?;
                utf8(self.reader.take(length.into())?)?
            }
            tag::SMALL_ATOM => {
                let length = self.reader.u8()?;
                latin1(self.reader.take(length.into())?)?
            }
            tag::ATOM => {
                let length = self.reader.u16()?;
                latin1(self.reader.take(length.into())?)?
            }
            tag::ATOM_CACHE_REF => {
                let place = self.reader.u8()?;
                let atom = self.atoms.get(usize::from(place));
                return atom.cloned().map(Some).ok_or(DecodeError::AtomCache(place));
            }
            _ => return Ok(None),
        };
        self.charge(1, atom.heap_bytes())?;
        Ok(Some(atom))
    }

    fn big(&mut self, tag: u8) -> Result<Term, DecodeError> {
        let length = if tag == tag::SMALL_BIG {
            self.reader.u8()?.into()
        } else {
            self.reader.count()?
        };
        let sign = self.reader.u8()?;
        if length > size_of::<i64>() {
            self.charge(1, OVERHEAD.saturating_add(length.min(self.reader.left())))?;
        }
        // As the runtimes have it, any sign but 0 is minus.
        Ok(Term::integer(sign != 0, self.reader.take(length)?))
    }

    fn float(&mut self) -> Result<Term, DecodeError> {
        Term::float(f64::from_be_bytes(self.reader.array()?)).ok_or(DecodeError::Float)
    }

    /// Text in 31 bytes, ended by a zero.
    fn old_float(&mut self) -> Result<Term, DecodeError> {
        let field = self.reader.take(31)?;
        let text = field
            .split(|byte| *byte == 0)
            .next()
            .filter(|text| text.len() < field.len());
        let text = text
            .filter(|text| is_decimal(text))
            .and_then(|text| str::from_utf8(text).ok());
        let value = text.and_then(|text| text.parse().ok());
        value.and_then(Term::float).ok_or(DecodeError::Float)
    }

    fn string(&mut self) -> Result<Term, DecodeError> {
        let length = usize::from(self.reader.u16()?);
        self.charge(length.min(self.reader.left()), size_of::<Term>())?;
        let bytes = self.reader.take(length)?;
        let items: Items = bytes.iter().map(|byte| Term::from(*byte)).collect();
        Ok(if items.is_empty() {
            Term::nil()
        } else {
            Term(Repr::List(items))
        })
    }

    fn bit_binary(&mut self) -> Result<Term, DecodeError> {
        let length = self.reader.count()?;
        match self.reader.u8()? {
            bits @ 1..=7 if length > 0 => {
                let bytes = self.reader.bytes(length)?;
                self.charge(1, OVERHEAD)?;
                Ok(Term::from_bits(bytes, bits))
            }
            8 if length > 0 => Ok(Term(Repr::Binary(self.reader.binary(length)?))),
            bits => Err(DecodeError::Bits(bits)),
        }
    }

    /// A process identifier after its tag.
    pub(super) fn pid(&mut self, tag: u8) -> Result<Pid, DecodeError> {
        let node = self.atom()?;
        let (id, serial) = (self.reader.u32()?, self.reader.u32()?);
        let creation = match tag {
            tag::NEW_PID => self.reader.u32()?,
            tag::PID => self.old_creation()?,
            _ => return Err(DecodeError::Part),
        };
        self.charge(1, OVERHEAD)?;
        Ok(Pid {
            node,
            id,
            serial,
            creation,
        })
    }

    fn port(&mut self, tag: u8) -> Result<Port, DecodeError> {
        let node = self.atom()?;
        let id = if tag == tag::V4_PORT {
            self.reader.u64()?
        } else {
            self.reader.u32()?.into()
        };
        let creation = if tag == tag::PORT {
            self.old_creation()?
        } else {
            self.reader.u32()?
        };
        self.charge(1, OVERHEAD)?;
        Ok(Port { node, id, creation })
    }

    fn reference(&mut self, tag: u8) -> Result<Reference, DecodeError> {
        let length = if tag == tag::REFERENCE {
            1
        } else {
            usize::from(self.reader.u16()?)
        };
        let node = self.atom()?;
        let mut words = [0; Reference::MAX_WORDS];
        let words = words
            .get_mut(..length)
            .ok_or(crate::ReferenceError(length))?;
        // The oldest form has the creation after its one word.
        let mut creation = 0;
        if tag != tag::REFERENCE {
            creation = self.creation(tag)?;
        }
        for word in words.iter_mut() {
            *word = self.reader.u32()?;
        }
        if tag == tag::REFERENCE {
            creation = self.creation(tag)?;
        }
        self.charge(1, OVERHEAD)?;
        Ok(Reference::new(node, creation, words)?)
    }

    fn creation(&mut self, tag: u8) -> Result<u32, DecodeError> {
        if tag == tag::NEWER_REFERENCE {
            self.reader.u32()
        } else {
            self.old_creation()
        }
    }

    fn old_creation(&mut self) -> Result<u32, DecodeError> {
        match self.reader.u8()? {
            creation @ 0..=3 => Ok(creation.into()),
            creation => Err(DecodeError::Creation(creation)),
        }
    }

    fn export(&mut self) -> Result<Export, DecodeError> {
        let (module, function) = (self.atom()?, self.atom()?);
        let arity = u8::try_from(self.integer()?).map_err(|_| DecodeError::Part)?;
        self.charge(1, OVERHEAD)?;
        Ok(Export {
            module,
            function,
            arity,
        })
    }

    /// A small integer, in any of its forms; nothing else.
    pub(super) fn integer(&mut self) -> Result<i64, DecodeError> {
        let value = match self.reader.u8()? {
            tag::SMALL_INTEGER => self.reader.u8()?.into(),
            tag::INTEGER => i32::from_be_bytes(self.reader.array()?).into(),
            tag @ (tag::SMALL_BIG | tag::LARGE_BIG) => {
                self.big(tag)?.as_i64().ok_or(DecodeError::Part)?
            }
            _ => return Err(DecodeError::Part),
        };
        Ok(value)
    }
}

fn utf8(text: &[u8]) -> Result<Atom, DecodeError> {
    Ok(Atom::new(
        str::from_utf8(text).map_err(|_| AtomError::NotUtf8)?,
    )?)
}

fn latin1(text: &[u8]) -> Result<Atom, DecodeError> {
    if text.is_ascii() {
        return utf8(text);
    }
    let text: String = text.iter().map(|byte| char::from(*byte)).collect();
    Ok(Atom::new(&text)?)
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

/// What a shared part takes on the heap, about.
pub(super) const OVERHEAD: usize = 64;
