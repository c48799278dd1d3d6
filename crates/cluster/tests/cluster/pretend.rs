//! A member, a source and an operator that do as the test says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::{Notify, mpsc};
use trunkline::{Cluster, ClusterConfig, Member, MemberError, MemberEvent};
use trunkline_discovery::health::CheckKind;
use trunkline_discovery::strategies::Topology;
use trunkline_discovery::{BuiltSource, HealthCheck, Source, SourceCx};
use trunkline_proto::{Creation, NodeName};
use trunkline_reconcile::evidence::{Answer, Kind, Peer};
use trunkline_reconcile::{Attempt, Dial, Proof};

pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    pub(crate) member: Pretender,
    events: mpsc::UnboundedSender<MemberEvent>,
    answers: mpsc::Sender<Answer>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with(None, false)
    }

    pub(crate) fn checked(port: u16) -> Self {
        let check = HealthCheck {
            kind: CheckKind::Tcp,
            port: port.try_into().unwrap(),
            timeout: trunkline_discovery::config::Millis::new(500),
            rise: 1.try_into().unwrap(),
            fall: 1.try_into().unwrap(),
        };
        Self::with(Some(check), false)
    }

    pub(crate) fn stubborn() -> Self {
        Self::with(None, true)
    }

    fn with(health_check: Option<HealthCheck>, stubborn: bool) -> Self {
        let (events, received) = mpsc::unbounded_channel();
        let (answers, script) = mpsc::channel(8);
        let source = Script { script, stubborn };
        let topology = Topology {
            name: "web".into(),
            strategy: "script",
            sources: vec![BuiltSource::new("web/script", source)],
            health_check,
            off: None,
        };
        let member = Pretender::new(events.clone());
        let config = ClusterConfig::new(vec![topology]);
        let cluster = Cluster::start(name("me@h"), member.lend(), received, config);
        Self {
            cluster,
            member,
            events,
            answers,
        }
    }

    pub(crate) fn tell(&self, event: MemberEvent) {
        self.events.send(event).unwrap();
    }

    pub(crate) fn attach(&self) {
        self.tell(MemberEvent::Attached { node: name("me@h") });
    }

    pub(crate) async fn list(&self, nodes: &[&str]) {
        let peers = nodes.iter().map(|node| Peer::named(name(node))).collect();
        let answer = Answer {
            peers,
            notes: vec![],
        };
        self.answers.send(answer).await.unwrap();
    }
}

/// A topology whose source says what is sent.
pub(crate) fn topology(name: &str) -> (Topology, mpsc::Sender<Answer>) {
    let (answers, script) = mpsc::channel(8);
    let source = Script {
        script,
        stubborn: false,
    };
    let topology = Topology {
        name: name.into(),
        strategy: "script",
        sources: vec![BuiltSource::new(format!("{name}/script"), source)],
        health_check: None,
        off: None,
    };
    (topology, answers)
}

pub(crate) fn answer(nodes: &[&str]) -> Answer {
    let peers = nodes.iter().map(|node| Peer::named(name(node))).collect();
    Answer {
        peers,
        notes: vec![],
    }
}

/// Reports what the test sends.
#[derive(Debug)]
struct Script {
    script: mpsc::Receiver<Answer>,
    stubborn: bool,
}

impl Source for Script {
    fn kind(&self) -> Kind {
        Kind::Authoritative
    }

    fn run(mut self: Box<Self>, cx: SourceCx) -> BoxFuture<'static, ()> {
        async move {
            loop {
                tokio::select! {
                    Some(answer) = self.script.recv() => cx.report(Ok(answer)).await,
                    () = cx.cancelled() => break,
                }
            }
            if self.stubborn {
                std::future::pending::<()>().await;
            }
        }
        .boxed()
    }
}

#[derive(Debug, Default)]
struct State {
    links: BTreeSet<NodeName>,
    dialled: Vec<NodeName>,
    panic_at: Option<NodeName>,
    held: bool,
}

/// The test's side of the member.
pub(crate) struct Pretender {
    state: Arc<Mutex<State>>,
    released: Arc<Notify>,
    events: mpsc::UnboundedSender<MemberEvent>,
}

/// The cluster's side.
#[derive(Debug)]
struct Lent {
    state: Arc<Mutex<State>>,
    released: Arc<Notify>,
    events: mpsc::UnboundedSender<MemberEvent>,
}

impl Pretender {
    fn new(events: mpsc::UnboundedSender<MemberEvent>) -> Self {
        Self {
            state: Arc::default(),
            released: Arc::default(),
            events,
        }
    }

    fn lend(&self) -> impl Member + use<> {
        let (state, released) = (Arc::clone(&self.state), Arc::clone(&self.released));
        Lent {
            state,
            released,
            events: self.events.clone(),
        }
    }

    pub(crate) fn dialled(&self) -> Vec<NodeName> {
        self.state.lock().unwrap().dialled.clone()
    }

    pub(crate) fn lose_links(&self) {
        self.state.lock().unwrap().links.clear();
    }

    pub(crate) fn panic_at(&self, peer: &str) {
        self.state.lock().unwrap().panic_at = Some(name(peer));
    }

    /// The list of links is taken, and does not arrive before it is released.
    pub(crate) fn hold_links(&self) {
        self.state.lock().unwrap().held = true;
    }

    pub(crate) fn release_links(&self) {
        self.state.lock().unwrap().held = false;
        self.released.notify_waiters();
    }

    pub(crate) fn is_dropped(&self) -> bool {
        Arc::strong_count(&self.state) == 1
    }
}

impl Member for Lent {
    fn connect(&self, target: Dial, _: Proof) -> BoxFuture<'_, Attempt> {
        let mut state = self.state.lock().unwrap();
        state.dialled.push(target.node.clone());
        let panics = state.panic_at.as_ref() == Some(&target.node);
        if !panics {
            state.links.insert(target.node.clone());
            self.events.send(MemberEvent::LinkUp(target.node)).unwrap();
        }
        async move {
            assert!(!panics, "as the test wants it");
            Ok(()).into()
        }
        .boxed()
    }

    fn look(&self, _: Dial) -> BoxFuture<'_, Attempt> {
        let creation = Some(Creation(1));
        async move {
            Attempt {
                result: Ok(()),
                creation,
                proved: false,
            }
        }
        .boxed()
    }

    fn links(&self) -> BoxFuture<'_, Result<BTreeSet<NodeName>, MemberError>> {
        let state = self.state.lock().unwrap();
        let (links, held) = (state.links.clone(), state.held);
        let released = Arc::clone(&self.released);
        async move {
            if held {
                released.notified().await;
            }
            Ok(links)
        }
        .boxed()
    }

    fn leave(&self) -> BoxFuture<'_, Result<(), MemberError>> {
        async { Ok(()) }.boxed()
    }

    fn ask_leave(&self, _: NodeName) -> BoxFuture<'_, Result<(), MemberError>> {
        async { Ok(()) }.boxed()
    }

    fn disconnect(&self, _: NodeName) -> BoxFuture<'_, Result<(), MemberError>> {
        async { Ok(()) }.boxed()
    }

    fn find_agents(&self, _: Vec<NodeName>) -> BoxFuture<'_, BTreeMap<NodeName, bool>> {
        async { BTreeMap::new() }.boxed()
    }
}

pub(crate) fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

/// Waits until it holds, a minute at most.
pub(crate) async fn until(holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting)
        .await
        .expect("it never came to hold");
}
