//! The engine's state, its clock, and what it hands out.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use core::time::Duration;

use trunkline_proto::{Instant, NodeName};

use crate::backoff::Jitter;
use crate::evidence::{Kind, SourceId, TopologyId};
use crate::links::Audit;
use crate::peer::{Peer, Unlisted};
use crate::timer::{Timer, Timers, rebased};
use crate::topology::{Source, Topology};
use crate::{Action, Config, Event, TopologyRules};

/// Who should be connected with one node, and what to do about it.
///
/// Tell it what happened (`observe`, `link_up`, `connect_result`, …), then take what it wants
/// ([`Engine::poll_action`], [`Engine::poll_event`] until `None`) and wake it at
/// [`Engine::poll_timeout`] with [`Engine::handle_timeout`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Engine {
    pub(crate) config: Config,
    pub(crate) now: Instant,
    pub(crate) jitter: Jitter,
    pub(crate) me: NodeName,
    /// Other names under which sources list our own node.
    pub(crate) own_names: BTreeSet<NodeName>,
    /// Our node is there, so that links can be made.
    pub(crate) up: bool,
    pub(crate) dialling: bool,
    pub(crate) topologies: BTreeMap<TopologyId, Topology>,
    pub(crate) sources: BTreeMap<SourceId, TopologyId>,
    /// By the name that they give themselves.
    pub(crate) peers: BTreeMap<NodeName, Peer>,
    /// All links of our node, and since when.
    pub(crate) links: BTreeMap<NodeName, Instant>,
    /// Links whose name spells an address in another way, by the canonical spelling.
    pub(crate) odd_links: BTreeMap<NodeName, NodeName>,
    /// Links that end because our own node leaves: that was said for all of them at once.
    pub(crate) parting: BTreeSet<NodeName>,
    /// Peers that wait for a slot; those who failed least first, so that dead ones delay nobody.
    pub(crate) ready: BTreeSet<(u32, NodeName)>,
    /// Peers that hold a slot.
    pub(crate) busy: BTreeSet<NodeName>,
    /// Dropped from every topology; the newest last.
    pub(crate) gone: VecDeque<(NodeName, Unlisted)>,
    /// While a list of links is on its way.
    pub(crate) auditing: Option<Audit>,
    pub(crate) timers: Timers,
    pub(crate) actions: VecDeque<Action>,
    pub(crate) events: VecDeque<Event>,
}

impl Engine {
    /// An engine for the node `me`. Nothing is dialled before [`Engine::me_up`].
    pub fn new(me: NodeName, config: Config, seed: u64) -> Self {
        Self {
            config,
            now: Instant::ZERO,
            jitter: Jitter::new(seed),
            me,
            own_names: BTreeSet::new(),
            up: false,
            dialling: true,
            topologies: BTreeMap::new(),
            sources: BTreeMap::new(),
            peers: BTreeMap::new(),
            links: BTreeMap::new(),
            odd_links: BTreeMap::new(),
            parting: BTreeSet::new(),
            ready: BTreeSet::new(),
            busy: BTreeSet::new(),
            gone: VecDeque::new(),
            auditing: None,
            timers: Timers::default(),
            actions: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// The knobs that it was made with.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The node that it works for.
    pub const fn me(&self) -> &NodeName {
        &self.me
    }

    /// What holds for one topology. Without it the defaults do.
    pub fn add_topology(&mut self, topology: TopologyId, rules: TopologyRules) {
        self.topologies.entry(topology).or_default().rules = rules;
    }

    /// A source of this topology; more than one may belong to it, and who is in any of them is in
    /// the topology. Answers of unknown sources are ignored.
    pub fn add_source(&mut self, source: SourceId, topology: TopologyId, kind: Kind) {
        let entry = Source::new(kind);
        let known = self.topologies.entry(topology.clone()).or_default();
        known.sources.insert(source.clone(), entry);
        self.sources.insert(source, topology);
    }

    /// Whether our own node can be steered: after [`Engine::me_up`], before the next [`Engine::me_down`].
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// No new links from now on; those that exist are left alone. For a shutdown.
    pub fn stop_dialling(&mut self, now: Instant) {
        self.advance(now);
        self.dialling = false;
        self.settle_all();
    }

    /// The next thing to do, when there is one.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front().or_else(|| self.next_connect())
    }

    /// The next thing to say, when there is one.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Engine::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        while let Some(timer) = self.timers.pop(self.now) {
            match timer {
                Timer::Audit => self.ask_audit(),
                Timer::Attempt(peer) => self.settle(&peer),
                Timer::Look(peer) => self.look(&peer),
                Timer::Verify(topology, listed) => self.verify_name(&topology, &listed),
                Timer::Check(topology, listed) => self.check(&topology, &listed),
                Timer::Removal(topology) => self.judge(&topology),
                Timer::Unlisted(peer) => self.outstayed(&peer),
            }
        }
    }

    /// The same engine with every moment counted from now, the past as zero. Two engines that will
    /// behave alike become equal, whenever they got there.
    pub fn rebased(&self) -> Self {
        let origin = self.now;
        let mut copy = self.clone();
        copy.now = Instant::ZERO;
        copy.timers.rebase(origin);
        for since in copy.links.values_mut() {
            *since = rebased(*since, origin);
        }
        copy.topologies.values_mut().for_each(|t| t.rebase(origin));
        copy.peers.values_mut().for_each(|p| p.rebase(origin));
        copy
    }

    /// Takes the time. When nobody called while a timer was long due, we were stopped.
    pub(crate) fn advance(&mut self, now: Instant) {
        let due = self.timers.next().map_or(now, |due| due.max(self.now));
        let late = now.saturating_since(due);
        self.now = self.now.max(now);
        if late > self.config.freeze {
            self.thaw(late);
        }
    }

    /// What is known is older than the gap: nothing is removed on it, and nobody asked to leave.
    fn thaw(&mut self, gap: Duration) {
        let grace_end = self.after(self.config.removal_grace);
        for topology in self.topologies.values_mut() {
            topology.count_again(grace_end);
        }
        self.wait_again();
        self.events.push_back(Event::Frozen { gap });
        self.ask_audit();
    }

    /// The moment `wait` from now.
    pub(crate) fn after(&self, wait: Duration) -> Instant {
        Instant::at(self.now.since_start().saturating_add(wait))
    }

    pub(crate) fn say(&mut self, event: Event) {
        self.events.push_back(event);
    }
}
