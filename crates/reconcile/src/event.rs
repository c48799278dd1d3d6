//! What changed: one line each, said once, `what · where · cure`.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use trunkline_proto::{NodeName, Reason};

use crate::evidence::{SourceId, TopologyId, Unknown};

/// A change. Nothing is said while nothing changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A source no longer knows. Its last good answer stands.
    SourceFailed {
        /// Which.
        source: SourceId,
        /// Why, and what to do.
        why: Unknown,
    },
    /// A source knows again.
    SourceRecovered {
        /// Which.
        source: SourceId,
    },
    /// A source passed something over.
    Note {
        /// Which.
        source: SourceId,
        /// What, and why.
        note: String,
    },
    /// A topology lists other nodes than before.
    Listed {
        /// Which.
        topology: TopologyId,
        /// Listed now, and not before.
        added: Vec<NodeName>,
        /// Were `absent`, and are listed now.
        again: Vec<NodeName>,
        /// Listed before, and not now; of a sample, missing `removal_misses` times in a row. They
        /// are kept for the grace.
        absent: Vec<NodeName>,
        /// How many are listed, self included.
        total: usize,
    },
    /// Good answers that cannot be right.
    Alarm {
        /// About whom.
        topology: TopologyId,
        /// What is wrong with them.
        alarm: Alarm,
    },
    /// The answers look right again.
    AlarmOver {
        /// About whom.
        topology: TopologyId,
    },
    /// A topology lists others and never listed our own node, which is another's: a second site.
    Foreign {
        /// Which.
        topology: TopologyId,
        /// Whose our node is.
        home: TopologyId,
    },
    /// More is missing at once than one step removes.
    Guarded {
        /// Where.
        topology: TopologyId,
        /// How many are missing.
        missing: usize,
        /// Of how many.
        size: usize,
    },
    /// A health check fails, and the peer is not dialled.
    Unhealthy {
        /// Whose check.
        topology: TopologyId,
        /// The peer.
        peer: NodeName,
        /// What the check found.
        why: String,
    },
    /// The check passes again.
    Healthy {
        /// Whose check.
        topology: TopologyId,
        /// The peer.
        peer: NodeName,
    },
    /// A peer calls itself otherwise than it is listed.
    RealName {
        /// The listed name.
        listed: NodeName,
        /// The name that is used from now on.
        actual: NodeName,
    },
    /// A link to a listed peer exists.
    Connected {
        /// The peer.
        peer: NodeName,
    },
    /// The link is gone.
    Lost {
        /// The peer.
        peer: NodeName,
        /// What our node says of it.
        why: String,
    },
    /// A peer cannot be connected; said again when the reason changes.
    CannotConnect {
        /// The peer.
        peer: NodeName,
        /// Why.
        reason: Reason,
    },
    /// A dead peer that no source lists is no longer tried.
    Forgotten {
        /// The peer.
        peer: NodeName,
    },
    /// A peer is connected that no source lists any more.
    UnlistedButConnected {
        /// The peer.
        peer: NodeName,
    },
    /// The peer has no agent, and we asked it to leave.
    AskedToLeave {
        /// The peer.
        peer: NodeName,
    },
    /// An unlisted peer is cut off, as configured.
    Disconnecting {
        /// The peer.
        peer: NodeName,
    },
    /// Our own node is no longer listed.
    Left {
        /// Where.
        topology: TopologyId,
        /// Whether its links end too; they do not where another topology needs them.
        disconnects: bool,
    },
    /// Our own node could not leave.
    LeaveFailed {
        /// Where.
        topology: TopologyId,
        /// Why.
        why: String,
    },
    /// Our own node is listed again.
    Returned {
        /// Where.
        topology: TopologyId,
    },
    /// We were stopped for a while.
    Frozen {
        /// How long.
        gap: Duration,
    },
}

/// What is wrong with good answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alarm {
    /// They hold nobody.
    Empty,
    /// They hold peers, and not our own node.
    WithoutSelf,
    /// They hold fewer nodes than `expected_size`.
    TooFew {
        /// That size.
        expected: usize,
    },
}

impl Event {
    /// Whether somebody should look at it.
    pub const fn is_warning(&self) -> bool {
        matches!(
            self,
            Self::SourceFailed { .. }
                | Self::Note { .. }
                | Self::Alarm { .. }
                | Self::Guarded { .. }
                | Self::Unhealthy { .. }
                | Self::Lost { .. }
                | Self::CannotConnect { .. }
                | Self::UnlistedButConnected { .. }
                | Self::LeaveFailed { .. }
                | Self::Left { .. }
        )
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SourceFailed { source, why } => {
                let Unknown { what, cure } = why;
                write!(f, "{what}; the last good answer stands · {source} · {cure}")
            }
            Self::SourceRecovered { source } => write!(f, "answers again · {source}"),
            Self::Note { source, note } => write!(f, "{note} · {source}"),
            Self::Listed {
                topology,
                added,
                again,
                absent,
                total,
            } => listed(f, topology, [added, again, absent], *total),
            Self::Alarm { topology, alarm } => {
                write!(f, "{alarm} · {topology} · {}", alarm.cure())
            }
            Self::AlarmOver { topology } => write!(f, "the answers look right again · {topology}"),
            Self::Foreign { topology, home } => {
                write!(
                    f,
                    "our own node is not listed here, it is one of {home} · {topology}"
                )
            }
            Self::Guarded {
                topology,
                missing,
                size,
            } => write!(
                f,
                "{missing} of {size} nodes are missing at once, removed step by step · {topology} \
                 · check what the source was asked; removal_guard sets the step"
            ),
            Self::Unhealthy {
                topology,
                peer,
                why,
            } => write!(
                f,
                "fails its health check: {why} · {peer} ({topology}) · it is connected once it passes"
            ),
            Self::Healthy { topology, peer } => {
                write!(f, "passes its health check again · {peer} ({topology})")
            }
            Self::RealName { listed, actual } => {
                write!(
                    f,
                    "calls itself {actual} (name_mismatch), that name is used · {listed}"
                )
            }
            Self::Connected { peer } => write!(f, "connected · {peer}"),
            Self::Lost { peer, why } => write!(f, "connection lost: {why} · {peer}"),
            Self::CannotConnect { peer, reason } => {
                write!(
                    f,
                    "cannot connect ({}): {reason} · {peer} · {}",
                    reason.code(),
                    reason.cure()
                )
            }
            Self::Forgotten { peer } => {
                write!(f, "dead and no longer listed, forgotten · {peer}")
            }
            Self::UnlistedButConnected { peer } => write!(
                f,
                "unlisted but connected · {peer} · stop it, or list it again; on_removed = \"disconnect\" cuts such links"
            ),
            Self::AskedToLeave { peer } => {
                write!(f, "unlisted and without an agent, asked to leave · {peer}")
            }
            Self::Disconnecting { peer } => {
                write!(
                    f,
                    "unlisted, disconnected as configured (on_removed) · {peer}"
                )
            }
            Self::Left {
                topology,
                disconnects,
            } => {
                let links = if *disconnects {
                    "it leaves the others"
                } else {
                    "its links stay, another topology needs them"
                };
                write!(
                    f,
                    "our own node is no longer listed, {links} · {topology} · list it again and it returns"
                )
            }
            Self::LeaveFailed { topology, why } => {
                write!(
                    f,
                    "our own node could not leave: {why} · {topology} · stop it, or call global:disconnect() there"
                )
            }
            Self::Returned { topology } => write!(f, "our own node is listed again · {topology}"),
            Self::Frozen { gap } => write!(
                f,
                "stood still for {} s, so nothing is removed on what was known before · this agent",
                gap.as_secs()
            ),
        }
    }
}

/// Long lists are cut: the whole of it is in the status.
const SHOWN: usize = 8;

fn listed(
    f: &mut fmt::Formatter<'_>,
    topology: &TopologyId,
    [added, again, absent]: [&[NodeName]; 3],
    total: usize,
) -> fmt::Result {
    let nodes = if total == 1 { "node" } else { "nodes" };
    write!(f, "{total} {nodes} listed")?;
    names(f, " · new: ", added)?;
    names(f, " · again: ", again)?;
    names(f, " · no longer: ", absent)?;
    write!(f, " · {topology}")
}

fn names(f: &mut fmt::Formatter<'_>, title: &str, names: &[NodeName]) -> fmt::Result {
    for (i, name) in names.iter().take(SHOWN).enumerate() {
        let before = if i == 0 { title } else { ", " };
        write!(f, "{before}{name}")?;
    }
    match names.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => write!(f, " and {more} more"),
        _ => Ok(()),
    }
}

impl Alarm {
    const fn cure(self) -> &'static str {
        match self {
            Self::Empty => "check tag, name or query; nobody is dropped for it",
            Self::WithoutSelf => {
                "check that this host has the tag, name or record, and that its node is named as the source names it"
            }
            Self::TooFew { .. } => "check the missing hosts, or expected_size",
        }
    }
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the source answers, and lists nobody"),
            Self::WithoutSelf => f.write_str("the source lists others, and not our own node"),
            Self::TooFew { expected } => write!(f, "fewer than {expected} nodes are listed"),
        }
    }
}
