//! Who is alive and no longer listed: our own node, or a peer.
//!
//! Nobody cuts another's link: with `prevent_overlapping_partitions` that tears the whole mesh. A
//! node leaves by itself, asked by its own agent, or by one other where it has none.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use trunkline_proto::{Instant, NodeName};

use crate::evidence::{Kind, TopologyId};
use crate::peer::{Peer, Unlisted};
use crate::timer::Timer;
use crate::{Action, Engine, Event, OnRemoved};

impl Engine {
    /// Our own node: listed once by a source that lists everybody, and now by none, often and long
    /// enough. It does not leave when so many are missing that the source is doubted.
    pub(crate) fn judge_self(&mut self, id: &TopologyId) {
        let (guard, misses) = (self.config.removal_guard, self.config.removal_misses);
        let Some(topology) = self.topologies.get_mut(id) else {
            return;
        };
        let own = &topology.own;
        if topology.left {
            if own.is_listed() {
                topology.left = false;
                self.settle_members(id);
                let topology = id.clone();
                self.say(Event::Returned { topology });
            }
            return;
        }
        let overdue = own.any(Kind::Authoritative) && own.is_overdue(misses, self.now);
        // Our own node counts in the step like any other.
        if overdue && !topology.is_doubted(guard) && self.begin_step(id, 1) > 0 {
            self.leave(id);
        }
    }

    fn leave(&mut self, id: &TopologyId) {
        // `global:disconnect/0` ends all visible links, and those of another topology are not ours
        // to end.
        let needed = self.connected_peers().iter().any(|name| {
            let listings = self.peers.get(name).map(|peer| &peer.listings);
            let mut listings = listings.into_iter().flatten();
            listings.any(|(other, listed)| other != id && self.is_dialable(other, listed))
        });
        if let Some(topology) = self.topologies.get_mut(id) {
            topology.left = true;
            topology.alarm = None;
        }
        let disconnects = !needed && self.up;
        if disconnects {
            self.parting = self.links.keys().cloned().collect();
            let topology = id.clone();
            self.actions.push_back(Action::Leave { topology });
        }
        let topology = id.clone();
        self.say(Event::Left {
            topology,
            disconnects,
        });
        self.settle_members(id);
    }

    /// How an [`Action::Leave`] went.
    pub fn leave_result(
        &mut self,
        now: Instant,
        topology: &TopologyId,
        result: Result<(), String>,
    ) {
        self.advance(now);
        if let Err(why) = result {
            self.parting.clear();
            let topology = topology.clone();
            self.say(Event::LeaveFailed { topology, why });
        }
    }

    pub(crate) fn settle_members(&mut self, id: &TopologyId) {
        let members = self.topologies.get(id).map(|t| t.members.values());
        let names = members.into_iter().flatten().map(|m| m.name().clone());
        let names: Vec<_> = names.collect();
        names.iter().for_each(|name| self.settle(name));
    }

    /// A living peer fell out of every topology.
    pub(crate) fn outlive(&mut self, name: &NodeName, unlisted: Unlisted) {
        let disconnect = self.config.on_removed == OnRemoved::Disconnect;
        if let Some(peer) = self.peers.get_mut(name) {
            peer.unlisted = Some(unlisted);
        }
        if disconnect {
            let peer = name.clone();
            self.actions
                .push_back(Action::Disconnect { peer: peer.clone() });
            self.say(Event::Disconnecting { peer });
        }
        let at = self.after(self.config.leave_grace);
        self.timers.set(Timer::Unlisted(name.clone()), at);
    }

    /// A link came up to a node that was dropped: any message reconnects. One that has just started
    /// may be faster than its listing, and has the time to leave to be listed again before it is
    /// said.
    pub(crate) fn greet_returner(&mut self, name: &NodeName) {
        let Some(at) = self.gone.iter().position(|(gone, _)| gone == name) else {
            return;
        };
        let Some((_, unlisted)) = self.gone.remove(at) else {
            return;
        };
        let peer = Peer {
            ever: true,
            unlisted: Some(unlisted),
            ..Peer::default()
        };
        self.peers.insert(name.clone(), peer);
        let at = self.after(self.config.leave_grace);
        self.timers.set(Timer::Unlisted(name.clone()), at);
    }

    fn say_unlisted(&mut self, name: &NodeName) {
        let peer = self.peers.get_mut(name);
        let Some(unlisted) = peer.and_then(|p| p.unlisted.as_mut()) else {
            return;
        };
        if !core::mem::replace(&mut unlisted.said, true) {
            let peer = name.clone();
            self.say(Event::UnlistedButConnected { peer });
        }
    }

    /// An unlisted peer had time to leave, and is still here. Has it an agent?
    pub(crate) fn outstayed(&mut self, name: &NodeName) {
        let sources = (self.topologies.values()).flat_map(|topology| topology.sources.values());
        if sources.into_iter().any(|source| source.old) {
            // We were stopped, and somebody who may list it by now has not answered since.
            let at = self.after(self.config.leave_grace);
            self.timers.set(Timer::Unlisted(name.clone()), at);
            return;
        }
        self.say_unlisted(name);
        let keep = self.config.on_removed == OnRemoved::Keep;
        let peer = self.peers.get_mut(name);
        let Some(unlisted) = peer.and_then(|p| p.unlisted.as_mut()) else {
            return;
        };
        if !keep || !unlisted.authoritative || unlisted.asked {
            return;
        }
        (unlisted.asked, unlisted.asking) = (true, true);
        let leaver = name.clone();
        let mut among = self.connected_peers();
        among.push(leaver.clone());
        self.actions.push_back(Action::FindAgents { leaver, among });
    }

    /// How an [`Action::FindAgents`] went: who has an agent. Nodes that did not answer are left
    /// out. The leaver is asked only when it has none, and by one agent.
    pub fn agents(&mut self, now: Instant, leaver: &NodeName, found: &BTreeMap<NodeName, bool>) {
        self.advance(now);
        let peer = self.peers.get_mut(leaver);
        let unlisted = peer.and_then(|peer| peer.unlisted.as_mut());
        // Not one from before a gap: it may be listed again.
        let expected = unlisted.is_some_and(|it| core::mem::take(&mut it.asking));
        let stays =
            self.links.contains_key(leaver) && expected && found.get(leaver) == Some(&false);
        let first = found.iter().all(|(name, agent)| !agent || name > &self.me);
        if stays && first && self.dialling {
            let peer = leaver.clone();
            self.actions
                .push_back(Action::AskLeave { peer: peer.clone() });
            self.say(Event::AskedToLeave { peer });
        }
    }

    /// We were stopped: who lives and is unlisted had no time to leave that we could have seen.
    pub(crate) fn wait_again(&mut self) {
        let at = self.after(self.config.leave_grace);
        for (name, peer) in &mut self.peers {
            let Some(unlisted) = peer.unlisted.as_mut() else {
                continue;
            };
            let timer = Timer::Unlisted(name.clone());
            let asking = core::mem::take(&mut unlisted.asking);
            unlisted.asked &= !asking;
            if asking || self.timers.get(&timer).is_some() {
                self.timers.set(timer, at);
            }
        }
    }

    /// The link of a peer is gone. Where no source lists it, so is the peer.
    pub(crate) fn retire_unlisted(&mut self, name: &NodeName) {
        let peer = self.peers.get_mut(name);
        let Some(unlisted) = peer.and_then(|peer| peer.unlisted.take()) else {
            return;
        };
        self.discard(name);
        self.remember(name.clone(), unlisted);
        self.say(Event::Forgotten { peer: name.clone() });
    }
}
