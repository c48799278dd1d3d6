//! What a connection holds while nobody uses it. Alone in its process: it counts what all of that holds.

#[path = "support/held.rs"]
mod held;
mod support;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use held::in_use;
use support::{cookie, name};
use tokio::time::sleep;
use trunkline_etf::Term;
use trunkline_node::{Message, Node, Target};

const CONNECTIONS: usize = 50;

/// Of both ends together, as both nodes are here.
const MOST: usize = 2 * (12 << 10);

async fn node(text: &str) -> Node {
    let node = Node::builder(name(text)).cookie(cookie("monster"));
    let node = node.listen([Ipv4Addr::LOCALHOST.into()], 0).epmd(None);
    node.start().await.expect("it starts")
}

#[tokio::test]
async fn an_idle_connection_holds_little() {
    let hub = node("hub@127.0.0.1").await;
    let there = Target::new(hub.name().clone()).on_port(hub.port().expect("it listens"));
    let mut nodes = Vec::new();
    for n in 0..CONNECTIONS {
        nodes.push(node(&format!("n{n}@127.0.0.1")).await);
    }
    let mut echo = hub.process();
    let before = in_use();
    for node in &nodes {
        node.connect(&there).await.expect("it listens");
        // A word in each direction: buffers have been used.
        let mut process = node.process();
        let word = Term::atom("word");
        process.send(&echo.pid(), &word).await.expect("connected");
        assert!(matches!(echo.recv().await, Some(Message::Term(_))));
        echo.send(&process.pid(), &word).await.expect("connected");
        assert!(matches!(process.recv().await, Some(Message::Term(_))));
    }
    let begun = Instant::now();
    loop {
        let each = in_use().saturating_sub(before) / CONNECTIONS;
        if each <= MOST {
            break;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "{each} bytes for each"
        );
        sleep(Duration::from_millis(50)).await;
    }
}
