//! Text of atoms: the short ASCII ones in three words, all others as the standard library has it.

use core::str;

use crate::{AtomError, DecodeError, atom::MAX_CHARS};

/// Three words: what fits into an atom or a binary without a heap, and a byte for its length.
pub(crate) const WIDE: usize = 24;

/// The first `length` bytes of `bytes` with zeros after them, when there are that many and `length` is less than
/// [`WIDE`]. Where enough bytes follow, nothing in it depends on the length but a mask, so it costs the same for all.
#[inline]
pub(crate) fn padded(bytes: &[u8], length: usize) -> Option<[u64; 3]> {
    let [first, second, third] = MASKS.get(length)?;
    let [one, two, three] = match bytes.first_chunk() {
        Some(bytes) => words(bytes),
        None if length <= bytes.len() => words(&last_bytes(bytes)),
        None => return None,
    };
    Some([one & first, two & second, three & third])
}

#[inline]
fn words(bytes: &[u8; WIDE]) -> [u64; 3] {
    let mut words = [0; 3];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    words
}

/// Bytes before the end of the input, with zeros instead of what would follow.
#[inline(never)]
fn last_bytes(bytes: &[u8]) -> [u8; WIDE] {
    let mut wide = [0; WIDE];
    for (to, from) in wide.iter_mut().zip(bytes) {
        *to = *from;
    }
    wide
}

/// As [`padded`], when all of it is ASCII.
#[inline]
pub(crate) fn padded_ascii(bytes: &[u8], length: usize) -> Option<[u64; 3]> {
    let words @ [one, two, three] = padded(bytes, length)?;
    ((one | two | three) & HIGH_BITS == 0).then_some(words)
}

/// Whether the first `length` bytes are there and ASCII, when they are few enough for an atom without a heap.
#[inline(always)]
pub(crate) fn is_short_ascii(bytes: &[u8], length: usize) -> Option<()> {
    let ascii = match (bytes.first_chunk(), MASKS.get(length)) {
        (Some(bytes), Some([first, second, third])) => {
            let [one, two, three] = words(bytes);
            ((one & first) | (two & second) | (three & third)) & HIGH_BITS == 0
        }
        _ => is_last_ascii(bytes, length),
    };
    ascii.then_some(())
}

/// The same at the end of the input.
#[inline(never)]
fn is_last_ascii(bytes: &[u8], length: usize) -> bool {
    let text = bytes.get(..length).filter(|text| text.len() < WIDE);
    text.is_some_and(<[u8]>::is_ascii)
}

const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// The first `length` bytes, at most eight, as the lower ones of a number.
#[inline(always)]
pub(crate) fn word(bytes: &[u8], length: usize) -> Option<u64> {
    let word = match bytes.first_chunk() {
        Some(word) => u64::from_le_bytes(*word),
        None => last_word(bytes.get(..length)?),
    };
    let unused = u32::try_from(8_usize.checked_sub(length)?).ok()?;
    let mask = u64::MAX.checked_shr(unused.wrapping_mul(8));
    Some(word & mask.unwrap_or_default())
}

#[inline(never)]
fn last_word(bytes: &[u8]) -> u64 {
    let bytes = bytes.iter().rev();
    bytes.fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// The bytes of [`padded`]; the last one is 0.
#[inline]
pub(crate) fn unpacked([one, two, three]: [u64; 3]) -> [u8; WIDE] {
    let mut bytes = [0; WIDE];
    for (to, from) in bytes
        .as_chunks_mut::<8>()
        .0
        .iter_mut()
        .zip([one, two, three])
    {
        *to = from.to_le_bytes();
    }
    bytes
}

/// A number that differs for most contents.
#[inline]
pub(crate) fn mark(bytes: &[u8; WIDE]) -> u64 {
    bytes.as_chunks::<8>().0.iter().fold(0, |mark, word| {
        mark.rotate_left(23) ^ u64::from_le_bytes(*word)
    })
}

/// For each length, which bits of the three words count.
const MASKS: [[u64; 3]; WIDE] = masks();

const fn masks() -> [[u64; 3]; WIDE] {
    let mut masks = [[0; 3]; WIDE];
    let mut rest: &mut [[u64; 3]] = &mut masks;
    let mut length = 0_u32;
    while let Some((mask, more)) = rest.split_first_mut() {
        *mask = [
            low_bytes(length),
            low_bytes(length.saturating_sub(8)),
            low_bytes(length.saturating_sub(16)),
        ];
        rest = more;
        length = length.saturating_add(1);
    }
    masks
}

/// The lowest `count` bytes set, all of them from 8 on.
const fn low_bytes(count: u32) -> u64 {
    match 1_u64.checked_shl(count.saturating_mul(8)) {
        Some(bit) => bit.wrapping_sub(1),
        None => u64::MAX,
    }
}

/// The text of an atom in UTF-8, checked.
pub(crate) fn utf8(bytes: &[u8]) -> Result<&str, DecodeError> {
    let text = str::from_utf8(bytes).map_err(|_| AtomError::NotUtf8)?;
    if text.len() > MAX_CHARS && text.chars().count() > MAX_CHARS {
        return Err(AtomError::TooLong.into());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn what_is_beyond_the_length_is_zero() {
        let bytes: vec::Vec<u8> = (1..=40).collect();
        for length in 0..WIDE {
            let mut expected = bytes[..WIDE].to_vec();
            expected[length..].fill(0);
            assert_eq!(unpacked(padded(&bytes, length).unwrap()).to_vec(), expected);
        }
        for (there, length) in
            (0..WIDE).flat_map(|there| (0..=WIDE).map(move |length| (there, length)))
        {
            let found = padded(&bytes[..there], length).map(unpacked);
            let wanted = padded(&bytes, length).map(unpacked);
            assert_eq!(found, wanted.filter(|_| length <= there));
        }
        assert!(padded(&bytes, WIDE).is_none());
        assert!(padded_ascii(&[200; 40], 0).is_some() && padded_ascii(&[200; 40], 1).is_none());
    }
}
