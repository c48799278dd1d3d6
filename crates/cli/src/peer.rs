//! The node that a verb talks to: which one, with which cookie, under which name of ours.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use trunkline_agent::caller::{CallerNumber, host_towards};
use trunkline_agent::config::NodeOptions;
use trunkline_agent::hosts::HostResolver;
use trunkline_agent::identity;
use trunkline_agent::socket::{Folders, LocalAgent};
use trunkline_node::{Resolve, Target, Tls};
use trunkline_proto::{Cookie, NodeName, Reason};

use crate::context::Context;
use crate::failure::Failure;
use crate::flags::duration;

/// The flags of every verb that talks to a node.
#[derive(clap::Args, Debug)]
pub(crate) struct PeerArgs {
    /// The node, name@host [default: the one that `exec` or `run` on this host serves]
    #[arg(value_name = "NODE")]
    pub(crate) node: Option<String>,
    /// File that holds the cookie [default: the configuration, RELEASE_COOKIE, the release's
    /// COOKIE file, ~/.erlang.cookie, or the agent on this host]
    #[arg(long, value_name = "FILE")]
    pub(crate) cookie_file: Option<PathBuf>,
    /// The node's distribution port, where no EPMD knows it [default: the configuration for its own
    /// node, else the EPMD on the node's host]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,
    /// How long to wait, all steps together: 5s, 500ms
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub(crate) timeout: Duration,
}

/// A node, and what it takes to talk to it.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) node: NodeName,
    pub(crate) port: Option<u16>,
    pub(crate) secret_cookie: Option<Cookie>,
    pub(crate) timeout: Duration,
    pub(crate) epmd_port: u16,
    pub(crate) resolver: Arc<dyn Resolve>,
    /// As the configuration says, or the flags in the environment.
    pub(crate) tls: Option<Tls>,
}

impl Peer {
    /// The node that the flags mean, and its cookie if there is one anywhere.
    pub(crate) async fn find(args: &PeerArgs, cx: &Context) -> Result<Self, Failure> {
        let folders = Folders::new(cx.env.path("XDG_RUNTIME_DIR"));
        let named = args.node.as_deref().map(parse_name).transpose()?;
        let (node, agent) = match named {
            Some(node) => {
                let agent = agent_that_knows(&node, &folders).await;
                (node, agent)
            }
            None => {
                let agent = LocalAgent::only(&folders).await.map_err(local_error)?;
                (agent.node.clone(), Some(agent))
            }
        };
        let served = agent.as_ref().filter(|_| args.node.is_none());
        let agent_cookie = match (served, &args.cookie_file) {
            (Some(agent), None) => agent.cookie().await.ok(),
            _ => None,
        };
        let secret_cookie = match agent_cookie {
            Some(cookie) => Some(cookie),
            None => find_cookie(args, cx, agent.as_ref()).await?,
        };
        let epmd_port = epmd_port(cx, agent.as_ref())?;
        let tls = trunkline_agent::tls::tls(&cx.env, &cx.node_options()?)?;
        let port = match args.port {
            Some(port) => Some(port),
            None => own_port(cx, &node, agent.as_ref())?,
        };
        Ok(Self {
            node,
            port,
            secret_cookie,
            timeout: args.timeout,
            epmd_port,
            resolver: Arc::new(HostResolver::default()),
            tls,
        })
    }

    /// Where to reach it.
    pub(crate) fn target(&self) -> Target {
        Target {
            port: self.port,
            ..Target::new(self.node.clone())
        }
    }

    /// The cookie, or the failure that says where it was looked for.
    pub(crate) fn cookie(&self) -> Result<Cookie, Failure> {
        self.secret_cookie.clone().ok_or_else(|| {
            Failure::usage(
                "no cookie was found",
                "configuration, RELEASE_COOKIE, $RELEASE_ROOT/releases/COOKIE, ~/.erlang.cookie",
                "give --cookie-file FILE",
            )
        })
    }

    /// Does `work` under the lowest free name of ours. Where the node still has a connection under
    /// that name, which no command on this host uses any more, the next one is tried.
    pub(crate) async fn under_free_name<T>(
        &self,
        mut work: impl AsyncFnMut(NodeName) -> Result<T, Reason>,
    ) -> Result<T, Reason> {
        let host = host_towards(&self.node, &*self.resolver).await;
        let mut number = CallerNumber::above(0);
        for _ in 0..NAME_TRIES {
            let name = number.name(&host).map_err(|error| Reason::BadName {
                detail: error.to_string(),
            })?;
            match work(name).await {
                Err(Reason::AlreadyConnected) => number = CallerNumber::above(number.get()),
                other => return other,
            }
        }
        Err(Reason::AlreadyConnected)
    }
}

/// A node that refuses this many names of ours refuses them all.
const NAME_TRIES: u32 = 5;

pub(crate) fn parse_name(text: &str) -> Result<NodeName, Failure> {
    text.parse().map_err(|error| {
        Failure::usage(
            format!("{text:?} is no node name: {error}"),
            "NODE",
            "write it as name@host, for example app@10.0.0.5",
        )
    })
}

/// The agent of this host that serves `node`; else the only one there is, whose cluster it may be in.
async fn agent_that_knows(node: &NodeName, folders: &Folders) -> Option<LocalAgent> {
    let mut all = LocalAgent::all(folders).await;
    match all.iter().position(|agent| agent.node == *node) {
        Some(at) => Some(all.swap_remove(at)),
        None if all.len() == 1 => all.pop(),
        None => None,
    }
}

/// As documented, and last the agent on this host: its cluster has one cookie.
async fn find_cookie(
    args: &PeerArgs,
    cx: &Context,
    agent: Option<&LocalAgent>,
) -> Result<Option<Cookie>, Failure> {
    let options = NodeOptions::load(cx.config_file()?)?;
    let found = identity::cookie(&cx.env, args.cookie_file.as_deref(), &options)?;
    match (found, agent) {
        (Some(found), _) => Ok(Some(found.secret_cookie)),
        (None, Some(agent)) => Ok(agent.cookie().await.ok()),
        (None, None) => Ok(None),
    }
}

/// `ERL_EPMD_PORT`, else the one with which the agent of this host was started: its cluster has one
/// port, and `exec --epmd-port` tells no other shell.
fn epmd_port(cx: &Context, agent: Option<&LocalAgent>) -> Result<u16, Failure> {
    let said = identity::epmd_port(&cx.env)?;
    let known = agent.and_then(|agent| agent.status.node.epmd_port);
    Ok(match (cx.env.get("ERL_EPMD_PORT"), known) {
        (None, Some(known)) => known,
        _ => said,
    })
}

/// Where `node` listens, when it is the one that the agent or the configuration of this host serves
/// and a port is given for that: no EPMD knows it.
fn own_port(
    cx: &Context,
    node: &NodeName,
    agent: Option<&LocalAgent>,
) -> Result<Option<u16>, Failure> {
    if let Some(agent) = agent.filter(|agent| agent.node == *node) {
        return Ok(agent.status.node.port);
    }
    let options = NodeOptions::load(cx.config_file()?)?;
    Ok(options.port.filter(|_| options.name.as_ref() == Some(node)))
}

fn local_error(error: trunkline_agent::socket::LocalError) -> Failure {
    Failure::usage(error.what(), error.place(), error.cure())
}

impl From<trunkline_agent::AgentError> for Failure {
    fn from(error: trunkline_agent::AgentError) -> Self {
        let code = if error.usage { 2 } else { 1 };
        Self::new(code, error.what, error.place, error.cure)
    }
}

impl From<trunkline_agent::ConfigError> for Failure {
    fn from(error: trunkline_agent::ConfigError) -> Self {
        Self::usage(error.what, error.place, error.cure)
    }
}
