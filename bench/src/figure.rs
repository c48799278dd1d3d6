//! What is measured.

use serde::{Deserialize, Serialize};

/// One figure of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Figure {
    /// Small messages from one sender.
    OneWay,
    /// Small messages from eight senders to one receiver.
    OneWay8,
    /// There and back.
    PingPong,
    /// Binaries of 64 KiB.
    Bin64k,
    /// Binaries of 16 MiB.
    Bin16m,
    /// Calls of a `gen_server` from one process.
    Call,
    /// Calls of a `gen_server` from eight processes.
    Call8,
    /// Connections, one after another.
    Connect,
    /// Round trips while another process sends binaries of 100 MB.
    Transfer,
    /// Memory of connections on which nothing happens.
    Idle,
}

/// In which direction a figure is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    Higher,
    Lower,
}

/// How a figure is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `senders` processes send messages with a binary of `size` bytes (0: none) one way.
    Stream { senders: u64, size: u64 },
    /// One process sends, another answers.
    RoundTrip,
    /// `callers` processes call a server.
    Call { callers: u64 },
    /// Connects, and ends the connection.
    Connect,
    /// One process sends and another answers, while large binaries pass.
    Transfer,
    /// Many nodes connect to one.
    Idle,
}

impl Figure {
    pub(crate) const ALL: &[Self] = &[
        Self::OneWay,
        Self::OneWay8,
        Self::PingPong,
        Self::Bin64k,
        Self::Bin16m,
        Self::Call,
        Self::Call8,
        Self::Connect,
        Self::Transfer,
        Self::Idle,
    ];

    /// What it is called on the command line and in JSON.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::OneWay => "oneway",
            Self::OneWay8 => "oneway8",
            Self::PingPong => "pingpong",
            Self::Bin64k => "bin64k",
            Self::Bin16m => "bin16m",
            Self::Call => "call",
            Self::Call8 => "call8",
            Self::Connect => "connect",
            Self::Transfer => "transfer",
            Self::Idle => "idle",
        }
    }

    /// What it is called on the page.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::OneWay => "One-way, small messages, 1 sender",
            Self::OneWay8 => "One-way, small messages, 8 senders",
            Self::PingPong => "Ping-pong",
            Self::Bin64k => "Binaries of 64 KiB",
            Self::Bin16m => "Binaries of 16 MiB",
            Self::Call => "Calls of a gen_server, 1 caller",
            Self::Call8 => "Calls of a gen_server, 8 callers",
            Self::Connect => "Connect and handshake",
            Self::Transfer => "Ping-pong during transfers of 100 MB by another process",
            Self::Idle => "Memory of an idle connection",
        }
    }

    pub(crate) const fn unit(self) -> &'static str {
        match self {
            Self::OneWay | Self::OneWay8 => "M messages/s",
            Self::PingPong | Self::Connect => "µs p50",
            Self::Bin64k | Self::Bin16m => "GB/s",
            Self::Call | Self::Call8 => "k calls/s",
            Self::Transfer => "× the p99 without a transfer",
            Self::Idle => "KiB",
        }
    }

    pub(crate) const fn better(self) -> Better {
        match self {
            Self::PingPong | Self::Connect | Self::Transfer | Self::Idle => Better::Lower,
            _ => Better::Higher,
        }
    }

    pub(crate) const fn kind(self) -> Kind {
        match self {
            Self::OneWay => Kind::Stream {
                senders: 1,
                size: 0,
            },
            Self::OneWay8 => Kind::Stream {
                senders: 8,
                size: 0,
            },
            Self::Bin64k => Kind::Stream {
                senders: 1,
                size: 64 << 10,
            },
            Self::Bin16m => Kind::Stream {
                senders: 1,
                size: 16 << 20,
            },
            Self::PingPong => Kind::RoundTrip,
            Self::Call => Kind::Call { callers: 1 },
            Self::Call8 => Kind::Call { callers: 8 },
            Self::Connect => Kind::Connect,
            Self::Transfer => Kind::Transfer,
            Self::Idle => Kind::Idle,
        }
    }

    /// How many messages or rounds the first run takes, which finds out how many fill a run; and
    /// the most that a run may take.
    pub(crate) const fn counts(self) -> (u64, u64) {
        match self {
            Self::OneWay => (40_000, 4_000_000),
            Self::OneWay8 => (5_000, 500_000),
            Self::PingPong => (2_000, 100_000),
            Self::Bin64k => (800, 60_000),
            Self::Bin16m => (6, 240),
            Self::Call => (2_000, 100_000),
            Self::Call8 => (500, 25_000),
            Self::Connect => (20, 100),
            // Round trips before the transfers.
            Self::Transfer => (3_000, 3_000),
            // Connections.
            Self::Idle => (1_000, 1_000),
        }
    }
}
