//! What waits for a process: messages and signals in the order of arrival, not decoded yet.
//!
//! A [`Queue`] is filled by whoever reads a connection, moved into the process's mailbox with one
//! lock, and moved out again by the process with another. Small messages lie one behind the other in
//! one piece of memory, and the memory goes round: a message costs neither an allocation nor a
//! counter, and does not keep the read buffer that it came in.

mod limit;

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::sync::Arc;

use trunkline_etf::{Atom, Pid, RawTerm, Reference, Term};
use trunkline_proto::control::PidOrName;

pub use limit::{MaxMailbox, WhenFull};

/// Payloads below this are copied out of the read buffer: a page of it must not live on for a few
/// bytes. From here on the slice is kept, and a copy would cost more than what it saves.
pub(crate) const SMALL: usize = 4 << 10;

/// Memory of a queue that is kept when it is empty: what one read brings at most.
const KEPT: usize = 256 << 10;

/// What a place in the queue is counted as, beside the bytes of its message.
const PLACE: usize = 32;

/// Messages and signals that wait.
#[derive(Default)]
pub(crate) struct Queue {
    places: VecDeque<Place>,
    /// The small ones, one behind the other, from `at` on.
    small: Vec<u8>,
    at: usize,
    size: usize,
    /// So much of `size` the node's budget counts.
    charged: usize,
}

/// How many they are, not what.
impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("waiting", &self.len())
            .field("size", &self.size)
            .field("charged", &self.charged)
            .finish_non_exhaustive()
    }
}

/// One of them.
enum Place {
    /// So many bytes of `small`.
    Small(u32),
    /// The same, with the atoms of its frame.
    WithAtoms(u32, Arc<[Atom]>),
    Large(Box<RawTerm>),
    /// From this node: never encoded.
    Local(Term),
    Event(Box<Event>),
}

/// What reaches a process beside messages.
#[derive(Debug)]
pub(crate) enum Event {
    /// An exit signal, where the process traps exits.
    Exit { from: Pid, reason: Body },
    /// A monitor fired.
    Down {
        reference: Reference,
        node: Atom,
        from: PidOrName,
        reason: Body,
    },
    /// A monitored node is gone.
    NodeDown { node: Atom },
}

/// A term that came from another node, or from this one.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Raw(RawTerm),
    Term(Term),
}

/// What comes out of a queue.
#[derive(Debug)]
pub(crate) enum Incoming<'a> {
    /// An encoded message, and the atoms that it may refer to.
    Small(&'a [u8], Option<Arc<[Atom]>>),
    Large(Box<RawTerm>),
    Local(Term),
    Event(Box<Event>),
}

impl Queue {
    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// What they take in bytes, about.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// An encoded message.
    pub(crate) fn push_raw(&mut self, raw: RawTerm) {
        let bytes = raw.bytes();
        match u32::try_from(bytes.len()) {
            Ok(length) if bytes.len() < SMALL => {
                self.small.extend_from_slice(bytes);
                self.place(if raw.atoms().is_empty() {
                    Place::Small(length)
                } else {
                    Place::WithAtoms(length, raw.into_parts().1)
                });
            }
            _ => self.place(Place::Large(Box::new(raw))),
        }
    }

    /// A message of fewer than [`SMALL`] bytes that refers to no atoms of a frame.
    #[inline]
    pub(crate) fn push_small(&mut self, bytes: &[u8]) {
        if let Ok(length) = u32::try_from(bytes.len()) {
            self.small.extend_from_slice(bytes);
            self.place(Place::Small(length));
        }
    }

    /// A message of this node.
    pub(crate) fn push_local(&mut self, term: Term) {
        self.place(Place::Local(term));
    }

    pub(crate) fn push_body(&mut self, body: Body) {
        match body {
            Body::Raw(raw) => self.push_raw(raw),
            Body::Term(term) => self.push_local(term),
        }
    }

    pub(crate) fn push_event(&mut self, event: Event) {
        self.place(Place::Event(Box::new(event)));
    }

    fn place(&mut self, place: Place) {
        self.size += place.size();
        self.places.push_back(place);
    }

    /// Moves all of another queue, of which nothing was taken yet, behind this one.
    pub(crate) fn append(&mut self, other: &mut Self) {
        if self.is_empty() {
            self.clear();
            mem::swap(self, other);
            return;
        }
        self.places.append(&mut other.places);
        self.small.extend_from_slice(&other.small);
        self.size += other.size;
        self.charged += other.charged;
        other.clear();
    }

    /// The budget counts these bytes of it.
    pub(crate) fn charge(&mut self, bytes: usize) {
        self.charged += bytes;
    }

    /// Whoever takes this pays it back.
    pub(crate) fn take_charged(&mut self) -> usize {
        mem::take(&mut self.charged)
    }

    /// Forgets the news of a monitor; how many places were before it.
    pub(crate) fn forget_down(&mut self, monitor: &Reference) -> Option<usize> {
        let of = |place: &Place| match place {
            Place::Event(event) => {
                matches!(&**event, Event::Down { reference, .. } if reference == monitor)
            }
            _ => false,
        };
        // A monitor fires once.
        let at = self.places.iter().position(of)?;
        let place = self.places.remove(at)?;
        self.size -= place.size();
        Some(at)
    }

    /// Moves as many of another queue as fit behind this one, and drops the rest; how many those
    /// were. Events always fit.
    pub(crate) fn append_some(&mut self, other: &mut Self, messages: usize, bytes: usize) -> u64 {
        let (mut left, mut left_bytes, mut dropped) = (messages, bytes, 0);
        let (before, counted) = (self.size, other.charged > 0);
        while let Some(place) = other.places.pop_front() {
            let size = place.size();
            let fits = left > 0 && size <= left_bytes;
            if let Place::Small(length) | Place::WithAtoms(length, _) = place {
                let small = other.take_small(length);
                if fits {
                    self.small.extend_from_slice(small);
                }
            }
            if fits {
                (left, left_bytes) = (left - 1, left_bytes - size);
            }
            if fits || matches!(place, Place::Event(_)) {
                self.place(place);
            } else {
                dropped += 1;
            }
        }
        if counted {
            self.charged += self.size - before;
        }
        other.clear();
        dropped
    }

    /// The next one.
    pub(crate) fn pop(&mut self) -> Option<Incoming<'_>> {
        let place = self.places.pop_front()?;
        self.size -= place.size();
        Some(match place {
            Place::Small(length) => Incoming::Small(self.take_small(length), None),
            Place::WithAtoms(length, atoms) => {
                Incoming::Small(self.take_small(length), Some(atoms))
            }
            Place::Large(raw) => Incoming::Large(raw),
            Place::Local(term) => Incoming::Local(term),
            Place::Event(event) => Incoming::Event(event),
        })
    }

    fn take_small(&mut self, length: u32) -> &[u8] {
        let start = self.at;
        self.at += length as usize;
        self.small.get(start..self.at).unwrap_or_default()
    }

    /// Gives what was taken back; memory of one read stays.
    pub(crate) fn clear(&mut self) {
        self.places.clear();
        self.small.clear();
        (self.at, self.size, self.charged) = (0, 0, 0);
        if self.small.capacity() > KEPT {
            self.small = Vec::new();
        }
        if self.places.capacity() * size_of::<Place>() > KEPT {
            self.places = VecDeque::new();
        }
    }
}

impl Place {
    fn size(&self) -> usize {
        match self {
            Self::Small(length) | Self::WithAtoms(length, _) => PLACE + *length as usize,
            Self::Large(raw) => PLACE + raw.bytes().len(),
            Self::Local(_) | Self::Event(_) => PLACE,
        }
    }
}

impl From<Term> for Body {
    fn from(term: Term) -> Self {
        Self::Term(term)
    }
}

impl From<RawTerm> for Body {
    fn from(raw: RawTerm) -> Self {
        Self::Raw(raw)
    }
}
