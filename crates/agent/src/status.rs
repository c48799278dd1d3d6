//! What `/api/v1/status` says. These types are the interface: the engine's own may change without
//! a key changing here. More keys may come; readers pass over those they do not know.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use trunkline_reconcile as engine;
use trunkline_reconcile::PeerState;
use trunkline_reconcile::evidence::Kind;

/// The agent, its node and its topologies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentStatus {
    /// Of the agent, as `trunkline --version` prints it.
    pub version: String,
    /// The agent's process.
    pub pid: u32,
    /// Time since the agent started, in milliseconds.
    pub uptime_ms: u64,
    /// The node that the agent serves.
    pub node: NodeStatus,
    /// Each topology, in the order of the names.
    pub topologies: Vec<TopologyStatus>,
    /// Peers that were connected for a topology and that none lists any more.
    pub unlisted: Vec<PeerStatus>,
    /// Every node that the own one is connected to, listed or not, hidden ones left out.
    pub links: Vec<String>,
}

impl AgentStatus {
    /// How many nodes the cluster has from here: the own one when it is attached, and the connected
    /// peers.
    pub fn cluster_size(&self) -> usize {
        let peers = self.topologies.iter().flat_map(|topology| &topology.peers);
        let connected = peers.filter(|peer| peer.state == "connected");
        let mut names: Vec<_> = connected.map(|peer| peer.node.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        usize::from(self.node.attached) + names.len()
    }
}

/// The attached node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// Whether the agent is connected to it.
    pub attached: bool,
    /// Why not, when it is not.
    pub reason: Option<ReasonStatus>,
    /// Where the cookie came from, never the cookie.
    pub cookie_source: String,
    /// The port of every port mapper, as the agent was told; absent from agents that do not say.
    #[serde(default)]
    pub epmd_port: Option<u16>,
    /// Where the node listens, when the configuration says so because no EPMD does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// One topology.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopologyStatus {
    /// As in the configuration.
    pub name: String,
    /// The strategy's name.
    pub strategy: String,
    /// `active`; `left` when the own node fell out of an authoritative listing; `off` when the
    /// configuration leaves nothing to ask.
    pub state: String,
    /// Why it is off, when it is.
    #[serde(default)]
    pub off: Option<String>,
    /// What is suspicious about its answers, when something is.
    pub alarm: Option<String>,
    /// How many nodes it lists, the own one counted when it is listed.
    pub listed: usize,
    /// Whether it lists the own node.
    pub lists_self: bool,
    /// What it asks.
    pub sources: Vec<SourceStatus>,
    /// Who it lists, the own node left out.
    pub peers: Vec<PeerStatus>,
}

/// One source of a topology.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceStatus {
    /// What it asks, unique in the agent.
    pub id: String,
    /// `authoritative` or `sampling`: how much absence from an answer means.
    pub kind: String,
    /// Age of the last good answer in milliseconds; null before the first.
    pub last_answer_ms: Option<u64>,
    /// Why the newest answer is none; null when it is one.
    pub error: Option<String>,
}

/// One peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// The name that it gives itself, as far as known.
    pub node: String,
    /// Where it lives, when a source says so.
    pub address: Option<String>,
    /// Its distribution port, when a source says so.
    pub port: Option<u16>,
    /// `discovered`, `checking`, `connecting`, `waiting`, `connected`, `missing` or
    /// `unlisted_but_connected`.
    pub state: String,
    /// `unchecked`, `passing` or `failing`.
    pub health: String,
    /// Why it is not connected, when that is known.
    pub reason: Option<ReasonStatus>,
    /// Failed attempts in a row.
    pub failures: u32,
    /// Time until the next attempt in milliseconds, when one is planned.
    pub next_attempt_ms: Option<u64>,
    /// How long it has been connected, in milliseconds.
    pub connected_ms: Option<u64>,
    /// What else the sources know.
    pub labels: BTreeMap<String, String>,
}

/// A `Reason`: its stable code and its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonStatus {
    /// One of the documented codes.
    pub code: String,
    /// One sentence.
    pub text: String,
}

impl From<&trunkline_proto::Reason> for ReasonStatus {
    fn from(reason: &trunkline_proto::Reason) -> Self {
        Self {
            code: reason.code().to_owned(),
            text: reason.to_string(),
        }
    }
}

impl PeerStatus {
    fn new(peer: &engine::PeerStatus) -> Self {
        Self {
            node: peer.node.to_string(),
            address: peer.address.map(|ip| ip.to_string()),
            port: peer.port,
            state: peer.state.as_str().to_owned(),
            health: peer.health.as_str().to_owned(),
            reason: peer.reason.as_ref().map(ReasonStatus::from),
            failures: peer.failures,
            next_attempt_ms: peer.retry_in.map(millis),
            connected_ms: peer.connected_for.map(millis),
            labels: peer.labels.clone(),
        }
    }
}

impl SourceStatus {
    fn new(source: &engine::SourceStatus) -> Self {
        let kind = match source.kind {
            Kind::Authoritative => "authoritative",
            Kind::Sampling => "sampling",
        };
        Self {
            id: source.source.to_string(),
            kind: kind.to_owned(),
            last_answer_ms: source.age.map(millis),
            error: source.error.as_ref().map(|why| why.what.clone()),
        }
    }
}

impl TopologyStatus {
    /// What the engine says of a topology; `strategy` it does not know.
    pub(crate) fn new(
        topology: &engine::TopologyStatus,
        strategy: &str,
        peers: &[engine::PeerStatus],
    ) -> Self {
        let listed = |peer: &&engine::PeerStatus| peer.topologies.contains(&topology.topology);
        let state = if topology.left { "left" } else { "active" };
        Self {
            name: topology.topology.to_string(),
            strategy: strategy.to_owned(),
            state: state.to_owned(),
            off: None,
            alarm: topology.alarm.map(|alarm| alarm.to_string()),
            listed: topology.listed,
            lists_self: topology.lists_self,
            sources: topology.sources.iter().map(SourceStatus::new).collect(),
            peers: peers.iter().filter(listed).map(PeerStatus::new).collect(),
        }
    }
}

/// The peers that no topology lists.
pub(crate) fn unlisted(peers: &[engine::PeerStatus]) -> Vec<PeerStatus> {
    let stray = |peer: &&engine::PeerStatus| peer.state == PeerState::UnlistedButConnected;
    peers.iter().filter(stray).map(PeerStatus::new).collect()
}

/// In milliseconds, as every duration in JSON.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
