//! The receiving half.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use bytes::BytesMut;
use trunkline_etf::Atom;

use super::buffer::{Buffer, MAX_READ};
use super::frame::next_fragment;
use super::messages::Messages;
use super::reassembly::Reassembly;
use super::{ConnectionError, Limits, Signal, TICK_INTENSITY, tick_interval};
use crate::control::Control;
use crate::{Flags, Instant};

/// From so many missing bytes on a fragment is read straight to where it belongs. Less is mostly
/// there with the next read, together with what follows it.
const STRAIGHT_FROM: usize = 16 << 10;

/// After so long a silence the buffer is given back.
const IDLE: Duration = Duration::from_secs(1);

/// The receiving half of a connection.
///
/// Read into [`read_buf`](Self::read_buf), call [`advance`](Self::advance), and take signals until
/// there is none:
///
/// ```
/// use trunkline_proto::conn::{DEFAULT_TICK_TIME, Inbound, Limits};
/// use trunkline_proto::{Flags, Instant};
///
/// let flags = Flags::hidden_default();
/// let mut inbound = Inbound::new(Instant::ZERO, flags, DEFAULT_TICK_TIME, Limits::default());
/// inbound.read_buf().extend_from_slice(&[0, 0, 0, 0]);
/// inbound.advance(Instant::ZERO);
/// assert!(inbound.next().is_none(), "a tick is no signal");
/// ```
pub struct Inbound {
    buffer: Buffer,
    messages: Messages,
    /// The fragment that is being read, when it is a large one.
    reassembly: Option<Reassembly>,
    tick_time: Duration,
    intensity: u32,
    /// When something was read last.
    heard: Instant,
    /// When it was looked whether memory of large messages is still used, and how many had left theirs.
    looked: (Instant, u64),
    state: State,
}

/// What waits in it is somebody's message: its size only.
impl fmt::Debug for Inbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbound")
            .field("bytes", &self.buffer.len())
            .field("reassembly", &self.reassembly)
            .field("messages", &self.messages)
            .field("tick_time", &self.tick_time)
            .field("heard", &self.heard)
            .field("state", &self.state)
            .finish()
    }
}

/// After the first error nothing more comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Failing(ConnectionError),
    Closed,
}

impl Inbound {
    /// `flags` are those that hold on the connection
    /// ([`Connected::flags`](crate::handshake::Connected::flags)), `tick_time` is the peer's
    /// `net_ticktime`.
    pub fn new(now: Instant, flags: Flags, tick_time: Duration, limits: Limits) -> Self {
        Self {
            buffer: Buffer::new(),
            messages: Messages::new(flags, limits),
            reassembly: None,
            tick_time,
            intensity: TICK_INTENSITY,
            heard: now,
            looked: (now, 0),
            state: State::Open,
        }
    }

    /// Another `net_tickintensity`: how many intervals a tick time has. Default 4.
    #[must_use]
    pub fn with_tick_intensity(self, intensity: u32) -> Self {
        Self { intensity, ..self }
    }

    /// Names of nodes that are in most messages, the own one and the peer's: they are compared
    /// instead of made anew.
    #[must_use]
    pub fn with_names(mut self, names: impl IntoIterator<Item = Atom>) -> Self {
        self.messages.known = names.into_iter().collect::<Vec<_>>();
        self
    }

    /// Begins with what came right behind the handshake
    /// ([`HandshakeFramer::into_rest`](crate::handshake::HandshakeFramer::into_rest)).
    #[must_use]
    pub fn with_rest(mut self, rest: BytesMut) -> Self {
        self.buffer.extend(rest);
        self
    }

    /// Where to read into. Its spare capacity is what a read should ask for: the rest of a large
    /// fragment goes to its place without another copy.
    pub fn read_buf(&mut self) -> &mut BytesMut {
        match &mut self.reassembly {
            Some(reassembly) => reassembly.read_buf(&mut self.messages.fragments, MAX_READ),
            None if self.messages.fragments.is_waiting() => self.buffer.head_buf(),
            None => self.buffer.read_buf(),
        }
    }

    /// Something was put into [`read_buf`](Self::read_buf): the peer lives.
    pub fn advance(&mut self, now: Instant) {
        self.lives(now);
        self.buffer.advance();
    }

    /// The peer has shown otherwise that it lives, or its silence is ours: nobody read.
    pub fn lives(&mut self, now: Instant) {
        self.heard = self.heard.max(now);
    }

    /// Follows another tick time of the peer.
    pub fn set_tick_time(&mut self, tick_time: Duration) {
        self.tick_time = tick_time;
    }

    /// About how many bytes it has that are no signal yet, or none any more: frames and messages of
    /// which some is missing, what their heads take, and memory that is kept for the next large
    /// message and is in nobody's hands. All of it becomes signals, or is given back, only by reading
    /// on or by [`handle_timeout`](Self::handle_timeout).
    pub fn held(&self) -> usize {
        let fragments = &self.messages.fragments;
        // A fragment counts there as all of what it says it has, unless nobody keeps it.
        let due = |reading: &Reassembly| reading.due(fragments);
        let due = self.reassembly.as_ref().map_or(0, due);
        let there = fragments.bytes().saturating_sub(due);
        self.buffer.len().saturating_add(there)
    }

    /// Whether some of a large message has come and some has not: what comes now and is another one went
    /// between its fragments.
    pub fn is_within_large(&self) -> bool {
        self.messages.fragments.is_waiting()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; later after each
    /// [`advance`](Self::advance). `None` when the connection has failed.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let silence = self.silence();
        (self.state == State::Open).then(|| {
            let mut due = silence;
            if self.buffer.is_idle() {
                due = due.min(self.heard.saturating_add(IDLE));
            }
            if self.messages.fragments.has_spare() {
                due = due.min(self.looked.0.saturating_add(IDLE));
            }
            due
        })
    }

    /// Looks whether the peer was silent for too long; [`next`](Iterator::next) says so then. Memory that is
    /// not used is [given back](Self::give_back).
    ///
    /// A call that comes a whole tick late says that the caller was stopped, and perhaps the peer
    /// with it, as all processes of a host are: silence counts anew then. OTP, which counts ticks
    /// and not time, does the same.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.give_back(now);
        let due = self.silence();
        if self.state != State::Open || now < due {
            return;
        }
        if now >= due.saturating_add(tick_interval(self.tick_time, self.intensity)) {
            self.heard = now;
        } else {
            self.state = State::Failing(ConnectionError::TickTimeout);
        }
    }

    /// After a second of silence gives the buffer back, and after one or two without a large message the
    /// memory that is kept for the next. For whoever does not read for a while, and so cannot say
    /// whether the peer was silent.
    pub fn give_back(&mut self, now: Instant) {
        if now >= self.heard.saturating_add(IDLE) {
            self.buffer.release();
        }
        let (looked, before) = self.looked;
        if now >= looked.saturating_add(IDLE) {
            let fragments = &mut self.messages.fragments;
            if fragments.remembered() == before {
                fragments.release();
            }
            self.looked = (now, fragments.remembered());
        }
    }

    /// When the peer has been silent for too long.
    fn silence(&self) -> Instant {
        // OTP counts four intervals in which nothing came, the first of them begun already.
        let patience = self
            .tick_time
            .saturating_add(tick_interval(self.tick_time, self.intensity));
        self.heard.saturating_add(patience)
    }

    /// Gives the payload of the next message to `take`, if that message has the control message of the
    /// signal that [`next`](Iterator::next) gave last, byte for byte, it has come whole, and the payload
    /// has fewer bytes than `limit`. False, and nothing is taken, if not. Only SEND, SEND_SENDER and
    /// REG_SEND count: one process that sends to another sends these again and again, and nothing of
    /// them has to be read anew.
    #[inline]
    pub fn next_alike(&mut self, limit: usize, take: impl FnOnce(&[u8])) -> bool {
        if self.state != State::Open || self.reassembly.is_some() {
            return false;
        }
        let whole = self.buffer.front();
        let Some(body) = whole.filter(|body| body.len() <= self.messages.limits.frame) else {
            return false;
        };
        let Some(payload) = self.messages.repeated(body, limit) else {
            return false;
        };
        take(payload);
        let len = body.len();
        self.buffer.drop_front(len);
        true
    }

    /// Gives control message and payload of the next message to `take`, if that message has come whole and brings its atoms
    /// itself, the payload has fewer bytes than `limit`, and the control message is one of those that carry most of the
    /// traffic: SEND, SEND_SENDER, REG_SEND, ALIAS_SEND, MONITOR_P and DEMONITOR_P. The payload is empty where there is none.
    /// False, and nothing is taken, if not: [`next`](Iterator::next) gives it, as it gives everything. This one costs no
    /// counter and no copy.
    #[inline]
    pub fn next_small(&mut self, limit: usize, take: impl FnOnce(Control, &[u8])) -> bool {
        if self.state != State::Open || self.reassembly.is_some() {
            return false;
        }
        let whole = self.buffer.front();
        let Some(body) = whole.filter(|body| body.len() <= self.messages.limits.frame) else {
            return false;
        };
        let Some((control, payload)) = self.messages.small(body, limit) else {
            return false;
        };
        take(control, payload);
        let len = body.len();
        self.buffer.drop_front(len);
        true
    }

    fn next_signal(&mut self) -> Result<Option<Signal>, ConnectionError> {
        match self.reassemble() {
            Some(None) => {}
            Some(signal) => return Ok(signal),
            None => return Ok(None),
        }
        while let Some(len) = self.buffer.next_frame(self.messages.limits.frame)? {
            let signal = self.messages.frame(self.buffer.whole(), len)?;
            self.buffer.taken(len);
            if signal.is_some() {
                return Ok(signal);
            }
        }
        self.begin_reassembly()?;
        Ok(None)
    }

    /// The rest of a large fragment is read straight to where it belongs.
    fn begin_reassembly(&mut self) -> Result<(), ConnectionError> {
        let Some((body, len)) = self.buffer.partial() else {
            return Ok(());
        };
        let Some((id, there)) = next_fragment(body).filter(|_| self.messages.headers) else {
            return Ok(());
        };
        let missing = len.saturating_sub(body.len());
        if missing < STRAIGHT_FROM {
            return Ok(());
        }
        let there = there.rest();
        let Messages {
            fragments, limits, ..
        } = &mut self.messages;
        fragments.expect(id, there.len().saturating_add(missing), limits)?;
        if let Some(payload) = fragments.room(id, there.len()) {
            payload.extend_from_slice(there);
        }
        self.buffer.drop_partial();
        self.reassembly = Some(Reassembly::new(id, missing));
        Ok(())
    }

    /// Takes what was read of a large fragment. `None` while some of it is missing.
    fn reassemble(&mut self) -> Option<Option<Signal>> {
        let Some(reassembly) = &mut self.reassembly else {
            return Some(None);
        };
        let fragments = &mut self.messages.fragments;
        let id = reassembly.take(fragments, self.buffer.beyond())?;
        self.reassembly = None;
        let signal = fragments.complete(id);
        self.messages.forget();
        Some(signal)
    }
}

/// Gives the signals of all whole frames, one after another. `None` means: read more. An error is
/// the last item.
impl Iterator for Inbound {
    type Item = Result<Signal, ConnectionError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::Open {
            match self.next_signal() {
                Ok(signal) => return signal.map(Ok),
                Err(error) => self.state = State::Failing(error),
            }
        }
        match core::mem::replace(&mut self.state, State::Closed) {
            State::Failing(error) => Some(Err(error)),
            State::Open | State::Closed => None,
        }
    }
}
