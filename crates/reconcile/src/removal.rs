//! Who falls out of a topology, when, and how many at once.

use alloc::vec::Vec;
use core::time::Duration;

use trunkline_proto::{Instant, NodeName};

use crate::evidence::{Kind, TopologyId};
use crate::peer::Unlisted;
use crate::timer::Timer;
use crate::topology::{Silence, Step};
use crate::{Action, Engine, Event};

/// The least time between two looks at who is missing.
const MIN_BEAT: Duration = Duration::from_secs(1);

/// How many dropped names are remembered, so that one that comes back is recognised.
const REMEMBERED: usize = 1024;

impl Engine {
    /// Looks at everybody who is missing from this topology, our own node too.
    pub(crate) fn judge(&mut self, id: &TopologyId) {
        self.judge_self(id);
        self.ask_the_silent(id);
        let held = self.remove_overdue(id);
        self.plan_removal(id, held);
        self.settle_missing(id);
    }

    /// A sample says little: who is absent from it for long enough is asked whether it lives.
    fn ask_the_silent(&mut self, id: &TopologyId) {
        let mut ask = Vec::new();
        let misses = self.config.removal_misses;
        let Some(topology) = self.topologies.get_mut(id) else {
            return;
        };
        for member in topology.members.values_mut() {
            let overdue = member.presence.is_overdue(misses, self.now);
            let linked = self.links.contains_key(member.name());
            let sampled = !member.presence.any(Kind::Authoritative);
            if overdue && sampled && !linked && member.silence == Silence::Unasked {
                member.silence = Silence::Asked;
                ask.push(member.name().clone());
            }
        }
        for name in ask {
            let target = self.dial(&name);
            self.actions.push_back(Action::Look { target });
        }
    }

    /// Removes as many as this step allows. How many must wait.
    fn remove_overdue(&mut self, id: &TopologyId) -> usize {
        let (misses, now) = (self.config.removal_misses, self.now);
        let Some(topology) = self.topologies.get(id) else {
            return 0;
        };
        let overdue = topology.members.iter().filter(|(_, member)| {
            let linked = self.links.contains_key(member.name());
            let proved = member.presence.any(Kind::Authoritative)
                || (!linked && member.silence == Silence::Proved);
            proved && member.presence.is_overdue(misses, now)
        });
        let overdue: Vec<_> = overdue.map(|(listed, _)| listed.clone()).collect();
        let allowed = self.begin_step(id, overdue.len());
        let (go, wait) = overdue.split_at(allowed.min(overdue.len()));
        go.iter().for_each(|listed| self.remove(id, listed));
        wait.len()
    }

    /// A new step when the last one is over; how many it still allows.
    pub(crate) fn begin_step(&mut self, id: &TopologyId, wanted: usize) -> usize {
        let now = self.now;
        let end = self.after(self.config.removal_grace);
        let Some(topology) = self.topologies.get_mut(id) else {
            return 0;
        };
        if topology.step.until.is_none_or(|until| until <= now) {
            topology.step = Step {
                until: None,
                left: self.config.removal_guard.of(topology.size()),
                said: topology.step.said,
            };
        }
        let allowed = topology.step.left;
        if wanted > 0 {
            topology.step.until.get_or_insert(end);
            topology.step.left = allowed.saturating_sub(wanted);
        }
        allowed
    }

    /// When to look again; and says it when removals wait.
    fn plan_removal(&mut self, id: &TopologyId, held: usize) {
        let now = self.now;
        let Some(topology) = self.topologies.get_mut(id) else {
            return;
        };
        let members = topology.members.values().map(|m| &m.presence);
        let presences = members.chain([&topology.own]);
        let graces = presences.filter_map(|p| p.grace_end().filter(|end| *end > now));
        let step = topology.step.until.filter(|_| held > 0);
        // Looked at often enough that no gap hides behind a long grace.
        let beat = self.config.freeze.max(MIN_BEAT);
        let beat = Instant::at(now.since_start().saturating_add(beat));
        let next = graces.chain(step).min().map(|at| at.min(beat));
        let news = held > 0 && !topology.step.said;
        topology.step.said = held > 0;
        let (missing, size) = (topology.missing(), topology.size());
        let timer = Timer::Removal(id.clone());
        match next {
            Some(at) => self.timers.set(timer, at),
            None => self.timers.cancel(&timer),
        }
        if news {
            let topology = id.clone();
            self.say(Event::Guarded {
                topology,
                missing,
                size,
            });
        }
    }

    /// Whether the missing are dialled depends on how many they are.
    fn settle_missing(&mut self, id: &TopologyId) {
        let members = self.topologies.get(id).map(|t| t.members.values());
        let missing = members.into_iter().flatten();
        let missing = missing.filter(|m| m.presence.is_missing());
        let names: Vec<_> = missing.map(|m| m.name().clone()).collect();
        names.iter().for_each(|name| self.settle(name));
    }

    /// This topology no longer holds the node. What that means depends on whether it lives, and
    /// whether another topology holds it.
    fn remove(&mut self, id: &TopologyId, listed: &NodeName) {
        let Some(name) = self.name_of(id, listed) else {
            return;
        };
        self.cancel_timers(id, listed);
        let Some(topology) = self.topologies.get_mut(id) else {
            return;
        };
        let removed = topology.members.remove(listed);
        let left = topology.left;
        let authoritative = removed.is_some_and(|m| m.presence.any(Kind::Authoritative));
        if !self.drop_listing(id, listed, &name) {
            self.settle(&name);
            return;
        }
        let unlisted = Unlisted {
            said: false,
            asked: false,
            asking: false,
            authoritative: authoritative && !left,
        };
        if self.links.contains_key(&name) {
            self.outlive(&name, unlisted);
        } else {
            self.discard(&name);
            self.remember(name.clone(), unlisted);
            self.say(Event::Forgotten { peer: name });
        }
    }

    /// So that it is recognised when it comes back.
    pub(crate) fn remember(&mut self, name: NodeName, unlisted: Unlisted) {
        self.gone.push_back((name, unlisted));
        if self.gone.len() > REMEMBERED {
            self.gone.pop_front();
        }
    }
}
