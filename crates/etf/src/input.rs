//! [`Input`]: bytes that cannot be read past their end.

use crate::DecodeError;

/// What is left to read. A copy of two words, so that hot loops keep it in registers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Input<'b>(pub(crate) &'b [u8]);

impl<'b> Input<'b> {
    #[inline]
    pub(crate) fn left(self) -> usize {
        self.0.len()
    }

    #[inline]
    pub(crate) fn peek(self) -> Result<u8, DecodeError> {
        self.0.first().copied().ok_or(DecodeError::Truncated)
    }

    #[inline]
    pub(crate) fn take(&mut self, length: usize) -> Result<&'b [u8], DecodeError> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    #[inline]
    pub(crate) fn skip(&mut self, length: usize) -> Result<(), DecodeError> {
        self.take(length).map(|_| ())
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array().map(|[byte]| byte)
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_be_bytes)
    }

    /// A count or length of 32 bits.
    #[inline]
    pub(crate) fn count(&mut self) -> Result<usize, DecodeError> {
        // Where `usize` is smaller, there are never that many bytes.
        usize::try_from(self.u32()?).map_err(|_| DecodeError::Truncated)
    }

    /// Passes over a count of 32 bits, when it is zero.
    #[inline]
    pub(crate) fn skip_zero_count(&mut self) -> bool {
        let Some(([0, 0, 0, 0], rest)) = self.0.split_first_chunk() else {
            return false;
        };
        self.0 = rest;
        true
    }
}
