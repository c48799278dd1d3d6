//! From a tuple to a control message.

use trunkline_etf::{Atom, Pid, Reference, Term};

use super::encode::altact_flags;
use super::{AltactTo, Control, ControlError, PidOrName, op};

impl Control {
    /// Reads the tuple at the head of a message.
    pub fn from_term(term: &Term) -> Result<Self, ControlError> {
        let (op, fields) = term
            .as_tuple()
            .and_then(<[Term]>::split_first)
            .and_then(|(op, fields)| Some((op.as_i64()?, fields)))
            .ok_or(ControlError::NoOperation)?;
        if !is_known(op) {
            return Err(ControlError::UnknownOperation(op));
        }
        let control = match op {
            op::SPAWN_REQUEST..=op::SPAWN_REPLY_TT => spawn(op, fields),
            op::LINK | op::GROUP_LEADER | op::MONITOR_P..=op::MONITOR_P_EXIT => plain(op, fields),
            op::PAYLOAD_MONITOR_P_EXIT | op::UNLINK_ID | op::UNLINK_ID_ACK => plain(op, fields),
            op::ALTACT_SIG_SEND => altact(fields),
            _ => traceable(op, fields),
        };
        control.ok_or(ControlError::BadFields(op))
    }
}

/// UNLINK (4) is gone since OTP 26, NODE_LINK (5) was never sent.
fn is_known(op: i64) -> bool {
    matches!(
        op,
        op::LINK..=op::EXIT
            | op::REG_SEND..=op::EXIT2
            | op::SEND_TT
            | op::EXIT_TT
            | op::REG_SEND_TT
            | op::EXIT2_TT..=op::ALTACT_SIG_SEND
    )
}

/// Messages without a form that carries a trace token.
fn plain(op: i64, fields: &[Term]) -> Option<Control> {
    Some(match (op, fields) {
        (op::LINK, [from, to]) => Control::Link {
            from: pid(from)?,
            to: pid(to)?,
        },
        (op::GROUP_LEADER, [leader, to]) => Control::GroupLeader {
            leader: pid(leader)?,
            to: pid(to)?,
        },
        (op::MONITOR_P, [from, to, id]) => Control::MonitorP {
            from: pid(from)?,
            to: process(to)?,
            reference: reference(id)?,
        },
        (op::DEMONITOR_P, [from, to, id]) => Control::DemonitorP {
            from: pid(from)?,
            to: process(to)?,
            reference: reference(id)?,
        },
        (op::MONITOR_P_EXIT, [from, to, id, reason]) => Control::MonitorPExit {
            from: process(from)?,
            to: pid(to)?,
            reference: reference(id)?,
            reason: reason.clone(),
        },
        (op::PAYLOAD_MONITOR_P_EXIT, [from, to, id]) => Control::PayloadMonitorPExit {
            from: process(from)?,
            to: pid(to)?,
            reference: reference(id)?,
        },
        (op::UNLINK_ID, [id, from, to]) => Control::UnlinkId {
            id: id.as_u64()?,
            from: pid(from)?,
            to: pid(to)?,
        },
        (op::UNLINK_ID_ACK, [id, from, to]) => Control::UnlinkIdAck {
            id: id.as_u64()?,
            from: pid(from)?,
            to: pid(to)?,
        },
        _ => return None,
    })
}

/// Messages that exist with and without a trace token.
fn traceable(op: i64, fields: &[Term]) -> Option<Control> {
    match (op, fields) {
        (op::EXIT | op::EXIT2, [from, to, reason]) => exit(op, from, to, None, reason),
        (op::EXIT_TT | op::EXIT2_TT, [from, to, token, reason]) => {
            exit(op, from, to, Some(token.clone()), reason)
        }
        (op::SEND, [_, to]) => Some(Control::Send {
            to: pid(to)?,
            token: None,
        }),
        (op::SEND_TT, [_, to, token]) => Some(Control::Send {
            to: pid(to)?,
            token: Some(token.clone()),
        }),
        (op::REG_SEND, [from, _, to]) => Some(Control::RegSend {
            from: pid(from)?,
            to: atom(to)?,
            token: None,
        }),
        (op::REG_SEND_TT, [from, _, to, token]) => Some(Control::RegSend {
            from: pid(from)?,
            to: atom(to)?,
            token: Some(token.clone()),
        }),
        (op::SEND_SENDER | op::PAYLOAD_EXIT | op::PAYLOAD_EXIT2 | op::ALIAS_SEND, [from, to]) => {
            between(op, from, to, None)
        }
        (
            op::SEND_SENDER_TT | op::PAYLOAD_EXIT_TT | op::PAYLOAD_EXIT2_TT | op::ALIAS_SEND_TT,
            [from, to, token],
        ) => between(op, from, to, Some(token.clone())),
        _ => None,
    }
}

fn exit(op: i64, from: &Term, to: &Term, token: Option<Term>, reason: &Term) -> Option<Control> {
    let (from, to, reason) = (pid(from)?, pid(to)?, reason.clone());
    Some(match op {
        op::EXIT | op::EXIT_TT => Control::Exit {
            from,
            to,
            token,
            reason,
        },
        _ => Control::Exit2 {
            from,
            to,
            token,
            reason,
        },
    })
}

fn between(op: i64, from: &Term, to: &Term, token: Option<Term>) -> Option<Control> {
    let from = pid(from)?;
    Some(match op {
        op::SEND_SENDER | op::SEND_SENDER_TT => Control::SendSender {
            from,
            to: pid(to)?,
            token,
        },
        op::PAYLOAD_EXIT | op::PAYLOAD_EXIT_TT => Control::PayloadExit {
            from,
            to: pid(to)?,
            token,
        },
        op::PAYLOAD_EXIT2 | op::PAYLOAD_EXIT2_TT => Control::PayloadExit2 {
            from,
            to: pid(to)?,
            token,
        },
        _ => Control::AliasSend {
            from,
            alias: reference(to)?,
            token,
        },
    })
}

fn spawn(op: i64, fields: &[Term]) -> Option<Control> {
    let (fields, token) = match op {
        op::SPAWN_REQUEST_TT | op::SPAWN_REPLY_TT => {
            let (token, fields) = fields.split_last()?;
            (fields, Some(token.clone()))
        }
        _ => (fields, None),
    };
    Some(match (op, fields) {
        (op::SPAWN_REQUEST | op::SPAWN_REQUEST_TT, [request, from, leader, mfa, options]) => {
            let [module, function, arity] = mfa.as_tuple()? else {
                return None;
            };
            Control::SpawnRequest {
                request: reference(request)?,
                from: pid(from)?,
                group_leader: pid(leader)?,
                module: atom(module)?,
                function: atom(function)?,
                arity: number(arity)?,
                options: options.clone(),
                token,
            }
        }
        (op::SPAWN_REPLY | op::SPAWN_REPLY_TT, [request, to, flags, result]) => {
            Control::SpawnReply {
                request: reference(request)?,
                to: pid(to)?,
                flags: number(flags)?,
                result: process(result)?,
                token,
            }
        }
        _ => return None,
    })
}

fn altact(fields: &[Term]) -> Option<Control> {
    let (flags, from, to, token) = match fields {
        [flags, from, to] => (number(flags)?, from, to, None),
        [flags, from, to, token] => (number(flags)?, from, to, Some(token.clone())),
        _ => return None,
    };
    if (flags & Control::ALTACT_TOKEN != 0) != token.is_some() {
        return None;
    }
    let to = if flags & Control::ALTACT_ALIAS != 0 {
        AltactTo::Alias(reference(to)?)
    } else if flags & Control::ALTACT_NAME != 0 {
        AltactTo::Name(atom(to)?)
    } else {
        AltactTo::Pid(pid(to)?)
    };
    // An alias that is said to be a name as well is an alias.
    Some(Control::AltactSend {
        flags: altact_flags(flags, &to, &token),
        from: pid(from)?,
        to,
        token,
    })
}

fn pid(term: &Term) -> Option<Pid> {
    term.as_pid().cloned()
}

fn atom(term: &Term) -> Option<Atom> {
    term.as_atom().cloned()
}

fn reference(term: &Term) -> Option<Reference> {
    term.as_reference().cloned()
}

fn number(term: &Term) -> Option<u32> {
    term.as_u64().and_then(|number| u32::try_from(number).ok())
}

fn process(term: &Term) -> Option<PidOrName> {
    pid(term)
        .map(PidOrName::Pid)
        .or_else(|| atom(term).map(PidOrName::Name))
}
