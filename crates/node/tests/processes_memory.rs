//! What waits in mailboxes: how much memory it takes, and who stops when it is too much.

#[path = "support/held.rs"]
mod held;

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use held::in_use;
use tokio::time::timeout;
use trunkline_etf::{Term, term};
use trunkline_node::{AliasMode, Message, Node, NodeBuilder, Target};
use trunkline_proto::Cookie;

const SOON: Duration = Duration::from_secs(60);

fn builder(name: &str) -> NodeBuilder<Cookie> {
    Node::builder(name.parse().expect("a node name"))
        .cookie(Cookie::new("monster").expect("a cookie"))
        .listen([Ipv4Addr::LOCALHOST.into()], 0)
        .epmd(None)
        .connect_timeout(SOON)
}

async fn pair(one: NodeBuilder<Cookie>, two: NodeBuilder<Cookie>) -> (Node, Node) {
    let (one, two) = (
        one.start().await.expect("it starts"),
        two.start().await.expect("it starts"),
    );
    let target = Target::new(two.name().clone()).on_port(two.port().expect("it listens"));
    one.connect(&target).await.expect("it connects");
    (one, two)
}

/// One after the other: the counter is everybody's.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits() {
    small_messages_are_small().await;
    a_few_large_ones_keep_no_read_buffers().await;
    for by_alias in [false, true] {
        a_slow_process_makes_its_senders_slow(by_alias).await;
    }
}

async fn small_messages_are_small() {
    let (one, two) = pair(builder("one@127.0.0.1"), builder("two@127.0.0.1")).await;
    let mut sink = two.process();
    let before = in_use();
    let (pid, count) = (sink.pid(), 100_000_usize);
    one.spawn(async move |process| {
        let other = process.pid();
        for n in 0..count {
            let message = term!({measured, (n), "twenty bytes of text", (other.clone())});
            process.send(&pid, message).await.expect("connected");
        }
        std::future::pending::<()>().await;
    });
    let begun = Instant::now();
    while sink.waiting() < count && begun.elapsed() < SOON {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(sink.waiting(), count);
    let held = in_use().saturating_sub(before);
    println!(
        "{count} messages take {} KiB, {} bytes each",
        held >> 10,
        held / count
    );
    assert!(held < 64 << 20, "{held} bytes for {count} messages");
    for n in 0..count {
        match sink.recv().await {
            Some(Message::Term(term)) => {
                assert_eq!(
                    term.as_tuple().expect("a tuple")[1].as_u64(),
                    Some(n as u64)
                );
            }
            other => panic!("{other:?}"),
        }
    }
    let held = in_use().saturating_sub(before);
    assert!(held < 4 << 20, "{held} bytes are still held");
}

/// Messages of 4 to 8 KiB wait, and five times as many bytes for another process that takes them at once
/// lie between them: what waits takes no more than twice what it has.
async fn a_few_large_ones_keep_no_read_buffers() {
    let (one, two) = pair(builder("one@127.0.0.1"), builder("two@127.0.0.1")).await;
    let (slow, mut fast) = (two.process(), two.process());
    let (pid, other) = (slow.pid(), fast.pid());
    let taken = tokio::spawn(async move {
        let mut last = 0;
        while let Some(Message::Term(term)) = fast.recv().await {
            last = term.as_tuple().expect("a tuple")[0]
                .as_u64()
                .expect("a number");
            if last == COUNT as u64 {
                break;
            }
        }
        last
    });
    let before = in_use();
    one.spawn(async move |process| {
        let length = |n: usize| (4 << 10) + n % (4 << 10);
        for n in 0..COUNT {
            let binary = Term::binary(vec![1; length(n)]);
            process.send(&pid, binary).await.expect("connected");
            let large = Term::binary(vec![2; 30_000]);
            let message = term!({(n + 1), (large)});
            process.send(&other, message).await.expect("connected");
        }
    });
    assert_eq!(taken.await.expect("it ends"), COUNT as u64);
    let begun = Instant::now();
    while slow.waiting() < COUNT && begun.elapsed() < SOON {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let held = in_use().saturating_sub(before);
    let bytes = COUNT * (6 << 10);
    println!("{} KiB that wait take {} KiB", bytes >> 10, held >> 10);
    assert_eq!(slow.waiting(), COUNT);
    assert!(held < 2 * bytes, "{held} bytes for {bytes}");
}

const COUNT: usize = 4_000;

/// The receiver does nothing for longer than the tick time: the connection lives, the node's memory
/// stays about within the budget, the sender is slowed down, and afterwards nothing is missing.
async fn a_slow_process_makes_its_senders_slow(by_alias: bool) {
    // A thread may not get its turn for half a second.
    let tick = Duration::from_millis(3000);
    let budget = 8 << 20;
    let (one, two) = pair(
        builder("one@127.0.0.1")
            .tick_time(tick)
            .follow_tick_time(false),
        builder("two@127.0.0.1")
            .tick_time(tick)
            .follow_tick_time(false)
            .max_mailboxes(budget),
    )
    .await;
    let mut slow = two.process();
    let before = in_use();
    let (pid, alias) = (slow.pid(), slow.alias(AliasMode::Explicit));
    let (told, sent, count) = (std::sync::Arc::new(AtomicUsize::new(0)), 32 << 10, 2_000);
    let counter = std::sync::Arc::clone(&told);
    one.spawn(async move |process| {
        let binary = Term::binary(vec![7; sent]);
        for n in 0..count {
            let message = term!({(n), (binary.clone())});
            if by_alias {
                process.send(&alias, message).await.expect("connected");
            } else {
                process.send(&pid, message).await.expect("connected");
            }
            counter.fetch_add(1, Ordering::Relaxed);
        }
        std::future::pending::<()>().await;
    });
    let begun = Instant::now();
    while slow.waiting() * sent < budget && begun.elapsed() < SOON {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // For longer than the tick time allows silence.
    tokio::time::sleep(3 * tick).await;
    let left = told.load(Ordering::Relaxed);
    assert!(left < count, "the sender is slowed down");
    let held = in_use().saturating_sub(before);
    println!(
        "{left} of {count} messages left, {} KiB are held",
        held >> 10
    );
    // Both nodes are in this program: what waits here, what the sender may have queued, reads' buffers,
    // and what was read meanwhile: four times 256 KiB a second.
    assert!(held < budget + (16 << 20), "{held} bytes are held");
    assert_eq!(
        one.connected(),
        [two.name().clone()],
        "the connection lives"
    );
    for n in 0..count {
        let message = timeout(SOON, slow.recv()).await.expect("a message");
        match message {
            Some(Message::Term(term)) => {
                assert_eq!(
                    term.as_tuple().expect("a tuple")[0].as_u64(),
                    Some(n as u64)
                );
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(one.connected(), [two.name().clone()]);
}
