//! A message in the making.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;
use trunkline_etf::{Atom, Sink};

use super::own_atoms::FrameAtoms;
use super::ready::{Ready, SHARED_FROM};

/// Control message and payload, encoded: small parts are copied, large binaries are not.
#[derive(Default)]
pub(super) struct Scratch {
    copied: Vec<u8>,
    /// Binaries, each with the number of copied bytes between it and the one before it.
    shared: Vec<(usize, Bytes)>,
    /// Copied bytes up to the last of `shared`.
    marked: usize,
    shared_len: usize,
    /// Whether atoms become references to a table.
    pub(super) refer: bool,
    pub(super) atoms: FrameAtoms,
    /// Up to this length no atom becomes one: a fun says how long it is, atoms in full.
    in_full: usize,
}

/// What is kept for the next message.
const KEPT_CAPACITY: usize = 64 << 10;

impl Scratch {
    pub(super) fn clear(&mut self) {
        self.copied.clear();
        self.copied.shrink_to(KEPT_CAPACITY);
        self.shared.clear();
        self.marked = 0;
        self.shared_len = 0;
        self.atoms.clear();
        self.in_full = 0;
    }

    pub(super) fn len(&self) -> usize {
        self.copied.len().saturating_add(self.shared_len)
    }

    /// Appends all of it to a frame.
    pub(super) fn move_to(&mut self, ready: &mut Ready) {
        let mut copied = &self.copied[..];
        for (before, shared) in self.shared.drain(..) {
            let (head, rest) = copied.split_at_checked(before).unwrap_or((copied, &[]));
            copied = rest;
            ready.copy(head);
            ready.share(shared);
        }
        ready.copy(copied);
    }

    /// All of it, for a message that has to wait.
    pub(super) fn take(&mut self) -> VecDeque<Bytes> {
        let mut copied = if self.copied.len() < KEPT_CAPACITY {
            Bytes::copy_from_slice(&self.copied)
        } else {
            Bytes::from(core::mem::take(&mut self.copied))
        };
        let mut parts =
            VecDeque::with_capacity(self.shared.len().saturating_mul(2).saturating_add(1));
        for (before, shared) in self.shared.drain(..) {
            parts.push_back(copied.split_to(before.min(copied.len())));
            parts.push_back(shared);
        }
        parts.push_back(copied);
        parts
    }
}

impl Sink for Scratch {
    fn put(&mut self, bytes: &[u8]) {
        self.copied.extend_from_slice(bytes);
    }

    fn put_shared(&mut self, bytes: &[u8], shared: impl FnOnce() -> Bytes) {
        if bytes.len() < SHARED_FROM {
            return self.put(bytes);
        }
        let before = self.copied.len().saturating_sub(self.marked);
        self.marked = self.copied.len();
        self.shared_len = self.shared_len.saturating_add(bytes.len());
        self.shared.push((before, shared()));
    }

    fn place_of(&mut self, atom: &Atom) -> Option<u8> {
        if !self.refer || self.len() < self.in_full {
            return None;
        }
        self.atoms.place(atom)
    }

    fn measured(&mut self, len: usize) {
        self.in_full = self.in_full.max(self.len().saturating_add(len));
    }
}
