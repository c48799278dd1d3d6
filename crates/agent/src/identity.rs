//! Which node is meant, and with which cookie it is reached.

use std::net::SocketAddr;
use std::path::Path;
use std::str::FromStr as _;
use std::time::Duration;

use trunkline_discovery::config::{BuildCx, Secret};
use trunkline_discovery::naming::Naming;
use trunkline_discovery::platform::{
    self, CookieSource, Env, FoundCookie, NameOptions, Network, PlatformError,
};
use trunkline_discovery::strategies::DROPLET_LABELS;
use trunkline_node::epmd;
use trunkline_proto::{Basename, Cookie, NodeName};

use crate::config::{AgentConfig, ConfigError, NodeOptions, TopologyOptions};
use crate::registered::visible_nodes;

/// A node's name, and who gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The name.
    pub node: NodeName,
    /// Who gave it, for the log.
    pub source: String,
}

/// The port of every port mapper: `ERL_EPMD_PORT`, else 4369.
///
/// # Errors
/// When the variable holds no port.
pub fn epmd_port(env: &Env) -> Result<u16, ConfigError> {
    let Some(text) = env.text("ERL_EPMD_PORT") else {
        return Ok(epmd::DEFAULT_PORT);
    };
    let port = text.parse().ok().filter(|port| *port != 0);
    port.ok_or_else(|| {
        ConfigError::new(
            format!("{text:?} is no port"),
            "ERL_EPMD_PORT",
            "set it to a number from 1 to 65535, the same on all hosts",
        )
    })
}

/// What topologies are built with here: the environment, and the port mappers of the hosts.
///
/// # Errors
/// As [`epmd_port`].
pub fn build_cx(env: &Env) -> Result<BuildCx, ConfigError> {
    let epmd_port = epmd_port(env)?;
    Ok(BuildCx {
        epmd_port,
        ..trunkline::build_cx(env.clone())
    })
}

impl Identity {
    /// The node to serve: configuration, `RELEASE_NODE`, platform, and last the only visible
    /// registration in the local EPMD. `Ok(None)`: nothing names it, and no node is registered yet.
    ///
    /// # Errors
    /// A name that is none, a platform that does not answer, or several registered nodes.
    pub async fn find(config: &AgentConfig, env: &Env) -> Result<Option<Self>, ConfigError> {
        let by_platform = platform::name(env, &config.name_options()).await;
        let unnamed = match by_platform {
            Ok(named) => {
                let source = named.source.to_string();
                let node = named.node;
                return Ok(Some(Self { node, source }));
            }
            Err(error @ PlatformError::BadName { .. }) => return Err(platform_error(&error)),
            Err(error) => error,
        };
        match Self::registered(epmd_port(env)?).await? {
            Some(found) => Ok(Some(found)),
            None if unnamed == PlatformError::NoPlatform => Ok(None),
            None => Err(platform_error(&unnamed)),
        }
    }

    /// The only visible node that is registered on this host; `None` when there is none, or no port
    /// mapper yet.
    ///
    /// # Errors
    /// When there are several.
    pub async fn registered(epmd_port: u16) -> Result<Option<Self>, ConfigError> {
        let mut nodes = match visible_nodes(epmd_port).await {
            Ok(nodes) => nodes,
            Err(error) => {
                tracing::debug!("the local epmd on port {epmd_port}: {error}");
                return Ok(None);
            }
        };
        if nodes.len() > 1 {
            let names: Vec<_> = nodes.iter().map(NodeName::as_str).collect();
            return Err(ConfigError::new(
                format!("several nodes are registered here: {}", names.join(", ")),
                format!("local epmd, port {epmd_port}"),
                "say which one: [node] name, or RELEASE_NODE",
            ));
        }
        let source = SocketAddr::from(([127, 0, 0, 1], epmd_port));
        Ok(nodes.pop().map(|node| Self {
            node,
            source: format!("the only node in epmd at {source}"),
        }))
    }
}

/// How often the port mapper is looked at while no node is registered.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// As [`Identity::find`], and waits until a node registers when nothing else names it.
///
/// # Errors
/// As [`Identity::find`].
pub async fn wait(config: &AgentConfig, env: &Env) -> Result<Identity, ConfigError> {
    let mut said = false;
    loop {
        if let Some(found) = Identity::find(config, env).await? {
            return Ok(found);
        }
        if !said {
            let port = epmd_port(env)?;
            tracing::info!(
                "no node is registered yet, waiting · local epmd, port {port} · start it, or set [node] name"
            );
            said = true;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

impl AgentConfig {
    /// What the configuration says of the own node's name: `[node] name`, and on a Droplet the
    /// address and basename that its topology looks for, on Fly the basename, so that both ends agree.
    pub fn name_options(&self) -> NameOptions {
        let mut options = NameOptions {
            config: self.node.name.clone(),
            ..NameOptions::default()
        };
        if let Some(topology) = self.topologies.iter().find(|t| t.is("digitalocean")) {
            let network = topology.text("network");
            options.network = network
                .and_then(|n| Network::from_str(n).ok())
                .unwrap_or_default();
            options.ipv6 = topology.flag("ipv6");
            options.basename = topology
                .text("node_basename")
                .and_then(|base| Naming::parse(base, DROPLET_LABELS).ok());
            options.metadata_url = topology.text("metadata_url").map(str::to_owned);
        }
        options.fly_basename = self.fly_basename();
        options
    }

    /// Of the topology that looks for this machine's own app; another app's says nothing about us.
    fn fly_basename(&self) -> Option<Basename> {
        let keys = |t: &TopologyOptions, keys: [&str; 2]| {
            let found = keys.into_iter().find_map(|key| t.text(key));
            found.map(str::to_owned)
        };
        let own = |t: &&TopologyOptions| t.is("fly") && keys(t, ["app", "query"]).is_none();
        let topology = self.topologies.iter().find(own)?;
        let text = keys(topology, ["node_basename", "basename"])?;
        text.parse().ok().filter(|_| text != "learn")
    }
}

fn platform_error(error: &PlatformError) -> ConfigError {
    ConfigError::new(error.to_string(), error.place(), error.cure())
}

/// The cookie: the file `flag`, the configuration, then where OTP and releases keep it. `Ok(None)`
/// when there is none anywhere.
///
/// # Errors
/// A place that should hold one and does not.
pub fn cookie(
    env: &Env,
    flag: Option<&Path>,
    node: &NodeOptions,
) -> Result<Option<FoundCookie>, ConfigError> {
    let failed = |error: platform::CookieFileError| {
        ConfigError::new(
            error.why,
            error.place,
            "put the cookie there, or name another place",
        )
    };
    match (flag, &node.cookie) {
        (None, Some(secret @ Secret::Env(name))) => {
            from_variable(env, name, &secret.source()).map(Some)
        }
        (None, Some(secret @ Secret::File(path))) => {
            let found = platform::file_cookie(path, CookieSource::Config).map_err(failed)?;
            found.map(Some).ok_or_else(|| {
                let what = format!("cookie is to come from {}: no such file", secret.source());
                ConfigError::new(what, "[node]", "make it a file that this user can read")
            })
        }
        _ => platform::cookie(env, flag, None).map_err(failed),
    }
}

/// The variable's bytes as they are, as the BEAM takes them.
fn from_variable(env: &Env, name: &str, shown: &str) -> Result<FoundCookie, ConfigError> {
    let wrong = |what: String| {
        ConfigError::new(
            what,
            "[node]",
            format!("set {}", shown.trim_start_matches('$')),
        )
    };
    let value = env
        .bytes(name)
        .ok_or_else(|| wrong(format!("cookie is to come from {shown}, which is not set")))?;
    let secret_cookie =
        Cookie::new(value).map_err(|error| wrong(format!("{error} (from {shown})")))?;
    Ok(FoundCookie {
        secret_cookie,
        source: CookieSource::Config,
        file_mode: None,
    })
}
