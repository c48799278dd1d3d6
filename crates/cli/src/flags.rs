//! Values that several verbs take.

use std::time::Duration;

use trunkline_discovery::config::Millis;

/// A duration above zero: `5s`, `500ms`, or a bare number of milliseconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let millis: Millis = text.parse().map_err(str::to_owned)?;
    Some(millis.get())
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "it must be longer than nothing".to_owned())
}
