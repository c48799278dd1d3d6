//! What the node answers itself: for `net_kernel`, for the group leader, for calls that no process
//! makes.

use trunkline_etf::{Limits, Reference, Term, View, atom};
use trunkline_proto::Flags;
use trunkline_proto::control::{Control, PidOrName};

use crate::mailbox::Body;
use crate::process::Then;
use crate::process::table::Via;
use crate::shared::Shared;
use crate::slot::Answer;

impl Shared {
    /// Whether somebody without a mailbox answers there, for as long as the node lives.
    pub(crate) fn answers_for(&self, to: &PidOrName) -> bool {
        match to {
            PidOrName::Pid(pid) => self.processes.is_immortal(pid),
            PidOrName::Name(name) => *name == "net_kernel",
        }
    }

    /// A message for nobody who has a mailbox.
    pub(crate) fn unclaimed(&self, to: &PidOrName, body: Body, then: &mut Then) {
        match to {
            PidOrName::Pid(pid) if *pid == self.processes.group_leader() => {
                self.answer_io(body, then)
            }
            PidOrName::Pid(pid) if self.processes.is_immortal(pid) => self.answer_call(body, then),
            PidOrName::Name(name) if *name == "net_kernel" => self.answer_net_kernel(body, then),
            // What OTP sends without being asked: error reports of processes whose group leader is
            // ours (`logger_proxy`), `rex`, `global_name_server`.
            PidOrName::Name(name) => tracing::debug!(%name, "a message for a name that nobody has"),
            PidOrName::Pid(_) => {}
        }
    }

    /// The reply to a call, of a node that knows no aliases: `{Reference, Reply}`.
    fn answer_call(&self, body: Body, then: &mut Then) {
        let reply = body.into_term();
        let reference = reply
            .as_tuple()
            .and_then(|parts| parts.first()?.as_reference());
        if let Some(Via::Slot(slot)) = reference.and_then(|reference| self.processes.via(reference))
        {
            slot.put(Answer::Message(Body::Term(reply)), then);
        }
    }

    /// `net_adm:ping/1` asks `{is_auth, Node}` and waits without a limit.
    fn answer_net_kernel(&self, body: Body, then: &mut Then) {
        let Some(message) = body.decoded() else {
            return;
        };
        let Some([tag, from, request]) = message.as_tuple() else {
            return;
        };
        let asked = request.as_tuple().and_then(|parts| parts.first());
        if tag.is_atom("$gen_call") && asked.is_some_and(|what| what.is_atom("is_auth")) {
            self.reply(from, atom!("yes").into(), then);
        }
    }

    /// Answers a `gen` call: `{Tag, Reply}`, the tag unchanged, to the alias in it or else to the
    /// pid.
    fn reply(&self, from: &Term, reply: Term, then: &mut Then) {
        let Some([caller, tag]) = from.as_tuple() else {
            return;
        };
        let Some(pid) = caller.as_pid() else {
            return;
        };
        let me = self.processes.group_leader();
        let control = match alias_in(tag).filter(|_| self.takes_aliases(&pid.node)) {
            Some(alias) => Control::AliasSend {
                from: me,
                alias: alias.clone(),
                token: None,
            },
            None => Control::SendSender {
                from: me,
                to: pid.clone(),
                token: None,
            },
        };
        self.answer(pid, control, &Term::tuple([tag.clone(), reply]), then);
    }

    /// Answers an I/O request to the group leader: what is written is dropped, there is nothing to
    /// read.
    fn answer_io(&self, body: Body, then: &mut Then) {
        let Some(message) = body.decoded() else {
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
        let control = Control::SendSender {
            from: self.processes.group_leader(),
            to: pid.clone(),
            token: None,
        };
        self.answer(pid, control, &reply, then);
    }

    fn answer(&self, to: &trunkline_etf::Pid, control: Control, answer: &Term, then: &mut Then) {
        if to.node == self.atom {
            return self.deliver(control, Some(Body::Term(answer.clone())), then);
        }
        if let Err(why) = self.send_answer(&to.node, control, answer) {
            tracing::debug!(%why, "an answer is not sent");
        }
    }

    /// Whether replies may go to aliases there. A node that is not connected may be soon: the reply to a call that the loss of the
    /// connection ended must not find the caller itself then.
    pub(crate) fn takes_aliases(&self, node: &trunkline_etf::Atom) -> bool {
        self.link(node.as_str())
            .is_none_or(|link| link.info.flags.contains(Flags::ALIAS))
    }
}

impl Body {
    /// The term, where it can be decoded.
    fn decoded(self) -> Option<Term> {
        match self {
            Self::Term(term) => Some(term),
            Self::Raw(raw, _) => raw.decode(&Limits::default()).ok(),
        }
    }
}

/// The alias in the tag of a `gen` call: `[alias|Ref]`, or `[[alias|Ref]|Other]` from OTP 26 on.
pub(crate) fn alias_in(tag: &Term) -> Option<&Reference> {
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
