//! Options of a topology: reading them, and errors that name key, value and what is allowed.

pub mod duration;
mod nearest;
mod read;
mod secret;

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

pub use duration::Millis;
pub use nearest::nearest;
pub(crate) use read::show;
pub use read::{Field, check_keys, read};
pub use secret::{ALLOWED as SECRET, Secret, SecretText};

use crate::dns;
use crate::platform::Env;
use crate::port_mapper::{self, PortMapper};

/// What a strategy may use while it is built, beside its options. Nothing is sent while building.
#[derive(Clone, Debug)]
pub struct BuildCx {
    /// Where `{ env = "…" }` is looked up.
    pub env: Env,
    /// The resolver for every name; the system's when `None`. `nameservers` of a topology go first.
    pub resolver: Option<dns::Resolver>,
    /// How long one request or lookup may take. Default 10 s.
    pub timeout: Duration,
    /// Who asks port mappers for the names of nodes. `None`: strategies that need one cannot be built.
    pub port_mapper: Option<Arc<dyn PortMapper>>,
    /// The port of every port mapper. Default: `ERL_EPMD_PORT`, else 4369.
    pub epmd_port: u16,
}

impl BuildCx {
    /// With this environment and the system's resolver, without a port mapper.
    pub fn new(env: Env) -> Self {
        let port = env.text("ERL_EPMD_PORT").and_then(|text| text.parse().ok());
        Self {
            epmd_port: port
                .filter(|port| *port != 0)
                .unwrap_or(port_mapper::DEFAULT_PORT),
            env,
            resolver: None,
            timeout: Duration::from_secs(10),
            port_mapper: None,
        }
    }

    /// With the environment of this process and the system's resolver.
    pub fn from_process() -> Self {
        Self::new(Env::from_process())
    }
}

/// What is wrong with a configuration. `Display` is one clause with key, value and place;
/// [`cure`](Self::cure) says what is allowed. Neither holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{place}: {what}")]
pub struct ConfigError {
    /// The table it is in: `topologies.web`.
    pub place: String,
    /// The key, when one is to blame.
    pub key: Option<String>,
    what: String,
    cure: String,
    elsewhere: bool,
}

impl ConfigError {
    /// An error at `key` in `place`; `what` is one clause, `cure` another.
    pub fn new(
        place: impl Into<String>,
        key: Option<&str>,
        what: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self {
            place: place.into(),
            key: key.map(Into::into),
            what: what.into(),
            cure: cure.into(),
            elsewhere: false,
        }
    }

    /// The configuration may be right: a variable or a file that it names is not to be had here.
    #[must_use]
    pub fn elsewhere(mut self) -> Self {
        self.elsewhere = true;
        self
    }

    /// Whether only this host, and not the configuration, is to blame.
    pub fn is_elsewhere(&self) -> bool {
        self.elsewhere
    }

    /// What is wrong, one clause without the place.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What to do about it, one clause.
    pub fn cure(&self) -> &str {
        &self.cure
    }

    /// A key that nobody knows; the nearest of `known` is named when one is near.
    pub fn unknown_key<'a>(
        place: impl Into<String>,
        key: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let known: Vec<_> = known.into_iter().collect();
        let cure = match nearest(key, known.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("known are {}", known.join(", ")),
        };
        Self::new(place, Some(key), format!("unknown key {key}"), cure)
    }

    /// A value that is not allowed. `value` is as the user wrote it, or `(hidden)`.
    pub fn bad_value(place: impl Into<String>, key: &str, value: &str, allowed: &str) -> Self {
        Self::new(
            place,
            Some(key),
            format!("{key} = {value} is not allowed"),
            format!("allowed is {allowed}"),
        )
    }

    /// A key that must be there and is not.
    pub fn missing(place: impl Into<String>, key: &str, allowed: &str) -> Self {
        Self::new(
            place,
            Some(key),
            format!("{key} is missing"),
            format!("set it to {allowed}"),
        )
    }
}
