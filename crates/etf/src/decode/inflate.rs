//! Compressed terms.

use alloc::vec::Vec;

use miniz_oxide::inflate::{
    TINFLStatus,
    core::{
        DecompressorOxide, decompress,
        inflate_flags::{
            TINFL_FLAG_COMPUTE_ADLER32, TINFL_FLAG_PARSE_ZLIB_HEADER,
            TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
        },
    },
};

use super::Decoder;
use crate::{DecodeError, Term, input::Input, tag};

impl Decoder<'_> {
    /// `80`, the inflated size, a zlib stream of exactly that much: one term, which is not compressed again.
    pub(super) fn compressed(&mut self) -> Result<Term, DecodeError> {
        let input = self.remaining();
        let mut head = Input(&input);
        head.skip(1)?;
        let size = head.count()?;
        if size > self.limits.inflated {
            return Err(DecodeError::TooInflated(self.limits.inflated));
        }
        let (inflated, used) = inflate(head.0, size).ok_or(DecodeError::Compressed)?;
        // The tag and the size.
        self.at = self.at.saturating_add(5).saturating_add(used);
        let mut inner = Decoder::new(inflated.into(), &self.limits).atoms(self.atoms);
        inner.budget = self.budget;
        let term = match inner.byte(0)? {
            tag @ (tag::COMPRESSED | tag::LOCAL) => return Err(DecodeError::Tag(tag)),
            _ => inner.term()?,
        };
        // What it holds counts for the terms that follow, too.
        self.budget = inner.budget;
        match size.saturating_sub(inner.used()) {
            0 => Ok(term),
            more => Err(DecodeError::Trailing(more)),
        }
    }
}

/// Inflates to exactly `size` bytes; gives them, and how much of the input the stream has.
fn inflate(input: &[u8], size: usize) -> Option<(Vec<u8>, usize)> {
    let flags = TINFL_FLAG_PARSE_ZLIB_HEADER
        | TINFL_FLAG_COMPUTE_ADLER32
        | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let mut state = alloc::boxed::Box::<DecompressorOxide>::default();
    // The output grows with what the input really holds, whatever it claims.
    let mut output = alloc::vec![0; size.min(input.len().saturating_mul(FIRST_GUESS))];
    let (mut used, mut made) = (0_usize, 0_usize);
    loop {
        let rest = input.get(used..)?;
        let (status, read, written) = decompress(&mut state, rest, &mut output, made, flags);
        used = used.checked_add(read)?;
        made = made.checked_add(written)?;
        match status {
            TINFLStatus::Done if made == size => return Some((output, used)),
            TINFLStatus::HasMoreOutput if output.len() < size => {
                output.resize(size.min(output.len().saturating_mul(2).max(64)), 0);
            }
            _ => return None,
        }
    }
}

/// How much larger than its input an output is expected to be.
const FIRST_GUESS: usize = 4;
