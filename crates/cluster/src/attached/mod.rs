//! A BEAM node that we did not start: steered by erpc over one hidden connection.
//!
//! Nothing of ours is loaded into it. We dial it under a stable name, run one watcher process there
//! (`watcher.rs`, `watching.rs`), and attach again whenever the connection was gone.

mod beam;
mod connect;
mod session;
mod watcher;
mod watching;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _, join_all};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};
use trunkline_node::probe::ProbeConfig;
use trunkline_node::{Node, Resolve, StartError, SystemResolver, Tls};
use trunkline_proto::{Cookie, NameError, NodeName, Reason, Step};
use trunkline_reconcile::{Attempt, Dial, Proof};

use self::beam::Beam;
use crate::{Member, MemberError, MemberEvent, MemberEvents};

/// Which node to attach to, and how.
#[derive(Clone, Debug)]
pub struct AttachConfig {
    /// The node.
    pub node: NodeName,
    /// Its cookie.
    pub cookie: Cookie,
    /// Where it listens, when EPMD need not be asked. Peers are taken to listen there too until the node
    /// says how it finds them (`-erl_epmd_port`).
    pub port: Option<u16>,
    /// Where port mappers listen, here and at the peers. Default 4369.
    pub epmd_port: u16,
    /// How long one probe of a peer may take, all steps together. Default 5 s.
    pub connect_timeout: Duration,
    /// How many dials the node makes at once for us; each is a process there. Default 64.
    pub max_connects: usize,
    /// Who resolves the host parts of names. Default: the operating system.
    pub resolver: Arc<dyn Resolve>,
    /// How the node and its peers are spoken to over TLS. Default: plain TCP.
    pub tls: Option<Tls>,
}

impl AttachConfig {
    /// The defaults for this node.
    pub fn new(node: NodeName, cookie: Cookie) -> Self {
        Self {
            node,
            cookie,
            port: None,
            epmd_port: trunkline_node::epmd::DEFAULT_PORT,
            connect_timeout: Duration::from_secs(5),
            max_connects: 64,
            resolver: Arc::new(SystemResolver),
            tls: None,
        }
    }

    /// The name under which we attach. One agent for one node: a second one under the same name is
    /// told so by the node itself.
    pub fn agent_name(&self) -> Result<NodeName, NameError> {
        format!("trunkline-{}@{}", self.node.alive(), self.node.host()).parse()
    }

    /// The name that our probes show to peers.
    pub fn probe_name(&self) -> Result<NodeName, NameError> {
        format!("trunkline-probe-{}@{}", self.node.alive(), self.node.host()).parse()
    }
}

/// The attached node, as the driver's [`Member`]. Dropping it ends the connection; the application
/// there notices nothing.
pub struct Attached {
    name: NodeName,
    probing: ProbeConfig,
    session: Arc<RwLock<Option<Session>>>,
    _stop: DropGuard,
}

/// What exists while we are attached.
#[derive(Clone, Debug)]
struct Session {
    beam: Beam,
    probing: ProbeConfig,
}

impl Attached {
    /// Starts attaching, and keeps at it until the result is dropped: the node may start later than
    /// we do, and restart under us.
    pub async fn start(config: AttachConfig) -> Result<(Self, MemberEvents), AttachError> {
        let me = config.agent_name()?;
        let probing = ProbeConfig {
            cookie: Some(config.cookie.clone()),
            timeout: config.connect_timeout,
            epmd_port: config.epmd_port,
            peer_port: config.port,
            resolver: Arc::clone(&config.resolver),
            tls: config.tls.clone(),
            ..ProbeConfig::new(config.probe_name()?)
        };
        let mut node = Node::builder(me)
            .cookie(config.cookie.clone())
            .epmd_port(config.epmd_port)
            // A second agent must not push the first one out.
            .respect_existing()
            // When to dial is the session's to decide.
            .auto_connect(false)
            .resolver(Arc::clone(&config.resolver));
        if let Some(tls) = config.tls {
            node = node.tls(tls);
        }
        let node = node.start().await?;
        let (events, received) = mpsc::unbounded_channel();
        let session = Arc::new(RwLock::new(None));
        let stop = CancellationToken::new();
        let keeper = session::Keeper {
            node,
            target: trunkline_node::Target {
                name: config.node.clone(),
                address: None,
                port: config.port,
            },
            probing: probing.clone(),
            session: Arc::clone(&session),
            events,
            reading: AtomicBool::new(false),
            noticed: Mutex::default(),
            dials: Arc::new(Semaphore::new(config.max_connects.max(1))),
        };
        tokio::spawn(stop.clone().run_until_cancelled_owned(keeper.run()));
        let attached = Self {
            name: config.node,
            probing,
            session,
            _stop: stop.drop_guard(),
        };
        Ok((attached, received))
    }

    /// The name of the attached node.
    pub fn name(&self) -> &NodeName {
        &self.name
    }

    /// The visible and the hidden neighbours of the node, ourselves included.
    pub async fn neighbours(&self) -> Result<Neighbours, MemberError> {
        let beam = self.session()?.beam;
        let (visible, hidden) = tokio::join!(beam.nodes("visible"), beam.nodes("hidden"));
        Ok(Neighbours {
            visible: visible?,
            hidden: hidden?,
        })
    }

    fn session(&self) -> Result<Session, MemberError> {
        let session = self.session.read().unwrap_or_else(PoisonError::into_inner);
        session.clone().ok_or(MemberError::Detached)
    }
}

/// Who is connected to a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Neighbours {
    /// `nodes()`.
    pub visible: BTreeSet<NodeName>,
    /// `nodes(hidden)`.
    pub hidden: BTreeSet<NodeName>,
}

impl Member for Attached {
    fn connect(&self, target: Dial, proof: Proof) -> BoxFuture<'_, Attempt> {
        async move {
            match self.session() {
                Ok(Session { beam, probing }) => {
                    connect::connect(&beam, &probing, target, proof).await
                }
                Err(_) => detached().into(),
            }
        }
        .boxed()
    }

    fn look(&self, target: Dial) -> BoxFuture<'_, Attempt> {
        async move {
            // A look is ours alone: it needs no node, and says nothing of one that is away.
            let session = self.session();
            let probing = session.map_or_else(|_| self.probing.clone(), |s| s.probing);
            connect::look(&probing, target).await
        }
        .boxed()
    }

    fn links(&self) -> BoxFuture<'_, Result<BTreeSet<NodeName>, MemberError>> {
        async move { self.session()?.beam.nodes("connected").await }.boxed()
    }

    fn leave(&self) -> BoxFuture<'_, Result<(), MemberError>> {
        async move { self.session()?.beam.global_disconnect().await }.boxed()
    }

    fn ask_leave(&self, peer: NodeName) -> BoxFuture<'_, Result<(), MemberError>> {
        async move { self.session()?.beam.global_disconnect_at(&peer).await }.boxed()
    }

    fn disconnect(&self, peer: NodeName) -> BoxFuture<'_, Result<(), MemberError>> {
        async move { self.session()?.beam.disconnect_node(&peer).await }.boxed()
    }

    fn find_agents(&self, among: Vec<NodeName>) -> BoxFuture<'_, BTreeMap<NodeName, bool>> {
        async move {
            let Ok(Session { beam, .. }) = self.session() else {
                return BTreeMap::new();
            };
            let asked = among.into_iter().map(|peer| has_agent(&beam, peer));
            join_all(asked).await.into_iter().flatten().collect()
        }
        .boxed()
    }
}

/// Whether an agent is attached to `peer`; `None` when it does not say. Our own node has one: us.
async fn has_agent(beam: &Beam, peer: NodeName) -> Option<(NodeName, bool)> {
    if peer == beam.name {
        return Some((peer, true));
    }
    let hidden = beam.hidden_at(&peer).await.ok()?;
    let agent = format!("trunkline-{}", peer.alive());
    let found = hidden.iter().any(|node| node.alive() == agent);
    Some((peer, found))
}

const fn detached() -> Result<(), Reason> {
    Err(Reason::Closed {
        step: Step::Connect,
    })
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attached")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Why attaching could not even begin. A node that is not there yet is no such error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// The node's name leaves no room for ours.
    #[error("no agent can be named for that node: {0}")]
    Name(#[from] NameError),
    /// Our own hidden node could not start.
    #[error("the agent's own node cannot start: {0}")]
    Start(#[from] StartError),
}

fn say(events: &mpsc::UnboundedSender<MemberEvent>, event: MemberEvent) {
    // A driver that is gone has dropped us too: nobody is left to hear it.
    events.send(event).ok();
}
