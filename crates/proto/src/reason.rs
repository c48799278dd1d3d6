//! Why two nodes are not connected.

use alloc::string::String;
use core::fmt;
use core::net::SocketAddr;

use crate::{NameForm, NodeName, TlsFault};

/// Why a node cannot be reached, or will not have us. Closed: scripts match on [`Reason::code`].
///
/// `Display` is one sentence without the cure; the cure is [`Reason::cure`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The text is no node name.
    BadName {
        /// What is wrong with it.
        detail: String,
    },
    /// One side uses short names, the other long ones.
    NameForm {
        /// The form that this side uses.
        ours: NameForm,
        /// The form of the name that was asked for.
        theirs: NameForm,
    },
    /// The host has no address.
    Unresolved {
        /// The host.
        host: String,
        /// What the resolver said.
        detail: String,
    },
    /// Nothing answers at the port mapper's address.
    EpmdUnreachable {
        /// Where it was asked.
        addr: SocketAddr,
        /// Refused at once, or silent.
        refused: bool,
    },
    /// The port mapper answers and does not know the name.
    NotRegistered {
        /// The name that was asked for.
        alive: String,
        /// What is registered there, comma separated; empty when nothing is.
        registered: String,
    },
    /// Nothing answers at the node's own port.
    PortUnreachable {
        /// Where it was dialled.
        addr: SocketAddr,
        /// Refused at once, or silent.
        refused: bool,
    },
    /// The node listens on the other address family.
    FamilyMismatch {
        /// What was found.
        detail: String,
    },
    /// The node speaks distribution over TLS only.
    TlsRequired,
    /// The TLS handshake failed.
    TlsFailed {
        /// On what.
        fault: TlsFault,
        /// The same in words, with what is known of it.
        detail: String,
    },
    /// TLS was tried and the node speaks plain TCP.
    TlsNotSpoken,
    /// Something answers at the node's port, but not a node.
    NotDist {
        /// What it did instead.
        detail: String,
    },
    /// A node answers there, under another name.
    NameMismatch {
        /// The name it gives itself.
        actual: NodeName,
    },
    /// The node does not offer what OTP 25 and newer demand, or the other way round.
    Incompatible {
        /// What is missing.
        detail: String,
    },
    /// The two may not connect (`net_kernel:allow/1`).
    NotAllowed {
        /// By this side's own list; otherwise the node refuses this name.
        here: bool,
    },
    /// The node still holds a connection to this name.
    AlreadyConnected,
    /// The node was dialling us at the same moment, and its dial won.
    LostRace,
    /// The cookies differ.
    CookieMismatch,
    /// No answer in time.
    Timeout {
        /// What was being waited for.
        step: Step,
    },
    /// The other end closed the connection.
    Closed {
        /// What was being waited for.
        step: Step,
    },
    /// The probe from here connects, the attached node does not.
    DiffersFromHere {
        /// What is known of the difference.
        detail: String,
    },
}

impl Reason {
    /// The stable code, as in `ping --json`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::BadName { .. } => "bad_name",
            Self::NameForm { .. } => "name_form",
            Self::Unresolved { .. } => "unresolved",
            Self::EpmdUnreachable { .. } => "epmd_unreachable",
            Self::NotRegistered { .. } => "not_registered",
            Self::PortUnreachable { .. } => "port_unreachable",
            Self::FamilyMismatch { .. } => "family_mismatch",
            Self::TlsRequired => "tls_required",
            Self::TlsFailed { .. } => "tls_failed",
            Self::TlsNotSpoken => "tls_not_spoken",
            Self::NotDist { .. } => "not_dist",
            Self::NameMismatch { .. } => "name_mismatch",
            Self::Incompatible { .. } => "incompatible",
            Self::NotAllowed { .. } => "not_allowed",
            Self::AlreadyConnected => "already_connected",
            Self::LostRace => "lost_race",
            Self::CookieMismatch => "cookie_mismatch",
            Self::Timeout { .. } => "timeout",
            Self::Closed { .. } => "closed",
            Self::DiffersFromHere { .. } => "differs_from_here",
        }
    }

    /// Whether only a person can mend it. Retries of lasting reasons back off to minutes.
    pub const fn is_lasting(&self) -> bool {
        matches!(
            self,
            Self::BadName { .. }
                | Self::NameForm { .. }
                | Self::FamilyMismatch { .. }
                | Self::TlsRequired
                | Self::TlsFailed { .. }
                | Self::TlsNotSpoken
                | Self::NotDist { .. }
                | Self::NameMismatch { .. }
                | Self::Incompatible { .. }
                | Self::NotAllowed { .. }
                | Self::CookieMismatch
                | Self::DiffersFromHere { .. }
        )
    }

    /// What to do about it, one clause in the imperative.
    pub const fn cure(&self) -> &'static str {
        match self {
            Self::BadName { .. } => "write it as name@host",
            Self::NameForm { .. } => "start both nodes with -name, or both with -sname",
            Self::Unresolved { .. } => "check the host's DNS record, or use an address in the name",
            Self::EpmdUnreachable { refused: true, .. } => {
                "start the node (it starts epmd), or set ERL_EPMD_PORT on both sides alike"
            }
            Self::EpmdUnreachable { .. } => "open TCP port 4369 (ERL_EPMD_PORT) in the firewall",
            Self::NotRegistered { .. } => "start the node, or correct the part before the @",
            Self::PortUnreachable { refused: true, .. } => {
                "the node is gone or listens on another interface: restart it"
            }
            Self::PortUnreachable { .. } => {
                "open the node's port in the firewall, or fix it with inet_dist_listen_min/max"
            }
            Self::FamilyMismatch { .. } => "start both nodes with the same -proto_dist",
            Self::TlsRequired => "configure TLS on this side, or start that node without inet_tls",
            Self::TlsFailed { fault, .. } => fault.cure(),
            Self::TlsNotSpoken => "start that node with -proto_dist inet_tls, or turn TLS off here",
            Self::NotDist { .. } => "check which program listens on that port",
            Self::NameMismatch { .. } => "use the name that the node gives itself",
            Self::Incompatible { .. } => "run OTP 25 or newer on both sides",
            Self::NotAllowed { here: false } => "add this node to net_kernel:allow/1 there",
            Self::NotAllowed { here: true } => {
                "add that node to the allowed nodes here, or name none at all"
            }
            Self::AlreadyConnected => "nothing, the next attempt follows when that connection ends",
            Self::LostRace => "nothing, the other side's connection is used",
            Self::CookieMismatch => "give both nodes the same cookie (RELEASE_COOKIE)",
            // Its port takes connections: no firewall is in the way.
            Self::Timeout {
                step: Step::Tls | Step::Greeting | Step::Handshake,
            } => {
                "see whether that node hangs or is overloaded: its port takes connections, nothing answers"
            }
            Self::Timeout { .. } | Self::Closed { .. } => {
                "look at that node's log, and for a firewall or proxy between"
            }
            Self::DiffersFromHere { .. } => {
                "look at the attached node's log and its kernel settings"
            }
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadName { detail } => write!(f, "not a node name: {detail}"),
            Self::NameForm { ours, theirs } => {
                write!(
                    f,
                    "{} names here, a {} name there",
                    form(*ours),
                    form(*theirs)
                )
            }
            Self::Unresolved { host, detail } => write!(f, "{host} has no address: {detail}"),
            Self::EpmdUnreachable { addr, refused } => {
                write!(f, "epmd at {addr} {}", silence(*refused))
            }
            Self::NotRegistered { alive, registered } if registered.is_empty() => {
                write!(f, "epmd there knows no node {alive}, nor any other")
            }
            Self::NotRegistered { alive, registered } => {
                write!(f, "epmd there knows no node {alive}, only {registered}")
            }
            Self::PortUnreachable { addr, refused } => {
                write!(f, "the node's port {addr} {}", silence(*refused))
            }
            Self::FamilyMismatch { detail } => write!(f, "IPv4 against IPv6: {detail}"),
            Self::TlsRequired => f.write_str("the node speaks TLS only"),
            Self::TlsFailed { detail, .. } => write!(f, "TLS failed: {detail}"),
            Self::TlsNotSpoken => f.write_str("the node speaks no TLS"),
            Self::NotDist { detail } => write!(f, "not an Erlang node on that port: {detail}"),
            Self::NameMismatch { actual } => write!(f, "the node there calls itself {actual}"),
            Self::Incompatible { detail } => write!(f, "incompatible: {detail}"),
            Self::NotAllowed { here: false } => {
                f.write_str("the node refuses this name (not_allowed)")
            }
            Self::NotAllowed { here: true } => {
                f.write_str("the list of allowed nodes on this side does not have it")
            }
            Self::AlreadyConnected => f.write_str("the node still has a connection to this name"),
            Self::LostRace => f.write_str("both sides dialled at once and the other one won"),
            Self::CookieMismatch => f.write_str("the cookies differ"),
            Self::Timeout { step } => write!(f, "no answer in time ({step})"),
            Self::Closed { step } => write!(f, "the other end closed the connection ({step})"),
            Self::DiffersFromHere { detail } => {
                write!(
                    f,
                    "reachable from here, not from the attached node: {detail}"
                )
            }
        }
    }
}

const fn form(form: NameForm) -> &'static str {
    match form {
        NameForm::Short => "short",
        NameForm::Long => "long",
    }
}

const fn silence(refused: bool) -> &'static str {
    if refused {
        "refuses the connection"
    } else {
        "does not answer"
    }
}

/// What a connection attempt was doing when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Turning the host into addresses.
    Resolve,
    /// Asking the port mapper.
    Epmd,
    /// Opening the TCP connection to the node.
    Port,
    /// The TLS handshake.
    Tls,
    /// Waiting for the node's status and challenge.
    Greeting,
    /// Proving the cookie to each other.
    Handshake,
    /// The attached node was asked to connect.
    Connect,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Resolve => "resolve",
            Self::Epmd => "epmd",
            Self::Port => "port",
            Self::Tls => "tls",
            Self::Greeting => "greeting",
            Self::Handshake => "handshake",
            Self::Connect => "connect",
        })
    }
}
