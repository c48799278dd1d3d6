//! Between terms and what the node's API takes.

use std::time::Duration;

use trunkline_etf::{Atom, Pid, Reference, Term, atom};
use trunkline_node::{Dest, DownReason};
use trunkline_proto::NodeName;

/// To whom something goes, owned.
#[derive(Debug)]
pub(crate) enum To {
    Pid(Pid),
    Name(Atom, NodeName),
    Alias(Reference),
}

impl To {
    pub(crate) fn as_dest(&self) -> Dest<'_> {
        match self {
            Self::Pid(pid) => pid.into(),
            Self::Name(name, node) => (name, node).into(),
            Self::Alias(alias) => alias.into(),
        }
    }

    /// The node's part.
    pub(crate) fn node(&self) -> Term {
        match self {
            Self::Pid(pid) => Term::from(&pid.node),
            Self::Name(_, node) => node_atom(node).into(),
            Self::Alias(alias) => Term::from(alias.node()),
        }
    }
}

/// A pid, a reference or `{Name, Node}`.
pub(crate) fn dest(term: &Term) -> Option<To> {
    if let Some(pid) = term.as_pid() {
        return Some(To::Pid(pid.clone()));
    }
    if let Some(alias) = term.as_reference() {
        return Some(To::Alias(alias.clone()));
    }
    match term.as_tuple() {
        Some([name, node]) => Some(To::Name(name.as_atom()?.clone(), node_name(node)?)),
        _ => None,
    }
}

pub(crate) fn node_name(term: &Term) -> Option<NodeName> {
    term.as_atom()?.as_str().parse().ok()
}

pub(crate) fn node_atom(name: &NodeName) -> Atom {
    Atom::new(name.as_str()).expect("names of nodes are at most 255 characters long")
}

/// A number of milliseconds; nothing else is ever asked for.
pub(crate) fn millis(term: &Term) -> Duration {
    Duration::from_millis(term.as_u64().unwrap_or(0))
}

/// What `net_kernel:monitor_nodes/2` says with `nodedown_reason`.
pub(crate) fn down_reason(reason: &DownReason) -> Atom {
    match reason {
        DownReason::Disconnected => atom!("disconnect"),
        DownReason::TickTimeout => atom!("net_tick_timeout"),
        _ => atom!("connection_closed"),
    }
}
