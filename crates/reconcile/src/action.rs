//! What the engine wants done, and how it went.

use alloc::vec::Vec;
use core::net::IpAddr;

use trunkline_proto::{Creation, NodeName, Reason};

use crate::evidence::TopologyId;

/// One thing to do. Whoever drives the engine does them side by side and reports each one's end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Reach the peer, greet it, have it dialled; then [`crate::Engine::connect_result`]. It holds
    /// one of `max_attempts` slots until then.
    Connect {
        /// Whom, and where.
        target: Dial,
        /// How far our own handshake may go.
        proof: Proof,
    },
    /// Check the health of a peer; then [`crate::Engine::health`].
    Check {
        /// The topology whose check it is.
        topology: TopologyId,
        /// Whom, and where. The name is the listed one.
        target: Dial,
    },
    /// Probe the peer up to its greeting and no further; then [`crate::Engine::looked`].
    Look {
        /// Whom, and where.
        target: Dial,
    },
    /// Make our own node leave gently: `global:disconnect/0`; then
    /// [`crate::Engine::leave_result`].
    Leave {
        /// The topology that no longer lists our node.
        topology: TopologyId,
    },
    /// Which of these nodes have an agent of ours (a hidden `trunkline-…` connected to them)? Then
    /// [`crate::Engine::agents`].
    FindAgents {
        /// The living peer that no source lists.
        leaver: NodeName,
        /// The leaver, and who else could ask it.
        among: Vec<NodeName>,
    },
    /// Ask this peer, which has no agent, to leave gently: `global:disconnect/0` there. No answer
    /// is expected.
    AskLeave {
        /// Whom.
        peer: NodeName,
    },
    /// Cut the link: the operator chose `on_removed = "disconnect"`. The link event follows.
    Disconnect {
        /// To whom.
        peer: NodeName,
    },
    /// Read the list of all links; then [`crate::Engine::audit`], or [`crate::Engine::audit_failed`].
    Audit,
}

/// Whom to reach, and where.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Dial {
    /// The name.
    pub node: NodeName,
    /// The address, when a source knows better than the name says.
    pub address: Option<IpAddr>,
    /// The distribution port, when a source knows it.
    pub port: Option<u16>,
}

/// How far our own handshake may go. A full handshake is a line in the log of a peer whose cookie
/// differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Proof {
    /// No full handshake now.
    No,
    /// One, when the peer greets us and the connect fails all the same.
    WhenItFails,
    /// First, and the peer is dialled only when it passes: the last one did not.
    First,
}

/// How an attempt to connect went.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// Connected, or why not.
    pub result: Result<(), Reason>,
    /// The peer's creation, when it greeted us.
    pub creation: Option<Creation>,
    /// Whether a full handshake of our own was made.
    pub proved: bool,
}

impl From<Result<(), Reason>> for Attempt {
    fn from(result: Result<(), Reason>) -> Self {
        Self {
            result,
            creation: None,
            proved: false,
        }
    }
}

/// One link of our node, as an audit finds it.
pub type Links = alloc::collections::BTreeSet<NodeName>;
