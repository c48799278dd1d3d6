//! [`BigInt`]: integers that need more than 64 bits.

use alloc::vec::Vec;
use core::{cmp::Ordering, fmt};

use triomphe::Arc;

use crate::{parts::OVERHEAD, text};

/// An integer outside the range of `i64`, as sign and magnitude, seen inside of a [`Term`](crate::Term).
///
/// Smaller values always have the plain form there, so two equal integers have one form.
/// `Display` is decimal up to 8 KiB of magnitude and `16#…` above (Erlang reads both): decimal costs
/// quadratic time, and a peer chooses the length.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BigInt<'a> {
    negative: bool,
    /// Little endian, no zero at the end.
    magnitude: &'a [u8],
}

impl<'a> BigInt<'a> {
    /// Whether it is below zero.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.negative
    }

    /// The absolute value, little endian, without zeros at the end.
    #[must_use]
    pub fn magnitude(self) -> &'a [u8] {
        self.magnitude
    }

    /// The value, when it fits.
    #[must_use]
    pub fn to_u64(self) -> Option<u64> {
        u64::try_from(self.to_i128()?).ok()
    }

    /// The value, when it fits.
    #[must_use]
    pub fn to_i128(self) -> Option<i128> {
        let mut bytes = [0; 16];
        bytes
            .get_mut(..self.magnitude.len())?
            .copy_from_slice(self.magnitude);
        let value = u128::from_le_bytes(bytes);
        if self.negative {
            0_i128.checked_sub_unsigned(value)
        } else {
            i128::try_from(value).ok()
        }
    }

    /// A magnitude of more than eight bytes that is in its normal form already.
    #[inline]
    pub(crate) fn in_normal_form(negative: bool, magnitude: &'a [u8]) -> Option<Self> {
        let highest = magnitude.last().filter(|_| magnitude.len() > 8)?;
        (*highest != 0).then_some(Self {
            negative,
            magnitude,
        })
    }

    /// The normal form of sign and magnitude (little endian): small or big.
    pub(crate) fn normal(negative: bool, magnitude: &'a [u8]) -> Normal<'a> {
        let magnitude = trimmed(magnitude);
        match small(negative, magnitude) {
            Some(value) => Normal::Small(value),
            None => Normal::Big(Self {
                negative,
                magnitude,
            }),
        }
    }
}

pub(crate) enum Normal<'a> {
    Small(i64),
    Big(BigInt<'a>),
}

/// A large integer as a term holds it: up to [`ShortBig::MAX`] bytes inside, else shared.
#[derive(Clone)]
pub(crate) struct ShortBig {
    bytes: [u8; Self::MAX],
    length: u8,
    negative: bool,
}

impl ShortBig {
    /// 168 bits, so that a term stays at three words.
    pub(crate) const MAX: usize = 21;

    pub(crate) fn view(&self) -> BigInt<'_> {
        BigInt {
            negative: self.negative,
            magnitude: self.bytes.get(..self.length.into()).unwrap_or_default(),
        }
    }

    /// Whether it is below zero, its magnitude with zeros after it, and how long that is.
    #[inline]
    pub(crate) fn padded(&self) -> (bool, &[u8; Self::MAX], u8) {
        (self.negative, &self.bytes, self.length)
    }

    /// From the words of [`text::padded`]; `length` is at most [`MAX`](Self::MAX) and has no zeros at the end.
    pub(crate) fn from_words(negative: bool, words: [u64; 3], length: u8) -> Self {
        let [bytes @ .., _, _, _] = text::unpacked(words);
        Self {
            bytes,
            length,
            negative,
        }
    }
}

/// The sign (1 is minus), then the magnitude.
#[derive(Clone)]
pub(crate) struct LongBig(Arc<[u8]>);

impl LongBig {
    pub(crate) fn view(&self) -> BigInt<'_> {
        let (sign, magnitude) = self.0.split_first().unwrap_or((&0, &[]));
        BigInt {
            negative: *sign != 0,
            magnitude,
        }
    }
}

/// How a large integer is held.
pub(crate) enum Big {
    Short(ShortBig),
    Long(LongBig),
}

impl Big {
    /// Bytes on the heap for a magnitude of this length, for the size limit of decoding.
    #[inline]
    pub(crate) const fn heap_bytes(length: usize) -> usize {
        if length > ShortBig::MAX {
            length.saturating_add(OVERHEAD)
        } else {
            0
        }
    }
}

impl From<BigInt<'_>> for Big {
    fn from(value: BigInt<'_>) -> Self {
        let mut bytes = [0; ShortBig::MAX];
        let (negative, magnitude) = (value.negative, value.magnitude);
        match (
            bytes.get_mut(..magnitude.len()),
            u8::try_from(magnitude.len()),
        ) {
            (Some(place), Ok(length)) => {
                place.copy_from_slice(magnitude);
                Self::Short(ShortBig {
                    bytes,
                    length,
                    negative,
                })
            }
            _ => {
                let sign = core::iter::once(u8::from(negative));
                Self::Long(LongBig(sign.chain(magnitude.iter().copied()).collect()))
            }
        }
    }
}

/// Without the zeros at the (most significant) end.
pub(crate) fn trimmed(mut magnitude: &[u8]) -> &[u8] {
    while let [rest @ .., 0] = magnitude {
        magnitude = rest;
    }
    magnitude
}

pub(crate) fn small(negative: bool, magnitude: &[u8]) -> Option<i64> {
    let mut bytes = [0; 8];
    bytes.get_mut(..magnitude.len())?.copy_from_slice(magnitude);
    small_word(negative, u64::from_le_bytes(bytes))
}

#[inline]
pub(crate) fn small_word(negative: bool, magnitude: u64) -> Option<i64> {
    if negative {
        0_i64.checked_sub_unsigned(magnitude)
    } else {
        i64::try_from(magnitude).ok()
    }
}

impl PartialOrd for BigInt<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for BigInt<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let size = |a: &Self, b: &Self| {
            let lengths = a.magnitude.len().cmp(&b.magnitude.len());
            lengths.then_with(|| a.magnitude.iter().rev().cmp(b.magnitude.iter().rev()))
        };
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => size(self, other),
            (true, true) => size(other, self),
        }
    }
}

impl fmt::Display for BigInt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negative {
            f.write_str("-")?;
        }
        if self.magnitude.len() > DECIMAL_MAX {
            self.hexadecimal(f)
        } else {
            self.decimal(f)
        }
    }
}

impl fmt::Debug for BigInt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl BigInt<'_> {
    fn hexadecimal(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.magnitude.iter().rev();
        write!(f, "16#{:X}", bytes.next().unwrap_or(&0))?;
        bytes.try_for_each(|byte| write!(f, "{byte:02X}"))
    }

    fn decimal(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut limbs = limbs(self.magnitude);
        let mut groups = Vec::new();
        while !limbs.is_empty() {
            groups.push(divide(&mut limbs));
        }
        let mut groups = groups.iter().rev();
        write!(f, "{}", groups.next().unwrap_or(&0))?;
        groups.try_for_each(|group| write!(f, "{group:019}"))
    }
}

fn limbs(magnitude: &[u8]) -> Vec<u64> {
    let limb = |chunk: &[u8]| {
        let mut bytes = [0; 8];
        for (to, from) in bytes.iter_mut().zip(chunk) {
            *to = *from;
        }
        u64::from_le_bytes(bytes)
    };
    magnitude.chunks(8).map(limb).collect()
}

/// Divides by [`GROUP`] in place and gives the remainder.
fn divide(limbs: &mut Vec<u64>) -> u64 {
    let mut remainder = 0_u64;
    for limb in limbs.iter_mut().rev() {
        let value = (u128::from(remainder) << 64) | u128::from(*limb);
        // Both fit: the remainder is below GROUP, hence the quotient below 2^64.
        *limb = u64::try_from(value / GROUP).unwrap_or(u64::MAX);
        remainder = u64::try_from(value % GROUP).unwrap_or(u64::MAX);
    }
    while limbs.last() == Some(&0) {
        limbs.pop();
    }
    remainder
}

/// The largest power of ten in 64 bits: 19 digits for each division.
const GROUP: u128 = 10_000_000_000_000_000_000;

/// Bytes of magnitude up to which decimal is printed: about a millisecond.
const DECIMAL_MAX: usize = 8 * 1024;
