//! Whose bytes are decoded.

use bytes::Bytes;
use triomphe::Arc;

use super::Parse;
use crate::{Atom, DecodeError, Limits, Term, input::Input};

/// The bytes that a term is decoded from.
#[derive(Clone, Copy)]
pub(super) enum Source<'b> {
    /// Binaries are slices of them.
    Shared(&'b Bytes),
    /// Somebody else's: binaries are copied, as far as they do not fit into their term anyway.
    Lent(&'b [u8]),
}

impl Term {
    /// Decodes a term without a version byte that lies in somebody else's memory. Nothing of it is kept:
    /// where the term has a binary that is too long to lie inside of it, all is copied once. For small
    /// terms of which many lie in one buffer; [`RawTerm`](crate::RawTerm) is for the others.
    ///
    /// # Errors
    /// When the bytes are not one term within the limits.
    ///
    /// ```
    /// use trunkline_etf::{Limits, Term, term};
    /// let bytes = [104, 2, 119, 2, 111, 107, 97, 7];
    /// assert_eq!(Term::decode_lent(&bytes, &[], &Limits::default()), Ok(term!({ok, 7})));
    /// ```
    pub fn decode_lent(bytes: &[u8], atoms: &[Atom], limits: &Limits) -> Result<Self, DecodeError> {
        let mut shared: Option<Arc<Bytes>> = None;
        let mut parse = Parse::new(Source::Lent(bytes), &mut shared, atoms, limits);
        let (term, rest) = parse.term(Input(bytes))?;
        match rest.left() {
            0 => Ok(term),
            more => Err(DecodeError::Trailing(more)),
        }
    }
}

impl Source<'_> {
    pub(super) fn len(self) -> usize {
        match self {
            Self::Shared(bytes) => bytes.len(),
            Self::Lent(bytes) => bytes.len(),
        }
    }

    pub(super) fn to_bytes(self) -> Bytes {
        match self {
            Self::Shared(bytes) => bytes.clone(),
            Self::Lent(bytes) => Bytes::copy_from_slice(bytes),
        }
    }

    /// Some of them.
    pub(super) fn part(self, part: &[u8]) -> Bytes {
        match self {
            Self::Shared(bytes) => bytes.slice_ref(part),
            Self::Lent(_) => Bytes::copy_from_slice(part),
        }
    }
}
