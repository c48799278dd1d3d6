//! Where the answer to a call is waited for: not in a mailbox, which somebody would have to search.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use trunkline_etf::{Atom, Pid, Reference};

use crate::mailbox::Body;
use crate::process::Then;
use crate::process::table::{Processes, Via};

/// What comes for a call.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A message by way of the alias.
    Message(Body),
    /// Who was to answer has ended, or is not there.
    Down(Body),
    /// What a request to spawn came to.
    Spawned(Result<Pid, Atom>),
}

/// Waits for what comes for one reference.
pub(crate) struct Slot {
    /// Who is to answer lives there.
    pub(crate) node: Atom,
    /// Who asks.
    pub(crate) owner: Pid,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    answers: VecDeque<Answer>,
    waker: Option<Waker>,
}

/// Who waits for whom, not what came.
impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("node", &self.node)
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

impl Slot {
    pub(crate) fn put(&self, answer: Answer, then: &mut Then) {
        let mut state = self.state();
        state.answers.push_back(answer);
        then.wake(state.waker.take());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one who waits. When it is dropped, what still comes finds nobody and vanishes.
#[derive(Debug)]
pub(crate) struct Waiting<'a> {
    processes: &'a Processes,
    pub(crate) reference: Reference,
    slot: Arc<Slot>,
}

impl<'a> Waiting<'a> {
    pub(crate) fn new(processes: &'a Processes, owner: Pid, node: Atom) -> Self {
        let reference = processes.reference();
        let slot = Arc::new(Slot {
            node,
            owner,
            state: Mutex::default(),
        });
        processes.route(&reference, Via::Slot(Arc::clone(&slot)));
        Self {
            processes,
            reference,
            slot,
        }
    }

    /// What comes next. Cancel safe.
    pub(crate) async fn next(&self) -> Answer {
        std::future::poll_fn(|cx| {
            let mut state = self.slot.state();
            match state.answers.pop_front() {
                Some(answer) => Poll::Ready(answer),
                None => {
                    state.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.processes.unroute(&self.reference);
    }
}

#[cfg(test)]
mod tests {
    use trunkline_etf::{Term, atom};

    use super::*;

    #[test]
    fn an_answer_is_not_shown() {
        let pid = Pid {
            node: atom!("a@h"),
            id: 1,
            serial: 0,
            creation: 1,
        };
        let slot = Slot {
            node: atom!("b@h"),
            owner: pid,
            state: Mutex::default(),
        };
        let answer = Answer::Message(Term::atom("xyzzy").into());
        slot.put(answer, &mut Then::default());
        let shown = format!("{slot:?}");
        assert!(shown.contains("b@h") && !shown.contains("xyzzy"), "{shown}");
    }
}
