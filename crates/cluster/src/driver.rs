//! The one task that feeds the engine: answers, link events, results and timers in, actions out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::sleep_until;
use trunkline_discovery::Report;
use trunkline_discovery::strategies::Topology;
use trunkline_proto::{Instant, NodeName};
use trunkline_reconcile::evidence::TopologyId;
use trunkline_reconcile::{Action, Engine};

use crate::change::{self, Change};
use crate::cluster::{ClusterEvent, Shared};
use crate::sources::Sources;
use crate::work::{Done, Work};
use crate::{MemberError, MemberEvent, MemberEvents};

pub(crate) struct Driver {
    shared: Arc<Shared>,
    work: Work,
    events: MemberEvents,
    changes: Changes,
    sources: Sources,
    /// Attempts to connect; given up when nothing is dialled any more.
    dials: JoinSet<Done>,
    tasks: JoinSet<Done>,
    /// How often the member was attached: an answer from an earlier time is none.
    time: u64,
    attaching: Option<Attaching>,
}

/// The member is attached, and its first list of links is on its way.
#[derive(Default)]
struct Attaching {
    /// What changed meanwhile; the list may be older.
    later: Vec<MemberEvent>,
}

/// Something happened.
enum Input {
    Report(Report),
    Member(MemberEvent),
    Done(Done),
    Timer,
    Woken,
    Change(Change, oneshot::Sender<()>),
    Stop,
}

/// Changes on their way, each with who waits for it.
pub(crate) type Changes = mpsc::UnboundedReceiver<(Change, oneshot::Sender<()>)>;

/// Between two attempts to read the first list of links.
const FIRST_LINKS_RETRY: Duration = Duration::from_secs(1);

impl Driver {
    pub(crate) fn new(
        shared: Arc<Shared>,
        work: Work,
        events: MemberEvents,
        changes: Changes,
    ) -> Self {
        let me = shared.engine().me().clone();
        Self {
            changes,
            sources: Sources::new(me),
            shared,
            work,
            events,
            dials: JoinSet::new(),
            tasks: JoinSet::new(),
            time: 0,
            attaching: None,
        }
    }

    /// Runs until stopped.
    pub(crate) async fn run(mut self, topologies: Vec<Topology>) {
        for topology in topologies {
            self.sources.start(topology);
        }
        loop {
            self.flush();
            match self.next().await {
                Input::Report(report) => {
                    let answer = report.answer.map_err(Into::into);
                    self.tell(|engine, now| engine.observe(now, &report.source, answer));
                }
                Input::Member(event) => self.member(event),
                Input::Done(done) => self.done(done),
                Input::Timer => self.tell(Engine::handle_timeout),
                Input::Woken => self.woken(),
                Input::Change(change, done) => {
                    self.change(change).await;
                    // Nobody waits for it, which is as well.
                    done.send(()).ok();
                }
                Input::Stop => break,
            }
        }
        self.sources.end_all().await;
    }

    /// Old sources end before new ones begin; the engine is told between.
    async fn change(&mut self, change: Change) {
        let set = change.set.iter().map(|topology| topology.name.clone());
        let over: Vec<_> = set.chain(change.remove.iter().cloned()).collect();
        self.sources.end(&over).await;
        if let Some(config) = change.engine {
            self.tell(|engine, now| engine.set_config(now, config));
        }
        for name in change.remove {
            let id = TopologyId(name);
            self.work.set_check(id.clone(), None);
            self.tell(|engine, now| engine.remove_topology(now, &id));
        }
        for topology in change.set {
            let (id, rules) = (change::id(&topology), change::rules(&topology));
            let sources = change::sources(&topology);
            self.work
                .set_check(id.clone(), topology.health_check.clone());
            self.tell(|engine, now| engine.set_topology(now, &id, rules, &sources));
            self.sources.start(topology);
        }
    }

    /// What the engine wants said and done.
    fn flush(&mut self) {
        loop {
            let mut engine = self.shared.engine();
            let (event, action) = (engine.poll_event(), engine.poll_action());
            drop(engine);
            if event.is_none() && action.is_none() {
                return;
            }
            if let Some(event) = event {
                self.shared.say(&ClusterEvent::Engine(event));
            }
            if let Some(action) = action {
                self.begin(action);
            }
        }
    }

    fn begin(&mut self, action: Action) {
        let is_dial = matches!(action, Action::Connect { .. });
        let work = self.work.begin(action, self.time);
        let tasks = if is_dial {
            &mut self.dials
        } else {
            &mut self.tasks
        };
        tasks.spawn(work);
    }

    async fn next(&mut self) -> Input {
        let due = self.shared.engine().poll_timeout();
        let timer = async {
            match due {
                Some(at) => sleep_until(self.shared.clock(at)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.shared.stop.cancelled() => Input::Stop,
            () = self.shared.woken.notified() => Input::Woken,
            Some(event) = self.events.recv() => Input::Member(event),
            // A task that was given up has nothing to say.
            Some(done) = self.tasks.join_next() => Input::Done(done.unwrap_or(Done::Nothing)),
            Some(done) = self.dials.join_next() => Input::Done(done.unwrap_or(Done::Nothing)),
            () = timer => Input::Timer,
            Some((change, done)) = self.changes.recv() => Input::Change(change, done),
            report = self.sources.next() => Input::Report(report),
        }
    }

    fn tell(&self, verb: impl FnOnce(&mut Engine, Instant)) {
        let now = self.shared.now();
        verb(&mut self.shared.engine(), now);
    }

    /// The handle stopped the dialling.
    fn woken(&mut self) {
        self.dials.abort_all();
    }

    fn member(&mut self, event: MemberEvent) {
        match event {
            MemberEvent::Attached { node } => {
                self.shared.set_detached(None);
                self.shared.say(&ClusterEvent::Attached { node });
                self.time += 1;
                self.attaching = Some(Attaching::default());
                self.tasks.spawn(self.work.links(self.time));
            }
            MemberEvent::Detached { reason } => {
                self.attaching = None;
                self.shared.set_detached(Some(reason.clone()));
                let node = self.shared.engine().me().clone();
                self.shared.say(&ClusterEvent::Detached { node, reason });
                self.tell(Engine::me_down);
            }
            MemberEvent::Note(text) => self.shared.say(&ClusterEvent::Note(text)),
            link => match &mut self.attaching {
                // One more look is as good as many.
                Some(attaching)
                    if attaching.later.contains(&link) && link == MemberEvent::LinksUnseen => {}
                Some(attaching) => attaching.later.push(link),
                None => self.link(link),
            },
        }
    }

    fn link(&self, event: MemberEvent) {
        match event {
            MemberEvent::LinkUp(peer) => self.tell(|engine, now| engine.link_up(now, &peer)),
            MemberEvent::LinkDown(peer, why) => {
                self.tell(|engine, now| engine.link_down(now, &peer, &why));
            }
            MemberEvent::LinksUnseen => self.tell(Engine::links_unseen),
            MemberEvent::Attached { .. } | MemberEvent::Detached { .. } | MemberEvent::Note(_) => {}
        }
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Connect(peer, attempt) => {
                self.tell(|engine, now| engine.connect_result(now, &peer, attempt));
            }
            Done::Check(topology, peer, verdict) => {
                self.tell(|engine, now| engine.health(now, &topology, &peer, verdict));
            }
            Done::Look(peer, found) => self.tell(|engine, now| engine.looked(now, &peer, found)),
            Done::Leave(topology, result) => {
                self.tell(|engine, now| engine.leave_result(now, &topology, result));
            }
            Done::Agents(leaver, found) => {
                self.tell(|engine, now| engine.agents(now, &leaver, &found));
            }
            Done::Links(time, links) if time == self.time => self.links(links),
            Done::Links(..) | Done::Nothing => {}
        }
    }

    /// The first list of links since the member was attached, or an audit.
    fn links(&mut self, links: Result<BTreeSet<NodeName>, MemberError>) {
        match (links, self.attaching.take()) {
            (Ok(links), Some(attaching)) => {
                self.tell(|engine, now| engine.me_up(now, &links));
                attaching
                    .later
                    .into_iter()
                    .for_each(|event| self.link(event));
            }
            (Ok(links), None) => self.tell(|engine, now| engine.audit(now, &links)),
            (Err(_), Some(attaching)) => {
                self.attaching = Some(attaching);
                let again = self.work.links(self.time);
                self.tasks.spawn(async move {
                    tokio::time::sleep(FIRST_LINKS_RETRY).await;
                    again.await
                });
            }
            (Err(_), None) => self.tell(Engine::audit_failed),
        }
    }
}
