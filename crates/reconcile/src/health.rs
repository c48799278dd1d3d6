//! The gate before the first connect. A connected peer is never dropped for its health.

use alloc::string::String;

use trunkline_proto::{Instant, NodeName};

use crate::evidence::TopologyId;
use crate::timer::Timer;
use crate::topology::Health;
use crate::{Action, Dial, Engine, Event, HealthRule, Verdict};

impl Engine {
    /// How an [`Action::Check`] of this topology went, for the peer as listed: passed, or what was
    /// found, one clause.
    pub fn health(
        &mut self,
        now: Instant,
        topology: &TopologyId,
        peer: &NodeName,
        verdict: Result<(), String>,
    ) {
        self.advance(now);
        let Some(known) = self.topologies.get_mut(topology) else {
            return;
        };
        let rule = known.rules.health.unwrap_or_default();
        let Some(member) = known.members.get_mut(peer) else {
            return;
        };
        member.health.running = false;
        let before = member.health.verdict;
        member.health.count(rule, verdict.is_ok());
        let after = member.health.verdict;
        let name = member.name().clone();
        match (before, after, verdict) {
            (Verdict::Unchecked | Verdict::Passing, Verdict::Failing, Err(why)) => {
                let (topology, peer) = (topology.clone(), peer.clone());
                self.say(Event::Unhealthy {
                    topology,
                    peer,
                    why,
                });
            }
            (Verdict::Failing, Verdict::Passing, _) => {
                let (topology, peer) = (topology.clone(), peer.clone());
                self.say(Event::Healthy { topology, peer });
            }
            _ => {}
        }
        if !self.is_beyond_gate(&name) {
            let wait = self.jitter.spread(rule.interval);
            let at = self.after(wait);
            let timer = Timer::Check(topology.clone(), peer.clone());
            self.timers.set(timer, at);
        }
        self.settle(&name);
    }

    /// The timer of a check.
    pub(crate) fn check(&mut self, topology: &TopologyId, listed: &NodeName) {
        let Some(known) = self.topologies.get_mut(topology) else {
            return;
        };
        let Some(member) = known.members.get_mut(listed) else {
            return;
        };
        if member.health.running {
            return;
        }
        let target = Dial {
            node: listed.clone(),
            address: member.info.address.or_else(|| listed.ip()),
            port: member.info.port,
        };
        let name = member.name().clone();
        if self.is_beyond_gate(&name) {
            return;
        }
        if let Some(member) = self.member_mut(topology, listed) {
            member.health.running = true;
        }
        let topology = topology.clone();
        self.actions.push_back(Action::Check { topology, target });
    }

    fn member_mut(
        &mut self,
        topology: &TopologyId,
        listed: &NodeName,
    ) -> Option<&mut crate::topology::Member> {
        self.topologies.get_mut(topology)?.members.get_mut(listed)
    }

    /// Whether this listing lets the peer be dialled.
    pub(crate) fn gate(&self, topology: &TopologyId, listed: &NodeName, name: &NodeName) -> bool {
        let rules = self.topologies.get(topology).map(|t| &t.rules);
        let checked = rules.is_some_and(|rules| rules.health.is_some());
        !checked
            || self.is_beyond_gate(name)
            || self.health_of(topology, listed).verdict == Verdict::Passing
    }

    /// It was connected once.
    pub(crate) fn is_beyond_gate(&self, name: &NodeName) -> bool {
        self.peers.get(name).is_some_and(|peer| peer.ever)
    }
}

impl Health {
    fn count(&mut self, rule: HealthRule, passed: bool) {
        let (same, needed) = match self.verdict {
            Verdict::Unchecked if !passed => (false, 1),
            Verdict::Unchecked | Verdict::Failing => (!passed, rule.rise),
            Verdict::Passing => (passed, rule.fall),
        };
        if same {
            self.streak = 0;
            return;
        }
        self.streak = self.streak.saturating_add(1);
        if self.streak >= needed.max(1) {
            self.streak = 0;
            self.verdict = if passed {
                Verdict::Passing
            } else {
                Verdict::Failing
            };
        }
    }
}
