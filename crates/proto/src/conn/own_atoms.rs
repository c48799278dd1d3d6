//! This side's atom cache: what was told to the peer, and the table of one frame.

use alloc::vec::Vec;

use bytes::BufMut;
use trunkline_etf::Atom;

use super::atom_cache::{LONG_ATOMS, NEW_ENTRY};
use super::slots::{SEGMENTS, Slot, Slots};

/// The atoms of one frame, by position: what its terms refer to.
#[derive(Clone)]
pub(super) struct FrameAtoms {
    entries: Vec<Entry>,
    /// For each index the position of its latest entry, plus one; 0 where there is none.
    latest: [u8; 256],
}

/// An atom to which a frame refers.
#[derive(Clone)]
pub(super) struct Entry {
    atom: Atom,
    index: u8,
    /// Position, plus one, of the entry before it with the same index.
    before: u8,
}

impl Default for FrameAtoms {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            latest: [0; 256],
        }
    }
}

/// The most references that a header holds.
const MAX_REFERENCES: usize = 255;

/// An atom of two bytes takes four; a reference takes two and its share of the header.
const WORTH: usize = 3;

impl FrameAtoms {
    /// The position of an atom. None for what is better written out, and where the table has no
    /// room.
    pub(super) fn place(&mut self, atom: &Atom) -> Option<u8> {
        let text = atom.as_bytes();
        if text.len() < WORTH {
            return None;
        }
        let index = index(text);
        let mut at = *self.latest.get(usize::from(index))?;
        // As many as the cache can hold at once: no reference of a frame displaces another.
        let mut same = 0_u8;
        while let Some(position) = at.checked_sub(1) {
            let entry = self.entries.get(usize::from(position))?;
            if entry.atom == *atom {
                return Some(position);
            }
            same = same.saturating_add(1);
            at = entry.before;
        }
        if same >= SEGMENTS || self.entries.len() >= MAX_REFERENCES {
            return None;
        }
        let position = u8::try_from(self.entries.len()).ok()?;
        let latest = self.latest.get_mut(usize::from(index))?;
        let before = core::mem::replace(latest, position.saturating_add(1));
        self.entries.push(Entry {
            atom: atom.clone(),
            index,
            before,
        });
        Some(position)
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries, for a frame that is sent later.
    pub(super) fn take(&mut self) -> Vec<Entry> {
        self.latest = [0; 256];
        core::mem::take(&mut self.entries)
    }

    pub(super) fn clear(&mut self) {
        if !self.entries.is_empty() {
            self.latest = [0; 256];
            self.entries.clear();
        }
    }
}

/// The peer finds by slot only, so any spread will do.
fn index(text: &[u8]) -> u8 {
    let mut hash = 0_u64;
    let (words, rest) = text.as_chunks::<8>();
    for word in words {
        hash = (hash ^ u64::from_le_bytes(*word)).wrapping_mul(SPREAD);
        hash ^= hash >> 32;
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(SPREAD);
    }
    let [high, ..] = hash.to_be_bytes();
    high
}

/// 2^64 divided by the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// What the peer has in its slots. Each index has one slot in each segment; a segment is begun when
/// those before it are taken at some index.
#[derive(Clone, Default)]
pub(super) struct OwnAtoms {
    slots: Slots,
    /// Which segment is displaced next.
    turn: u8,
}

impl OwnAtoms {
    /// Writes a header's part about atoms: how many, their flags, the references.
    pub(super) fn header(&mut self, entries: &[Entry], out: &mut Vec<u8>) {
        let count = u8::try_from(entries.len()).unwrap_or(u8::MAX);
        out.put_u8(count);
        if count == 0 {
            return;
        }
        let flags = out.len();
        out.put_bytes(0, usize::from(count >> 1).saturating_add(1));
        let long = entries
            .iter()
            .any(|entry| u8::try_from(entry.atom.as_bytes().len()).is_err());
        // Segments that this frame uses, by index.
        let mut used = [0_u8; 256];
        for (position, entry) in entries.iter().enumerate() {
            let (slot, new) = self.slot(entry, &mut used);
            set_nibble(
                out,
                flags,
                position,
                slot.segment | if new { NEW_ENTRY } else { 0 },
            );
            out.put_u8(slot.index);
            if new {
                let text = entry.atom.as_bytes();
                let [high, low] = u16::try_from(text.len()).unwrap_or(0).to_be_bytes();
                if long {
                    out.put_u8(high);
                }
                out.put_u8(low);
                out.put_slice(text);
            }
        }
        if long {
            set_nibble(out, flags, usize::from(count), LONG_ATOMS);
        }
    }

    /// Where the atom is, or is from now on.
    fn slot(&mut self, entry: &Entry, used: &mut [u8; 256]) -> (Slot, bool) {
        let index = entry.index;
        let at = |segment| Slot { segment, index };
        let mut free = None;
        for segment in 0..SEGMENTS {
            match self.slots.get(at(segment)) {
                Some(atom) if *atom == entry.atom => {
                    mark(used, at(segment));
                    return (at(segment), false);
                }
                Some(_) => {}
                None => {
                    free = free.or(Some(segment));
                    if !self.slots.has(segment) {
                        break;
                    }
                }
            }
        }
        let slot = at(free.unwrap_or_else(|| self.displaced(index, used)));
        self.slots.set(slot, entry.atom.clone());
        mark(used, slot);
        (slot, true)
    }

    /// A segment whose atom this frame does not use.
    fn displaced(&mut self, index: u8, used: &[u8; 256]) -> u8 {
        let used = used.get(usize::from(index)).copied().unwrap_or_default();
        for _ in 0..SEGMENTS {
            self.turn = self.turn.wrapping_add(1) % SEGMENTS;
            if used & (1 << self.turn) == 0 {
                break;
            }
        }
        self.turn
    }
}

fn mark(used: &mut [u8; 256], slot: Slot) {
    if let Some(segments) = used.get_mut(usize::from(slot.index)) {
        *segments |= 1 << slot.segment;
    }
}

/// The low half of a byte comes first.
fn set_nibble(out: &mut [u8], flags: usize, position: usize, value: u8) {
    if let Some(byte) = out.get_mut(flags.saturating_add(position >> 1)) {
        *byte |= if position & 1 == 0 { value } else { value << 4 };
    }
}
