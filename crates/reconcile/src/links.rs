//! Links as our node sees them.

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use trunkline_proto::{Instant, NodeName, Reason, Step};

use crate::names::{is_helper, same_node};
use crate::timer::Timer;
use crate::{Action, Engine, Event, Links, backoff};

/// A list of links is on its way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Audit {
    /// Whose link changed since it was asked for.
    changed: BTreeSet<NodeName>,
    /// It was asked for once more since.
    again: bool,
}

impl Engine {
    /// Our node is there, perhaps again, with these links. What failed before is tried at once.
    pub fn me_up(&mut self, now: Instant, live: &Links) {
        self.advance(now);
        self.up = true;
        self.peers.values_mut().for_each(|peer| {
            peer.fresh_start();
            peer.reason = None;
        });
        let at = self.after(self.config.audit_interval);
        self.timers.set(Timer::Audit, at);
        self.audit(now, live);
    }

    /// Our node is gone, and its links with it.
    pub fn me_down(&mut self, now: Instant) {
        self.advance(now);
        self.up = false;
        self.auditing = None;
        self.odd_links.clear();
        self.parting.clear();
        for name in core::mem::take(&mut self.links).into_keys() {
            self.retire_unlisted(&name);
        }
        self.timers.cancel(&Timer::Audit);
        self.ready.clear();
        self.settle_all();
    }

    /// A link came up, whoever made it.
    pub fn link_up(&mut self, now: Instant, peer: &NodeName) {
        self.advance(now);
        self.changed(peer);
        self.linked(peer);
    }

    /// A link went down; why, in our node's words.
    pub fn link_down(&mut self, now: Instant, peer: &NodeName, why: &str) {
        self.advance(now);
        self.changed(peer);
        self.unlinked(peer, why.to_string());
    }

    /// Links may have come or gone without a word: the whole list is asked for now.
    pub fn links_unseen(&mut self, now: Instant) {
        self.advance(now);
        self.ask_audit();
    }

    /// The whole list of links of our node. It wins, except over what changed while it was on its
    /// way.
    pub fn audit(&mut self, now: Instant, live: &Links) {
        self.advance(now);
        let Audit { changed, again } = self.auditing.take().unwrap_or_default();
        let known: BTreeSet<_> = self.links.keys().cloned().collect();
        for name in live.difference(&known).filter(|n| !changed.contains(*n)) {
            self.linked(name);
        }
        for name in known.difference(live).filter(|n| !changed.contains(*n)) {
            self.unlinked(name, String::from("noticed late"));
        }
        self.parting.clear();
        self.settle_all();
        if again {
            self.ask_audit();
        }
    }

    /// The list that an [`Action::Audit`] asked for did not come: what is known stands until the
    /// next one.
    pub fn audit_failed(&mut self, now: Instant) {
        self.advance(now);
        if self.auditing.take().is_some_and(|audit| audit.again) {
            self.ask_audit();
        }
    }

    /// Asks for the list, and again later. One list at a time: who asks while one is on its way
    /// gets the next, for that one may be older than the question.
    pub(crate) fn ask_audit(&mut self) {
        if !self.up {
            return;
        }
        match &mut self.auditing {
            Some(audit) => audit.again = true,
            none => {
                *none = Some(Audit::default());
                self.actions.push_back(Action::Audit);
            }
        }
        let at = self.after(self.config.audit_interval);
        self.timers.set(Timer::Audit, at);
    }

    /// The link of `peer` is known better than by the list that is on its way.
    pub(crate) fn changed(&mut self, peer: &NodeName) {
        if let Some(audit) = &mut self.auditing {
            audit.changed.insert(peer.clone());
        }
    }

    pub(crate) fn linked(&mut self, name: &NodeName) {
        let is_me = same_node(name, &self.me);
        if !self.up || is_me || is_helper(name) || self.links.contains_key(name) {
            return;
        }
        self.unready(name);
        self.parting.remove(name);
        self.adopt_spelling(name);
        self.links.insert(name.clone(), self.now);
        self.timers.cancel(&Timer::Attempt(name.clone()));
        self.timers.cancel(&Timer::Look(name.clone()));
        let Some(peer) = self.peers.get_mut(name) else {
            self.greet_returner(name);
            return;
        };
        peer.reason = None;
        peer.said = None;
        peer.ever = true;
        let peer = name.clone();
        self.say(Event::Connected { peer });
    }

    /// A peer that is listed in canonical spelling is linked under another one.
    fn adopt_spelling(&mut self, name: &NodeName) {
        let canonical = name.canonical();
        if &canonical == name {
            return;
        }
        self.odd_links.insert(canonical.clone(), name.clone());
        let listings = (self.peers.get(&canonical)).map(|peer| peer.listings.clone());
        for (id, listed) in listings.into_iter().flatten() {
            self.rename(&id, &listed, name);
        }
    }

    fn unlinked(&mut self, name: &NodeName, why: String) {
        let Some(since) = self.links.remove(name) else {
            return;
        };
        self.odd_links.remove(&name.canonical());
        let parted = self.parting.remove(name);
        let stable = self.now.saturating_since(since) >= self.config.stable_after;
        let Some(peer) = self.peers.get_mut(name) else {
            return;
        };
        if stable {
            peer.fresh_start();
        } else {
            // A link that does not last is no success.
            peer.failures = peer.failures.saturating_add(1);
        }
        let failures = peer.failures;
        let peer = name.clone();
        if !parted {
            self.say(Event::Lost { peer, why });
        }
        self.retire_unlisted(name);
        if failures > 1 && self.wants(name) {
            let step = Step::Connect;
            let closed = Reason::Closed { step };
            let wait = backoff::wait(&self.config, failures, &closed, &mut self.jitter);
            let at = self.after(wait);
            self.timers.set(Timer::Attempt(name.clone()), at);
        }
        self.settle(name);
    }

    /// The names of all listed peers that are connected.
    pub(crate) fn connected_peers(&self) -> Vec<NodeName> {
        let listed = |name: &&NodeName| {
            let peer = self.peers.get(*name);
            peer.is_some_and(|peer| !peer.listings.is_empty())
        };
        self.links.keys().filter(listed).cloned().collect()
    }
}
