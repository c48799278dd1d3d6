//! Why we cannot tell who we are.

use thiserror::Error;
use trunkline_proto::NameError;

use super::{Network, Platform};

/// Why the platform gives this node no name. `Display` is what went wrong, in one clause;
/// [`place`](Self::place) and [`cure`](Self::cure) complete the line. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PlatformError {
    /// Neither a name nor a platform.
    #[error("cannot name this node: RELEASE_NODE is not set and no platform was recognised")]
    NoPlatform,
    /// A pod, and no name.
    #[error("cannot name this node: Kubernetes is not supported yet")]
    Kubernetes,
    /// A name that is none.
    #[error("{value:?} is no node name: {why}")]
    BadName {
        /// Where it stands.
        place: &'static str,
        /// The text.
        value: String,
        /// What is wrong with it.
        why: NameError,
    },
    /// A variable of the platform is absent.
    #[error("cannot name this node: {variable} is not set")]
    Missing {
        /// The platform.
        platform: Platform,
        /// The variable.
        variable: &'static str,
    },
    /// A variable of the platform holds something else.
    #[error("{value:?} in {variable} is no IP address")]
    NoIp {
        /// The variable.
        variable: &'static str,
        /// The text.
        value: String,
    },
    /// The URL of the metadata service is none.
    #[error("{url:?} is no URL: {why}")]
    BadMetadataUrl {
        /// The text.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The metadata service did not answer, or not with what was asked for.
    #[error("the metadata service {detail}")]
    Metadata {
        /// The URL that was asked.
        url: String,
        /// What happened.
        detail: String,
    },
    /// The Droplet has no such address.
    #[error("this Droplet has no {network} {} address", if *.ipv6 { "IPv6" } else { "IPv4" })]
    NoAddress {
        /// The network that was asked for.
        network: Network,
        /// The family that was asked for.
        ipv6: bool,
    },
    /// Droplets have no private IPv6.
    #[error("a Droplet has no private IPv6 address")]
    PrivateIpv6,
}

impl PlatformError {
    /// Whether the command line or the environment is at fault, not the moment.
    pub const fn is_usage(&self) -> bool {
        matches!(self, Self::BadMetadataUrl { .. } | Self::PrivateIpv6)
    }

    /// Where it happened, in a word or two.
    pub fn place(&self) -> String {
        match self {
            Self::NoPlatform => "environment".to_owned(),
            Self::Kubernetes => "KUBERNETES_SERVICE_HOST".to_owned(),
            Self::BadName { place, .. } => (*place).to_owned(),
            Self::Missing { platform, .. } => platform.to_string(),
            Self::NoIp { variable, .. } => (*variable).to_owned(),
            Self::BadMetadataUrl { .. } => "--metadata-url".to_owned(),
            Self::Metadata { url, .. } => url.clone(),
            Self::NoAddress { .. } => "metadata service".to_owned(),
            Self::PrivateIpv6 => "--ipv6".to_owned(),
        }
    }

    /// What to do about it, one clause in the imperative.
    pub const fn cure(&self) -> &'static str {
        match self {
            Self::NoPlatform => "set RELEASE_NODE=name@host, or give --platform fly or droplet",
            Self::Kubernetes => "set RELEASE_NODE=name@$POD_IP from the downward API",
            Self::BadName { .. } => "write it as name@host, for example app@10.0.0.5",
            Self::Missing { .. } => "set it, or set RELEASE_NODE=name@host",
            Self::NoIp { .. } => "correct it, or set RELEASE_NODE=name@host",
            Self::BadMetadataUrl { .. } => "write it like http://169.254.169.254/metadata/v1",
            Self::Metadata { .. } => "run this on a Droplet, or set RELEASE_NODE=name@host",
            Self::NoAddress {
                network: Network::Private,
                ..
            } => "put the Droplet into a VPC, or use --network public",
            Self::NoAddress { .. } => "enable that address for the Droplet, or choose the other",
            Self::PrivateIpv6 => "add --network public, or leave --ipv6 out",
        }
    }
}
