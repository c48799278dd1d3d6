//! What a node says of its end when a peer dies, or somebody sends, in the middle of it.

mod support;

use std::io::Read;
use std::net::Ipv4Addr;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use support::{cookie, name, peer, pid};
use tokio::time::timeout;
use trunkline_etf::Term;
use trunkline_node::{CallError, Node, SendError};

const PATIENT: Duration = Duration::from_secs(30);

async fn node() -> Node {
    let node = Node::builder(name("one@127.0.0.1")).cookie(cookie("monster"));
    let node = node.listen([Ipv4Addr::LOCALHOST.into()], 0).epmd(None);
    node.follow_tick_time(false)
        .connect_timeout(PATIENT)
        .start()
        .await
        .expect("it starts")
}

/// A peer that reads to the end, says so, and does not hang up before it is told to. How many bytes came.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_sent_behind_the_end_is_not_sent() {
    let (eof, mut is_eof) = tokio::sync::mpsc::unbounded_channel();
    let (go, wait) = mpsc::channel::<()>();
    let (wait, (total, totals)) = (Mutex::new(wait), mpsc::channel::<usize>());
    let clinging = peer(move |wire| {
        let Some(mut stream) = wire.connect() else {
            return;
        };
        let (mut all, mut bytes) = (0, [0; 4096]);
        while let Ok(count @ 1..) = stream.read(&mut bytes) {
            all += count;
        }
        eof.send(()).ok();
        wait.lock().expect("no panic").recv().ok();
        total.send(all).ok();
    });
    let one = node().await;
    one.connect(&clinging).await.expect("it connects");
    let mut process = one.process();
    let sends = async {
        is_eof.recv().await.expect("the end comes");
        let (to, large) = (pid(9), Term::binary(vec![7; 5000]));
        let lost = Err(SendError::NotConnected);
        assert_eq!(one.send(&to, &large).await, lost);
        assert_eq!(process.send(&to, &large).await, lost);
        let called = one.call(&to, Term::nil(), PATIENT * 10);
        let called = timeout(PATIENT, called).await.expect("at once");
        assert_eq!(called, Err(CallError::NodeDown));
        process.monitor(&to);
        go.send(()).expect("it waits");
    };
    let (shutdown, ()) = tokio::join!(one.shutdown(PATIENT), sends);
    assert!(shutdown.is_clean(), "{shutdown:?}");
    let total = totals.recv().expect("it counts");
    assert!(total < 5000, "{total}");
    // It ended with the node.
    assert_eq!(process.recv().await, None);
}

/// A peer that reads nothing, and dies while all waits for it to leave.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_dying_peer_did_not_take_is_said() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let deaf = peer(move |wire| {
        let stream = wire.connect();
        wait.lock().expect("no panic").recv().ok();
        drop(stream);
    });
    let one = node().await;
    one.connect(&deaf).await.expect("it connects");
    let (to, large) = (pid(9), Term::binary(vec![7; 16 << 20]));
    one.send(&to, &large).await.expect("connected");
    let dies = async {
        // The connection is closed on this side: whoever waits for room hears so.
        let closed = timeout(PATIENT, one.send(&to, Term::nil())).await;
        assert_eq!(closed.expect("it closes"), Err(SendError::NotConnected));
        drop(go);
    };
    let (shutdown, ()) = tokio::join!(one.shutdown(PATIENT * 10), dies);
    assert!(!shutdown.is_clean());
    let [cut] = &*shutdown.cut else {
        panic!("{shutdown:?}");
    };
    assert_eq!(cut.peer, name("app@127.0.0.1"));
    assert!((1 << 20..17 << 20).contains(&cut.unsent), "{cut:?}");
}

/// A process that never waits leaves time to what others have sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_process_that_never_waits_cuts_no_connection() {
    let reads = peer(|wire| {
        if let Some(mut stream) = wire.connect() {
            std::io::copy(&mut stream, &mut std::io::sink()).ok();
            // It takes its time: in none left it would be cut.
            std::thread::sleep(Duration::from_millis(300));
        }
    });
    let one = node().await;
    one.connect(&reads).await.expect("it connects");
    let (over, is_over) = mpsc::channel::<()>();
    let (runs, running) = tokio::sync::oneshot::channel();
    let is_over = Mutex::new(is_over);
    let stuck = one.spawn(async move |_process| {
        runs.send(()).ok();
        is_over.lock().expect("no panic").recv().ok();
    });
    running.await.expect("it runs");
    let large = Term::binary(vec![7; 1 << 20]);
    one.send(&pid(9), &large).await.expect("connected");
    let shutdown = one.shutdown(Duration::from_secs(8)).await;
    drop(over);
    assert_eq!(shutdown.cut, [], "{shutdown:?}");
    assert_eq!(shutdown.processes, [stuck], "{shutdown:?}");
}
