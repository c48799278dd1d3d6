//! The running sources, by topology.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{mpsc, watch};
use trunkline_discovery::strategies::Topology;
use trunkline_discovery::{Report, SourceHandle};
use trunkline_proto::NodeName;

/// How long sources may take to withdraw what they announced.
const WITHDRAW: Duration = Duration::from_secs(1);

/// Reports that wait; a source that is ahead of us waits itself.
const REPORTS: usize = 64;

/// Everything that is asked, and what it reports.
#[derive(Debug)]
pub(crate) struct Sources {
    running: BTreeMap<String, Vec<SourceHandle>>,
    reports: mpsc::Receiver<Report>,
    /// Reports that were taken while others were thrown away.
    kept: VecDeque<Report>,
    report: mpsc::Sender<Report>,
    me: watch::Sender<Option<NodeName>>,
}

impl Sources {
    pub(crate) fn new(me: NodeName) -> Self {
        let (report, reports) = mpsc::channel(REPORTS);
        Self {
            running: BTreeMap::new(),
            reports,
            kept: VecDeque::new(),
            report,
            me: watch::Sender::new(Some(me)),
        }
    }

    /// Starts the sources of a topology.
    pub(crate) fn start(&mut self, topology: Topology) {
        let sources = topology.sources.into_iter();
        let start = sources.map(|s| s.start(self.report.clone(), self.me.subscribe()));
        let started = start.collect();
        self.running.insert(topology.name, started);
    }

    /// Ends the sources of these topologies. What they said and nobody heard is forgotten: a source
    /// of the same name may follow.
    pub(crate) async fn end(&mut self, topologies: &[String]) {
        let ended = topologies
            .iter()
            .filter_map(|name| self.running.remove(name));
        let ended: Vec<_> = ended.flatten().collect();
        let ids: BTreeSet<_> = ended.iter().map(|source| source.id().clone()).collect();
        join_all(ended.into_iter().map(|source| source.stop(WITHDRAW))).await;
        while let Ok(report) = self.reports.try_recv() {
            self.kept.push_back(report);
        }
        self.kept.retain(|report| !ids.contains(&report.source));
    }

    /// Ends all of them.
    pub(crate) async fn end_all(&mut self) {
        let all: Vec<_> = self.running.keys().cloned().collect();
        self.end(&all).await;
    }

    /// The next report. Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> Report {
        match self.kept.pop_front() {
            Some(report) => report,
            None => match self.reports.recv().await {
                Some(report) => report,
                // Never: we hold a sender ourselves.
                None => std::future::pending().await,
            },
        }
    }
}
