//! What a process receives.

use trunkline_etf::{Atom, Pid, Reference, Term, atom};
use trunkline_proto::control::PidOrName;

use crate::mailbox::Event;

/// What a process receives.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Message {
    /// Somebody sent this.
    Term(Term),
    /// A linked process ended, or `exit/2` was called; where the process traps exits.
    Exit {
        /// Who ended, or called.
        from: Pid,
        /// Why; `noconnection` when its node was lost.
        reason: Term,
    },
    /// A monitored process ended, or there is none.
    Down {
        /// Which monitor.
        reference: Reference,
        /// On which node.
        node: Atom,
        /// Who, as it was named in the monitor.
        from: PidOrName,
        /// Why; `noproc` when there is none, `noconnection` when its node was lost.
        reason: Term,
    },
    /// The connection to a monitored node was lost, or there was none.
    NodeDown {
        /// Which node.
        node: Atom,
    },
}

impl Message {
    /// The term that somebody sent.
    pub const fn as_term(&self) -> Option<&Term> {
        match self {
            Self::Term(term) => Some(term),
            _ => None,
        }
    }

    /// As an Erlang process gets it: `{'EXIT', Pid, Reason}`,
    /// `{'DOWN', Reference, process, Who, Reason}` with a pid or `{Name, Node}`, `{nodedown, Node}`, or
    /// what was sent.
    pub fn into_term(self) -> Term {
        match self {
            Self::Term(term) => term,
            Self::Exit { from, reason } => {
                Term::tuple([atom!("EXIT").into(), Term::from(from), reason])
            }
            Self::Down {
                reference,
                node,
                from,
                reason,
            } => Term::tuple([
                atom!("DOWN").into(),
                Term::from(reference),
                atom!("process").into(),
                match from {
                    PidOrName::Pid(pid) => pid.into(),
                    PidOrName::Name(name) => Term::tuple([name, node]),
                },
                reason,
            ]),
            Self::NodeDown { node } => Term::tuple([atom!("nodedown"), node]),
        }
    }
}

impl From<Event> for Message {
    fn from(event: Event) -> Self {
        match event {
            Event::Exit { from, reason } => Self::Exit {
                from,
                reason: reason.into_term(),
            },
            Event::Down {
                reference,
                node,
                from,
                reason,
            } => Self::Down {
                reference,
                node,
                from,
                reason: reason.into_term(),
            },
            Event::NodeDown { node } => Self::NodeDown { node },
        }
    }
}
