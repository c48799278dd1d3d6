//! Checks that several strategies share.

use std::time::Duration;

use trunkline_proto::Basename;

use crate::config::{ConfigError, Millis};

/// A smaller number is a mistake: seconds written where milliseconds are meant.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// What `polling_interval` takes.
pub(super) const INTERVAL: &str =
    "a duration such as \"5s\" or \"500ms\", or a number of milliseconds, at least 100 ms";

/// What `node_basename` takes.
pub(super) const BASENAME: &str = "letters, digits, _ and -, for example \"app\"";

/// A `polling_interval` that is long enough.
pub(super) fn interval(path: &str, interval: Millis) -> Result<Duration, ConfigError> {
    interval_of(path, "polling_interval", interval)
}

/// The same under another name.
pub(super) fn interval_of(
    path: &str,
    key: &str,
    interval: Millis,
) -> Result<Duration, ConfigError> {
    if interval.get() < MIN_INTERVAL {
        let shown = format!("\"{}ms\"", interval.get().as_millis());
        return Err(ConfigError::bad_value(path, key, &shown, INTERVAL));
    }
    Ok(interval.get())
}

/// A `node_basename` that needs no change.
pub(super) fn basename(path: &str, text: Option<&str>) -> Result<Option<Basename>, ConfigError> {
    let Some(text) = text else { return Ok(None) };
    text.parse()
        .map(Some)
        .map_err(|_| ConfigError::bad_value(path, "node_basename", &format!("{text:?}"), BASENAME))
}

/// A filter that filters: an empty one would let everything through.
pub(super) fn filter(path: &str, key: &str, text: Option<&str>) -> Result<(), ConfigError> {
    match text {
        Some(text) if text.trim().is_empty() => {
            let allowed = "a text that is not empty, or leave the key out";
            Err(ConfigError::bad_value(
                path,
                key,
                &format!("{text:?}"),
                allowed,
            ))
        }
        _ => Ok(()),
    }
}
