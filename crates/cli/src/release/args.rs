//! The flags that `env` and `exec` share.

use trunkline_discovery::naming::Naming;
use trunkline_discovery::platform::{self, Env, NameOptions, Network, Platform};
use trunkline_proto::{Basename, NodeName};

use crate::context::Context;
use crate::failure::Failure;

/// What the operator says about the node's name.
#[derive(clap::Args, Debug, Clone)]
pub(crate) struct WhoArgs {
    /// The node's name, like app@10.0.0.5 [default: RELEASE_NODE, else the platform's]
    #[arg(long, value_name = "NODE")]
    pub(crate) name: Option<NodeName>,
    /// Where this runs: fly, droplet [default: recognised]
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<Platform>,
    /// Droplets: the network whose address is in the name: private, public [default: private]
    #[arg(long, value_name = "NETWORK")]
    pub(crate) network: Option<Network>,
    /// Droplets: the IPv6 address; needs --network public
    #[arg(long)]
    pub(crate) ipv6: bool,
    /// The part before the @ [default: the Droplet's name; on Fly the app's name and image]
    #[arg(long, value_name = "NAME")]
    pub(crate) node_basename: Option<Basename>,
    /// Droplets: where the metadata service answers [default: http://169.254.169.254/metadata/v1]
    #[arg(long, value_name = "URL")]
    pub(crate) metadata_url: Option<String>,
}

impl WhoArgs {
    /// Where this runs: the flag, else what the environment shows.
    pub(crate) fn platform(&self, env: &Env) -> Option<Platform> {
        self.platform
            .or_else(|| platform::detect(env).map(|detected| detected.platform))
    }

    /// For `platform::name`: the flags, then the configuration; `force` passes over `RELEASE_NODE`.
    pub(crate) fn name_options(&self, force: bool, cx: &Context) -> Result<NameOptions, Failure> {
        let config = cx.name_options()?;
        if !force && self.name.is_none() {
            warn_of_two_names(config.config.as_ref(), &cx.env);
        }
        Ok(NameOptions {
            flag: self.name.clone(),
            config: config
                .config
                .filter(|_| force || cx.env.get("RELEASE_NODE").is_none()),
            ignore_release_node: force,
            platform: self.platform,
            network: self.network.unwrap_or(config.network),
            ipv6: self.ipv6 || config.ipv6,
            basename: self
                .node_basename
                .clone()
                .map(Naming::Fixed)
                .or(config.basename),
            fly_basename: self.node_basename.clone().or(config.fly_basename),
            metadata_url: self.metadata_url.clone().or(config.metadata_url),
        })
    }
}

/// `RELEASE_NODE` stays as it is, for the release may have it from elsewhere; not without a word.
fn warn_of_two_names(config: Option<&NodeName>, env: &Env) {
    let (Some(config), Some(there)) = (config, env.get("RELEASE_NODE")) else {
        return;
    };
    if there != config.as_str() {
        tracing::warn!(
            "RELEASE_NODE is already {} and stays so, {config} is not used · [node] name · \
             make them alike, or add --force",
            there.to_string_lossy()
        );
    }
}

/// What the operator says about the release.
#[derive(clap::Args, Debug, Clone)]
pub(crate) struct ReleaseArgs {
    /// What starts the node
    #[arg(long = "for", value_name = "TOOL", value_enum, default_value_t = Tool::Mix)]
    pub(crate) tool: Tool,
    /// Override what is already in the environment
    #[arg(long)]
    pub(crate) force: bool,
    /// The port of epmd, for this node and those that look for it [default: 4369]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) epmd_port: Option<u16>,
    /// The port on which the node itself listens [default: any]. Only commands that start a node
    /// get it: two nodes cannot share a port
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) dist_port: Option<u16>,
}

/// What starts the node, and so which variables it reads.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// A mix release: RELEASE_* and ELIXIR_ERL_OPTIONS
    Mix,
    /// `erl` itself: all of it in ERL_AFLAGS
    Erl,
    /// A relx (rebar3) release: ${RELEASE_NODE} in vm.args.src
    Relx,
}
