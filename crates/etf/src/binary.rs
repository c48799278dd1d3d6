//! Binaries and bitstrings: slices of the bytes that they came from, short ones inside of their term.

use alloc::vec::Vec;

use bytes::Bytes;
use triomphe::Arc;

use crate::text;

/// A part of shared bytes, in 16 bytes: `Bytes` itself would make every term larger.
#[derive(Clone)]
pub(crate) struct Binary {
    source: Arc<Bytes>,
    start: u32,
    length: u32,
}

impl Binary {
    /// The longest that the format can carry.
    pub(crate) const MAX: usize = u32::MAX as usize;

    pub(crate) fn new(bytes: Bytes) -> Self {
        let length = u32::try_from(bytes.len()).expect("a binary is shorter than 4 GiB");
        Self {
            source: Arc::new(bytes),
            start: 0,
            length,
        }
    }

    /// `None` when the source does not have these bytes.
    pub(crate) fn part(source: &Arc<Bytes>, start: usize, length: usize) -> Option<Self> {
        source.get(start..start.checked_add(length)?)?;
        let (start, length) = (u32::try_from(start).ok()?, u32::try_from(length).ok()?);
        Some(Self {
            source: Arc::clone(source),
            start,
            length,
        })
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        let (start, length) = self.place();
        self.source
            .get(start..)
            .and_then(|rest| rest.get(..length))
            .unwrap_or_default()
    }

    pub(crate) fn to_bytes(&self) -> Bytes {
        self.source.slice_ref(self.as_slice())
    }

    fn place(&self) -> (usize, usize) {
        (self.start as usize, self.length as usize)
    }
}

/// A binary that is held inside of its term.
#[derive(Clone)]
pub(crate) struct ShortBinary {
    bytes: [u8; Self::MAX],
    length: u8,
}

impl ShortBinary {
    /// What fits into a term beside the length and the byte that says what it is.
    pub(crate) const MAX: usize = 22;

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.length.into()).unwrap_or_default()
    }

    /// With zeros after it, and its length.
    #[inline]
    pub(crate) fn padded(&self) -> (&[u8; Self::MAX], u8) {
        (&self.bytes, self.length)
    }

    /// Equal ones have the same, others mostly not.
    #[inline]
    pub(crate) fn mark(&self) -> u64 {
        let mut wide = [0; text::WIDE];
        let [content @ .., _, last] = &mut wide;
        *content = self.bytes;
        *last = self.length;
        text::mark(&wide)
    }

    /// `None` when it is too long.
    pub(crate) fn new(content: &[u8]) -> Option<Self> {
        let mut bytes = [0; Self::MAX];
        bytes.get_mut(..content.len())?.copy_from_slice(content);
        let length = u8::try_from(content.len()).ok()?;
        Some(Self { bytes, length })
    }

    /// The same from the first `length` of these bytes, which costs less when more follow.
    #[inline]
    pub(crate) fn of_input(bytes: &[u8], length: usize) -> Option<Self> {
        if length > Self::MAX {
            return None;
        }
        let [bytes @ .., _, _] = text::unpacked(text::padded(bytes, length)?);
        let length = u8::try_from(length).ok()?;
        Some(Self { bytes, length })
    }
}

/// A bitstring whose length is not a multiple of eight.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Bits {
    bytes: Bytes,
    last: u8,
}

impl Bits {
    /// Copies only when bits that do not count are set, as they may be on the wire.
    pub(crate) fn new(bytes: Bytes, last: u8) -> Self {
        let bytes = match &*bytes {
            [rest @ .., byte] if !is_clean(&bytes, last) => {
                let mut own = Vec::with_capacity(bytes.len());
                own.extend_from_slice(rest);
                own.push(byte & !padding(last));
                Bytes::from(own)
            }
            _ => bytes,
        };
        Self { bytes, last }
    }

    /// The bytes; in the last one the highest [`bits_of_last`](Self::bits_of_last) bits count, the others are 0.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// How many bits of the last byte count: 1 to 7.
    #[must_use]
    pub fn bits_of_last(&self) -> u8 {
        self.last
    }
}

/// Whether no bits of the last byte are set that do not count.
pub(crate) fn is_clean(bytes: &[u8], last: u8) -> bool {
    bytes.last().is_none_or(|byte| byte & padding(last) == 0)
}

/// The bits of a byte beyond the first `used`.
fn padding(used: u8) -> u8 {
    u8::MAX.checked_shr(used.into()).unwrap_or(0)
}
