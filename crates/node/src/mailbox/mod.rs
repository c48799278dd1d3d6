//! What waits for a process: messages and signals in the order of arrival, not decoded yet.
//!
//! A [`Queue`] is filled by whoever reads a connection, moved into the process's mailbox with one
//! lock, and moved out again by the process with another. Small messages lie one behind the other in
//! one piece of memory, and the memory goes round: a message costs neither an allocation nor a
//! counter, and does not keep the read buffer that it came in. Larger ones keep their piece of that,
//! where they are a good part of it.
//!
//! What came from another node is charged to it ([`crate::budget`]) until it is taken or dropped.

mod decoded;
mod kept;
mod limit;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use trunkline_etf::{Atom, Pid, RawTerm, Reference, Term};
use trunkline_proto::control::PidOrName;

use self::kept::{FREE, Kept, MOST};
use crate::budget::{Account, Charge};

pub(crate) use decoded::parts;
pub use limit::{MaxMailbox, WhenFull};

/// Payloads below this are copied out of the read buffer: a page of it must not live on for a few
/// bytes.
pub(crate) const SMALL: usize = 4 << 10;

/// From here on the slice is always kept: a read buffer has 256 KiB.
const LARGE: usize = 64 << 10;

/// Between the two it is kept where one read brings so many bytes of them for one mailbox: half of a
/// buffer. A few of them would hold a whole buffer each, while a copy of a few costs little.
const MANY: usize = 128 << 10;

/// What a place in the queue is counted as, beside the bytes of its message.
const PLACE: usize = 32;

/// What else a message takes that lies by itself, not in the queue's own memory.
const APART: usize = 128;

/// What a term of this node is taken for where somebody has to know before he looks at it.
const OWN: usize = 4 << 10;

/// What was taken is paid back in steps of so many bytes.
const STEP: usize = 64 << 10;

/// Messages and signals that wait.
#[derive(Default)]
pub(crate) struct Queue {
    places: VecDeque<Place>,
    /// The small ones, one behind the other, from `at` on.
    small: Vec<u8>,
    at: usize,
    size: usize,
    /// How many of them are this node's own: terms and events, whose memory is not in `size`.
    own: usize,
    /// Bytes of read buffers that were kept since this was empty.
    kept: usize,
    /// For what came from other nodes, in the order in which it came.
    charges: VecDeque<Charge>,
    /// What the last one that was taken owes: it is paid back with the next look, or
    /// [kept](Self::keep).
    due: usize,
    /// So many bytes of them were taken, and are not paid back yet.
    unpaid: usize,
    /// What of its memory is kept while it is empty.
    memory: Kept,
}

/// How many they are, not what.
impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("waiting", &self.len())
            .field("size", &self.size)
            .field("charges", &self.charges)
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
#[derive(Debug)]
pub(crate) enum Body {
    Raw(RawTerm, Charge),
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

    /// An encoded message; [`charge`](Self::charge) has to follow.
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
            _ => {
                self.kept += bytes.len();
                self.place(Place::Large(Box::new(raw)));
            }
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
            Body::Raw(raw, mut charge) => {
                let before = self.size;
                self.push_raw(raw);
                charge.resize(self.size - before);
                self.owe(charge);
            }
            Body::Term(term) => self.push_local(term),
        }
    }

    pub(crate) fn push_event(&mut self, event: Event) {
        self.place(Place::Event(Box::new(event)));
    }

    fn place(&mut self, place: Place) {
        self.size += place.size();
        self.own += usize::from(place.is_own());
        self.places.push_back(place);
    }

    /// All that it holds, of one read and one node, is charged to that. What is too little to keep a
    /// read buffer for is copied before.
    pub(crate) fn charge(&mut self, account: &Arc<Account>) {
        own_few(self.places.iter_mut(), self.kept);
        self.charges.clear();
        self.charges.push_back(account.charge(self.size));
    }

    fn owe(&mut self, charge: Charge) {
        let rest = match self.charges.back_mut() {
            Some(last) => last.join(charge).err(),
            None => Some(charge),
        };
        self.charges.extend(rest);
    }

    /// So many bytes were taken.
    fn pay(&mut self, bytes: usize) {
        self.unpaid += bytes;
        if self.unpaid >= STEP || self.places.is_empty() {
            self.pay_all();
        }
    }

    fn pay_all(&mut self) {
        while let Some(first) = self.charges.front_mut().filter(|_| self.unpaid > 0) {
            let paid = self.unpaid.min(first.bytes());
            self.unpaid -= paid;
            first.resize(first.bytes() - paid);
            if first.bytes() == 0 {
                self.charges.pop_front();
            }
        }
    }

    /// What was taken last is received: it is no charge of its node any more.
    pub(crate) fn settle(&mut self) {
        let due = mem::take(&mut self.due);
        if due > 0 || self.places.is_empty() {
            self.pay(due);
        }
    }

    /// The charge of what was taken last, which is kept unreceived. `None` where it has none, or was
    /// [settled](Self::settle).
    pub(crate) fn keep(&mut self) -> Option<Charge> {
        let due = mem::take(&mut self.due);
        // What went before it comes first.
        self.pay_all();
        if due > 0 { self.take_charge(due) } else { None }
    }

    /// What the first bytes were charged with, of one node.
    fn take_charge(&mut self, bytes: usize) -> Option<Charge> {
        let first = self.charges.front_mut()?;
        let charge = first.split(bytes);
        if first.bytes() == 0 {
            self.charges.pop_front();
        }
        Some(charge)
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
        (self.size, self.own) = (self.size + other.size, self.own + other.own);
        while let Some(charge) = other.charges.pop_front() {
            self.owe(charge);
        }
        other.clear();
    }

    /// Moves what waits first into another queue, which is empty: as many as have `bytes` together, and one at the least.
    pub(crate) fn refill(&mut self, into: &mut Self, bytes: usize) {
        if self.size + self.own * OWN <= bytes {
            return mem::swap(self, into);
        }
        let (mut count, mut size, mut own, mut small, mut owed, mut left) = (0, 0, 0, 0, 0, bytes);
        for place in &self.places {
            let (is_own, counted) = (usize::from(place.is_own()), place.size());
            match left.checked_sub(counted + is_own * OWN) {
                Some(rest) => left = rest,
                None if count > 0 => break,
                None => left = 0,
            }
            (count, size, own) = (count + 1, size + counted, own + is_own);
            owed += place.owed();
            if let Place::Small(length) | Place::WithAtoms(length, _) = place {
                small += *length as usize;
            }
        }
        into.places.extend(self.places.drain(..count));
        let behind = self.at + small;
        let bytes = self.small.get(self.at..behind).unwrap_or_default();
        into.small.extend_from_slice(bytes);
        self.at = behind;
        (self.size, self.own) = (self.size - size, self.own - own);
        (into.size, into.own) = (into.size + size, into.own + own);
        while owed > 0
            && let Some(charge) = self.take_charge(owed)
        {
            owed -= charge.bytes();
            into.owe(charge);
        }
        // Each byte is moved once at the most before it is taken.
        if self.at >= self.small.len() / 2 {
            self.small.drain(..self.at);
            self.at = 0;
        }
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
        (self.size, self.own) = (self.size - place.size(), self.own - 1);
        // Perhaps nothing is left that would have it paid.
        self.pay(place.owed());
        Some(at)
    }

    /// Moves as many of another queue as fit behind this one, and drops the rest; how many those
    /// were. Events always fit. What fits may be too little to keep a read buffer for, though all of it
    /// was not.
    pub(crate) fn append_some(&mut self, other: &mut Self, messages: usize, bytes: usize) -> u64 {
        let (mut left, mut left_bytes, mut dropped) = (messages, bytes, 0);
        let (before, mut kept) = (self.places.len(), 0);
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
            let stays = fits || matches!(place, Place::Event(_));
            let mut owed = place.owed();
            while owed > 0
                && let Some(charge) = other.take_charge(owed)
            {
                owed -= charge.bytes();
                if stays {
                    self.owe(charge);
                }
            }
            if !stays {
                dropped += 1;
                continue;
            }
            if let Place::Large(raw) = &place {
                kept += raw.bytes().len();
            }
            self.place(place);
        }
        other.clear();
        own_few(self.places.range_mut(before..), kept);
        dropped
    }

    /// The next one. [`settle`](Self::settle) it, or [`keep`](Self::keep) its charge.
    pub(crate) fn pop(&mut self) -> Option<Incoming<'_>> {
        self.settle();
        let place = self.places.pop_front()?;
        self.size -= place.size();
        self.own -= usize::from(place.is_own());
        self.due = place.owed();
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

    /// Gives all back; memory of one read stays, as far as not too many keep some.
    pub(crate) fn clear(&mut self) {
        self.places.clear();
        self.small.clear();
        self.charges.clear();
        (self.at, self.size, self.own, self.kept) = (0, 0, 0, 0);
        (self.due, self.unpaid) = (0, 0);
        let memory = self.memory();
        if memory > FREE && !self.memory.is(memory) {
            self.count_memory();
        }
    }

    fn memory(&self) -> usize {
        self.small.capacity() + self.places.capacity() * size_of::<Place>()
    }

    /// Its memory is more, or less, than when it was empty last.
    #[cold]
    fn count_memory(&mut self) {
        if self.small.capacity() > MOST {
            self.small = Vec::new();
        }
        if self.places.capacity() * size_of::<Place>() > MOST {
            self.places = VecDeque::new();
        }
        let memory = self.memory();
        if !self.memory.set(memory) {
            (self.small, self.places) = (Vec::new(), VecDeque::new());
        }
    }
}

impl Place {
    fn size(&self) -> usize {
        match self {
            Self::Small(length) => PLACE + *length as usize,
            Self::WithAtoms(length, atoms) => PLACE + *length as usize + size_of_atoms(atoms),
            Self::Large(raw) => PLACE + size_of_raw(raw),
            Self::Local(_) | Self::Event(_) => PLACE,
        }
    }

    /// Whether its memory is not in its size.
    const fn is_own(&self) -> bool {
        matches!(self, Self::Local(_) | Self::Event(_))
    }

    /// What the charges of the queue have for it. The reason in an event has its own.
    fn owed(&self) -> usize {
        match self {
            Self::Local(_) | Self::Event(_) => 0,
            _ => self.size(),
        }
    }
}

/// A term that lies by itself.
fn size_of_raw(raw: &RawTerm) -> usize {
    APART + raw.bytes().len() + size_of_atoms(raw.atoms())
}

/// What the atoms of a frame take if nobody else has them: the peer may send others with each message.
fn size_of_atoms(atoms: &[Atom]) -> usize {
    let texts: usize = atoms.iter().map(|atom| atom.as_str().len()).sum();
    size_of_val(atoms) + texts
}

/// Copies what has come in one read out of the read buffer, where it is too little to keep that for: `kept`
/// bytes of messages that lie by themselves.
fn own_few<'a>(places: impl Iterator<Item = &'a mut Place>, kept: usize) {
    if !(1..MANY).contains(&kept) {
        return;
    }
    for place in places {
        if let Place::Large(raw) = place {
            own(raw);
        }
    }
}

/// Copies a term out of the read buffer, unless it is a good part of that.
fn own(raw: &mut RawTerm) {
    if raw.bytes().len() < LARGE {
        let bytes = Bytes::copy_from_slice(raw.bytes());
        *raw = if raw.atoms().is_empty() {
            RawTerm::new(bytes)
        } else {
            RawTerm::with_atoms(bytes, mem::take(raw).into_parts().1)
        };
    }
}

impl Body {
    /// A term that came from another node, and does not go where many of its kind go.
    pub(crate) fn came(mut raw: RawTerm, account: &Arc<Account>) -> Self {
        own(&mut raw);
        let charge = account.charge(PLACE + size_of_raw(&raw));
        Self::Raw(raw, charge)
    }

    /// The same of one that lies in somebody else's memory, and refers to no atoms of a frame.
    pub(crate) fn copied(raw: &[u8], account: &Arc<Account>) -> Self {
        let raw = RawTerm::new(Bytes::copy_from_slice(raw));
        let charge = account.charge(PLACE + size_of_raw(&raw));
        Self::Raw(raw, charge)
    }
}

impl Event {
    /// The charge of the reason in it, where that came from another node.
    pub(crate) fn take_charge(&mut self) -> Option<Charge> {
        let (Self::Exit { reason, .. } | Self::Down { reason, .. }) = self else {
            return None;
        };
        match reason {
            Body::Raw(_, charge) => Some(charge.split(usize::MAX)),
            Body::Term(_) => None,
        }
    }
}

impl From<Term> for Body {
    fn from(term: Term) -> Self {
        Self::Term(term)
    }
}
