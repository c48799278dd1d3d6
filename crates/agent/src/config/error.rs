//! What is wrong with a configuration, in one line.

use std::fmt;

/// What is wrong with the configuration, where, and what to write instead. `Display` is the one
/// line that a person reads: `what · where · cure`. It never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigError {
    /// What is wrong, with the key and the value.
    pub what: String,
    /// Where: `trunkline.toml:7 [topologies.web]`, or the environment variable.
    pub place: String,
    /// What to write instead.
    pub cure: String,
}

impl ConfigError {
    /// One clause each.
    pub fn new(what: impl Into<String>, place: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            place: place.into(),
            cure: cure.into(),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} · {} · {}", self.what, self.place, self.cure)
    }
}

impl std::error::Error for ConfigError {}
