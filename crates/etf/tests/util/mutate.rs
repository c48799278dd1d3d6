//! Damage to bytes, the same for the same seed.

use std::time::{SystemTime, UNIX_EPOCH};

/// Random numbers (SplitMix64) that a seed repeats.
pub(crate) struct Random(u64);

impl Random {
    /// A new seed each time, printed; `TRUNKLINE_SEED` repeats a failure.
    pub(crate) fn seeded() -> Self {
        let now = || {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            u64::from(since.subsec_nanos()) << 32 | since.as_secs()
        };
        let given = std::env::var("TRUNKLINE_SEED").ok();
        let seed = given.map_or_else(now, |text| text.parse().unwrap());
        println!("TRUNKLINE_SEED={seed}");
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `bound`; 0 when that is 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % (bound.max(1) as u64)).unwrap()
    }

    pub(crate) fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    /// One to four changes; `other` is where foreign parts come from.
    pub(crate) fn damage(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=self.below(4) {
            self.once(bytes, other);
        }
    }

    fn once(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(bytes.len());
        let end = (at + 1 + self.below(8)).min(bytes.len());
        match self.below(9) {
            0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            1 if at < bytes.len() => bytes[at] = *self.of(&BYTES),
            2 if at + 4 <= bytes.len() => {
                bytes[at..at + 4].copy_from_slice(&self.of(&NUMBERS).to_be_bytes());
            }
            3 if at + 2 <= bytes.len() => {
                let number = *self.of(&[0_u16, 1, 255, 256, 0x7fff, 0xffff]);
                bytes[at..at + 2].copy_from_slice(&number.to_be_bytes());
            }
            4 => bytes.truncate(at),
            5 if at < end => drop(bytes.drain(at..end)),
            6 if at < end => {
                let again = bytes[at..end].repeat(1 + self.below(3));
                bytes.splice(at..at, again);
            }
            7 => {
                let from = self.below(other.len());
                let to = (from + 1 + self.below(40)).min(other.len());
                bytes.splice(at..at, other[from.min(to)..to].iter().copied());
            }
            _ => bytes.insert(at, *self.of(&BYTES)),
        }
    }
}

/// Edges, and every tag and kind of frame.
const BYTES: [u8; 44] = [
    0, 1, 2, 3, 4, 5, 8, 16, 31, 32, 127, 128, 254, 255, 67, 68, 69, 70, 77, 80, 82, 88, 89, 90,
    97, 98, 99, 100, 101, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 116, 118, 119, 120,
    131,
];

const NUMBERS: [u32; 10] = [
    0,
    1,
    255,
    256,
    0xffff,
    0x1_0000,
    0x0400_0000,
    0x7fff_ffff,
    0xffff_fffe,
    0xffff_ffff,
];
