//! What a walk gives of parts that are read only when somebody asks.

use core::fmt;

use crate::{
    Atom, AtomError, DecodeError, Decoder, Limits, Pid, Port, RawTerm, Reference, Term,
    decode::{short_pid, short_reference},
    input::Input,
    parts::{self, Names},
    tag,
};

/// A part of a term as it stands on the wire, without a version byte.
#[derive(Clone, Copy)]
pub struct Encoded<'a> {
    bytes: &'a [u8],
    raw: &'a RawTerm,
}

impl<'a> Encoded<'a> {
    pub(super) fn new(bytes: &'a [u8], raw: &'a RawTerm) -> Self {
        Self { bytes, raw }
    }

    /// Its bytes; atoms in them may refer to [`RawTerm::atoms`].
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// It alone, sharing the bytes.
    #[must_use]
    pub fn to_raw(self) -> RawTerm {
        self.raw.part(self.bytes)
    }

    /// Builds it. The limits have been checked before.
    ///
    /// # Errors
    /// When a map has a key twice.
    pub fn decode(self) -> Result<Term, DecodeError> {
        let limits = Limits::default()
            .with_depth(usize::MAX)
            .with_size(usize::MAX);
        let bytes = self.raw.bytes().slice_ref(self.bytes);
        Decoder::new(bytes, &limits).atoms(self.raw.atoms()).term()
    }

    /// The process identifier, when it is one.
    #[must_use]
    pub fn pid(self) -> Option<Pid> {
        if let [tag::NEW_PID, rest @ ..] = self.bytes
            && let Some((pid, _)) = short_pid(Input(rest), self.raw.atoms())
        {
            return Some(pid);
        }
        let (mut atoms, tag, mut input) = self.open()?;
        let (node, id, serial, creation) = parts::pid(&mut atoms, tag, &mut input).ok()?;
        Some(Pid {
            node,
            id,
            serial,
            creation,
        })
    }

    /// The port, when it is one.
    #[must_use]
    pub fn port(self) -> Option<Port> {
        let (mut atoms, tag, mut input) = self.open()?;
        let (node, id, creation) = parts::port(&mut atoms, tag, &mut input).ok()?;
        Some(Port { node, id, creation })
    }

    /// The reference, when it is one.
    #[must_use]
    pub fn reference(self) -> Option<Reference> {
        if let [tag::NEWER_REFERENCE, rest @ ..] = self.bytes
            && let Some((reference, _)) = short_reference(Input(rest), self.raw.atoms())
        {
            return Some(reference);
        }
        let (mut atoms, tag, mut input) = self.open()?;
        let (node, creation, (words, length)) =
            parts::reference(&mut atoms, tag, &mut input).ok()?;
        Reference::new(node, creation, words.get(..length)?).ok()
    }

    fn open(self) -> Option<(Atoms<'a>, u8, Input<'a>)> {
        let (tag, rest) = self.bytes.split_first()?;
        Some((Atoms(self.raw.atoms()), *tag, Input(rest)))
    }
}

/// It is a part of somebody's message: its size only.
impl fmt::Debug for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes.len())
    }
}

/// Makes atoms of their text, or takes them from the frame's table.
struct Atoms<'a>(&'a [Atom]);

impl<'b> Names<'b> for Atoms<'_> {
    type Name = Atom;

    fn name(&mut self, input: &mut Input<'b>) -> Result<Atom, DecodeError> {
        let tag = input.u8()?;
        match parts::atom(tag, input)? {
            Some(text) => parts::owned(text, self.0),
            None => Err(DecodeError::Part),
        }
    }
}

/// The text of an atom where it stands on the wire.
///
/// Comparing it with a text needs no copy.
#[derive(Debug, Clone, Copy)]
pub struct AtomRef<'a> {
    bytes: &'a [u8],
    latin1: bool,
}

impl<'a> AtomRef<'a> {
    #[inline]
    pub(super) fn utf8(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            latin1: false,
        }
    }

    pub(super) fn latin1(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            latin1: true,
        }
    }

    /// The text as UTF-8; `None` for one that came in Latin-1 and is not ASCII, for which a copy is needed.
    #[must_use]
    #[inline]
    pub fn as_bytes(self) -> Option<&'a [u8]> {
        (!self.latin1).then_some(self.bytes)
    }

    /// The atom, to keep.
    ///
    /// # Errors
    /// None for what a walk gives.
    pub fn to_atom(self) -> Result<Atom, AtomError> {
        if self.latin1 {
            return parts::latin1_atom(self.bytes);
        }
        Atom::new(core::str::from_utf8(self.bytes).map_err(|_| AtomError::NotUtf8)?)
    }
}

impl PartialEq<str> for AtomRef<'_> {
    #[inline]
    fn eq(&self, other: &str) -> bool {
        if self.latin1 {
            return self
                .bytes
                .iter()
                .map(|byte| char::from(*byte))
                .eq(other.chars());
        }
        self.bytes == other.as_bytes()
    }
}

impl PartialEq<&str> for AtomRef<'_> {
    #[inline]
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl PartialEq<Atom> for AtomRef<'_> {
    fn eq(&self, other: &Atom) -> bool {
        *self == *other.as_str()
    }
}
