//! What a walk gives of parts that are read only when somebody asks.

use core::fmt;

use super::{Walk, seldom::Single};
use crate::{
    Atom, AtomError, DecodeError, Decoder, Limits, RawTerm, Term, input::Input, parts, tag,
};

/// A part of a term as it stands on the wire, without a version byte.
#[derive(Clone, Copy)]
pub struct Encoded<'a> {
    bytes: &'a [u8],
    raw: &'a RawTerm,
}

impl<'a> Encoded<'a> {
    #[inline(always)]
    pub(super) fn new(bytes: &'a [u8], raw: &'a RawTerm) -> Self {
        Self { bytes, raw }
    }

    /// Its bytes, without a version byte; atoms in them may refer to [`RawTerm::atoms`].
    #[inline]
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

    /// A cursor over it alone, which is checked already.
    #[must_use]
    pub fn walk(self) -> Walk<'a> {
        Walk {
            rest: self.bytes,
            raw: self.raw,
        }
    }

    /// The atoms of the frame.
    #[inline(always)]
    pub(super) fn atoms(self) -> &'a [Atom] {
        self.raw.atoms()
    }

    /// The atom after so many bytes, which was checked.
    #[inline(always)]
    pub(super) fn name_at(self, before: usize) -> AtomRef<'a> {
        let name = match self.bytes.get(before..).unwrap_or_default() {
            [tag::SMALL_ATOM_UTF8, length, text @ ..] => {
                text.get(..usize::from(*length)).map(AtomRef::utf8)
            }
            name => self.seldom_name(Input(name)),
        };
        name.unwrap_or_else(|| AtomRef::utf8(&[]))
    }

    #[cold]
    fn seldom_name(self, mut name: Input<'a>) -> Option<AtomRef<'a>> {
        let tag = name.u8().ok()?;
        Single::unlimited(self.raw).atom(tag, &mut name).ok()?
    }
}

/// It is a part of somebody's message: its size only.
impl fmt::Debug for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes.len())
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
