//! The receiving half.

use alloc::sync::Arc;
use core::fmt;
use core::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use trunkline_etf::{Atom, DecodeError, Decoder, RawTerm};

use super::atom_cache::AtomCache;
use super::fragments::{FragmentId, Fragments};
use super::frame::{Frame, VERSION, next_fragment, rest};
use super::reassembly::Reassembly;
use super::{ConnectionError, Limits, Signal, TICK_INTENSITY, tick_interval};
use crate::control::Control;
use crate::wire::Reader;
use crate::{Flags, Instant};

/// The least that is read at once: many connections are quiet, and each holds this much.
const MIN_READ: usize = 4 << 10;

/// The most that is read at once. What a frame claims is not taken in advance.
const MAX_READ: usize = 256 << 10;

/// A buffer that grew beyond this for one frame is given back when that is done.
const MAX_KEPT: usize = 1 << 20;

/// From so many missing bytes on a fragment is read straight to where it belongs. Less is mostly
/// there with the next read, together with what follows it.
const STRAIGHT_FROM: usize = 16 << 10;

/// A length of four bytes precedes each frame.
const LENGTH: usize = 4;

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
    buffer: BytesMut,
    /// `DIST_HDR_ATOM_CACHE` holds.
    headers: bool,
    cache: AtomCache,
    fragments: Fragments,
    /// The fragment that is being read, when it is a large one.
    reassembly: Option<Reassembly>,
    limits: Limits,
    tick_time: Duration,
    intensity: u32,
    /// When something was read last.
    heard: Instant,
    state: State,
}

/// What waits in it is somebody's message: its size only.
impl fmt::Debug for Inbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbound")
            .field("bytes", &self.buffer.len())
            .field("reassembly", &self.reassembly)
            .field("headers", &self.headers)
            .field("cache", &self.cache)
            .field("fragments", &self.fragments)
            .field("limits", &self.limits)
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
            buffer: BytesMut::new(),
            headers: flags.contains(Flags::DIST_HDR_ATOM_CACHE),
            cache: AtomCache::default(),
            fragments: Fragments::default(),
            reassembly: None,
            limits,
            tick_time,
            intensity: TICK_INTENSITY,
            heard: now,
            state: State::Open,
        }
    }

    /// Another `net_tickintensity`: how many intervals a tick time has. Default 4.
    #[must_use]
    pub fn with_tick_intensity(self, intensity: u32) -> Self {
        Self { intensity, ..self }
    }

    /// Begins with what came right behind the handshake
    /// ([`HandshakeFramer::into_rest`](crate::handshake::HandshakeFramer::into_rest)).
    #[must_use]
    pub fn with_rest(mut self, rest: BytesMut) -> Self {
        if self.buffer.is_empty() {
            self.buffer = rest;
        } else {
            self.buffer.extend_from_slice(&rest);
        }
        self
    }

    /// Where to read into. Its spare capacity is what a read should ask for: the rest of a large
    /// fragment goes to its place without another copy.
    pub fn read_buf(&mut self) -> &mut BytesMut {
        let Self {
            buffer, reassembly, ..
        } = self;
        if let Some(reassembly) = reassembly {
            return reassembly.read_buf(&mut self.fragments, MAX_READ);
        }
        if buffer.is_empty() && buffer.try_reclaim(MAX_KEPT) {
            *buffer = BytesMut::new();
        }
        let missing = claimed(buffer).map_or(0, |len| {
            len.saturating_add(LENGTH).saturating_sub(buffer.len())
        });
        buffer.reserve(missing.clamp(MIN_READ, MAX_READ));
        buffer
    }

    /// Something was put into [`read_buf`](Self::read_buf): the peer lives.
    pub fn advance(&mut self, now: Instant) {
        self.heard = self.heard.max(now);
    }

    /// Follows another tick time of the peer.
    pub fn set_tick_time(&mut self, tick_time: Duration) {
        self.tick_time = tick_time;
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; later after each
    /// [`advance`](Self::advance). `None` when the connection has failed.
    pub fn poll_timeout(&self) -> Option<Instant> {
        // OTP counts four intervals in which nothing came, the first of them begun already.
        let patience = self
            .tick_time
            .saturating_add(tick_interval(self.tick_time, self.intensity));
        (self.state == State::Open).then(|| self.heard.saturating_add(patience))
    }

    /// Looks whether the peer was silent for too long; [`next`](Iterator::next) says so then.
    ///
    /// A call that comes a whole tick late says that the caller was stopped, and perhaps the peer
    /// with it, as all processes of a host are: silence counts anew then. OTP, which counts ticks
    /// and not time, does the same.
    pub fn handle_timeout(&mut self, now: Instant) {
        let Some(due) = self.poll_timeout().filter(|due| now >= *due) else {
            return;
        };
        if now >= due.saturating_add(tick_interval(self.tick_time, self.intensity)) {
            self.heard = now;
        } else {
            self.state = State::Failing(ConnectionError::TickTimeout);
        }
    }

    /// The next frame that is whole, but no tick.
    fn next_frame(&mut self) -> Result<Option<Bytes>, ConnectionError> {
        while let Some(len) = claimed(&self.buffer) {
            if len > self.limits.frame {
                return Err(ConnectionError::FrameTooLarge { len });
            }
            if self.buffer.len() < LENGTH.saturating_add(len) {
                self.begin_reassembly(len)?;
                break;
            }
            self.buffer.advance(LENGTH);
            if len > 0 {
                return Ok(Some(self.buffer.split_to(len).freeze()));
            }
        }
        Ok(None)
    }

    /// The rest of a large fragment is read straight to where it belongs. `len` is the length of
    /// its frame.
    fn begin_reassembly(&mut self, len: usize) -> Result<(), ConnectionError> {
        let body = self.buffer.get(LENGTH..).unwrap_or_default();
        let Some((id, there)) = next_fragment(body).filter(|_| self.headers) else {
            return Ok(());
        };
        let missing = len.saturating_sub(body.len());
        if missing < STRAIGHT_FROM {
            return Ok(());
        }
        let there = there.rest();
        self.fragments
            .expect(id, there.len().saturating_add(missing), &self.limits)?;
        if let Some(payload) = self.fragments.payload(id) {
            payload.extend_from_slice(there);
        }
        self.buffer.clear();
        self.reassembly = Some(Reassembly::new(id, missing));
        Ok(())
    }

    /// Takes what was read of a large fragment. `None` while some of it is missing.
    fn reassemble(&mut self) -> Option<Option<Signal>> {
        let Some(reassembly) = &mut self.reassembly else {
            return Some(None);
        };
        let id = reassembly.take(&mut self.fragments, &mut self.buffer)?;
        self.reassembly = None;
        Some(self.fragments.complete(id))
    }

    fn next_signal(&mut self) -> Result<Option<Signal>, ConnectionError> {
        match self.reassemble() {
            Some(None) => {}
            Some(signal) => return Ok(signal),
            None => return Ok(None),
        }
        while let Some(body) = self.next_frame()? {
            let signal = match Frame::parse(&body, self.headers)? {
                Frame::PassThrough(body) => Some(self.pass_through(&body)?),
                Frame::Whole(body) => Some(self.whole(&body)?),
                Frame::FirstFragment(id, body) => self.first_fragment(id, &body)?,
                Frame::NextFragment(id, part) => self.fragments.next(id, &part, &self.limits)?,
            };
            if signal.is_some() {
                return Ok(signal);
            }
        }
        Ok(None)
    }

    fn pass_through(&self, body: &Bytes) -> Result<Signal, ConnectionError> {
        let (control, left) = self.control(versioned(body)?, &[])?;
        let left = if left.is_empty() {
            left
        } else {
            versioned(&left)?
        };
        signal(control, left, Arc::default())
    }

    fn whole(&mut self, body: &Bytes) -> Result<Signal, ConnectionError> {
        let (control, atoms, left) = self.headed(body)?;
        signal(control, left, atoms)
    }

    fn first_fragment(
        &mut self,
        id: FragmentId,
        body: &Bytes,
    ) -> Result<Option<Signal>, ConnectionError> {
        let (control, atoms, left) = self.headed(body)?;
        if id.fragment == 1 {
            return signal(control, left, atoms).map(Some);
        }
        let head = body.len().saturating_sub(left.len());
        self.fragments
            .first(id, (control, atoms, head), &left, &self.limits)?;
        Ok(None)
    }

    /// Reads header and control message, which are never split.
    fn headed(&mut self, body: &Bytes) -> Result<(Control, Arc<[Atom]>, Bytes), ConnectionError> {
        let mut reader = Reader::new(body);
        let atoms = self.cache.header(&mut reader, self.limits.atoms)?;
        let atoms: Arc<[Atom]> = if atoms.is_empty() {
            Arc::default()
        } else {
            atoms.into()
        };
        let (control, left) = self.control(rest(body, reader), &atoms)?;
        Ok((control, atoms, left))
    }

    fn control(&self, terms: Bytes, atoms: &[Atom]) -> Result<(Control, Bytes), ConnectionError> {
        let mut decoder = Decoder::new(terms, &self.limits.control).atoms(atoms);
        let tuple = decoder.term()?;
        Ok((Control::from_term(&tuple)?, decoder.remaining()))
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

fn signal(control: Control, left: Bytes, atoms: Arc<[Atom]>) -> Result<Signal, ConnectionError> {
    let payload = match (control.has_payload(), left.is_empty()) {
        (true, false) => Some(RawTerm::with_atoms(left, atoms)),
        (false, true) => None,
        (true, true) => return Err(ConnectionError::NoPayload),
        (false, false) => return Err(ConnectionError::Trailing),
    };
    Ok(Signal { control, payload })
}

/// The length that the next frame says it has.
fn claimed(buffer: &[u8]) -> Option<usize> {
    let len = u32::from_be_bytes(*buffer.first_chunk()?);
    Some(usize::try_from(len).unwrap_or(usize::MAX))
}

/// The term without its version byte.
fn versioned(body: &Bytes) -> Result<Bytes, ConnectionError> {
    let mut reader = Reader::new(body);
    match reader.u8() {
        Some(VERSION) => Ok(rest(body, reader)),
        Some(other) => Err(ConnectionError::Term(DecodeError::Version(other))),
        None => Err(ConnectionError::Truncated),
    }
}
