//! A Rust node as a member: it dials for itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt as _};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};
use trunkline_node::probe::{ProbeConfig, probe};
use trunkline_node::{Node, NodeEvent, NodeEvents, NodeType, Target};
use trunkline_proto::NodeName;
use trunkline_reconcile::{Attempt, Dial, Proof};

use crate::{Member, MemberError, MemberEvent, MemberEvents};

/// A [`Node`] of this program, kept connected by the engine.
#[derive(Debug)]
pub struct RustNode {
    node: Node,
    probing: ProbeConfig,
    _stop: Arc<DropGuard>,
}

impl RustNode {
    /// Takes a started node. `probing` says how peers are looked at; its name is the node's own.
    pub fn new(node: Node, probing: ProbeConfig) -> (Self, MemberEvents) {
        let (events, received) = mpsc::unbounded_channel();
        let attached = MemberEvent::Attached {
            node: node.name().clone(),
        };
        events.send(attached).expect("the receiver is still here");
        let stop = CancellationToken::new();
        let forward = forward(node.monitor_nodes_of(NodeType::All), events);
        tokio::spawn(stop.clone().run_until_cancelled_owned(forward));
        let stop = Arc::new(stop.drop_guard());
        (
            Self {
                node,
                probing,
                _stop: stop,
            },
            received,
        )
    }

    /// The node itself.
    pub fn node(&self) -> &Node {
        &self.node
    }
}

async fn forward(mut links: NodeEvents, events: mpsc::UnboundedSender<MemberEvent>) {
    while let Some(event) = links.next().await {
        let event = match event {
            NodeEvent::Up { peer, .. } => MemberEvent::LinkUp(peer),
            NodeEvent::Down { peer, reason, .. } => MemberEvent::LinkDown(peer, reason.to_string()),
            _ => continue,
        };
        if events.send(event).is_err() {
            return;
        }
    }
}

impl Member for RustNode {
    /// Our own dial is the whole handshake, so it proves the cookie each time.
    fn connect(&self, target: Dial, _: Proof) -> BoxFuture<'_, Attempt> {
        async move {
            let connected = self.node.connect(&to_target(target)).await;
            Attempt {
                creation: connected.as_ref().ok().map(|peer| peer.creation),
                result: connected.map(drop).map_err(|error| error.reason().clone()),
                proved: true,
            }
        }
        .boxed()
    }

    fn look(&self, target: Dial) -> BoxFuture<'_, Attempt> {
        async move {
            let seen = probe(&self.probing, &to_target(target)).await;
            let greeting = seen
                .result
                .as_ref()
                .ok()
                .and_then(|found| found.greeting.as_ref());
            Attempt {
                creation: greeting.map(|greeting| greeting.creation),
                result: seen.result.map(drop),
                proved: false,
            }
        }
        .boxed()
    }

    fn links(&self) -> BoxFuture<'_, Result<BTreeSet<NodeName>, MemberError>> {
        async move { Ok(self.node.connected().into_iter().collect()) }.boxed()
    }

    /// A hidden node has no mesh to tear: its links end one by one.
    fn leave(&self) -> BoxFuture<'_, Result<(), MemberError>> {
        async move {
            for peer in self.node.connected() {
                self.node.disconnect(&peer);
            }
            Ok(())
        }
        .boxed()
    }

    fn ask_leave(&self, peer: NodeName) -> BoxFuture<'_, Result<(), MemberError>> {
        self.disconnect(peer)
    }

    fn disconnect(&self, peer: NodeName) -> BoxFuture<'_, Result<(), MemberError>> {
        async move {
            self.node.disconnect(&peer);
            Ok(())
        }
        .boxed()
    }

    /// Rust nodes steer themselves: each is its own agent.
    fn find_agents(&self, among: Vec<NodeName>) -> BoxFuture<'_, BTreeMap<NodeName, bool>> {
        async move { among.into_iter().map(|peer| (peer, true)).collect() }.boxed()
    }
}

fn to_target(dial: Dial) -> Target {
    Target {
        name: dial.node,
        address: dial.address,
        port: dial.port,
    }
}
