//! A connection after the handshake: two halves that share nothing, so that one task can read while
//! another writes.
//!
//! - [`Inbound`] takes bytes and gives [`Signal`]s. It keeps the peer's atom cache, puts fragments
//!   together and notices when the peer is silent for too long.
//! - [`Outbound`] takes control messages and payloads and gives bytes. It sends a tick when there
//!   is nothing else to send. It uses no atom cache and no fragments: no peer needs them.
//!
//! Both are driven alike: `poll_timeout` says when to call `handle_timeout`.

mod atom_cache;
mod error;
mod fragments;
mod frame;
mod inbound;
mod outbound;

pub use error::{ConnectionError, PushError};
pub use inbound::Inbound;
pub use outbound::{Outbound, Payload, Queued};

use core::time::Duration;

use trunkline_etf::RawTerm;

use crate::control::Control;

/// OTP's default `net_ticktime`.
pub const DEFAULT_TICK_TIME: Duration = Duration::from_secs(60);

/// A tick time is four intervals (`net_tickintensity`).
const TICKS_PER_TICK_TIME: u32 = 4;

/// One message of the peer.
#[derive(Clone, Debug)]
pub struct Signal {
    /// What it does.
    pub control: Control,
    /// What it carries, not decoded yet: a payload that breaks a limit concerns its receiver, not
    /// the connection. Present exactly where [`Control::has_payload`] says so.
    pub payload: Option<RawTerm>,
}

/// How much a peer may make us hold. Breaking one of these ends the connection.
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
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame: 64 << 20,
            message: 128 << 20,
            unfinished: 256 << 20,
            sequences: 10_000,
            control: trunkline_etf::Limits::default(),
        }
    }
}

/// The time between two ticks.
fn tick_interval(tick_time: Duration) -> Duration {
    // Four is not zero, and zero time would mean a timer that never rests.
    let interval = tick_time
        .checked_div(TICKS_PER_TICK_TIME)
        .unwrap_or(tick_time);
    interval.max(Duration::from_millis(1))
}
