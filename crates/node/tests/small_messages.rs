//! What a small message costs beside its place in the mailbox: no allocation, on neither side.

use std::alloc::{GlobalAlloc, Layout, System};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::timeout;
use trunkline_etf::{Pid, Term};
use trunkline_node::{Message, Node, Process, Target};
use trunkline_proto::Cookie;

const SOON: Duration = Duration::from_secs(60);

/// How many are sent before it is counted, and then.
const BEFORE: u64 = 20_000;
const COUNTED: u64 = 100_000;

/// Counts how often memory is asked for.
struct Counting;

static ASKED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator does it all; the counter changes nothing of it.
#[expect(unsafe_code, reason = "an allocator is one by an unsafe trait")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.fetch_add(1, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

async fn node(name: &str) -> Node {
    Node::builder(name.parse().expect("a node name"))
        .cookie(Cookie::new("monster").expect("a cookie"))
        .listen([Ipv4Addr::LOCALHOST.into()], 0)
        .epmd(None)
        .connect_timeout(SOON)
        .start()
        .await
        .expect("it starts")
}

/// Each is a number or a binary that needs no memory of its own to be decoded.
fn message(n: u64) -> Term {
    if n.is_multiple_of(2) {
        Term::from(n)
    } else {
        Term::binary(n.to_be_bytes().to_vec())
    }
}

async fn send(process: &Process, to: &Pid, terms: &[Term], count: u64) {
    for n in 0..count {
        let term = &terms[usize::from((n % 2) as u8)];
        process.send(to, term).await.expect("connected");
    }
}

async fn receive(process: &mut Process, count: u64) {
    for _ in 0..count {
        let message = timeout(SOON, process.recv()).await.expect("a message");
        assert!(matches!(message, Some(Message::Term(_))));
    }
}

async fn story() {
    let (one, two) = (node("one@127.0.0.1").await, node("two@127.0.0.1").await);
    let target = Target::new(two.name().clone()).on_port(two.port().expect("it listens"));
    one.connect(&target).await.expect("it connects");
    let mut sink = two.process();
    let (pid, (go, mut may)) = (sink.pid(), tokio::sync::mpsc::channel(1));
    one.spawn(async move |process| {
        let terms = [message(0), message(1)];
        while let Some(count) = may.recv().await {
            send(&process, &pid, &terms, count).await;
        }
    });
    go.send(BEFORE).await.expect("it waits");
    receive(&mut sink, BEFORE).await;
    let before = ASKED.load(Ordering::Relaxed);
    go.send(COUNTED).await.expect("it waits");
    receive(&mut sink, COUNTED).await;
    let asked = ASKED.load(Ordering::Relaxed) - before;
    println!("{asked} allocations for {COUNTED} messages");
    assert!(asked < COUNTED as usize / 50, "{asked}");
    drop((one, two));
}

/// One after the other: the counter is everybody's.
#[test]
fn a_small_message_asks_for_no_memory() {
    let current = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    current.expect("a runtime").block_on(story());
    let multi = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    multi.expect("a runtime").block_on(story());
}
