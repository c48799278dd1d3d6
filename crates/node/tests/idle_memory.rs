//! What a connection holds while nobody uses it. Alone in its process: it counts what all of that holds.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::{cookie, name};
use tokio::time::sleep;
use trunkline_etf::Term;
use trunkline_node::{Message, Node, Target};

const CONNECTIONS: usize = 50;

/// Of both ends together, as both nodes are here.
const MOST: usize = 2 * (12 << 10);

/// Counts the bytes that are in use.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator does it all; the counter changes nothing of it.
#[expect(unsafe_code, reason = "an allocator is one by an unsafe trait")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

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
    let before = HELD.load(Ordering::Relaxed);
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
        let each = HELD.load(Ordering::Relaxed).saturating_sub(before) / CONNECTIONS;
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
