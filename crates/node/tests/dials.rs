//! Two nodes of ours dial each other at the same moment, again and again.

mod support;

use std::net::Ipv4Addr;
use std::time::Duration;

use support::{cookie, name};
use tokio::time::{sleep, timeout};
use trunkline_etf::Term;
use trunkline_node::{Message, Node, NodeEvent, NodeType, Target};

const PATIENT: Duration = Duration::from_secs(30);

async fn node(text: &str) -> Node {
    Node::builder(name(text))
        .cookie(cookie("monster"))
        .epmd(None)
        .listen([Ipv4Addr::LOCALHOST.into()], 0)
        .auto_connect(false)
        .follow_tick_time(false)
        .connect_timeout(PATIENT)
        .start()
        .await
        .expect("it starts")
}

fn at(node: &Node) -> Target {
    Target::new(node.name().clone()).on_port(node.port().expect("it listens"))
}

fn tasks() -> usize {
    tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks()
}

/// What was sent over the connection that a dial gave arrives, and nobody sees a second connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_dials_make_one_connection() {
    let (one, two) = (node("one@127.0.0.1").await, node("two@127.0.0.1").await);
    let (mut a, mut b) = (one.process(), two.process());
    let mut events = [&one, &two].map(|node| node.monitor_nodes_of(NodeType::All));
    let before = tasks();
    for round in 0..300_u64 {
        let (to, from) = (at(&two), at(&one));
        let ours = async {
            one.connect(&to).await?;
            a.send(&b.pid(), &Term::from(round))
                .await
                .expect("connected");
            Ok::<_, trunkline_node::ConnectError>(())
        };
        let theirs = async {
            // The later dial meets the earlier one at every step of its way.
            sleep(Duration::from_micros(round % 100 * 10)).await;
            two.connect(&from).await?;
            b.send(&a.pid(), &Term::from(round))
                .await
                .expect("connected");
            Ok::<_, trunkline_node::ConnectError>(())
        };
        let (ours, theirs) = tokio::join!(ours, theirs);
        ours.unwrap_or_else(|why| panic!("{round}: {why}"));
        theirs.unwrap_or_else(|why| panic!("{round}: {why}"));
        for process in [&mut a, &mut b] {
            let message = timeout(PATIENT, process.recv()).await;
            let expected = Message::Term(Term::from(round));
            assert_eq!(message.expect("it arrives"), Some(expected), "{round}");
        }
        one.disconnect(two.name());
        for events in &mut events {
            let up = timeout(PATIENT, events.next()).await.expect("in time");
            let down = timeout(PATIENT, events.next()).await.expect("in time");
            assert!(matches!(up, Some(NodeEvent::Up { .. })), "{round}: {up:?}");
            assert!(
                matches!(down, Some(NodeEvent::Down { .. })),
                "{round}: {down:?}"
            );
        }
        assert!(one.connected().is_empty() && two.connected().is_empty());
    }
    let over = async {
        while tasks() > before {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENT, over)
        .await
        .expect("no task is left of any attempt");
}
