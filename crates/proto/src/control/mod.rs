//! Control messages (`erl_dist_protocol`, "Protocol between Connected Nodes"): the tuple at the
//! head of every message, in the order and with the names of the specification.

mod decode;
mod encode;
mod fields;
mod fit;
mod hot;
mod sender;

pub(crate) use fields::SMALL_TUPLE;
pub use fit::Fitted;
pub(crate) use hot::Names;
pub(crate) use sender::Sender;

use thiserror::Error;
use trunkline_etf::{Atom, Pid, Reference, Term};

/// What a message does. Where a payload follows, it says so.
///
/// `token` is the token of a sequential trace: the forms with and without one (`SEND` and
/// `SEND_TT`) are one variant here.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Control {
    /// LINK (1).
    Link {
        /// Who links.
        from: Pid,
        /// Whom.
        to: Pid,
    },
    /// SEND (2), SEND_TT (12). The payload is the message.
    Send {
        /// The receiver.
        to: Pid,
        /// The trace token.
        token: Option<Term>,
    },
    /// EXIT (3), EXIT_TT (13): a link breaks. Replaced by [`Control::PayloadExit`] where
    /// [`EXIT_PAYLOAD`](crate::Flags::EXIT_PAYLOAD) holds.
    Exit {
        /// Who ended.
        from: Pid,
        /// Who was linked to it.
        to: Pid,
        /// The trace token.
        token: Option<Term>,
        /// Why.
        reason: Term,
    },
    /// REG_SEND (6), REG_SEND_TT (16). The payload is the message.
    RegSend {
        /// The sender.
        from: Pid,
        /// The receiver's registered name.
        to: Atom,
        /// The trace token.
        token: Option<Term>,
    },
    /// GROUP_LEADER (7).
    GroupLeader {
        /// The new group leader.
        leader: Pid,
        /// Whose.
        to: Pid,
    },
    /// EXIT2 (8), EXIT2_TT (18): `exit/2`. Replaced by [`Control::PayloadExit2`] where
    /// [`EXIT_PAYLOAD`](crate::Flags::EXIT_PAYLOAD) holds.
    Exit2 {
        /// Who called it.
        from: Pid,
        /// Whom it shall end.
        to: Pid,
        /// The trace token.
        token: Option<Term>,
        /// Why.
        reason: Term,
    },
    /// MONITOR_P (19).
    MonitorP {
        /// Who monitors.
        from: Pid,
        /// Whom.
        to: PidOrName,
        /// Which monitor.
        reference: Reference,
    },
    /// DEMONITOR_P (20).
    DemonitorP {
        /// Who monitored.
        from: Pid,
        /// Whom, as named in [`Control::MonitorP`].
        to: PidOrName,
        /// Which monitor.
        reference: Reference,
    },
    /// MONITOR_P_EXIT (21): a monitored process ended. Replaced by
    /// [`Control::PayloadMonitorPExit`] where [`EXIT_PAYLOAD`](crate::Flags::EXIT_PAYLOAD) holds.
    MonitorPExit {
        /// Who ended, as named in [`Control::MonitorP`].
        from: PidOrName,
        /// Who monitored.
        to: Pid,
        /// Which monitor.
        reference: Reference,
        /// Why.
        reason: Term,
    },
    /// SEND_SENDER (22), SEND_SENDER_TT (23). The payload is the message.
    SendSender {
        /// The sender.
        from: Pid,
        /// The receiver.
        to: Pid,
        /// The trace token.
        token: Option<Term>,
    },
    /// PAYLOAD_EXIT (24), PAYLOAD_EXIT_TT (25). The payload is the reason.
    PayloadExit {
        /// Who ended.
        from: Pid,
        /// Who was linked to it.
        to: Pid,
        /// The trace token.
        token: Option<Term>,
    },
    /// PAYLOAD_EXIT2 (26), PAYLOAD_EXIT2_TT (27). The payload is the reason.
    PayloadExit2 {
        /// Who called `exit/2`.
        from: Pid,
        /// Whom it shall end.
        to: Pid,
        /// The trace token.
        token: Option<Term>,
    },
    /// PAYLOAD_MONITOR_P_EXIT (28). The payload is the reason.
    PayloadMonitorPExit {
        /// Who ended, as named in [`Control::MonitorP`].
        from: PidOrName,
        /// Who monitored.
        to: Pid,
        /// Which monitor.
        reference: Reference,
    },
    /// SPAWN_REQUEST (29), SPAWN_REQUEST_TT (30). The payload is the argument list.
    SpawnRequest {
        /// Which request; it names the monitor too.
        request: Reference,
        /// Who asks.
        from: Pid,
        /// The new process's group leader.
        group_leader: Pid,
        /// The function's module.
        module: Atom,
        /// The function's name.
        function: Atom,
        /// How many arguments it has. OTP ignores it and looks at the list.
        arity: u32,
        /// Options: a list of `link`, `monitor`, `{monitor, …}`, `{priority, …}` and so on.
        options: Term,
        /// The trace token.
        token: Option<Term>,
    },
    /// SPAWN_REPLY (31), SPAWN_REPLY_TT (32).
    SpawnReply {
        /// Which request.
        request: Reference,
        /// Who asked.
        to: Pid,
        /// [`Control::SPAWNED_WITH_LINK`] and [`Control::SPAWNED_WITH_MONITOR`].
        flags: u32,
        /// The new process, or what went wrong.
        result: PidOrName,
        /// The trace token.
        token: Option<Term>,
    },
    /// ALIAS_SEND (33), ALIAS_SEND_TT (34). The payload is the message.
    AliasSend {
        /// The sender.
        from: Pid,
        /// The receiver's alias.
        alias: Reference,
        /// The trace token.
        token: Option<Term>,
    },
    /// UNLINK_ID (35).
    UnlinkId {
        /// To be sent back in the acknowledgement; not 0.
        id: u64,
        /// Who unlinks.
        from: Pid,
        /// From whom.
        to: Pid,
    },
    /// UNLINK_ID_ACK (36): due before any other signal to that pid.
    UnlinkIdAck {
        /// The id of the [`Control::UnlinkId`].
        id: u64,
        /// Who answers.
        from: Pid,
        /// Who unlinked.
        to: Pid,
    },
    /// ALTACT_SIG_SEND (37), between nodes of OTP 28 and newer. The payload is the message, or the
    /// reason.
    AltactSend {
        /// [`Control::ALTACT_PRIO`] and its neighbours.
        flags: u32,
        /// The sender.
        from: Pid,
        /// The receiver: a pid, or what the flags say.
        to: AltactTo,
        /// The trace token.
        token: Option<Term>,
    },
}

/// A process by its pid or by its registered name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PidOrName {
    /// Its pid.
    Pid(Pid),
    /// Its name; in a [`Control::SpawnReply`] the error.
    Name(Atom),
}

/// The receiver of a [`Control::AltactSend`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AltactTo {
    /// A pid.
    Pid(Pid),
    /// An alias ([`Control::ALTACT_ALIAS`]).
    Alias(Reference),
    /// A registered name ([`Control::ALTACT_NAME`]).
    Name(Atom),
}

impl Control {
    /// SPAWN_REPLY: caller and new process are linked.
    pub const SPAWNED_WITH_LINK: u32 = 1;
    /// SPAWN_REPLY: the caller monitors the new process.
    pub const SPAWNED_WITH_MONITOR: u32 = 2;
    /// ALTACT_SIG_SEND: a priority message.
    pub const ALTACT_PRIO: u32 = 1;
    /// ALTACT_SIG_SEND: a trace token follows.
    pub const ALTACT_TOKEN: u32 = 2;
    /// ALTACT_SIG_SEND: the receiver is an alias.
    pub const ALTACT_ALIAS: u32 = 4;
    /// ALTACT_SIG_SEND: the receiver is a registered name.
    pub const ALTACT_NAME: u32 = 8;
    /// ALTACT_SIG_SEND: an exit signal.
    pub const ALTACT_EXIT: u32 = 16;

    /// Whether a payload follows.
    pub const fn has_payload(&self) -> bool {
        match self {
            Self::Send { .. }
            | Self::RegSend { .. }
            | Self::SendSender { .. }
            | Self::PayloadExit { .. }
            | Self::PayloadExit2 { .. }
            | Self::PayloadMonitorPExit { .. }
            | Self::SpawnRequest { .. }
            | Self::AliasSend { .. }
            | Self::AltactSend { .. } => true,
            Self::Link { .. }
            | Self::Exit { .. }
            | Self::GroupLeader { .. }
            | Self::Exit2 { .. }
            | Self::MonitorP { .. }
            | Self::DemonitorP { .. }
            | Self::MonitorPExit { .. }
            | Self::SpawnReply { .. }
            | Self::UnlinkId { .. }
            | Self::UnlinkIdAck { .. } => false,
        }
    }
}

impl From<Pid> for PidOrName {
    fn from(pid: Pid) -> Self {
        Self::Pid(pid)
    }
}

impl From<Atom> for PidOrName {
    fn from(name: Atom) -> Self {
        Self::Name(name)
    }
}

impl From<PidOrName> for Term {
    fn from(value: PidOrName) -> Self {
        match value {
            PidOrName::Pid(pid) => pid.into(),
            PidOrName::Name(name) => name.into(),
        }
    }
}

/// Why a term is no control message. It ends the connection, as it does with OTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ControlError {
    /// Not a tuple that begins with a small number.
    #[error("no tuple that begins with an operation")]
    NoOperation,
    /// An operation that is not in the specification, or was removed from it.
    #[error("unknown operation {0}")]
    UnknownOperation(i64),
    /// The tuple has another size, or a field another type.
    #[error("operation {0} with wrong fields")]
    BadFields(i64),
}

/// The numbers of the specification.
pub(crate) mod op {
    pub(crate) const LINK: i64 = 1;
    pub(crate) const SEND: i64 = 2;
    pub(crate) const EXIT: i64 = 3;
    pub(crate) const REG_SEND: i64 = 6;
    pub(crate) const GROUP_LEADER: i64 = 7;
    pub(crate) const EXIT2: i64 = 8;
    pub(crate) const SEND_TT: i64 = 12;
    pub(crate) const EXIT_TT: i64 = 13;
    pub(crate) const REG_SEND_TT: i64 = 16;
    pub(crate) const EXIT2_TT: i64 = 18;
    pub(crate) const MONITOR_P: i64 = 19;
    pub(crate) const DEMONITOR_P: i64 = 20;
    pub(crate) const MONITOR_P_EXIT: i64 = 21;
    pub(crate) const SEND_SENDER: i64 = 22;
    pub(crate) const SEND_SENDER_TT: i64 = 23;
    pub(crate) const PAYLOAD_EXIT: i64 = 24;
    pub(crate) const PAYLOAD_EXIT_TT: i64 = 25;
    pub(crate) const PAYLOAD_EXIT2: i64 = 26;
    pub(crate) const PAYLOAD_EXIT2_TT: i64 = 27;
    pub(crate) const PAYLOAD_MONITOR_P_EXIT: i64 = 28;
    pub(crate) const SPAWN_REQUEST: i64 = 29;
    pub(crate) const SPAWN_REQUEST_TT: i64 = 30;
    pub(crate) const SPAWN_REPLY: i64 = 31;
    pub(crate) const SPAWN_REPLY_TT: i64 = 32;
    pub(crate) const ALIAS_SEND: i64 = 33;
    pub(crate) const ALIAS_SEND_TT: i64 = 34;
    pub(crate) const UNLINK_ID: i64 = 35;
    pub(crate) const UNLINK_ID_ACK: i64 = 36;
    pub(crate) const ALTACT_SIG_SEND: i64 = 37;
}
