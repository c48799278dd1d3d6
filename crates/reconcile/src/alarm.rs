//! Can good answers be right? And which of several topologies is our own node's?

use alloc::vec::Vec;

use crate::evidence::TopologyId;
use crate::topology::Topology;
use crate::{Alarm, Engine, Event};

/// Answers that hold others, and not our own node.
enum Selfless {
    /// They should: no other topology has our node.
    Wrong,
    /// They need not: our node is this other topology's.
    Foreign(TopologyId),
    /// Another topology may have it, and has not said so far.
    Unknown,
}

impl Engine {
    /// Each topology's answers, since what is wrong with one may depend on another.
    pub(crate) fn judge_all_answers(&mut self) {
        let topologies: Vec<_> = self.topologies.keys().cloned().collect();
        topologies.iter().for_each(|id| self.judge_answers(id));
    }

    fn judge_answers(&mut self, id: &TopologyId) {
        let Some(topology) = self.topologies.get(id).filter(|t| t.is_heard()) else {
            return;
        };
        let (expected, misses) = (self.config.expected_size, self.config.removal_misses);
        let known = (topology.sources.values()).any(|s| s.answered.is_some());
        let few = (topology.listed() < expected).then_some(Alarm::TooFew { expected });
        let mut home = None;
        let alarm = if !known || topology.left {
            None
        } else if topology.is_empty() {
            Some(Alarm::Empty)
        } else if topology.lacks_self(misses) {
            match self.selfless(id, topology) {
                Selfless::Wrong => Some(Alarm::WithoutSelf),
                Selfless::Foreign(other) => {
                    home = Some(other);
                    few
                }
                // What was said stands until it is known to be over.
                Selfless::Unknown => topology.alarm.filter(|a| *a == Alarm::WithoutSelf).or(few),
            }
        } else {
            few
        };
        self.say_alarm(id, alarm);
        if let Some(home) = home {
            self.say_foreign(id, home);
        }
    }

    /// A topology that held our node and no longer does is wrong whatever others say. One that
    /// never did is a second site, when another one is ours.
    fn selfless(&self, id: &TopologyId, topology: &Topology) -> Selfless {
        if topology.ever_held_self() {
            return Selfless::Wrong;
        }
        let others = self.topologies.iter().filter(|(other, _)| *other != id);
        let mut others: Vec<_> = others.filter(|(_, t)| !t.sources.is_empty()).collect();
        others.sort_by_key(|(_, t)| !t.own.is_listed());
        if let Some((home, _)) = others.iter().find(|(_, t)| t.ever_held_self()) {
            return Selfless::Foreign((*home).clone());
        }
        let misses = self.config.removal_misses;
        let decided = |t: &Topology| t.is_heard() && t.lacks_self(misses);
        if others.iter().all(|(_, t)| decided(t)) {
            Selfless::Wrong
        } else {
            Selfless::Unknown
        }
    }

    fn say_alarm(&mut self, id: &TopologyId, alarm: Option<Alarm>) {
        let Some(topology) = self.topologies.get_mut(id) else {
            return;
        };
        if core::mem::replace(&mut topology.alarm, alarm) == alarm {
            return;
        }
        let topology = id.clone();
        self.say(match alarm {
            Some(alarm) => Event::Alarm { topology, alarm },
            None => Event::AlarmOver { topology },
        });
    }

    fn say_foreign(&mut self, id: &TopologyId, home: TopologyId) {
        let Some(topology) = self.topologies.get_mut(id) else {
            return;
        };
        if !core::mem::replace(&mut topology.foreign, true) {
            let topology = id.clone();
            self.say(Event::Foreign { topology, home });
        }
    }
}
