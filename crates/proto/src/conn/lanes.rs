//! Messages that wait behind a large one of the same sender, and the turns that senders take.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use bytes::{BufMut, Bytes};
use trunkline_etf::Pid;

use super::chunks::Mark;
use super::fragments::FragmentId;
use super::frame::{FIRST_FRAGMENT, HEADER, NEXT_FRAGMENT, VERSION};
use super::own_atoms::{Entry, OwnAtoms};
use super::ready::Ready;

/// Senders with a large message under way. Each has at most one open at the peer; what it sends
/// afterwards waits behind it.
#[derive(Default)]
pub(super) struct Lanes {
    by_sender: BTreeMap<Option<Pid>, Lane>,
    /// Who is next.
    turns: VecDeque<Option<Pid>>,
    /// Bytes that wait in all lanes, headers left out.
    pub(super) bytes: usize,
    /// So many of them were sent by those who do not wait for room.
    pub(super) forced: usize,
    /// Numbers of cut messages; any that is not in use will do.
    sequence: u64,
}

#[derive(Default)]
struct Lane {
    messages: VecDeque<Waiting>,
    /// What the sender may still move in this turn; below zero when it moved more.
    credit: i64,
    /// Bytes in `messages`.
    bytes: usize,
}

/// A message that is not in the queue yet, or only some of it.
pub(super) struct Waiting {
    /// What its header refers to. Slots are chosen when the header is written.
    pub(super) atoms: Vec<Entry>,
    /// What is left of control message and payload.
    pub(super) parts: VecDeque<Bytes>,
    /// Bytes in `parts`.
    pub(super) len: usize,
    /// Bytes of the control message, which is never cut.
    pub(super) control: usize,
    /// Present when it goes in fragments.
    pub(super) cut: Option<FragmentId>,
    /// Bytes of payload in each of these.
    pub(super) piece: usize,
    /// Its sender did not wait for room.
    pub(super) forced: bool,
}

impl Lanes {
    pub(super) fn is_empty(&self) -> bool {
        self.by_sender.is_empty()
    }

    pub(super) fn has(&self, sender: Option<&Pid>) -> bool {
        !self.is_empty() && self.by_sender.contains_key(&sender.cloned())
    }

    /// Bytes of a sender that wait.
    pub(super) fn waiting(&self, sender: Option<&Pid>) -> usize {
        let lane = self.by_sender.get(&sender.cloned());
        lane.map_or(0, |lane| lane.bytes)
    }

    /// A number for a message that is cut: no other one has it while it is under way.
    pub(super) fn sequence(&mut self) -> u64 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    /// The message waits behind those of its sender.
    pub(super) fn push(&mut self, sender: Option<&Pid>, message: Waiting) {
        self.bytes = self.bytes.saturating_add(message.len);
        if message.forced {
            self.forced = self.forced.saturating_add(message.len);
        }
        let key = sender.cloned();
        if !self.by_sender.contains_key(&key) {
            self.turns.push_back(key.clone());
        }
        let lane = self.by_sender.entry(key).or_default();
        lane.bytes = lane.bytes.saturating_add(message.len);
        lane.messages.push_back(message);
    }

    /// Moves one frame of whose turn it is; a turn is worth `piece` bytes. How many bytes; `None` when nothing waits.
    pub(super) fn advance(
        &mut self,
        piece: usize,
        atoms: &mut OwnAtoms,
        ready: &mut Ready,
    ) -> Option<usize> {
        let key = self.turns.front()?;
        let Some(lane) = self.by_sender.get_mut(key) else {
            self.turns.pop_front();
            return Some(0);
        };
        let mut moved = 0;
        if lane.credit <= 0 {
            lane.credit = lane.credit.saturating_add(signed(piece));
        }
        if lane.credit > 0
            && let Some(open) = lane.messages.front_mut()
        {
            let before = open.len;
            open.next_frame(atoms, ready);
            let left = open.len;
            moved = before.saturating_sub(left);
            if open.forced {
                self.forced = self.forced.saturating_sub(moved);
                ready.forced = ready.forced.saturating_add(moved);
            }
            self.bytes = self.bytes.saturating_sub(moved);
            lane.bytes = lane.bytes.saturating_sub(moved);
            lane.credit = lane.credit.saturating_sub(signed(moved));
            if left == 0 {
                lane.messages.pop_front();
            }
        }
        if lane.messages.is_empty() {
            self.by_sender.remove(key);
            self.turns.pop_front();
        } else if lane.credit <= 0 {
            self.turns.rotate_left(1);
        }
        Some(moved)
    }
}

impl Waiting {
    /// Moves the next frame: the whole message, or the next of its fragments.
    fn next_frame(&mut self, atoms: &mut OwnAtoms, ready: &mut Ready) {
        let Some(id) = self.cut else {
            let mark = ready.begin_with(|out| {
                out.put_slice(&[VERSION, HEADER]);
                atoms.header(&self.atoms, out);
            });
            return self.move_parts(self.len, mark, ready);
        };
        // The control message goes with the first piece; header and control message are never cut.
        let len = self.piece.saturating_add(self.control).min(self.len);
        let first = self.control > 0;
        let mark = ready.begin_with(|out| {
            out.put_slice(&[VERSION, if first { FIRST_FRAGMENT } else { NEXT_FRAGMENT }]);
            out.put_u64(id.sequence);
            out.put_u64(id.fragment);
            if first {
                atoms.header(&self.atoms, out);
            }
        });
        self.control = 0;
        self.cut = Some(FragmentId {
            fragment: id.fragment.saturating_sub(1),
            ..id
        });
        self.move_parts(len, mark, ready);
    }

    /// Moves so many bytes to the frame that began at `mark`; nothing is copied but what is small.
    fn move_parts(&mut self, len: usize, mark: Mark, ready: &mut Ready) {
        let mut left = len;
        while let Some(part) = self.parts.front_mut().filter(|_| left > 0) {
            let taken = left.min(part.len());
            left = left.saturating_sub(taken);
            if taken == part.len() {
                ready.chunks.share(core::mem::take(part));
                self.parts.pop_front();
            } else {
                ready.chunks.share(part.split_to(taken));
            }
        }
        self.len = self.len.saturating_sub(len);
        // That a frame holds it was checked before it came to wait.
        let whole = ready.end(mark);
        debug_assert!(whole.is_ok());
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
