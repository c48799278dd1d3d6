//! The kinds of frames (`erl_ext_dist`, "Distribution Header"), told apart by their first bytes.

use super::ConnectionError;
use super::fragments::FragmentId;
use crate::wire::Reader;

/// Without a header: control message and message with a version byte each.
pub(super) const PASS_THROUGH: u8 = 112;
/// Begins every term, and every frame with a header.
pub(super) const VERSION: u8 = 131;
/// A whole message.
pub(super) const HEADER: u8 = 68;
/// The first fragment of a message.
pub(super) const FIRST_FRAGMENT: u8 = 69;
/// Any other fragment.
pub(super) const NEXT_FRAGMENT: u8 = 70;

/// One frame; the bytes begin where the kind and the numbers end.
#[derive(Clone, Copy)]
pub(super) enum Frame<'a> {
    PassThrough(&'a [u8]),
    Whole(&'a [u8]),
    FirstFragment(FragmentId, &'a [u8]),
    NextFragment(FragmentId, &'a [u8]),
}

impl<'a> Frame<'a> {
    /// Tells a frame's kind. Where a header was negotiated each frame has one, else none.
    pub(super) fn parse(body: &'a [u8], headers: bool) -> Result<Self, ConnectionError> {
        let mut reader = Reader::new(body);
        let first = reader.u8().ok_or(ConnectionError::Truncated)?;
        match (first, headers) {
            (PASS_THROUGH, false) => Ok(Self::PassThrough(reader.rest())),
            (VERSION, true) => Self::with_header(reader),
            _ => Err(ConnectionError::UnexpectedFrame(first)),
        }
    }

    fn with_header(mut reader: Reader<'a>) -> Result<Self, ConnectionError> {
        let kind = reader.u8().ok_or(ConnectionError::Truncated)?;
        match kind {
            HEADER => Ok(Self::Whole(reader.rest())),
            FIRST_FRAGMENT => {
                let id = fragment_id(&mut reader)?;
                Ok(Self::FirstFragment(id, reader.rest()))
            }
            NEXT_FRAGMENT => {
                let id = fragment_id(&mut reader)?;
                Ok(Self::NextFragment(id, reader.rest()))
            }
            other => Err(ConnectionError::UnexpectedFrame(other)),
        }
    }
}

/// The two numbers behind the kind of a fragment.
fn fragment_id(reader: &mut Reader<'_>) -> Result<FragmentId, ConnectionError> {
    let sequence = reader.u64().ok_or(ConnectionError::Truncated)?;
    let fragment = reader.u64().ok_or(ConnectionError::Truncated)?;
    Ok(FragmentId { sequence, fragment })
}

/// The numbers of a frame that begins with `bytes`, when it is a fragment but not the first.
pub(super) fn next_fragment(bytes: &[u8]) -> Option<(FragmentId, Reader<'_>)> {
    let mut reader = Reader::new(bytes.strip_prefix(&[VERSION, NEXT_FRAGMENT])?);
    let id = fragment_id(&mut reader).ok()?;
    Some((id, reader))
}
