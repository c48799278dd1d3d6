//! What the engine wants, done: one future for each action.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;
use trunkline_discovery::HealthCheck;
use trunkline_discovery::health::Verdict;
use trunkline_discovery::strategies::Topology;
use trunkline_node::Resolve;
use trunkline_proto::{Creation, NodeName, Reason, Step};
use trunkline_reconcile::evidence::TopologyId;
use trunkline_reconcile::{Action, Attempt, Dial};

use crate::{Member, MemberError};

/// Everything that actions need.
pub(crate) struct Work {
    member: Arc<dyn Member>,
    checks: HashMap<TopologyId, Arc<HealthCheck>>,
    resolver: Arc<dyn Resolve>,
    gates: HashMap<NodeName, Arc<Mutex<()>>>,
}

/// How an action ended, as the engine is told.
#[derive(Debug)]
pub(crate) enum Done {
    Connect(NodeName, Attempt),
    Check(TopologyId, NodeName, Result<(), String>),
    Look(NodeName, Result<Creation, Reason>),
    Leave(TopologyId, Result<(), String>),
    Agents(NodeName, BTreeMap<NodeName, bool>),
    /// The list of links, and when it was asked for: how often the member had been attached.
    Links(u64, Result<BTreeSet<NodeName>, MemberError>),
    /// Nobody waits for it.
    Nothing,
}

impl Work {
    pub(crate) fn new(
        member: Arc<dyn Member>,
        topologies: &[Topology],
        resolver: Arc<dyn Resolve>,
    ) -> Self {
        let checks = topologies.iter().filter_map(|topology| {
            let check = topology.health_check.clone()?;
            Some((TopologyId(topology.name.clone()), Arc::new(check)))
        });
        Self {
            member,
            checks: checks.collect(),
            resolver,
            gates: HashMap::new(),
        }
    }

    /// What a topology's peers must pass from now on.
    pub(crate) fn set_check(&mut self, topology: TopologyId, check: Option<HealthCheck>) {
        match check {
            Some(check) => self.checks.insert(topology, Arc::new(check)),
            None => self.checks.remove(&topology),
        };
    }

    /// The action as a future. It always ends with a value, even when it panics: the engine waits
    /// for each.
    pub(crate) fn begin(&mut self, action: Action, time: u64) -> BoxFuture<'static, Done> {
        let member = Arc::clone(&self.member);
        match action {
            Action::Connect { target, proof } => {
                let (gate, name) = (self.gate(&target.node), target.node.clone());
                let lost = Done::Connect(name.clone(), gave_up().into());
                let work = async move {
                    let _one_at_a_time = gate.lock().await;
                    Done::Connect(name, member.connect(target, proof).await)
                };
                caught(work, lost)
            }
            Action::Look { target } => {
                let (gate, name) = (self.gate(&target.node), target.node.clone());
                let lost = Done::Look(name.clone(), gave_up().map(|()| Creation::ANY));
                let work = async move {
                    let _one_at_a_time = gate.lock().await;
                    let seen = member.look(target).await;
                    let creation = seen.creation.unwrap_or(Creation::ANY);
                    Done::Look(name, seen.result.map(|()| creation))
                };
                caught(work, lost)
            }
            Action::Check { topology, target } => self.check(topology, target),
            Action::Leave { topology } => {
                let lost = Done::Leave(topology.clone(), Err("it broke off".into()));
                let work = async move {
                    let left = member.leave().await;
                    Done::Leave(topology, left.map_err(|why| why.to_string()))
                };
                caught(work, lost)
            }
            Action::FindAgents { leaver, among } => caught(
                async move { Done::Agents(leaver, member.find_agents(among).await) },
                Done::Nothing,
            ),
            Action::AskLeave { peer } => caught(
                async move {
                    let asked = member.ask_leave(peer.clone()).await;
                    quietly("could not ask it to leave", &peer, asked)
                },
                Done::Nothing,
            ),
            Action::Disconnect { peer } => caught(
                async move {
                    let cut = member.disconnect(peer.clone()).await;
                    quietly("could not disconnect it", &peer, cut)
                },
                Done::Nothing,
            ),
            Action::Audit => self.links(time),
        }
    }

    /// The list of links, asked for at this `time`.
    pub(crate) fn links(&self, time: u64) -> BoxFuture<'static, Done> {
        let member = Arc::clone(&self.member);
        let lost = Done::Links(time, Err(MemberError::Detached));
        caught(async move { Done::Links(time, member.links().await) }, lost)
    }

    fn check(&self, topology: TopologyId, target: Dial) -> BoxFuture<'static, Done> {
        let resolver = Arc::clone(&self.resolver);
        let check = self.checks.get(&topology).cloned();
        let name = target.node.clone();
        let lost = Done::Check(topology.clone(), name.clone(), Err("it broke off".into()));
        let work = async move {
            let verdict = match check {
                Some(check) => check_health(&check, &target, resolver.as_ref()).await,
                None => Ok(()),
            };
            Done::Check(topology, name, verdict)
        };
        caught(work, lost)
    }

    /// Probes of one peer follow each other: they show the same name, and a node that still has
    /// the last one refuses the next.
    fn gate(&mut self, peer: &NodeName) -> Arc<Mutex<()>> {
        // Gates that nobody waits at are as good as none.
        self.gates.retain(|_, gate| Arc::strong_count(gate) > 1);
        Arc::clone(self.gates.entry(peer.clone()).or_default())
    }
}

async fn check_health(
    check: &HealthCheck,
    target: &Dial,
    resolver: &dyn Resolve,
) -> Result<(), String> {
    let addresses = match target.address {
        Some(address) => vec![address],
        None => resolve(target.node.host(), resolver).await?,
    };
    let mut why = format!("{} has no address", target.node.host());
    for address in addresses {
        match check.check(address).await {
            Verdict::Pass => return Ok(()),
            Verdict::Fail(reason) => why = reason,
        }
    }
    Err(why)
}

async fn resolve(host: &str, resolver: &dyn Resolve) -> Result<Vec<IpAddr>, String> {
    let found = resolver.resolve(host).await;
    found.map_err(|why| format!("{host} has no address: {why}"))
}

fn caught(
    work: impl Future<Output = Done> + Send + 'static,
    lost: Done,
) -> BoxFuture<'static, Done> {
    // Nothing that a panic could leave half done is used again: each action owns what it touches.
    let work = AssertUnwindSafe(work).catch_unwind();
    async move { work.await.unwrap_or(lost) }.boxed()
}

/// What the engine is told when an attempt broke off.
fn gave_up() -> Result<(), Reason> {
    let step = Step::Connect;
    Err(Reason::Closed { step })
}

fn quietly(what: &str, peer: &NodeName, result: Result<(), MemberError>) -> Done {
    if let Err(why) = result {
        tracing::warn!("{what}: {why} · {peer}");
    }
    Done::Nothing
}
