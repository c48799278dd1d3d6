//! `[admin]`: where the agent answers, and to whom.

use std::net::SocketAddr;
use std::num::NonZeroU32;

use serde::Deserialize;
use toml::Table;
use trunkline_discovery::Env;
use trunkline_discovery::config::{ConfigError, Field, Secret, SecretText, read};

/// What `[admin]` knows.
pub const FIELDS: &[Field] = &[
    Field::new(
        "listen",
        "an address and a port, such as \"127.0.0.1:4370\"",
        "where the agent answers HTTP; when the default is taken, the next free port is used",
    )
    .default("\"127.0.0.1:4370\""),
    Field::new(
        "token",
        "{ env = \"NAME\" } or { file = \"/path\" }",
        "what requests must bear; demanded on any address that is not loopback",
    )
    .secret()
    .example("{ env = \"TRUNKLINE_ADMIN_TOKEN\" }"),
    Field::new(
        "min_nodes",
        "a whole number of at least 1",
        "how many nodes /readyz waits for, the own one counted",
    )
    .default("1"),
];

/// Where the agent answers, and to whom.
#[derive(Clone, Debug)]
pub struct AdminOptions {
    /// The address that must be had; `None`: the default one or the next free port.
    pub listen: Option<SocketAddr>,
    /// What requests must bear.
    pub token: Option<SecretText>,
    /// How many nodes `/readyz` waits for, the own one counted.
    pub min_nodes: usize,
}

impl Default for AdminOptions {
    fn default() -> Self {
        Self {
            listen: None,
            token: None,
            min_nodes: 1,
        }
    }
}

impl AdminOptions {
    pub(super) fn read(table: &Table, env: &Env) -> Result<Self, ConfigError> {
        let raw: Raw = read("admin", table, FIELDS)?;
        if let Some(Secret::Text(_)) = raw.token {
            let allowed = "{ env = \"NAME\" } or { file = \"/path\" }";
            return Err(ConfigError::bad_value(
                "admin", "token", "(hidden)", allowed,
            ));
        }
        let token = raw.token.map(|token| token.token(env, "admin", "token"));
        let exposed = raw
            .listen
            .filter(|addr| !addr.ip().to_canonical().is_loopback());
        if let (Some(addr), None) = (exposed, &token) {
            return Err(ConfigError::new(
                "admin",
                Some("listen"),
                format!("listen = \"{addr}\" is open to others and has no token"),
                "set token = { env = \"NAME\" } or { file = \"/path\" }, or listen on 127.0.0.1",
            ));
        }
        Ok(Self {
            listen: raw.listen,
            token: token.transpose()?,
            min_nodes: raw.min_nodes.map_or(1, |nodes| nodes.get() as usize),
        })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Raw {
    listen: Option<SocketAddr>,
    token: Option<Secret>,
    min_nodes: Option<NonZeroU32>,
}
