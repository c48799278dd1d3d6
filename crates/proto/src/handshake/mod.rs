//! The distribution handshake, version 6 (`erl_dist_protocol`, "Distribution Handshake"), as state
//! machines: one struct per state that holds what exists then, frames in, frames out.
//!
//! ```text
//! initiator                                              acceptor
//! Start            -- send_name -->                      AwaitName
//! AwaitStatus      <-- status --                         Caller (its driver decides)
//!   AliveQuestion  -- status true/false -->                AwaitAlive
//! AwaitChallenge   <-- send_challenge --                 Challenger
//! Greeted          -- send_challenge_reply -->           AwaitReply
//! AwaitAck         <-- send_challenge_ack --             AwaitReply
//! Connected                                              Connected
//! ```
//!
//! Start with [`initiator::Start`] or [`acceptor::AwaitName`]. A [`HandshakeFramer`] cuts what
//! comes from the connection into frames; frames here have no length prefix. Challenges are
//! arguments: they have to be unpredictable, and this crate has no randomness.

pub mod acceptor;
mod admission;
mod error;
mod framer;
pub mod initiator;
mod message;

pub use admission::{Admission, dynamic_name};
pub use error::{Fault, HandshakeError};
pub use framer::{FrameTooLarge, HandshakeFramer, Prefix};
pub use message::{
    Challenge, ChallengeAck, ChallengeReply, Malformed, MessageKind, SendName, Status,
};

use alloc::string::String;

use crate::{Creation, Flags, NodeName};

/// What this node says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// The name, or the wish for one.
    pub name: LocalName,
    /// What this node can do; [`Flags::hidden_default`] for one built on this crate.
    pub flags: Flags,
    /// This incarnation; [`Creation::ANY`] together with [`LocalName::Dynamic`].
    pub creation: Creation,
}

impl Local {
    /// A node with a name.
    pub const fn new(name: NodeName, flags: Flags, creation: Creation) -> Self {
        Self {
            name: LocalName::Fixed(name),
            flags,
            creation,
        }
    }

    /// A node that takes the name and the creation which the acceptor gives it. Hidden always.
    pub fn dynamic(host: impl Into<String>, flags: Flags) -> Self {
        Self {
            name: LocalName::Dynamic { host: host.into() },
            flags: flags.with(Flags::NAME_ME).without(Flags::PUBLISHED),
            creation: Creation::ANY,
        }
    }
}

/// The name that a caller shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalName {
    /// A name of its own.
    Fixed(NodeName),
    /// The acceptor is asked for a name (`NAME_ME`).
    Dynamic {
        /// The part after the `@` that the name shall have.
        host: String,
    },
}

/// What the other node says about itself, known from its first message on, no cookie needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// Its name.
    pub name: NodeName,
    /// What it can do, as announced.
    pub flags: Flags,
    /// Its incarnation.
    pub creation: Creation,
}

/// Both sides have proved the cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connected {
    /// This node's name; given by the acceptor where it was asked for one.
    pub me: NodeName,
    /// This node's creation, likewise.
    pub my_creation: Creation,
    /// The other node's name.
    pub peer: NodeName,
    /// What the other node announced.
    pub peer_flags: Flags,
    /// What holds on this connection: the flags that both announced.
    pub flags: Flags,
    /// The other node's creation.
    pub creation: Creation,
}

/// Which of two dials that met wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Race {
    /// The caller's: answer [`acceptor::Caller::accept_simultaneous`], drop the own attempt.
    Theirs,
    /// Ours: answer [`acceptor::Caller::refuse_nok`], keep the own attempt.
    Ours,
}

/// Decides when `caller` dials in while this node, `me`, dials it: the greater name wins, compared
/// byte by byte.
pub fn race(me: &NodeName, caller: &NodeName) -> Race {
    if caller.as_str().as_bytes() > me.as_str().as_bytes() {
        Race::Theirs
    } else {
        Race::Ours
    }
}
