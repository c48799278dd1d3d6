//! A connection after the handshake: two halves that share nothing, so that one task can read while
//! another writes.
//!
//! - [`Inbound`] takes bytes and gives [`Signal`]s. It keeps the peer's atom cache, puts fragments
//!   together and notices when the peer is silent for too long.
//! - [`Outbound`] takes control messages and payloads and gives bytes. It sends a tick when there
//!   is nothing else to send. [`Sending`] says what goes in fragments, and whether atoms go through
//!   the cache.
//!
//! Both are driven alike: `poll_timeout` says when to call `handle_timeout`.

mod atom_cache;
mod buffer;
mod bulk;
mod chunks;
mod error;
mod fragments;
mod frame;
mod inbound;
mod lanes;
mod message;
mod messages;
mod outbound;
mod own_atoms;
mod portion;
mod ready;
mod reassembly;
mod scratch;
mod sending;
mod slots;

pub use error::{ConnectionError, PushError};
pub use inbound::Inbound;
pub use message::{Origin, Payload, Queued};
pub use outbound::Outbound;
pub use portion::Portion;
pub use sending::Sending;

use core::time::Duration;

use trunkline_etf::RawTerm;

use crate::control::Control;

/// OTP's default `net_ticktime`.
pub const DEFAULT_TICK_TIME: Duration = Duration::from_secs(60);

/// OTP's default `net_tickintensity`: a tick time is four intervals.
pub const TICK_INTENSITY: u32 = 4;

/// One message of the peer.
#[derive(Clone, Debug)]
pub struct Signal {
    /// What it does.
    pub control: Control,
    /// What it carries, not decoded yet: a payload that breaks a limit concerns its receiver, not
    /// the connection. Present exactly where [`Control::has_payload`] says so, unless it is
    /// [lost](Self::lost).
    pub payload: Option<RawTerm>,
    /// The payload was longer than we are willing to hold: all of it came, and was dropped.
    pub lost: Option<Lost>,
}

/// How long a payload was that went beyond a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Its bytes.
    pub len: usize,
    /// The limit: [`Limits::message`], or what [`Limits::unfinished`] allows all together.
    pub limit: usize,
}

/// How much a peer may make us hold. Breaking one of these ends the connection, except for the limits
/// on payloads, [`message`](Self::message) and [`unfinished`](Self::unfinished): these fail the
/// message alone ([`Signal::lost`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of one frame. Default 64 MiB; OTP sends at most 64 KiB and a header where fragments
    /// are negotiated.
    pub frame: usize,
    /// Bytes of one message put together from fragments. Default 128 MiB.
    pub message: usize,
    /// Bytes of all messages of which fragments are still due, control messages and atoms counted
    /// as what they take when decoded. Default 256 MiB.
    pub unfinished: usize,
    /// Messages of which fragments are still due. Default 10,000: one for each process of the peer
    /// that sends a large message at this moment.
    pub sequences: usize,
    /// Atoms in the cache. Default 2,048: all that the protocol knows, 2 MiB at most.
    pub atoms: usize,
    /// For the tuple at the head of a message.
    pub control: trunkline_etf::Limits,
}

impl Limits {
    /// With another [`frame`](Self::frame).
    #[must_use]
    pub const fn with_frame(self, frame: usize) -> Self {
        Self { frame, ..self }
    }

    /// With another [`message`](Self::message).
    #[must_use]
    pub const fn with_message(self, message: usize) -> Self {
        Self { message, ..self }
    }

    /// With another [`unfinished`](Self::unfinished).
    #[must_use]
    pub const fn with_unfinished(self, unfinished: usize) -> Self {
        Self { unfinished, ..self }
    }

    /// With another [`sequences`](Self::sequences).
    #[must_use]
    pub const fn with_sequences(self, sequences: usize) -> Self {
        Self { sequences, ..self }
    }

    /// With another limit for [`atoms`](Self::atoms).
    #[must_use]
    pub const fn with_atoms(self, atoms: usize) -> Self {
        Self { atoms, ..self }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame: 64 << 20,
            message: 128 << 20,
            unfinished: 256 << 20,
            sequences: 10_000,
            atoms: 2048,
            control: trunkline_etf::Limits::default(),
        }
    }
}

/// The time between two ticks. `net_tickintensity` is 4 to 1,000 in OTP.
fn tick_interval(tick_time: Duration, intensity: u32) -> Duration {
    let interval = tick_time
        .checked_div(intensity.clamp(1, 1000))
        .unwrap_or(tick_time);
    // Zero time would mean a timer that never rests.
    interval.max(Duration::from_millis(1))
}
