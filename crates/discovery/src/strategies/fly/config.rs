//! The options of `fly`, and what this machine's environment adds to them.

use std::time::Duration;

use serde::Deserialize;
use toml::Table;

use super::STRATEGY;
use super::names::{app_of, is_label};
use crate::config::{self, ConfigError, Millis};
use crate::naming::Naming;
use crate::platform::Env;
use crate::polling::DEFAULT_INTERVAL;
use crate::strategies::{Place, options};

pub(super) const LABEL: &str = "a name of letters, digits, - and _";
pub(super) const REGIONS: &str = "a list of regions, [\"iad\", \"ams\"]; an empty one means all";
pub(super) const QUERY: &str = "a domain name; \"\" switches the topology off";
pub(super) const BASENAME: &str =
    "letters, digits, _ and -, for example \"app\", or \"learn\" to ask each machine's EPMD";

/// What `fly.toml` sets in the guide.
pub(super) const VARIABLE: &str = "DNS_CLUSTER_QUERY";

/// `node_basename`, read. Nothing of a machine is known for certain but its address, so that there are
/// no labels to make a name of.
pub(super) fn naming(text: &str) -> Option<Naming> {
    Naming::parse(text, &[]).ok()
}

/// The options of `fly`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Config {
    /// Default: `FLY_APP_NAME`, else what `query` names.
    pub(super) app: Option<String>,
    /// Default: `DNS_CLUSTER_QUERY` when nothing here says whom to ask for, else `<app>.internal`.
    pub(super) query: Option<String>,
    /// Empty: all.
    pub(super) regions: Vec<String>,
    /// Default: all.
    pub(super) process_group: Option<String>,
    /// Default: the own node's.
    pub(super) node_basename: Option<String>,
    /// Another word for `node_basename`; [`read`] makes them one.
    pub(super) basename: Option<String>,
    /// Default: the system's, which is `fdaa::3` on Fly.
    pub(super) nameservers: Vec<String>,
    /// Default 5 s.
    pub(super) polling_interval: Millis,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            app: None,
            query: None,
            regions: Vec::new(),
            process_group: None,
            node_basename: None,
            basename: None,
            nameservers: Vec::new(),
            polling_interval: Millis(DEFAULT_INTERVAL),
        }
    }
}

/// Options that fit together.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) config: Config,
    pub(super) interval: Duration,
    /// What to ask for instead of the app's own names.
    pub(super) query: Option<String>,
    /// The app; absent only where a `query` outside Fly's DNS says whom to ask for.
    pub(super) app: Option<String>,
}

/// `None`: switched off by an empty query, here or in `DNS_CLUSTER_QUERY`.
pub(super) fn read(
    place: &Place<'_>,
    table: &Table,
    env: &Env,
) -> Result<Option<Checked>, ConfigError> {
    let mut config: Config = config::read(place.path, table, STRATEGY.fields)?;
    let interval = options::interval(place.path, config.polling_interval)?;
    one_basename(place.path, &mut config)?;
    labels(place.path, &mut config)?;
    let query = query(place.path, &config, env)?;
    if query.as_deref() == Some("") {
        return Ok(None);
    }
    let app = app(place.path, &config, query.as_deref(), env)?;
    Ok(Some(Checked {
        config,
        interval,
        query,
        app,
    }))
}

fn one_basename(path: &str, config: &mut Config) -> Result<(), ConfigError> {
    if config.node_basename.is_some() && config.basename.is_some() {
        return Err(ConfigError::new(
            path,
            Some("basename"),
            "basename and node_basename are both set, and mean the same",
            "remove one of them",
        ));
    }
    let (key, text) = match config.basename.take() {
        Some(text) => ("basename", Some(text)),
        None => ("node_basename", config.node_basename.take()),
    };
    if let Some(text) = &text {
        let wrong = || ConfigError::bad_value(path, key, &format!("{text:?}"), BASENAME);
        naming(text).ok_or_else(wrong)?;
    }
    config.node_basename = text;
    Ok(())
}

/// What becomes part of a domain name must be one label, or it would ask for something else.
fn labels(path: &str, config: &mut Config) -> Result<(), ConfigError> {
    let check = |key, text: &str, allowed| match is_label(text) {
        true => Ok(()),
        false => Err(ConfigError::bad_value(
            path,
            key,
            &format!("{text:?}"),
            allowed,
        )),
    };
    for (key, text) in [
        ("app", &config.app),
        ("process_group", &config.process_group),
    ] {
        if let Some(text) = text {
            check(key, text, LABEL)?;
        }
    }
    for region in &mut config.regions {
        check("regions", region, REGIONS)?;
        region.make_ascii_lowercase();
    }
    config.regions.sort_unstable();
    config.regions.dedup();
    Ok(())
}

/// The option, else the variable where nothing else says whom to ask for.
fn query(path: &str, config: &Config, env: &Env) -> Result<Option<String>, ConfigError> {
    let narrowed = [
        ("regions", !config.regions.is_empty()),
        ("process_group", config.process_group.is_some()),
    ];
    let narrowed = narrowed.into_iter().find(|(_, set)| *set);
    let (place, text) = match (&config.query, narrowed) {
        (Some(_), Some((key, _))) => {
            return Err(ConfigError::new(
                path,
                Some("query"),
                format!("query and {key} are both set, and each says whom to ask for"),
                "remove one of them",
            ));
        }
        (Some(query), None) => ("query", query.clone()),
        (None, None) if config.app.is_none() => match env.given(VARIABLE) {
            Some(query) => (VARIABLE, query.to_string_lossy().into_owned()),
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    if text.is_empty() || crate::dns::is_name(&text) {
        return Ok(Some(text));
    }
    Err(ConfigError::bad_value(
        path,
        place,
        &format!("{text:?}"),
        QUERY,
    ))
}

fn app(
    path: &str,
    config: &Config,
    query: Option<&str>,
    env: &Env,
) -> Result<Option<String>, ConfigError> {
    let here = env.text("FLY_APP_NAME").filter(|app| is_label(app));
    if let Some(app) = &config.app {
        if here.is_some_and(|here| here != app) && config.node_basename.is_none() {
            return Err(ConfigError::new(
                path,
                Some("app"),
                format!("app = {app:?} is another app, whose nodes are not named as the own one"),
                "set node_basename to their name, or to \"learn\"",
            ));
        }
        return Ok(Some(app.clone()));
    }
    let asked = query.and_then(app_of).or(here).map(str::to_owned);
    let naming = config.node_basename.as_deref().and_then(naming);
    let learns = naming == Some(Naming::Learn);
    if asked.is_none() && (query.is_none() || learns) {
        return Err(ConfigError::missing(
            path,
            "app",
            "the app's name; on Fly FLY_APP_NAME says it",
        ));
    }
    Ok(asked)
}

/// Why none of the questions can list our own machine, when that is so: then its absence is no
/// alarm.
pub(super) fn outside(checked: &Checked, env: &Env) -> Option<String> {
    let config = &checked.config;
    let app = checked.app.as_deref();
    if let (Some(app), Some(here)) = (app, env.text("FLY_APP_NAME").filter(|h| Some(*h) != app)) {
        return Some(format!(
            "this machine is of the app {here}, not of {app}: it connects to the others, they need \
             not know it"
        ));
    }
    let region = env
        .text("FLY_REGION")
        .filter(|_| !config.regions.is_empty());
    if let Some(region) = region.filter(|here| !config.regions.iter().any(|one| one == here)) {
        return Some(format!(
            "this machine is in {region}, which regions does not hold: it connects to the others, \
             they need not know it"
        ));
    }
    let group = config.process_group.as_deref();
    let here = env.text("FLY_PROCESS_GROUP");
    let (Some(group), Some(here)) = (group, here.filter(|here| Some(*here) != group)) else {
        return None;
    };
    Some(format!(
        "this machine is of the process group {here}, not of {group}: it connects to the others, \
         they need not know it"
    ))
}
