//! Our node, and what all its processes know in common.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use trunkline_etf::{Atom, Pid, Term, atom};
use trunkline_interop::netns::Host;
use trunkline_interop::wait;
use trunkline_node::{Message, Node, NodeEvent, NodeEvents, NodeType, Process};
use trunkline_proto::{Cookie, NodeName};

use crate::half::Half;
use crate::rng::Rng;
use crate::{COOKIE, PAIRS, SOON, TICK_TIME};

/// Subscribers of nodes that come and go: each sees all of it.
const WATCHERS: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Pairs begin, talk and end.
    Talking,
    /// Whoever is told that the other is gone ends.
    Ending,
}

pub(crate) struct World {
    node: Node,
    peers: Vec<NodeName>,
    phase: AtomicU8,
    broken: Mutex<Vec<String>>,
    halves: Mutex<HashMap<Pid, String>>,
    counts: Mutex<BTreeMap<&'static str, u64>>,
    progress: Vec<AtomicU64>,
    seen: Mutex<Vec<HashMap<NodeName, bool>>>,
}

impl World {
    /// Our node on its host, with everything of it that is there before any other node is.
    pub(crate) async fn start(ours: &Host, others: &[Host], seed: u64) -> Result<Arc<Self>> {
        let node = Node::builder(format!("rust@{}", ours.private()).parse()?)
            .cookie(Cookie::new(COOKIE)?)
            .listen([ours.private().into()], 0)
            .tick_time(Duration::from_secs(TICK_TIME))
            .connect_timeout(Duration::from_secs(3))
            .start()
            .await?;
        let peers: Vec<NodeName> = others
            .iter()
            .map(|host| format!("otp@{}", host.private()).parse())
            .collect::<Result<_, _>>()?;
        let world = Arc::new(Self {
            node,
            progress: peers.iter().map(|_| AtomicU64::new(0)).collect(),
            peers,
            phase: AtomicU8::new(0),
            broken: Mutex::default(),
            halves: Mutex::default(),
            counts: Mutex::default(),
            seen: Mutex::new(vec![HashMap::new(); WATCHERS]),
        });
        world.serve();
        for watcher in 0..WATCHERS {
            let events = world.node.monitor_nodes_of(NodeType::All);
            tokio::spawn(watch(Arc::clone(&world), watcher, events));
        }
        for slot in 0..world.peers.len() {
            for pair in 0..PAIRS {
                let begin = seed ^ ((slot * PAIRS + pair + 1) as u64) << 40;
                tokio::spawn(Arc::clone(&world).drive(slot, Rng::new(begin)));
            }
        }
        Ok(world)
    }

    /// The servers that OTP's halves ask.
    fn serve(self: &Arc<Self>) {
        let world = Arc::clone(self);
        let soak = self.node.spawn(async move |mut process: Process| {
            while let Some(message) = process.recv().await {
                match message {
                    Message::Term(request) => world.partner(&request),
                    other => world.breaks(format!("the server got {other:?}")),
                }
            }
        });
        self.node.register(&atom!("soak"), &soak);
        let echo = self.node.spawn(async |mut process: Process| {
            while let Some(message) = process.recv().await {
                let Message::Term(call) = message else {
                    continue;
                };
                if let Some([_, from, question]) = call.as_tuple() {
                    process.reply(from, question.clone()).await.ok();
                }
            }
        });
        self.node.register(&atom!("soak_echo"), &echo);
    }

    /// Starts the half that one of OTP asked for.
    fn partner(self: &Arc<Self>, request: &Term) {
        let world = Arc::clone(self);
        let request = request.clone();
        self.node.spawn(async move |process: Process| {
            match Half::partner(process, &world, &request).await {
                Some(half) => half.run().await,
                None => {
                    world.breaks(format!("no request: {request}"));
                    atom!("normal").into()
                }
            }
        });
    }

    /// One pair after the other.
    async fn drive(self: Arc<Self>, slot: usize, mut rng: Rng) {
        while self.phase() == Phase::Talking {
            let (world, seed) = (Arc::clone(&self), rng.next());
            let (ended, over) = tokio::sync::oneshot::channel::<()>();
            self.node.spawn(async move |process: Process| {
                let _ended = ended;
                match Half::initiator(process, &world, slot, seed).await {
                    Some(half) => half.run().await,
                    None => atom!("normal").into(),
                }
            });
            over.await.ok();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    pub(crate) fn peer(&self, slot: usize) -> &NodeName {
        &self.peers[slot]
    }

    /// Which of the others a process belongs to.
    pub(crate) fn slot(&self, node: &Atom) -> Option<usize> {
        self.peers
            .iter()
            .position(|peer| peer.as_str() == node.as_str())
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::SeqCst) {
            0 => Phase::Talking,
            _ => Phase::Ending,
        }
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::SeqCst);
    }

    /// Something that Erlang guarantees does not hold.
    pub(crate) fn breaks(&self, what: String) {
        lock(&self.broken).push(what);
    }

    pub(crate) fn broken(&self) -> Vec<String> {
        lock(&self.broken).clone()
    }

    /// Something was done: what a run says it has covered.
    pub(crate) fn count(&self, what: &'static str) {
        *lock(&self.counts).entry(what).or_default() += 1;
    }

    /// A message came in its turn from the node of this slot.
    pub(crate) fn goes_on(&self, slot: usize) {
        self.progress[slot].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn progress(&self) -> Vec<u64> {
        let each = self.progress.iter();
        each.map(|one| one.load(Ordering::Relaxed)).collect()
    }

    pub(crate) fn begins(&self, pid: Pid) {
        lock(&self.halves).insert(pid, String::new());
    }

    /// What a half waits for, said when it changes.
    pub(crate) fn waits(&self, pid: &Pid, what: String) {
        if let Some(said) = lock(&self.halves).get_mut(pid) {
            *said = what;
        }
    }

    pub(crate) fn ends(&self, pid: &Pid) {
        lock(&self.halves).remove(pid);
    }

    pub(crate) fn halves(&self) -> usize {
        lock(&self.halves).len()
    }

    /// The halves that live, and what they wait for.
    pub(crate) fn left(&self) -> Vec<String> {
        let halves = lock(&self.halves);
        let each = halves.iter();
        each.map(|(pid, what)| format!("{pid:?}: {what}")).collect()
    }

    pub(crate) fn said(&self) -> String {
        let mut text = String::new();
        for (what, count) in &*lock(&self.counts) {
            write!(text, "{what} {count}, ").expect("a String takes all");
        }
        format!("{text}in their turn {:?}", self.progress())
    }

    /// Each watcher has seen each node go.
    pub(crate) fn saw_all_go(&self, limit: Duration) -> Result<()> {
        let all = wait::within(limit, || {
            let seen = lock(&self.seen);
            let gone = seen
                .iter()
                .all(|one| one.len() == self.peers.len() && one.values().all(|up| !up));
            gone.then_some(())
        });
        all.with_context(|| format!("seen last: {:?}", lock(&self.seen)))
    }

    /// Ends our node; nothing of it runs on.
    pub(crate) async fn stop(&self) -> Result<()> {
        for name in [atom!("soak"), atom!("soak_echo")] {
            let server = self.node.whereis(&name).context("the server lives")?;
            self.node.process().exit(&server, atom!("shutdown"))?;
        }
        let outcome = self.node.shutdown(SOON).await;
        ensure!(outcome.is_clean(), "{outcome:?}");
        Ok(())
    }
}

/// Nodes come and go in turn, and no incarnation comes twice in a row without having gone.
async fn watch(world: Arc<World>, watcher: usize, mut events: NodeEvents) {
    while let Some(event) = events.next().await {
        let comes = matches!(event, NodeEvent::Up { .. });
        if watcher == 0 {
            world.count(if comes { "nodes up" } else { "nodes down" });
        }
        let was = lock(&world.seen)[watcher].insert(event.peer().clone(), comes);
        if was.unwrap_or_default() == comes {
            world.breaks(format!("watcher {watcher} saw {event:?} twice"));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
