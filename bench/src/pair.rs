//! Who is measured: a sending and a receiving peer.

use anyhow::{Result, bail};

use crate::figure::{Figure, Kind};

/// Tokio's kinds of runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    Multi,
    Current,
}

impl Flavour {
    pub(crate) const ALL: &[Self] = &[Self::Multi, Self::Current];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Multi => "multi",
            Self::Current => "current",
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self> {
        match text {
            "multi" => Ok(Self::Multi),
            "current" => Ok(Self::Current),
            _ => bail!("there is no flavour {text:?}: multi, current"),
        }
    }
}

/// A kind of peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Our node.
    Rust,
    /// An OTP node.
    Otp,
    /// Bare tokio: no distribution, floor and ceiling.
    Tokio,
    /// OTP's C library.
    Libei,
    /// Bytes of ours that were encoded before: what the other side can take.
    Encoded,
    /// Bytes that are not decoded: what the other side can send.
    Raw,
    /// The crates `erl_dist` and `eetf`.
    ErlDist,
    /// The crate `ractor_cluster`, which speaks a protocol of its own.
    Ractor,
}

impl Peer {
    const fn has_flavour(self) -> bool {
        matches!(self, Self::Rust | Self::Tokio | Self::Ractor)
    }

    const fn has(self, figure: Figure) -> bool {
        match self {
            Self::Rust | Self::Otp => true,
            Self::Raw | Self::Encoded => matches!(figure, Figure::OneWay),
            Self::Tokio if matches!(figure, Figure::Transfer) => true,
            // For tokio all senders would share one connection, the others have one sender.
            Self::Tokio | Self::Libei | Self::ErlDist => matches!(
                figure.kind(),
                Kind::Stream { senders: 1, .. } | Kind::RoundTrip | Kind::Connect
            ),
            // It does not tell when a connection is ready.
            Self::Ractor => !matches!(figure.kind(), Kind::Connect | Kind::Transfer | Kind::Idle),
        }
    }
}

/// What is measured over TLS too.
const TLS: &[Figure] = &[
    Figure::OneWay,
    Figure::PingPong,
    Figure::Bin64k,
    Figure::Connect,
];

/// Whether the peers of a pair of this name, or of a row of it, speak TLS.
pub(crate) fn is_tls(name: &str) -> bool {
    let name = name.split(' ').next().unwrap_or_default();
    name.ends_with("-tls")
}

/// Who sends to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    name: &'static str,
    pub(crate) sender: Peer,
    pub(crate) receiver: Peer,
    /// Of those peers that have one.
    pub(crate) flavour: Option<Flavour>,
    /// Both speak TLS.
    pub(crate) tls: bool,
}

/// What pairs are called on the command line.
pub(crate) const NAMES: &[&str] = &[
    "rust",
    "rust-otp",
    "otp-rust",
    "otp",
    "libei",
    "libei-otp",
    "erl_dist",
    "erl_dist-otp",
    "ractor",
    "raw-otp",
    "otp-raw",
    "tokio",
    "rust-tls",
    "otp-tls",
];

impl Pair {
    /// The pairs of this name: one of each flavour, where the peers have one.
    pub(crate) fn named(name: &str, flavours: &[Flavour]) -> Result<Vec<Self>> {
        let Some(name) = NAMES.iter().find(|known| **known == name) else {
            bail!("there is no pair {name:?}: {}", NAMES.join(", "));
        };
        let (sender, receiver) = match *name {
            "rust" | "rust-tls" => (Peer::Rust, Peer::Rust),
            "rust-otp" => (Peer::Rust, Peer::Otp),
            "otp-rust" => (Peer::Otp, Peer::Rust),
            "libei" => (Peer::Libei, Peer::Libei),
            "libei-otp" => (Peer::Libei, Peer::Otp),
            "erl_dist" => (Peer::ErlDist, Peer::ErlDist),
            "erl_dist-otp" => (Peer::ErlDist, Peer::Otp),
            "raw-otp" => (Peer::Encoded, Peer::Otp),
            "otp-raw" => (Peer::Otp, Peer::Raw),
            "ractor" => (Peer::Ractor, Peer::Ractor),
            "tokio" => (Peer::Tokio, Peer::Tokio),
            _ => (Peer::Otp, Peer::Otp),
        };
        let pair = |flavour| Self {
            name,
            sender,
            receiver,
            flavour,
            tls: is_tls(name),
        };
        Ok(match sender.has_flavour() || receiver.has_flavour() {
            true => flavours.iter().map(|f| pair(Some(*f))).collect(),
            false => vec![pair(None)],
        })
    }

    /// Whether both of its peers can do it.
    pub(crate) fn has(&self, figure: Figure) -> bool {
        let dials = matches!(self.sender, Peer::Rust) || !matches!(figure, Figure::Idle);
        // OTP 25 ends now and then when it connects and hangs up again and again over TLS.
        let ends = self.sender == Peer::Otp && figure == Figure::Connect;
        let tls = !self.tls || (TLS.contains(&figure) && !ends);
        self.sender.has(figure) && self.receiver.has(figure) && dials && tls
    }

    pub(crate) fn is_of(&self, peer: Peer) -> bool {
        self.sender == peer || self.receiver == peer
    }

    /// As the page has it.
    pub(crate) fn name(&self) -> String {
        match self.flavour {
            Some(flavour) => format!("{} {}", self.name, flavour.name()),
            None => self.name.to_owned(),
        }
    }
}
