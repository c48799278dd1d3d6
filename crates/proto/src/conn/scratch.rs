//! A message in the making, where it cannot go straight to what is ready: its atoms are references
//! to a header that goes before it, or it has to wait.

use alloc::vec::Vec;

use bytes::Bytes;
use trunkline_etf::{Atom, Sink};

use super::chunks::Chunks;
use super::own_atoms::FrameAtoms;

/// Control message and payload, encoded: small parts are copied, large binaries are not.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) chunks: Chunks,
    /// Whether atoms become references to a table.
    pub(super) refer: bool,
    pub(super) atoms: FrameAtoms,
}

/// What is kept for the next message.
const KEPT_CAPACITY: usize = 64 << 10;

impl Scratch {
    pub(super) fn clear(&mut self) {
        self.chunks.clear(KEPT_CAPACITY);
        self.atoms.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.chunks.len()
    }
}

impl Sink for Scratch {
    fn put(&mut self, bytes: &[u8]) {
        self.chunks.put(bytes);
    }

    #[inline]
    fn buffer(&mut self) -> Option<&mut Vec<u8>> {
        self.chunks.buffer()
    }

    fn put_shared(&mut self, bytes: &[u8], shared: impl FnOnce() -> Bytes) {
        self.chunks.put_shared(bytes, shared);
    }

    fn place_of(&mut self, atom: &Atom) -> Option<u8> {
        if !self.refer {
            return None;
        }
        self.atoms.place(atom)
    }
}
