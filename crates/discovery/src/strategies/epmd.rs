//! `epmd`: a fixed list of node names, for ever. What libcluster calls `Cluster.Strategy.Epmd`,
//! which connects once; here the engine keeps trying.

use futures_util::future::BoxFuture;
use serde::Deserialize;
use toml::Table;
use trunkline_proto::NodeName;
use trunkline_reconcile::evidence::{Answer, Kind, Peer};

use super::{Place, Sources, Strategy};
use crate::config::{self, BuildCx, ConfigError, Field};
use crate::source::{BuiltSource, Source, SourceCx};

pub(super) const STRATEGY: Strategy = Strategy {
    name: "epmd",
    modules: &["Cluster.Strategy.Epmd"],
    summary: "a fixed list of nodes, found through EPMD on their hosts",
    fields: &[Field::new("hosts", HOSTS, "the nodes")
        .required()
        .example(r#"["app@10.0.0.5", "app@10.0.0.6"]"#)],
    retired: &[(
        "timeout",
        "every node is retried for ever, with a growing backoff",
    )],
    example: r#"hosts = ["app@10.0.0.5", "app@10.0.0.6"]"#,
    build,
};

const HOSTS: &str = "a list of node names, [\"app@10.0.0.5\", …]";

/// The options of `epmd`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// The nodes, self included or not; an empty list switches the topology off.
    hosts: Vec<String>,
}

fn build(place: &Place<'_>, table: &Table, _: &BuildCx) -> Result<Sources, ConfigError> {
    let config: Config = config::read(place.path, table, STRATEGY.fields)?;
    if config.hosts.is_empty() {
        return Ok(Sources::Off("hosts is empty".into()));
    }
    let mut hosts = Vec::with_capacity(config.hosts.len());
    for text in &config.hosts {
        // Somebody who copies from Elixir brings its atoms along.
        let bare = text.trim().trim_start_matches(':').trim_matches('"');
        let name: NodeName = bare.parse().map_err(|error| {
            let what = format!("hosts holds {text:?}, and {error}");
            ConfigError::new(
                place.path,
                Some("hosts"),
                what,
                format!("allowed is {HOSTS}"),
            )
        })?;
        hosts.push(name.canonical());
    }
    hosts.sort_unstable();
    hosts.dedup();
    let id = format!("{}/hosts", place.topology);
    Ok(Sources::Ask(vec![BuiltSource::new(id, Hosts(hosts))]))
}

/// Knows everybody from the start. Authoritative: who is not in the list is not of this topology.
#[derive(Debug)]
struct Hosts(Vec<NodeName>);

impl Hosts {
    fn answer(&self, me: Option<&NodeName>) -> Answer {
        let peer = |name: &NodeName| Peer {
            is_self: me == Some(name),
            ..Peer::named(name.clone())
        };
        // Many lists hold only the others, so that each node's own is missing from its own.
        let own = me.filter(|me| !self.0.contains(me));
        Answer {
            peers: self.0.iter().chain(own).map(peer).collect(),
            notes: Vec::new(),
        }
    }
}

impl Source for Hosts {
    fn kind(&self) -> Kind {
        Kind::Authoritative
    }

    fn run(self: Box<Self>, cx: SourceCx) -> BoxFuture<'static, ()> {
        let cancelled = cx.cancellation();
        let repeat = async move {
            loop {
                let me = cx.me();
                let answer = self.answer(me.as_ref().map(NodeName::canonical).as_ref());
                cx.report(Ok(answer)).await;
                tokio::select! {
                    () = cx.poked() => {}
                    () = cx.me_changed_from(me.as_ref()) => {}
                }
            }
        };
        Box::pin(async move {
            cancelled.run_until_cancelled(repeat).await;
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_node_belongs_to_the_list_whether_it_is_in_it_or_not() {
        let names = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect::<Vec<_>>();
        let me: NodeName = "app@10.0.0.5".parse().unwrap();
        for list in [&["app@10.0.0.6"][..], &["app@10.0.0.5", "app@10.0.0.6"]] {
            let answer = Hosts(names(list)).answer(Some(&me));
            let own: Vec<_> = answer.peers.iter().filter(|peer| peer.is_self).collect();
            assert_eq!(answer.peers.len(), 2, "{list:?}");
            assert_eq!(own.len(), 1, "{list:?}");
            assert_eq!(own[0].node, me);
        }
    }
}
