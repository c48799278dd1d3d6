//! How a node ends: what runs for it, and how that comes to an end in peace.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use trunkline_proto::NodeName;

use crate::reach::deadline;
use crate::shared::Shared;
use crate::{DownReason, Node};

/// Everything that runs for one node, and what ends it.
#[derive(Clone, Debug)]
pub(crate) struct Lifetime {
    /// Ends everything at once.
    pub(crate) stop: CancellationToken,
    /// Ends what makes new connections: listening, dialling, the registration.
    pub(crate) closing: CancellationToken,
    /// Every task of the node but its processes.
    pub(crate) tasks: TaskTracker,
    /// The tasks of its processes.
    pub(crate) processes: TaskTracker,
}

impl Default for Lifetime {
    fn default() -> Self {
        let stop = CancellationToken::new();
        Self {
            closing: stop.child_token(),
            stop,
            tasks: TaskTracker::new(),
            processes: TaskTracker::new(),
        }
    }
}

impl Lifetime {
    /// Runs `work` until it, or the node, ends.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.run(self.stop.clone(), work);
    }

    /// Runs `work` until it ends, or the node makes no new connections any more.
    pub(crate) fn spawn_opening(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.run(self.closing.clone(), work);
    }

    fn run(&self, end: CancellationToken, work: impl Future<Output = ()> + Send + 'static) {
        let work = end.run_until_cancelled_owned(work);
        self.tasks.spawn(async move {
            work.await;
        });
    }
}

/// How a shutdown went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shutdown {
    /// The connections that were cut at the limit; empty when everything that was sent has left.
    pub cut: Vec<Cut>,
    /// How many processes still run: futures that have not waited since they were to end. Nothing can
    /// end those but themselves.
    pub processes: usize,
}

/// A connection that was cut.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cut {
    /// The node at the other end.
    pub peer: NodeName,
    /// Bytes of messages to it that never left this node. 0: all had left, and it did not hang up.
    pub unsent: usize,
}

impl Shutdown {
    /// Whether everything that was sent has left, every peer has hung up, and no process runs.
    pub fn is_clean(&self) -> bool {
        self.cut.is_empty() && self.processes == 0
    }
}

impl Node {
    /// Ends the node in peace: takes and makes no connections any more, gives its name back to the
    /// port mapper, ends its processes for the reason `shutdown`, lets everything leave that was
    /// sent, and hangs up. Each peer sees one clean end of the connection. At the limit what is still
    /// connected is cut, and the result says so.
    ///
    /// When it returns nothing of the node is left: no task but those that the result names, no port,
    /// no registration. Handles that are left are those of a node without connections. Cancel safe:
    /// what has begun goes to its end, also when a process of this node asked for it.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn shutdown(&self, limit: Duration) -> Shutdown {
        let ending = end(Arc::clone(&self.shared), deadline(limit));
        // It cannot panic; a runtime that ends has ended everything.
        tokio::spawn(ending).await.unwrap_or_default()
    }
}

async fn end(shared: Arc<Shared>, deadline: Instant) -> Shutdown {
    let life = &shared.life;
    life.closing.cancel();
    shared.end_processes();
    life.processes.close();
    let ended = timeout_at(deadline, life.processes.wait()).await;
    for link in shared.links() {
        link.close();
    }
    let over = shared.await_state(deadline, |state| state.links.is_empty());
    over.await;
    let cut = shared.links().into_iter().map(|link| {
        let unsent = link.queued();
        shared.end(&link, DownReason::Disconnected);
        Cut {
            peer: link.info.peer.clone(),
            unsent,
        }
    });
    let cut = cut.collect();
    life.stop.cancel();
    life.tasks.close();
    life.tasks.wait().await;
    Shutdown {
        cut,
        processes: ended.map_or_else(|_| life.processes.len(), |()| 0),
    }
}
