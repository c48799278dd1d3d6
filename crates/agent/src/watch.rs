//! Every topology, looked at for as long as somebody wants: what changes, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval};
use trunkline_discovery::health::{HealthCheck, Verdict};
use trunkline_discovery::strategies::Topology;
use trunkline_discovery::{DiscoverError, Report, SourceHandle};
use trunkline_proto::NodeName;
use trunkline_reconcile::evidence::{Answer, Peer, SourceId};

use crate::look::LookedAt;

/// Something changed.
#[derive(Clone, Debug)]
pub enum Change {
    /// A peer is listed that was not.
    Found {
        /// Where.
        topology: String,
        /// Who; its health is not known yet.
        peer: LookedAt,
    },
    /// No source of the topology lists the peer any more.
    Gone {
        /// Where.
        topology: String,
        /// Who.
        node: NodeName,
    },
    /// A health check passes, or fails, and did not before.
    Health {
        /// Whose check.
        topology: String,
        /// Who was checked.
        node: NodeName,
        /// What it found.
        verdict: Verdict,
    },
    /// A source does not know; its last good answer stands. Said again when the reason changes.
    Failed {
        /// Which.
        source: SourceId,
        /// Why.
        error: DiscoverError,
    },
    /// A source knows again.
    Answers {
        /// Which.
        source: SourceId,
    },
    /// A source passed something over.
    Note {
        /// Which.
        source: SourceId,
        /// What, and why.
        note: String,
    },
    /// There is nothing to ask.
    Off {
        /// Which topology.
        topology: String,
        /// Why.
        why: String,
    },
}

/// How often the health of every peer is checked, as the agent does.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// Reports that wait; a source that is ahead of us waits itself.
const REPORTS: usize = 64;

/// Topologies that are watched. Dropping it ends their sources.
#[derive(Debug)]
pub struct Watch {
    topologies: BTreeMap<String, Watched>,
    of_source: BTreeMap<SourceId, String>,
    reports: mpsc::Receiver<Report>,
    checks: JoinSet<(String, NodeName, Verdict)>,
    tick: Interval,
    first: Vec<Change>,
    _running: Vec<SourceHandle>,
    // Sources end when nobody takes their reports; while one is held here they only wait.
    _reports: mpsc::Sender<Report>,
}

impl Watch {
    /// Starts every source. `me` is the node of this host, where it is known. Nobody is connected.
    pub fn start(topologies: Vec<Topology>, me: watch::Receiver<Option<NodeName>>) -> Self {
        let (sender, reports) = mpsc::channel(REPORTS);
        let mut tick = interval(CHECK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut this = Self {
            topologies: BTreeMap::new(),
            of_source: BTreeMap::new(),
            reports,
            checks: JoinSet::new(),
            tick,
            first: Vec::new(),
            _running: Vec::new(),
            _reports: sender.clone(),
        };
        for topology in topologies {
            this.add(topology, &sender, &me);
        }
        this
    }

    fn add(
        &mut self,
        topology: Topology,
        reports: &mpsc::Sender<Report>,
        me: &watch::Receiver<Option<NodeName>>,
    ) {
        let name = topology.name;
        if let Some(why) = topology.off {
            let topology = name.clone();
            self.first.push(Change::Off { topology, why });
        }
        let mut sources = BTreeMap::new();
        for source in topology.sources {
            sources.insert(source.id.clone(), Said::default());
            self.of_source.insert(source.id.clone(), name.clone());
            self._running
                .push(source.start(reports.clone(), me.clone()));
        }
        let watched = Watched {
            name: name.clone(),
            check: topology.health_check,
            sources,
            peers: BTreeMap::new(),
        };
        self.topologies.insert(name, watched);
    }

    /// Waits for the next changes: at least one.
    pub async fn next(&mut self) -> Vec<Change> {
        let first = std::mem::take(&mut self.first);
        if !first.is_empty() {
            return first;
        }
        loop {
            let changes = tokio::select! {
                Some(report) = self.reports.recv() => self.report(report),
                Some(checked) = self.checks.join_next() => match checked {
                    Ok((topology, node, verdict)) => self.checked(&topology, node, verdict),
                    // It panicked, which was printed: the next round checks again.
                    Err(_) => Vec::new(),
                },
                _ = self.tick.tick() => {
                    self.check_all();
                    Vec::new()
                }
            };
            if !changes.is_empty() {
                return changes;
            }
        }
    }

    fn report(&mut self, report: Report) -> Vec<Change> {
        let name = self.of_source.get(&report.source);
        let Some(watched) = name.and_then(|name| self.topologies.get_mut(name)) else {
            return Vec::new();
        };
        let changes = watched.report(&report.source, report.answer);
        for change in &changes {
            if let Change::Found { peer, .. } = change {
                watched.check(&peer.peer.node, &mut self.checks);
            }
        }
        changes
    }

    fn checked(&mut self, topology: &str, node: NodeName, verdict: Verdict) -> Vec<Change> {
        let watched = self.topologies.get_mut(topology);
        let change = watched.and_then(|watched| watched.checked(node, verdict));
        change.into_iter().collect()
    }

    fn check_all(&mut self) {
        for watched in self.topologies.values() {
            for node in watched.peers.keys() {
                watched.check(node, &mut self.checks);
            }
        }
    }
}

/// One topology and what is known of it.
#[derive(Debug)]
struct Watched {
    name: String,
    check: Option<HealthCheck>,
    sources: BTreeMap<SourceId, Said>,
    peers: BTreeMap<NodeName, LookedAt>,
}

/// What a source said last.
#[derive(Debug, Default)]
struct Said {
    peers: BTreeMap<NodeName, Peer>,
    notes: BTreeSet<String>,
    error: Option<String>,
}

impl Watched {
    fn report(&mut self, source: &SourceId, answer: Result<Answer, DiscoverError>) -> Vec<Change> {
        let Some(said) = self.sources.get_mut(source) else {
            return Vec::new();
        };
        let mut changes = Vec::new();
        match answer {
            Err(error) => {
                let text = error.to_string();
                if said.error.replace(text.clone()) != Some(text) {
                    let source = source.clone();
                    changes.push(Change::Failed { source, error });
                }
            }
            Ok(Answer { peers, notes }) => {
                if said.error.take().is_some() {
                    let source = source.clone();
                    changes.push(Change::Answers { source });
                }
                let notes: BTreeSet<_> = notes.into_iter().collect();
                changes.extend(notes.difference(&said.notes).map(|note| Change::Note {
                    source: source.clone(),
                    note: note.clone(),
                }));
                said.notes = notes;
                let named = peers.into_iter().map(|peer| (peer.node.clone(), peer));
                said.peers = named.collect();
                self.compare(&mut changes);
            }
        }
        changes
    }

    /// Who is listed by any source now, and was not, or no longer is.
    fn compare(&mut self, changes: &mut Vec<Change>) {
        let listed = self.sources.values().flat_map(|said| &said.peers);
        let listed: BTreeMap<_, _> = listed.collect();
        for (node, peer) in &listed {
            if let Some(known) = self.peers.get_mut(*node) {
                known.peer = (*peer).clone();
                continue;
            }
            let peer = LookedAt {
                peer: (*peer).clone(),
                health: None,
            };
            self.peers.insert((*node).clone(), peer.clone());
            let topology = self.name.clone();
            changes.push(Change::Found { topology, peer });
        }
        let gone = self.peers.keys().filter(|node| !listed.contains_key(node));
        for node in gone.cloned().collect::<Vec<_>>() {
            self.peers.remove(&node);
            let topology = self.name.clone();
            changes.push(Change::Gone { topology, node });
        }
    }

    /// Starts the check of one peer. Our own node needs none.
    fn check(&self, node: &NodeName, checks: &mut JoinSet<(String, NodeName, Verdict)>) {
        let known = self.peers.get(node).filter(|known| !known.peer.is_self);
        let Some((check, known)) = self.check.clone().zip(known) else {
            return;
        };
        let Some(address) = known.peer.address.or_else(|| node.ip()) else {
            return;
        };
        let (topology, node) = (self.name.clone(), node.clone());
        checks.spawn(async move { (topology, node, check.check(address).await) });
    }

    fn checked(&mut self, node: NodeName, verdict: Verdict) -> Option<Change> {
        let known = self.peers.get_mut(&node)?;
        let passes = |verdict: &Verdict| *verdict == Verdict::Pass;
        let before = known.health.as_ref().map(passes);
        known.health = Some(verdict.clone());
        (before != Some(passes(&verdict))).then(|| Change::Health {
            topology: self.name.clone(),
            node,
            verdict,
        })
    }
}
