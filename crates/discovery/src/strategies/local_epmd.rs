//! `local_epmd`: every node that is registered with the EPMD of this host. What libcluster calls
//! `Cluster.Strategy.LocalEpmd`, which looks once; here it is looked at again and again.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Deserialize;
use tokio::time::timeout;
use toml::Table;
use trunkline_proto::NodeName;
use trunkline_reconcile::evidence::{Answer, Kind};

use super::name_match::{NAME_MATCH, NameMatch};
use super::options;
use super::{Place, Sources, Strategy};
use crate::DiscoverError;
use crate::config::{self, BuildCx, ConfigError, Field, Millis};
use crate::polling::{DEFAULT_INTERVAL, Polling};
use crate::port_mapper::{Asker, Known, MapperFailure, Question, Wanted, peer};
use crate::source::{BuiltSource, Poll, PollCx};

pub(super) const STRATEGY: Strategy = Strategy {
    name: "local_epmd",
    modules: &["Cluster.Strategy.LocalEpmd"],
    summary: "every node that is registered with the EPMD of this host",
    fields: &[
        Field::new(
            "name_match",
            NAME_MATCH,
            "only nodes with such names; by default all",
        )
        .example(r#""my_app*""#)
        .example(r#""app""#),
        Field::new(
            "hidden",
            "true or false",
            "whether hidden nodes count too; most are tools",
        )
        .default("false"),
        Field::new(
            "polling_interval",
            options::INTERVAL,
            "the time between two looks",
        )
        .default(r#""5s""#),
    ],
    retired: &[],
    example: r#"polling_interval = "5s""#,
    build,
};

/// It is on this host: it answers in microseconds or is busy.
const PATIENCE: Duration = Duration::from_secs(2);

/// The options of `local_epmd`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// Default: every name.
    name_match: NameMatch,
    /// Default false.
    hidden: bool,
    /// Default 5 s.
    polling_interval: Millis,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name_match: NameMatch::Any,
            hidden: false,
            polling_interval: Millis(DEFAULT_INTERVAL),
        }
    }
}

fn build(place: &Place<'_>, table: &Table, cx: &BuildCx) -> Result<Sources, ConfigError> {
    let config: Config = config::read(place.path, table, STRATEGY.fields)?;
    let interval = options::interval(place.path, config.polling_interval)?;
    config.name_match.check(place.path)?;
    let mut asker = Asker::new(cx, place.path)?;
    asker.visible_only = !config.hidden;
    let local = Local {
        asker,
        wanted: Wanted::new(move |alive| config.name_match.takes(alive)),
        patience: cx.timeout.min(PATIENCE),
        before: Mutex::default(),
    };
    // EPMD's list is complete until EPMD restarts: then it is empty, and the nodes live on. An
    // authoritative source would make our own node leave the others for that. As a sample, who is
    // missing is dropped when it is found dead.
    let polling = Polling::new(local, Kind::Sampling, interval);
    let id = format!("{}/names", place.topology);
    Ok(Sources::Ask(vec![BuiltSource::new(id, polling)]))
}

/// The port mapper of this host.
#[derive(Debug)]
struct Local {
    asker: Asker,
    wanted: Wanted,
    patience: Duration,
    /// The last answer.
    before: Mutex<Vec<Known>>,
}

impl Poll for Local {
    fn poll<'a>(&'a self, cx: &'a PollCx) -> BoxFuture<'a, Result<Answer, DiscoverError>> {
        Box::pin(self.look(cx))
    }
}

impl Local {
    fn before(&self) -> MutexGuard<'_, Vec<Known>> {
        self.before.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look(&self, cx: &PollCx) -> Result<Answer, DiscoverError> {
        let me = cx.me().ok_or_else(nameless)?.canonical();
        let known = self.ask(&me).await?;
        let peers = known
            .iter()
            .filter_map(|known| peer(known, me.host(), Some(&me)));
        let answer = Answer {
            peers: peers.collect(),
            notes: Vec::new(),
        };
        *self.before() = known;
        Ok(answer)
    }

    /// Every port mapper listens on loopback, whatever `ERL_EPMD_ADDRESS` says; that of a node over
    /// IPv6 perhaps on `::1` alone. One of another kind may listen at our node's own address.
    async fn ask(&self, me: &NodeName) -> Result<Vec<Known>, DiscoverError> {
        let question = Question {
            me: Some(me.clone()),
            host: me.host().to_owned(),
            before: self.before().clone(),
            wanted: self.wanted.clone(),
        };
        let mut addresses = vec![
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ];
        if me.ip().is_some_and(|ip| ip.is_ipv6()) {
            addresses.reverse();
        }
        addresses.extend(me.ip().filter(|ip| !addresses.contains(ip)));
        let mut failed = None;
        for ip in addresses {
            let asked = timeout(self.patience, self.asker.ask(&[ip], &question)).await;
            let silent = MapperFailure::Silent(self.asker.port);
            match asked.unwrap_or(Err(silent)) {
                Ok(known) => return Ok(known),
                Err(why) => failed = failed.or(Some(why)),
            }
        }
        let why = failed.unwrap_or(MapperFailure::Refused(self.asker.port));
        Err(DiscoverError::PortMapper {
            host: "this host".into(),
            why,
        })
    }
}

/// The host part of all names here is that of our own node.
fn nameless() -> DiscoverError {
    DiscoverError::NotReady {
        what: "the part of the nodes' names after the @ is not known: the own node has no name yet"
            .into(),
        cure: "set [node] name or RELEASE_NODE, or wait until the node is up".into(),
    }
}
