//! `[engine]`: the knobs of the engine.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};
use trunkline_discovery::config::{ConfigError, Field, Millis};
use trunkline_reconcile::{Config, Fraction, OnRemoved};

const DURATION: &str = "a duration such as \"5s\" or \"500ms\", or a number of milliseconds";

const POSITIVE: &str =
    "a duration above zero such as \"5s\" or \"500ms\", or a number of milliseconds";

/// What `[engine]` knows. The defaults are those of [`Config`]; a test holds them together.
pub const FIELDS: &[Field] = &[
    Field::new(
        "connect_timeout",
        POSITIVE,
        "how long one probe may take, all steps together",
    )
    .default("\"5s\""),
    Field::new(
        "max_connects",
        "a whole number of at least 1",
        "how many dials the node makes at once",
    )
    .default("64"),
    Field::new(
        "backoff_min",
        POSITIVE,
        "wait after a failure that passes by itself, doubled each time",
    )
    .default("\"1s\""),
    Field::new("backoff_max", POSITIVE, "the longest such wait").default("\"30s\""),
    Field::new(
        "lasting_backoff_min",
        POSITIVE,
        "wait after a failure that only a person can mend, doubled each time",
    )
    .default("\"1m\""),
    Field::new("lasting_backoff_max", POSITIVE, "the longest such wait").default("\"10m\""),
    Field::new(
        "look_interval",
        POSITIVE,
        "how often a peer whose handshake fails is looked at, to see whether it was restarted",
    )
    .default("\"30s\""),
    Field::new(
        "removal_misses",
        "a whole number of at least 1",
        "good answers in a row without a peer before it can be dropped",
    )
    .default("3"),
    Field::new(
        "removal_grace",
        DURATION,
        "time between the first answer without a peer and its removal",
    )
    .default("\"30s\""),
    Field::new(
        "removal_guard",
        "a share from 0.0 to 1.0",
        "the largest part of a topology that is dropped in one step",
    )
    .default("0.5"),
    Field::new(
        "on_removed",
        "\"keep\" or \"disconnect\"",
        "what happens to a living peer that no source lists any more",
    )
    .default("\"keep\""),
    Field::new(
        "leave_grace",
        DURATION,
        "how long a living peer that was dropped has to leave by itself before the others care",
    )
    .default("\"10s\""),
    Field::new(
        "audit_interval",
        POSITIVE,
        "how often all links are compared with what should be",
    )
    .default("\"30s\""),
    Field::new(
        "expected_size",
        "a whole number of at least 1",
        "how many nodes a topology should list, the own one counted; fewer is an alarm",
    )
    .default("1"),
];

/// `[engine]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct EngineOptions {
    connect_timeout: Option<Positive>,
    max_connects: Option<NonZeroU32>,
    backoff_min: Option<Positive>,
    backoff_max: Option<Positive>,
    lasting_backoff_min: Option<Positive>,
    lasting_backoff_max: Option<Positive>,
    look_interval: Option<Positive>,
    removal_misses: Option<NonZeroU32>,
    removal_grace: Option<Millis>,
    removal_guard: Option<Share>,
    on_removed: Option<Removed>,
    leave_grace: Option<Millis>,
    audit_interval: Option<Positive>,
    expected_size: Option<NonZeroU32>,
}

impl EngineOptions {
    /// # Errors
    /// A shortest wait that is longer than the longest.
    pub(super) fn config(self) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        let positive = |slot: &mut Duration, value: Option<Positive>| {
            if let Some(Positive(millis)) = value {
                *slot = millis.get();
            }
        };
        positive(&mut config.connect_timeout, self.connect_timeout);
        positive(&mut config.backoff_min, self.backoff_min);
        positive(&mut config.backoff_max, self.backoff_max);
        positive(&mut config.lasting_backoff_min, self.lasting_backoff_min);
        positive(&mut config.lasting_backoff_max, self.lasting_backoff_max);
        positive(&mut config.look_interval, self.look_interval);
        positive(&mut config.audit_interval, self.audit_interval);
        if let Some(grace) = self.removal_grace {
            config.removal_grace = grace.get();
        }
        if let Some(grace) = self.leave_grace {
            config.leave_grace = grace.get();
        }
        if let Some(connects) = self.max_connects {
            config.max_connects = connects.get() as usize;
        }
        if let Some(misses) = self.removal_misses {
            config.removal_misses = misses.get();
        }
        if let Some(Share(guard)) = self.removal_guard {
            config.removal_guard = guard;
        }
        if let Some(size) = self.expected_size {
            config.expected_size = size.get() as usize;
        }
        config.on_removed = match self.on_removed {
            Some(Removed::Disconnect) => OnRemoved::Disconnect,
            Some(Removed::Keep) | None => OnRemoved::Keep,
        };
        let (min, max) = (config.backoff_min, config.backoff_max);
        ordered("backoff_min", min, "backoff_max", max)?;
        let (min, max) = (config.lasting_backoff_min, config.lasting_backoff_max);
        ordered("lasting_backoff_min", min, "lasting_backoff_max", max)?;
        Ok(config)
    }
}

fn ordered(low: &str, min: Duration, high: &str, max: Duration) -> Result<(), ConfigError> {
    if min <= max {
        return Ok(());
    }
    let what = format!("{low} ({min:?}) is longer than {high} ({max:?})");
    let cure = format!("lower {low}, or raise {high}");
    Err(ConfigError::new("engine", Some(low), what, cure))
}

/// A duration above zero.
#[derive(Debug)]
struct Positive(Millis);

impl<'de> Deserialize<'de> for Positive {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let millis = Millis::deserialize(input)?;
        if millis.get().is_zero() {
            return Err(de::Error::custom("zero"));
        }
        Ok(Self(millis))
    }
}

#[derive(Debug)]
struct Share(Fraction);

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let part = f64::deserialize(input)?;
        Fraction::new(part)
            .map(Self)
            .ok_or_else(|| de::Error::custom("outside"))
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Removed {
    Keep,
    Disconnect,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_defaults_are_the_engines() {
        let text: String = FIELDS
            .iter()
            .map(|field| format!("{} = {}\n", field.name, field.default.unwrap()))
            .collect();
        let options: EngineOptions = toml::from_str(&text).unwrap();
        assert_eq!(options.config().unwrap(), Config::default());
    }

    #[test]
    fn every_duration_reaches_the_engine() {
        let names = FIELDS
            .iter()
            .filter(|f| f.allowed == DURATION || f.allowed == POSITIVE);
        for field in names {
            // Not above the longest wait of its kind.
            let text = format!("{} = 29999", field.name);
            let options: EngineOptions = toml::from_str(&text).unwrap();
            let config = format!(
                "{:?}",
                options.config().map_err(|error| error.what().to_owned())
            );
            let expected = format!("{}: 29.999s", field.name);
            let refused = format!("{} (29.999s)", field.name);
            assert!(
                config.contains(&expected) || config.contains(&refused),
                "{config}"
            );
        }
    }
}
