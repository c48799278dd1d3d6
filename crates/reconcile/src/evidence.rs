//! What the engine is told: who is out there, according to whom.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use trunkline_proto::NodeName;

/// What a source knows of a peer beside its name: tags, region, machine id. Keys are flat
/// (`region`, `tags.role`).
pub type Labels = BTreeMap<String, String>;

/// One node that a source lists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer {
    /// Its name, the address in canonical text.
    pub node: NodeName,
    /// Where it lives, when the source knows better than the name says.
    pub address: Option<IpAddr>,
    /// Its distribution port, when the source knows it and EPMD need not be asked.
    pub port: Option<u16>,
    /// The source recognised it as the node that we serve (by machine id or address).
    pub is_self: bool,
    /// What else is known.
    pub labels: Labels,
}

impl Peer {
    /// A peer of which only the name is known.
    pub fn named(node: NodeName) -> Self {
        Self {
            address: node.ip(),
            node,
            port: None,
            is_self: false,
            labels: Labels::new(),
        }
    }
}

/// One good answer of a source: everybody it knows. There is no partial answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Answer {
    /// Everybody, self included when the source lists it.
    pub peers: Vec<Peer>,
    /// What was passed over and why, one sentence each (a Droplet without the wanted address).
    pub notes: Vec<String>,
}

/// Why a source does not know. Its last good answer stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Unknown {
    /// What went wrong, where: one clause, no secret in it.
    pub what: String,
    /// What to do about it, one clause.
    pub cure: String,
}

/// How much absence means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A complete listing: who is absent is gone (an API, a host list).
    Authoritative,
    /// A sample: who is absent may still be there (DNS, gossip).
    Sampling,
}

/// The smallest thing that can fail alone: one query and record family, one listing, one list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub String);

/// What an operator calls one cluster-to-be: `[topologies.web]`. It has one or more sources.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopologyId(pub String);

impl core::fmt::Display for SourceId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(&self.0)
    }
}

impl core::fmt::Display for TopologyId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(&self.0)
    }
}
