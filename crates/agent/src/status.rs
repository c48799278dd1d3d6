//! What `/api/v1/status` says. These types are the interface: the engine's own may change without
//! a key changing here. More keys may come; readers pass over those they do not know.

use serde::{Deserialize, Serialize};

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
    /// Connected to the node and listed by no source, `left` ones and strangers.
    pub unlisted: Vec<String>,
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
}

/// One topology.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopologyStatus {
    /// As in the configuration.
    pub name: String,
    /// The strategy's name.
    pub strategy: String,
    /// `active`, or `left` when the own node fell out of an authoritative listing.
    pub state: String,
    /// What is suspicious about its answers, when something is.
    pub alarm: Option<String>,
    /// What it asks.
    pub sources: Vec<SourceStatus>,
    /// Who it lists.
    pub peers: Vec<PeerStatus>,
}

/// One source of a topology.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceStatus {
    /// What it asks, unique in the agent.
    pub id: String,
    /// Age of the last good answer in milliseconds; null before the first.
    pub last_answer_ms: Option<u64>,
    /// Why the newest answer is none; null when it is one.
    pub error: Option<String>,
    /// How many peers the last good answer holds.
    pub peers: usize,
}

/// One peer of a topology.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Its name.
    pub node: String,
    /// `discovered`, `unhealthy`, `connecting`, `connected`, `missing`, …
    pub state: String,
    /// Why it is not connected, when that is known.
    pub reason: Option<ReasonStatus>,
    /// Time in this state, in milliseconds.
    pub since_ms: u64,
    /// Time until the next attempt, in milliseconds, when one is planned.
    pub next_attempt_ms: Option<u64>,
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
