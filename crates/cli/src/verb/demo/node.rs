//! One node of the demo, in a process of its own: what the hidden verb `demo-node` runs.

use std::io::{BufRead as _, Read as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use trunkline::{Cluster, ClusterConfig, RustNode};
use trunkline_discovery::Env;
use trunkline_discovery::strategies::{self, Topology};
use trunkline_node::probe::ProbeConfig;
use trunkline_node::{Node, NodeEvent, NodeEvents, NodeType, StartError, SystemResolver};
use trunkline_proto::{Cookie, NodeName};
use trunkline_reconcile::Config;

use super::orders::{Orders, Report};
use crate::failure::Failure;
use crate::runtime::block_on;

/// A node that comes back finds its name taken until the port mapper has seen the old one's end.
const NAME_LIMIT: Duration = Duration::from_secs(10);
const NAME_PAUSE: Duration = Duration::from_millis(50);

/// Impatient, so that there is something to see: everything is on this host.
const POLLING_INTERVAL: &str = "500ms";
const BACKOFF: Duration = Duration::from_millis(200);

/// Hidden: the demo starts it, with its orders on stdin. It ends when stdin does, that is with the
/// demo, however that ended.
pub(crate) fn run() -> Result<ExitCode, Failure> {
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    let orders = read.ok().and_then(|_| serde_json::from_str(&line).ok());
    let Some(orders) = orders else {
        return Err(Failure::usage(
            "this is a part of `trunkline demo`, and no verb of its own",
            "demo-node",
            "use `trunkline demo`",
        ));
    };
    drop(line);
    // A thread, not a task: nothing that the node does can delay it.
    std::thread::spawn(|| {
        let mut rest = Vec::new();
        std::io::stdin().lock().read_to_end(&mut rest).ok();
        std::process::exit(0);
    });
    block_on(async {
        match serve(orders).await {
            Ok(never) => match never {},
            Err(why) => {
                tell(&Report::Failed { why });
                Ok(ExitCode::FAILURE)
            }
        }
    })
}

async fn serve(orders: Orders) -> Result<std::convert::Infallible, String> {
    let name: NodeName = orders.name.parse().map_err(|why| format!("{why}"))?;
    let cookie = Cookie::new(orders.secret_cookie.as_str()).map_err(|why| format!("{why}"))?;
    let topology = topology(&orders)?;
    let node = start(&orders, &name, &cookie).await?;
    let events = node.monitor_nodes_of(NodeType::All);
    tell(&Report::Ready);
    // The others may have come before anybody listened.
    for peer in node.connected() {
        tell(&Report::up(&peer));
    }
    let probing = ProbeConfig {
        cookie: Some(cookie),
        epmd_port: orders.epmd_port,
        ..ProbeConfig::new(name.clone())
    };
    let (member, member_events) = RustNode::new(node, probing);
    let config = ClusterConfig {
        engine: Config {
            backoff_min: BACKOFF,
            stable_after: BACKOFF,
            ..Config::default()
        },
        topologies: vec![topology],
        seed: rand::random(),
        resolver: Arc::new(SystemResolver),
    };
    let _cluster = Cluster::start(name, member, member_events, config);
    forward(events).await
}

/// The one topology: DNS.
fn topology(orders: &Orders) -> Result<Topology, String> {
    let table = toml::Table::from_iter([
        ("strategy".to_owned(), "dns".into()),
        ("query".to_owned(), orders.query.clone().into()),
        (
            "nameservers".to_owned(),
            vec![orders.nameserver.to_string()].into(),
        ),
        ("resource_types".to_owned(), vec!["a".to_owned()].into()),
        ("polling_interval".to_owned(), POLLING_INTERVAL.into()),
    ]);
    let cx = trunkline::build_cx(Env::from_process());
    strategies::build("demo", &table, &cx).map_err(|why| why.to_string())
}

async fn start(orders: &Orders, name: &NodeName, cookie: &Cookie) -> Result<Node, String> {
    let deadline = Instant::now() + NAME_LIMIT;
    loop {
        let builder = Node::builder(name.clone())
            .cookie(cookie.clone())
            .listen([orders.ip.into()], 0)
            .epmd(Some(orders.ip.into()))
            .epmd_port(orders.epmd_port);
        match builder.start().await {
            Ok(node) => return Ok(node),
            Err(StartError::NameTaken(_)) if Instant::now() < deadline => sleep(NAME_PAUSE).await,
            Err(why) => return Err(why.to_string()),
        }
    }
}

async fn forward(mut events: NodeEvents) -> Result<std::convert::Infallible, String> {
    while let Some(event) = events.next().await {
        match event {
            NodeEvent::Up { peer, .. } => tell(&Report::up(&peer)),
            NodeEvent::Down { peer, reason, .. } => tell(&Report::Down {
                peer: peer.to_string(),
                why: reason.to_string(),
            }),
            _ => {}
        }
    }
    Err("the node has stopped".to_owned())
}

/// One line for the demo. When nobody reads it the demo is gone, and so are we.
fn tell(report: &Report) {
    let mut line = serde_json::to_vec(report).unwrap_or_default();
    line.push(b'\n');
    let mut stdout = std::io::stdout().lock();
    if stdout
        .write_all(&line)
        .and_then(|()| stdout.flush())
        .is_err()
    {
        std::process::exit(0);
    }
}
