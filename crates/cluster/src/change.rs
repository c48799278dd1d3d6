//! Another configuration while links exist.

use trunkline_discovery::strategies::Topology;
use trunkline_reconcile::evidence::{Kind, SourceId, TopologyId};
use trunkline_reconcile::{Config, HealthRule, TopologyRules};

/// What [`Cluster::change`](crate::Cluster::change) changes. Topologies that are not named go on as
/// if nothing had happened: their sources keep their schedules and what they know.
#[derive(Debug, Default)]
pub struct Change {
    /// The engine's knobs from now on. `connect_timeout` is not among what changes: the member has it.
    pub engine: Option<Config>,
    /// New topologies, and changed ones: their sources are started anew, and until these have
    /// answered whoever was listed stays listed.
    pub set: Vec<Topology>,
    /// Names of topologies that are there no more. Their peers are not dialled any more, unless
    /// another one lists them; links stay.
    pub remove: Vec<String>,
}

/// What holds for the peers of a topology.
pub(crate) fn rules(topology: &Topology) -> TopologyRules {
    let health = topology.health_check.as_ref().map(|check| HealthRule {
        rise: check.rise.get(),
        fall: check.fall.get(),
        ..HealthRule::default()
    });
    TopologyRules { health }
}

/// What the engine knows of a topology's sources.
pub(crate) fn sources(topology: &Topology) -> Vec<(SourceId, Kind)> {
    let sources = topology.sources.iter();
    sources
        .map(|source| (source.id.clone(), source.kind))
        .collect()
}

/// The engine's name of a topology.
pub(crate) fn id(topology: &Topology) -> TopologyId {
    TopologyId(topology.name.clone())
}
