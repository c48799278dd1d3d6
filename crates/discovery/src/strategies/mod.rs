//! Everything that is built in: one row for each strategy.
//!
//! A new strategy is one file beside this one (a config struct with `#[serde(default,
//! deny_unknown_fields)]`, `build`, `poll`), one row in [`TABLE`], recorded replies under
//! `tests/fixtures/<name>/`, one page in `docs/strategies/`. The contract suite finds it here.

mod digitalocean;
mod dns;
mod epmd;
mod erlang_hosts;
mod fly;
mod local_epmd;
mod name_match;
mod options;

use toml::{Table, Value};

pub use digitalocean::LABELS as DROPLET_LABELS;

use crate::config::{BuildCx, ConfigError, Field, nearest};
use crate::health::{self, HealthCheck};
use crate::source::BuiltSource;

/// Everything that is built in.
pub const TABLE: &[&Strategy] = &[
    &digitalocean::STRATEGY,
    &dns::STRATEGY,
    &epmd::STRATEGY,
    &erlang_hosts::STRATEGY,
    &fly::STRATEGY,
    &local_epmd::STRATEGY,
];

/// One row: what a strategy is called, what it takes, how it is built.
#[derive(Debug)]
pub struct Strategy {
    /// Its name in `strategy = "…"`.
    pub name: &'static str,
    /// What the same thing is called elsewhere: the libcluster module's name first. Accepted too.
    pub modules: &'static [&'static str],
    /// What it does, one clause.
    pub summary: &'static str,
    /// Its own options; [`COMMON`] come on top.
    pub fields: &'static [Field],
    /// Keys that its counterpart elsewhere has and that mean nothing here, with the reason.
    pub retired: &'static [(&'static str, &'static str)],
    /// A configuration that works, as TOML without the table's header.
    pub example: &'static str,
    /// Builds its sources from options whose keys were checked. `place` is for errors:
    /// `topologies.web`. Nothing is sent.
    pub build: fn(&Place<'_>, &Table, &BuildCx) -> Result<Sources, ConfigError>,
}

/// Options that every strategy takes.
pub const COMMON: &[Field] = &[
    Field::new(
        "enabled",
        ENABLED,
        "false switches the topology off, its options stay",
    )
    .default("true"),
    Field::new(
        "health_check",
        health::ALLOWED,
        "connect a peer only after this check passed",
    )
    .example(r#"{ type = "tcp", port = 4369, timeout = "500ms", rise = 1, fall = 3 }"#),
];

const ENABLED: &str = "true or false";

/// A topology's name, and how errors name it.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// `web`.
    pub topology: &'a str,
    /// `topologies.web`.
    pub path: &'a str,
}

/// What a strategy found to do.
#[derive(Debug)]
pub enum Sources {
    /// Ask these.
    Ask(Vec<BuiltSource>),
    /// Nothing: the configuration switches it off (an empty query), and how, one clause.
    Off(String),
}

/// A topology, ready to run.
#[derive(Debug)]
pub struct Topology {
    /// Its name in the configuration.
    pub name: String,
    /// The name of its strategy in [`TABLE`].
    pub strategy: &'static str,
    /// What to ask; empty when it is [`off`](Self::off).
    pub sources: Vec<BuiltSource>,
    /// What a peer must pass before it is connected.
    pub health_check: Option<HealthCheck>,
    /// Why there is nothing to ask.
    pub off: Option<String>,
}

/// The row of a strategy, by its name or by a libcluster module's.
pub fn find(name: &str) -> Option<&'static Strategy> {
    let module = name.strip_prefix("Elixir.").unwrap_or(name);
    TABLE
        .iter()
        .copied()
        .find(|row| row.name == name || row.modules.contains(&module))
}

/// Builds the topology `name` from its table, `strategy` included. Every mistake that can be seen
/// without sending anything is an error here.
pub fn build(name: &str, table: &Table, cx: &BuildCx) -> Result<Topology, ConfigError> {
    let path = format!("topologies.{name}");
    let place = Place {
        topology: name,
        path: &path,
    };
    let row = row(&path, table)?;
    let mut options = table.clone();
    options.remove("strategy");
    check_keys(&path, row, &options)?;
    let enabled = enabled(&path, &mut options)?;
    let health_check = health_check(&path, &mut options)?;
    let built = if enabled {
        (row.build)(&place, &options, cx)?
    } else {
        // A token that is not there is no mistake on a host where the topology is off.
        Sources::Off("enabled is false".into())
    };
    let (sources, off) = match built {
        Sources::Ask(sources) => (sources, None),
        Sources::Off(why) => (Vec::new(), Some(why)),
    };
    Ok(Topology {
        name: name.into(),
        strategy: row.name,
        sources,
        health_check,
        off,
    })
}

fn row(path: &str, table: &Table) -> Result<&'static Strategy, ConfigError> {
    let names = || TABLE.iter().map(|row| row.name);
    let allowed = || {
        let quoted: Vec<_> = names().map(|name| format!("{name:?}")).collect();
        quoted.join(", ")
    };
    let Some(value) = table.get("strategy") else {
        return Err(ConfigError::missing(
            path,
            "strategy",
            &format!("one of {}", allowed()),
        ));
    };
    let found = value.as_str().and_then(find);
    found.ok_or_else(|| {
        let near = value.as_str().and_then(|name| nearest(name, names()));
        let hint = near.map_or(String::new(), |near| format!("; did you mean {near:?}?"));
        let shown = crate::config::show(value);
        ConfigError::bad_value(
            path,
            "strategy",
            &shown,
            &format!("one of {}{hint}", allowed()),
        )
    })
}

fn check_keys(path: &str, row: &Strategy, options: &Table) -> Result<(), ConfigError> {
    for (key, why) in row.retired {
        if options.contains_key(*key) {
            let what = format!("{key} has no place here: {why}");
            return Err(ConfigError::new(path, Some(key), what, "remove it"));
        }
    }
    let known = || row.fields.iter().chain(COMMON).map(|field| field.name);
    match options.keys().find(|key| !known().any(|name| name == *key)) {
        Some(key) => Err(ConfigError::unknown_key(
            path,
            key,
            known().chain(["strategy"]),
        )),
        None => Ok(()),
    }
}

fn enabled(path: &str, options: &mut Table) -> Result<bool, ConfigError> {
    match options.remove("enabled") {
        None => Ok(true),
        Some(Value::Boolean(enabled)) => Ok(enabled),
        Some(other) => {
            let shown = crate::config::show(&other);
            Err(ConfigError::bad_value(path, "enabled", &shown, ENABLED))
        }
    }
}

fn health_check(path: &str, options: &mut Table) -> Result<Option<HealthCheck>, ConfigError> {
    let Some(value) = options.remove("health_check") else {
        return Ok(None);
    };
    let inner = value.as_table().into_iter().flatten();
    if let Some((key, _)) = inner
        .into_iter()
        .find(|(key, _)| !health::KEYS.contains(&key.as_str()))
    {
        let path = format!("{path}.health_check");
        return Err(ConfigError::unknown_key(path, key, health::KEYS));
    }
    let shown = crate::config::show(&value);
    let read = value.try_into();
    read.map(Some).map_err(|_: toml::de::Error| {
        ConfigError::bad_value(path, "health_check", &shown, health::ALLOWED)
    })
}
