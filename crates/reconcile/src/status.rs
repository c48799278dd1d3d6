//! The engine at a glance, in plain types.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use trunkline_proto::{Instant, NodeName, Reason};

use crate::evidence::{Kind, Labels, SourceId, TopologyId, Unknown};
use crate::peer::Peer;
use crate::timer::Timer;
use crate::topology::{Member, Topology};
use crate::{Alarm, Engine};

/// Everything that `status` shows. Durations count back from, or on from, the moment it was taken.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Status {
    /// Our own node.
    pub me: NodeName,
    /// Whether it is there.
    pub up: bool,
    /// Whether new links are made.
    pub dialling: bool,
    /// All topologies, by name.
    pub topologies: Vec<TopologyStatus>,
    /// All peers, by name.
    pub peers: Vec<PeerStatus>,
    /// All links of our node, listed peers or not.
    pub links: BTreeSet<NodeName>,
}

/// One topology.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TopologyStatus {
    /// Its name.
    pub topology: TopologyId,
    /// Our own node fell out of it.
    pub left: bool,
    /// Our own node is listed in it now.
    pub lists_self: bool,
    /// What is wrong with its answers.
    pub alarm: Option<Alarm>,
    /// Nodes listed now, self included.
    pub listed: usize,
    /// Nodes that were listed and are kept for the grace.
    pub missing: usize,
    /// Its sources.
    pub sources: Vec<SourceStatus>,
}

/// One source.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SourceStatus {
    /// Which.
    pub source: SourceId,
    /// How much absence means.
    pub kind: Kind,
    /// Age of the last good answer.
    pub age: Option<Duration>,
    /// Why it does not know at the moment.
    pub error: Option<Unknown>,
}

/// One peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerStatus {
    /// The name that it gives itself, as far as known.
    pub node: NodeName,
    /// The names that it is listed under, where they differ.
    pub listed_as: Vec<NodeName>,
    /// Where it lives, when a source says so.
    pub address: Option<IpAddr>,
    /// Its distribution port, when a source says so.
    pub port: Option<u16>,
    /// Where it is listed.
    pub topologies: Vec<TopologyId>,
    /// How far it is.
    pub state: PeerState,
    /// What the health checks say.
    pub health: Verdict,
    /// Why it is not connected.
    pub reason: Option<Reason>,
    /// Failed attempts in a row.
    pub failures: u32,
    /// When the next attempt follows.
    pub retry_in: Option<Duration>,
    /// How long it has been connected.
    pub connected_for: Option<Duration>,
    /// What else the sources know.
    pub labels: Labels,
}

/// How far a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeerState {
    /// Listed, and not dialled: our node is not there, has left, or no longer dials.
    Discovered,
    /// The health check has not passed.
    Checking,
    /// An attempt runs, or waits for a slot.
    Connecting,
    /// The last attempt failed, the next one follows.
    Waiting,
    /// There is a link.
    Connected,
    /// It fell out of the answers and is kept for the grace.
    Missing,
    /// It fell out of the answers, and lives.
    UnlistedButConnected,
}

impl PeerState {
    /// The stable word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Discovered => "discovered",
            Self::Checking => "checking",
            Self::Connecting => "connecting",
            Self::Waiting => "waiting",
            Self::Connected => "connected",
            Self::Missing => "missing",
            Self::UnlistedButConnected => "unlisted_but_connected",
        }
    }
}

/// What health checks say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Nothing: there is no check, or it has not run.
    #[default]
    Unchecked,
    /// The gate is open.
    Passing,
    /// The gate is closed.
    Failing,
}

impl Verdict {
    /// The stable word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unchecked => "unchecked",
            Self::Passing => "passing",
            Self::Failing => "failing",
        }
    }
}

impl Status {
    /// Peers that are listed and connected.
    pub fn connected(&self) -> usize {
        let peers = self.peers.iter();
        (peers.filter(|peer| peer.state == PeerState::Connected)).count()
    }
}

impl Engine {
    /// The engine at a glance.
    pub fn status(&self, now: Instant) -> Status {
        let topologies = self.topologies.iter();
        let peers = self.peers.iter();
        Status {
            me: self.me.clone(),
            up: self.up,
            dialling: self.dialling,
            topologies: topologies.map(|(id, t)| topology(id, t, now)).collect(),
            peers: peers
                .map(|(name, peer)| self.peer(name, peer, now))
                .collect(),
            links: self.links.keys().cloned().collect(),
        }
    }

    fn peer(&self, node: &NodeName, peer: &Peer, now: Instant) -> PeerStatus {
        let listed = peer.listings.iter().map(|(_, listed)| listed);
        let names: BTreeSet<_> = listed.filter(|name| *name != node).cloned().collect();
        let topologies: BTreeSet<_> = peer.listings.iter().map(|(id, _)| id.clone()).collect();
        let (dial, state) = (self.dial(node), self.state(node, peer));
        let since = self.links.get(node);
        let retry = self.timers.get(&Timer::Attempt(node.clone()));
        let mut labels = Labels::new();
        for member in self.members(peer) {
            labels.extend(member.info.labels.clone());
        }
        PeerStatus {
            node: node.clone(),
            listed_as: names.into_iter().collect(),
            address: dial.address,
            port: dial.port,
            topologies: topologies.into_iter().collect(),
            state,
            health: self.verdict(peer),
            reason: peer.reason.clone(),
            failures: if since.is_some() { 0 } else { peer.failures },
            retry_in: retry.map(|at| at.saturating_since(now)),
            connected_for: since.map(|since| now.saturating_since(*since)),
            labels,
        }
    }

    fn state(&self, node: &NodeName, peer: &Peer) -> PeerState {
        let mut members = self.members(peer);
        if self.links.contains_key(node) {
            return if peer.unlisted.is_some() {
                PeerState::UnlistedButConnected
            } else {
                PeerState::Connected
            };
        }
        if members.all(|member| member.presence.is_missing()) {
            return PeerState::Missing;
        }
        if self.busy.contains(node) || self.ready.contains(&(peer.failures, node.clone())) {
            return PeerState::Connecting;
        }
        let mut listings = peer.listings.iter();
        if !listings.any(|(id, listed)| self.gate(id, listed, node)) {
            PeerState::Checking
        } else if self.timers.get(&Timer::Attempt(node.clone())).is_some() {
            PeerState::Waiting
        } else {
            PeerState::Discovered
        }
    }

    /// The worst that a check of any topology says.
    fn verdict(&self, peer: &Peer) -> Verdict {
        let mut worst = Verdict::Unchecked;
        for member in self.members(peer) {
            match member.health.verdict {
                Verdict::Failing => return Verdict::Failing,
                Verdict::Passing => worst = Verdict::Passing,
                Verdict::Unchecked => {}
            }
        }
        worst
    }

    fn members<'a>(&'a self, peer: &'a Peer) -> impl Iterator<Item = &'a Member> {
        let listings = peer.listings.iter();
        listings.filter_map(|(id, listed)| self.topologies.get(id)?.members.get(listed))
    }
}

fn topology(id: &TopologyId, topology: &Topology, now: Instant) -> TopologyStatus {
    let sources = topology.sources.iter().map(|(source, state)| SourceStatus {
        source: source.clone(),
        kind: state.kind,
        age: state.answered.map(|at| now.saturating_since(at)),
        error: state.error.clone(),
    });
    TopologyStatus {
        topology: id.clone(),
        left: topology.left,
        lists_self: topology.own.is_listed(),
        alarm: topology.alarm,
        listed: topology.listed(),
        missing: topology.missing(),
        sources: sources.collect(),
    }
}
