//! Who sends while a connection is lost, or to somebody whom the other node cannot know.

mod support;

use std::future::Future;
use std::io::Read as _;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use support::{cookie, name, peer, pid};
use tokio::time::{sleep, timeout};
use trunkline_etf::{Reference, Term, atom};
use trunkline_node::{Node, SendError, Target};
use trunkline_proto::Flags;

const PATIENT: Duration = Duration::from_secs(30);
const PEER: &str = "app@127.0.0.1";

async fn node(text: &str) -> Node {
    let node = Node::builder(name(text)).cookie(cookie("monster"));
    let node = node.listen([Ipv4Addr::LOCALHOST.into()], 0).epmd(None);
    node.follow_tick_time(false)
        .start()
        .await
        .expect("it starts")
}

/// A peer that reads nothing, for as long as this process lives.
fn deaf() -> Target {
    peer(|wire| std::mem::forget(wire.connect()))
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A task that runs where it is woken.
struct AtOnce(Mutex<Option<Task>>);

impl Wake for AtOnce {
    fn wake(self: Arc<Self>) {
        let task = self.0.lock().expect("no panic").take();
        if let Some(mut task) = task {
            let waker = Waker::from(Arc::clone(&self));
            let polled = task.as_mut().poll(&mut Context::from_waker(&waker));
            if polled.is_pending() {
                *self.0.lock().expect("no panic") = Some(task);
            }
        }
    }
}

/// Whoever waits for room may go on in the middle of the end of the connection, on the thread that ends it.
#[test]
fn who_goes_on_at_once_does_not_go_round() {
    let (done, is_done) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (one, two) = (node("one@127.0.0.1").await, node("two@127.0.0.1").await);
            one.connect(&deaf()).await.unwrap();
            let outbox = one.process();
            let large = Term::binary(vec![7; 16 << 20]);
            outbox.send(&pid(9), &large).await.expect("connected");
            let sends = async move {
                outbox.send(&pid(9), Term::atom("late")).await.ok();
            };
            let task = Arc::new(AtOnce(Mutex::new(Some(Box::pin(sends)))));
            Arc::clone(&task).wake();
            // Connections are not as they were when it began to wait.
            let there = Target::new(two.name().clone()).on_port(two.port().unwrap());
            one.connect(&there).await.unwrap();
            one.disconnect(&name(PEER));
        });
        done.send(()).ok();
    });
    let done = is_done.recv_timeout(PATIENT);
    assert_eq!(done, Ok(()), "disconnect does not return");
}

/// What waited for room on a connection that is lost has not left, and is not said to have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waited_on_a_lost_connection_has_sent_nothing() {
    let (deaf, one) = (deaf(), node("one@127.0.0.1").await);
    let large = Term::binary(vec![7; 16 << 20]);
    for _ in 0..100 {
        one.connect(&deaf).await.unwrap();
        let outbox = one.process();
        outbox.send(&pid(9), &large).await.expect("connected");
        let waits = tokio::spawn(async move { outbox.send(&pid(9), Term::atom("late")).await });
        sleep(Duration::from_millis(1)).await;
        let ends = one.clone();
        let ends = tokio::task::spawn_blocking(move || ends.disconnect(&name(PEER)));
        ends.await.unwrap();
        let sent = timeout(PATIENT, waits).await.expect("it is told").unwrap();
        assert_eq!(sent, Err(SendError::NotConnected));
    }
}

/// A node that knows no aliases takes what is sent to one for a broken protocol: as in OTP nothing is sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_is_nobody_behind_an_alias_of_a_node_without() {
    let (tells, mut told) = tokio::sync::mpsc::unbounded_channel();
    let app = peer(move |mut wire| {
        let Some((state, reply)) = wire.greet(Flags::MANDATORY_26) else {
            return;
        };
        let Ok((ack, _)) = state.reply(&reply, &cookie("monster")) else {
            return;
        };
        wire.write(&ack);
        let mut bytes = [0; 400];
        while let Ok(count @ 1..) = wire.stream.read(&mut bytes) {
            tells.send(bytes[..count].to_vec()).ok();
        }
    });
    let one = node("one@127.0.0.1").await;
    one.connect(&app).await.unwrap();
    let alias = Reference::new(atom!("app@127.0.0.1"), 7, &[1, 2, 3]).unwrap();
    let me = one.process();
    for _ in 0..2 {
        assert_eq!(me.send(&alias, Term::atom("hello")).await, Ok(()));
        assert_eq!(one.send(&alias, Term::atom("hello")).await, Ok(()));
    }
    // What comes first is what was sent behind all that.
    let there = name(PEER);
    let last = me.send((atom!("logger"), &there), Term::atom("last"));
    assert_eq!(last.await, Ok(()));
    let came = timeout(PATIENT, told.recv()).await.unwrap().unwrap();
    let has = |what: &[u8]| came.windows(what.len()).any(|bytes| bytes == what);
    assert!(has(b"last") && !has(b"hello"), "{came:?}");
}
