//! What ends a connection, and what cannot be sent.

use thiserror::Error;
use trunkline_etf::DecodeError;

use crate::control::ControlError;

/// Why a connection cannot go on. Nothing comes out of an [`Inbound`](super::Inbound) afterwards:
/// close the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The peer was silent for longer than its tick time allows.
    #[error("nothing was heard for longer than the tick time")]
    TickTimeout,
    /// A frame beyond [`Limits::frame`](super::Limits::frame).
    #[error("a frame of {len} bytes")]
    FrameTooLarge {
        /// The length that was claimed.
        len: usize,
    },
    /// A frame that begins with none of the known numbers, or one that was not negotiated.
    #[error("an unexpected frame that begins with {0}")]
    UnexpectedFrame(u8),
    /// A frame that ends inside its header.
    #[error("a frame that ends too early")]
    Truncated,
    /// A header refers to an entry of the atom cache that was never made.
    #[error("the atom cache has no entry {slot}")]
    NoSuchAtom {
        /// Segment × 256 + index.
        slot: u16,
    },
    /// A new entry of the atom cache that is no atom.
    #[error("an atom in a header is too long or not UTF-8")]
    BadAtom,
    /// More atoms in the cache than [`Limits::atoms`](super::Limits::atoms).
    #[error("more than {limit} atoms in the cache")]
    TooManyAtoms {
        /// The limit that was broken.
        limit: usize,
    },
    /// A fragment without a beginning, or out of order.
    #[error("fragment {fragment} of sequence {sequence} is out of order")]
    FragmentOutOfOrder {
        /// The sender's number for the message.
        sequence: u64,
        /// Counts down to 1.
        fragment: u64,
    },
    /// More unfinished messages than [`Limits::sequences`](super::Limits::sequences).
    #[error("too many unfinished messages")]
    TooManySequences,
    /// Control messages of unfinished messages beyond [`Limits::unfinished`](super::Limits::unfinished).
    #[error("control messages of unfinished messages take more than {limit} bytes")]
    UnfinishedTooLarge {
        /// The limit that was broken.
        limit: usize,
    },
    /// The control message is no term.
    #[error("the control message: {0}")]
    Term(#[from] DecodeError),
    /// The control message is none of the specification.
    #[error("the control message: {0}")]
    Control(#[from] ControlError),
    /// A message without its payload.
    #[error("a message without its payload")]
    NoPayload,
    /// Bytes after a message that has no payload.
    #[error("bytes after a message that has no payload")]
    Trailing,
}

/// Why a message cannot be sent. The connection is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PushError {
    /// The control message demands a payload and there is none, or the other way round.
    #[error("control message and payload do not fit together")]
    Payload,
    /// A frame holds 4 GiB at most.
    #[error("a message of {len} bytes")]
    TooLarge {
        /// Its length.
        len: usize,
    },
}
