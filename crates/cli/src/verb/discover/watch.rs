//! `trunkline discover --watch`: a line for each change, until a signal.

use std::future::pending;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;
use tokio::signal::unix::SignalKind;
use tokio::sync::watch;
use tokio::time::sleep;
use trunkline_agent::AgentConfig;
use trunkline_agent::watch::{Change, Watch};
use trunkline_discovery::Env;
use trunkline_discovery::health::Verdict;
use trunkline_discovery::strategies::Topology;
use trunkline_proto::NodeName;

use super::super::run::listen;
use super::{PeerOut, ReasonOut, shown, who_am_i, word};
use crate::failure::Failure;
use crate::output::{self, JsonFlag, SyntaxFlag};

/// Prints what changes. Errors of sources are changes like others; only a signal ends it.
pub(super) async fn run(
    topologies: Vec<Topology>,
    config: &AgentConfig,
    env: &Env,
    json: JsonFlag,
    syntax: SyntaxFlag,
) -> Result<ExitCode, Failure> {
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    output::end_with_reader();
    // Asked first: the first lines say which peer is the own node, too.
    let named = tokio::select! {
        named = who_am_i(config, env) => named,
        _ = terminate.recv() => return output::done(),
        _ = interrupt.recv() => return output::done(),
    };
    let (name, me) = watch::channel(named);
    let changes = async {
        let mut watch = Watch::start(topologies, me);
        loop {
            for change in watch.next().await {
                if json.json {
                    output::json(&Out::new(&change))?;
                } else {
                    output::text(&line(&change, syntax))?;
                }
            }
        }
    };
    tokio::select! {
        failed = changes => failed,
        () = follow_name(config, env, &name) => output::done(),
        _ = terminate.recv() => output::done(),
        _ = interrupt.recv() => output::done(),
    }
}

/// The own node may get its name later. Never ends.
async fn follow_name(config: &AgentConfig, env: &Env, name: &watch::Sender<Option<NodeName>>) {
    while name.borrow().is_none() {
        sleep(LOOK_AGAIN).await;
        name.send_replace(who_am_i(config, env).await);
    }
    pending().await
}

/// How often the own node's name is looked for while there is none.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// For people.
fn line(change: &Change, syntax: SyntaxFlag) -> String {
    match change {
        Change::Found { topology, peer } => {
            let own = if peer.peer.is_self {
                "  (this node)"
            } else {
                ""
            };
            let node = syntax.node(peer.peer.node.as_str());
            let labels = shown(&peer.peer.labels);
            format!("{topology}: found {node}{own}{labels}\n")
        }
        Change::Gone { topology, node } => {
            format!("{topology}: gone {}\n", syntax.node(node.as_str()))
        }
        Change::Health {
            topology,
            node,
            verdict,
        } => {
            let node = syntax.node(node.as_str());
            match verdict {
                Verdict::Pass => format!("{topology}: passing {node}\n"),
                Verdict::Fail(why) => format!("{topology}: failing {node}: {why}\n"),
            }
        }
        Change::Failed { source, error } => {
            format!("{source}: error: {error} · {}\n", error.cure())
        }
        Change::Answers { source } => format!("{source}: answers again\n"),
        Change::Note { source, note } => format!("{source}: note: {note}\n"),
        Change::Off { topology, why } => format!("{topology}: off, {why}\n"),
    }
}

/// One line of `--json`.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Out<'a> {
    Found {
        topology: &'a str,
        peer: PeerOut<'a>,
    },
    Gone {
        topology: &'a str,
        node: &'a str,
    },
    Health {
        topology: &'a str,
        node: &'a str,
        health: &'static str,
        reason: Option<ReasonOut<'a>>,
    },
    Error {
        source: &'a str,
        error: String,
        cure: String,
    },
    Answers {
        source: &'a str,
    },
    Note {
        source: &'a str,
        note: &'a str,
    },
    Off {
        topology: &'a str,
        why: &'a str,
    },
}

impl<'a> Out<'a> {
    fn new(change: &'a Change) -> Self {
        match change {
            Change::Found { topology, peer } => Self::Found {
                topology,
                peer: PeerOut::new(peer),
            },
            Change::Gone { topology, node } => Self::Gone {
                topology,
                node: node.as_str(),
            },
            Change::Health {
                topology,
                node,
                verdict,
            } => Self::Health {
                topology,
                node: node.as_str(),
                health: word(Some(verdict)),
                reason: ReasonOut::new(Some(verdict)),
            },
            Change::Failed { source, error } => Self::Error {
                source: &source.0,
                error: error.to_string(),
                cure: error.cure(),
            },
            Change::Answers { source } => Self::Answers { source: &source.0 },
            Change::Note { source, note } => Self::Note {
                source: &source.0,
                note,
            },
            Change::Off { topology, why } => Self::Off { topology, why },
        }
    }
}
