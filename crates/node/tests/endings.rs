//! What ends, who is told of it, and what a shutdown says.

mod support;

use std::future::{Future, pending};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use support::{cookie, name, peer, pid};
use tokio::time::{Instant, sleep, timeout};
use trunkline_etf::{Term, atom};
use trunkline_node::{Message, Node, NodeBuilder, Target};
use trunkline_proto::Cookie;

const PATIENT: Duration = Duration::from_secs(30);

fn builder(text: &str) -> NodeBuilder<Cookie> {
    let node = Node::builder(name(text)).cookie(cookie("monster"));
    let node = node.listen([Ipv4Addr::LOCALHOST.into()], 0).epmd(None);
    node.follow_tick_time(false)
}

async fn node(text: &str) -> Node {
    builder(text).start().await.expect("it starts")
}

fn target(node: &Node) -> Target {
    Target::new(node.name().clone()).on_port(node.port().expect("it listens"))
}

async fn until(what: &str, is: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < PATIENT, "not in time: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// A peer that reads nothing, and hangs up when it is told so.
fn deaf() -> (Target, mpsc::Sender<()>) {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let deaf = peer(move |wire| {
        let stream = wire.connect();
        wait.lock().expect("no panic").recv().ok();
        drop(stream);
    });
    (deaf, go)
}

/// A process that ends itself before its future is there: the future runs on, and ends with the node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_ends_in_what_makes_its_future_is_not_forgotten() {
    let one = node("one@127.0.0.1").await;
    let (held, goes) = tokio::sync::oneshot::channel::<()>();
    let ends = one.spawn(move |process| {
        process.end(());
        async move {
            let _held = held;
            pending::<()>().await;
        }
    });
    until("it has ended", || !one.is_alive(&ends)).await;
    let limit = Duration::from_secs(20);
    let begun = Instant::now();
    let shutdown = one.shutdown(limit).await;
    assert!(
        begun.elapsed() < limit,
        "it waits for a future that nobody ends"
    );
    assert!(shutdown.is_clean(), "{shutdown:?}");
    assert!(goes.await.is_err(), "the future is dropped");
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("somebody's waker");
    }
}

/// Somebody who waits for room panics when the connection is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waker_that_panics_keeps_no_connection() {
    let (deaf, go) = deaf();
    let one = node("one@127.0.0.1").await;
    one.connect(&deaf).await.unwrap();
    let (outbox, mut watcher) = (one.process(), one.process());
    watcher.monitor(&pid(9));
    let large = Term::binary(vec![7; 16 << 20]);
    outbox.send(&pid(9), &large).await.expect("connected");
    let waker = Waker::from(Arc::new(Panics));
    let to = pid(9);
    let mut sends = pin!(outbox.send(&to, &large));
    let sends = sends.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(sends.is_pending());
    go.send(()).unwrap();
    let told = timeout(PATIENT, watcher.recv()).await;
    assert!(matches!(told, Ok(Some(Message::Down { .. }))), "{told:?}");
    assert_eq!(one.connected(), []);
}

/// A connection belongs to the node, whoever asked for it from where.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_outlives_the_runtime_that_asked_for_it() {
    let (one, two) = (node("one@127.0.0.1").await, node("two@127.0.0.1").await);
    let (asked, there) = (one.clone(), target(&two));
    let elsewhere = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(asked.connect(&there)).unwrap();
    });
    elsewhere.join().unwrap();
    let (mut here, there) = (one.process(), two.process());
    there.send(&here.pid(), Term::atom("hello")).await.unwrap();
    let heard = timeout(PATIENT, here.recv()).await;
    assert_eq!(heard.unwrap(), Some(Message::Term(Term::atom("hello"))));
    two.disconnect(one.name());
    until("both know of the end", || one.connected().is_empty()).await;
}

/// The peer's own call comes while its `nok` is waited out, in the second half of the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_comes_late_is_what_the_dial_wanted() {
    let limit = Duration::from_secs(12);
    let one = builder("one@127.0.0.1").connect_timeout(limit);
    let one = one.start().await.unwrap();
    let zed = node("zed@127.0.0.1").await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let stop = Arc::new(AtomicBool::new(false));
    let stops = Arc::clone(&stop);
    let noks = std::thread::spawn(move || {
        while let Ok((mut caller, _)) = listener.accept() {
            if stops.load(Ordering::SeqCst) {
                return;
            }
            let _its_name = caller.read(&mut [0; 512]);
            caller.write_all(b"\0\x04snok").ok();
        }
    });
    let asks = one.clone();
    let there = Target::new(zed.name().clone()).on_port(port);
    let dial = tokio::spawn(async move { asks.connect(&there).await });
    sleep(limit * 6 / 10).await;
    zed.connect(&target(&one)).await.unwrap();
    // Nobody answers there from now on.
    stop.store(true, Ordering::SeqCst);
    drop(std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)));
    noks.join().unwrap();
    let dialled = dial.await.unwrap();
    assert!(dialled.is_ok(), "{dialled:?}, and {:?}", one.connected());
}

/// Most of what was sent never left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_dies_in_a_shutdown_is_named() {
    let (deaf, go) = deaf();
    let one = node("one@127.0.0.1").await;
    one.connect(&deaf).await.unwrap();
    let large = Term::binary(vec![7; 16 << 20]);
    one.send(&pid(9), &large).await.expect("connected");
    let ends = one.clone();
    let shutdown = tokio::spawn(async move { ends.shutdown(PATIENT).await });
    // No process may begin any more: the end of the node has.
    until("it ends", || !one.is_alive(&one.process().pid())).await;
    go.send(()).unwrap();
    let shutdown = shutdown.await.unwrap();
    assert_eq!(shutdown.cut.len(), 1, "{shutdown:?}");
    assert!(shutdown.cut[0].unsent > 0 && !shutdown.is_clean());
}

/// As in OTP: a process that an exit signal is ending is nobody for whoever comes then.
#[tokio::test]
async fn what_is_being_killed_is_nobody() {
    let one = node("one@127.0.0.1").await;
    let mut me = one.process();
    me.trap_exit(true);
    let victim = one.spawn(|_| pending::<()>());
    let before = me.monitor(&victim);
    me.exit(&victim, atom!("kill")).unwrap();
    let after = me.monitor(&victim);
    me.link(&victim);
    let mut downs = Vec::new();
    let mut exits = Vec::new();
    while downs.len() + exits.len() < 3 {
        match timeout(PATIENT, me.recv()).await.expect("it is told") {
            Some(Message::Down {
                reference, reason, ..
            }) => downs.push((reference, reason.to_string())),
            Some(Message::Exit { reason, .. }) => exits.push(reason.to_string()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(exits, ["noproc"]);
    assert!(downs.contains(&(before, "killed".to_owned())), "{downs:?}");
    assert!(downs.contains(&(after, "noproc".to_owned())), "{downs:?}");
}

/// Whoever is told of the end of a process that he spawned with a monitor is the one who did so, whatever happens first.
#[tokio::test]
async fn what_was_spawned_with_a_monitor_tells_its_end() {
    let one = node("one@127.0.0.1").await;
    let mut me = one.process();
    // It ends itself before anything of it runs.
    let (ended, reference) = me.spawn_monitor(|process| {
        process.end(atom!("early"));
        async {}
    });
    let told = timeout(PATIENT, me.recv()).await.expect("it is told");
    let Some(Message::Down {
        reference: of,
        reason,
        ..
    }) = told
    else {
        panic!("{told:?}");
    };
    assert_eq!((of, reason), (reference, atom!("early").into()));
    assert!(!one.is_alive(&ended));
}

/// A dead port, and many who want to go there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_dials_to_a_dead_port_leave_nothing() {
    let one = node("one@127.0.0.1").await;
    // It listens to nobody, and keeps everybody else from that port.
    let closed = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    closed.bind(&any.into()).unwrap();
    let there = closed.local_addr().unwrap().as_socket();
    let port = there.unwrap().port();
    let dials = (0..500).map(|n| {
        let (one, peer) = (one.clone(), name(&format!("app{}@127.0.0.1", n % 250)));
        tokio::spawn(async move { one.connect(&Target::new(peer).on_port(port)).await })
    });
    for dial in dials.collect::<Vec<_>>() {
        let why = dial.await.unwrap().unwrap_err();
        assert_eq!(why.reason().code(), "port_unreachable");
    }
    let known = one.nodes(&[trunkline_node::NodeKind::Known]);
    assert_eq!(known, [one.name().clone()]);
    assert!(one.shutdown(PATIENT).await.is_clean());
}
