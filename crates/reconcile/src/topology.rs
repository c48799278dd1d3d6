//! What is known of one topology: its sources, its members, and who listed whom when.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;

use trunkline_proto::{Instant, NodeName};

use crate::evidence::{self, Kind, SourceId, Unknown};
use crate::timer::rebased;
use crate::{Alarm, Fraction, TopologyRules};

/// Everything under the names that the sources use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Topology {
    pub(crate) rules: TopologyRules,
    pub(crate) sources: BTreeMap<SourceId, Source>,
    pub(crate) members: BTreeMap<NodeName, Member>,
    /// Our own node, by the sources that ever listed it.
    pub(crate) own: Presence,
    /// Our own node fell out of it.
    pub(crate) left: bool,
    pub(crate) alarm: Option<Alarm>,
    /// Good answers in a row after which nobody listed our own node.
    pub(crate) selfless: u32,
    /// It was said that our own node belongs to another topology.
    pub(crate) foreign: bool,
    pub(crate) step: Step,
}

/// One source: what it said last.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Source {
    pub(crate) kind: Kind,
    /// When the last good answer came.
    pub(crate) answered: Option<Instant>,
    /// Why it does not know at the moment.
    pub(crate) error: Option<Unknown>,
    /// How many nodes its last good answer holds, self included.
    pub(crate) holds: usize,
    /// What its last good answer passed over.
    pub(crate) notes: BTreeSet<String>,
    /// We were stopped since: what comes next may have been asked before.
    pub(crate) old: bool,
}

/// One listed node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Member {
    pub(crate) info: evidence::Peer,
    pub(crate) presence: Presence,
    /// It was said that it is no longer listed.
    pub(crate) absent: bool,
    /// The name that it gives itself, where that is another one.
    pub(crate) actual: Option<NodeName>,
    /// The other name that was said last.
    pub(crate) said: Option<NodeName>,
    pub(crate) health: Health,
    /// Absent from a sampling source for long enough: does it answer?
    pub(crate) silence: Silence,
}

/// Whether an absent node was asked if it lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Silence {
    #[default]
    Unasked,
    Asked,
    /// It does not answer.
    Proved,
}

/// What the checks say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Health {
    pub(crate) verdict: crate::Verdict,
    /// Checks in a row that contradict the verdict.
    pub(crate) streak: u32,
    pub(crate) running: bool,
}

/// How much was removed in this step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Step {
    pub(crate) until: Option<Instant>,
    pub(crate) left: usize,
    /// It was said that removals wait.
    pub(crate) said: bool,
}

/// Which sources list, or listed, a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Presence(pub(crate) BTreeMap<SourceId, Seen>);

/// How one source sees a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Seen {
    pub(crate) kind: Kind,
    /// Good answers in a row without it.
    pub(crate) misses: u32,
    /// End of the grace; `None` while it is listed.
    pub(crate) grace: Option<Instant>,
}

impl Presence {
    pub(crate) fn listed(&mut self, source: &SourceId, kind: Kind) {
        let seen = Seen {
            kind,
            misses: 0,
            grace: None,
        };
        self.0.insert(source.clone(), seen);
    }

    /// Some source lists it now.
    pub(crate) fn is_listed(&self) -> bool {
        self.0.values().any(|seen| seen.grace.is_none())
    }

    /// Missing, and that is worth a line: a sample misses a node now and then.
    pub(crate) fn is_absent(&self, misses: u32) -> bool {
        let settled = |seen: &Seen| seen.kind == Kind::Authoritative || seen.misses >= misses;
        self.is_missing() && self.0.values().all(settled)
    }

    /// It was listed, and now it is not.
    pub(crate) fn is_missing(&self) -> bool {
        !self.0.is_empty() && !self.is_listed()
    }

    pub(crate) fn any(&self, kind: Kind) -> bool {
        self.0.values().any(|seen| seen.kind == kind)
    }

    /// Missing often and long enough in each source that ever listed it.
    pub(crate) fn is_overdue(&self, misses: u32, now: Instant) -> bool {
        let overdue =
            |seen: &Seen| seen.misses >= misses && seen.grace.is_some_and(|end| end <= now);
        !self.0.is_empty() && self.0.values().all(overdue)
    }

    /// When the last grace ends.
    pub(crate) fn grace_end(&self) -> Option<Instant> {
        self.0.values().filter_map(|seen| seen.grace).max()
    }

    /// Evidence older than a gap counts for nothing: absence is counted again from now.
    pub(crate) fn count_again(&mut self, grace_end: Instant) {
        for seen in self.0.values_mut().filter(|seen| seen.grace.is_some()) {
            seen.misses = 0;
            seen.grace = Some(grace_end);
        }
    }

    fn rebase(&mut self, origin: Instant) {
        for seen in self.0.values_mut() {
            seen.grace = seen.grace.map(|at| rebased(at, origin));
        }
    }
}

impl Source {
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            answered: None,
            error: None,
            holds: 0,
            notes: BTreeSet::new(),
            old: false,
        }
    }
}

impl Member {
    pub(crate) fn new(info: evidence::Peer) -> Self {
        Self {
            info,
            presence: Presence::default(),
            absent: false,
            actual: None,
            said: None,
            health: Health::default(),
            silence: Silence::default(),
        }
    }

    /// What a source says now. One that does not know the address does not make us forget it.
    pub(crate) fn inform(&mut self, info: evidence::Peer) {
        let old = core::mem::replace(&mut self.info, info);
        self.info.address = self.info.address.or(old.address);
        self.info.port = self.info.port.or(old.port);
        if self.info.labels.is_empty() {
            self.info.labels = old.labels;
        }
    }

    /// The name to dial.
    pub(crate) fn name(&self) -> &NodeName {
        self.actual.as_ref().unwrap_or(&self.info.node)
    }
}

impl Topology {
    /// The last good answers hold nobody.
    pub(crate) fn is_empty(&self) -> bool {
        self.sources.values().all(|source| source.holds == 0)
    }

    /// Nodes that some source lists now, self included.
    pub(crate) fn listed(&self) -> usize {
        let members = self.members.values();
        let peers = members.filter(|m| m.presence.is_listed()).count();
        peers.saturating_add(usize::from(self.own.is_listed()))
    }

    /// Everybody who counts, missing ones and self included.
    pub(crate) fn size(&self) -> usize {
        let own = usize::from(!self.own.0.is_empty() && !self.left);
        self.members.len().saturating_add(own)
    }

    /// How many of them are missing.
    pub(crate) fn missing(&self) -> usize {
        let members = self.members.values();
        let peers = members.filter(|m| m.presence.is_missing()).count();
        let own = usize::from(self.own.is_missing() && !self.left);
        peers.saturating_add(own)
    }

    /// So many are missing at once that the source is doubted rather than believed.
    pub(crate) fn is_doubted(&self, guard: Fraction) -> bool {
        self.missing() > guard.of(self.size())
    }

    /// Good answers without our own node: one that lists everybody is enough, a sample may miss us
    /// now and then.
    pub(crate) fn lacks_self(&self, misses: u32) -> bool {
        let complete = (self.sources.values()).any(|s| s.kind == Kind::Authoritative);
        self.selfless > if complete { 0 } else { misses }
    }

    /// Our own node was in it at least once, as far as we know.
    pub(crate) fn ever_held_self(&self) -> bool {
        !self.own.0.is_empty()
    }

    /// Every source has said something, good or bad.
    pub(crate) fn is_heard(&self) -> bool {
        (self.sources.values()).all(|source| source.answered.is_some() || source.error.is_some())
    }

    /// We were stopped: whoever is missing is missing from now on, and nobody's silence is proved.
    pub(crate) fn count_again(&mut self, grace_end: Instant) {
        for source in self.sources.values_mut() {
            source.old = true;
        }
        self.own.count_again(grace_end);
        for member in self.members.values_mut() {
            member.presence.count_again(grace_end);
            member.silence = Silence::Unasked;
        }
    }

    pub(crate) fn rebase(&mut self, origin: Instant) {
        for source in self.sources.values_mut() {
            source.answered = source.answered.map(|at| rebased(at, origin));
        }
        for member in self.members.values_mut() {
            member.presence.rebase(origin);
        }
        self.own.rebase(origin);
        self.step.until = self.step.until.map(|at| rebased(at, origin));
    }
}
