//! `[node]`: the node that the agent serves.

use std::num::NonZeroU16;
use std::path::Path;

use serde::{Deserialize, Deserializer, de};
use toml::Table;
use trunkline_discovery::config::{ConfigError, Field, Secret, read};
use trunkline_proto::NodeName;

use super::TlsOptions;

/// What `[node]` knows.
pub const FIELDS: &[Field] = &[
    Field::new(
        "name",
        "a node name, \"name@host\"",
        "the node to serve; by default the release's environment, the platform or the local EPMD names it",
    )
    .example("\"my_app@10.0.0.5\""),
    Field::new("mode", "\"attach\"", "stand beside a BEAM node").default("\"attach\""),
    Field::new(
        "cookie",
        "{ env = \"NAME\" } or { file = \"/path\" }",
        "where the cookie is; by default as documented in \"Cookies\"",
    )
    .secret()
    .example("{ env = \"RELEASE_COOKIE\" }"),
    Field::new(
        "port",
        "a port, 1 to 65535",
        "where the node listens, for a node that no EPMD knows (-start_epmd false -erl_epmd_port N); by default the EPMD on its host is asked",
    )
    .example("9100"),
    Field::new(
        "tls",
        "{ optfile = \"/path\" }, or { cacertfile = \"/path\" } with certfile and keyfile",
        "distribution over TLS; by default as -proto_dist and -ssl_dist_optfile in ELIXIR_ERL_OPTIONS, ERL_AFLAGS, ERL_FLAGS or ERL_ZFLAGS say",
    )
    .example("{ optfile = \"/etc/my_app/ssl_dist.conf\" }"),
];

/// The node that the agent serves, as far as the configuration says.
#[derive(Clone, Debug, Default)]
pub struct NodeOptions {
    /// Its name; `None`: the environment, the platform or the local EPMD names it.
    pub name: Option<NodeName>,
    /// Where its cookie is; `None`: where OTP and releases keep it.
    pub cookie: Option<Secret>,
    /// How it is spoken to over TLS; `None`: as the environment says, else plain TCP.
    pub tls: Option<TlsOptions>,
    /// Where it listens; `None`: the EPMD on its host knows.
    pub port: Option<u16>,
}

impl NodeOptions {
    /// The section `[node]` of `file` alone, for commands that talk to a node and run no agent.
    ///
    /// # Errors
    /// What is wrong with the file or the section.
    pub fn load(file: Option<&Path>) -> Result<Self, super::ConfigError> {
        let Some(file) = file else {
            return Ok(Self::default());
        };
        let document = super::open(file)?;
        match document.root.get("node") {
            Some(toml::Value::Table(table)) => {
                Self::read(table).map_err(|error| super::locate(Some(&document), error))
            }
            _ => Ok(Self::default()),
        }
    }

    pub(super) fn read(table: &Table) -> Result<Self, ConfigError> {
        let raw: Raw = read("node", table, FIELDS)?;
        if let Some(Mode::Member) = raw.mode {
            return Err(ConfigError::new(
                "node",
                Some("mode"),
                "mode = \"member\" is not built yet",
                "leave it out, or set it to \"attach\"",
            ));
        }
        if let Some(Secret::Text(_)) = raw.cookie {
            return Err(ConfigError::bad_value(
                "node",
                "cookie",
                "(hidden)",
                "{ env = \"NAME\" } or { file = \"/path\" }",
            ));
        }
        Ok(Self {
            name: raw.name.map(|Name(name)| name),
            cookie: raw.cookie,
            tls: raw.tls.as_ref().map(TlsOptions::read).transpose()?,
            port: raw.port.map(NonZeroU16::get),
        })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Raw {
    name: Option<Name>,
    mode: Option<Mode>,
    cookie: Option<Secret>,
    port: Option<NonZeroU16>,
    tls: Option<Table>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Attach,
    Member,
}

#[derive(Debug)]
struct Name(NodeName);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        text.parse().map(Self).map_err(de::Error::custom)
    }
}
