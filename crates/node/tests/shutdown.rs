//! What a node leaves behind when it ends: nothing, and what it said has arrived.

mod support;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use support::{cookie, name, peer};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use trunkline_etf::{Pid, Term};
use trunkline_node::epmd::client::{self, QueryError};
use trunkline_node::epmd::server::Server;
use trunkline_node::{DownReason, Message, Node, NodeEvent, NodeType, Resolve, Target};

const PATIENT: Duration = Duration::from_secs(30);

fn epmd() -> Server {
    let any = "127.0.0.1:0".parse().expect("an address");
    Server::bind(&[any]).expect("a free port")
}

async fn node(epmd: &Server, text: &str) -> Node {
    Node::builder(name(text))
        .cookie(cookie("monster"))
        .epmd_port(epmd.port())
        .listen([Ipv4Addr::LOCALHOST.into()], 0)
        .connect_timeout(PATIENT)
        .follow_tick_time(false)
        .start()
        .await
        .expect("it starts")
}

fn tasks() -> usize {
    tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_arrives_and_nothing_is_left() {
    let epmd = epmd();
    let two = node(&epmd, "two@127.0.0.1").await;
    let mut inbox = two.process();
    let mut events = two.monitor_nodes_of(NodeType::All);
    let before = tasks();
    for round in 0..3 {
        let one = node(&epmd, "one@127.0.0.1").await;
        let port = one.port().expect("it listens");
        one.connect(&Target::new(two.name().clone()))
            .await
            .expect("it connects");
        let outbox = one.process();
        let large = Term::binary(vec![7; 3 << 20]);
        for _ in 0..20 {
            outbox.send(&inbox.pid(), &large).await.expect("connected");
        }
        outbox
            .send(&inbox.pid(), &Term::from(round))
            .await
            .expect("connected");
        let (shutdown, ()) = tokio::join!(one.shutdown(PATIENT), async {
            for _ in 0..20 {
                let message = timeout(PATIENT, inbox.recv()).await.expect("in time");
                assert_eq!(message, Some(Message::Term(large.clone())));
            }
            let last = timeout(PATIENT, inbox.recv()).await.expect("in time");
            assert_eq!(last, Some(Message::Term(Term::from(round))));
        });
        assert!(shutdown.is_clean(), "{shutdown:?}");
        assert!(matches!(events.next().await, Some(NodeEvent::Up { .. })));
        let Some(NodeEvent::Down { reason, .. }) = events.next().await else {
            panic!("no end");
        };
        assert_eq!(reason, DownReason::Closed);

        // Nobody listens, nobody is registered, nothing runs.
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        assert!(TcpStream::connect(addr).await.is_err());
        let gone = async {
            let mapper = (Ipv4Addr::LOCALHOST, epmd.port()).into();
            while client::port_please(mapper, "one", PATIENT).await
                != Err(QueryError::NotRegistered)
            {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENT, gone).await.expect("the name is free");
        let refused = one.connect(&Target::new(two.name().clone())).await;
        assert_eq!(refused.expect_err("it ended").reason().code(), "closed");
        drop((one, outbox));
        let ended = async {
            while tasks() > before {
                sleep(Duration::from_millis(5)).await;
            }
        };
        // EPMD's task for the registration and the other node's for the connection end too.
        timeout(PATIENT, ended).await.expect("no task is left");
    }
    assert!(two.connected().is_empty());
}

/// A peer that takes nothing any more, with far more on the way than the sockets hold.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_does_not_read_is_cut_at_the_limit() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let deaf = peer(move |wire| {
        let stream = wire.connect();
        wait.lock().expect("no panic").recv().ok();
        drop(stream);
    });
    let epmd = epmd();
    let one = node(&epmd, "one@127.0.0.1").await;
    one.connect(&deaf).await.expect("it connects");
    let outbox = one.process();
    let large = Term::binary(vec![7; 16 << 20]);
    outbox
        .send(&support::pid(9), &large)
        .await
        .expect("connected");
    let begun = Instant::now();
    let shutdown = one.shutdown(Duration::from_millis(300)).await;
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert_eq!(shutdown.cut.len(), 1, "{shutdown:?}");
    assert_eq!(shutdown.cut[0].peer, name("app@127.0.0.1"));
    assert!(shutdown.cut[0].unsent > 1 << 20, "{shutdown:?}");
    assert!(one.connected().is_empty());
    drop(go);
}

/// It has read everything, and stays on the line.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_does_not_hang_up_is_cut_at_the_limit() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let clinging = peer(move |wire| {
        let stream = wire.connect();
        wait.lock().expect("no panic").recv().ok();
        drop(stream);
    });
    let epmd = epmd();
    let one = node(&epmd, "one@127.0.0.1").await;
    one.connect(&clinging).await.expect("it connects");
    let shutdown = one.shutdown(Duration::from_millis(100)).await;
    assert_eq!(shutdown.cut.len(), 1, "{shutdown:?}");
    assert_eq!(shutdown.cut[0].unsent, 0);
    drop(go);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ends_may_shut_down_at_once() {
    let epmd = epmd();
    for _ in 0..20 {
        let one = node(&epmd, "one@127.0.0.1").await;
        let two = node(&epmd, "two@127.0.0.1").await;
        one.connect(&Target::new(two.name().clone()))
            .await
            .expect("it connects");
        let (a, b) = tokio::join!(one.shutdown(PATIENT), two.shutdown(PATIENT));
        assert!(a.is_clean() && b.is_clean(), "{a:?} {b:?}");
        let free = async {
            while !epmd.names().is_empty() {
                sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(PATIENT, free).await.expect("both names are free");
    }
}

/// A dial and a caller that are in the middle of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_half_way_ends_too() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let (dialled, mut dialled_there) = tokio::sync::mpsc::unbounded_channel();
    let silent = peer(move |_wire| {
        dialled.send(()).ok();
        wait.lock().expect("no panic").recv().ok();
    });
    let epmd = epmd();
    let one = node(&epmd, "one@127.0.0.1").await;
    let port = one.port().expect("it listens");
    let stranger = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await;
    let dial = tokio::spawn({
        let one = one.clone();
        async move { one.connect(&silent).await }
    });
    dialled_there.recv().await.expect("it is dialled");
    let shutdown = timeout(PATIENT / 2, one.shutdown(PATIENT)).await;
    assert!(shutdown.expect("at once").is_clean());
    let dialled = timeout(PATIENT / 2, dial).await.expect("at once");
    assert_eq!(
        dialled.expect("no panic").unwrap_err().reason().code(),
        "closed"
    );
    drop((stranger, go));
}

/// Starts a process when it is dropped, as a pool that replaces its workers would.
struct Replaced(
    trunkline_node::Process,
    tokio::sync::mpsc::UnboundedSender<Pid>,
);

impl Drop for Replaced {
    fn drop(&mut self) {
        let begun = self
            .0
            .spawn_link(async |_| std::future::pending::<()>().await);
        self.1.send(begun).ok();
    }
}

/// Whoever starts the next node at once, as a program does that restarts its node, finds it free.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_name_is_free_after_the_shutdown() {
    let epmd = epmd();
    for _ in 0..100 {
        let one = node(&epmd, "one@127.0.0.1").await;
        assert!(one.shutdown(PATIENT).await.is_clean());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_begins_while_the_node_ends_ends_too() {
    for dropped in [false, true] {
        // The name of the node before is free there a moment after its end.
        let epmd = epmd();
        let one = node(&epmd, "one@127.0.0.1").await;
        let (begun, mut begins) = tokio::sync::mpsc::unbounded_channel();
        let (runs, running) = tokio::sync::oneshot::channel();
        let me = one.process();
        me.spawn(async move |process| {
            let _replaced = Replaced(process, begun);
            runs.send(()).ok();
            std::future::pending::<()>().await;
        });
        running.await.expect("it runs");
        if dropped {
            drop(one);
        } else {
            let shutdown = timeout(PATIENT / 2, one.shutdown(PATIENT)).await;
            assert!(shutdown.expect("nobody is waited for").is_clean());
        }
        timeout(PATIENT, begins.recv()).await.expect("in time");
        // What the process holds is dropped with it.
        let (held, goes) = tokio::sync::oneshot::channel::<()>();
        me.spawn(async move |_| {
            let _held = held;
            std::future::pending::<()>().await;
        });
        let gone = timeout(PATIENT, goes).await;
        gone.expect("nothing runs for a node that is no more")
            .expect_err("nothing is sent");
        // A process is off the list a moment after what it held is gone.
        let none = async {
            while !format!("{me:?}").contains("processes: 0") {
                sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(PATIENT, none).await.expect("no process is left");
    }
}

/// Blocks threads until it is let go, and counts those.
#[derive(Debug, Default)]
struct Block {
    entered: AtomicUsize,
    over: AtomicBool,
}

impl Block {
    fn enter(&self) {
        self.entered.fetch_add(1, Ordering::Relaxed);
        while !self.over.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Asks somebody who never answers, and waits for him without `await`.
#[derive(Debug)]
struct Blocks(Arc<Block>);

impl Resolve for Blocks {
    fn resolve<'a>(
        &'a self,
        _: &'a str,
    ) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send + 'a>> {
        Box::pin(async {
            self.0.enter();
            Ok(Vec::new())
        })
    }
}

/// A process and a resolver that never wait: nothing in Rust ends those.
#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn what_never_ends_is_named_and_not_waited_for() {
    let block = Arc::new(Block::default());
    let node = Node::builder(name("one@127.0.0.1")).cookie(cookie("monster"));
    let node = node.resolver(Arc::new(Blocks(Arc::clone(&block))));
    let one = node.epmd(None).start().await.expect("it starts");
    let blocks = Arc::clone(&block);
    let pid = one.spawn(async move |_process| blocks.enter());
    let dials = tokio::spawn({
        let one = one.clone();
        async move { one.connect(&Target::new(name("app@app.example"))).await }
    });
    let both = async {
        while block.entered.load(Ordering::Relaxed) < 2 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENT, both).await.expect("both block");
    let shutdown = timeout(PATIENT, one.shutdown(Duration::from_millis(100))).await;
    block.over.store(true, Ordering::Relaxed);
    let shutdown = shutdown.expect("nobody waits for ever");
    assert_eq!(shutdown.processes, [pid], "{shutdown:?}");
    assert_eq!(shutdown.tasks, ["dialling app@app.example"]);
    assert!(!shutdown.is_clean());
    let refused = dials.await.expect("no panic");
    refused.expect_err("the node has ended");
}

/// A process that has ended itself is over; its future is not, and ends with the node.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_future_of_a_process_that_ended_itself_ends_too() {
    let epmd = epmd();
    let one = node(&epmd, "one@127.0.0.1").await;
    let (held, goes) = tokio::sync::oneshot::channel::<()>();
    let waits = one.spawn(async move |process| {
        process.end(());
        let _held = held;
        std::future::pending::<()>().await;
    });
    until(|| !one.is_alive(&waits)).await;
    // The same in what makes the future.
    let (held, goes_too) = tokio::sync::oneshot::channel::<()>();
    one.spawn(move |process| {
        process.end(());
        async move {
            let _held = held;
            std::future::pending::<()>().await;
        }
    });
    let shutdown = timeout(PATIENT / 2, one.shutdown(PATIENT)).await;
    assert!(shutdown.expect("at once").is_clean());
    for goes in [goes, goes_too] {
        timeout(PATIENT, goes).await.expect("it is dropped").ok();
    }

    let block = Arc::new(Block::default());
    let one = node(&epmd, "two@127.0.0.1").await;
    let blocks = Arc::clone(&block);
    let pid = one.spawn(async move |process| {
        process.end(());
        blocks.enter();
    });
    until(|| block.entered.load(Ordering::Relaxed) > 0).await;
    let shutdown = timeout(PATIENT, one.shutdown(Duration::from_millis(100))).await;
    block.over.store(true, Ordering::Relaxed);
    let shutdown = shutdown.expect("nobody waits for ever");
    assert_eq!(shutdown.processes, [pid], "{shutdown:?}");
}

async fn until(is: impl Fn() -> bool) {
    let becomes = async {
        while !is() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENT, becomes).await.expect("in time");
}

/// Somebody's waker.
struct Calls<F>(F);

impl<F: Fn() + Send + Sync + 'static> std::task::Wake for Calls<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

fn waker(what: impl Fn() + Send + Sync + 'static) -> std::task::Waker {
    Arc::new(Calls(what)).into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_waker_that_panics_keeps_nothing_alive() {
    let epmd = epmd();
    let (one, two) = (
        node(&epmd, "one@127.0.0.1").await,
        node(&epmd, "two@127.0.0.1").await,
    );
    let there = Target::new(two.name().clone());
    one.connect(&there).await.expect("it connects");
    let mut processes: Vec<_> = (0..20).map(|_| one.process()).collect();
    let pids: Vec<_> = processes.iter().map(trunkline_node::Process::pid).collect();
    let waker = waker(|| panic!("somebody's waker"));
    let context = &mut std::task::Context::from_waker(&waker);
    let mut receives: Vec<_> = processes.iter_mut().map(|it| Box::pin(it.recv())).collect();
    for receives in &mut receives {
        assert!(receives.as_mut().poll(context).is_pending());
    }
    let shutdown = timeout(PATIENT / 2, one.shutdown(PATIENT)).await;
    assert!(shutdown.expect("at once").is_clean());
    assert!(one.connected().is_empty());
    assert!(pids.iter().all(|pid| !one.is_alive(pid)));
    let port = one.port().expect("it listened");
    assert!(
        TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .await
            .is_err()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_that_is_dropped_ends_whatever_wakers_do() {
    let epmd = epmd();
    let one = node(&epmd, "one@127.0.0.1").await;
    let two = node(&epmd, "two@127.0.0.1").await;
    let there = Target::new(two.name().clone());
    one.connect(&there).await.expect("it connects");
    until(|| !two.connected().is_empty()).await;
    let mut process = one.process();
    let waker = waker(|| panic!("somebody's waker"));
    let mut receives = std::pin::pin!(process.recv());
    let context = &mut std::task::Context::from_waker(&waker);
    assert!(receives.as_mut().poll(context).is_pending());
    drop(one);
    until(|| two.connected().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn a_waker_that_does_not_return_is_not_waited_for() {
    let epmd = epmd();
    let one = node(&epmd, "one@127.0.0.1").await;
    let block = Arc::new(Block::default());
    let blocks = Arc::clone(&block);
    let waker = waker(move || blocks.enter());
    let mut process = one.process();
    let shutdown = {
        let mut receives = std::pin::pin!(process.recv());
        let context = &mut std::task::Context::from_waker(&waker);
        assert!(receives.as_mut().poll(context).is_pending());
        timeout(PATIENT, one.shutdown(Duration::from_millis(100))).await
    };
    block.over.store(true, Ordering::Relaxed);
    assert!(!shutdown.expect("nobody waits for ever").is_clean());
}

/// The connection is there, and works, whatever who hears of it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_subscriber_whose_waker_panics_leaves_no_dead_connection() {
    let epmd = epmd();
    let (one, two) = (
        node(&epmd, "one@127.0.0.1").await,
        node(&epmd, "two@127.0.0.1").await,
    );
    let mut events = one.monitor_nodes_of(NodeType::All);
    let waker = waker(|| panic!("somebody's waker"));
    let mut event = std::pin::pin!(events.next());
    let context = &mut std::task::Context::from_waker(&waker);
    assert!(event.as_mut().poll(context).is_pending());
    let there = Target::new(two.name().clone());
    one.connect(&there).await.expect("it connects");
    let mut inbox = two.process();
    let outbox = one.process();
    let hello = Term::atom("hello");
    outbox.send(&inbox.pid(), &hello).await.expect("connected");
    let came = timeout(PATIENT, inbox.recv()).await.expect("in time");
    assert_eq!(came, Some(Message::Term(hello)));
}

/// Who waits for room on a connection that is lost hears that nothing was sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_message_that_waited_for_a_lost_connection_is_not_sent() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let deaf = peer(move |wire| {
        let stream = wire.connect();
        wait.lock().expect("no panic").recv().ok();
        drop(stream);
    });
    let epmd = epmd();
    let one = node(&epmd, "one@127.0.0.1").await;
    one.connect(&deaf).await.expect("it connects");
    let (to, large) = (support::pid(9), Term::binary(vec![7; 16 << 20]));
    one.send(&to, &large).await.expect("connected");
    let hello = Term::atom("hello");
    let mut waits = std::pin::pin!(one.send(&to, &hello));
    let context = &mut std::task::Context::from_waker(std::task::Waker::noop());
    assert!(waits.as_mut().poll(context).is_pending());
    one.disconnect(&name("app@127.0.0.1"));
    let sent = timeout(PATIENT, waits).await.expect("in time");
    assert_eq!(sent, Err(trunkline_node::SendError::NotConnected));
    drop(go);
}

/// What waits for a connection that does not come about in time is lost with the node, which says so.
#[tokio::test(flavor = "multi_thread")]
async fn signals_that_wait_for_a_dial_are_counted() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let silent = peer(move |wire| {
        wait.lock().expect("no panic").recv().ok();
        drop(wire);
    });
    let one = Node::builder(name("one@127.0.0.1")).cookie(cookie("monster"));
    let one = one.peer_port(silent.port.expect("it listens")).epmd(None);
    let one = one.connect_timeout(PATIENT).start();
    let one = one.await.expect("it starts");
    let process = one.process();
    process.link(&support::pid(1));
    process.link(&support::pid(2));
    let shutdown = one.shutdown(PATIENT).await;
    let [lost] = shutdown.unreached.as_slice() else {
        panic!("{shutdown:?}");
    };
    assert_eq!(lost.peer, name("app@127.0.0.1"));
    // And what ends the links, as far as that still found them there.
    assert!(lost.signals >= 2, "{shutdown:?}");
    drop(go);
}
