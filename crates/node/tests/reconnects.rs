//! Two nodes that connect and disconnect, again and again. Alone in its process: it looks at the memory of that.
#![cfg(target_os = "linux")]

mod support;

use std::net::Ipv4Addr;
use std::time::Duration;

use support::{cookie, name};
use tokio::time::{Instant, sleep};
use trunkline_node::{Message, Node, Target};

/// So many rounds before the memory is looked at: buffers and tables have their size then.
const WARM: usize = 1_000;
const ROUNDS: usize = 5_000;
/// What it may grow by: one large page of the system's, and not so much that each round could leave its connection.
const GROWTH: usize = 3 << 20;

async fn node(text: &str) -> Node {
    let node = Node::builder(name(text)).cookie(cookie("monster"));
    let node = node.listen([Ipv4Addr::LOCALHOST.into()], 0).epmd(None);
    node.start().await.expect("it starts")
}

/// Bytes of this process that are in memory.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages = statm.split(' ').nth(1).expect("the second number");
    pages.parse::<usize>().expect("a number") * 4096
}

async fn rounds(one: &Node, two: &Node, count: usize) {
    let there = Target::new(two.name().clone()).on_port(two.port().expect("it listens"));
    let mut process = one.process();
    for round in 0..count {
        one.connect(&there).await.expect("it listens");
        process.monitor_node(two.name());
        let ends = if round % 2 == 0 { one } else { two };
        let begun = Instant::now();
        // The other side has a connection a moment later.
        while !(one.connected().is_empty() && two.connected().is_empty()) {
            ends.disconnect(one.name());
            ends.disconnect(two.name());
            assert!(begun.elapsed() < Duration::from_secs(30), "it stays");
            tokio::task::yield_now().await;
        }
        let told = process.recv_timeout(Duration::from_secs(30)).await;
        assert!(matches!(told, Ok(Message::NodeDown { .. })), "{told:?}");
    }
}

#[tokio::test]
async fn thousands_of_connections_leave_nothing() {
    let (one, two) = (node("one@127.0.0.1").await, node("two@127.0.0.1").await);
    rounds(&one, &two, WARM).await;
    let before = resident();
    rounds(&one, &two, ROUNDS).await;
    // What was just ended may take a moment.
    let begun = Instant::now();
    while resident() > before + GROWTH {
        let more = resident() - before;
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{more} bytes more"
        );
        sleep(Duration::from_millis(20)).await;
    }
    let limit = Duration::from_secs(30);
    assert!(one.shutdown(limit).await.is_clean() && two.shutdown(limit).await.is_clean());
}
