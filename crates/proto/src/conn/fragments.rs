//! Messages that come in fragments (`erl_dist_protocol`, "Distribution Header for fragmented
//! messages").

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::fmt;

use bytes::{Bytes, BytesMut};
use trunkline_etf::{Atom, RawTerm};

use super::{ConnectionError, Limits, Signal};
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
    /// Bytes in all of them, each with its head.
    held: usize,
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
    payload: BytesMut,
}

/// What a byte of a header or a control message takes when it is decoded, at most.
const GROWTH: usize = 24;

impl Fragments {
    /// The first fragment of several: it holds header and control message, `head` bytes before they
    /// were decoded. One that reuses the number of an unfinished message takes its place.
    pub(super) fn first(
        &mut self,
        id: FragmentId,
        (control, atoms, head): (Control, Arc<[Atom]>, usize),
        part: &Bytes,
        limits: &Limits,
    ) -> Result<(), ConnectionError> {
        let next = id
            .fragment
            .checked_sub(1)
            .filter(|next| *next > 0)
            .ok_or_else(|| id.error())?;
        if let Some(abandoned) = self.open.remove(&id.sequence) {
            self.held = self.held.saturating_sub(abandoned.held());
        }
        if self.open.len() >= limits.sequences {
            return Err(ConnectionError::TooManySequences);
        }
        if !control.has_payload() {
            return Err(ConnectionError::Trailing);
        }
        let head = head.saturating_mul(GROWTH);
        self.hold(head.saturating_add(part.len()), part.len(), limits)?;
        let unfinished = Unfinished {
            control,
            atoms,
            head,
            next,
            payload: BytesMut::from(&part[..]),
        };
        self.open.insert(id.sequence, unfinished);
        Ok(())
    }

    /// Any other fragment. The last one gives the message.
    pub(super) fn next(
        &mut self,
        id: FragmentId,
        part: &Bytes,
        limits: &Limits,
    ) -> Result<Option<Signal>, ConnectionError> {
        self.expect(id, part.len(), limits)?;
        if let Some(payload) = self.payload(id) {
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
        let total = unfinished.payload.len().saturating_add(len);
        self.hold(len, total, limits)
    }

    /// What has come of a message.
    pub(super) fn payload(&mut self, id: FragmentId) -> Option<&mut BytesMut> {
        let unfinished = self.open.get_mut(&id.sequence)?;
        Some(&mut unfinished.payload)
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
        self.held = self.held.saturating_sub(unfinished.held());
        let Unfinished {
            control,
            atoms,
            payload,
            ..
        } = unfinished;
        let payload = RawTerm::with_atoms(payload.freeze(), atoms);
        Some(Signal {
            control,
            payload: Some(payload),
        })
    }

    /// Counts `more` bytes, after which the payload of their message has `len`.
    fn hold(&mut self, more: usize, len: usize, limits: &Limits) -> Result<(), ConnectionError> {
        self.held = self.held.saturating_add(more);
        for (bytes, limit) in [(len, limits.message), (self.held, limits.unfinished)] {
            if bytes > limit {
                return Err(ConnectionError::FragmentsTooLarge { limit });
            }
        }
        Ok(())
    }
}

impl Unfinished {
    fn held(&self) -> usize {
        self.head.saturating_add(self.payload.len())
    }
}

impl FragmentId {
    const fn error(self) -> ConnectionError {
        let Self { sequence, fragment } = self;
        ConnectionError::FragmentOutOfOrder { sequence, fragment }
    }
}
