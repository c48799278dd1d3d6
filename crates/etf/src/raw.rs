//! [`RawTerm`]: a term that nobody has decoded yet.

use alloc::sync::Arc;
use core::fmt;

use bytes::Bytes;

use crate::{Atom, DecodeError, Decoder, Limits, Term};

/// An encoded term without a version byte, with the atoms of its frame where it refers to them.
///
/// What it costs to decode is paid by whoever wants it, and limits fail that one message only. [`walk`](Self::walk)
/// reads it without building anything.
#[derive(Clone, Default)]
pub struct RawTerm {
    bytes: Bytes,
    /// `None` instead of an empty slice, whose counter all threads would share.
    atoms: Option<Arc<[Atom]>>,
}

impl RawTerm {
    /// A bare term that brings its atoms itself.
    #[inline]
    #[must_use]
    pub fn new(bytes: Bytes) -> Self {
        Self { bytes, atoms: None }
    }

    /// A bare term that may refer to the atoms of its frame.
    #[must_use]
    pub fn with_atoms(bytes: Bytes, atoms: Arc<[Atom]>) -> Self {
        let atoms = (!atoms.is_empty()).then_some(atoms);
        Self { bytes, atoms }
    }

    /// The encoded term.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The atoms of the frame.
    #[must_use]
    pub fn atoms(&self) -> &[Atom] {
        self.atoms.as_deref().unwrap_or_default()
    }

    /// The encoded term and the atoms of the frame.
    #[must_use]
    pub fn into_parts(self) -> (Bytes, Arc<[Atom]>) {
        (self.bytes, self.atoms.unwrap_or_default())
    }

    /// A part of these bytes as a term of its own.
    pub(crate) fn part(&self, bytes: &[u8]) -> Self {
        Self {
            bytes: self.bytes.slice_ref(bytes),
            atoms: self.atoms.clone(),
        }
    }

    /// Decodes it.
    ///
    /// # Errors
    /// When the bytes are not one term within the limits.
    pub fn decode(&self, limits: &Limits) -> Result<Term, DecodeError> {
        let mut decoder = Decoder::new(self.bytes.clone(), limits).atoms(self.atoms());
        let term = decoder.term()?;
        match decoder.remaining().len() {
            0 => Ok(term),
            more => Err(DecodeError::Trailing(more)),
        }
    }
}

/// It is somebody's message that nobody has taken yet: its size only.
impl fmt::Debug for RawTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawTerm")
            .field("bytes", &self.bytes.len())
            .field("atoms", &self.atoms().len())
            .finish()
    }
}

/// A term that is ours, encoded.
impl From<&Term> for RawTerm {
    fn from(term: &Term) -> Self {
        let mut bytes = alloc::vec::Vec::new();
        term.encode_bare(&mut bytes);
        Self::new(bytes.into())
    }
}
