//! `dns`: every address that a name has is a node. What `dns_cluster` and libcluster's `DNSPoll` do.

mod addresses;
mod names;
mod query;
mod services;

use std::net::IpAddr;

use serde::Deserialize;
use toml::Table;
use trunkline_reconcile::evidence::Kind;

use super::options;
use super::{Place, Sources, Strategy};
use crate::config::{self, BuildCx, ConfigError, Field, Millis};
use crate::dns::{Family, Resolver, parse_nameserver};
use crate::polling::{DEFAULT_INTERVAL, Polling};
use crate::source::{BuiltSource, Poll, PollCx};
use addresses::Addresses;
use names::{NAMING, Names, SRV_LABELS};
use query::{Queries, Target};
use services::Services;

pub(super) const STRATEGY: Strategy = Strategy {
    name: "dns",
    modules: &["Cluster.Strategy.DNSPoll", "DNSCluster"],
    summary: "every A, AAAA or SRV record of a name is a node",
    fields: &[
        Field::new("query", query::ALLOWED, "the name to look up, or several")
            .required()
            .example(r#""my-app.internal""#),
        Field::new(
            "node_basename",
            NAMING,
            "the part of the nodes' names before the @; by default that of the own node",
        )
        .example(r#""my_app""#),
        Field::new("resource_types", TYPES, "the record types to ask for")
            .default(r#"["a", "aaaa"]"#),
        Field::new(
            "srv_names",
            r#""address" or "host""#,
            "what follows the @ where an SRV record names a host: its address, or its name",
        )
        .default(r#""address""#),
        Field::new(
            "srv_port",
            r#""ignore" or "distribution""#,
            "what the port of an SRV record is: nothing to us, or the one that the node listens at",
        )
        .default(r#""ignore""#),
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
        Field::new(
            "interval",
            options::INTERVAL,
            "the same, as dns_cluster calls it",
        )
        .example(r#""5s""#),
    ],
    retired: &[
        (
            "connect_timeout",
            "connect_timeout of [engine] holds for every topology",
        ),
        ("log", "the log says what changes, TRUNKLINE_LOG how much"),
        ("resolver", "there is one resolver, see nameservers"),
        (
            "name",
            "there is no process to name; the topology has a name",
        ),
    ],
    example: r#"query = "hello-elixir.internal""#,
    build,
};

const TYPES: &str = r#"one or more of "a", "aaaa", "srv", as a list"#;
pub(super) const SERVERS: &str =
    "a list of addresses with or without port, [\"127.0.0.1:5353\", …]";

/// The options of `dns`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// The names whose records are nodes. Empty: off, so that one configuration serves a laptop
    /// too.
    query: Queries,
    /// Before the `@`. Default: what the node that we serve has.
    node_basename: Option<String>,
    /// Default: A and AAAA.
    resource_types: Vec<RecordType>,
    /// Default: `address`, as dns_cluster does.
    srv_names: SrvNames,
    /// Default: `ignore`, as dns_cluster does.
    srv_port: SrvPort,
    /// `ip` or `ip:port`. Default: the system's.
    nameservers: Vec<String>,
    /// Default 5 s.
    polling_interval: Millis,
    /// The same under dns_cluster's name.
    interval: Option<Millis>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            query: Queries::default(),
            node_basename: None,
            resource_types: vec![RecordType::A, RecordType::Aaaa],
            srv_names: SrvNames::Address,
            srv_port: SrvPort::Ignore,
            nameservers: Vec::new(),
            polling_interval: Millis(DEFAULT_INTERVAL),
            interval: None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RecordType {
    #[serde(alias = "A")]
    A,
    #[serde(alias = "AAAA")]
    Aaaa,
    #[serde(alias = "SRV")]
    Srv,
}

/// What stands after the `@` of a node that an SRV record lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SrvNames {
    Address,
    Host,
}

/// What the port of an SRV record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SrvPort {
    Ignore,
    Distribution,
}

fn build(place: &Place<'_>, table: &Table, cx: &BuildCx) -> Result<Sources, ConfigError> {
    let mut config: Config = config::read(place.path, table, STRATEGY.fields)?;
    config.resource_types.sort_unstable();
    config.resource_types.dedup();
    // Also where every query has a basename of its own.
    names(place, config.node_basename.as_deref(), &config, cx)?;
    let interval = interval(place, table, &config)?;
    check_types(place, table, &config.resource_types)?;
    let resolver = resolver(place, &config.nameservers, cx)?;
    let resolver = resolver.with_deadline(cx.timeout);
    let targets = match config.query.read(place, table, &cx.env)? {
        Ok(targets) => targets,
        Err(off) => return Ok(Sources::Off(off)),
    };
    let mut sources = Vec::new();
    for target in &targets {
        let own = target.basename.as_deref();
        let text = own.or(config.node_basename.as_deref());
        for record in &config.resource_types {
            let query = target.query.clone();
            let resolver = resolver.clone();
            let names = names(place, text, &config, cx)?;
            let id = id(place, target, *record);
            sources.push(match record {
                RecordType::A => {
                    let ask = Addresses::new(query, Family::V4, names, resolver);
                    source(id, ask, interval)
                }
                RecordType::Aaaa => {
                    let ask = Addresses::new(query, Family::V6, names, resolver);
                    source(id, ask, interval)
                }
                RecordType::Srv => {
                    let kind = (config.srv_names, config.srv_port);
                    let ask = Services::new(query, kind, names, resolver, cx.timeout);
                    source(id, ask, interval)
                }
            });
        }
    }
    Ok(Sources::Ask(sources))
}

fn source(id: String, ask: impl Poll + 'static, interval: std::time::Duration) -> BuiltSource {
    BuiltSource::new(id, Polling::new(ask, Kind::Sampling, interval))
}

/// `web/app.internal/a`, and `web/other@app.internal/a` where the query has a basename of its own.
fn id(place: &Place<'_>, target: &Target, record: RecordType) -> String {
    let of = target
        .basename
        .as_ref()
        .map_or(String::new(), |basename| format!("{basename}@"));
    let kind = match record {
        RecordType::A => "a",
        RecordType::Aaaa => "aaaa",
        RecordType::Srv => "srv",
    };
    format!("{}/{of}{}/{kind}", place.topology, target.query)
}

/// What every record that is asked for knows of its node.
fn labels(config: &Config) -> &'static [&'static str] {
    match config.resource_types[..] {
        [RecordType::Srv] => SRV_LABELS,
        _ => &[],
    }
}

fn names(
    place: &Place<'_>,
    text: Option<&str>,
    config: &Config,
    cx: &BuildCx,
) -> Result<Names, ConfigError> {
    let names = Names::new(place.path, text, labels(config), cx)?;
    if matches!(names, Names::Learn(_)) && config.srv_port == SrvPort::Distribution {
        let what =
            "node_basename = \"learn\" asks an EPMD, and srv_port = \"distribution\" does without";
        let cure = "write the name that the nodes have, or leave srv_port out";
        let key = Some("node_basename");
        return Err(ConfigError::new(place.path, key, what, cure));
    }
    Ok(names)
}

fn interval(
    place: &Place<'_>,
    table: &Table,
    config: &Config,
) -> Result<std::time::Duration, ConfigError> {
    let Some(interval) = config.interval else {
        return options::interval(place.path, config.polling_interval);
    };
    if table.contains_key("polling_interval") {
        let what = "interval and polling_interval are the same, and both are set";
        return Err(ConfigError::new(
            place.path,
            Some("interval"),
            what,
            "remove one of them",
        ));
    }
    options::interval_of(place.path, "interval", interval)
}

/// What is said about SRV records must be of use.
fn check_types(place: &Place<'_>, table: &Table, types: &[RecordType]) -> Result<(), ConfigError> {
    if types.is_empty() {
        return Err(ConfigError::bad_value(
            place.path,
            "resource_types",
            "[]",
            TYPES,
        ));
    }
    let unused = ["srv_names", "srv_port"].into_iter().find(|key| {
        let default = STRATEGY.fields.iter().find(|field| field.name == *key);
        let default = default.and_then(|field| field.default);
        table
            .get(*key)
            .is_some_and(|value| default != Some(&value.to_string()))
    });
    match unused {
        Some(key) if !types.contains(&RecordType::Srv) => Err(ConfigError::new(
            place.path,
            Some(key),
            format!("{key} is set, and no SRV records are asked for"),
            "add \"srv\" to resource_types, or remove it",
        )),
        _ => Ok(()),
    }
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

/// Whether one host can have this address.
fn is_host(ip: &IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}

/// What the own node speaks, as far as its name tells: the address in it is of that family. OTP
/// speaks one of the two (`-proto_dist`).
fn own_family(cx: &PollCx) -> Option<Family> {
    cx.me()?.ip().map(Family::of)
}

fn other(family: Family) -> Family {
    match family {
        Family::V4 => Family::V6,
        Family::V6 => Family::V4,
    }
}
