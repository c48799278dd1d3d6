//! From a control message to its tuple.

use alloc::vec::Vec;

use trunkline_etf::{Sink, Term};

use super::fields::{Count, Fields, Terms, Write};
use super::{AltactTo, Control, op};

impl Control {
    /// As it goes out where atoms do not go through the cache; for
    /// [`Outbound::push_again`](crate::conn::Outbound::push_again).
    #[must_use]
    pub fn encoded(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.encode_bare(&mut bytes);
        bytes
    }

    /// The tuple of the specification; with a token the form that has one.
    pub fn to_term(&self) -> Term {
        let mut tuple = Terms(Vec::with_capacity(7));
        self.fields(&mut tuple);
        Term::tuple(tuple.0)
    }

    /// Appends the encoded tuple without a version byte. Nothing is allocated.
    pub fn encode_bare(&self, out: &mut impl Sink) {
        let mut count = Count(0);
        self.fields(&mut count);
        let mut tuple = Write(out);
        tuple.begin(count.0);
        self.fields(&mut tuple);
    }

    #[inline]
    fn fields(&self, t: &mut impl Fields) {
        match self {
            Self::Link { from, to } => t.op(op::LINK).pid(from).pid(to),
            Self::Send { to, token } => t
                .op_of(op::SEND, op::SEND_TT, token)
                .unused()
                .pid(to)
                .token(token),
            Self::Exit {
                from,
                to,
                token,
                reason,
            } => t
                .op_of(op::EXIT, op::EXIT_TT, token)
                .pid(from)
                .pid(to)
                .token(token)
                .term(reason),
            Self::RegSend { from, to, token } => t
                .op_of(op::REG_SEND, op::REG_SEND_TT, token)
                .pid(from)
                .unused()
                .atom(to)
                .token(token),
            Self::GroupLeader { leader, to } => t.op(op::GROUP_LEADER).pid(leader).pid(to),
            Self::Exit2 {
                from,
                to,
                token,
                reason,
            } => t
                .op_of(op::EXIT2, op::EXIT2_TT, token)
                .pid(from)
                .pid(to)
                .token(token)
                .term(reason),
            Self::MonitorP {
                from,
                to,
                reference,
            } => t
                .op(op::MONITOR_P)
                .pid(from)
                .process(to)
                .reference(reference),
            Self::DemonitorP {
                from,
                to,
                reference,
            } => t
                .op(op::DEMONITOR_P)
                .pid(from)
                .process(to)
                .reference(reference),
            Self::MonitorPExit {
                from,
                to,
                reference,
                reason,
            } => t
                .op(op::MONITOR_P_EXIT)
                .process(from)
                .pid(to)
                .reference(reference)
                .term(reason),
            Self::SendSender { from, to, token } => t
                .op_of(op::SEND_SENDER, op::SEND_SENDER_TT, token)
                .pid(from)
                .pid(to)
                .token(token),
            Self::PayloadExit { from, to, token } => t
                .op_of(op::PAYLOAD_EXIT, op::PAYLOAD_EXIT_TT, token)
                .pid(from)
                .pid(to)
                .token(token),
            Self::PayloadExit2 { from, to, token } => t
                .op_of(op::PAYLOAD_EXIT2, op::PAYLOAD_EXIT2_TT, token)
                .pid(from)
                .pid(to)
                .token(token),
            Self::PayloadMonitorPExit {
                from,
                to,
                reference,
            } => t
                .op(op::PAYLOAD_MONITOR_P_EXIT)
                .process(from)
                .pid(to)
                .reference(reference),
            Self::AliasSend { from, alias, token } => t
                .op_of(op::ALIAS_SEND, op::ALIAS_SEND_TT, token)
                .pid(from)
                .reference(alias)
                .token(token),
            Self::UnlinkId { id, from, to } => t.op(op::UNLINK_ID).number(*id).pid(from).pid(to),
            Self::UnlinkIdAck { id, from, to } => {
                t.op(op::UNLINK_ID_ACK).number(*id).pid(from).pid(to)
            }
            Self::SpawnRequest { .. } | Self::SpawnReply { .. } => self.spawn_fields(t),
            Self::AltactSend {
                flags,
                from,
                to,
                token,
            } => t
                .op(op::ALTACT_SIG_SEND)
                .number(u64::from(altact_flags(*flags, to, token)))
                .pid(from)
                .altact_to(to)
                .token(token),
        };
    }

    fn spawn_fields<'t, F: Fields>(&self, t: &'t mut F) -> &'t mut F {
        match self {
            Self::SpawnRequest {
                request,
                from,
                group_leader,
                module,
                function,
                arity,
                options,
                token,
            } => t
                .op_of(op::SPAWN_REQUEST, op::SPAWN_REQUEST_TT, token)
                .reference(request)
                .pid(from)
                .pid(group_leader)
                .function(module, function, *arity)
                .term(options)
                .token(token),
            Self::SpawnReply {
                request,
                to,
                flags,
                result,
                token,
            } => t
                .op_of(op::SPAWN_REPLY, op::SPAWN_REPLY_TT, token)
                .reference(request)
                .pid(to)
                .number(u64::from(*flags))
                .process(result)
                .token(token),
            _ => t,
        }
    }
}

/// What receiver and token say, whatever the caller set.
pub(super) fn altact_flags(flags: u32, to: &AltactTo, token: &Option<Term>) -> u32 {
    let others = flags & !(Control::ALTACT_ALIAS | Control::ALTACT_NAME | Control::ALTACT_TOKEN);
    let receiver = match to {
        AltactTo::Pid(_) => 0,
        AltactTo::Alias(_) => Control::ALTACT_ALIAS,
        AltactTo::Name(_) => Control::ALTACT_NAME,
    };
    let token = if token.is_some() {
        Control::ALTACT_TOKEN
    } else {
        0
    };
    others | receiver | token
}
