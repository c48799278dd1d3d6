//! Why the agent does not start, in one line.

use std::fmt;

use crate::admin::AdminError;
use crate::config::ConfigError;
use crate::socket::ClaimError;

/// Why the agent does not start; nothing of it is left behind. `Display` is the line that a person
/// reads: `what · where · cure`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentError {
    /// What went wrong, one clause.
    pub what: String,
    /// Where.
    pub place: String,
    /// What to do about it, one clause.
    pub cure: String,
    /// Whether configuration or environment is at fault (exit code 2), not the moment (1).
    pub usage: bool,
}

impl AgentError {
    /// The moment is at fault.
    pub(crate) fn operation(
        what: impl Into<String>,
        place: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self {
            what: what.into(),
            place: place.into(),
            cure: cure.into(),
            usage: false,
        }
    }
}

impl fmt::Display for AgentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} · {} · {}", self.what, self.place, self.cure)
    }
}

impl std::error::Error for AgentError {}

impl From<ConfigError> for AgentError {
    fn from(error: ConfigError) -> Self {
        Self {
            what: error.what,
            place: error.place,
            cure: error.cure,
            usage: true,
        }
    }
}

impl From<AdminError> for AgentError {
    fn from(error: AdminError) -> Self {
        Self::operation(error.to_string(), "[admin] listen", error.cure())
    }
}

impl From<ClaimError> for AgentError {
    fn from(error: ClaimError) -> Self {
        Self::operation(error.to_string(), error.place(), error.cure())
    }
}
