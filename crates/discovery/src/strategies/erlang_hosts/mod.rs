//! `erlang_hosts`: the nodes of the hosts in `.hosts.erlang`. What libcluster calls
//! `Cluster.Strategy.ErlangHosts`, which reads the file once; here it is read before each look.

mod consult;
mod file;

use std::path::PathBuf;

use futures_util::future::BoxFuture;
use serde::Deserialize;
use toml::Table;
use trunkline_reconcile::evidence::{Answer, Kind};

use super::name_match::{NAME_MATCH, NameMatch};
use super::options;
use super::{Place, Sources, Strategy};
use crate::DiscoverError;
use crate::config::{self, BuildCx, ConfigError, Field, Millis};
use crate::polling::{DEFAULT_INTERVAL, Polling};
use crate::port_mapper::Learner;
use crate::source::{BuiltSource, Poll, PollCx};
use file::Places;

pub(super) const STRATEGY: Strategy = Strategy {
    name: "erlang_hosts",
    modules: &["Cluster.Strategy.ErlangHosts"],
    summary: "the nodes of the hosts in .hosts.erlang, as their EPMDs know them",
    fields: &[
        Field::new(
            "path",
            "the path of a file",
            "the file, instead of the .hosts.erlang that OTP would find",
        )
        .example(r#""/etc/app/.hosts.erlang""#),
        Field::new(
            "name_match",
            NAME_MATCH,
            "only nodes with such names; by default all",
        )
        .example(r#""app""#),
        Field::new(
            "hidden",
            "true or false",
            "whether hidden nodes count too; most are tools",
        )
        .default("false"),
        Field::new(
            "timeout",
            options::INTERVAL,
            "what libcluster calls polling_interval; not together with it",
        )
        .example(r#""30s""#),
        Field::new(
            "polling_interval",
            options::INTERVAL,
            "the time between two looks",
        )
        .default(r#""5s""#),
    ],
    retired: &[],
    example: r#"name_match = "app""#,
    build,
};

/// The options of `erlang_hosts`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// Default: as `net_adm:host_file/0` looks for it.
    path: Option<PathBuf>,
    /// Default: every name.
    name_match: NameMatch,
    /// Default false.
    hidden: bool,
    /// libcluster's name for `polling_interval`.
    timeout: Option<Millis>,
    /// Default 5 s.
    polling_interval: Millis,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: None,
            name_match: NameMatch::Any,
            hidden: false,
            timeout: None,
            polling_interval: Millis(DEFAULT_INTERVAL),
        }
    }
}

fn build(place: &Place<'_>, table: &Table, cx: &BuildCx) -> Result<Sources, ConfigError> {
    let config: Config = config::read(place.path, table, STRATEGY.fields)?;
    if config.timeout.is_some() && table.contains_key("polling_interval") {
        let what = "timeout and polling_interval are both set, and mean the same";
        let cure = "remove one of them";
        return Err(ConfigError::new(place.path, Some("timeout"), what, cure));
    }
    let key = if config.timeout.is_some() {
        "timeout"
    } else {
        "polling_interval"
    };
    let interval = config.timeout.unwrap_or(config.polling_interval);
    let interval = options::interval_of(place.path, key, interval)?;
    if config
        .path
        .as_ref()
        .is_some_and(|path| path.as_os_str().is_empty())
    {
        let allowed = "the path of a file";
        return Err(ConfigError::bad_value(place.path, "path", "\"\"", allowed));
    }
    config.name_match.check(place.path)?;
    let mut learner = Learner::new(cx, place.path)?;
    let name_match = config.name_match.clone();
    if !config.hidden {
        learner = learner.visible_only(move |alive| name_match.takes(alive));
    }
    let hosts = Hosts {
        places: config
            .path
            .map_or_else(|| Places::usual(&cx.env), Places::only),
        name_match: config.name_match,
        learner,
    };
    // The file is complete, the lists of its hosts' EPMDs are not: see local_epmd.
    let polling = Polling::new(hosts, Kind::Sampling, interval);
    let id = format!("{}/hosts", place.topology);
    Ok(Sources::Ask(vec![BuiltSource::new(id, polling)]))
}

/// The hosts of one file.
#[derive(Debug)]
struct Hosts {
    places: Places,
    name_match: NameMatch,
    learner: Learner,
}

impl Poll for Hosts {
    fn poll<'a>(&'a self, cx: &'a PollCx) -> BoxFuture<'a, Result<Answer, DiscoverError>> {
        Box::pin(self.look(cx))
    }
}

impl Hosts {
    async fn look(&self, cx: &PollCx) -> Result<Answer, DiscoverError> {
        let places = self.places.clone();
        // The file may lie on a network.
        let read = tokio::task::spawn_blocking(move || places.read()).await;
        let hosts = read.map_err(|why| DiscoverError::NotReady {
            what: format!("reading the file has failed: {why}"),
            cure: "wait, it is tried again".into(),
        })??;
        let wanted = |alive: &str| self.name_match.takes(alive);
        let learned = self.learner.learn_hosts(cx, hosts, wanted).await;
        match learned.unheard {
            Some(error) => Err(error),
            None => Ok(Answer {
                peers: learned.peers,
                notes: learned.notes,
            }),
        }
    }
}
