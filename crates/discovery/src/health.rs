//! The check that gates a first connect.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::Deserialize;
use tokio::net::TcpStream;

use crate::config::Millis;

/// A health check: a peer is connected only after it passed `rise` times in a row. A connected peer
/// is not dropped because a check fails.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// What is checked.
    #[serde(rename = "type")]
    pub kind: CheckKind,
    /// The port to check, 1 to 65535.
    pub port: std::num::NonZeroU16,
    /// How long one check may take. Default 500 ms.
    #[serde(default = "HealthCheck::default_timeout")]
    pub timeout: Millis,
    /// So many passes in a row make a peer healthy. Default 1.
    #[serde(default = "HealthCheck::default_rise")]
    pub rise: std::num::NonZeroU32,
    /// So many failures in a row make it unhealthy again. Default 3.
    #[serde(default = "HealthCheck::default_fall")]
    pub fall: std::num::NonZeroU32,
}

/// What a health check does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckKind {
    /// A TCP connection is accepted.
    Tcp,
}

/// The keys of a health check, for error texts; a test holds them to the struct.
pub(crate) const KEYS: [&str; 5] = ["type", "port", "timeout", "rise", "fall"];

/// What a health check allows, for error texts.
pub const ALLOWED: &str = "{ type = \"tcp\", port = 1…65535, timeout = \"500ms\", rise = 1, fall = 3 }, \
     of which type and port are required";

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It passed.
    Pass,
    /// It failed, and why, one clause.
    Fail(String),
}

impl HealthCheck {
    fn default_timeout() -> Millis {
        Millis::new(500)
    }

    fn default_rise() -> std::num::NonZeroU32 {
        std::num::NonZeroU32::MIN
    }

    fn default_fall() -> std::num::NonZeroU32 {
        std::num::NonZeroU32::MIN.saturating_add(2)
    }

    /// Checks once, within `timeout`. Checks of many peers run side by side: nothing is shared.
    pub async fn check(&self, address: IpAddr) -> Verdict {
        match self.kind {
            CheckKind::Tcp => {
                check_tcp((address, self.port.get()).into(), self.timeout.get()).await
            }
        }
    }
}

async fn check_tcp(to: SocketAddr, timeout: Duration) -> Verdict {
    match tokio::time::timeout(timeout, TcpStream::connect(to)).await {
        Ok(Ok(_)) => Verdict::Pass,
        Ok(Err(error)) => Verdict::Fail(format!("tcp {to}: {error}")),
        Err(_) => Verdict::Fail(format!("tcp {to}: no answer within {}", Millis(timeout))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_those_of_the_struct() {
        let error = toml::from_str::<HealthCheck>("no_such_key = 1").unwrap_err();
        let known = KEYS.map(|key| format!("`{key}`")).join(", ");
        assert!(error.message().ends_with(&known), "{error}");
    }
}
