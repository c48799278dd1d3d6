//! Who sends a message: between two processes the order of messages is the order of their sending.

use trunkline_etf::Pid;

use super::{Control, PidOrName};

/// Whose messages a message stays in order with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender<'a> {
    /// A process.
    Process(&'a Pid),
    /// The node itself, which promises no order.
    Node,
    /// Some process; the message does not say which.
    Unknown,
}

impl<'a> Sender<'a> {
    /// The process; none for the node, and for what does not say.
    pub(crate) const fn pid(self) -> Option<&'a Pid> {
        match self {
            Self::Process(pid) => Some(pid),
            Self::Node | Self::Unknown => None,
        }
    }
}

impl Control {
    /// The process that sends it, where it says so.
    #[must_use]
    pub const fn sender_pid(&self) -> Option<&Pid> {
        self.sender().pid()
    }

    /// Who sends it.
    pub(crate) const fn sender(&self) -> Sender<'_> {
        match self {
            Self::Link { from, .. }
            | Self::Exit { from, .. }
            | Self::RegSend { from, .. }
            | Self::Exit2 { from, .. }
            | Self::MonitorP { from, .. }
            | Self::DemonitorP { from, .. }
            | Self::SendSender { from, .. }
            | Self::PayloadExit { from, .. }
            | Self::PayloadExit2 { from, .. }
            | Self::SpawnRequest { from, .. }
            | Self::AliasSend { from, .. }
            | Self::UnlinkId { from, .. }
            | Self::UnlinkIdAck { from, .. }
            | Self::AltactSend { from, .. } => Sender::Process(from),
            Self::MonitorPExit { from, .. } | Self::PayloadMonitorPExit { from, .. } => {
                match from {
                    PidOrName::Pid(from) => Sender::Process(from),
                    PidOrName::Name(_) => Sender::Unknown,
                }
            }
            // It comes before all that the new process sends.
            Self::SpawnReply { result, .. } => match result {
                PidOrName::Pid(new) => Sender::Process(new),
                PidOrName::Name(_) => Sender::Node,
            },
            Self::Send { .. } | Self::GroupLeader { .. } => Sender::Unknown,
        }
    }
}
