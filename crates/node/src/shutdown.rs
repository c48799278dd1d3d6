//! How a node ends in peace.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};
use trunkline_etf::Pid;
use trunkline_proto::NodeName;

use crate::link::Link;
use crate::reach::deadline;
use crate::shared::Shared;
use crate::{DownReason, Node};

/// So long after the limit all of the node may take to end. It does so sooner where nothing keeps it but tasks: what does is a waker that
/// does not return, and there is no hurry for that. Much longer than [`GRACE_OF_TASKS`], so that a machine that stands still for a
/// moment does not look like one.
const GRACE: Duration = Duration::from_secs(4);

/// So long the node's tasks may take when they were told to end. They do so at once where nothing keeps them: a
/// [`Resolve`](crate::Resolve) that blocks its thread does.
const GRACE_OF_TASKS: Duration = Duration::from_millis(700);

/// What is waited for has so much more when the time is up: where the whole program stood still meanwhile, it had no turn.
const LAST_LOOK: Duration = Duration::from_millis(200);

/// How a shutdown went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shutdown {
    /// The connections that were cut at the limit, and those that were lost before all had left; empty when
    /// everything that was sent by a connection has left.
    pub cut: Vec<Cut>,
    /// The nodes to which a connection was being made for the sake of signals (links, monitors, exits) that are lost with it.
    /// Messages are not among them: their senders wait, and hear of it.
    pub unreached: Vec<Unreached>,
    /// The processes that still run: their futures have not waited since they were to end. Nothing can
    /// end those but themselves.
    pub processes: Vec<Pid>,
    /// What else still runs, in words (`dialling app@10.0.0.1`): code of others that it calls does not
    /// return.
    pub tasks: Vec<String>,
}

/// A connection that was cut, or lost while something waited.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cut {
    /// The node at the other end.
    pub peer: NodeName,
    /// Bytes of messages to it that never left this node. 0: all had left, and it did not hang up.
    pub unsent: usize,
}

/// A node to which no connection has come about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unreached {
    /// Which node.
    pub peer: NodeName,
    /// How many signals waited for it.
    pub signals: usize,
}

impl Shutdown {
    /// Whether everything that was sent by a connection has left, every peer has hung up, and nothing runs any more.
    pub fn is_clean(&self) -> bool {
        self.cut.is_empty() && self.processes.is_empty() && self.tasks.is_empty()
    }
}

impl Node {
    /// Ends the node in peace: takes and makes no connections any more, gives its name back to the
    /// port mapper, ends its processes for the reason `shutdown`, lets everything leave that was
    /// sent, and hangs up; at half the limit also when a process has not ended yet. Each peer sees one clean end of the
    /// connection. At the limit what is still connected is cut, and the result says so; it is there about 1 s later, or, where a waker does not
    /// return, 4 s. What has not ended by
    /// then is named in the result and in the log.
    ///
    /// When it returns nothing of the node is left: no task but those that the result names, no port,
    /// no registration. Handles that are left are those of a node without connections. Cancel safe:
    /// what has begun goes to its end, also when a process of this node asked for it.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn shutdown(&self, limit: Duration) -> Shutdown {
        let limit = deadline(limit);
        let ending = tokio::spawn(end(Arc::clone(&self.shared), limit));
        match within(limit + GRACE, ending).await {
            Some(Ok(shutdown)) => shutdown,
            // It is in the hands of a waker that does not return, or the runtime ended under it.
            Some(Err(_)) | None => self.shared.unended(),
        }
    }
}

async fn end(shared: Arc<Shared>, limit: Instant) -> Shutdown {
    let life = &shared.life;
    life.closing.cancel();
    // A connection that is lost from now on, and what it did not send, is a part of how this went.
    let mut links = shared.links();
    // Everybody has heard of it when a waker has panicked; the rest is still to do.
    guarded(|| shared.end_processes());
    life.processes.close();
    // One that never waits leaves time to what the others have sent.
    let half = Instant::now() + limit.saturating_duration_since(Instant::now()) / 2;
    let have_ended = timeout_at(half, life.processes.wait()).await.is_ok();
    for link in shared.links() {
        link.close();
        // One that was about to be made when the others were looked at.
        if !links.iter().any(|known| Arc::ptr_eq(known, &link)) {
            links.push(link);
        }
    }
    let over = shared.await_state(limit, |state| state.links.is_empty());
    over.await;
    if !have_ended {
        let _in_time = timeout_at(limit, life.processes.wait()).await.is_ok();
    }
    let late = shared.links();
    for link in &late {
        guarded(|| shared.end(link, DownReason::Disconnected));
    }
    guarded(|| life.stop.cancel());
    life.tasks.close();
    let ended = within(Instant::now() + GRACE_OF_TASKS, life.tasks.wait()).await;
    // Only now is it known: what writes has ended.
    let is_late = |link: &Arc<Link>| late.iter().any(|late| Arc::ptr_eq(late, link));
    links.retain(|link| is_late(link) || link.unsent() > 0);
    let processes = shared.processes.tasks();
    let mut tasks = ended.map_or_else(|| life.unfinished(), |()| Vec::new());
    if processes.is_empty() && !life.processes.is_empty() {
        tasks.push("a process that is about to end".to_owned());
    }
    let shutdown = Shutdown {
        cut: links.iter().map(|link| Cut::new(link)).collect(),
        unreached: shared.unreached(),
        processes,
        tasks,
    };
    shared.name(&shutdown);
    shutdown
}

/// Waits until then, and for a [`LAST_LOOK`].
async fn within<F: Future>(end: Instant, awaited: F) -> Option<F::Output> {
    let mut awaited = pin!(awaited);
    match timeout_at(end, &mut awaited).await {
        Ok(came) => Some(came),
        Err(_) => timeout(LAST_LOOK, awaited).await.ok(),
    }
}

/// Calls what may call somebody's waker; whether that did not panic.
pub(crate) fn guarded(call: impl FnOnce()) -> bool {
    let called = catch_unwind(AssertUnwindSafe(call)).is_ok();
    if !called {
        tracing::error!(
            "a waker panicked · look at what waits for the node, or for its connections"
        );
    }
    called
}

impl Cut {
    fn new(link: &Link) -> Self {
        Self {
            peer: link.info.peer.clone(),
            unsent: link.unsent(),
        }
    }
}

impl Shared {
    /// What there is when the time is up and the end has not come. Everything else is told to stop.
    fn unended(self: &Arc<Self>) -> Shutdown {
        let cut = self.links().into_iter();
        let cut = cut.map(|link| Cut::new(&link)).collect();
        let mut tasks = self.life.unfinished();
        tasks.push("the end of the node".to_owned());
        let shutdown = Shutdown {
            cut,
            unreached: self.unreached(),
            processes: self.processes.tasks(),
            tasks,
        };
        // A waker may keep this thread too.
        let shared = Arc::clone(self);
        self.runtime.spawn(async move {
            guarded(|| shared.life.stop.cancel());
            shared.end_all();
        });
        self.name(&shutdown);
        shutdown
    }

    fn unreached(&self) -> Vec<Unreached> {
        let lost = self.unsent.lost().into_iter();
        lost.map(|(peer, signals)| Unreached { peer, signals })
            .collect()
    }

    /// Says what has not ended, and what never left.
    fn name(&self, shutdown: &Shutdown) {
        for Unreached { peer, signals } in &shutdown.unreached {
            tracing::warn!(
                "the node has ended, and signals of its processes never left · {signals} to {peer} · it was not connected \
                 yet: connect first, or wait for what is to be heard of it"
            );
        }
        for pid in &shutdown.processes {
            let name = self
                .processes
                .find(pid)
                .and_then(|it| it.state().name.clone());
            let name = name.map_or_else(String::new, |name| format!(" ({name})"));
            tracing::warn!(
                "the node has ended, and a process of it runs on · {pid}{name} · its future has not \
                 waited since it was told to end: have it await something"
            );
        }
        for task in &shutdown.tasks {
            tracing::warn!(
                "the node has ended, and a task of it runs on · {task} · look at what the program gave the \
                 node to call: a resolver or a waker does not return"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::task::{Context, Wake, Waker};

    use trunkline_proto::Cookie;

    use super::*;
    use crate::{NodeType, Target};

    struct Bomb;

    impl Wake for Bomb {
        fn wake(self: Arc<Self>) {
            panic!("somebody's waker");
        }
    }

    /// Who hears of the first end panics: the other connection ends too, and so does what ends them.
    #[tokio::test]
    async fn every_connection_ends_whatever_wakers_do() {
        let node = async |name: &str| {
            let node = Node::builder(name.parse().unwrap()).cookie(Cookie::new("monster").unwrap());
            let node = node.listen([Ipv4Addr::LOCALHOST.into()], 0).epmd(None);
            node.follow_tick_time(false).start().await.unwrap()
        };
        let one = node("one@127.0.0.1").await;
        let others = [node("two@127.0.0.1").await, node("three@127.0.0.1").await];
        for other in &others {
            let there = Target::new(other.name().clone()).on_port(other.port().unwrap());
            one.connect(&there).await.unwrap();
        }
        let mut events = one.monitor_nodes_of(NodeType::All);
        let waker = Waker::from(Arc::new(Bomb));
        let mut event = pin!(events.next());
        let polled = event.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        one.shared.end_all();
        assert!(one.connected().is_empty());
    }
}
