//! Under which name a peer is known: one peer per node, whatever the sources call it.

use trunkline_proto::{NodeName, Reason};

use crate::evidence::TopologyId;
use crate::names::{is_helper, same_node};
use crate::timer::Timer;
use crate::topology::Health;
use crate::{Engine, Event, backoff};

impl Engine {
    /// The name that a listed node is dialled under.
    pub(crate) fn name_of(&self, id: &TopologyId, listed: &NodeName) -> Option<NodeName> {
        let member = self.topologies.get(id)?.members.get(listed)?;
        Some(member.name().clone())
    }

    /// A newly listed node becomes a peer, or another listing of one.
    pub(crate) fn add_member(&mut self, id: &TopologyId, listed: &NodeName) {
        self.gone.retain(|(name, _)| name != listed);
        let spelled = self.odd_links.get(listed).cloned();
        let checked = self.topologies.get(id).and_then(|t| t.rules.health);
        if spelled.is_some() {
            self.set_actual(id, listed, spelled);
        }
        let Some(name) = self.name_of(id, listed) else {
            return;
        };
        self.add_listing(id, listed, &name);
        if checked.is_some() && !self.is_beyond_gate(&name) {
            let timer = Timer::Check(id.clone(), listed.clone());
            self.timers.set(timer, self.now);
        }
    }

    fn add_listing(&mut self, id: &TopologyId, listed: &NodeName, name: &NodeName) {
        let connected = self.links.contains_key(name);
        let peer = self.peers.entry(name.clone()).or_default();
        let is_new = peer.listings.is_empty();
        peer.listings.insert((id.clone(), listed.clone()));
        peer.unlisted = None;
        peer.ever |= connected;
        self.timers.cancel(&Timer::Unlisted(name.clone()));
        if is_new && connected {
            // Linked before it was listed: by the application, or by the peer.
            let peer = name.clone();
            self.say(Event::Connected { peer });
        }
    }

    /// Takes a listing away. Whether it was the last one.
    pub(crate) fn drop_listing(
        &mut self,
        id: &TopologyId,
        listed: &NodeName,
        name: &NodeName,
    ) -> bool {
        let Some(peer) = self.peers.get_mut(name) else {
            return false;
        };
        peer.listings.remove(&(id.clone(), listed.clone()));
        peer.listings.is_empty()
    }

    /// Forgets a peer altogether. An attempt that runs keeps its slot until it ends.
    pub(crate) fn discard(&mut self, name: &NodeName) {
        self.unready(name);
        for timer in [Timer::Attempt, Timer::Look, Timer::Unlisted] {
            self.timers.cancel(&timer(name.clone()));
        }
        self.peers.remove(name);
    }

    /// The node that was dialled as `name` calls itself `actual`.
    pub(crate) fn real_name(&mut self, name: &NodeName, actual: &NodeName) {
        let reason = Reason::NameMismatch {
            actual: actual.clone(),
        };
        let Some(peer) = self.peers.get(name) else {
            return;
        };
        if same_node(actual, &self.me) {
            for (id, listed) in peer.listings.clone() {
                self.is_own(&id, &listed, name);
            }
            self.discard(name);
            return;
        }
        if is_helper(actual) || actual == name {
            self.failed(name, reason, false);
            return;
        }
        let listings = peer.listings.clone();
        let before = peer.failures;
        for (id, listed) in listings {
            let again = name != &listed;
            let failures = before.saturating_add(u32::from(again));
            self.rename(&id, &listed, actual);
            self.verify_later(&id, &listed, actual);
            self.unready(actual);
            if let Some(peer) = self.peers.get_mut(actual) {
                peer.failures = peer.failures.max(failures);
            }
            if again {
                // It keeps changing, or two nodes take turns there: no hurry.
                let wait = backoff::wait(&self.config, failures, &reason, &mut self.jitter);
                let at = self.after(wait);
                self.timers.set(Timer::Attempt(actual.clone()), at);
            }
        }
        self.settle(actual);
    }

    /// The name that was learned is gone there: the listed one counts again.
    pub(crate) fn forget_real_name(&mut self, name: &NodeName) {
        let Some(peer) = self.peers.get(name) else {
            return;
        };
        let learned = |(_, listed): &&(TopologyId, NodeName)| listed != name;
        let learned: alloc::vec::Vec<_> = peer.listings.iter().filter(learned).cloned().collect();
        let failures = peer.failures;
        let next = self.timers.get(&Timer::Attempt(name.clone()));
        for (id, listed) in learned {
            self.rename(&id, &listed, &listed);
            if let (Some(peer), Some(at)) = (self.peers.get_mut(&listed), next) {
                peer.failures = failures;
                self.timers.set(Timer::Attempt(listed), at);
            }
        }
    }

    /// Moves a listing to another peer.
    pub(crate) fn rename(&mut self, id: &TopologyId, listed: &NodeName, actual: &NodeName) {
        let Some(old) = self.name_of(id, listed) else {
            return;
        };
        if &old == actual {
            return;
        }
        let other = (actual != listed).then(|| actual.clone());
        self.set_actual(id, listed, other);
        if self.drop_listing(id, listed, &old) {
            self.discard(&old);
        }
        self.add_listing(id, listed, actual);
    }

    /// Says it when the name is news.
    fn set_actual(&mut self, id: &TopologyId, listed: &NodeName, actual: Option<NodeName>) {
        let topology = self.topologies.get_mut(id);
        let Some(member) = topology.and_then(|t| t.members.get_mut(listed)) else {
            return;
        };
        member.actual.clone_from(&actual);
        let Some(actual) = actual.filter(|name| member.said.as_ref() != Some(name)) else {
            return;
        };
        member.said = Some(actual.clone());
        let listed = listed.clone();
        self.say(Event::RealName { listed, actual });
    }

    /// As long as the name is connected through its own listing nobody would notice that the node
    /// here has another one by now.
    fn verify_later(&mut self, id: &TopologyId, listed: &NodeName, actual: &NodeName) {
        let peer = self.peers.get(actual);
        if peer.is_some_and(|peer| peer.listings.len() > 1) {
            let at = self.after(self.config.proof_interval);
            self.timers
                .set(Timer::Verify(id.clone(), listed.clone()), at);
        }
    }

    /// The listed name is dialled again; its greeting shows what it is called now.
    pub(crate) fn verify_name(&mut self, id: &TopologyId, listed: &NodeName) {
        if self.up && self.dialling {
            self.rename(id, listed, listed);
            self.settle(listed);
        } else {
            let at = self.after(self.config.proof_interval);
            let timer = Timer::Verify(id.clone(), listed.clone());
            self.timers.set(timer, at);
        }
    }

    /// The timers of a listing.
    pub(crate) fn cancel_timers(&mut self, id: &TopologyId, listed: &NodeName) {
        for timer in [Timer::Check, Timer::Verify] {
            self.timers.cancel(&timer(id.clone(), listed.clone()));
        }
    }

    /// What is listed there is our own node under another name.
    fn is_own(&mut self, id: &TopologyId, listed: &NodeName, name: &NodeName) {
        self.own_names.insert(listed.clone());
        self.drop_listing(id, listed, name);
        self.cancel_timers(id, listed);
        let Some(topology) = self.topologies.get_mut(id) else {
            return;
        };
        if let Some(member) = topology.members.remove(listed) {
            topology.own.0.extend(member.presence.0);
        }
    }

    /// Health of a listed node; unchecked when it is not listed.
    pub(crate) fn health_of(&self, id: &TopologyId, listed: &NodeName) -> Health {
        let topology = self.topologies.get(id);
        let member = topology.and_then(|t| t.members.get(listed));
        member.map(|m| m.health).unwrap_or_default()
    }
}
