//! What is known of one peer.

use alloc::collections::BTreeSet;

use trunkline_proto::{Creation, Instant, NodeName, Reason};

use crate::evidence::TopologyId;
use crate::timer::rebased;

/// A peer under the name that it gives itself. Whether it is connected is in the engine's links,
/// when it is tried again in its timers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Peer {
    /// Where it is listed: the topology, and the name that it is listed under there.
    pub(crate) listings: BTreeSet<(TopologyId, NodeName)>,
    /// Failures in a row.
    pub(crate) failures: u32,
    /// Why the last attempt failed.
    pub(crate) reason: Option<Reason>,
    /// The code of the reason that was said, so that it is said once.
    pub(crate) said: Option<&'static str>,
    /// It was connected once: the health gate is behind it.
    pub(crate) ever: bool,
    /// The next full handshake is allowed from here on.
    pub(crate) proof_at: Option<Instant>,
    /// The incarnation that greeted us last.
    pub(crate) creation: Option<Creation>,
    /// It lives and no source lists it any more.
    pub(crate) unlisted: Option<Unlisted>,
}

/// A living peer that no source lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Unlisted {
    /// "Unlisted but connected" was said.
    pub(crate) said: bool,
    /// Its agent, or the lack of one, was looked for.
    pub(crate) asked: bool,
    /// And is still looked for.
    pub(crate) asking: bool,
    /// The source that dropped it lists everybody: absence means that it should leave.
    pub(crate) authoritative: bool,
}

impl Peer {
    /// What happened before no longer counts: something changed.
    pub(crate) fn fresh_start(&mut self) {
        self.failures = 0;
        self.proof_at = None;
    }

    pub(crate) fn rebase(&mut self, origin: Instant) {
        self.proof_at = self.proof_at.map(|at| rebased(at, origin));
    }
}
