//! A member with its sources and its engine: started, asked, stopped.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant as Clock;
use tokio_util::sync::{CancellationToken, DropGuard};
use trunkline_discovery::strategies::Topology;
use trunkline_node::{Resolve, SystemResolver};
use trunkline_proto::{Instant, NodeName, Reason};
use trunkline_reconcile::{Config, Engine, Event, Status};

use crate::change::{self, Change};
use crate::driver::Driver;
use crate::work::Work;
use crate::{Member, MemberEvents};

/// What a cluster is made of.
#[derive(Debug)]
pub struct ClusterConfig {
    /// The engine's knobs.
    pub engine: Config,
    /// Where peers are looked for. None is allowed: then nothing is dialled.
    pub topologies: Vec<Topology>,
    /// The seed of the engine's jitter. Default: random.
    pub seed: u64,
    /// Who resolves a host whose health is checked and of which only the name is known. Default:
    /// the operating system.
    pub resolver: Arc<dyn Resolve>,
}

impl ClusterConfig {
    /// The defaults, with these topologies.
    pub fn new(topologies: Vec<Topology>) -> Self {
        Self {
            engine: Config::default(),
            topologies,
            seed: rand::random(),
            resolver: Arc::new(SystemResolver),
        }
    }
}

/// A running cluster, as seen by one member. A cheap handle; everything stops with the last one.
#[derive(Clone)]
pub struct Cluster {
    shared: Arc<Shared>,
    changes: mpsc::UnboundedSender<(Change, oneshot::Sender<()>)>,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
    _stop: Arc<DropGuard>,
}

impl Cluster {
    /// Keeps `member`, whose name is `me`, connected. Returns at once: the member may not even be
    /// there yet.
    ///
    /// Must be called within a tokio runtime.
    pub fn start(
        me: NodeName,
        member: impl Member,
        events: MemberEvents,
        config: ClusterConfig,
    ) -> Self {
        let mut engine = Engine::new(me, config.engine, config.seed);
        for topology in &config.topologies {
            enter(&mut engine, topology);
        }
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            engine: Mutex::new(engine),
            begun: Clock::now(),
            woken: Notify::new(),
            stop: stop.clone(),
            detached: Mutex::new(None),
            subscribers: Mutex::default(),
        });
        let work = Work::new(Arc::new(member), &config.topologies, config.resolver);
        let (changes, changed) = mpsc::unbounded_channel();
        let driver = Driver::new(Arc::clone(&shared), work, events, changed);
        let task = tokio::spawn(driver.run(config.topologies));
        Self {
            shared,
            changes,
            task: Arc::new(Mutex::new(Some(task))),
            _stop: Arc::new(stop.drop_guard()),
        }
    }

    /// Everything at a glance.
    pub fn status(&self) -> ClusterStatus {
        let now = self.shared.now();
        ClusterStatus {
            engine: self.shared.engine().status(now),
            detached: lock(&self.shared.detached).clone(),
        }
    }

    /// Whether the member is there: it can be steered, or it answered and refused that. Cheap.
    pub fn member_answers(&self) -> bool {
        let refused = |reason: &Reason| {
            reason.is_lasting() || matches!(reason, Reason::AlreadyConnected | Reason::LostRace)
        };
        self.shared.engine().is_up() || lock(&self.shared.detached).as_ref().is_some_and(refused)
    }

    /// What happens from now on. Everything in it is in the log too.
    pub fn events(&self) -> mpsc::UnboundedReceiver<ClusterEvent> {
        let (sender, receiver) = mpsc::unbounded_channel();
        lock(&self.shared.subscribers).push(sender);
        receiver
    }

    /// Makes no new links from now on and leaves those that exist alone: for an application that
    /// drains before it ends. Attempts that have not reached the node yet are given up.
    pub fn stop_dialling(&self) {
        let now = self.shared.now();
        self.shared.engine().stop_dialling(now);
        self.shared.woken.notify_one();
    }

    /// Goes on with another configuration; returns when it holds. No link ends by it.
    pub async fn change(&self, change: Change) {
        let (done, changed) = oneshot::channel();
        // A driver that has ended has nothing to change.
        if self.changes.send((change, done)).is_ok() {
            changed.await.ok();
        }
    }

    /// Ends everything of ours: sources withdraw what they announced, the member is let go. Links
    /// of an attached node stay. Returns when that is done, after at most two seconds.
    pub async fn shutdown(&self) {
        self.shared.stop.cancel();
        let task = lock(&self.task).take();
        if let Some(mut task) = task {
            // A panic was printed by the panic hook; the task is over either way.
            if tokio::time::timeout(SHUTDOWN, &mut task).await.is_err() {
                task.abort();
            }
        }
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").finish_non_exhaustive()
    }
}

/// What a shutdown may take.
const SHUTDOWN: Duration = Duration::from_secs(2);

fn enter(engine: &mut Engine, topology: &Topology) {
    let id = change::id(topology);
    engine.add_topology(id.clone(), change::rules(topology));
    for (source, kind) in change::sources(topology) {
        engine.add_source(source, id.clone(), kind);
    }
}

/// The engine at a glance, and the member.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterStatus {
    /// Peers, topologies, sources, links.
    pub engine: Status,
    /// Why the member cannot be steered at the moment; `None` also before the first attempt.
    pub detached: Option<Reason>,
}

/// Something changed. `Display` is the line in the log: `what · where · cure`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClusterEvent {
    /// The engine says so.
    Engine(Event),
    /// The member can be steered.
    Attached {
        /// Its name.
        node: NodeName,
    },
    /// The member cannot be steered any more, or not yet.
    Detached {
        /// Its name.
        node: NodeName,
        /// Why.
        reason: Reason,
    },
    /// The member says so, in the form of the log.
    Note(String),
}

impl ClusterEvent {
    /// Whether somebody should look at it.
    pub const fn is_warning(&self) -> bool {
        match self {
            Self::Engine(event) => event.is_warning(),
            Self::Detached { .. } => true,
            Self::Attached { .. } | Self::Note(_) => false,
        }
    }
}

impl fmt::Display for ClusterEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine(event) => event.fmt(f),
            Self::Attached { node } => write!(f, "attached · {node}"),
            Self::Detached {
                node,
                reason: Reason::AlreadyConnected,
            } => write!(
                f,
                "not attached (already_connected): another agent serves that node · {node} · stop one of the two, a node has one agent"
            ),
            Self::Detached { node, reason } => {
                let (code, cure) = (reason.code(), reason.cure());
                write!(f, "not attached ({code}): {reason} · {node} · {cure}")
            }
            Self::Note(text) => f.write_str(text),
        }
    }
}

/// What the handle and the driver share.
pub(crate) struct Shared {
    engine: Mutex<Engine>,
    begun: Clock,
    /// The handle changed something.
    pub(crate) woken: Notify,
    pub(crate) stop: CancellationToken,
    detached: Mutex<Option<Reason>>,
    subscribers: Mutex<Vec<mpsc::UnboundedSender<ClusterEvent>>>,
}

impl Shared {
    pub(crate) fn engine(&self) -> MutexGuard<'_, Engine> {
        lock(&self.engine)
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::at(self.begun.elapsed())
    }

    /// The runtime's clock at one of the engine's moments.
    pub(crate) fn clock(&self, at: Instant) -> Clock {
        self.begun + at.since_start()
    }

    pub(crate) fn set_detached(&self, reason: Option<Reason>) {
        *lock(&self.detached) = reason;
    }

    pub(crate) fn say(&self, event: &ClusterEvent) {
        if event.is_warning() {
            tracing::warn!("{event}");
        } else {
            tracing::info!("{event}");
        }
        lock(&self.subscribers).retain(|subscriber| subscriber.send(event.clone()).is_ok());
    }
}

/// Nothing is left half done under these locks, so that a panic elsewhere poisons nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
