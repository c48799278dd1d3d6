//! Messages that come in fragments (`erl_dist_protocol`, "Distribution Header for fragmented
//! messages").

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::fmt;

use bytes::{Bytes, BytesMut};
use trunkline_etf::{Atom, RawTerm};

use super::{ConnectionError, Limits, Lost, Signal};
use crate::control::Control;

/// Which fragment of which message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FragmentId {
    /// The sender's number for the message, unique while it is unfinished.
    pub(super) sequence: u64,
    /// Counts down to 1.
    pub(super) fragment: u64,
}

/// The messages of which fragments are still due.
#[derive(Clone, Default)]
pub(super) struct Fragments {
    open: BTreeMap<u64, Unfinished>,
    /// Bytes of their payloads.
    held: usize,
    /// What their control messages and atoms take.
    heads: usize,
    /// The last large ones that were whole, so that the next one gets their memory when nobody has
    /// them any more: asking the system for as much anew costs as much as all the rest.
    spare: [Spare; 2],
    /// How many unfinished messages have memory that one before them left.
    lent: usize,
    /// How many were kept so, ever.
    remembered: u64,
}

/// A message that was whole.
#[derive(Clone, Default)]
struct Spare {
    bytes: Bytes,
    /// How much memory it has.
    capacity: usize,
}

/// Sizes only: these are somebody's messages.
impl fmt::Debug for Fragments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fragments")
            .field("open", &self.open.len())
            .field("held", &self.held)
            .finish()
    }
}

#[derive(Clone)]
struct Unfinished {
    control: Control,
    atoms: Arc<[Atom]>,
    /// What control message and atoms take.
    head: usize,
    next: u64,
    /// Bytes that it will have if all fragments are as long as the first: what the peer says, and good
    /// for choosing among memory that is there.
    expected: usize,
    /// Its memory is that of a message before it.
    lent: bool,
    payload: Payload,
}

#[derive(Clone)]
enum Payload {
    Kept(BytesMut),
    /// It went beyond a limit: the rest of it comes and is dropped.
    Lost(Lost),
}

/// Messages of this size lend their memory to the next one: the allocator has smaller pieces at hand,
/// and larger ones are lost with the usual limit. 100 MB anew are 25,000 page faults while they are read,
/// and a long call of the system when they are dropped; others' small messages wait for both.
const REUSED_FROM: usize = 512 << 10;
const REUSED_TO: usize = 128 << 20;

/// From here on the head of a fragment is worth a read of its own.
const LARGE: usize = 64 << 10;

/// What a byte of a header or a control message takes when it is decoded, at most.
const GROWTH: usize = 24;

impl Fragments {
    /// The first fragment of several: it holds header and control message, `head` bytes before they
    /// were decoded. One that reuses the number of an unfinished message takes its place.
    pub(super) fn first(
        &mut self,
        id: FragmentId,
        (control, atoms, head): (Control, Arc<[Atom]>, usize),
        part: &[u8],
        limits: &Limits,
    ) -> Result<(), ConnectionError> {
        let next = id
            .fragment
            .checked_sub(1)
            .filter(|next| *next > 0)
            .ok_or_else(|| id.error())?;
        if let Some(abandoned) = self.open.remove(&id.sequence) {
            self.forget(&abandoned);
        }
        if self.open.len() >= limits.sequences {
            return Err(ConnectionError::TooManySequences);
        }
        if !control.has_payload() {
            return Err(ConnectionError::Trailing);
        }
        let head = head.saturating_mul(GROWTH);
        self.heads = self.heads.saturating_add(head);
        if self.heads > limits.unfinished {
            return Err(ConnectionError::UnfinishedTooLarge {
                limit: limits.unfinished,
            });
        }
        let unfinished = Unfinished {
            control,
            atoms,
            head,
            next,
            expected: part
                .len()
                .saturating_mul(usize::try_from(id.fragment).unwrap_or(usize::MAX))
                .min(limits.message),
            lent: false,
            payload: Payload::Kept(BytesMut::new()),
        };
        self.open.insert(id.sequence, unfinished);
        self.hold(id, part.len(), limits);
        if let Some(payload) = self.room(id, part.len()) {
            payload.extend_from_slice(part);
        }
        Ok(())
    }

    /// Any other fragment. The last one gives the message.
    pub(super) fn next(
        &mut self,
        id: FragmentId,
        part: &[u8],
        limits: &Limits,
    ) -> Result<Option<Signal>, ConnectionError> {
        self.expect(id, part.len(), limits)?;
        if let Some(payload) = self.room(id, part.len()) {
            payload.extend_from_slice(part);
        }
        Ok(self.complete(id))
    }

    /// Begins any other fragment, of `len` bytes. They go to the end of [`payload`](Self::payload)
    /// as they come; when all are there, [`complete`](Self::complete) is due.
    pub(super) fn expect(
        &mut self,
        id: FragmentId,
        len: usize,
        limits: &Limits,
    ) -> Result<(), ConnectionError> {
        let unfinished = self.open.get(&id.sequence).ok_or_else(|| id.error())?;
        if unfinished.next != id.fragment {
            return Err(id.error());
        }
        self.hold(id, len, limits);
        Ok(())
    }

    /// Whether what comes of a message is kept, and counted: not of one that is lost.
    pub(super) fn keeps(&self, id: FragmentId) -> bool {
        let payload = self.open.get(&id.sequence).map(|message| &message.payload);
        matches!(payload, Some(Payload::Kept(_)))
    }

    /// What has come of a message; none of one that is lost.
    pub(super) fn payload(&mut self, id: FragmentId) -> Option<&mut BytesMut> {
        match &mut self.open.get_mut(&id.sequence)?.payload {
            Payload::Kept(payload) => Some(payload),
            Payload::Lost(_) => None,
        }
    }

    /// The same, with memory for `more` bytes. It grows as a vector does, or gets the memory of a
    /// message that nobody has any more, if that is not much more than it needs.
    pub(super) fn room(&mut self, id: FragmentId, more: usize) -> Option<&mut BytesMut> {
        let unfinished = self.open.get_mut(&id.sequence)?;
        let Payload::Kept(payload) = &mut unfinished.payload else {
            return None;
        };
        let wanted = payload.len().saturating_add(more);
        if payload.capacity() < wanted {
            match reuse(&mut self.spare, wanted, unfinished.expected) {
                Some(mut spare) => {
                    spare.extend_from_slice(payload);
                    *payload = spare;
                    if !unfinished.lent {
                        unfinished.lent = true;
                        self.lent = self.lent.saturating_add(1);
                    }
                }
                None => payload.reserve(more),
            }
        }
        Some(payload)
    }

    /// Whether fragments are missing of a message that is large enough for reads of its own.
    pub(super) fn is_waiting(&self) -> bool {
        self.held >= LARGE && !self.open.is_empty()
    }

    /// What has come of messages of which some is missing, what their heads take, and what is kept for
    /// another one. What a receiver still has is his.
    pub(super) fn bytes(&self) -> usize {
        let kept = |spare: &Spare| {
            let is_ours = spare.capacity > 0 && spare.bytes.is_unique();
            if is_ours { spare.capacity } else { 0 }
        };
        let kept = self.spare.iter().map(kept).fold(0, usize::saturating_add);
        let open = self.held.saturating_add(self.heads);
        open.saturating_add(kept)
    }

    /// Whether memory is kept for another message, or was lent to one that may not need it.
    pub(super) fn has_spare(&self) -> bool {
        self.lent > 0 || self.spare.iter().any(|spare| spare.capacity > 0)
    }

    /// How many messages left their memory here, ever.
    pub(super) fn remembered(&self) -> u64 {
        self.remembered
    }

    /// Gives memory back that is kept for another message, and what one has got that did not become as
    /// long as its first fragment said.
    pub(super) fn release(&mut self) {
        self.spare = Default::default();
        for unfinished in self.open.values_mut() {
            if let Payload::Kept(payload) = &mut unfinished.payload
                && is_much(payload)
            {
                *payload = BytesMut::from(&payload[..]);
                if unfinished.lent {
                    unfinished.lent = false;
                    self.lent = self.lent.saturating_sub(1);
                }
            }
        }
    }

    fn remember(&mut self, bytes: &Bytes, capacity: usize) {
        if (REUSED_FROM..=REUSED_TO).contains(&bytes.len()) {
            self.spare.rotate_right(1);
            let [first, _] = &mut self.spare;
            *first = Spare {
                bytes: bytes.clone(),
                capacity,
            };
            self.remembered = self.remembered.wrapping_add(1);
        }
    }

    /// All bytes of a fragment have come. The last one gives the message.
    pub(super) fn complete(&mut self, id: FragmentId) -> Option<Signal> {
        let unfinished = self.open.get_mut(&id.sequence)?;
        unfinished.next = unfinished.next.saturating_sub(1);
        if unfinished.next == 0 {
            self.finish(id.sequence)
        } else {
            None
        }
    }

    fn finish(&mut self, sequence: u64) -> Option<Signal> {
        let unfinished = self.open.remove(&sequence)?;
        self.forget(&unfinished);
        let Unfinished {
            control,
            atoms,
            payload,
            ..
        } = unfinished;
        let (payload, lost) = match payload {
            Payload::Kept(bytes) => {
                let bytes = if is_much(&bytes) {
                    Bytes::copy_from_slice(&bytes)
                } else {
                    let capacity = bytes.capacity();
                    let bytes = bytes.freeze();
                    self.remember(&bytes, capacity);
                    bytes
                };
                (Some(RawTerm::with_atoms(bytes, atoms)), None)
            }
            Payload::Lost(lost) => (None, Some(lost)),
        };
        Some(Signal {
            control,
            payload,
            lost,
        })
    }

    /// A message is held no longer.
    fn forget(&mut self, message: &Unfinished) {
        let payload = match &message.payload {
            Payload::Kept(payload) => payload.len(),
            Payload::Lost(_) => 0,
        };
        self.lent = self.lent.saturating_sub(usize::from(message.lent));
        self.held = self.held.saturating_sub(payload);
        self.heads = self.heads.saturating_sub(message.head);
    }

    /// Counts `more` bytes of a message, or gives up its payload where that goes beyond a limit.
    fn hold(&mut self, id: FragmentId, more: usize, limits: &Limits) {
        let Some(unfinished) = self.open.get_mut(&id.sequence) else {
            return;
        };
        match &mut unfinished.payload {
            Payload::Kept(payload) => {
                let there = payload.len();
                let len = there.saturating_add(more);
                let held = self.held.saturating_add(more);
                let all = held.saturating_add(self.heads);
                for (bytes, limit) in [(len, limits.message), (all, limits.unfinished)] {
                    if bytes > limit {
                        self.held = self.held.saturating_sub(there);
                        unfinished.payload = Payload::Lost(Lost { len, limit });
                        return;
                    }
                }
                self.held = held;
            }
            Payload::Lost(lost) => lost.len = lost.len.saturating_add(more),
        }
    }
}

/// Memory for `wanted` bytes, of a message that nobody has any more. What is more than twice as much as
/// the message is expected to need stays for a longer one.
fn reuse(spare: &mut [Spare], wanted: usize, expected: usize) -> Option<BytesMut> {
    let most = wanted.max(expected).saturating_mul(2);
    let of = spare
        .iter_mut()
        .find(|spare| (REUSED_FROM..=most).contains(&spare.capacity) && spare.bytes.is_unique())?;
    let mut memory = core::mem::take(of).bytes.try_into_mut().ok()?;
    memory.clear();
    // What is too small for it has served.
    (memory.capacity() >= wanted).then_some(memory)
}

/// Whether much more memory is held than is needed.
fn is_much(payload: &BytesMut) -> bool {
    payload.capacity() >= REUSED_FROM && payload.len() < payload.capacity().div_euclid(2)
}

impl FragmentId {
    const fn error(self) -> ConnectionError {
        let Self { sequence, fragment } = self;
        ConnectionError::FragmentOutOfOrder { sequence, fragment }
    }
}
