//! What a message from another node does here, and how messages leave.

use std::sync::Arc;

use trunkline_etf::{Atom, Limits, Pid, RawTerm, Reference, Term, atom};
use trunkline_proto::Flags;
use trunkline_proto::conn::Signal;
use trunkline_proto::control::{AltactTo, Control, PidOrName};

use crate::SendError;
use crate::gate::Open;
use crate::link::Link;
use crate::process::{Incoming, Outgoing};
use crate::shared::Shared;

/// The messages of one read, on their way to their processes. What a message changes elsewhere
/// (links, monitors, exits) has happened when [`Batch::signal`] returns; messages are in the mailboxes
/// at the latest when [`Batch::finish`] returns, so hold none over an `await`.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    shared: &'a Shared,
    link: &'a Arc<Link>,
    /// `None`: the connection was ended by somebody else than its reader, and is told to be over.
    open: Option<Open<'a>>,
}

impl Batch<'_> {
    /// A message came in.
    pub(crate) fn signal(&mut self, signal: Signal) {
        if self.open.is_none() {
            return;
        }
        tracing::trace!(peer = %self.link.info.peer, control = ?signal.control, "in");
        let answers = self.shared.dispatch(signal.control, signal.payload);
        self.shared.send_all(answers);
    }

    /// All of the read were there.
    pub(crate) fn finish(self) {}
}

impl Shared {
    /// Takes what one read of this connection brings.
    pub(crate) fn batch<'a>(&'a self, link: &'a Arc<Link>) -> Batch<'a> {
        Batch {
            shared: self,
            link,
            open: link.gate.enter(),
        }
    }

    /// Sends what a change of the process table made necessary. To a node that is gone nothing
    /// needs to be said: it knows.
    pub(crate) fn send_all(&self, signals: impl IntoIterator<Item = Outgoing>) {
        for Outgoing { node, control } in signals {
            if let Err(why) = self.send(&node, control, None) {
                tracing::debug!(%node, %why, "a signal is not sent");
            }
        }
    }

    /// Sends one message, to this node's own processes too.
    pub(crate) fn send(
        &self,
        node: &Atom,
        control: Control,
        payload: Option<&Term>,
    ) -> Result<(), SendError> {
        if *node == self.atom {
            let answers = self.dispatch(control, payload.map(RawTerm::from));
            self.send_all(answers);
            return Ok(());
        }
        let link = self.link(node.as_str()).ok_or(SendError::NotConnected)?;
        let fitted = control.fit(link.info.flags);
        link.push(&fitted.control, fitted.payload.as_ref().or(payload))
            .map_err(|_| SendError::TooLarge)
    }

    fn dispatch(&self, control: Control, payload: Option<RawTerm>) -> Vec<Outgoing> {
        let processes = &self.processes;
        let body = || payload.unwrap_or_else(|| RawTerm::from(&Term::nil()));
        match control {
            Control::Send { to, .. } | Control::SendSender { to, .. } => self.message(&to, body()),
            Control::RegSend { to, .. } => self.named_message(&to, body()),
            Control::AltactSend {
                flags, from, to, ..
            } => self.altact(flags, from, to, body()),
            Control::Link { from, to } => return processes.linked(from, &to).into_iter().collect(),
            Control::UnlinkId { id, from, to } => {
                processes.unlinked(&from, &to);
                return vec![unlink_ack(id, from, to)];
            }
            Control::UnlinkIdAck { id, from, to } => processes.unlink_acknowledged(id, &from, &to),
            Control::Exit {
                from, to, reason, ..
            } => processes.exited(from, &to, RawTerm::from(&reason)),
            Control::PayloadExit { from, to, .. } => processes.exited(from, &to, body()),
            Control::Exit2 {
                from, to, reason, ..
            } => self.exit_signal(from, to, RawTerm::from(&reason)),
            Control::PayloadExit2 { from, to, .. } => self.exit_signal(from, to, body()),
            Control::MonitorP {
                from,
                to,
                reference,
            } => return self.monitored(from, to, reference),
            Control::DemonitorP { to, reference, .. } => processes.demonitored(&to, &reference),
            Control::MonitorPExit {
                from,
                to,
                reference,
                reason,
            } => processes.down(from, &to, reference, RawTerm::from(&reason)),
            Control::PayloadMonitorPExit {
                from,
                to,
                reference,
            } => processes.down(from, &to, reference, body()),
            Control::SpawnReply {
                request,
                to,
                flags,
                result,
                ..
            } => return processes.spawned(&request, &to, flags, result),
            Control::SpawnRequest { request, from, .. } => return vec![not_spawned(request, from)],
            // No alias is ever given out here; group leaders of mailboxes mean nothing.
            _ => {}
        }
        Vec::new()
    }

    /// To a process that is gone a message vanishes, as in Erlang.
    fn message(&self, to: &Pid, body: RawTerm) {
        if *to == self.processes.group_leader() {
            return self.answer_io(&body);
        }
        let to = PidOrName::Pid(to.clone());
        self.processes.deliver(&to, Incoming::Message(body));
    }

    fn named_message(&self, to: &Atom, body: RawTerm) {
        if *to == "net_kernel" {
            return self.answer_net_kernel(&body);
        }
        let name = PidOrName::Name(to.clone());
        if !self.processes.deliver(&name, Incoming::Message(body)) {
            // What OTP sends without being asked: error reports of processes whose group leader is
            // ours (`logger_proxy`), `rex`, `global_name_server`.
            tracing::debug!(%to, "a message for a name that nobody has");
        }
    }

    fn altact(&self, flags: u32, from: Pid, to: AltactTo, body: RawTerm) {
        match to {
            AltactTo::Pid(to) if flags & Control::ALTACT_EXIT != 0 => {
                self.exit_signal(from, to, body);
            }
            AltactTo::Pid(to) => self.message(&to, body),
            AltactTo::Name(to) => self.named_message(&to, body),
            AltactTo::Alias(_) => {}
        }
    }

    fn exit_signal(&self, from: Pid, to: Pid, reason: RawTerm) {
        let to = PidOrName::Pid(to);
        self.processes.deliver(&to, Incoming::Exit { from, reason });
    }

    /// The group leader and `net_kernel` live as long as the node.
    fn monitored(&self, from: Pid, to: PidOrName, reference: Reference) -> Vec<Outgoing> {
        let immortal = match &to {
            PidOrName::Pid(pid) => *pid == self.processes.group_leader(),
            PidOrName::Name(name) => *name == "net_kernel",
        };
        if immortal {
            return Vec::new();
        }
        let answer = self.processes.monitored(from, to, reference);
        answer.into_iter().collect()
    }

    /// `net_adm:ping/1` asks `{is_auth, Node}` and waits without a limit.
    fn answer_net_kernel(&self, body: &RawTerm) {
        let Ok(message) = body.decode(&Limits::default()) else {
            return;
        };
        let Some([tag, from, request]) = message.as_tuple() else {
            return;
        };
        let asked = request.as_tuple().and_then(|parts| parts.first());
        if tag.is_atom("$gen_call") && asked.is_some_and(|what| what.is_atom("is_auth")) {
            self.reply(from, atom!("yes").into());
        }
    }

    /// Answers a `gen` call: `{Tag, Reply}`, the tag unchanged, to the alias in it or else to the
    /// pid.
    fn reply(&self, from: &Term, reply: Term) {
        let Some([caller, tag]) = from.as_tuple() else {
            return;
        };
        let Some(pid) = caller.as_pid() else {
            return;
        };
        let me = self.processes.group_leader();
        let aliases = self.agreed(&pid.node, Flags::ALIAS);
        let control = match alias(tag).filter(|_| aliases) {
            Some(alias) => Control::AliasSend {
                from: me,
                alias: alias.clone(),
                token: None,
            },
            None => self.send_control(&pid.node, me, pid.clone()),
        };
        let answer = Term::tuple([tag.clone(), reply]);
        if let Err(why) = self.send(&pid.node, control, Some(&answer)) {
            tracing::debug!(%why, "a reply is not sent");
        }
    }

    /// Answers an I/O request to the group leader: what is written is dropped, there is nothing to
    /// read.
    fn answer_io(&self, body: &RawTerm) {
        let Ok(message) = body.decode(&Limits::default()) else {
            return;
        };
        let Some([tag, from, reply_as, request]) = message.as_tuple() else {
            return;
        };
        let Some(pid) = from.as_pid().filter(|_| tag.is_atom("io_request")) else {
            return;
        };
        let kind = request.as_tuple().and_then(|parts| parts.first());
        let output = kind.is_some_and(|kind| kind.is_atom("put_chars") || kind.is_atom("requests"));
        let result = if output {
            Term::atom("ok")
        } else {
            Term::tuple([atom!("error"), atom!("request")])
        };
        let reply = Term::tuple([Term::atom("io_reply"), reply_as.clone(), result]);
        let me = self.processes.group_leader();
        let control = self.send_control(&pid.node, me, pid.clone());
        if let Err(why) = self.send(&pid.node, control, Some(&reply)) {
            tracing::debug!(%why, "an io_reply is not sent");
        }
    }

    /// SEND_SENDER where the other node knows it.
    pub(crate) fn send_control(&self, node: &Atom, from: Pid, to: Pid) -> Control {
        let token = None;
        if self.agreed(node, Flags::SEND_SENDER) {
            Control::SendSender { from, to, token }
        } else {
            Control::Send { to, token }
        }
    }

    /// Whether a flag holds on the connection to a node.
    pub(crate) fn agreed(&self, node: &Atom, flag: Flags) -> bool {
        self.link(node.as_str())
            .is_some_and(|link| link.info.flags.contains(flag))
    }
}

/// The alias in the tag of a `gen` call: `[alias|Ref]`, or `[[alias|Ref]|Other]` from OTP 26 on.
fn alias(tag: &Term) -> Option<&Reference> {
    use trunkline_etf::View;

    let View::Improper([head], tail) = tag.view() else {
        return None;
    };
    if head.is_atom("alias") {
        return tail.as_reference();
    }
    match head.view() {
        View::Improper([inner], tail) if inner.is_atom("alias") => tail.as_reference(),
        _ => None,
    }
}

fn unlink_ack(id: u64, from: Pid, to: Pid) -> Outgoing {
    Outgoing {
        node: from.node.clone(),
        control: Control::UnlinkIdAck {
            id,
            from: to,
            to: from,
        },
    }
}

/// Nothing can be started here from elsewhere.
fn not_spawned(request: Reference, from: Pid) -> Outgoing {
    Outgoing {
        node: from.node.clone(),
        control: Control::SpawnReply {
            request,
            to: from,
            flags: 0,
            result: PidOrName::Name(atom!("notsup")),
            token: None,
        },
    }
}
