//! The byte budget of a node: floods are slowed down, nobody else is, and nothing stands still.

mod support;

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tokio::time::timeout;
use trunkline_etf::{Pid, Term, atom, term};
use trunkline_node::{Message, Node, NodeBuilder, NodeType, Process, Target};
use trunkline_proto::Cookie;
use trunkline_proto::control::Control;

const SOON: Duration = Duration::from_secs(60);

/// Bytes of a message of the flood.
const EACH: usize = 32 << 10;

fn builder(name: &str) -> NodeBuilder<Cookie> {
    Node::builder(name.parse().expect("a node name"))
        .cookie(Cookie::new("monster").expect("a cookie"))
        .listen([Ipv4Addr::LOCALHOST.into()], 0)
        .epmd(None)
        .connect_timeout(SOON)
        .follow_tick_time(false)
}

async fn start(name: &str, budget: usize) -> Node {
    let node = builder(name).max_mailboxes(budget).start().await;
    node.expect("it starts")
}

async fn connect(one: &Node, two: &Node) {
    let target = Target::new(two.name().clone()).on_port(two.port().expect("it listens"));
    one.connect(&target).await.expect("it connects");
}

/// Sends to a process for as long as its node lives.
fn flood(from: &Node, to: Pid) {
    from.spawn(async move |process| {
        let binary = Term::binary(vec![7; EACH]);
        while process
            .send(&to, term!({flood, (binary.clone())}))
            .await
            .is_ok()
        {}
    });
}

async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < SOON, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A `gen_server` that answers each call with what it was asked.
async fn server(mut process: Process) {
    process.register(&atom!("echo"));
    while let Some(Message::Term(call)) = process.recv().await {
        let Some([_, from, request]) = call.as_tuple() else {
            continue;
        };
        process.reply(from, request.clone()).await.ok();
    }
}

async fn calls(node: &Node, to: &Node, count: u32) {
    for n in 0..count {
        let answer = node.call((atom!("echo"), to.name()), term!({ (n) }), SOON);
        assert_eq!(answer.await, Ok(term!({ (n) })), "call {n}");
    }
}

/// Nobody takes what floods a node: whoever waits for an answer that comes by the same connection gets
/// it all the same, and what was before it is about all that the node has more.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_behind_a_flood() {
    let budget = 32 << 20;
    let (one, two) = (
        start("one@127.0.0.1", budget).await,
        start("two@127.0.0.1", budget).await,
    );
    connect(&one, &two).await;
    let stuck = one.process();
    two.spawn(server);
    until("the server has its name", || {
        two.whereis(&atom!("echo")).is_some()
    })
    .await;
    flood(&two, stuck.pid());
    until("it is flooded", || stuck.waiting() > budget / EACH).await;
    calls(&one, &two, 3).await;
    // Before each answer is what the sender may have queued and what the system holds.
    let waits = stuck.waiting() * EACH;
    assert!(waits < 3 * budget, "{waits}");
    // Nobody waits for anything any more, and the pauses are long by now.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let more = stuck.waiting() * EACH - waits;
    assert!(more < 2 << 20, "{more}");
}

/// What a process has looked at and left waits as before: the flood is slowed down.
#[tokio::test(flavor = "multi_thread")]
async fn what_recv_matching_left() {
    let budget = 4 << 20;
    let (one, two) = (
        start("one@127.0.0.1", budget).await,
        start("two@127.0.0.1", budget).await,
    );
    connect(&one, &two).await;
    let mut picky = one.process();
    flood(&two, picky.pid());
    let all = Duration::from_secs(2);
    let begun = Instant::now();
    while begun.elapsed() < SOON && (begun.elapsed() < all || picky.waiting() <= budget / EACH) {
        let none = picky.recv_matching_timeout(Duration::from_millis(100), |_| false);
        none.await.expect_err("nothing is wanted");
    }
    let waits = picky.waiting() * EACH;
    assert!((budget..3 * budget).contains(&waits), "{waits}");
    // What is received at last counts no longer.
    for _ in 0..10 * budget / EACH {
        let next = timeout(SOON, picky.recv());
        next.await.expect("it goes on").expect("a message");
    }
}

/// Messages of which something is missing leave others less room, for as long as they are there.
#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_not_complete() {
    let (budget, unfinished, count) = (8 << 20, 24 << 20, 200);
    let one = start("one@127.0.0.1", budget).await;
    let two = start("two@127.0.0.1", budget).await;
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let (written, is_written) = std::sync::mpsc::channel();
    let target = support::peer(move |wire: support::Wire| {
        let mut stream = wire.connect().expect("a connection");
        stream.write_all(&half(unfinished)).expect("it is read");
        written.send(()).ok();
        wait.lock().expect("one caller").recv().ok();
    });
    let node = one.connect(&target).await;
    node.expect("it connects");
    connect(&one, &two).await;
    let stuck = one.process();
    let to = stuck.pid();
    // The system holds less than that: a good part of it has been read.
    let is_written = tokio::task::spawn_blocking(move || is_written.recv_timeout(SOON));
    is_written.await.expect("it ends").expect("in time");
    two.spawn(async move |process| {
        let message = Term::binary(vec![7; EACH]);
        for _ in 0..count {
            process.send(&to, &message).await.expect("connected");
        }
        std::future::pending::<()>().await;
    });
    let part = budget / 2 / EACH;
    until("it has its part", || stuck.waiting() >= part).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(stuck.waiting() < count, "it is slowed down");
    done.send(()).expect("the peer waits");
    until("all is there", || stuck.waiting() == count).await;
}

/// The first of two fragments of a message.
fn half(len: usize) -> Vec<u8> {
    let control = Control::SendSender {
        from: support::pid(1),
        to: support::pid(2),
        token: None,
    };
    let mut frame = vec![131, 69];
    frame.extend(7_u64.to_be_bytes());
    frame.extend(2_u64.to_be_bytes());
    frame.push(0);
    control.to_term().encode_bare(&mut frame);
    frame.extend(vec![0; len]);
    let length = u32::try_from(frame.len()).expect("it is small");
    [&length.to_be_bytes(), frame.as_slice()].concat()
}

/// Who sends little is not made to wait for who floods.
#[tokio::test(flavor = "multi_thread")]
async fn another_connection_goes_on() {
    let budget = 4 << 20;
    let (one, two) = (
        start("one@127.0.0.1", budget).await,
        start("two@127.0.0.1", budget).await,
    );
    let other = start("other@127.0.0.1", budget).await;
    connect(&one, &two).await;
    connect(&other, &one).await;
    let stuck = one.process();
    one.spawn(server);
    until("the server has its name", || {
        one.whereis(&atom!("echo")).is_some()
    })
    .await;
    flood(&two, stuck.pid());
    until("it is flooded", || stuck.waiting() > budget / EACH).await;
    // With a pause at each this would take more than a minute.
    let begun = Instant::now();
    calls(&other, &one, 300).await;
    assert!(begun.elapsed() < SOON);
}

/// Both send twice what both may hold before they receive anything. In OTP, where mailboxes have no
/// limit, that ends; so it does here.
#[tokio::test(flavor = "multi_thread")]
async fn two_that_flood_each_other() {
    let (budget, count) = (16 << 20, 1000);
    let (one, two) = (
        start("one@127.0.0.1", budget).await,
        start("two@127.0.0.1", budget).await,
    );
    connect(&one, &two).await;
    let processes = [one.process(), two.process()];
    let pids = [processes[1].pid(), processes[0].pid()];
    let tasks = processes.into_iter().zip(pids).map(|(mut process, to)| {
        tokio::spawn(async move {
            let binary = Term::binary(vec![7; EACH]);
            for n in 0..count {
                let message = term!({(n), (binary.clone())});
                process.send(&to, message).await.expect("connected");
            }
            for n in 0..count {
                let Some(Message::Term(message)) = process.recv().await else {
                    panic!("it was ended");
                };
                let number = message.as_tuple().and_then(|parts| parts.first()?.as_u64());
                assert_eq!(number, Some(n));
            }
        })
    });
    let both = futures_util::future::join_all(tasks.collect::<Vec<_>>());
    for done in timeout(SOON, both).await.expect("nobody stands still") {
        done.expect("all came in order");
    }
}

/// A peer that ends in order leaves what it has sent, though that is read slowly.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_closed_peer_has_sent() {
    // The first pause is an hour, and what comes after it has room in the system.
    let (budget, count) = (1 << 10, 6);
    // Ticks show soon that the peer is gone.
    let one = builder("one@127.0.0.1").max_mailboxes(budget);
    let one = one.tick_time(Duration::from_secs(2)).start().await;
    let one = one.expect("it starts");
    let two = builder("two@127.0.0.1").tick_time(Duration::from_secs(2));
    let two = two.start().await.expect("it starts");
    connect(&two, &one).await;
    let (stuck, sender) = (one.process(), two.process());
    let binary = Term::binary(vec![7; 8 << 10]);
    for _ in 0..count {
        let sent = sender.send(&stuck.pid(), binary.clone()).await;
        sent.expect("connected");
        until("it is slowed down", || stuck.waiting() > 0).await;
    }
    drop(sender);
    two.shutdown(Duration::from_secs(5)).await;
    until("the end is seen", || one.connected().is_empty()).await;
    assert_eq!(stuck.waiting(), count);
}

/// A peer is not taken for silent while it is not read, however short the tick time is.
#[tokio::test]
async fn a_pause_that_is_longer_than_the_tick_time() {
    // The first pause is an hour. A second of it is more than the tick time allows, and less than
    // would say that this whole program stood still.
    let one = builder("one@127.0.0.1").max_mailboxes(1 << 10);
    let one = one.tick_time(Duration::from_millis(720)).start().await;
    let one = one.expect("it starts");
    // Ticks often, and is patient.
    let two = builder("two@127.0.0.1").tick_intensity(1000).start().await;
    let two = two.expect("it starts");
    connect(&two, &one).await;
    let mut events = one.monitor_nodes_of(NodeType::All);
    let (mut slow, sender) = (one.process(), two.process());
    let binary = Term::binary(vec![7; 8 << 10]);
    let sent = sender.send(&slow.pid(), binary).await;
    sent.expect("connected");
    until("it is slowed down", || slow.waiting() > 0).await;
    tokio::time::pause();
    for _ in 0..3 {
        tokio::time::advance(Duration::from_secs(1)).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
    tokio::time::resume();
    let first = timeout(SOON, slow.recv()).await.expect("it is there");
    first.expect("it lives");
    let sent = sender.send(&slow.pid(), term!(second)).await;
    sent.expect("connected");
    let second = timeout(SOON, slow.recv()).await.expect("it is read");
    assert_eq!(second, Some(Message::Term(term!(second))));
    let ended = events.next().now_or_never();
    assert!(ended.is_none(), "{ended:?}");
}

/// So does one that hangs up without a word, of which whoever writes to it hears first.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_peer_that_hung_up_has_sent() {
    const COUNT: usize = 6;
    let (tell, pids) = std::sync::mpsc::channel::<Pid>();
    let pids = std::sync::Mutex::new(pids);
    let (slow, is_slow) = std::sync::mpsc::channel::<()>();
    let is_slow = std::sync::Mutex::new(is_slow);
    let (hung_up, has_hung_up) = std::sync::mpsc::channel();
    let target = support::peer(move |wire: support::Wire| {
        let mut conn = support::Conn::new(wire.connect().expect("a connection"));
        let to = pids.lock().expect("one caller").recv().expect("a pid");
        let mut send = || {
            let control = Control::SendSender {
                from: support::pid(1),
                to: to.clone(),
                token: None,
            };
            conn.send(&control, Some(&Term::binary(vec![7; 8 << 10])));
        };
        send();
        is_slow.lock().expect("one caller").recv().ok();
        for _ in 1..COUNT {
            send();
        }
        // A reset, as when a process is killed while something lies unread.
        let socket = socket2::SockRef::from(&conn.stream);
        socket.set_linger(Some(Duration::ZERO)).expect("a limit");
        drop(conn);
        hung_up.send(()).ok();
    });
    // The first pause is an hour, and so is the time to the first tick.
    let one = builder("one@127.0.0.1").max_mailboxes(1 << 10);
    let one = one.tick_time(Duration::from_secs(4 * 3600)).start().await;
    let one = one.expect("it starts");
    one.connect(&target).await.expect("it connects");
    let stuck = one.process();
    tell.send(stuck.pid()).expect("the peer waits");
    until("it is slowed down", || stuck.waiting() > 0).await;
    slow.send(()).expect("the peer waits");
    let has_hung_up = tokio::task::spawn_blocking(move || has_hung_up.recv_timeout(SOON));
    has_hung_up.await.expect("it ends").expect("in time");
    stuck.send(&support::pid(1), term!(late)).await.ok();
    until("the end is seen", || one.connected().is_empty()).await;
    assert_eq!(stuck.waiting(), COUNT);
}

/// What a process has taken counts no longer, though it asks for nothing more.
#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_mailbox_is_empty() {
    let budget = 1 << 20;
    let (one, two) = (
        start("one@127.0.0.1", budget).await,
        start("two@127.0.0.1", budget).await,
    );
    connect(&one, &two).await;
    let mut first = one.process();
    let binary = Term::binary(vec![7; 2 * budget]);
    let sender = two.process();
    sender
        .send(&first.pid(), binary.clone())
        .await
        .expect("connected");
    assert!(matches!(first.recv().await, Some(Message::Term(_))));
    // The first one does something else now. Slowed down, this would take a quarter of a second for
    // each 256 KiB: minutes.
    let mut second = one.process();
    let to = second.pid();
    let done = Arc::new(AtomicBool::new(false));
    let said = Arc::clone(&done);
    tokio::spawn(async move {
        for _ in 0..100 {
            sender.send(&to, binary.clone()).await.expect("connected");
        }
        said.store(true, Ordering::Relaxed);
    });
    let all = async {
        for _ in 0..100 {
            second.recv().await.expect("a message");
        }
    };
    timeout(SOON, all).await.expect("it is not slowed down");
    until("it was sent", || done.load(Ordering::Relaxed)).await;
}
