//! The port mapper (`erl_dist_protocol`, "EPMD Protocol"): what a node says to it, what it
//! answers, and its table of names as a pure machine.
//!
//! Start with [`Request`] on the client's side and [`Registry`] on the server's.

mod registry;
mod request;
mod response;

pub use registry::{Access, Answer, NameTaken, Registered, Registry, Then};
pub use request::{NodeType, Registration, Request};
pub use response::{AliveResponse, NameEntry, NamesResponse, PortResponse};

use thiserror::Error;

/// The port where EPMD listens unless `ERL_EPMD_PORT` says otherwise.
pub const DEFAULT_PORT: u16 = 4369;

/// The longest name that is taken: an atom of 255 characters of four bytes each.
pub const MAX_NAME: usize = 1020;

/// Why bytes are no request or no answer, or why a request cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EpmdError {
    /// The other side ended before the message did.
    #[error("the message ends too early")]
    Truncated,
    /// More bytes than the message has.
    #[error("bytes after the end of the message")]
    Trailing,
    /// No message begins like this.
    #[error("unknown message {0}")]
    Unknown(u8),
    /// A request without content.
    #[error("an empty request")]
    Empty,
    /// A name that is empty, longer than [`MAX_NAME`], not UTF-8, or has control characters: one
    /// with a line break would put lines of its own into the list of names. OTP's epmd takes those.
    #[error("a name that is empty, too long, not UTF-8 or has control characters")]
    BadName,
    /// An answer that is not written as EPMD writes it.
    #[error("a line that no port mapper writes")]
    BadLine,
    /// The parts do not fit into the 64 KiB of a request.
    #[error("more than a request can hold")]
    TooLong,
}
