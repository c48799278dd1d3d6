//! What is left to do when a lock is given back.

use std::sync::MutexGuard;
use std::task::Waker;

use trunkline_etf::{Atom, Pid, Reference, Term};
use trunkline_proto::control::Control;

use super::state::State;

/// What a change of one process makes necessary elsewhere.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// A signal to a process of this node or another.
    Signal(Atom, Control),
    /// The same, of a process that the signal does not name: it comes behind what that one sent before.
    Of(Pid, Atom, Control),
    /// A process that no task runs ends.
    Ended(Pid, Term),
    /// An alias ended with its monitor.
    AliasEnded(Reference),
}

/// All that changes make necessary: signals, which [`Shared::settle`](crate::shared::Shared::settle)
/// sends, and wakes. A waker may be anybody's code and do anything on the spot: none is woken before
/// the last lock is given back.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Then {
    pub(crate) signals: Vec<Outgoing>,
    /// As a rule there is one, which needs no memory of its own.
    first: Option<Waker>,
    wakers: Vec<Waker>,
}

impl Then {
    pub(crate) fn push(&mut self, signal: Outgoing) {
        self.signals.push(signal);
    }

    /// Somebody is to be woken, if somebody waits.
    pub(crate) fn wake(&mut self, waker: Option<Waker>) {
        let Some(waker) = waker else {
            return;
        };
        match &self.first {
            None => self.first = Some(waker),
            Some(_) => self.wakers.push(waker),
        }
    }

    /// Something came for a process: it is to be woken if it waits.
    pub(crate) fn wakes(&mut self, mut state: MutexGuard<'_, State>) {
        self.wake(state.waker.take());
    }

    /// Wakes them. No lock is held.
    pub(crate) fn wake_all(&mut self) {
        if let Some(first) = self.first.take() {
            first.wake();
        }
        for waker in std::mem::take(&mut self.wakers) {
            waker.wake();
        }
    }
}

impl Extend<Outgoing> for Then {
    fn extend<T: IntoIterator<Item = Outgoing>>(&mut self, signals: T) {
        self.signals.extend(signals);
    }
}

impl From<Outgoing> for Then {
    fn from(signal: Outgoing) -> Self {
        Self {
            signals: vec![signal],
            ..Self::default()
        }
    }
}
