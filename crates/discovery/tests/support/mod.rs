//! Scripted servers on loopback, and one look through a topology.
#![allow(dead_code, unreachable_pub)] // each test program uses a part

pub mod dns_server;
pub mod epmd;
pub mod fly_dns;
pub mod http_server;

use std::time::Duration;

use epmd::Hosts;
use tokio::sync::{mpsc, watch};
use trunkline_discovery::config::BuildCx;
use trunkline_discovery::strategies::{self, Topology};
use trunkline_discovery::{ConfigError, Env, Report, SourceHandle};
use trunkline_proto::NodeName;

/// Far more than anything here takes; a test that needs it has failed.
pub const DEADLINE: Duration = Duration::from_secs(20);

thread_local! {
    static HOSTS: Hosts = Hosts::default();
}

/// The port mappers of this test, which runs on a thread of its own.
pub fn hosts() -> Hosts {
    HOSTS.with(Clone::clone)
}

pub fn cx() -> BuildCx {
    BuildCx {
        timeout: DEADLINE,
        port_mapper: Some(std::sync::Arc::new(hosts())),
        ..BuildCx::new(Env::from_iter([("TOKEN", "sesame-0123456789")]))
    }
}

/// For a look that is to run into its time-out: as short as a busy machine allows that answers what it can.
pub fn hasty(cx: BuildCx) -> BuildCx {
    BuildCx {
        timeout: Duration::from_secs(3),
        ..cx
    }
}

pub fn build(options: &str) -> Result<Topology, ConfigError> {
    strategies::build("web", &options.parse().expect("TOML"), &cx())
}

/// A running topology.
pub struct Running {
    pub handles: Vec<SourceHandle>,
    pub reports: mpsc::Receiver<Report>,
    pub me: watch::Sender<Option<NodeName>>,
}

pub fn start(options: &str, me: Option<&str>) -> Running {
    start_with(options, me, &cx())
}

pub fn start_with(options: &str, me: Option<&str>, cx: &BuildCx) -> Running {
    let me = me.map(|name| name.parse().expect("a node name"));
    let (tx, reports) = mpsc::channel(16);
    let (me, seen) = watch::channel(me);
    let topology = strategies::build("web", &options.parse().expect("TOML"), cx);
    let topology = topology.expect("the options are good");
    let handles = topology.sources.into_iter();
    let handles = handles.map(|source| source.start(tx.clone(), seen.clone()));
    Running {
        handles: handles.collect(),
        reports,
        me,
    }
}

impl Running {
    pub async fn next(&mut self) -> Report {
        let report = tokio::time::timeout(DEADLINE, self.reports.recv()).await;
        report
            .expect("a report in time")
            .expect("the source still runs")
    }
}

/// The first report of a topology with one source.
pub async fn first(options: &str, me: Option<&str>) -> Report {
    start(options, me).next().await
}

/// Error and cure on one line, as logs show them.
pub fn line(report: &Report) -> String {
    let error = report.answer.as_ref().expect_err("an error");
    format!("{error} · {}", error.cure())
}

pub fn fixture(path: &str) -> String {
    let path = format!("{}/tests/fixtures/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}
