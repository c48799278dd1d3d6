//! A reader that cannot read past the end.

use alloc::sync::Arc;

use bytes::Bytes;

use crate::{DecodeError, binary::Binary};

#[derive(Debug)]
pub(super) struct Reader {
    bytes: Bytes,
    /// Made with the first binary, shared by all.
    shared: Option<Arc<Bytes>>,
    at: usize,
}

impl Reader {
    pub(super) fn new(bytes: Bytes) -> Self {
        Self {
            bytes,
            shared: None,
            at: 0,
        }
    }

    pub(super) fn used(&self) -> usize {
        self.at
    }

    pub(super) fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    pub(super) fn rest(&self) -> Bytes {
        self.bytes.slice(self.at.min(self.bytes.len())..)
    }

    pub(super) fn peek(&self) -> Result<u8, DecodeError> {
        self.bytes
            .get(self.at)
            .copied()
            .ok_or(DecodeError::Truncated)
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&[u8], DecodeError> {
        let end = self.at.checked_add(length).ok_or(DecodeError::Truncated)?;
        let taken = self.bytes.get(self.at..end).ok_or(DecodeError::Truncated)?;
        self.at = end;
        Ok(taken)
    }

    pub(super) fn take_rest(&mut self) -> &[u8] {
        let taken = self.bytes.get(self.at..).unwrap_or_default();
        self.at = self.bytes.len();
        taken
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest.first_chunk().ok_or(DecodeError::Truncated)?;
        self.at = self.at.saturating_add(N);
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_be_bytes)
    }

    /// A count or length of 32 bits.
    pub(super) fn count(&mut self) -> Result<usize, DecodeError> {
        // Where `usize` is smaller, there are never that many bytes.
        usize::try_from(self.u32()?).map_err(|_| DecodeError::Truncated)
    }

    /// Passes over a count of 32 bits, when it is zero.
    pub(super) fn skip_zero_count(&mut self) -> bool {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let zero = rest.starts_with(&[0; 4]);
        if zero {
            self.at = self.at.saturating_add(4);
        }
        zero
    }

    /// The next bytes, shared.
    pub(super) fn binary(&mut self, length: usize) -> Result<Binary, DecodeError> {
        let start = self.at;
        self.take(length)?;
        let shared = self
            .shared
            .get_or_insert_with(|| Arc::new(self.bytes.clone()));
        // A frame has less than 4 GiB; what is beyond cannot be addressed.
        Binary::part(shared, start, length).ok_or(DecodeError::Truncated)
    }

    /// The next bytes, as `Bytes`.
    pub(super) fn bytes(&mut self, length: usize) -> Result<Bytes, DecodeError> {
        let start = self.at;
        let end = start.saturating_add(length);
        self.take(length)?;
        Ok(self.bytes.slice(start..end))
    }
}
