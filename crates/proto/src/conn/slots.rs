//! The 8 × 256 slots of an atom cache, for either direction (`erl_ext_dist`, "Distribution Header").

use alloc::boxed::Box;
use core::fmt;

use trunkline_etf::Atom;

/// How many segments there are.
pub(super) const SEGMENTS: u8 = 8;

/// Where an atom is: the segment goes into a reference's flags, the index beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// Below [`SEGMENTS`].
    pub(super) segment: u8,
    pub(super) index: u8,
}

impl Slot {
    /// Segment × 256 + index.
    pub(super) const fn number(self) -> u16 {
        u16::from_be_bytes([self.segment, self.index])
    }
}

/// A segment of 6 KiB exists from its first atom on: most connections never need a second one.
#[derive(Clone, Default)]
pub(super) struct Slots([Option<Box<[Option<Atom>; 256]>>; SEGMENTS as usize]);

impl Slots {
    pub(super) fn get(&self, slot: Slot) -> Option<&Atom> {
        let segment = self.0.get(usize::from(slot.segment))?.as_deref()?;
        segment.get(usize::from(slot.index))?.as_ref()
    }

    /// Whether the segment has its memory.
    pub(super) fn has(&self, segment: u8) -> bool {
        self.0
            .get(usize::from(segment))
            .is_some_and(Option::is_some)
    }

    /// Puts an atom into a slot; gives what was there.
    pub(super) fn set(&mut self, slot: Slot, atom: Atom) -> Option<Atom> {
        let segment = self.0.get_mut(usize::from(slot.segment))?;
        let segment = segment.get_or_insert_with(|| Box::new([const { None }; 256]));
        segment.get_mut(usize::from(slot.index))?.replace(atom)
    }
}

/// Which atoms somebody uses is nobody else's business.
impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let segments = self.0.iter().filter(|segment| segment.is_some()).count();
        f.debug_struct("Slots")
            .field("segments", &segments)
            .finish()
    }
}
