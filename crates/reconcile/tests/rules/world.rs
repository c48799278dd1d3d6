//! A small world around one engine: sources that are polled every five seconds, peers that behave
//! as told, and a clock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use trunkline_proto::{Creation, Instant, NodeName, Reason, Step};
use trunkline_reconcile::evidence::{Answer, Kind, Peer, SourceId, TopologyId, Unknown};
use trunkline_reconcile::{Action, Attempt, Config, Dial, Engine, Event, PeerState, Proof};

pub(crate) const POLL: Duration = Duration::from_secs(5);

/// How a peer meets an attempt.
#[derive(Clone, Debug)]
pub(crate) enum Peerish {
    /// It connects.
    Lives,
    /// The preflight fails.
    Fails(Reason),
    /// It greets, and refuses the cookie.
    OtherCookie,
    /// It greets, and says nothing more.
    Mute,
    /// It greets and proves the cookie, and our node cannot connect it all the same.
    OnlyFromHere,
    /// Nothing ever comes back.
    Hangs,
}

pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) now: Duration,
    pub(crate) peers: BTreeMap<NodeName, Peerish>,
    pub(crate) creations: BTreeMap<NodeName, u32>,
    /// What each source says at its next poll; a source that is not here is silent.
    pub(crate) answers: BTreeMap<SourceId, Result<Answer, Unknown>>,
    /// Peers that have an agent.
    pub(crate) agents: BTreeSet<NodeName>,
    pub(crate) healthy: BTreeSet<NodeName>,
    /// Links as the node has them.
    pub(crate) links: BTreeSet<NodeName>,
    /// Everything said, with its second.
    pub(crate) said: Vec<(u64, Event)>,
    /// Everything wanted, with its second.
    pub(crate) wanted: Vec<(u64, Action)>,
    /// Handshakes that a peer saw.
    pub(crate) handshakes: BTreeMap<NodeName, u32>,
    next_poll: Duration,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Config::default())
    }

    /// `n1` is our own node; it is there, and nothing is listed.
    pub(crate) fn with(config: Config) -> Self {
        let mut engine = Engine::new(node(1), config, 42);
        engine.me_up(Instant::ZERO, &BTreeSet::new());
        Self {
            engine,
            now: Duration::ZERO,
            peers: BTreeMap::new(),
            creations: BTreeMap::new(),
            answers: BTreeMap::new(),
            agents: BTreeSet::new(),
            healthy: BTreeSet::new(),
            links: BTreeSet::new(),
            said: Vec::new(),
            wanted: Vec::new(),
            handshakes: BTreeMap::new(),
            next_poll: Duration::ZERO,
        }
    }

    /// A world whose topology `web` lists `n1` to `n<n>` in one complete list; all live.
    pub(crate) fn fleet(n: u8) -> Self {
        Self::fleet_with(n, Config::default())
    }

    pub(crate) fn fleet_with(n: u8, config: Config) -> Self {
        let mut world = Self::with(config);
        world.source("web", "api", Kind::Authoritative);
        world.list("api", 1..=n);
        (2..=n).for_each(|i| world.set(i, Peerish::Lives));
        world
    }

    pub(crate) fn source(&mut self, topology: &str, source: &str, kind: Kind) {
        let topology = TopologyId(topology.into());
        self.engine
            .add_source(SourceId(source.into()), topology, kind);
    }

    pub(crate) fn list(&mut self, source: &str, nodes: impl IntoIterator<Item = u8>) {
        self.list_peers(source, nodes.into_iter().map(|i| Peer::named(node(i))));
    }

    pub(crate) fn list_peers(&mut self, source: &str, peers: impl IntoIterator<Item = Peer>) {
        let peers = peers.into_iter().collect();
        let answer = Answer {
            peers,
            notes: vec![],
        };
        self.answers.insert(SourceId(source.into()), Ok(answer));
    }

    pub(crate) fn fail(&mut self, source: &str, what: &str) {
        let (what, cure) = (what.into(), "mend it".into());
        let source = SourceId(source.into());
        self.answers.insert(source, Err(Unknown { what, cure }));
    }

    pub(crate) fn set(&mut self, i: u8, peer: Peerish) {
        self.peers.insert(node(i), peer);
    }

    /// The peer dies, and its link with it.
    pub(crate) fn kill(&mut self, i: u8) {
        self.set(i, Peerish::Fails(refused(i)));
        self.cut(i);
    }

    pub(crate) fn cut(&mut self, i: u8) {
        if self.links.remove(&node(i)) {
            self.engine
                .link_down(self.at(), &node(i), "connection_closed");
        }
    }

    /// The other side connects.
    pub(crate) fn dial_in(&mut self, i: u8) {
        self.links.insert(node(i));
        self.engine.link_up(self.at(), &node(i));
    }

    pub(crate) fn at(&self) -> Instant {
        Instant::at(self.now)
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, secs: u64) {
        let end = self.now + Duration::from_secs(secs);
        self.settle();
        loop {
            let timer = self.engine.poll_timeout().map(Instant::since_start);
            let next = timer.map_or(self.next_poll, |at| at.min(self.next_poll));
            if next > end {
                break;
            }
            self.now = self.now.max(next);
            if self.now >= self.next_poll {
                self.next_poll += POLL;
                self.poll();
            }
            self.engine.handle_timeout(self.at());
            self.settle();
        }
        self.now = end;
    }

    /// Every source is asked once.
    pub(crate) fn poll(&mut self) {
        for (source, answer) in self.answers.clone() {
            self.engine.observe(Instant::at(self.now), &source, answer);
        }
        self.settle();
    }

    /// Every source is asked once and timers run; what the engine wants is left to the test.
    pub(crate) fn poll_only(&mut self) {
        for (source, answer) in self.answers.clone() {
            self.engine.observe(self.at(), &source, answer);
        }
        self.engine.handle_timeout(self.at());
    }

    /// Does what the engine wants until it wants nothing.
    pub(crate) fn settle(&mut self) {
        self.listen();
        while let Some(action) = self.engine.poll_action() {
            self.wanted.push((self.now.as_secs(), action.clone()));
            self.act(action);
            self.listen();
        }
    }

    fn listen(&mut self) {
        while let Some(event) = self.engine.poll_event() {
            self.said.push((self.now.as_secs(), event));
        }
    }

    fn act(&mut self, action: Action) {
        let now = self.at();
        match action {
            Action::Connect { target, proof } => {
                if let Some(attempt) = self.dial(&target, proof) {
                    if attempt.result.is_ok() {
                        self.links.insert(target.node.clone());
                        self.engine.link_up(now, &target.node);
                    }
                    self.engine.connect_result(now, &target.node, attempt);
                }
            }
            Action::Check { topology, target } => {
                let passed = self.healthy.contains(&target.node);
                let verdict = passed
                    .then_some(())
                    .ok_or_else(|| "no answer on port 80".into());
                self.engine.health(now, &topology, &target.node, verdict);
            }
            Action::Look { target } => {
                let creation = self.creation(&target.node);
                let found = match self.peers.get(&target.node) {
                    Some(Peerish::Fails(reason)) => Err(reason.clone()),
                    Some(Peerish::Hangs) | None => Err(Reason::Timeout { step: Step::Port }),
                    Some(_) => Ok(creation),
                };
                self.engine.looked(now, &target.node, found);
            }
            Action::Leave { topology } => {
                self.engine.leave_result(now, &topology, Ok(()));
                for peer in std::mem::take(&mut self.links) {
                    self.engine.link_down(now, &peer, "disconnect");
                }
            }
            Action::FindAgents { leaver, among } => {
                let has = |name: NodeName| (name.clone(), self.agents.contains(&name));
                let found = among.into_iter().map(has).collect();
                self.engine.agents(now, &leaver, &found);
            }
            Action::Disconnect { peer } => {
                if self.links.remove(&peer) {
                    self.engine.link_down(now, &peer, "disconnect");
                }
            }
            Action::Audit => self.engine.audit(now, &self.links.clone()),
            Action::AskLeave { .. } => {}
        }
    }

    fn dial(&mut self, target: &Dial, proof: Proof) -> Option<Attempt> {
        let seen = self.handshakes.entry(target.node.clone()).or_default();
        let silent = Peerish::Fails(Reason::Timeout { step: Step::Port });
        let (result, proved) = match self.peers.get(&target.node).unwrap_or(&silent) {
            Peerish::Lives => (Ok(()), false),
            Peerish::Fails(reason) => (Err(reason.clone()), false),
            Peerish::Hangs => return None,
            Peerish::OtherCookie => {
                // Our node's dial, our proof, or both, is a line in the log over there.
                *seen += if proof == Proof::WhenItFails { 2 } else { 1 };
                (
                    Err(proof_result(proof, Reason::CookieMismatch)),
                    proof != Proof::No,
                )
            }
            Peerish::Mute => {
                let step = Step::Handshake;
                let reason = Reason::Timeout { step };
                (Err(proof_result(proof, reason)), proof != Proof::No)
            }
            Peerish::OnlyFromHere => {
                *seen += if proof == Proof::No { 1 } else { 2 };
                let detail = "it said no".into();
                let reason = Reason::DiffersFromHere { detail };
                (Err(proof_result(proof, reason)), proof != Proof::No)
            }
        };
        let creation = Some(self.creation(&target.node));
        Some(Attempt {
            result,
            creation,
            proved,
        })
    }

    fn creation(&self, name: &NodeName) -> Creation {
        Creation(self.creations.get(name).copied().unwrap_or(1))
    }

    pub(crate) fn state(&self, i: u8) -> Option<PeerState> {
        let status = self.engine.status(self.at());
        let peer = status.peers.into_iter().find(|peer| peer.node == node(i));
        peer.map(|peer| peer.state)
    }

    pub(crate) fn is_left(&self, topology: &str) -> bool {
        let status = self.engine.status(self.at());
        (status.topologies.iter()).any(|t| t.topology.0 == topology && t.left)
    }

    /// How often something like this was said.
    pub(crate) fn count(&self, like: impl Fn(&Event) -> bool) -> usize {
        self.said.iter().filter(|(_, event)| like(event)).count()
    }

    /// When this peer was dialled.
    pub(crate) fn dials(&self, i: u8) -> Vec<u64> {
        let dialled = |action: &Action| matches!(action, Action::Connect { target, .. } if target.node == node(i));
        let wanted = self.wanted.iter().filter(|(_, action)| dialled(action));
        wanted.map(|(at, _)| *at).collect()
    }

    pub(crate) fn wanted(&self, like: impl Fn(&Action) -> bool) -> usize {
        self.wanted
            .iter()
            .filter(|(_, action)| like(action))
            .count()
    }

    /// Forgets what was said and wanted so far.
    pub(crate) fn hush(&mut self) {
        self.said.clear();
        self.wanted.clear();
    }
}

fn proof_result(proof: Proof, proved: Reason) -> Reason {
    match proof {
        Proof::No => Reason::Closed {
            step: Step::Connect,
        },
        _ => proved,
    }
}

pub(crate) fn node(i: u8) -> NodeName {
    format!("app@10.0.0.{i}").parse().unwrap()
}

pub(crate) fn refused(i: u8) -> Reason {
    let addr = std::net::SocketAddr::from(([10, 0, 0, i], 4369));
    Reason::EpmdUnreachable {
        addr,
        refused: true,
    }
}
