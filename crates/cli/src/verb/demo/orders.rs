//! What the demo and its nodes say to each other: one JSON line to a node's stdin, many from its
//! stdout. The cookie travels here and nowhere else: not in arguments, not in the environment.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};
use trunkline_proto::NodeName;

/// Who a node is to be. No `Debug`: the cookie is in it.
#[derive(Serialize, Deserialize)]
pub(super) struct Orders {
    /// Its name.
    pub(super) name: String,
    /// Where it listens, and where the port mapper of its "host" does.
    pub(super) ip: Ipv4Addr,
    /// The port of all port mappers.
    pub(super) epmd_port: u16,
    /// The only name server.
    pub(super) nameserver: SocketAddr,
    /// What to ask it.
    pub(super) query: String,
    /// The cookie.
    pub(super) secret_cookie: String,
}

/// What a node says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub(super) enum Report {
    /// It listens and is registered.
    Ready,
    /// It is connected to this node.
    Up { peer: String },
    /// It is no longer connected to this node.
    Down { peer: String, why: String },
    /// It cannot start.
    Failed { why: String },
}

impl Report {
    /// It is connected to `peer`.
    pub(super) fn up(peer: &NodeName) -> Self {
        Self::Up {
            peer: peer.to_string(),
        }
    }
}
