//! What a process has looked at and left.

use std::collections::VecDeque;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

use trunkline_etf::Reference;

use super::Message;
use crate::budget::Charge;

/// What [`Process::recv_matching`](super::Process::recv_matching) has looked at and left, in the order of arrival. Only the process
/// puts something here, and takes it; its end takes all away, whoever holds the handle and never looks again.
#[derive(Default)]
pub(crate) struct Left(Mutex<State>);

#[derive(Default)]
struct State {
    messages: VecDeque<Skipped>,
    /// The process has ended.
    over: bool,
}

/// One of them.
pub(super) struct Skipped {
    pub(super) number: u64,
    /// What it was counted as in the mailbox.
    pub(super) size: usize,
    pub(super) message: Message,
    /// It waits still, for all others too.
    pub(super) _charge: Option<Charge>,
}

/// All of them, until this is dropped: while the process's own code looks at them no lock is held.
pub(super) struct Taken<'a> {
    left: &'a Left,
    messages: VecDeque<Skipped>,
}

impl Left {
    pub(super) fn push(&self, one: Skipped) {
        let mut state = self.state();
        if state.over {
            drop(state);
            return drop(one);
        }
        state.messages.push_back(one);
    }

    pub(super) fn pop(&self) -> Option<Skipped> {
        self.state().messages.pop_front()
    }

    pub(super) fn take(&self) -> Taken<'_> {
        Taken {
            left: self,
            messages: mem::take(&mut self.state().messages),
        }
    }

    /// Forgets the news of this monitor; how many those were, and what they were counted as.
    pub(super) fn forget_down(&self, monitor: &Reference) -> (usize, usize) {
        let (mut count, mut size) = (0, 0);
        self.state().messages.retain(|one| {
            let gone =
                matches!(&one.message, Message::Down { reference, .. } if reference == monitor);
            if gone {
                (count, size) = (count + 1, size + one.size);
            }
            !gone
        });
        (count, size)
    }

    /// The process has ended.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.over = true;
        let gone = mem::take(&mut state.messages);
        drop(state);
        drop(gone);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deref for Taken<'_> {
    type Target = VecDeque<Skipped>;

    fn deref(&self) -> &Self::Target {
        &self.messages
    }
}

impl DerefMut for Taken<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.messages
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut state = self.left.state();
        if !state.over {
            state.messages = mem::take(&mut self.messages);
        }
    }
}
