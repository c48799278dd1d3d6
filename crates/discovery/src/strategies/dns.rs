//! `dns`: every address that a name has is a node. What `dns_cluster` and libcluster's `DNSPoll` do.

use std::net::IpAddr;

use futures_util::future::BoxFuture;
use serde::Deserialize;
use toml::Table;
use trunkline_proto::NodeName;
use trunkline_reconcile::evidence::{Answer, Kind, Peer};

use super::options::{self, BASENAME};
use super::{Place, Sources, Strategy};
use crate::DiscoverError;
use crate::config::{self, BuildCx, ConfigError, Field, Millis};
use crate::dns::{Family, Resolver, parse_nameserver};
use crate::polling::{DEFAULT_INTERVAL, Polling};
use crate::source::{BuiltSource, Poll, PollCx};

pub(super) const STRATEGY: Strategy = Strategy {
    name: "dns",
    modules: &["Cluster.Strategy.DNSPoll", "DNSCluster"],
    summary: "every A and AAAA record of a name is a node",
    fields: &[
        Field::new(
            "query",
            "a domain name; \"\" switches the topology off",
            "the name to look up",
        )
        .required()
        .example(r#""my-app.internal""#),
        Field::new(
            "node_basename",
            BASENAME,
            "the part of the nodes' names before the @; by default that of the own node",
        )
        .example(r#""my_app""#),
        Field::new("resource_types", TYPES, "the record types to ask for")
            .default(r#"["a", "aaaa"]"#),
        Field::new(
            "nameservers",
            SERVERS,
            "the name servers to ask instead of the system's",
        )
        .default("[]"),
        Field::new(
            "polling_interval",
            options::INTERVAL,
            "the time between two queries",
        )
        .default(r#""5s""#),
    ],
    retired: &[],
    example: r#"query = "hello-elixir.internal""#,
    build,
};

const TYPES: &str = "[\"a\"], [\"aaaa\"] or both";
pub(super) const SERVERS: &str =
    "a list of addresses with or without port, [\"127.0.0.1:5353\", …]";

/// The options of `dns`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// The name whose addresses are nodes. Empty: off, so that one configuration serves a
    /// laptop too.
    query: String,
    /// Before the `@`. Default: what the node that we serve has.
    node_basename: Option<String>,
    /// Default: both.
    resource_types: Vec<RecordType>,
    /// `ip` or `ip:port`. Default: the system's.
    nameservers: Vec<String>,
    /// Default 5 s.
    polling_interval: Millis,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            query: String::new(),
            node_basename: None,
            resource_types: vec![RecordType::A, RecordType::Aaaa],
            nameservers: Vec::new(),
            polling_interval: Millis(DEFAULT_INTERVAL),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RecordType {
    A,
    Aaaa,
}

fn build(place: &Place<'_>, table: &Table, cx: &BuildCx) -> Result<Sources, ConfigError> {
    let mut config: Config = config::read(place.path, table, STRATEGY.fields)?;
    if config.query.is_empty() {
        return Ok(Sources::Off("query is empty".into()));
    }
    let bad = |key, value: &dyn std::fmt::Debug, allowed| {
        Err(ConfigError::bad_value(
            place.path,
            key,
            &format!("{value:?}"),
            allowed,
        ))
    };
    if !crate::dns::is_name(&config.query) {
        return bad("query", &config.query, "a domain name");
    }
    let interval = options::interval(place.path, config.polling_interval)?;
    if config.resource_types.is_empty() {
        return bad("resource_types", &config.resource_types, TYPES);
    }
    let basename = options::basename(place.path, config.node_basename.as_deref())?;
    let resolver = resolver(place, &config.nameservers, cx)?;
    let resolver = resolver.with_deadline(cx.timeout).fresh();
    config.resource_types.sort_unstable();
    config.resource_types.dedup();
    let source = |record: &RecordType| {
        let (family, name) = match record {
            RecordType::A => (Family::V4, "a"),
            RecordType::Aaaa => (Family::V6, "aaaa"),
        };
        let question = Question {
            query: config.query.clone(),
            family,
            basename: basename.as_ref().map(ToString::to_string),
            resolver: resolver.clone(),
        };
        let polling = Polling::new(question, Kind::Sampling, interval);
        BuiltSource::new(
            format!("{}/{}/{name}", place.topology, config.query),
            polling,
        )
    };
    Ok(Sources::Ask(
        config.resource_types.iter().map(source).collect(),
    ))
}

/// The name servers of the configuration, else the caller's, else the system's.
pub(super) fn resolver(
    place: &Place<'_>,
    servers: &[String],
    cx: &BuildCx,
) -> Result<Resolver, ConfigError> {
    if servers.is_empty() {
        return Ok(cx.resolver.clone().unwrap_or_default());
    }
    let parsed = servers.iter().map(|text| {
        parse_nameserver(text).map_err(|_| {
            ConfigError::bad_value(place.path, "nameservers", &format!("{text:?}"), SERVERS)
        })
    });
    Ok(Resolver::with_servers(parsed.collect::<Result<_, _>>()?))
}

/// One query and record family: the smallest thing that can fail alone.
#[derive(Debug)]
struct Question {
    query: String,
    family: Family,
    /// `None`: what the node that we serve has.
    basename: Option<String>,
    resolver: Resolver,
}

impl Question {
    async fn ask(&self, cx: &PollCx) -> Result<Answer, DiscoverError> {
        let basename = self
            .basename
            .as_deref()
            .or_else(|| cx.me().map(NodeName::alive));
        let basename = basename.ok_or_else(nameless)?;
        let found = self.resolver.lookup(&self.query, self.family).await;
        let found = found.map_err(|why| DiscoverError::Dns {
            name: self.query.clone(),
            why,
        })?;
        let me = cx.me().map(NodeName::canonical);
        let peer = |ip: IpAddr| {
            let node = format!("{basename}@{}", ip.to_canonical()).parse().ok()?;
            let mut peer = Peer::named(node);
            peer.is_self = Some(&peer.node) == me.as_ref();
            Some(peer)
        };
        let mut peers: Vec<_> = found.into_iter().filter_map(peer).collect();
        // An IPv4-mapped AAAA record names the node that the A record names.
        peers.dedup_by(|a, b| a.node == b.node);
        Ok(Answer {
            peers,
            notes: Vec::new(),
        })
    }
}

impl Poll for Question {
    fn poll<'a>(&'a self, cx: &'a PollCx) -> BoxFuture<'a, Result<Answer, DiscoverError>> {
        Box::pin(self.ask(cx))
    }
}

/// Nodes of one application share the part before the `@`.
fn nameless() -> DiscoverError {
    DiscoverError::NotReady {
        what:
            "the part of the nodes' names before the @ is not known: the own node has no name yet"
                .into(),
        cure: "set node_basename, or wait until the node is up".into(),
    }
}
