//! What `trunkline config check --json` prints.

use std::path::Path;

use serde::Serialize;
use trunkline_agent::AgentConfig;
use trunkline_agent::admin::DEFAULT_LISTEN;
use trunkline_agent::config::{Checked, Finding};
use trunkline_agent::status::millis;
use trunkline_discovery::strategies::Topology;
use trunkline_reconcile::{Config, OnRemoved};

/// All of it.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    file: Option<String>,
    /// Whether the exit code is 0.
    ok: bool,
    mistakes: Vec<FindingOut<'a>>,
    warnings: Vec<FindingOut<'a>>,
    /// What an agent would do; null when there is a mistake.
    understood: Option<Understood<'a>>,
}

#[derive(Serialize)]
struct FindingOut<'a> {
    what: &'a str,
    #[serde(rename = "where")]
    place: &'a str,
    cure: &'a str,
    line: Option<usize>,
    section: Option<&'a str>,
    key: Option<&'a str>,
}

#[derive(Serialize)]
struct Understood<'a> {
    node: NodeOut<'a>,
    engine: EngineOut,
    topologies: Vec<TopologyOut<'a>>,
    admin: AdminOut,
    /// Why these topologies.
    chosen: &'a str,
}

#[derive(Serialize)]
struct NodeOut<'a> {
    /// Null: named by its surroundings.
    name: Option<&'a str>,
    /// Where it comes from; null: where OTP and releases keep it.
    cookie: Option<String>,
    /// Whether the file sets TLS up; without it the environment may.
    tls: bool,
}

/// With the keys of `[engine]`, durations in milliseconds.
#[derive(Serialize)]
struct EngineOut {
    connect_timeout: u64,
    max_connects: usize,
    backoff_min: u64,
    backoff_max: u64,
    lasting_backoff_min: u64,
    lasting_backoff_max: u64,
    removal_misses: u32,
    removal_grace: u64,
    removal_guard: f64,
    on_removed: &'static str,
    audit_interval: u64,
    expected_size: usize,
}

#[derive(Serialize)]
struct TopologyOut<'a> {
    name: &'a str,
    strategy: &'a str,
    sources: Vec<String>,
    off: Option<&'a str>,
    health_check: bool,
}

#[derive(Serialize)]
struct AdminOut {
    listen: String,
    token: bool,
    min_nodes: usize,
}

impl<'a> Report<'a> {
    pub(super) fn new(file: Option<&Path>, ok: bool, checked: &'a Checked) -> Self {
        let all = |findings: &'a [Finding]| findings.iter().map(FindingOut::new).collect();
        let understood = checked.understood.as_ref();
        Self {
            file: file.map(|file| file.display().to_string()),
            ok,
            mistakes: all(&checked.mistakes),
            warnings: all(&checked.warnings),
            understood: understood.map(|(config, topologies)| Understood::new(config, topologies)),
        }
    }
}

impl<'a> FindingOut<'a> {
    fn new(finding: &'a Finding) -> Self {
        Self {
            what: &finding.what,
            place: &finding.place,
            cure: &finding.cure,
            line: finding.line,
            section: finding.section.as_deref(),
            key: finding.key.as_deref(),
        }
    }
}

impl<'a> Understood<'a> {
    fn new(config: &'a AgentConfig, topologies: &'a [Topology]) -> Self {
        let topology = |topology: &'a Topology| TopologyOut {
            name: &topology.name,
            strategy: topology.strategy,
            sources: sources(topology),
            off: topology.off.as_deref(),
            health_check: topology.health_check.is_some(),
        };
        let listen = config.admin.listen;
        Self {
            node: NodeOut {
                name: config.node.name.as_ref().map(|name| name.as_str()),
                cookie: config.node.cookie.as_ref().map(|cookie| cookie.source()),
                tls: config.node.tls.is_some(),
            },
            engine: EngineOut::new(&config.engine),
            topologies: topologies.iter().map(topology).collect(),
            admin: AdminOut {
                listen: listen.unwrap_or(DEFAULT_LISTEN).to_string(),
                token: config.admin.token.is_some(),
                min_nodes: config.admin.min_nodes,
            },
            chosen: &config.chosen,
        }
    }
}

impl EngineOut {
    fn new(config: &Config) -> Self {
        Self {
            connect_timeout: millis(config.connect_timeout),
            max_connects: config.max_connects,
            backoff_min: millis(config.backoff_min),
            backoff_max: millis(config.backoff_max),
            lasting_backoff_min: millis(config.lasting_backoff_min),
            lasting_backoff_max: millis(config.lasting_backoff_max),
            removal_misses: config.removal_misses,
            removal_grace: millis(config.removal_grace),
            removal_guard: config.removal_guard.get(),
            on_removed: match config.on_removed {
                OnRemoved::Keep => "keep",
                OnRemoved::Disconnect => "disconnect",
            },
            audit_interval: millis(config.audit_interval),
            expected_size: config.expected_size,
        }
    }
}

/// The names of what it asks.
pub(super) fn sources(topology: &Topology) -> Vec<String> {
    let sources = topology.sources.iter();
    sources.map(|source| source.id.to_string()).collect()
}
