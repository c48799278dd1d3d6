//! All timers in one enum and one table.

use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;

use trunkline_proto::{Instant, NodeName};

use crate::evidence::TopologyId;

/// What is due.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Timer {
    /// The whole list of links is compared with what should be.
    Audit,
    /// This peer may be dialled again.
    Attempt(NodeName),
    /// This peer, whose handshake fails, is looked at: was it restarted?
    Look(NodeName),
    /// This listed node called itself by the name of another listed one: does it still?
    Verify(TopologyId, NodeName),
    /// The health of this peer (as listed) in this topology is checked.
    Check(TopologyId, NodeName),
    /// A grace or a removal step of this topology ends.
    Removal(TopologyId),
    /// This living peer had its time to leave by itself.
    Unlisted(NodeName),
}

/// At most one deadline per timer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Timers {
    by_time: BTreeSet<(Instant, Timer)>,
    by_timer: BTreeMap<Timer, Instant>,
}

impl Timers {
    pub(crate) fn set(&mut self, timer: Timer, at: Instant) {
        if let Some(old) = self.by_timer.insert(timer.clone(), at) {
            self.by_time.remove(&(old, timer.clone()));
        }
        self.by_time.insert((at, timer));
    }

    pub(crate) fn cancel(&mut self, timer: &Timer) {
        if let Some(at) = self.by_timer.remove(timer) {
            self.by_time.remove(&(at, timer.clone()));
        }
    }

    pub(crate) fn get(&self, timer: &Timer) -> Option<Instant> {
        self.by_timer.get(timer).copied()
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes the earliest timer that is due.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        let (_, timer) = self.by_time.pop_first()?;
        self.by_timer.remove(&timer);
        Some(timer)
    }

    /// Counts every deadline from `origin`.
    pub(crate) fn rebase(&mut self, origin: Instant) {
        for at in self.by_timer.values_mut() {
            *at = rebased(*at, origin);
        }
        self.by_time = (self.by_timer.iter())
            .map(|(timer, at)| (*at, timer.clone()))
            .collect();
    }
}

/// `at`, counted from `origin`; the past is zero.
pub(crate) fn rebased(at: Instant, origin: Instant) -> Instant {
    let since: Duration = at.saturating_since(origin);
    Instant::at(since)
}
