//! A small message costs no allocation: not where it is sent, not on its way, not where it is received. Both nodes are
//! in this process, so one counter sees all of it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::future::Future;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::time::timeout;
use trunkline_etf::{Pid, Term, term};
use trunkline_node::{Message, Node, Process, Target};
use trunkline_proto::Cookie;

const SOON: Duration = Duration::from_secs(60);

/// So many messages are counted, and as many go before them: queues have their memory then.
const MESSAGES: usize = 10_000;

/// So many go there and back, one at a time.
const TRIPS: usize = MESSAGES / 5;

/// What the growth of queues and buffers may take, of all messages together.
const GROWTH: usize = MESSAGES / 100;

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

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ASKED.fetch_add(1, Ordering::Relaxed);
        unsafe { System.realloc(place, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One after the other: the counter is everybody's.
#[test]
fn a_small_message_costs_no_allocation() {
    for mut runtime in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        let runtime = runtime.enable_all().build().expect("a runtime");
        // In a task: the first one of a runtime is not on one of its threads.
        let measured = runtime.spawn(async {
            let (one, two) = pair().await;
            // Nothing but the way itself: a small integer is held in its place.
            let number = Term::from(7);
            assert_few(0, "a stream of integers", stream(&one, &two, &number)).await;
            assert_few(0, "integers there and back", trips(&one, &two, &number)).await;
            // What is decoded is a tuple, which is the receiver's: one for each message.
            let tuple = term!({msg, 1, 100_000});
            assert_few(MESSAGES, "a stream of tuples", stream(&one, &two, &tuple)).await;
            assert_few(
                2 * TRIPS,
                "tuples there and back",
                trips(&one, &two, &tuple),
            )
            .await;
        });
        runtime.block_on(measured).expect("it does not panic");
    }
}

async fn pair() -> (Node, Node) {
    let start = async |name: &str| {
        let node = Node::builder(name.parse().expect("a node name"))
            .cookie(Cookie::new("monster").expect("a cookie"))
            .listen([Ipv4Addr::LOCALHOST.into()], 0)
            .epmd(None)
            .connect_timeout(SOON);
        node.start().await.expect("it starts")
    };
    let (one, two) = (start("one@127.0.0.1").await, start("two@127.0.0.1").await);
    let target = Target::new(two.name().clone()).on_port(two.port().expect("it listens"));
    one.connect(&target).await.expect("it connects");
    (one, two)
}

/// At most so many allocations, and what the growth of queues takes.
async fn assert_few(most: usize, what: &str, asked: impl Future<Output = usize>) {
    let asked = timeout(SOON, asked).await.expect("all come in time");
    println!("{what}: {asked} allocations");
    assert!(asked <= most + GROWTH, "{what}: {asked}");
}

/// Messages one way, in rounds that begin when all of the last have come.
async fn stream(one: &Node, two: &Node, message: &Term) -> usize {
    let mut sink = two.process();
    let (mut process, pid) = (one.process(), sink.pid());
    let mut before = 0;
    for all in [false, true] {
        before = if all {
            ASKED.load(Ordering::Relaxed)
        } else {
            0
        };
        for _ in 0..MESSAGES / 100 {
            send(&mut process, &pid, message, 100).await;
            take(&mut sink, message, 100).await;
        }
    }
    ASKED.load(Ordering::Relaxed) - before
}

/// Messages there and back, one at a time.
async fn trips(one: &Node, two: &Node, message: &Term) -> usize {
    let (mut asks, mut answers) = (one.process(), two.process());
    let (asker, answerer) = (asks.pid(), answers.pid());
    let mut before = 0;
    for all in [false, true] {
        before = if all {
            ASKED.load(Ordering::Relaxed)
        } else {
            0
        };
        for _ in 0..TRIPS {
            send(&mut asks, &answerer, message, 1).await;
            take(&mut answers, message, 1).await;
            send(&mut answers, &asker, message, 1).await;
            take(&mut asks, message, 1).await;
        }
    }
    ASKED.load(Ordering::Relaxed) - before
}

async fn send(process: &mut Process, to: &Pid, message: &Term, count: usize) {
    for _ in 0..count {
        process.send(to, message).await.expect("connected");
    }
}

async fn take(process: &mut Process, expected: &Term, count: usize) {
    for _ in 0..count {
        match process.recv().await {
            Some(Message::Term(term)) => assert_eq!(term, *expected),
            other => panic!("this was not expected: {other:?}"),
        }
    }
}
