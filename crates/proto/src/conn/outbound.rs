//! The sending half.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use trunkline_etf::{Sink, Term};

use super::frame::{HEADER, PASS_THROUGH, VERSION};
use super::{PushError, tick_interval};
use crate::control::Control;
use crate::{Flags, Instant};

/// Binaries of this size and more go out as they are. Below, a copy is cheaper than one more
/// segment for the kernel to gather.
const SHARED_FROM: usize = 4 << 10;

/// A queue that grew beyond this is given back when all is sent.
const MAX_KEPT: usize = 1 << 20;

/// A frame without content.
const TICK: [u8; 4] = [0; 4];

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
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Bytes that wait to be sent, this message among them. Callers slow down when it grows.
    pub bytes: usize,
}

/// The sending half of a connection.
///
/// ```
/// use trunkline_etf::{Pid, Term, atom};
/// use trunkline_proto::conn::{DEFAULT_TICK_TIME, Outbound, Payload};
/// use trunkline_proto::control::Control;
/// use trunkline_proto::{Flags, Instant};
///
/// let flags = Flags::hidden_default();
/// let mut outbound = Outbound::new(Instant::ZERO, flags, Flags::NONE, DEFAULT_TICK_TIME);
/// let from = Pid { node: atom!("me@10.0.0.2"), id: 1, serial: 0, creation: 7 };
/// let control = Control::RegSend { from, to: atom!("logger"), token: None };
/// let queued = outbound.push(Instant::ZERO, &control, Payload::Term(&Term::atom("hello")))?;
/// let written = outbound.segments().map(<[u8]>::len).sum();
/// assert_eq!(queued.bytes, written);
/// outbound.sent(written);
/// assert!(outbound.is_empty());
/// # Ok::<(), trunkline_proto::conn::PushError>(())
/// ```
pub struct Outbound {
    /// `DIST_HDR_ATOM_CACHE` holds.
    headers: bool,
    /// The peer is a hidden node.
    peer_hidden: bool,
    /// What is to be sent, oldest first, `tail` behind it.
    queue: VecDeque<Bytes>,
    /// Where small messages gather.
    tail: BytesMut,
    bytes: usize,
    scratch: Scratch,
    interval: Duration,
    /// When the last message or tick was queued; the last tick where the peer is hidden.
    quiet_since: Instant,
}

impl Outbound {
    /// `flags` are those that hold on the connection, `peer_flags` those that the peer announced
    /// ([`Connected`](crate::handshake::Connected) has both), `tick_time` is the peer's
    /// `net_ticktime`.
    pub fn new(now: Instant, flags: Flags, peer_flags: Flags, tick_time: Duration) -> Self {
        Self {
            headers: flags.contains(Flags::DIST_HDR_ATOM_CACHE),
            peer_hidden: !peer_flags.contains(Flags::PUBLISHED),
            queue: VecDeque::new(),
            tail: BytesMut::new(),
            bytes: 0,
            scratch: Scratch::default(),
            interval: tick_interval(tick_time),
            quiet_since: now,
        }
    }

    /// Encodes a message and queues it.
    pub fn push(
        &mut self,
        now: Instant,
        control: &Control,
        payload: Payload<'_>,
    ) -> Result<Queued, PushError> {
        if control.has_payload() == matches!(payload, Payload::None) {
            return Err(PushError::Payload);
        }
        if self.headers {
            self.scratch.put(&[VERSION, HEADER, 0]);
        } else {
            self.scratch.put(&[PASS_THROUGH]);
        }
        self.encode(&control.to_term());
        match payload {
            Payload::None => {}
            Payload::Term(term) => self.encode(term),
            Payload::Encoded(bytes) => {
                self.version();
                self.scratch.put_shared(bytes, || bytes.clone());
            }
        }
        let taken = self.take_frame();
        self.scratch.clear();
        taken?;
        if !self.peer_hidden {
            self.quiet_since = self.quiet_since.max(now);
        }
        Ok(Queued { bytes: self.bytes })
    }

    /// What is to be written next, in order.
    pub fn segments(&self) -> impl Iterator<Item = &[u8]> {
        let tail = (!self.tail.is_empty()).then_some(&self.tail[..]);
        self.queue.iter().map(|bytes| &bytes[..]).chain(tail)
    }

    /// The first `count` bytes of [`segments`](Self::segments) were written.
    pub fn sent(&mut self, count: usize) {
        self.bytes = self.bytes.saturating_sub(count);
        let mut left = count;
        while let Some(first) = self.queue.front_mut() {
            if left < first.len() {
                first.advance(left);
                return;
            }
            left = left.saturating_sub(first.len());
            self.queue.pop_front();
        }
        self.tail.advance(left.min(self.tail.len()));
        // A queue that was long once shall not cost its length for ever.
        if self.tail.is_empty() && self.tail.try_reclaim(MAX_KEPT) {
            self.tail = BytesMut::new();
        }
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// How many bytes wait to be sent.
    pub fn queued(&self) -> Queued {
        Queued { bytes: self.bytes }
    }

    /// Follows another tick time of the peer.
    pub fn set_tick_time(&mut self, tick_time: Duration) {
        self.interval = tick_interval(tick_time);
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; later after each
    /// [`push`](Self::push).
    pub fn poll_timeout(&self) -> Option<Instant> {
        Some(self.due())
    }

    /// Queues a tick when nothing was queued for an interval. A hidden peer gets one at each
    /// interval: some, built on `erl_interface`, speak only when they hear a tick.
    pub fn handle_timeout(&mut self, now: Instant) {
        if now < self.due() {
            return;
        }
        self.quiet_since = now;
        // A full pipe says by itself that this side lives.
        if self.is_empty() {
            self.tail.extend_from_slice(&TICK);
            self.bytes = TICK.len();
        }
    }

    fn due(&self) -> Instant {
        self.quiet_since.saturating_add(self.interval)
    }

    fn encode(&mut self, term: &Term) {
        self.version();
        term.encode_bare(&mut self.scratch);
    }

    fn version(&mut self) {
        if !self.headers {
            self.scratch.put(&[VERSION]);
        }
    }

    /// Moves the encoded frame from the scratch buffer to the queue.
    fn take_frame(&mut self) -> Result<(), PushError> {
        let len = self.scratch.len();
        let prefix = u32::try_from(len).map_err(|_| PushError::TooLarge { len })?;
        self.tail.extend_from_slice(&prefix.to_be_bytes());
        let mut copied = &self.scratch.copied[..];
        for (before, shared) in self.scratch.shared.drain(..) {
            let (head, rest) = copied.split_at_checked(before).unwrap_or((copied, &[]));
            copied = rest;
            self.tail.extend_from_slice(head);
            self.queue.push_back(self.tail.split().freeze());
            self.queue.push_back(shared);
        }
        self.tail.extend_from_slice(copied);
        self.bytes = self.bytes.saturating_add(len).saturating_add(TICK.len());
        Ok(())
    }
}

/// What waits in it is somebody's message: its size only.
impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound")
            .field("headers", &self.headers)
            .field("peer_hidden", &self.peer_hidden)
            .field("bytes", &self.bytes)
            .field("interval", &self.interval)
            .field("quiet_since", &self.quiet_since)
            .finish_non_exhaustive()
    }
}

/// A frame in the making: small parts are copied, large binaries are not.
#[derive(Default)]
struct Scratch {
    copied: Vec<u8>,
    /// Binaries, each with the number of copied bytes between it and the one before it.
    shared: Vec<(usize, Bytes)>,
    /// Copied bytes up to the last of `shared`.
    marked: usize,
    shared_len: usize,
}

/// What the scratch buffer keeps for the next frame.
const KEPT_CAPACITY: usize = 64 << 10;

impl Scratch {
    fn clear(&mut self) {
        self.copied.clear();
        self.copied.shrink_to(KEPT_CAPACITY);
        self.shared.clear();
        self.marked = 0;
        self.shared_len = 0;
    }

    fn len(&self) -> usize {
        self.copied.len().saturating_add(self.shared_len)
    }
}

impl Sink for Scratch {
    fn put(&mut self, bytes: &[u8]) {
        self.copied.extend_from_slice(bytes);
    }

    fn put_shared(&mut self, bytes: &[u8], shared: impl FnOnce() -> Bytes) {
        if bytes.len() < SHARED_FROM {
            return self.put(bytes);
        }
        let before = self.copied.len().saturating_sub(self.marked);
        self.marked = self.copied.len();
        self.shared_len = self.shared_len.saturating_add(bytes.len());
        self.shared.push((before, shared()));
    }
}
