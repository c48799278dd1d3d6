//! Commands about the node: calls, spawns, connections.

use std::time::Duration;

use trunkline_etf::{Atom, Term, term};
use trunkline_node::{CallError, NodeType, RpcError, SendError, SpawnError, Target};

use crate::puppet::Puppet;
use crate::words;

/// How long a node that stops in order may take.
const SHUTDOWN: Duration = Duration::from_secs(5);

impl Puppet {
    pub(crate) async fn node_command(&mut self, word: &str, args: &[Term]) -> Term {
        match (word, args) {
            ("call", [to, request, ms]) => self.call(to, request, words::millis(ms)).await,
            ("erpc", [node, module, function, args, ms]) => {
                let what = [module, function].map(|word| word.as_atom().map_or("", Atom::as_str));
                self.erpc(node, what, args, words::millis(ms)).await
            }
            ("spawn", [node, module, function, args, options]) => {
                let what = [module, function].map(|word| word.as_atom().map_or("", Atom::as_str));
                let spawned = self.spawned(node, what, args, options).await;
                spawned.unwrap_or_else(|| term!({failed, bad_spawn}))
            }
            ("connect", [node]) => match words::node_name(node) {
                Some(node) => self.node.connect(&Target::new(node)).await.is_ok().into(),
                None => term!(false),
            },
            ("disconnect", [node]) => {
                if let Some(node) = words::node_name(node) {
                    self.node.disconnect(&node);
                }
                term!(true)
            }
            ("nodes", []) => {
                let nodes = self.node.connected();
                Term::list(nodes.iter().map(words::node_atom))
            }
            ("monitor_node", [node, wanted]) => {
                if let Some(node) = words::node_name(node) {
                    match wanted.as_bool() {
                        Some(true) => self.process.monitor_node(&node),
                        _ => self.process.demonitor_node(&node),
                    }
                }
                term!(ok)
            }
            ("monitor_nodes", [wanted]) => {
                let wanted = wanted.as_bool() == Some(true);
                self.events = wanted.then(|| self.node.monitor_nodes_of(NodeType::All));
                term!(ok)
            }
            ("stop", []) => {
                let node = self.node.clone();
                // Not a process: those end with the node.
                tokio::spawn(async move {
                    // The answer leaves first.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    node.shutdown(SHUTDOWN).await;
                    std::process::exit(0);
                });
                term!(ok)
            }
            ("halt", []) => std::process::exit(0),
            _ => term!({failed, unknown_command, (word)}),
        }
    }

    async fn call(&self, to: &Term, request: &Term, limit: Duration) -> Term {
        let Some(to) = words::dest(to) else {
            return term!({failed, bad_destination});
        };
        let why = match self.process.call(to.as_dest(), request, limit).await {
            Ok(reply) => return term!({ok, (reply)}),
            Err(CallError::Timeout) => term!(timeout),
            Err(CallError::NoProcess) => term!(noproc),
            Err(CallError::NodeDown) => term!({nodedown, (to.node())}),
            Err(CallError::Exit(reason)) => reason,
            Err(other) => Term::from(&*other.to_string()),
        };
        term!({error, (why)})
    }

    async fn erpc(&self, node: &Term, what: [&str; 2], args: &Term, limit: Duration) -> Term {
        let (Some(node), Some(args)) = (words::node_name(node), args.as_list()) else {
            return term!({failed, bad_erpc});
        };
        let [module, function] = what;
        let args = args.to_vec();
        match self.node.erpc(&node, module, function, args, limit).await {
            Ok(value) => term!({return, (value)}),
            Err(RpcError::Throw(ball)) => term!({throw, (ball)}),
            Err(RpcError::Exit(reason)) => term!({exit, (reason)}),
            Err(RpcError::Error { reason, .. }) => term!({error, (reason)}),
            Err(RpcError::Timeout) => term!({erpc, timeout}),
            Err(RpcError::Disconnected) => term!({erpc, noconnection}),
            Err(RpcError::NotSupported) => term!({erpc, notsup}),
            Err(other) => term!({failed, (&*other.to_string())}),
        }
    }

    async fn spawned(
        &self,
        node: &Term,
        what: [&str; 2],
        args: &Term,
        options: &Term,
    ) -> Option<Term> {
        let (node, args) = (words::node_name(node)?, args.as_list()?.to_vec());
        let [module, function] = what;
        let process = &self.process;
        let spawned = match options.as_list()? {
            [option] if option.is_atom("link") => {
                let linked = process.spawn_link_at(&node, module, function, args).await;
                linked.map(|pid| term!({ok, (pid), none}))
            }
            [option] if option.is_atom("monitor") => {
                let monitored = process
                    .spawn_monitor_at(&node, module, function, args)
                    .await;
                monitored.map(|(pid, monitor)| term!({ok, (pid), (monitor)}))
            }
            _ => return None,
        };
        Some(spawned.unwrap_or_else(|why| match why {
            SpawnError::NotSupported => term!({error, notsup}),
            SpawnError::Refused(word) => term!({error, (word)}),
            SpawnError::Send(SendError::NotConnected) => term!({error, noconnection}),
            other => term!({error, (&*other.to_string())}),
        }))
    }
}
