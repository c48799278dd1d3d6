//! The agent itself: one node, its topologies, its two addresses.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use trunkline::{AttachConfig, Attached, Cluster, ClusterConfig};
use trunkline_discovery::platform::{Env, FoundCookie};
use trunkline_discovery::strategies::Topology;
use trunkline_node::Resolve;
use zeroize::Zeroizing;

use crate::admin::{self, Guard, View};
use crate::config::{AdminOptions, AgentConfig, ConfigError};
use crate::error::AgentError;
use crate::hosts::HostResolver;
use crate::identity::{self, Identity};
use crate::reload::{self, Reloaded, Reloader};
use crate::socket::{self, Claim, Folders};
use crate::status::{AgentStatus, NodeStatus, ReasonStatus, TopologyStatus, millis, unlisted};

/// What answers on the two addresses may take to finish when the agent ends.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// A running agent. Dropping it ends it at once; [`shutdown`](Self::shutdown) lets sources withdraw
/// what they announced. Either way the links of its node stay: the application notices nothing.
#[derive(Debug)]
pub struct Agent {
    cluster: Cluster,
    view: Arc<Facts>,
    reloader: Arc<Reloader>,
    servers: JoinSet<()>,
    stop: CancellationToken,
    _claim: Claim,
}

impl Agent {
    /// Starts the agent of a node and returns at once: the node may start later. `cookie` is the
    /// node's.
    ///
    /// # Errors
    /// A bad option, an agent that already serves the node, an admin address that is taken. Nothing
    /// is left behind.
    pub async fn start(
        config: AgentConfig,
        identity: Identity,
        cookie: FoundCookie,
        env: &Env,
    ) -> Result<Self, AgentError> {
        let epmd_port = identity::epmd_port(env)?;
        let topologies = config.build(&identity::build_cx(env)?)?;
        let folders = Folders::new(env.path("XDG_RUNTIME_DIR"));
        let tls = crate::tls::tls(env, &config.node)?;
        let (claim, unix) = Claim::take(&identity.node, epmd_port, &folders)?;
        if let Err(error) = &unix {
            say_no_socket(error, &folders);
        }
        let tcp = admin::bind(config.admin.listen).await?;
        say_cookie(&cookie);
        say_start(&config, &identity, &topologies, &tcp);

        let resolver: Arc<dyn Resolve> = Arc::new(HostResolver::default());
        let port = config.node.port;
        let attach = AttachConfig {
            port,
            epmd_port,
            connect_timeout: config.engine.connect_timeout,
            max_connects: config.engine.max_connects,
            resolver: Arc::clone(&resolver),
            tls,
            ..AttachConfig::new(identity.node.clone(), cookie.secret_cookie.clone())
        };
        let (attached, events) = Attached::start(attach).await.map_err(|error| {
            let cure = "correct the node's name, [node] name";
            AgentError::operation(error.to_string(), identity.node.to_string(), cure)
        })?;
        let strategies = strategies(&topologies);
        let me = identity.node.clone();
        let cluster = ClusterConfig {
            engine: config.engine.clone(),
            resolver,
            ..ClusterConfig::new(topologies)
        };
        let cluster = Cluster::start(me, attached, events, cluster);
        let view = Arc::new(Facts {
            cluster: cluster.clone(),
            node: identity.node.to_string(),
            cookie_source: cookie.source.to_string(),
            epmd_port,
            port,
            strategies: RwLock::new(strategies),
            min_nodes: AtomicUsize::new(config.admin.min_nodes),
            started: Instant::now(),
        });
        let stop = CancellationToken::new();
        let mut servers = JoinSet::new();
        let seen: Arc<dyn View> = Arc::clone(&view) as Arc<dyn View>;
        let guard = guard(&tcp, &config.admin)?;
        let bare = config.admin.token.is_none();
        let secret_cookie = cookie.secret_cookie;
        let reloader = Reloader::new(
            config,
            secret_cookie.clone(),
            env,
            cluster.clone(),
            Arc::clone(&view),
        );
        let reloader = Arc::new(reloader);
        let orders = reload::route(Arc::clone(&reloader));
        // What changes something is never to be had without a token.
        let over_tcp = if bare { Router::new() } else { orders.clone() };
        let tcp = admin::serve(tcp, Arc::clone(&seen), over_tcp, guard, stop.clone());
        servers.spawn(report("the admin address", tcp));
        if let Ok(unix) = unix {
            let unix = socket::serve(unix, seen, secret_cookie, orders, stop.clone());
            servers.spawn(report("the unix socket", unix));
        }
        Ok(Self {
            cluster,
            view,
            reloader,
            servers,
            stop,
            _claim: claim,
        })
    }

    /// What `/api/v1/status` says.
    pub fn status(&self) -> AgentStatus {
        self.view.status()
    }

    /// Reads the configuration again and does what changed; no link ends by it. How it went is in
    /// the log too.
    ///
    /// # Errors
    /// The first mistake in the new file. Everything stays as it is.
    pub async fn reload(&self) -> Result<Reloaded, ConfigError> {
        self.reloader.reload().await
    }

    /// Whether the node is there, even when it does not let the agent in.
    pub fn node_answers(&self) -> bool {
        self.cluster.member_answers()
    }

    /// Makes no new links from now on and leaves those that exist alone: for an application that
    /// drains before it ends.
    pub fn stop_dialling(&self) {
        self.cluster.stop_dialling();
    }

    /// Ends the agent, at the latest two seconds later. Links of the node stay.
    pub async fn shutdown(mut self) {
        self.cluster.stop_dialling();
        self.stop.cancel();
        let cluster = self.cluster.shutdown();
        let servers = timeout(LAST_ANSWERS, async {
            while self.servers.join_next().await.is_some() {}
        });
        // A client that does not read its answer is left to itself.
        let ((), _) = tokio::join!(cluster, servers);
    }
}

/// Runs the agent in the foreground until `stop`: what `trunkline run` does. Without a name it
/// waits for the first node that registers on this host. Each `reload` has the configuration read
/// again.
///
/// # Errors
/// As [`Agent::start`], and a name or cookie that cannot be found.
pub async fn run(
    mut config: AgentConfig,
    env: &Env,
    reload: &Notify,
    stop: CancellationToken,
) -> Result<(), AgentError> {
    let identity = loop {
        tokio::select! {
            found = identity::wait(&config, env) => break found?,
            () = reload.notified() => config = load_again(config, env),
            () = stop.cancelled() => return Ok(()),
        }
    };
    warn_of_two_names(&config, env);
    let cookie = identity::cookie(env, None, &config.node)?.ok_or_else(no_cookie)?;
    let agent = Agent::start(config, identity, cookie, env).await?;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            // A mistake is in the log, and the agent goes on.
            () = reload.notified() => drop(agent.reload().await),
        }
    }
    tracing::info!("stopping, the node's links stay · {}", agent.view.node);
    agent.shutdown().await;
    Ok(())
}

/// While nobody is served yet the file is simply read again; with a mistake in it the old one counts.
fn load_again(old: AgentConfig, env: &Env) -> AgentConfig {
    let new = AgentConfig::load(old.file.as_deref(), env).and_then(|new| {
        new.build(&identity::build_cx(env)?)?;
        Ok(new)
    });
    match new {
        Ok(new) => {
            tracing::info!("configuration read again, no node is served yet");
            new
        }
        Err(error) => {
            let ConfigError { what, place, cure } = error;
            tracing::error!(
                "the new configuration is not taken, the old one stays: {what} · {place} · {cure}"
            );
            old
        }
    }
}

/// A release that is started in this environment would take the other name.
fn warn_of_two_names(config: &AgentConfig, env: &Env) {
    let (Some(name), Some(there)) = (&config.node.name, env.text("RELEASE_NODE")) else {
        return;
    };
    if there != name.as_str() {
        tracing::warn!(
            "RELEASE_NODE is {there} and not used, the configuration says {name} · [node] name · \
             make them alike, or unset one"
        );
    }
}

/// There is no cookie anywhere.
pub fn no_cookie() -> ConfigError {
    ConfigError::new(
        "there is no cookie",
        "[node] cookie, RELEASE_COOKIE, $RELEASE_ROOT/releases/COOKIE, $HOME/.erlang.cookie",
        "give this agent the node's cookie in one of these places",
    )
}

/// What status is made of.
#[derive(Debug)]
pub(crate) struct Facts {
    cluster: Cluster,
    node: String,
    cookie_source: String,
    epmd_port: u16,
    port: Option<u16>,
    /// By topology; with the reason for those that are off.
    strategies: RwLock<Strategies>,
    min_nodes: AtomicUsize,
    started: Instant,
}

type Strategies = BTreeMap<String, (&'static str, Option<String>)>;

impl Facts {
    /// New and changed topologies, and those that are gone.
    pub(crate) fn learn(&self, set: &[Topology], removed: &[String]) {
        let mut known = self
            .strategies
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        removed.iter().for_each(|name| drop(known.remove(name)));
        known.extend(strategies(set));
    }

    pub(crate) fn set_min_nodes(&self, nodes: usize) {
        self.min_nodes.store(nodes, Ordering::Relaxed);
    }
}

impl View for Facts {
    fn status(&self) -> AgentStatus {
        let status = self.cluster.status();
        let engine = status.engine;
        let strategies = self
            .strategies
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let topologies = engine.topologies.iter().map(|topology| {
            let name = topology.topology.to_string();
            let (strategy, off) = strategies.get(&name).cloned().unwrap_or_default();
            let mut shown = TopologyStatus::new(topology, strategy, &engine.peers);
            if off.is_some() {
                "off".clone_into(&mut shown.state);
            }
            shown.off = off;
            shown
        });
        AgentStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_ms: millis(self.started.elapsed()),
            node: NodeStatus {
                name: self.node.clone(),
                attached: engine.up,
                reason: status.detached.as_ref().map(ReasonStatus::from),
                cookie_source: self.cookie_source.clone(),
                epmd_port: Some(self.epmd_port),
                port: self.port,
            },
            topologies: topologies.collect(),
            unlisted: unlisted(&engine.peers),
            links: engine.links.iter().map(ToString::to_string).collect(),
        }
    }

    fn min_nodes(&self) -> usize {
        self.min_nodes.load(Ordering::Relaxed)
    }
}

fn strategies(topologies: &[Topology]) -> Strategies {
    let each = topologies.iter();
    each.map(|t| (t.name.clone(), (t.strategy, t.off.clone())))
        .collect()
}

fn guard(listener: &TcpListener, admin: &AdminOptions) -> Result<Guard, AgentError> {
    let addr = listener.local_addr().map_err(|error| {
        let cure = "report this";
        AgentError::operation(error.to_string(), "[admin] listen", cure)
    })?;
    let secret_token = admin.token.as_ref();
    let secret_token = secret_token.map(|text| Zeroizing::new(text.expose().as_bytes().to_vec()));
    Ok(Guard::new(addr.ip(), secret_token))
}

async fn report(what: &str, server: impl Future<Output = std::io::Result<()>>) {
    if let Err(error) = server.await {
        tracing::error!("{what} is lost: {error} · this agent · restart it");
    }
}

/// The node is served all the same: a release must not fail because its root is read-only.
fn say_no_socket(error: &std::io::Error, folders: &Folders) {
    tracing::warn!(
        "nodes and ping on this host will not find this agent, it has no unix socket: {error} · {} · \
         make one of them writable for this user (systemd: RuntimeDirectory=trunkline), or set \
         XDG_RUNTIME_DIR",
        folders.names().join(", ")
    );
}

/// Where the cookie came from, never the cookie; and what is wrong with it.
fn say_cookie(cookie: &FoundCookie) {
    tracing::info!("the cookie is the one in {}", cookie.source);
    for weakness in cookie.weaknesses() {
        let (source, cure) = (&cookie.source, weakness.cure());
        tracing::warn!("the cookie is weak: {weakness} · {source} · {cure}");
    }
}

fn say_start(
    config: &AgentConfig,
    identity: &Identity,
    topologies: &[Topology],
    admin: &TcpListener,
) {
    let (node, source) = (&identity.node, &identity.source);
    tracing::info!("serving {node}, named by {source}");
    for topology in topologies {
        let (name, strategy, chosen) = (&topology.name, topology.strategy, &config.chosen);
        match &topology.off {
            None => tracing::info!("topology {name} ({strategy}), because {chosen}"),
            Some(why) => tracing::info!("topology {name} ({strategy}) is off, because {why}"),
        }
    }
    if let Ok(addr) = admin.local_addr() {
        tracing::info!("status at http://{addr}/api/v1/status");
    }
}
