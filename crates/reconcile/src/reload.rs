//! The configuration changed while links exist: topologies come, go and are asked otherwise.
//!
//! Nothing here ends a link. Who is no longer listed because its topology is gone is simply not
//! dialled any more: nobody's source said that it should leave.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use trunkline_proto::{Instant, NodeName};

use crate::evidence::{Kind, SourceId, TopologyId};
use crate::peer::Unlisted;
use crate::timer::Timer;
use crate::topology::{Member, Presence, Seen, Silence, Source, Topology};
use crate::{Config, Engine, TopologyRules};

impl Engine {
    /// Other knobs from now on. Waits that have begun end as they were begun.
    pub fn set_config(&mut self, now: Instant, config: Config) {
        self.advance(now);
        let sooner = config.audit_interval < self.config.audit_interval;
        self.config = config;
        if sooner && self.timers.get(&Timer::Audit).is_some() {
            let at = self.after(self.config.audit_interval);
            self.timers.set(Timer::Audit, at);
        }
        let topologies: Vec<_> = self.topologies.keys().cloned().collect();
        for id in &topologies {
            self.judge(id);
        }
        self.judge_all_answers();
        self.settle_all();
    }

    /// A topology as it is from now on, new or changed. Sources of a changed one are asked anew;
    /// until they have answered, whoever was listed stays listed. Without sources it holds nobody.
    pub fn set_topology(
        &mut self,
        now: Instant,
        id: &TopologyId,
        rules: TopologyRules,
        sources: &[(SourceId, Kind)],
    ) {
        self.advance(now);
        let kinds: BTreeMap<_, _> = sources.iter().cloned().collect();
        let grace_end = self.after(self.config.removal_grace);
        let topology = self.topologies.entry(id.clone()).or_default();
        let checked = rules.health != topology.rules.health;
        topology.rules = rules;
        topology.ask_anew(&kinds, grace_end);
        self.sources.retain(|_, of| of != id);
        for source in kinds.keys() {
            self.sources.insert(source.clone(), id.clone());
        }
        if kinds.is_empty() {
            self.let_all_go(id);
        }
        if checked {
            self.check_again(id);
        }
        self.settle_members(id);
    }

    /// A topology that is configured no more. Its peers are not dialled any more, unless another
    /// one lists them; links stay.
    pub fn remove_topology(&mut self, now: Instant, id: &TopologyId) {
        self.advance(now);
        self.let_all_go(id);
        self.topologies.remove(id);
        self.sources.retain(|_, of| of != id);
        self.timers.cancel(&Timer::Removal(id.clone()));
        self.judge_all_answers();
    }

    fn let_all_go(&mut self, id: &TopologyId) {
        let members = self.topologies.get(id).map(|t| t.members.keys().cloned());
        for listed in members.into_iter().flatten().collect::<Vec<_>>() {
            self.let_go(id, &listed);
        }
    }

    fn let_go(&mut self, id: &TopologyId, listed: &NodeName) {
        let Some(name) = self.name_of(id, listed) else {
            return;
        };
        self.cancel_timers(id, listed);
        if let Some(topology) = self.topologies.get_mut(id) {
            topology.members.remove(listed);
        }
        if !self.drop_listing(id, listed, &name) {
            self.settle(&name);
            return;
        }
        if !self.links.contains_key(&name) {
            self.discard(&name);
            return;
        }
        if let Some(peer) = self.peers.get_mut(&name) {
            // The operator knows: nothing is said of it, and nobody asks it to leave.
            peer.unlisted = Some(Unlisted {
                said: true,
                asked: true,
                asking: false,
                authoritative: false,
            });
        }
        self.settle(&name);
    }

    /// Another check, or none: what the old one found does not count.
    fn check_again(&mut self, id: &TopologyId) {
        let now = self.now;
        let Some(topology) = self.topologies.get_mut(id) else {
            return;
        };
        let checked = topology.rules.health.is_some();
        let forget = |member: &mut Member| {
            member.health = Default::default();
            member.name().clone()
        };
        let members = topology.members.iter_mut();
        let members: Vec<_> = members.map(|(l, m)| (l.clone(), forget(m))).collect();
        for (listed, name) in members {
            let timer = Timer::Check(id.clone(), listed);
            if checked && !self.is_beyond_gate(&name) {
                self.timers.set(timer, now);
            } else {
                self.timers.cancel(&timer);
            }
        }
    }
}

impl Topology {
    /// As before its first answer, but for its members: those that its old sources listed are
    /// listed by the new ones until these say otherwise.
    fn ask_anew(&mut self, kinds: &BTreeMap<SourceId, Kind>, grace_end: Instant) {
        let new = |(id, kind): (&SourceId, &Kind)| (id.clone(), Source::new(*kind));
        self.sources = kinds.iter().map(new).collect();
        // Nobody leaves because somebody wrote another question.
        self.own = Presence::default();
        self.selfless = 0;
        self.foreign = false;
        for member in self.members.values_mut() {
            member.silence = Silence::Unasked;
            member.presence.inherit(kinds, grace_end);
        }
    }
}

impl Presence {
    /// What the old sources said is what the new ones would say, until they say something.
    fn inherit(&mut self, kinds: &BTreeMap<SourceId, Kind>, grace_end: Instant) {
        let was_listed = self.is_listed();
        self.0.retain(|id, _| kinds.contains_key(id));
        let orphan = self.0.is_empty();
        for (id, kind) in kinds {
            if was_listed {
                self.listed(id, *kind);
            } else if orphan {
                let seen = Seen {
                    kind: *kind,
                    misses: 0,
                    grace: Some(grace_end),
                };
                self.0.insert(id.clone(), seen);
            } else if let Some(seen) = self.0.get_mut(id) {
                seen.kind = *kind;
            }
        }
    }
}
