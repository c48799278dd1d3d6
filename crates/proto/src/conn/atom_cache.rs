//! The peer's atom cache (`erl_ext_dist`, "Distribution Header").

use alloc::vec::Vec;

use trunkline_etf::Atom;

use super::ConnectionError;
use super::slots::{Slot, Slots};
use crate::wire::Reader;

/// What the peer has put into its slots. It lives as long as the connection.
#[derive(Clone, Debug, Default)]
pub(super) struct AtomCache {
    slots: Slots,
    /// Slots in use.
    atoms: usize,
}

impl AtomCache {
    /// Reads the part of a header that is about atoms: how many, their flags, the references. Gives
    /// the atoms to which the frame's terms refer by position. The cache holds `limit` atoms.
    pub(super) fn header(
        &mut self,
        reader: &mut Reader<'_>,
        limit: usize,
    ) -> Result<Vec<Atom>, ConnectionError> {
        let count = usize::from(reader.u8().ok_or(ConnectionError::Truncated)?);
        if count == 0 {
            return Ok(Vec::new());
        }
        // One nibble each, and one more for the frame.
        let flags = reader
            .take((count >> 1).saturating_add(1))
            .ok_or(ConnectionError::Truncated)?;
        let long = nibble(flags, count) & LONG_ATOMS != 0;
        let mut atoms = Vec::with_capacity(count);
        for position in 0..count {
            atoms.push(self.reference(nibble(flags, position), long, reader)?);
            if self.atoms > limit {
                return Err(ConnectionError::TooManyAtoms { limit });
            }
        }
        Ok(atoms)
    }

    fn reference(
        &mut self,
        flags: u8,
        long: bool,
        reader: &mut Reader<'_>,
    ) -> Result<Atom, ConnectionError> {
        let slot = Slot {
            segment: flags & SEGMENT,
            index: reader.u8().ok_or(ConnectionError::Truncated)?,
        };
        if flags & NEW_ENTRY == 0 {
            return self
                .slots
                .get(slot)
                .cloned()
                .ok_or_else(|| ConnectionError::NoSuchAtom {
                    slot: slot.number(),
                });
        }
        let text = if long {
            reader.counted()
        } else {
            short(reader)
        };
        let text = text.ok_or(ConnectionError::Truncated)?;
        let text = core::str::from_utf8(text).map_err(|_| ConnectionError::BadAtom)?;
        let atom = Atom::new(text).map_err(|_| ConnectionError::BadAtom)?;
        if self.slots.set(slot, atom.clone()).is_none() {
            self.atoms = self.atoms.saturating_add(1);
        }
        Ok(atom)
    }
}

/// Flags of a reference.
pub(super) const NEW_ENTRY: u8 = 0b1000;
const SEGMENT: u8 = 0b0111;
/// The frame's own flag: lengths of new atoms have two bytes.
pub(super) const LONG_ATOMS: u8 = 0b0001;

fn short<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let len = reader.u8()?;
    reader.take(usize::from(len))
}

/// The low half of a byte comes first.
fn nibble(flags: &[u8], position: usize) -> u8 {
    let byte = flags.get(position >> 1).copied().unwrap_or_default();
    if position & 1 == 0 {
        byte & 0x0f
    } else {
        byte >> 4
    }
}
