//! What the engine steers: a node of the cluster, wherever it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use trunkline_proto::{NodeName, Reason};
use trunkline_reconcile::{Attempt, Dial, Proof};

/// A node whose links the engine keeps as they should be: a BEAM node that we are attached to, or a
/// Rust node of our own.
///
/// The driver calls the methods side by side, one task each; a method that takes long holds up
/// nothing but itself.
pub trait Member: fmt::Debug + Send + Sync + 'static {
    /// Has the member connected to `target`. Preflight first: a dead address must cost a socket of
    /// ours and nothing of the member's.
    fn connect(&self, target: Dial, proof: Proof) -> BoxFuture<'_, Attempt>;

    /// Probes `target` up to its greeting; nothing of it is logged there.
    fn look(&self, target: Dial) -> BoxFuture<'_, Attempt>;

    /// All links that the member has now, hidden ones included.
    fn links(&self) -> BoxFuture<'_, Result<BTreeSet<NodeName>, MemberError>>;

    /// The member leaves the others gently: `global:disconnect/0`. Hidden links stay.
    fn leave(&self) -> BoxFuture<'_, Result<(), MemberError>>;

    /// Asks `peer`, a neighbour of the member, to leave gently.
    fn ask_leave(&self, peer: NodeName) -> BoxFuture<'_, Result<(), MemberError>>;

    /// Cuts the member's link to `peer`.
    fn disconnect(&self, peer: NodeName) -> BoxFuture<'_, Result<(), MemberError>>;

    /// Which of `among`, neighbours of the member, have an agent of ours attached. Who does not
    /// answer is left out.
    fn find_agents(&self, among: Vec<NodeName>) -> BoxFuture<'_, BTreeMap<NodeName, bool>>;
}

/// What happens to a member by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemberEvent {
    /// The member can be steered from now on. Its links are read next.
    Attached {
        /// Its name.
        node: NodeName,
    },
    /// The member is gone, or cannot be reached. Said once for each reason.
    Detached {
        /// Why.
        reason: Reason,
    },
    /// A link came to be.
    LinkUp(NodeName),
    /// A link ended; the member's own word for why.
    LinkDown(NodeName, String),
    /// Links may have come or gone without a word: the whole list is read now.
    LinksUnseen,
    /// Something an operator should know, in the form `what · where · cure`.
    Note(String),
}

/// Where a member says what happens to it.
pub type MemberEvents = mpsc::UnboundedReceiver<MemberEvent>;

/// Why a member did not do as it was told. Nothing of the engine's state changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemberError {
    /// We are not attached to it now.
    #[error("the node is not attached")]
    Detached,
    /// It did not answer, or answered with an error.
    #[error("{0}")]
    Failed(String),
}
