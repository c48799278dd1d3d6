//! What is sent, and how it is encoded.

use bytes::Bytes;
use trunkline_etf::{Pid, Sink, Term};

use super::chunks::Chunks;
use super::frame::VERSION;
use super::scratch::Scratch;
use crate::control::{Control, SMALL_TUPLE};

/// What goes with a control message.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'a> {
    /// Nothing.
    None,
    /// A term.
    Term(&'a Term),
    /// A term that was encoded before, without a version byte and without cached atoms: one message
    /// for many peers is encoded once.
    Encoded(&'a Bytes),
    /// A term of which the last part is one, and the bytes before that are there already, encoded as above: what a
    /// caller says again with each request.
    Last(&'a [u8], &'a Term),
    /// `{First, Second}`: an answer and what it answers.
    Pair(&'a Term, &'a Term),
}

/// Who sends a message, and whether he waited for his turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    /// The process, where the control message does not name it: SEND does not, and the DOWN of a
    /// process that is monitored by name.
    pub from: Option<&'a Pid>,
    /// He asked for room ([`Outbound::before`](super::Outbound::before)) first. What others send is counted for itself
    /// ([`Queued::forced`]): nothing but the peer's reading makes that less.
    pub waited: bool,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Bytes that wait to be sent, this message among them (headers of fragments and of what waits
    /// behind them left out). Callers slow down when it grows.
    pub bytes: usize,
    /// Bytes that waited before this message: what was ready, and what its own sender has in
    /// fragments or behind them. See [`Outbound::before`](super::Outbound::before).
    pub before: usize,
    /// Bytes that waited before this message and were sent by those who do not wait: signals, and
    /// answers to what the peer asked. A peer that does not read can make this grow without end.
    pub forced: usize,
}

/// A control message.
#[derive(Clone, Copy)]
pub(super) enum Head<'a> {
    Control(&'a Control),
    Encoded(&'a [u8]),
}

/// Writes control message and payload; how long the control message is.
pub(super) fn encode(
    control: Head<'_>,
    payload: Payload<'_>,
    headers: bool,
    out: &mut (impl Sink + Length),
) -> usize {
    let begin = out.length();
    let version: &[u8] = if headers { &[] } else { &[VERSION] };
    out.put(version);
    match control {
        Head::Control(control) => control.encode_bare(out),
        Head::Encoded(bytes) => out.put(bytes),
    }
    let head = out.length().saturating_sub(begin);
    match payload {
        Payload::None => {}
        Payload::Term(term) => {
            out.put(version);
            term.encode_bare(out);
        }
        Payload::Encoded(bytes) => {
            out.put(version);
            out.put_shared(bytes, || bytes.clone());
        }
        Payload::Last(bytes, term) => {
            out.put(version);
            out.put(bytes);
            term.encode_bare(out);
        }
        Payload::Pair(first, second) => {
            out.put(version);
            out.put(&[SMALL_TUPLE, 2]);
            first.encode_bare(out);
            second.encode_bare(out);
        }
    }
    head
}

/// How much was written.
pub(super) trait Length {
    fn length(&self) -> usize;
}

impl Length for Chunks {
    fn length(&self) -> usize {
        self.len()
    }
}

impl Length for Scratch {
    fn length(&self) -> usize {
        self.len()
    }
}
