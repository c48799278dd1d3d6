//! What we ask of the BEAM node: one function for each question, all by erpc.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use trunkline_etf::{Atom, Term};
use trunkline_node::{Node, RpcError};
use trunkline_proto::NodeName;

use crate::MemberError;

/// A question that the node answers from memory.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// A dial inside a BEAM cannot be cancelled and ends by itself: `net_setuptime` (at most 120 s)
/// for each of its two stages.
const DIAL_LIMIT: Duration = Duration::from_secs(250);

/// How long the node waits for a neighbour that it asks in our name, in milliseconds.
const RELAY_LIMIT_MS: i64 = 5_000;

/// The BEAM node that we are attached to, asked over our hidden connection.
#[derive(Clone, Debug)]
pub(super) struct Beam {
    pub(super) node: Node,
    pub(super) name: NodeName,
    /// One for each dial that the node may make at once.
    pub(super) dials: Arc<Semaphore>,
}

impl Beam {
    /// `net_kernel:connect_node/1`: whether the link exists now.
    pub(super) async fn connect_node(&self, peer: &NodeName) -> Result<bool, MemberError> {
        // It is never closed.
        let _dial = self
            .dials
            .acquire()
            .await
            .map_err(|_| MemberError::Detached)?;
        let answer = self
            .call("net_kernel", "connect_node", vec![name(peer)?], DIAL_LIMIT)
            .await?;
        Ok(answer.is_atom("true"))
    }

    /// `nodes(Type)`.
    pub(super) async fn nodes(
        &self,
        kind: &'static str,
    ) -> Result<BTreeSet<NodeName>, MemberError> {
        let answer = self.ask("erlang", "nodes", vec![Term::atom(kind)]).await?;
        Ok(node_names(&answer))
    }

    /// Whether the node was started with `-proto_dist inet6_tcp` or `inet6_tls`.
    pub(super) async fn uses_ipv6(&self) -> Result<bool, MemberError> {
        let flag = vec![Term::atom("proto_dist")];
        let answer = self.ask("init", "get_argument", flag).await?;
        Ok(names_inet6(&answer))
    }

    /// The port on which the node takes every other to listen (`-erl_epmd_port`); `None` when it asks
    /// port mappers.
    pub(super) async fn peer_port(&self) -> Result<Option<u16>, MemberError> {
        let flag = vec![Term::atom("erl_epmd_port")];
        let answer = self.ask("init", "get_argument", flag).await?;
        let mut words = words(&answer);
        Ok(words.find_map(|word| word.to_text()?.parse().ok()))
    }

    /// `global:disconnect/0`: leave the others without tearing their links. Hidden links stay.
    pub(super) async fn global_disconnect(&self) -> Result<(), MemberError> {
        self.ask("global", "disconnect", vec![]).await.map(drop)
    }

    /// `global:disconnect/0` on a neighbour. It cuts the link that its answer would take, so no
    /// answer is as good as one.
    pub(super) async fn global_disconnect_at(&self, peer: &NodeName) -> Result<(), MemberError> {
        match self.relay(peer, "global", "disconnect", vec![]).await {
            Err(MemberError::Failed(why)) if why.contains("noconnection") => Ok(()),
            other => other.map(drop),
        }
    }

    /// `erlang:disconnect_node/1`.
    pub(super) async fn disconnect_node(&self, peer: &NodeName) -> Result<(), MemberError> {
        let peer = vec![name(peer)?];
        self.ask("erlang", "disconnect_node", peer).await.map(drop)
    }

    /// The hidden neighbours of a neighbour.
    pub(super) async fn hidden_at(
        &self,
        peer: &NodeName,
    ) -> Result<BTreeSet<NodeName>, MemberError> {
        let hidden = vec![Term::atom("hidden")];
        let answer = self.relay(peer, "erlang", "nodes", hidden).await?;
        Ok(node_names(&answer))
    }

    /// Tools in the application that connect nodes themselves.
    pub(super) async fn cluster_tools(&self) -> Result<Vec<&'static str>, MemberError> {
        let mut tools = Vec::new();
        if self.is_registered("Elixir.DNSCluster").await? {
            tools.push("dns_cluster");
        }
        // Its supervisor has whatever name the application gave it.
        if self
            .applications()
            .await?
            .iter()
            .any(|name| name == "libcluster")
        {
            tools.push("libcluster");
        }
        Ok(tools)
    }

    async fn is_registered(&self, process: &'static str) -> Result<bool, MemberError> {
        let answer = self
            .ask("erlang", "whereis", vec![Term::atom(process)])
            .await?;
        Ok(answer.as_pid().is_some())
    }

    async fn applications(&self) -> Result<Vec<String>, MemberError> {
        let answer = self
            .ask("application", "which_applications", vec![])
            .await?;
        let names = answer.as_list().unwrap_or_default().iter();
        Ok(names
            .filter_map(|app| app.as_tuple()?.first()?.as_atom())
            .map(|app| app.as_str().to_owned())
            .collect())
    }

    /// Has the node call a function on one of its neighbours: over a link that exists.
    async fn relay(
        &self,
        peer: &NodeName,
        module: &'static str,
        function: &'static str,
        args: Vec<Term>,
    ) -> Result<Term, MemberError> {
        let args = vec![
            name(peer)?,
            Term::atom(module),
            Term::atom(function),
            Term::list(args),
            Term::from(RELAY_LIMIT_MS),
        ];
        self.ask("erpc", "call", args).await
    }

    async fn ask(
        &self,
        module: &'static str,
        function: &'static str,
        args: Vec<Term>,
    ) -> Result<Term, MemberError> {
        self.call(module, function, args, ANSWER_LIMIT).await
    }

    async fn call(
        &self,
        module: &'static str,
        function: &'static str,
        args: Vec<Term>,
        limit: Duration,
    ) -> Result<Term, MemberError> {
        self.node
            .erpc(&self.name, module, function, args, limit)
            .await
            .map_err(|why| failed(module, function, &why))
    }
}

/// In `{ok, [["inet6_tcp"], …]}` of `init:get_argument(proto_dist)`. The charlists print as numbers.
fn names_inet6(argument: &Term) -> bool {
    words(argument).any(|word| word.to_text().is_some_and(|text| text.starts_with("inet6")))
}

/// The words in `{ok, [[Word, …], …]}`; none in `error`.
fn words(argument: &Term) -> impl Iterator<Item = &Term> {
    let given = argument.as_tuple().and_then(|answer| answer.get(1));
    let lists = given.and_then(Term::as_list).unwrap_or_default();
    lists.iter().filter_map(Term::as_list).flatten()
}

fn failed(module: &'static str, function: &'static str, why: &RpcError) -> MemberError {
    match why {
        RpcError::Disconnected => MemberError::Detached,
        _ => MemberError::Failed(format!("{module}:{function} there: {why}")),
    }
}

fn name(node: &NodeName) -> Result<Term, MemberError> {
    match Atom::new(node.as_str()) {
        Ok(atom) => Ok(Term::from(atom)),
        Err(why) => Err(MemberError::Failed(format!("{node}: {why}"))),
    }
}

/// Names that are no node names (`nonode@nohost` is one, `undefined` is not) are passed over.
fn node_names(answer: &Term) -> BTreeSet<NodeName> {
    let items = answer.as_list().unwrap_or_default().iter();
    items
        .filter_map(|item| item.as_atom()?.as_str().parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_of_a_node_is_in_its_arguments() {
        let argument = |words: &[&str]| {
            let word = |text: &&str| Term::list([Term::string(text)]);
            Term::tuple([Term::atom("ok"), Term::list(words.iter().map(word))])
        };
        assert!(names_inet6(&argument(&["inet6_tcp"])));
        assert!(names_inet6(&argument(&["inet6_tls"])));
        assert!(!names_inet6(&argument(&["inet_tcp"])));
        assert!(!names_inet6(&Term::atom("error")));
    }
}
