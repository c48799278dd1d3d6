//! What a source says.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use trunkline_proto::{Instant, NodeName};

use crate::evidence::{self, Answer, SourceId, TopologyId, Unknown};
use crate::names::{is_helper, same_node};
use crate::topology::{Member, Presence};
use crate::{Engine, Event};

impl Engine {
    /// A source answered, or does not know. An error changes nothing: the last good answer stands.
    pub fn observe(&mut self, now: Instant, source: &SourceId, answer: Result<Answer, Unknown>) {
        self.advance(now);
        let Some(topology) = self.sources.get(source).cloned() else {
            return;
        };
        match answer {
            Err(why) => self.failed_source(&topology, source, why),
            Ok(answer) => {
                let Answer { peers, notes } = answer;
                self.answered_source(&topology, source, notes);
                self.list(&topology, source, peers);
                self.count_selfless(&topology);
                self.judge(&topology);
            }
        }
        self.judge_all_answers();
    }

    fn failed_source(&mut self, topology: &TopologyId, source: &SourceId, why: Unknown) {
        let known = self.topologies.get_mut(topology);
        let Some(state) = known.and_then(|t| t.sources.get_mut(source)) else {
            return;
        };
        if state.error.as_ref() != Some(&why) {
            state.error = Some(why.clone());
            let source = source.clone();
            self.say(Event::SourceFailed { source, why });
        }
    }

    fn answered_source(&mut self, topology: &TopologyId, source: &SourceId, notes: Vec<String>) {
        let known = self.topologies.get_mut(topology);
        let Some(state) = known.and_then(|t| t.sources.get_mut(source)) else {
            return;
        };
        state.answered = Some(self.now);
        let recovered = state.error.take().is_some();
        let notes: BTreeSet<_> = notes.into_iter().collect();
        let new: Vec<_> = notes.difference(&state.notes).cloned().collect();
        state.notes = notes;
        if recovered {
            let source = source.clone();
            self.say(Event::SourceRecovered { source });
        }
        for note in new {
            let source = source.clone();
            self.say(Event::Note { source, note });
        }
    }

    /// Who is listed now, and who no longer is.
    fn list(&mut self, id: &TopologyId, source: &SourceId, peers: Vec<evidence::Peer>) {
        let me = self.me.clone();
        let grace_end = self.after(self.config.removal_grace);
        let is_me = |peer: &evidence::Peer, own: &BTreeSet<NodeName>| {
            peer.is_self || same_node(&peer.node, &me) || own.contains(&peer.node)
        };
        let (own, others): (Vec<_>, Vec<_>) =
            peers.into_iter().partition(|p| is_me(p, &self.own_names));
        let Some(topology) = self.topologies.get_mut(id) else {
            return;
        };
        let Some(kind) = topology.sources.get(source).map(|s| s.kind) else {
            return;
        };
        if !own.is_empty() {
            topology.own.listed(source, kind);
        }
        let mut named = BTreeSet::new();
        let (mut added, mut again) = (Vec::new(), Vec::new());
        for peer in others.into_iter().filter(|p| !is_helper(&p.node)) {
            let name = peer.node.clone();
            named.insert(name.clone());
            let member = (topology.members.entry(name.clone())).or_insert_with_key(|_| {
                added.push(name.clone());
                Member::new(peer.clone())
            });
            member.inform(peer);
            member.presence.listed(source, kind);
            member.silence = Default::default();
            if core::mem::take(&mut member.absent) {
                again.push(name);
            }
        }
        let mut old = false;
        if let Some(state) = topology.sources.get_mut(source) {
            state.holds = own.len().saturating_add(named.len());
            old = core::mem::take(&mut state.old);
        }
        let mut missing = Vec::new();
        let mut absent = Vec::new();
        let misses = self.config.removal_misses;
        // Answers that hold nobody at all are an alarm, and no evidence against anybody; nor is one
        // that may be older than a gap.
        if !topology.is_empty() && !old {
            if own.is_empty() {
                miss(&mut topology.own, source, grace_end);
            }
            for (name, member) in &mut topology.members {
                if named.contains(name) {
                    continue;
                }
                let was_listed = member.presence.is_listed();
                miss(&mut member.presence, source, grace_end);
                if was_listed && !member.presence.is_listed() {
                    missing.push(name.clone());
                }
                if !member.absent && member.presence.is_absent(misses) {
                    member.absent = true;
                    absent.push(name.clone());
                }
            }
        }
        for listed in &added {
            self.add_member(id, listed);
        }
        for listed in named.iter().chain(&missing) {
            if let Some(name) = self.name_of(id, listed) {
                self.settle(&name);
            }
        }
        self.say_listed(id, added, again, absent);
    }

    fn say_listed(
        &mut self,
        id: &TopologyId,
        added: Vec<NodeName>,
        again: Vec<NodeName>,
        absent: Vec<NodeName>,
    ) {
        if [&added, &again, &absent].iter().any(|it| !it.is_empty()) {
            let total = self.topologies.get(id).map_or(0, |t| t.listed());
            let topology = id.clone();
            self.say(Event::Listed {
                topology,
                added,
                again,
                absent,
                total,
            });
        }
    }

    fn count_selfless(&mut self, id: &TopologyId) {
        if let Some(topology) = self.topologies.get_mut(id) {
            topology.selfless = if topology.own.is_listed() {
                0
            } else {
                topology.selfless.saturating_add(1)
            };
        }
    }
}

fn miss(presence: &mut Presence, source: &SourceId, grace_end: Instant) {
    if let Some(seen) = presence.0.get_mut(source) {
        seen.misses = seen.misses.saturating_add(1);
        seen.grace.get_or_insert(grace_end);
    }
}
