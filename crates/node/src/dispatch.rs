//! What a message from another node does here.

mod answering;
pub(crate) mod batch;

use std::collections::VecDeque;
use std::mem;

use trunkline_etf::{Atom, Pid, Reference, Term, atom};
use trunkline_proto::control::{AltactTo, Control, PidOrName};

pub(crate) use answering::alias_in;

use crate::mailbox::Body;
use crate::process::ending::exit;
use crate::process::state::{By, Inner, Watcher};
use crate::process::table::Via;
use crate::process::{Outgoing, Then};
use crate::shared::Shared;
use crate::slot::Answer;

impl Shared {
    /// Does what a change of processes made necessary, and what that makes necessary. To a node
    /// that is gone nothing needs to be said: it knows.
    /// Whoever is to be woken by it is, last of all: no lock is held that a waker could want.
    pub(crate) fn carry_out(&self, mut then: Then) {
        self.settle(&mut then);
        then.wake_all();
    }

    /// The same for one who holds a lock: those who are to be woken stay in `then`.
    pub(crate) fn settle(&self, then: &mut Then) {
        if then.signals.is_empty() {
            return;
        }
        let mut waiting = VecDeque::from(mem::take(&mut then.signals));
        while let Some(next) = waiting.pop_front() {
            match next {
                Outgoing::Signal(node, control) => {
                    self.carry(&node, None, control, then);
                }
                Outgoing::Of(from, node, control) => {
                    self.carry(&node, Some(&from), control, then);
                }
                Outgoing::Ended(pid) => {
                    if let Some(inner) = self.processes.find(&pid) {
                        self.end_of(&inner, atom!("killed").into(), then);
                    }
                }
                Outgoing::AliasEnded(alias) => self.processes.unroute(&alias),
            }
            waiting.extend(then.signals.drain(..));
        }
    }

    fn carry(&self, node: &Atom, from: Option<&Pid>, control: Control, then: &mut Then) {
        if *node == self.atom {
            self.deliver(control, None, then);
        } else if let Err(why) = self.signal_behind(node, from, control) {
            tracing::debug!(%node, %why, "a signal is not sent");
        }
    }

    /// Does what a message says; what that makes necessary comes behind `then`.
    pub(crate) fn deliver(&self, control: Control, body: Option<Body>, then: &mut Then) {
        let processes = &self.processes;
        let body = || body.unwrap_or(Body::Term(Term::nil()));
        match control {
            Control::Send { to, .. } | Control::SendSender { to, .. } => {
                self.message(&to.into(), body(), then);
            }
            Control::RegSend { to, .. } => self.message(&to.into(), body(), then),
            Control::AliasSend { alias, .. } => self.to_alias(&alias, body(), then),
            Control::AltactSend {
                flags, from, to, ..
            } => match to {
                AltactTo::Pid(to) if flags & Control::ALTACT_EXIT != 0 => {
                    self.exited(from, &to, body(), By::Call, then);
                }
                AltactTo::Pid(to) => self.message(&to.into(), body(), then),
                AltactTo::Name(to) => self.message(&to.into(), body(), then),
                AltactTo::Alias(to) => self.to_alias(&to, body(), then),
            },
            Control::Link { from, to } => then.extend(self.link_comes(from, &to)),
            Control::UnlinkId { id, from, to } => {
                if let Some(inner) = processes.find(&to) {
                    inner.unlinked(&from);
                }
                then.push(unlink_ack(id, from, to));
            }
            Control::UnlinkIdAck { id, from, to } => {
                if let Some(inner) = processes.find(&to) {
                    inner.unlink_acknowledged(id, &from);
                }
            }
            Control::Exit {
                from, to, reason, ..
            } => self.exited(from, &to, reason.into(), By::Link, then),
            Control::PayloadExit { from, to, .. } => {
                self.exited(from, &to, body(), By::Link, then);
            }
            Control::Exit2 {
                from, to, reason, ..
            } => self.exited(from, &to, reason.into(), By::Call, then),
            Control::PayloadExit2 { from, to, .. } => {
                self.exited(from, &to, body(), By::Call, then);
            }
            Control::MonitorP {
                from,
                to,
                reference,
            } => {
                let found = processes.find_any(&to);
                then.extend(self.watched(found.as_deref(), from, to, reference));
            }
            Control::DemonitorP { to, reference, .. } => {
                let found = processes.find_any(&to);
                self.unwatched(found.as_deref(), &to, &reference);
            }
            Control::MonitorPExit {
                to,
                reference,
                reason,
                ..
            } => self.down(&to, &reference, reason.into(), then),
            Control::PayloadMonitorPExit { to, reference, .. } => {
                self.down(&to, &reference, body(), then);
            }
            Control::SpawnReply {
                request,
                to,
                flags,
                result,
                ..
            } => self.spawned(&request, &to, flags, result, then),
            Control::SpawnRequest { request, from, .. } => then.push(not_spawned(request, from)),
            // Group leaders mean nothing here.
            _ => {}
        }
    }

    /// To a process that is gone a message vanishes, as in Erlang.
    fn message(&self, to: &PidOrName, body: Body, then: &mut Then) {
        match self.processes.find_any(to) {
            Some(inner) => {
                inner.message(body, then);
            }
            None => self.unclaimed(to, body, then),
        }
    }

    /// A message by way of an alias or of a call's reference.
    pub(crate) fn to_alias(&self, alias: &Reference, body: Body, then: &mut Then) {
        match self.processes.via(alias) {
            Some(Via::Slot(slot)) => slot.put(Answer::Message(body), then),
            Some(Via::Alias(inner)) => {
                inner.aliased(alias, body, then);
                if !inner.state().aliases.contains_key(alias) {
                    self.processes.unroute(alias);
                }
            }
            None => {}
        }
    }

    fn exited(&self, from: Pid, to: &Pid, reason: Body, by: By, then: &mut Then) {
        if let Some(inner) = self.processes.find(to) {
            inner.exit(from, reason, by, then);
        }
    }

    /// Somebody links to a process of ours. Those that live as long as the node break no link.
    fn link_comes(&self, from: Pid, to: &Pid) -> Option<Outgoing> {
        let found = self.processes.find(to);
        if found.is_some_and(|inner| inner.linked(from.clone())) || self.processes.is_immortal(to) {
            return None;
        }
        Some(exit(to, from, atom!("noproc").into()))
    }

    /// Somebody monitors a process of ours: the one that was found by that name.
    fn watched(
        &self,
        found: Option<&Inner>,
        from: Pid,
        to: PidOrName,
        reference: Reference,
    ) -> Option<Outgoing> {
        if found.is_none() && self.answers_for(&to) {
            return None;
        }
        let watcher = Watcher {
            pid: from,
            named: to,
        };
        let refused = match found {
            Some(inner) => inner.watched(reference.clone(), watcher).err(),
            None => Some(watcher),
        };
        let nobody = self.processes.group_leader();
        refused.map(|watcher| watcher.down_of(&nobody, reference, atom!("noproc").into()))
    }

    /// By name it is monitored as long as it is the one: the name may have gone to another since it was given to the one that
    /// was found.
    fn unwatched(&self, found: Option<&Inner>, to: &PidOrName, reference: &Reference) {
        let there = |inner: &Inner| inner.state().watchers.remove(reference).is_some();
        if found.is_some_and(there) {
            return;
        }
        if let PidOrName::Name(_) = to {
            self.processes.all().iter().any(|inner| there(inner));
        }
    }

    /// A process that one of ours, or a call, monitors has ended.
    pub(crate) fn down(&self, to: &Pid, reference: &Reference, reason: Body, then: &mut Then) {
        let reason = match self.processes.find(to) {
            Some(inner) => match inner.down(reference, reason, then) {
                Ok(()) => return self.alias_may_end(&inner, reference),
                Err(reason) => reason,
            },
            None => reason,
        };
        if let Some(Via::Slot(slot)) = self.processes.via(reference)
            && slot.owner == *to
        {
            slot.put(Answer::Down(reason), then);
        }
    }

    fn alias_may_end(&self, inner: &Inner, reference: &Reference) {
        if !inner.state().aliases.contains_key(reference) {
            self.processes.unroute(reference);
        }
    }

    /// The answer to a request to spawn. Links and monitors hold from now on; when nobody waits for it
    /// (any more), the new process is told so: a linked one ends.
    fn spawned(
        &self,
        request: &Reference,
        to: &Pid,
        flags: u32,
        result: PidOrName,
        then: &mut Then,
    ) {
        let slot = match self.processes.via(request) {
            Some(Via::Slot(slot)) if slot.owner == *to => Some(slot),
            _ => None,
        };
        let pid = match result {
            PidOrName::Pid(pid) => pid,
            PidOrName::Name(error) => {
                if let Some(slot) = slot {
                    slot.put(Answer::Spawned(Err(error)), then);
                }
                return;
            }
        };
        let linked = flags & Control::SPAWNED_WITH_LINK != 0;
        let monitored = flags & Control::SPAWNED_WITH_MONITOR != 0;
        let here = self.processes.find(to);
        let waits = match (&slot, &here) {
            (Some(_), Some(inner)) => inner.spawned(request, &pid, linked, monitored),
            (Some(_), None) => self.processes.is_immortal(to),
            (None, _) => false,
        };
        match slot.filter(|_| waits) {
            Some(slot) => slot.put(Answer::Spawned(Ok(pid)), then),
            None => {
                if monitored {
                    then.push(demonitor(to, &pid, request.clone()));
                }
                if linked {
                    then.push(exit(to, pid, atom!("abandoned").into()));
                }
            }
        }
    }

    /// The connection to a node is lost: what that makes necessary.
    pub(crate) fn node_down(&self, node: &Atom, then: &mut Then) {
        for inner in self.processes.all() {
            inner.node_down(node, then);
        }
        for slot in self.processes.slots_of(node) {
            let lost = Term::from(atom!("noconnection"));
            slot.put(Answer::Down(lost.into()), then);
        }
    }
}

fn unlink_ack(id: u64, from: Pid, to: Pid) -> Outgoing {
    let node = from.node.clone();
    let control = Control::UnlinkIdAck {
        id,
        from: to,
        to: from,
    };
    Outgoing::Signal(node, control)
}

pub(crate) fn demonitor(from: &Pid, to: &Pid, reference: Reference) -> Outgoing {
    let node = to.node.clone();
    let control = Control::DemonitorP {
        from: from.clone(),
        to: PidOrName::Pid(to.clone()),
        reference,
    };
    Outgoing::Signal(node, control)
}

/// Nothing can be started here from elsewhere.
fn not_spawned(request: Reference, from: Pid) -> Outgoing {
    let node = from.node.clone();
    let control = Control::SpawnReply {
        request,
        to: from,
        flags: 0,
        result: PidOrName::Name(atom!("notsup")),
        token: None,
    };
    Outgoing::Signal(node, control)
}
