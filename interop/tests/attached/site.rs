//! Nodes on 127.0.0.2, .3, …, each with its own address, and agents in this process.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use trunkline::{AttachConfig, Attached, Cluster, ClusterConfig, ClusterEvent};
use trunkline_discovery::strategies::Topology;
use trunkline_discovery::{BuiltSource, Source, SourceCx};
use trunkline_interop::otp::{Epmd, Otp, Release};
use trunkline_interop::wait;
use trunkline_proto::{Cookie, NodeName};
use trunkline_reconcile::evidence::{Answer, Kind, Peer};
use trunkline_reconcile::{Config, PeerState};

pub(crate) const COOKIE: &str = "a_cookie_for_the_attached";

/// How long anything may take while others compile.
pub(crate) const SOON: Duration = Duration::from_secs(90);

/// Every link must be ours: OTP makes none by itself.
pub(crate) const NO_MESH: &[&str] = &["-kernel", "connect_all", "false"];

/// The name of the i-th node.
pub(crate) fn name(i: u8) -> NodeName {
    format!("app{i}@127.0.0.{}", i + 1).parse().unwrap()
}

pub(crate) fn start(epmd: &Epmd, i: u8, args: &[&str]) -> Result<Otp> {
    start_with(epmd, i, COOKIE, args)
}

pub(crate) fn start_with(epmd: &Epmd, i: u8, cookie: &str, args: &[&str]) -> Result<Otp> {
    let node = Otp::start(epmd, name(i).as_str(), cookie, args)?;
    node.eval(RECORDER)?;
    Ok(node)
}

/// The same on another release.
pub(crate) fn start_on(release: Release, epmd: &Epmd, i: u8, args: &[&str]) -> Result<Otp> {
    let node = Otp::of_release(release, epmd, name(i).as_str(), COOKIE, args)?;
    node.eval(RECORDER)?;
    Ok(node)
}

/// Records every link that comes and goes, for the whole life of the node.
const RECORDER: &str = "register(recorder, spawn(fun() ->
    net_kernel:monitor_nodes(true),
    (fun Loop(Seen) -> receive
        {nodeup, N} -> Loop([{up, N} | Seen]);
        {nodedown, N} -> Loop([{down, N} | Seen]);
        {tell, To} -> To ! {seen, lists:reverse(Seen)}, Loop(Seen)
    end end)([])
end))";

/// What the recorder of a node saw, as an Erlang term.
pub(crate) fn recorded(node: &Otp) -> Result<String> {
    node.eval("recorder ! {tell, self()}, receive {seen, Seen} -> Seen end")
}

pub(crate) fn neighbours(node: &Otp) -> Result<String> {
    node.eval("lists:sort(nodes())")
}

/// An agent in this process.
pub(crate) struct Agent {
    pub(crate) cluster: Cluster,
    said: Arc<Mutex<Vec<String>>>,
    lists: Vec<mpsc::UnboundedSender<Vec<NodeName>>>,
}

impl Agent {
    /// Beside node `i`, with one complete list that a test sends.
    pub(crate) async fn start(epmd: &Epmd, i: u8, config: Config) -> Result<Self> {
        Self::with(epmd, i, COOKIE, &["web"], config).await
    }

    pub(crate) async fn with(
        epmd: &Epmd,
        i: u8,
        cookie: &str,
        topologies: &[&str],
        engine: Config,
    ) -> Result<Self> {
        let mut attach = AttachConfig::new(name(i), Cookie::new(cookie.as_bytes())?);
        attach.epmd_port = epmd.port;
        attach.connect_timeout = Duration::from_secs(3);
        let (member, events) = Attached::start(attach).await?;
        let (mut lists, mut built) = (vec![], vec![]);
        for topology in topologies {
            let (list, script) = mpsc::unbounded_channel();
            lists.push(list);
            built.push(scripted(topology, script));
        }
        let config = ClusterConfig {
            engine,
            ..ClusterConfig::new(built)
        };
        let cluster = Cluster::start(name(i), member, events, config);
        let said = Arc::<Mutex<Vec<String>>>::default();
        tokio::spawn(record(cluster.events(), Arc::clone(&said)));
        Ok(Self {
            cluster,
            said,
            lists,
        })
    }

    /// The first topology lists these nodes from now on.
    pub(crate) fn list(&self, nodes: impl IntoIterator<Item = u8>) {
        self.list_in(0, nodes);
    }

    pub(crate) fn list_in(&self, topology: usize, nodes: impl IntoIterator<Item = u8>) {
        self.lists[topology]
            .send(nodes.into_iter().map(name).collect())
            .unwrap();
    }

    pub(crate) fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    pub(crate) fn has_said(&self, words: &str) -> bool {
        self.said().iter().any(|line| line.contains(words))
    }

    /// How many lines hold these words.
    pub(crate) fn count(&self, words: &str) -> usize {
        let said = self.said();
        said.iter().filter(|line| line.contains(words)).count()
    }

    pub(crate) async fn until_said(&self, words: &str) {
        until(format!("the agent says {words:?}"), || self.has_said(words)).await;
    }

    pub(crate) fn state(&self, i: u8) -> Option<PeerState> {
        let status = self.cluster.status().engine;
        let peer = status.peers.into_iter().find(|peer| peer.node == name(i));
        peer.map(|peer| peer.state)
    }

    pub(crate) async fn until_connected(&self, peers: usize) {
        let what = format!("{peers} peers are connected");
        until(what, || self.cluster.status().engine.connected() == peers).await;
    }
}

async fn record(mut events: mpsc::UnboundedReceiver<ClusterEvent>, said: Arc<Mutex<Vec<String>>>) {
    while let Some(event) = events.recv().await {
        said.lock().unwrap().push(event.to_string());
    }
}

/// Waits until it holds; the runtime's other tasks go on.
pub(crate) async fn until(what: impl std::fmt::Display, holds: impl Fn() -> bool) {
    until_within(SOON, what, holds).await;
}

/// The same where the time matters.
pub(crate) async fn until_within(
    limit: Duration,
    what: impl std::fmt::Display,
    holds: impl Fn() -> bool,
) {
    let end = tokio::time::Instant::now() + limit;
    while !holds() {
        assert!(
            tokio::time::Instant::now() < end,
            "waited in vain for: {what}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The same for what a node says of itself.
pub(crate) fn until_on(node: &Otp, expression: &str, value: &str) {
    let what = format!("{expression} is {value} on {}", node.name());
    wait::until(what, SOON, || {
        (node.eval(expression).ok()? == value).then_some(())
    });
}

fn scripted(topology: &str, script: mpsc::UnboundedReceiver<Vec<NodeName>>) -> Topology {
    Topology {
        name: topology.into(),
        strategy: "script",
        sources: vec![BuiltSource::new(
            format!("{topology}/script"),
            Script(script),
        )],
        health_check: None,
        off: None,
    }
}

/// Says every 200 ms what the test said last.
#[derive(Debug)]
struct Script(mpsc::UnboundedReceiver<Vec<NodeName>>);

impl Source for Script {
    fn kind(&self) -> Kind {
        Kind::Authoritative
    }

    fn run(mut self: Box<Self>, cx: SourceCx) -> BoxFuture<'static, ()> {
        async move {
            let mut nodes: Option<Vec<NodeName>> = None;
            let mut ticks = tokio::time::interval(Duration::from_millis(200));
            loop {
                tokio::select! {
                    Some(list) = self.0.recv() => nodes = Some(list),
                    _ = ticks.tick() => {}
                    () = cx.cancelled() => return,
                }
                if let Some(nodes) = &nodes {
                    let peers = nodes.iter().cloned().map(Peer::named).collect();
                    cx.report(Ok(Answer {
                        peers,
                        notes: vec![],
                    }))
                    .await;
                }
            }
        }
        .boxed()
    }
}

/// Removal in seconds instead of half a minute.
pub(crate) fn quick() -> Config {
    Config {
        removal_grace: Duration::from_secs(2),
        leave_grace: Duration::from_secs(2),
        ..Config::default()
    }
}
