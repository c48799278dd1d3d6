//! What is left to do when a lock is given back.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::MutexGuard;
use std::task::Waker;
use std::{iter, mem};

use trunkline_etf::{Atom, Pid, Reference};
use trunkline_proto::control::Control;

use super::state::State;
use crate::shutdown::guarded;

/// What a change of one process makes necessary elsewhere.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// A signal to a process of this node or another.
    Signal(Atom, Control),
    /// The same, of a process that the signal does not name: it comes behind what that one sent before.
    Of(Pid, Atom, Control),
    /// A process that no task runs ends, for the reason that it is to end for.
    Ended(Pid),
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
    ///
    /// # Panics
    /// When a waker does; the others are woken all the same, since nobody would do it later.
    pub(crate) fn wake_all(&mut self) {
        let Some(first) = self.first.take() else {
            return;
        };
        if self.wakers.is_empty() {
            return first.wake();
        }
        let mut panic = None;
        for waker in iter::once(first).chain(mem::take(&mut self.wakers)) {
            let woken = catch_unwind(AssertUnwindSafe(|| waker.wake()));
            panic = panic.or_else(|| woken.err());
        }
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }
}

impl Then {
    /// Wakes them, where nothing is known of whose wakers they are and somebody else's work goes on: one
    /// that panics is said in the log.
    pub(crate) fn wake_guarded(mut self) {
        if self.first.is_some() {
            guarded(|| self.wake_all());
        }
    }
}

/// Who was to be woken is, though something panicked before it came to that: nobody else would do it later.
impl Drop for Then {
    fn drop(&mut self) {
        if self.first.is_some() && std::thread::panicking() {
            guarded(|| self.wake_all());
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
        let mut then = Self::default();
        then.push(signal);
        then
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    struct Counts(AtomicUsize);

    impl Wake for Counts {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    struct Panics;

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("somebody's waker");
        }
    }

    #[test]
    fn nobody_sleeps_on_because_of_anothers_waker() {
        let woken = Arc::new(Counts(AtomicUsize::new(0)));
        let mut then = Then::default();
        then.wake(Some(Arc::new(Panics).into()));
        then.wake(Some(Arc::clone(&woken).into()));
        then.wake(Some(Arc::new(Panics).into()));
        then.wake(Some(Arc::clone(&woken).into()));
        let panicked = catch_unwind(AssertUnwindSafe(|| then.wake_all()));
        panicked.expect_err("it is said");
        assert_eq!(woken.0.load(Ordering::Relaxed), 2);
        then.wake_all();
    }
}
