//! What a walk gives of parts that are read only when somebody asks.

use core::fmt;

use super::Walk;
use crate::{Atom, AtomError, DecodeError, Decoder, Limits, RawTerm, Term, parts};

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
}

/// It is a part of somebody's message: its size only.
impl fmt::Debug for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes.len())
    }
}

/// The text of an atom where it stands on the wire, or in the frame's table.
///
/// Comparing it with a text needs no copy.
#[derive(Clone, Copy)]
pub struct AtomRef<'a>(Text<'a>);

#[derive(Clone, Copy)]
enum Text<'a> {
    Utf8(&'a [u8]),
    Latin1(&'a [u8]),
    Known(&'a Atom),
}

impl<'a> AtomRef<'a> {
    #[inline]
    pub(super) fn utf8(bytes: &'a [u8]) -> Self {
        Self(Text::Utf8(bytes))
    }

    pub(super) fn latin1(bytes: &'a [u8]) -> Self {
        Self(Text::Latin1(bytes))
    }

    #[inline]
    pub(super) fn known(atom: &'a Atom) -> Self {
        Self(Text::Known(atom))
    }

    /// The text as UTF-8; `None` for one that came in Latin-1 and is not ASCII, for which a copy is needed.
    #[must_use]
    #[inline]
    pub fn as_bytes(self) -> Option<&'a [u8]> {
        match self.0 {
            Text::Utf8(bytes) => Some(bytes),
            Text::Known(atom) => Some(atom.as_bytes()),
            Text::Latin1(_) => None,
        }
    }

    /// The atom, to keep.
    ///
    /// # Errors
    /// None for what a walk gives.
    pub fn to_atom(self) -> Result<Atom, AtomError> {
        match self.0 {
            Text::Known(atom) => Ok(atom.clone()),
            Text::Latin1(bytes) => parts::latin1_atom(bytes),
            Text::Utf8(bytes) => {
                Atom::new(core::str::from_utf8(bytes).map_err(|_| AtomError::NotUtf8)?)
            }
        }
    }
}

impl PartialEq<str> for AtomRef<'_> {
    #[inline]
    fn eq(&self, other: &str) -> bool {
        match self.0 {
            Text::Utf8(bytes) => bytes == other.as_bytes(),
            Text::Known(atom) => atom == other,
            Text::Latin1(bytes) => bytes.iter().map(|byte| char::from(*byte)).eq(other.chars()),
        }
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

/// The bare text.
impl fmt::Display for AtomRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Text::Latin1(bytes) => bytes
                .iter()
                .try_for_each(|byte| fmt::Write::write_char(f, char::from(*byte))),
            Text::Known(atom) => f.write_str(atom.as_str()),
            Text::Utf8(bytes) => f.write_str(core::str::from_utf8(bytes).unwrap_or_default()),
        }
    }
}

/// As [`Display`](fmt::Display).
impl fmt::Debug for AtomRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
