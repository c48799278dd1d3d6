//! One look through every topology: who is there now, and who does not answer.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};
use trunkline_discovery::health::{HealthCheck, Verdict};
use trunkline_discovery::strategies::Topology;
use trunkline_discovery::{BuiltSource, DiscoverError, Report};
use trunkline_proto::NodeName;
use trunkline_reconcile::evidence::{Answer, Peer, SourceId};

/// What one topology said.
#[derive(Clone, Debug)]
pub struct Look {
    /// The topology's name.
    pub topology: String,
    /// Its strategy.
    pub strategy: &'static str,
    /// Everybody that a source listed, in the order of the names, the own node included.
    pub peers: Vec<LookedAt>,
    /// What sources passed over, and why.
    pub notes: Vec<String>,
    /// Which sources do not know, and why.
    pub errors: Vec<(SourceId, DiscoverError)>,
    /// Why there is nothing to ask, when the configuration switches it off.
    pub off: Option<String>,
}

/// A peer and what its health check said.
#[derive(Clone, Debug)]
pub struct LookedAt {
    /// The peer.
    pub peer: Peer,
    /// `None`: there is no check.
    pub health: Option<Verdict>,
}

/// Asks every source of every topology once, side by side, within `limit`, and runs the health
/// checks. Nobody is connected. `me` is the node of this host, where it is known.
pub async fn look(topologies: Vec<Topology>, me: Option<NodeName>, limit: Duration) -> Vec<Look> {
    let until = Instant::now() + limit;
    let (_keep, me) = watch::channel(me);
    join_all(
        topologies
            .into_iter()
            .map(|t| look_at(t, me.clone(), until, limit)),
    )
    .await
}

async fn look_at(
    topology: Topology,
    me: watch::Receiver<Option<NodeName>>,
    until: Instant,
    limit: Duration,
) -> Look {
    let asked = topology.sources.into_iter();
    let answers = join_all(asked.map(|source| ask(source, me.clone(), until, limit))).await;
    let mut peers = BTreeMap::new();
    let mut notes = Vec::new();
    let mut errors = Vec::new();
    for (source, answer) in answers {
        match answer {
            Ok(Answer {
                peers: found,
                notes: said,
            }) => {
                found.into_iter().for_each(|peer| merge(&mut peers, peer));
                notes.extend(said);
            }
            Err(error) => errors.push((source, error)),
        }
    }
    let check = topology.health_check.as_ref();
    let checked = peers.into_values().map(|peer| check_one(check, peer));
    Look {
        topology: topology.name,
        strategy: topology.strategy,
        peers: join_all(checked).await,
        notes,
        errors,
        off: topology.off,
    }
}

/// Two sources may list one node, and one of them know more.
fn merge(peers: &mut BTreeMap<NodeName, Peer>, peer: Peer) {
    let known = peers
        .entry(peer.node.clone())
        .or_insert_with(|| Peer::named(peer.node));
    known.address = known.address.or(peer.address);
    known.port = known.port.or(peer.port);
    known.is_self |= peer.is_self;
    known.labels.extend(peer.labels);
}

/// The first answer of a source.
async fn ask(
    source: BuiltSource,
    me: watch::Receiver<Option<NodeName>>,
    until: Instant,
    limit: Duration,
) -> (SourceId, Result<Answer, DiscoverError>) {
    let id = source.id.clone();
    let (sender, mut reports) = mpsc::channel(1);
    // Dropping the handle ends the source.
    let _running = source.start(sender, me);
    let answer = match timeout_at(until, reports.recv()).await {
        Ok(Some(Report { answer, .. })) => answer,
        Ok(None) | Err(_) => Err(DiscoverError::Timeout {
            from: id.to_string(),
            after: limit,
        }),
    };
    (id, answer)
}

/// Our own node needs no check, and a peer without an address cannot have one.
async fn check_one(check: Option<&HealthCheck>, peer: Peer) -> LookedAt {
    let address = peer.address.or_else(|| peer.node.ip());
    let health = match (check, address) {
        (Some(check), Some(address)) if !peer.is_self => Some(check.check(address).await),
        _ => None,
    };
    LookedAt { peer, health }
}
