//! `[node.tls]`: distribution over TLS.

use std::path::PathBuf;

use serde::Deserialize;
use toml::Table;
use trunkline_discovery::config::{ConfigError, Field, check_keys, read};

/// What `[node.tls]` knows.
pub const FIELDS: &[Field] = &[
    Field::new(
        "optfile",
        "a path",
        "the node's own -ssl_dist_optfile; with it none of the others",
    )
    .example("\"/etc/my_app/ssl_dist.conf\""),
    Field::new(
        "cacertfile",
        "a path",
        "the authorities that sign the nodes' certificates, PEM",
    )
    .example("\"/etc/my_app/ca.pem\""),
    Field::new(
        "certfile",
        "a path",
        "the certificate of this side, PEM, for nodes that demand one of their callers",
    )
    .example("\"/etc/my_app/cert.pem\""),
    Field::new("keyfile", "a path", "its key, PEM; by default in certfile")
        .example("\"/etc/my_app/key.pem\""),
];

const SECTION: &str = "node.tls";

/// How the node is spoken to over TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsOptions {
    /// As its own option file says.
    Optfile(PathBuf),
    /// With these.
    Files {
        /// Whom to trust.
        cacertfile: PathBuf,
        /// What to show, where it is demanded.
        certfile: Option<PathBuf>,
        /// Its key, when it is not in the same file.
        keyfile: Option<PathBuf>,
    },
}

impl TlsOptions {
    pub(super) fn read(table: &Table) -> Result<Self, ConfigError> {
        check_keys(SECTION, table, FIELDS)?;
        let wrong = |key, what: &str, cure: &str| ConfigError::new(SECTION, key, what, cure);
        match read(SECTION, table, FIELDS)? {
            Raw {
                optfile: Some(optfile),
                cacertfile: None,
                certfile: None,
                keyfile: None,
            } => Ok(Self::Optfile(optfile)),
            Raw {
                optfile: Some(_), ..
            } => Err(wrong(
                Some("optfile"),
                "optfile stands beside other keys",
                "keep it alone, or leave it out",
            )),
            Raw {
                certfile: None,
                keyfile: Some(_),
                ..
            } => Err(wrong(
                Some("keyfile"),
                "keyfile stands without certfile",
                "name the certificate too",
            )),
            Raw {
                cacertfile: Some(cacertfile),
                certfile,
                keyfile,
                ..
            } => Ok(Self::Files {
                cacertfile,
                certfile,
                keyfile,
            }),
            Raw { .. } => Err(wrong(
                None,
                "[node.tls] says neither optfile nor cacertfile",
                "name the node's own -ssl_dist_optfile, or the CA",
            )),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Raw {
    optfile: Option<PathBuf>,
    cacertfile: Option<PathBuf>,
    certfile: Option<PathBuf>,
    keyfile: Option<PathBuf>,
}
