//! `trunkline nodes`: who is connected to a node, and with `--matrix` who sees whom.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::process::ExitCode;
use std::sync::Arc;

use serde::Serialize;
use trunkline_etf::{Atom, Term};
use trunkline_node::{Node, RpcError};
use trunkline_proto::{Cookie, NodeName, Reason};

use crate::context::Context;
use crate::failure::Failure;
use crate::matrix::Matrix;
use crate::output::{self, JsonFlag, SyntaxFlag};
use crate::peer::{Peer, PeerArgs};
use crate::runtime::block_on;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    peer: PeerArgs,
    /// Show who sees whom, and the missing edges
    #[arg(long)]
    matrix: bool,
    #[command(flatten)]
    output: JsonFlag,
    #[command(flatten)]
    syntax: SyntaxFlag,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Out {
    node: String,
    visible: Vec<String>,
    hidden: Vec<String>,
}

pub(crate) fn run(args: Args, cx: &Context) -> Result<ExitCode, Failure> {
    block_on(async {
        let peer = Peer::find(&args.peer, cx).await?;
        let secret_cookie = peer.cookie()?;
        let asked = peer
            .under_free_name(async |me| {
                let asker = Asker::connect(me, &peer, secret_cookie.clone()).await?;
                Ok(if args.matrix {
                    asker.matrix().await.map(Answer::Matrix)
                } else {
                    asker.neighbours().await.map(Answer::Nodes)
                })
            })
            .await;
        let answer = asked.map_err(|why| unreachable(&peer, &why))?;
        let answer = answer.map_err(|why| unanswered(&peer, &why))?;
        print(&answer, args.output, args.syntax)?;
        output::done()
    })
}

enum Answer {
    Nodes(Out),
    Matrix(Matrix),
}

fn print(answer: &Answer, flag: JsonFlag, syntax: SyntaxFlag) -> Result<(), Failure> {
    match (answer, flag.json) {
        (Answer::Nodes(out), true) => output::json(out),
        (Answer::Nodes(out), false) => output::text(&text(out, syntax)),
        (Answer::Matrix(matrix), true) => output::json(matrix),
        (Answer::Matrix(matrix), false) => output::text(&matrix.text(|name| syntax.node(name))),
    }
}

fn text(out: &Out, syntax: SyntaxFlag) -> String {
    let mut text = format!("{}\n", syntax.node(&out.node));
    for (kind, nodes) in [("visible", &out.visible), ("hidden", &out.hidden)] {
        for node in nodes {
            text.push_str(&format!("  {kind}  {}\n", syntax.node(node)));
        }
    }
    if out.visible.is_empty() && out.hidden.is_empty() {
        text.push_str("  connected to nobody\n");
    }
    text
}

fn unreachable(peer: &Peer, why: &Reason) -> Failure {
    let what = format!("{}: {why}", why.code());
    Failure::operation(what, peer.node.to_string(), why.cure())
}

fn unanswered(peer: &Peer, why: &RpcError) -> Failure {
    let cure = "look at that node's log; only BEAM nodes can be asked";
    Failure::operation(why.to_string(), peer.node.to_string(), cure)
}

/// Our hidden node, connected to the one that is asked.
struct Asker<'a> {
    me: Node,
    peer: &'a Peer,
}

impl<'a> Asker<'a> {
    async fn connect(name: NodeName, peer: &'a Peer, cookie: Cookie) -> Result<Self, Reason> {
        let bad = |error: trunkline_node::StartError| Reason::BadName {
            detail: error.to_string(),
        };
        let mut me = Node::builder(name)
            .cookie(cookie)
            .epmd_port(peer.epmd_port)
            .resolver(Arc::clone(&peer.resolver))
            .connect_timeout(peer.timeout)
            .follow_tick_time(false);
        if let Some(tls) = &peer.tls {
            me = me.tls(tls.clone());
        }
        let me = me.start().await.map_err(bad)?;
        me.connect(&peer.target())
            .await
            .map_err(|error| error.into_reason())?;
        Ok(Self { me, peer })
    }

    async fn neighbours(&self) -> Result<Out, RpcError> {
        let path = [self.peer.node.clone()];
        let (visible, hidden) =
            tokio::join!(self.nodes(&path, "visible"), self.nodes(&path, "hidden"));
        let names = |nodes: BTreeSet<NodeName>| nodes.iter().map(ToString::to_string).collect();
        let mut hidden = hidden?;
        // Our own question is over before anybody reads the answer.
        hidden.remove(self.me.name());
        Ok(Out {
            node: self.peer.node.to_string(),
            visible: names(visible?),
            hidden: names(hidden),
        })
    }

    /// What every node that can be reached over links that exist sees. Nobody is asked but over such
    /// a link, node by node: a call to a stranger would make a BEAM node dial it.
    async fn matrix(&self) -> Result<Matrix, RpcError> {
        let start = vec![self.peer.node.clone()];
        let first = self.nodes(&start, "visible").await?;
        let mut views = BTreeMap::from([(self.peer.node.clone(), Some(first.clone()))]);
        let mut next = VecDeque::from(paths(&start, &first));
        while !next.is_empty() {
            let mut round = Vec::new();
            for path in next.drain(..) {
                let Some(node) = path.last() else { continue };
                if !views.contains_key(node) {
                    views.insert(node.clone(), None);
                    round.push(path);
                }
            }
            let asked = round.iter().map(|path| self.nodes(path, "visible"));
            let answers = futures_util::future::join_all(asked).await;
            for (path, answer) in round.iter().zip(answers) {
                let (Some(node), Ok(seen)) = (path.last(), answer) else {
                    continue;
                };
                next.extend(paths(path, &seen));
                views.insert(node.clone(), Some(seen));
            }
        }
        Ok(Matrix::new(&views))
    }

    /// `nodes(Kind)` on the last node of `path`, each node having the next one asked.
    async fn nodes(&self, path: &[NodeName], kind: &str) -> Result<BTreeSet<NodeName>, RpcError> {
        // A node's name is an atom by its own rules.
        let atom = |text: &str| Atom::new(text).map_or_else(|_| Term::nil(), Term::from);
        let limit = i64::try_from(self.peer.timeout.as_millis()).unwrap_or(i64::MAX);
        let mut call = (Term::atom("erlang"), Term::atom("nodes"), vec![atom(kind)]);
        for node in path.iter().skip(1).rev() {
            let (module, function, args) = call;
            let args = vec![
                atom(node.as_str()),
                module,
                function,
                Term::list(args),
                limit.into(),
            ];
            call = (Term::atom("erpc"), Term::atom("call"), args);
        }
        let (module, function) = if path.len() > 1 {
            ("erpc", "call")
        } else {
            ("erlang", "nodes")
        };
        let limit = self.peer.timeout;
        let answer = self
            .me
            .erpc(&self.peer.node, module, function, call.2, limit);
        Ok(names(&answer.await?))
    }
}

/// The way to each of `seen`, beyond the last node of `path`.
fn paths(path: &[NodeName], seen: &BTreeSet<NodeName>) -> Vec<Vec<NodeName>> {
    let beyond = |node: &NodeName| path.iter().chain([node]).cloned().collect();
    seen.iter().map(beyond).collect()
}

fn names(answer: &Term) -> BTreeSet<NodeName> {
    let list = answer.as_list().unwrap_or_default().iter();
    list.filter_map(|node| node.as_atom()?.as_str().parse().ok())
        .collect()
}
