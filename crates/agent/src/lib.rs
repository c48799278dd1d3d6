//! The service of Trunkline: one agent stands beside one BEAM node, finds its peers, connects them
//! and says how that goes.
//!
//! It does no discovery, no probing and no steering of its own: `trunkline-discovery`,
//! `trunkline-node` and the crate `trunkline` do. Here is what makes a service of them.
//!
//! | module | holds |
//! |---|---|
//! | [`service`] | [`Agent`]: start here |
//! | [`config`] | `trunkline.toml`, or what the environment says without one |
//! | [`identity`] | which node is meant, and with which cookie it is reached |
//! | [`hosts`] | turning the hosts of node names into addresses |
//! | [`look`] | one look through every topology |
//! | [`tls`] | whether the node speaks TLS, and with which files |
//! | [`watch`] | what changes in every topology |
//! | [`admin`] | the HTTP address: alive, ready, status; who may ask |
//! | [`socket`] | the unix socket: one agent for one node, and how other commands find it |
//! | [`status`] | what the agent says of itself, as JSON |
//! | [`registered`] | which nodes the port mapper of this host knows |
//! | [`caller`] | the name that a command bears when it talks to a node |

pub mod admin;
pub mod caller;
pub mod config;
mod error;
pub mod hosts;
pub mod identity;
pub mod look;
pub mod registered;
mod reload;
pub mod service;
pub mod socket;
pub mod status;
pub mod tls;
pub mod watch;

pub use config::{AgentConfig, ConfigError};
pub use error::AgentError;
pub use identity::Identity;
pub use reload::Reloaded;
pub use service::{Agent, run};
