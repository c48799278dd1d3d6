//! What a process has taken out of its mailbox.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::LazyLock;

use trunkline_etf::{DecodeError, Limits, Reference, Term};

use super::Message;
use super::left::Left;
use crate::budget::Charge;
use crate::mailbox::{Incoming, Queue};

/// So many messages are taken before the other tasks of the thread have a turn.
const TURN: u32 = 4096;

/// So many bytes are taken out of a mailbox at a time, or one message: what one read brings. What is behind them stays where the end of
/// the process finds it.
const CHUNK: usize = 256 << 10;

/// What one message may become.
static LIMITS: LazyLock<Limits> = LazyLock::new(Limits::default);

/// What a process has taken out of its mailbox: nobody else looks at it, so it needs no lock.
#[derive(Default)]
pub(super) struct Received {
    /// How many it has [left](super::left::Left), and what those were counted as.
    pub(super) left: usize,
    pub(super) left_bytes: usize,
    /// Taken out together, [`CHUNK`] at most: the end of the process does not reach it.
    pub(super) queue: Queue,
    /// The number of what comes out of the queue next.
    next: u64,
    /// The number of what came out last, and what it was counted as.
    pub(super) last: (u64, usize),
    /// Numbers from `next` on of what was taken out of its place in between: ascending, with something
    /// that waits between each two. Nothing else gets them, because marks count them.
    gone: VecDeque<Range<u64>>,
    /// The charge of what came out last, where it came as more than a message.
    apart: Option<Charge>,
    /// Since when others had no turn.
    pub(super) turn: u32,
}

impl Received {
    /// What comes next, to be [settled](Self::settle) or [kept](Self::keep).
    #[inline]
    pub(super) fn take(&mut self) -> Option<Result<Message, DecodeError>> {
        self.settle();
        let before = self.queue.size();
        let message = match self.queue.pop()? {
            Incoming::Small(bytes, atoms) => {
                let atoms = atoms.as_deref().unwrap_or_default();
                Term::decode_lent(bytes, atoms, &LIMITS).map(Message::Term)
            }
            Incoming::Large(raw) => raw.decode(&LIMITS).map(Message::Term),
            Incoming::Local(term) => Ok(Message::Term(term)),
            Incoming::Event(mut event) => {
                self.apart = event.take_charge();
                Ok((*event).into())
            }
        };
        let size = before - self.queue.size();
        let number = self.number(0);
        self.last = (number, size);
        self.next = number + 1;
        let passed = |gone: &Range<u64>| gone.end < self.next;
        if self.gone.front().is_some_and(passed) {
            self.gone.pop_front();
        }
        Some(message)
    }

    /// What came out last is received.
    #[inline]
    pub(super) fn settle(&mut self) {
        self.apart = None;
        self.queue.settle();
        if self.queue.is_empty() {
            self.queue.clear();
        }
    }

    /// What came out last waits on, here: its charge.
    #[inline]
    pub(super) fn keep(&mut self) -> Option<Charge> {
        let charge = self.apart.take().or_else(|| self.queue.keep());
        self.settle();
        charge
    }

    /// The number that a message has, or gets, which comes out of the queue behind so many others.
    #[inline]
    pub(super) fn number(&self, before: usize) -> u64 {
        let mut number = self.next + before as u64;
        for gone in &self.gone {
            if gone.start > number {
                break;
            }
            number += gone.end - gone.start;
        }
        number
    }

    fn is_gone(&mut self, number: u64) {
        let place = self.gone.partition_point(|gone| gone.end < number);
        match self.gone.get_mut(place) {
            Some(gone) if gone.end == number => gone.end += 1,
            Some(gone) if gone.start == number + 1 => gone.start = number,
            _ => return self.gone.insert(place, number..number + 1),
        }
        // What was between two of them may be what has gone.
        let after = self.gone.get(place + 1).cloned();
        if let (Some(gone), Some(after)) = (self.gone.get_mut(place), after)
            && gone.end == after.start
        {
            gone.end = after.end;
            self.gone.remove(place + 1);
        }
    }

    /// Takes what waits first out of a mailbox.
    #[inline]
    pub(super) fn refill(&mut self, mailbox: &mut Queue) {
        mailbox.refill(&mut self.queue, CHUNK);
        let came = u32::try_from(self.queue.len()).unwrap_or(TURN);
        self.turn = self.turn.saturating_add(came);
    }

    /// Whether the other tasks of the thread are to have a turn first.
    #[inline]
    pub(super) const fn has_had_its_turn(&self) -> bool {
        self.turn >= TURN
    }

    /// Forgets the news of this monitor, which may wait in the mailbox, here, or among what was
    /// looked at.
    pub(super) fn forget_down(&mut self, monitor: &Reference, left: &Left, mailbox: &mut Queue) {
        if self.left > 0 {
            let (count, bytes) = left.forget_down(monitor);
            self.left -= count;
            self.left_bytes -= bytes;
        }
        let here = self.queue.len();
        let at = self.queue.forget_down(monitor);
        let at = at.or_else(|| Some(here + mailbox.forget_down(monitor)?));
        if let Some(at) = at {
            let number = self.number(at);
            self.is_gone(number);
        }
    }
}
