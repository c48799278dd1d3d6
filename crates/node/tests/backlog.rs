//! What waits for a peer that reads slowly, and whether it is taken for dead.

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use support::{Wire, cookie, name, peer, pid};
use trunkline_etf::Term;
use trunkline_node::{Node, NodeBuilder};
use trunkline_proto::Cookie;

const SOON: Duration = Duration::from_secs(60);

fn builder() -> NodeBuilder<Cookie> {
    Node::builder(name("me@127.0.0.1"))
        .cookie(cookie("monster"))
        .listen([Ipv4Addr::LOCALHOST.into()], 0)
        .epmd(None)
        .connect_timeout(SOON)
        .follow_tick_time(false)
}

async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < SOON, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// How long somebody did nothing at the most: a machine that is busy may not let him.
struct Longest {
    since: Instant,
    longest: Duration,
}

impl Longest {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            longest: Duration::ZERO,
        }
    }

    /// He does something.
    fn turn(&mut self) {
        self.longest = self.longest.max(self.since.elapsed());
        self.since = Instant::now();
    }
}

/// Tries until the peer had its turns as often as a live one has: `attempt` gives how long it did
/// nothing at the most, and what is wrong if anything is.
async fn fairly<F: Future<Output = (Duration, Option<String>)>>(
    tick: Duration,
    mut attempt: impl FnMut() -> F,
) {
    for _ in 0..10 {
        let (longest, wrong) = attempt().await;
        let Some(wrong) = wrong else { return };
        assert!(longest > tick / 4, "{wrong}");
        println!("{longest:?} without a turn: {wrong}");
    }
    panic!("the machine is too busy");
}

/// Reads so many bytes, in pieces with a pause behind each; fewer when the connection ends.
fn read_all(stream: &mut TcpStream, left: usize, piece: usize, pause: Duration) -> usize {
    read_timed(stream, left, piece, pause).0
}

/// The same, and how long nothing was read at the most.
fn read_timed(
    stream: &mut TcpStream,
    mut left: usize,
    piece: usize,
    pause: Duration,
) -> (usize, Duration) {
    let (mut bytes, mut turns) = (vec![0; piece], Longest::new());
    while left > 0 {
        turns.turn();
        match stream.read(&mut bytes) {
            Ok(0) | Err(_) => break,
            Ok(count) => left = left.saturating_sub(count),
        }
        std::thread::sleep(pause);
    }
    turns.turn();
    (left, turns.longest)
}

/// Reads `all` bytes in so much time, evenly; how many are left when the connection ends before, and
/// how long it did nothing at the most.
fn read_in(stream: &mut TcpStream, all: usize, time: Duration) -> (usize, Duration) {
    let (begun, mut read) = (Instant::now(), 0);
    let (mut bytes, mut turns) = ([0; 1024], Longest::new());
    while read < all {
        turns.turn();
        let due = (begun.elapsed().as_secs_f64() / time.as_secs_f64() * all as f64) as usize;
        if read >= due {
            std::thread::sleep(Duration::from_millis(10));
            continue;
        }
        match stream.read(&mut bytes) {
            Ok(0) | Err(_) => break,
            Ok(count) => read += count,
        }
    }
    turns.turn();
    (all.saturating_sub(read), turns.longest)
}

/// A process sends 300 MB in one message and links to a process there: what it queued while it could
/// wait ends no connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_signal_behind_a_large_message() {
    let (go, wait) = mpsc::channel::<()>();
    let (read, all_read) = mpsc::channel();
    let wait = std::sync::Mutex::new(wait);
    let target = peer(move |wire: Wire| {
        let mut stream = wire.connect().expect("a connection");
        wait.lock().expect("one caller").recv().ok();
        let left = read_all(&mut stream, LARGE, 1 << 20, Duration::ZERO);
        read.send(left).ok();
        // Until the node hangs up.
        read_all(&mut stream, usize::MAX, 1 << 20, Duration::ZERO);
    });
    let node = builder().start().await.expect("it starts");
    node.connect(&target).await.expect("it connects");
    let process = node.process();
    let message = Term::binary(vec![0; LARGE]);
    process.send(&pid(1), message).await.expect("connected");
    for id in 1..10 {
        process.link(&pid(id));
    }
    go.send(()).expect("the peer waits");
    let left = tokio::task::spawn_blocking(move || all_read.recv_timeout(SOON))
        .await
        .expect("it ends");
    assert_eq!(left, Ok(0), "all of it came");
    assert_eq!(node.connected().first(), Some(&target.name));
}

const LARGE: usize = 300 << 20;

/// A hidden peer that reads slowly and says nothing is not dead: it reads. When all is read and it goes
/// on saying nothing, it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_reads_slowly_lives() {
    const MUCH: usize = 48 << 20;
    let tick = Duration::from_millis(1200);
    fairly(tick, || async {
        let (read, all_read) = mpsc::channel();
        let target = peer(move |wire: Wire| {
            let mut stream = wire.connect().expect("a connection");
            // Some four seconds, three times what silence may last.
            let pause = Duration::from_millis(20);
            read.send(read_timed(&mut stream, MUCH, 256 << 10, pause))
                .ok();
            read_all(&mut stream, usize::MAX, 1 << 20, Duration::ZERO);
        });
        let node = builder().tick_time(tick).start().await.expect("it starts");
        node.connect(&target).await.expect("it connects");
        let process = node.process();
        let message = Term::binary(vec![0; MUCH]);
        process.send(&pid(1), message).await.expect("connected");
        let read = tokio::task::spawn_blocking(move || all_read.recv_timeout(SOON));
        let (left, longest) = read.await.expect("it ends").expect("in time");
        until("the silent peer is cut", || node.connected().is_empty()).await;
        let wrong = (left > 0).then(|| format!("it was cut while it read: {left} left"));
        (longest, wrong)
    })
    .await;
}

/// So does one that reads so little that there is never room for more, or nothing more.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_reads_little_lives() {
    const LITTLE: usize = 80 << 10;
    let (tick, time) = (Duration::from_secs(4), Duration::from_secs(6));
    fairly(tick, || async {
        let (read, some_read) = mpsc::channel();
        let (done, wait) = mpsc::channel::<()>();
        let wait = std::sync::Mutex::new(wait);
        let target = peer(move |wire: Wire| {
            let mut stream = wire.connect().expect("a connection");
            let small = socket2::SockRef::from(&stream).set_recv_buffer_size(8 << 10);
            small.expect("a size");
            read.send(read_in(&mut stream, LITTLE, time)).ok();
            wait.lock().expect("one caller").recv().ok();
        });
        let node = builder().tick_time(tick).start().await.expect("it starts");
        node.connect(&target).await.expect("it connects");
        let process = node.process();
        let message = Term::binary(vec![0; LITTLE]);
        process.send(&pid(1), message).await.expect("connected");
        let read = tokio::task::spawn_blocking(move || some_read.recv_timeout(SOON));
        let (left, longest) = read.await.expect("it ends").expect("in time");
        until("the silent peer is cut", || node.connected().is_empty()).await;
        done.send(()).ok();
        let wrong = (left > 0).then(|| format!("it was cut while it read: {left} left"));
        (longest, wrong)
    })
    .await;
}

/// A peer that does not read at all is cut, however much waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_does_not_read_is_dead() {
    let tick = Duration::from_millis(400);
    let (done, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let target = peer(move |wire: Wire| {
        let stream = wire.connect().expect("a connection");
        wait.lock().expect("one caller").recv().ok();
        stream.shutdown(Shutdown::Both).ok();
    });
    let node = builder().tick_time(tick).start().await.expect("it starts");
    node.connect(&target).await.expect("it connects");
    let process = node.process();
    let message = Term::binary(vec![0; 64 << 20]);
    process.send(&pid(1), message).await.expect("connected");
    until("the peer is cut", || node.connected().is_empty()).await;
    done.send(()).ok();
}

/// What is built on `erl_interface` answers ticks and says nothing else: it gets them between the
/// messages of a stream that never pauses.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_answers_ticks_only_gets_some() {
    const MUCH: usize = 64 << 20;
    let tick = Duration::from_millis(2400);
    let (read, ticks_read) = mpsc::channel();
    let target = peer(move |wire: Wire| {
        let mut stream = wire.connect().expect("a connection");
        let (mut ticks, mut left) = (0, MUCH);
        let mut bytes = vec![0; 1 << 20];
        while left > 0 {
            let mut length = [0; 4];
            if stream.read_exact(&mut length).is_err() {
                break;
            }
            let length = u32::from_be_bytes(length) as usize;
            if length == 0 {
                ticks += 1;
                stream.write_all(&[0; 4]).ok();
                continue;
            }
            stream.read_exact(&mut bytes[..length]).expect("the frame");
            left = left.saturating_sub(length);
            std::thread::sleep(Duration::from_millis(12));
        }
        read.send((ticks, left)).ok();
    });
    let node = builder().tick_time(tick).start().await.expect("it starts");
    node.connect(&target).await.expect("it connects");
    let process = node.process();
    let message = Term::binary(vec![0; MUCH]);
    process.send(&pid(1), message).await.expect("connected");
    let (ticks, left) = tokio::task::spawn_blocking(move || ticks_read.recv_timeout(SOON))
        .await
        .expect("it ends")
        .expect("in time");
    assert_eq!(left, 0, "it was not cut");
    assert!(ticks > 1, "{ticks}");
}
