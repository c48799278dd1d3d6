//! What waits for a connection, and what a dial that comes to nothing leaves behind.

mod support;

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use support::{Conn, cookie, name, peer, pid};
use tokio::time::timeout;
use trunkline_etf::{Atom, atom};
use trunkline_node::probe::{ProbeConfig, probe};
use trunkline_node::{Message, Node, NodeBuilder, NodeKind, Resolve, RpcError, Target};
use trunkline_proto::control::{Control, PidOrName};
use trunkline_proto::handshake::Local;
use trunkline_proto::handshake::initiator::Start;
use trunkline_proto::{Cookie, Creation, Flags, Reason};

const PATIENT: Duration = Duration::from_secs(30);

fn builder() -> NodeBuilder<Cookie> {
    Node::builder(name("rust@127.0.0.1"))
        .cookie(cookie("monster"))
        .epmd(None)
        .follow_tick_time(false)
        .connect_timeout(PATIENT)
}

/// Two words for each signal: what it is, and to whom.
fn shown(control: &Control) -> String {
    let to = |pid: &trunkline_etf::Pid| pid.id;
    match control {
        Control::Link { to: pid, .. } => format!("link {}", to(pid)),
        Control::UnlinkId { to: pid, .. } => format!("unlink {}", to(pid)),
        Control::Exit { to: pid, .. } | Control::PayloadExit { to: pid, .. } => {
            format!("exit {}", to(pid))
        }
        Control::MonitorP { to, .. } => format!("monitor {}", who(to)),
        Control::DemonitorP { to, .. } => format!("demonitor {}", who(to)),
        other => format!("{other:?}"),
    }
}

fn who(to: &PidOrName) -> String {
    match to {
        PidOrName::Pid(pid) => pid.id.to_string(),
        PidOrName::Name(name) => name.to_string(),
    }
}

/// Everything that a process does before there is a connection comes through in its order: whatever
/// begins a link or a monitor, and whatever ends it.
#[tokio::test(flavor = "multi_thread")]
async fn what_ends_a_link_does_not_overtake_what_begins_it() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let slow = peer(move |wire| {
        wait.lock().expect("no panic").recv().ok();
        let mut conn = Conn::new(wire.connect().expect("a handshake"));
        while let Some(signal) = conn.next() {
            heard.send(shown(&signal.control)).ok();
        }
    });
    let node = builder().peer_port(slow.port.expect("it listens"));
    let node = node.start().await.expect("it starts");
    let mut a = node.process();
    a.link(&pid(1));
    a.unlink(&pid(1));
    let monitor = a.monitor((atom!("server"), &slow.name));
    assert!(a.demonitor(&monitor));
    let b = node.process();
    b.link(&pid(2));
    b.monitor(&pid(3));
    drop(b);
    a.link(&pid(4));
    go.send(()).expect("it waits");
    for expected in [
        "link 1",
        "unlink 1",
        "monitor server",
        "demonitor server",
        "link 2",
        "monitor 3",
        "exit 2",
        "demonitor 3",
        "link 4",
    ] {
        let came = timeout(PATIENT, hears.recv()).await.expect("in time");
        assert_eq!(came.as_deref(), Some(expected));
    }
    drop(go);
}

/// A peer that says that it dials, and then does not.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_whose_own_dial_comes_to_nothing_is_dialled_again() {
    let calls = AtomicUsize::new(0);
    let late = peer(move |mut wire| {
        if calls.fetch_add(1, Ordering::Relaxed) < 2 {
            wire.read();
            wire.write(b"snok");
        } else {
            wire.connect();
        }
    });
    let node = builder().start().await.expect("it starts");
    let connected = timeout(PATIENT / 2, node.connect(&late)).await;
    connected
        .expect("long before the limit")
        .expect("it takes the third call");
}

#[tokio::test]
async fn a_peer_that_always_dials_is_a_race_that_is_lost() {
    let busy = peer(|mut wire| {
        wire.read();
        wire.write(b"snok");
    });
    let mut limit = Duration::from_secs(3);
    loop {
        let node = builder().connect_timeout(limit).start().await;
        let node = node.expect("it starts");
        let why = node.connect(&busy).await.expect_err("it never comes");
        if *why.reason() == Reason::LostRace {
            return;
        }
        // On a busy machine not even the first dial may be over.
        assert!(limit < PATIENT, "{why}");
        limit *= 2;
    }
}

/// Fails in a way that no resolver should.
#[derive(Debug, Default)]
struct Panics(AtomicUsize);

impl Resolve for Panics {
    fn resolve<'a>(
        &'a self,
        host: &'a str,
    ) -> std::pin::Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send + 'a>> {
        let first = self.0.fetch_add(1, Ordering::Relaxed) == 0;
        Box::pin(async move {
            assert!(!first, "a bug in the resolver of {host}");
            Ok(vec![Ipv4Addr::LOCALHOST.into()])
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dial_that_panics_is_over() {
    let app = peer(|wire| drop(wire.connect()));
    let node = builder().resolver(Arc::new(Panics::default()));
    let node = node.start().await.expect("it starts");
    let target = Target::new(name("app@app.example")).on_port(app.port.expect("it listens"));
    let first = timeout(PATIENT, node.connect(&target)).await;
    first.expect("in time").expect_err("the resolver panics");
    let known = node.nodes(&[NodeKind::Known]);
    assert_eq!(known, [node.name().clone()]);
    // It is asked again.
    let second = timeout(PATIENT, node.connect(&target))
        .await
        .expect("in time");
    let why = second.expect_err("another name").into_reason();
    assert_eq!(why.code(), "name_mismatch");
}

/// Who monitors a node hears one thing for each monitor, wherever nothing is dialled.
#[tokio::test]
async fn a_node_that_is_not_dialled_is_down_at_once_for_whoever_asks() {
    let node = builder().auto_connect(false);
    let node = node.start().await.expect("it starts");
    let mut a = node.process();
    a.monitor_node(&name("nobody@127.0.0.1"));
    let node_down = Message::NodeDown {
        node: Atom::new("nobody@127.0.0.1").expect("short"),
    };
    assert_eq!(a.recv().await, Some(node_down));
    assert_eq!(a.waiting(), 0);
}

/// `Duration::MAX` is as good a limit as any, everywhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_limit_may_be_beyond_all_time() {
    const MAX: Duration = Duration::MAX;
    let eternal = |node: NodeBuilder<Cookie>| {
        let node = node.connect_timeout(MAX).tick_time(MAX);
        node.listen([Ipv4Addr::LOCALHOST.into()], 0)
    };
    let node = eternal(builder()).start().await.expect("it starts");
    let app = Node::builder(name("app@127.0.0.1")).cookie(cookie("monster"));
    let app = eternal(app.epmd(None)).start().await.expect("it starts");
    let target = Target::new(app.name().clone()).on_port(app.port().expect("it listens"));
    let everything = async {
        let config = ProbeConfig {
            timeout: MAX,
            ..ProbeConfig::new(name("probe@127.0.0.1"))
        };
        probe(&config, &target).await.result.expect("it greets");
        node.connect(&target).await.expect("it connects");
        node.set_tick_time(app.name(), Duration::from_secs(1));
        node.set_tick_time(app.name(), MAX);
        let mut echo = app.process();
        echo.register(&atom!("echo"));
        let me = node.process();
        let server = (atom!("echo"), app.name());
        let called = async { me.call(server, atom!("hello"), MAX).await };
        let replies = async {
            let Ok(Message::Term(call)) = echo.recv_timeout(MAX).await else {
                panic!("a call");
            };
            let from = call.as_tuple().and_then(|parts| parts.get(1));
            let replied = echo.reply(from.expect("a caller"), atom!("yes")).await;
            replied.expect("connected");
        };
        let (answer, ()) = tokio::join!(called, replies);
        assert_eq!(answer, Ok(atom!("yes").into()));
        let called = node.erpc(app.name(), "m", "f", Vec::new(), MAX).await;
        assert_eq!(called, Err(RpcError::NotSupported));
        assert!(node.shutdown(MAX).await.is_clean());
    };
    timeout(PATIENT, everything).await.expect("at once");
}

/// How a caller begins: `send_name`, as it lies on the wire.
fn call(to: &Node, from: &str) -> std::net::TcpStream {
    let port = to.port().expect("it listens");
    let mut wire = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
    let flags = Flags::hidden_default();
    let me = Local::new(name(from), flags, Creation(7));
    let (hello, _) = Start::new(me, Some(to.name().clone())).send_name();
    let length = u16::try_from(hello.len()).expect("short");
    wire.write_all(&length.to_be_bytes()).expect("it reads");
    wire.write_all(&hello).expect("it reads");
    wire
}

/// The status that a caller gets.
fn status(wire: &mut std::net::TcpStream) -> Vec<u8> {
    let mut length = [0; 2];
    wire.read_exact(&mut length).expect("an answer");
    let mut status = vec![0; u16::from_be_bytes(length).into()];
    wire.read_exact(&mut status).expect("an answer");
    status
}

/// A node whose dials give way to those of `app@127.0.0.1`.
async fn lesser(limit: Duration) -> Node {
    let node = Node::builder(name("aaa@127.0.0.1")).cookie(cookie("monster"));
    let node = node.listen([Ipv4Addr::LOCALHOST.into()], 0).epmd(None);
    let node = node.follow_tick_time(false);
    let node = node.connect_timeout(limit);
    node.start().await.expect("it starts")
}

/// A peer that says that it dials, and does so, and never comes through: each of its calls is over at
/// once.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_whose_calls_come_to_nothing_is_not_dialled_without_a_pause() {
    let dials = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&dials);
    let busy = peer(move |mut wire| {
        counts.fetch_add(1, Ordering::Relaxed);
        wire.read();
        wire.write(b"snok");
    });
    let node = lesser(Duration::from_secs(3)).await;
    let over = Arc::new(AtomicBool::new(false));
    let calling = std::thread::spawn({
        let (node, over) = (node.clone(), Arc::clone(&over));
        move || {
            while !over.load(Ordering::Relaxed) {
                status(&mut call(&node, "app@127.0.0.1"));
            }
        }
    });
    let why = node.connect(&busy).await.expect_err("nobody comes through");
    over.store(true, Ordering::Relaxed);
    calling.join().expect("no panic");
    assert_eq!(why.reason(), &Reason::LostRace);
    // After 0.1, 0.2, 0.4, 0.8 s and then one each second; a call may cost it half of the time.
    let dials = dials.load(Ordering::Relaxed);
    assert!(dials <= 7, "{dials} dials in 3 s");
}

/// The rule by which one of two dials gives way holds for each dial of an attempt, not the first alone.
#[tokio::test(flavor = "multi_thread")]
async fn every_dial_gives_way_to_a_call() {
    let (dialled, dials) = mpsc::channel();
    let waits = peer(move |mut wire| {
        wire.read();
        dialled.send(wire).ok();
    });
    let node = lesser(2 * PATIENT).await;
    let connects = tokio::spawn({
        let node = node.clone();
        async move { node.connect(&waits).await }
    });
    let checks = tokio::task::spawn_blocking(move || {
        for round in 0..2 {
            let mut dial = dials.recv_timeout(PATIENT).expect("it dials");
            let mut caller = call(&node, "app@127.0.0.1");
            assert_eq!(status(&mut caller), b"sok_simultaneous", "{round}");
            dial.stream
                .set_read_timeout(Some(PATIENT / 3))
                .expect("a time");
            let end = dial.stream.read(&mut [0]);
            let waits = |why: &std::io::Error| why.kind() == std::io::ErrorKind::WouldBlock;
            assert!(!end.as_ref().is_err_and(waits), "dial {round} goes on");
            // The caller gives up: it is dialled again.
        }
    });
    timeout(PATIENT, checks)
        .await
        .expect("in time")
        .expect("as it should");
    connects.abort();
}

/// Anybody can call with the peer's name and prove nothing, each time that it is dialled.
#[tokio::test(flavor = "multi_thread")]
async fn after_some_calls_that_come_to_nothing_a_dial_gives_way_no_more() {
    let (dialled, dials) = mpsc::channel();
    let app = peer(move |wire| {
        dialled.send(wire).ok();
    });
    let node = lesser(4 * PATIENT).await;
    let connects = tokio::spawn({
        let node = node.clone();
        async move { node.connect(&app).await }
    });
    let calls = tokio::task::spawn_blocking(move || {
        for round in 0..5 {
            let mut dial = dials.recv_timeout(PATIENT).expect("it dials");
            let limited = dial.stream.set_read_timeout(Some(PATIENT));
            limited.expect("a time");
            let mut caller = call(&node, "app@127.0.0.1");
            assert_eq!(status(&mut caller), b"sok_simultaneous", "{round}");
            assert!(dial.read().is_some(), "its name");
            assert!(dial.read().is_none(), "dial {round} goes on");
        }
        let dial = dials.recv_timeout(PATIENT).expect("it dials");
        let mut caller = call(&node, "app@127.0.0.1");
        assert_eq!(status(&mut caller), b"sok_simultaneous");
        let connection = dial.connect().expect("this one stays");
        (connection, caller)
    });
    let ends = timeout(PATIENT, calls).await.expect("in time");
    let _ends = ends.expect("as it should");
    let connected = timeout(PATIENT, connects).await.expect("in time");
    connected.expect("no panic").expect("a connection");
}
