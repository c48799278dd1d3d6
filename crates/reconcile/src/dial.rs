//! Connects: who is dialled, when again, and how often a full handshake may be tried.

use alloc::vec::Vec;

use trunkline_proto::{Creation, Instant, NodeName, Reason, Step};

use crate::backoff::{self, needs_proof};
use crate::evidence::{Kind, TopologyId};
use crate::timer::Timer;
use crate::topology::Silence;
use crate::{Action, Attempt, Dial, Engine, Event, Proof};

impl Engine {
    /// How an [`Action::Connect`] went. Its slot is free again.
    pub fn connect_result(&mut self, now: Instant, peer: &NodeName, attempt: Attempt) {
        self.advance(now);
        self.busy.remove(peer);
        let proof_at = self.after(self.config.proof_interval);
        let Some(known) = self.peers.get_mut(peer) else {
            return;
        };
        known.creation = attempt.creation.or(known.creation);
        if attempt.proved {
            known.proof_at = Some(proof_at);
        }
        match attempt.result {
            Ok(()) => {
                self.changed(peer);
                self.linked(peer);
            }
            Err(_) if self.links.contains_key(peer) || !self.up => self.settle(peer),
            Err(Reason::NameMismatch { actual }) => self.real_name(peer, &actual),
            Err(reason) => self.failed(peer, reason, attempt.proved),
        }
    }

    /// An attempt failed: when is the next one?
    pub(crate) fn failed(&mut self, name: &NodeName, reason: Reason, proved: bool) {
        let Some(peer) = self.peers.get_mut(name) else {
            return;
        };
        // Without a proof, "it did not connect" is what was known before.
        let known = peer.reason.take();
        let known = known.filter(|old| !proved && explains(old, &reason));
        let reason = known.unwrap_or(reason);
        peer.failures = peer.failures.saturating_add(1);
        let wait = backoff::wait(&self.config, peer.failures, &reason, &mut self.jitter);
        let look = needs_proof(&reason);
        let misnamed = matches!(reason, Reason::NotRegistered { .. });
        let news = peer.said != Some(reason.code());
        peer.said = Some(reason.code());
        peer.reason = Some(reason.clone());
        if news {
            let peer = name.clone();
            self.say(Event::CannotConnect { peer, reason });
        }
        if self.wants(name) {
            let at = self.after(wait);
            self.timers.set(Timer::Attempt(name.clone()), at);
            if look {
                self.look_later(name);
            }
        }
        if misnamed {
            self.forget_real_name(name);
        }
    }

    /// Puts a peer where it belongs: in the queue when it is wanted and nothing else is planned,
    /// nowhere when it is not. Called after every change; it changes nothing twice.
    pub(crate) fn settle(&mut self, name: &NodeName) {
        if !self.wants(name) {
            self.unready(name);
            self.timers.cancel(&Timer::Attempt(name.clone()));
            self.timers.cancel(&Timer::Look(name.clone()));
            return;
        }
        let attempt = Timer::Attempt(name.clone());
        if self.busy.contains(name) || self.timers.get(&attempt).is_some() {
            return;
        }
        let Some(peer) = self.peers.get(name) else {
            return;
        };
        let unproved = peer.reason.as_ref().is_some_and(needs_proof);
        match peer.proof_at.filter(|at| unproved && *at > self.now) {
            Some(at) => {
                self.timers.set(attempt, at);
                self.look_later(name);
            }
            None => {
                self.ready.insert((peer.failures, name.clone()));
            }
        }
    }

    pub(crate) fn settle_all(&mut self) {
        let names: Vec<_> = self.peers.keys().cloned().collect();
        names.iter().for_each(|name| self.settle(name));
    }

    /// It should be connected, and is not.
    pub(crate) fn wants(&self, name: &NodeName) -> bool {
        let wanted = |peer: &crate::peer::Peer| {
            let mut listings = peer.listings.iter();
            listings.any(|(id, listed)| self.is_dialable(id, listed) && self.gate(id, listed, name))
        };
        self.up
            && self.dialling
            && !self.links.contains_key(name)
            && self.peers.get(name).is_some_and(wanted)
    }

    /// Whether this listing is a reason to dial. Who is missing from a complete list may be about
    /// to leave, and a dial would bring it back; unless so many are missing that the list is
    /// doubted.
    pub(crate) fn is_dialable(&self, id: &TopologyId, listed: &NodeName) -> bool {
        let Some(topology) = self.topologies.get(id).filter(|t| !t.left) else {
            return false;
        };
        let member = topology.members.get(listed);
        member.is_some_and(|m| {
            m.presence.is_listed()
                || m.presence.any(Kind::Sampling)
                || topology.is_doubted(self.config.removal_guard)
        })
    }

    pub(crate) fn unready(&mut self, name: &NodeName) {
        if let Some(peer) = self.peers.get(name) {
            self.ready.remove(&(peer.failures, name.clone()));
        }
    }

    /// The next connect, while a slot is free.
    pub(crate) fn next_connect(&mut self) -> Option<Action> {
        while self.busy.len() < self.config.max_attempts {
            let (_, name) = self.ready.pop_first()?;
            if !self.wants(&name) {
                continue;
            }
            let (proof, target) = (self.proof(&name), self.dial(&name));
            self.timers.cancel(&Timer::Look(name.clone()));
            self.busy.insert(name);
            return Some(Action::Connect { target, proof });
        }
        None
    }

    /// Each attempt at a peer that refuses our cookie makes one handshake there, not two.
    fn proof(&self, name: &NodeName) -> Proof {
        let Some(peer) = self.peers.get(name) else {
            return Proof::No;
        };
        match peer.reason {
            Some(Reason::CookieMismatch) => Proof::First,
            Some(Reason::DiffersFromHere { .. }) => Proof::No,
            _ if peer.proof_at.is_none_or(|at| at <= self.now) => Proof::WhenItFails,
            _ => Proof::No,
        }
    }

    pub(crate) fn dial(&self, name: &NodeName) -> Dial {
        let listings = self.peers.get(name).map(|peer| &peer.listings);
        let infos = (listings.into_iter().flatten()).filter_map(|(id, listed)| {
            let member = self.topologies.get(id)?.members.get(listed)?;
            Some(&member.info)
        });
        let mut dial = Dial {
            node: name.clone(),
            address: None,
            port: None,
        };
        for info in infos {
            dial.address = dial.address.or(info.address);
            dial.port = dial.port.or(info.port);
        }
        dial.address = dial.address.or_else(|| name.ip());
        dial
    }

    fn look_later(&mut self, name: &NodeName) {
        let wait = self.jitter.spread(self.config.look_interval);
        let at = self.after(wait);
        self.timers.set(Timer::Look(name.clone()), at);
    }

    /// The timer of a peer whose handshake fails: was it restarted?
    pub(crate) fn look(&mut self, name: &NodeName) {
        if self.wants(name) && !self.busy.contains(name) {
            let target = self.dial(name);
            self.actions.push_back(Action::Look { target });
        }
    }

    /// How an [`Action::Look`] went: the creation that the peer announced, or why it did not.
    pub fn looked(&mut self, now: Instant, peer: &NodeName, found: Result<Creation, Reason>) {
        self.advance(now);
        self.heard_of_silent(peer, &found);
        let Some(known) = self.peers.get_mut(peer) else {
            return;
        };
        if !known.reason.as_ref().is_some_and(needs_proof) {
            return;
        }
        let changed = match &found {
            Ok(creation) => known.creation.replace(*creation) != Some(*creation),
            // It goes down: the next attempts say how, and meet a new incarnation.
            Err(reason) => !answers(reason),
        };
        if changed {
            known.reason = None;
            known.fresh_start();
            self.timers.cancel(&Timer::Attempt(peer.clone()));
            self.settle(peer);
        } else if self.wants(peer) {
            self.look_later(peer);
        }
    }

    /// Absent from samples for long enough, it was asked whether it lives.
    fn heard_of_silent(&mut self, peer: &NodeName, found: &Result<Creation, Reason>) {
        let alive = found.as_ref().map_or_else(answers, |_| true);
        let grace_end = self.after(self.config.removal_grace);
        let listings = self.peers.get(peer).map(|peer| peer.listings.clone());
        for (id, listed) in listings.into_iter().flatten() {
            let topology = self.topologies.get_mut(&id);
            let member = topology.and_then(|t| t.members.get_mut(&listed));
            let Some(member) = member.filter(|m| m.silence == Silence::Asked) else {
                continue;
            };
            if alive {
                member.silence = Silence::Unasked;
                member.presence.count_again(grace_end);
            } else {
                member.silence = Silence::Proved;
            }
            self.judge(&id);
        }
    }
}

/// Whether such a failure shows that the node lives.
const fn answers(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::NameForm { .. }
            | Reason::FamilyMismatch { .. }
            | Reason::TlsRequired
            | Reason::TlsFailed { .. }
            | Reason::TlsNotSpoken
            | Reason::Incompatible { .. }
            | Reason::NotAllowed { .. }
            | Reason::AlreadyConnected
            | Reason::LostRace
            | Reason::CookieMismatch
            | Reason::DiffersFromHere { .. }
    )
}

/// Whether what an earlier proof found is still the best word for an attempt that made none.
const fn explains(proof: &Reason, unproved: &Reason) -> bool {
    if needs_proof(proof) {
        return needs_proof(unproved) || says_nothing(unproved);
    }
    matches!(
        proof,
        Reason::Timeout {
            step: Step::Handshake
        } | Reason::Closed {
            step: Step::Handshake
        }
    ) && says_nothing(unproved)
}

/// Only that the dial failed, not why.
const fn says_nothing(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::Timeout {
            step: Step::Connect | Step::Handshake
        } | Reason::Closed {
            step: Step::Connect | Step::Handshake
        }
    )
}
