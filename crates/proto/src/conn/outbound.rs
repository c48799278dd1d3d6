//! The sending half.

use alloc::collections::VecDeque;
use core::fmt;
use core::time::Duration;

use bytes::{BufMut, Bytes};
use trunkline_etf::Pid;

use super::bulk::Bulk;
use super::fragments::FragmentId;
use super::frame::{HEADER, VERSION};
use super::lanes::{Lanes, Waiting};
use super::message::{Head, Origin, Payload, Queued, encode};
use super::own_atoms::OwnAtoms;
use super::portion::{KEPT, Portion};
use super::ready::Ready;
use super::scratch::Scratch;
use super::{PushError, Sending, TICK_INTENSITY, tick_interval};
use crate::control::{Control, Sender};
use crate::{Flags, Instant};

/// The sending half of a connection.
///
/// Between two processes messages arrive in the order of their sending. A payload beyond
/// [`Sending::whole`] goes in fragments; what its sender sends afterwards waits behind it, messages
/// of others go between its fragments. Where nobody says who the sender is (SEND, GROUP_LEADER and the
/// DOWN of a monitored name without [`Origin::from`]), everything that waits goes before it, and it goes
/// whole.
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
    /// `FRAGMENTS` holds too.
    fragments: bool,
    /// The peer is a hidden node.
    peer_hidden: bool,
    sending: Sending,
    ready: Ready,
    /// What [`segments`](Self::segments) shows.
    portion: Portion,
    /// Bytes of the portion that a writer has taken last.
    taken: usize,
    /// Bytes of that portion, or of `portion`, whose senders did not wait.
    going_forced: usize,
    /// Bytes that are ready because somebody who waits behind a large message had a turn, and such of that portion.
    turns: usize,
    going_turns: usize,
    lanes: Lanes,
    /// Bytes that went past the lanes since one of them had a turn.
    past: usize,
    bulk: Bulk,
    atoms: OwnAtoms,
    scratch: Scratch,
    tick_time: Duration,
    intensity: u32,
    /// When the last message or tick was queued; the last tick where the peer is hidden.
    quiet_since: Instant,
}

impl Outbound {
    /// `flags` are those that hold on the connection, `peer_flags` those that the peer announced
    /// ([`Connected`](crate::handshake::Connected) has both), `tick_time` is the peer's
    /// `net_ticktime`.
    pub fn new(now: Instant, flags: Flags, peer_flags: Flags, tick_time: Duration) -> Self {
        let headers = flags.contains(Flags::DIST_HDR_ATOM_CACHE);
        Self {
            headers,
            fragments: headers && flags.contains(Flags::FRAGMENTS),
            peer_hidden: !peer_flags.contains(Flags::PUBLISHED),
            sending: Sending::default(),
            ready: Ready::default(),
            portion: Portion::default(),
            taken: 0,
            going_forced: 0,
            turns: 0,
            going_turns: 0,
            lanes: Lanes::default(),
            past: 0,
            bulk: Bulk::default(),
            atoms: OwnAtoms::default(),
            scratch: Scratch::default(),
            tick_time,
            intensity: TICK_INTENSITY,
            quiet_since: now,
        }
    }

    /// Cuts and shortens otherwise.
    #[must_use]
    pub fn with_sending(self, sending: Sending) -> Self {
        Self { sending, ..self }
    }

    /// Another `net_tickintensity`: how many intervals a tick time has. Default 4.
    #[must_use]
    pub fn with_tick_intensity(self, intensity: u32) -> Self {
        Self { intensity, ..self }
    }

    /// Encodes a message of somebody who waited and queues it.
    pub fn push(
        &mut self,
        now: Instant,
        control: &Control,
        payload: Payload<'_>,
    ) -> Result<Queued, PushError> {
        let origin = Origin {
            from: None,
            waited: true,
        };
        self.push_of(now, origin, control, payload)
    }

    /// The same with what the control message does not say.
    pub fn push_of(
        &mut self,
        now: Instant,
        origin: Origin<'_>,
        control: &Control,
        payload: Payload<'_>,
    ) -> Result<Queued, PushError> {
        if control.has_payload() == matches!(payload, Payload::None) {
            return Err(PushError::Payload);
        }
        let sender = match (control.sender(), origin.from) {
            (Sender::Unknown, Some(pid)) => Sender::Process(pid),
            (sender, _) => sender,
        };
        let forced = !origin.waited;
        self.push_head(now, sender, forced, Head::Control(control), payload)
    }

    /// As [`push_of`](Self::push_of), with a control message that was encoded before
    /// ([`Control::encoded`]): whether it has a payload is the caller's to know. `from` sends it.
    pub fn push_again(
        &mut self,
        now: Instant,
        from: &Pid,
        waited: bool,
        control: &[u8],
        payload: Payload<'_>,
    ) -> Result<Queued, PushError> {
        let from = Sender::Process(from);
        self.push_head(now, from, !waited, Head::Encoded(control), payload)
    }

    fn push_head(
        &mut self,
        now: Instant,
        sender: Sender<'_>,
        forced: bool,
        control: Head<'_>,
        payload: Payload<'_>,
    ) -> Result<Queued, PushError> {
        let (before, before_forced) = (self.before_of(sender), self.forced());
        if sender == Sender::Unknown {
            while self.advance().is_some() {}
            // Nobody's turns: all of it goes at once.
            self.turns = 0;
        }
        if self.refers() || self.lanes.has(sender.pid()) {
            let placed = self.place(sender, forced, control, payload);
            self.scratch.clear();
            placed?;
        } else {
            self.write(sender, forced, control, payload)?;
        }
        if !self.peer_hidden {
            self.quiet_since = self.quiet_since.max(now);
        }
        Ok(Queued {
            bytes: self.queued(),
            before,
            forced: before_forced,
        })
    }

    /// What is to be written next, in order. There is something as long as the queue is not
    /// [empty](Self::is_empty), though not always all of it.
    ///
    /// Who fills the queue while another writes takes [portions](Self::take) instead.
    pub fn segments(&mut self) -> impl Iterator<Item = &[u8]> {
        if self.portion.is_empty() {
            self.refill();
            self.portion
                .fill(&mut self.ready.chunks, self.bulk.is_alone());
            self.goes();
        }
        self.portion.segments()
    }

    /// The first `count` bytes of [`segments`](Self::segments) were written.
    pub fn sent(&mut self, count: usize) {
        self.portion.sent(count);
    }

    /// Takes what is to be written next: `portion` gets it, which is empty because all that was
    /// taken before is sent. It stays empty when there is nothing to send.
    pub fn take(&mut self, portion: &mut Portion) {
        if self.portion.is_empty() {
            self.refill();
            portion.fill(&mut self.ready.chunks, self.bulk.is_alone());
            self.goes();
        } else {
            core::mem::swap(&mut self.portion, portion);
        }
        self.taken = portion.len();
    }

    /// Forgets all that waits, and the memory for it: the connection is over.
    pub fn clear(&mut self) {
        self.ready = Ready::default();
        self.portion = Portion::default();
        self.lanes = Lanes::default();
        self.scratch = Scratch::default();
        (self.taken, self.going_forced, self.past) = (0, 0, 0);
        (self.turns, self.going_turns) = (0, 0);
    }

    /// Whether there is nothing to send, and all that was taken is sent.
    pub fn is_empty(&self) -> bool {
        self.queued() == 0
    }

    /// How many bytes wait to be sent.
    pub fn queued(&self) -> usize {
        self.next_up().saturating_add(self.lanes.bytes)
    }

    /// How many bytes would go before a message of `sender`, others' turns left out: what is ready,
    /// and what the sender itself has in fragments or behind them. Who sends slows down when this
    /// grows; however much another one sends at once does not count.
    pub fn before(&self, sender: &Pid) -> usize {
        self.before_of(Sender::Process(sender))
    }

    fn before_of(&self, sender: Sender<'_>) -> usize {
        let waiting = match sender {
            _ if self.lanes.is_empty() => 0,
            Sender::Process(pid) => self.lanes.waiting(Some(pid)),
            Sender::Node => self.lanes.waiting(None),
            Sender::Unknown => self.lanes.bytes,
        };
        if waiting > 0 {
            return self.next_up().saturating_add(waiting);
        }
        // Others had them; of its own there is at most the end.
        let turns = self.turns.saturating_add(self.going_turns);
        self.next_up().saturating_sub(turns)
    }

    /// Bytes that no other message can come before.
    fn next_up(&self) -> usize {
        self.ready.chunks.len().saturating_add(self.going())
    }

    /// Bytes that are being written.
    fn going(&self) -> usize {
        self.portion.len().saturating_add(self.taken)
    }

    /// How many bytes wait whose senders did not.
    pub fn forced(&self) -> usize {
        let going = if self.going() > 0 {
            self.going_forced
        } else {
            0
        };
        let waiting = self.ready.forced.saturating_add(self.lanes.forced);
        waiting.saturating_add(going)
    }

    /// Follows another tick time of the peer.
    pub fn set_tick_time(&mut self, tick_time: Duration) {
        self.tick_time = tick_time;
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; later after each
    /// [`push`](Self::push).
    pub fn poll_timeout(&self) -> Option<Instant> {
        Some(self.due())
    }

    /// Queues a tick when nothing was queued for an interval. A hidden peer gets one at each
    /// interval, among whatever else there is: some, built on `erl_interface`, speak only when they
    /// hear a tick, and this side cuts who is silent.
    pub fn handle_timeout(&mut self, now: Instant) {
        if now < self.due() {
            return;
        }
        self.quiet_since = now;
        if self.ready.chunks.is_empty() {
            self.ready.chunks.clear(KEPT);
        }
        self.portion.release();
        // A full pipe says by itself that this side lives; it does not ask whether the other one does.
        if self.peer_hidden || self.is_empty() {
            self.ready.tick();
        }
    }

    fn due(&self) -> Instant {
        let interval = tick_interval(self.tick_time, self.intensity);
        self.quiet_since.saturating_add(interval)
    }

    /// Whether atoms go through the cache.
    fn refers(&self) -> bool {
        self.headers && self.sending.atom_cache
    }

    /// Encodes a message behind all that is ready; one that has to be cut is moved to its sender's
    /// lane, which is empty.
    fn write(
        &mut self,
        sender: Sender<'_>,
        forced: bool,
        control: Head<'_>,
        payload: Payload<'_>,
    ) -> Result<(), PushError> {
        let frame = self.ready.begin(self.headers);
        let begin = self.ready.chunks.mark();
        let head = encode(control, payload, self.headers, &mut self.ready.chunks);
        let len = self.ready.chunks.len_since(begin);
        if self.cuts(sender, len.saturating_sub(head)) {
            let parts = self.ready.chunks.split_off(begin);
            self.ready.chunks.truncate(frame);
            let mut waiting = self.waiting(parts, len, head, true)?;
            waiting.forced = forced;
            self.lanes.push(sender.pid(), waiting);
            return Ok(());
        }
        self.ready.end(frame)?;
        self.went(len, forced);
        Ok(())
    }

    /// Encodes a message beside what is ready, and puts it where it belongs.
    fn place(
        &mut self,
        sender: Sender<'_>,
        forced: bool,
        control: Head<'_>,
        payload: Payload<'_>,
    ) -> Result<(), PushError> {
        self.scratch.refer = self.refers();
        let begin = self.scratch.chunks.mark();
        let head = encode(control, payload, self.headers, &mut self.scratch);
        let len = self.scratch.len();
        let cut = self.cuts(sender, len.saturating_sub(head));
        if cut || self.lanes.has(sender.pid()) {
            let parts = self.scratch.chunks.split_off(begin);
            let mut waiting = self.waiting(parts, len, head, cut)?;
            waiting.forced = forced;
            self.lanes.push(sender.pid(), waiting);
            return Ok(());
        }
        Ready::check(len)?;
        let frame = self.ready.begin_with(|out| {
            out.put_slice(&[VERSION, HEADER]);
            self.atoms.header(self.scratch.atoms.entries(), out);
        });
        self.ready.chunks.append(&mut self.scratch.chunks);
        self.ready.end(frame)?;
        self.went(len, forced);
        Ok(())
    }

    /// Between the pieces of a message of nobody in particular its sender's later ones would go: it
    /// is not cut.
    fn cuts(&self, sender: Sender<'_>, payload: usize) -> bool {
        self.fragments && payload > self.sending.whole && sender != Sender::Unknown
    }

    /// So many bytes are ready, and went past the lanes. Whoever sends without end shall not keep the
    /// others from their turns.
    fn went(&mut self, len: usize, forced: bool) {
        if forced {
            self.ready.forced = self.ready.forced.saturating_add(len);
        }
        self.bulk.whole(!self.lanes.is_empty());
        if self.lanes.is_empty() {
            return;
        }
        self.past = self.past.saturating_add(len);
        if self.past >= self.bulk.piece(&self.sending) {
            self.past = 0;
            self.advance();
        }
    }

    /// A message of `len` bytes, `head` of them the control message, as one that waits.
    fn waiting(
        &mut self,
        parts: VecDeque<Bytes>,
        len: usize,
        head: usize,
        cut: bool,
    ) -> Result<Waiting, PushError> {
        let piece = self.bulk.piece(&self.sending);
        // What one frame has to hold.
        Ready::check(if cut { head.saturating_add(piece) } else { len })?;
        let payload = len.saturating_sub(head);
        let cut = cut.then(|| FragmentId {
            sequence: self.lanes.sequence(),
            fragment: u64::try_from(payload.div_ceil(piece)).unwrap_or(u64::MAX),
        });
        Ok(Waiting {
            atoms: self.scratch.atoms.take(),
            parts,
            len,
            control: head,
            cut,
            piece,
            forced: false,
        })
    }

    /// Gives as many turns as it takes to keep a writer busy.
    fn refill(&mut self) {
        let portion = self.bulk.portion(&self.sending);
        while self.ready.chunks.len() < portion && self.advance().is_some() {}
    }

    /// All that was ready is being written.
    fn goes(&mut self) {
        self.going_forced = core::mem::take(&mut self.ready.forced);
        self.going_turns = core::mem::take(&mut self.turns);
    }

    /// Moves one frame that waits; how many bytes of it. `None` when none does.
    fn advance(&mut self) -> Option<usize> {
        let piece = self.bulk.piece(&self.sending);
        let (atoms, ready) = (&mut self.atoms, &mut self.ready);
        let moved = self.lanes.advance(piece, atoms, ready)?;
        self.bulk.moved(moved);
        self.turns = self.turns.saturating_add(moved);
        Some(moved)
    }
}

/// What waits in it is somebody's message: its size only.
impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound")
            .field("headers", &self.headers)
            .field("fragments", &self.fragments)
            .field("peer_hidden", &self.peer_hidden)
            .field("sending", &self.sending)
            .field("bytes", &self.queued())
            .field("tick_time", &self.tick_time)
            .field("intensity", &self.intensity)
            .field("quiet_since", &self.quiet_since)
            .finish_non_exhaustive()
    }
}
