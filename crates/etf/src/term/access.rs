//! Taking a term apart.

use alloc::{borrow::ToOwned, string::String, vec::Vec};
use core::str;

use bytes::Bytes;

use super::{Repr, Term};
use crate::{
    Atom, Map, Pid, Port, Reference,
    big::BigInt,
    binary::Bits,
    fun::{Export, Fun, Record},
};

/// What a term is, for a `match` over all kinds.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
#[allow(
    missing_docs,
    reason = "each variant is named as its type, which has the words"
)]
pub enum View<'a> {
    Atom(&'a Atom),
    Int(i64),
    /// Outside the range of `i64`.
    Big(BigInt<'a>),
    Float(f64),
    Tuple(&'a [Term]),
    /// Proper; the empty list too. A list of bytes has its elements made first, see [`Term::as_byte_list`].
    List(&'a [Term]),
    /// At least one element, and a tail that is no list.
    Improper(&'a [Term], &'a Term),
    Binary(&'a [u8]),
    /// Not a whole number of bytes.
    Bits(&'a Bits),
    Map(&'a Map),
    Pid(&'a Pid),
    Port(&'a Port),
    Reference(&'a Reference),
    Fun(&'a Fun),
    Export(&'a Export),
    Record(&'a Record),
    /// What one runtime encoded for itself (`term_to_binary(T, [local])`); nobody else can read it.
    Opaque(&'a [u8]),
}

impl Term {
    /// What it is.
    ///
    /// For a list of bytes, as [`as_list`](Self::as_list): it has its elements made.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        match &self.0 {
            Repr::Atom(atom) => View::Atom(atom),
            Repr::Int(value) => View::Int(*value),
            Repr::ShortBig(value) => View::Big(value.view()),
            Repr::Big(value) => View::Big(value.view()),
            Repr::Float(value) => View::Float(*value),
            Repr::Nil => View::List(&[]),
            Repr::Tuple(items) => View::Tuple(items),
            Repr::List(items) => View::List(items),
            Repr::String(bytes) => View::List(bytes.items()),
            Repr::Improper(items) => match &**items {
                [items @ .., tail] => View::Improper(items, tail),
                [] => View::List(&[]),
            },
            Repr::ShortBinary(binary) => View::Binary(binary.as_slice()),
            Repr::Binary(binary) => View::Binary(binary.as_slice()),
            Repr::Bits(bits) => View::Bits(bits),
            Repr::Map(map) => View::Map(map),
            Repr::Pid(pid) => View::Pid(pid),
            Repr::Port(port) => View::Port(port),
            Repr::Reference(reference) => View::Reference(reference),
            Repr::Fun(fun) => View::Fun(fun),
            Repr::Export(export) => View::Export(export),
            Repr::Record(record) => View::Record(record),
            Repr::Opaque(bytes) => View::Opaque(bytes),
        }
    }

    /// The atom.
    #[must_use]
    pub fn as_atom(&self) -> Option<&Atom> {
        if let Repr::Atom(atom) = &self.0 {
            Some(atom)
        } else {
            None
        }
    }

    /// Whether it is the atom with this text.
    #[must_use]
    pub fn is_atom(&self, text: &str) -> bool {
        self.as_atom().is_some_and(|atom| atom == text)
    }

    /// `true` or `false`.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self.as_atom()?.as_bytes() {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }

    /// The integer, when it fits.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        if let Repr::Int(value) = self.0 {
            Some(value)
        } else {
            None
        }
    }

    /// The integer, when it fits.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match &self.0 {
            Repr::Int(value) => u64::try_from(*value).ok(),
            _ => self.as_big()?.to_u64(),
        }
    }

    /// The integer outside the range of `i64`.
    #[must_use]
    pub fn as_big(&self) -> Option<BigInt<'_>> {
        match &self.0 {
            Repr::ShortBig(value) => Some(value.view()),
            Repr::Big(value) => Some(value.view()),
            _ => None,
        }
    }

    /// The float; an integer is none.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        if let Repr::Float(value) = self.0 {
            Some(value)
        } else {
            None
        }
    }

    /// The bytes of a binary.
    #[must_use]
    pub fn as_binary(&self) -> Option<&[u8]> {
        match &self.0 {
            Repr::ShortBinary(binary) => Some(binary.as_slice()),
            Repr::Binary(binary) => Some(binary.as_slice()),
            _ => None,
        }
    }

    /// The bytes of a binary, shared with the term; up to 22 are copied.
    #[must_use]
    pub fn to_bytes(&self) -> Option<Bytes> {
        match &self.0 {
            Repr::ShortBinary(binary) => Some(Bytes::copy_from_slice(binary.as_slice())),
            Repr::Binary(binary) => Some(binary.to_bytes()),
            _ => None,
        }
    }

    /// The elements of a tuple.
    #[must_use]
    pub fn as_tuple(&self) -> Option<&[Self]> {
        if let Repr::Tuple(items) = &self.0 {
            Some(items)
        } else {
            None
        }
    }

    /// The elements of a proper list.
    ///
    /// A list of bytes (`"text"` in Erlang) is kept as bytes: the first call makes its elements, 24 bytes for each, which live as
    /// long as the term and its clones. [`as_byte_list`](Self::as_byte_list) and [`to_text`](Self::to_text) make none.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Self]> {
        match &self.0 {
            Repr::Nil => Some(&[]),
            Repr::List(items) => Some(items),
            Repr::String(bytes) => Some(bytes.items()),
            _ => None,
        }
    }

    /// The bytes of a list of up to 65,535 integers from 0 to 255, as `STRING_EXT` carries it; the empty list has none of them.
    /// Nothing is made. A longer list has elements only.
    ///
    /// ```
    /// use trunkline_etf::Term;
    /// assert_eq!(Term::string("text").as_byte_list(), Some(&b"text"[..]));
    /// assert_eq!(Term::list([1, 256]).as_byte_list(), None);
    /// ```
    #[must_use]
    pub fn as_byte_list(&self) -> Option<&[u8]> {
        match &self.0 {
            Repr::Nil => Some(&[]),
            Repr::String(bytes) => Some(bytes.bytes()),
            _ => None,
        }
    }

    /// The map.
    #[must_use]
    pub fn as_map(&self) -> Option<&Map> {
        if let Repr::Map(map) = &self.0 {
            Some(map)
        } else {
            None
        }
    }

    /// The process identifier.
    #[must_use]
    pub fn as_pid(&self) -> Option<&Pid> {
        if let Repr::Pid(pid) = &self.0 {
            Some(pid)
        } else {
            None
        }
    }

    /// The port identifier.
    #[must_use]
    pub fn as_port(&self) -> Option<&Port> {
        if let Repr::Port(port) = &self.0 {
            Some(port)
        } else {
            None
        }
    }

    /// The reference.
    #[must_use]
    pub fn as_reference(&self) -> Option<&Reference> {
        if let Repr::Reference(reference) = &self.0 {
            Some(reference)
        } else {
            None
        }
    }

    /// The text of whatever Erlang uses for text: an atom, a UTF-8 binary, a list of characters.
    ///
    /// The empty list is the empty text.
    #[must_use]
    pub fn to_text(&self) -> Option<String> {
        match &self.0 {
            Repr::Atom(atom) => Some(atom.as_str().to_owned()),
            Repr::String(bytes) => Some(bytes.bytes().iter().copied().map(char::from).collect()),
            Repr::Nil | Repr::List(_) => self.as_list()?.iter().map(Self::as_char).collect(),
            _ => str::from_utf8(self.as_binary()?)
                .ok()
                .map(ToOwned::to_owned),
        }
    }

    /// The integer as a character.
    #[must_use]
    pub fn as_char(&self) -> Option<char> {
        char::from_u32(u32::try_from(self.as_i64()?).ok()?)
    }

    /// All parts, in the order of the wire: elements, tail, keys and values, a closure's variables. A list of bytes has none.
    pub(crate) fn parts(&self) -> &[Self] {
        match &self.0 {
            Repr::Tuple(items) | Repr::List(items) | Repr::Improper(items) => items,
            Repr::Map(map) => map.items(),
            Repr::Fun(fun) => &fun.free,
            Repr::Record(record) => &record.values,
            _ => &[],
        }
    }

    /// The elements of a tuple, to keep; the term itself when it is none.
    ///
    /// # Errors
    /// The unchanged term.
    pub fn into_tuple(self) -> Result<Vec<Self>, Self> {
        match &self.0 {
            Repr::Tuple(items) => Ok(items.to_vec()),
            _ => Err(self),
        }
    }
}
