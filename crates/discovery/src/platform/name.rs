//! The node's name: who was asked, in which order.

use crate::naming::Naming;
use std::fmt;

use trunkline_proto::{Basename, NodeName};

use super::droplet::Metadata;
use super::{Env, Network, Platform, PlatformError, detect, fly};

/// What the operator has said about the name. The default: look around.
#[derive(Clone, Debug, Default)]
pub struct NameOptions {
    /// The flag: wins over everything.
    pub flag: Option<NodeName>,
    /// `[node] name` of the configuration.
    pub config: Option<NodeName>,
    /// Whether `RELEASE_NODE` is not looked at (`env --force`).
    pub ignore_release_node: bool,
    /// Ask this platform instead of the one that is recognised.
    pub platform: Option<Platform>,
    /// Droplets: which network's address.
    pub network: Network,
    /// Droplets: the IPv6 address.
    pub ipv6: bool,
    /// Droplets: the part before the `@`; the Droplet's name when absent.
    pub basename: Option<Naming>,
    /// Fly: the part before the `@`; made of the app's name and its image when absent.
    pub fly_basename: Option<Basename>,
    /// Droplets: where the metadata service answers; [`droplet::METADATA_URL`] when absent.
    ///
    /// [`droplet::METADATA_URL`]: super::droplet::METADATA_URL
    pub metadata_url: Option<String>,
}

/// A name, and who gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The name. From `RELEASE_NODE`, flag and configuration as written; from a platform canonical.
    pub node: NodeName,
    /// Who gave it.
    pub source: NameSource,
}

/// Who gave the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NameSource {
    /// The command line.
    Flag,
    /// The configuration file.
    Config,
    /// `RELEASE_NODE`.
    ReleaseNode,
    /// The platform.
    Platform(Platform),
}

impl fmt::Display for NameSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.pad("--name"),
            Self::Config => f.pad("the configuration"),
            Self::ReleaseNode => f.pad("RELEASE_NODE"),
            Self::Platform(platform) => platform.fmt(f),
        }
    }
}

/// The node's name: flag, configuration, `RELEASE_NODE`, platform. The local EPMD, which comes
/// last, is the caller's to ask: only what attaches to a running node may.
pub async fn name(env: &Env, options: &NameOptions) -> Result<Named, PlatformError> {
    let named = |node: &NodeName, source| Named {
        node: node.clone(),
        source,
    };
    if let Some(node) = &options.flag {
        return Ok(named(node, NameSource::Flag));
    }
    if let Some(node) = &options.config {
        return Ok(named(node, NameSource::Config));
    }
    let release_node = env
        .get("RELEASE_NODE")
        .filter(|_| !options.ignore_release_node);
    if let Some(text) = release_node {
        let text = text.to_string_lossy();
        let node = text.parse().map_err(|why| PlatformError::BadName {
            place: "RELEASE_NODE",
            value: text.into_owned(),
            why,
        })?;
        return Ok(named(&node, NameSource::ReleaseNode));
    }
    let platform = match options.platform {
        Some(platform) => platform,
        None => detect(env).ok_or(PlatformError::NoPlatform)?.platform,
    };
    let node = match platform {
        Platform::Fly => fly::node_name(env, options.fly_basename.as_ref())?,
        Platform::Kubernetes => return Err(PlatformError::Kubernetes),
        Platform::Droplet => droplet(options).await?,
    };
    Ok(named(&node, NameSource::Platform(platform)))
}

async fn droplet(options: &NameOptions) -> Result<NodeName, PlatformError> {
    let metadata = Metadata::new(options.metadata_url.as_deref())?;
    metadata
        .node_name(options.network, options.ipv6, options.basename.as_ref())
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(vars: &[(&str, &str)]) -> Env {
        vars.iter().copied().collect::<Env>().with_root("/nowhere")
    }

    #[tokio::test]
    async fn order() {
        let mut options = NameOptions {
            flag: "a@h".parse().ok(),
            config: "b@h".parse().ok(),
            ..NameOptions::default()
        };
        let fly = [("FLY_APP_NAME", "d"), ("FLY_PRIVATE_IP", "fdaa::1")];
        let mut env = env(&fly);
        env.set("RELEASE_NODE", "c@h");
        let mut seen = Vec::new();
        for step in 0..4 {
            let named = name(&env, &options).await.unwrap();
            seen.push(format!("{} from {}", named.node, named.source));
            match step {
                0 => options.flag = None,
                1 => options.config = None,
                _ => options.ignore_release_node = true,
            }
        }
        assert_eq!(
            seen,
            [
                "a@h from --name",
                "b@h from the configuration",
                "c@h from RELEASE_NODE",
                "d@fdaa::1 from fly"
            ]
        );
    }

    #[tokio::test]
    async fn nothing_to_go_by() {
        let options = NameOptions::default();
        assert_eq!(
            name(&env(&[]), &options).await,
            Err(PlatformError::NoPlatform)
        );
        let bad = name(&env(&[("RELEASE_NODE", "app")]), &options).await;
        assert!(matches!(
            bad,
            Err(PlatformError::BadName {
                place: "RELEASE_NODE",
                ..
            })
        ));
    }
}
