//! What somebody without the cookie can do: nothing that others notice.

mod support;

use std::net::Ipv4Addr;
use std::time::Duration;

use support::{cookie, name};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use trunkline_node::{Node, NodeEvent, NodeType, Target};
use trunkline_proto::handshake::initiator::{AfterStatus, Start};
use trunkline_proto::handshake::{HandshakeFramer, Local, Prefix};
use trunkline_proto::{Creation, Flags};

const PATIENT: Duration = Duration::from_secs(60);

async fn node(text: &str) -> Node {
    node_within(text, PATIENT).await
}

async fn node_within(text: &str, connect_timeout: Duration) -> Node {
    Node::builder(name(text))
        .cookie(cookie("monster"))
        .epmd(None)
        .listen([Ipv4Addr::LOCALHOST.into()], 0)
        .follow_tick_time(false)
        .connect_timeout(connect_timeout)
        .start()
        .await
        .expect("it starts")
}

/// Somebody who has connected and said nothing.
struct Stranger {
    stream: TcpStream,
    framer: HandshakeFramer,
}

impl Stranger {
    async fn at(node: &Node) -> Self {
        let port = node.port().expect("it listens");
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await;
        Self {
            stream: stream.expect("it listens"),
            framer: HandshakeFramer::new(Prefix::U16),
        }
    }

    async fn write(&mut self, message: &[u8]) {
        let frame = self.framer.frame(message);
        self.stream.write_all(&frame).await.expect("it is read");
    }

    async fn read(&mut self) -> Vec<u8> {
        loop {
            if let Some(frame) = self.framer.next_frame().expect("a frame") {
                return frame.to_vec();
            }
            let read = self.stream.read_buf(self.framer.read_buf()).await;
            assert_ne!(read.expect("a frame"), 0, "it hangs up");
        }
    }

    /// Whether the node hangs up.
    async fn hung_up_on(mut self) -> bool {
        let mut rest = Vec::new();
        let end = timeout(PATIENT, self.stream.read_to_end(&mut rest)).await;
        end.is_ok()
    }
}

fn shown(text: &str) -> Start {
    let me = Local::new(name(text), Flags::hidden_default(), Creation(5));
    Start::new(me, None)
}

/// More of them than may be in their handshake at once, and none says a word.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_silent_strangers_keeps_nobody_out() {
    let (app, friend) = (node("app@127.0.0.1").await, node("friend@127.0.0.1").await);
    let target = Target::new(name("app@127.0.0.1")).on_port(app.port().expect("it listens"));
    let mut crowd = Vec::new();
    for _ in 0..600 {
        crowd.push(Stranger::at(&app).await);
    }
    friend.connect(&target).await.expect("there is room");
    let first = crowd.swap_remove(0);
    assert!(first.hung_up_on().await, "the first has made room");
    // Those who give themselves the name of a node make no difference.
    for stranger in crowd.iter_mut().rev().take(100) {
        stranger
            .write(&shown("friend@127.0.0.1").send_name().0)
            .await;
    }
    friend.disconnect(&target.name);
    friend.connect(&target).await.expect("there is room");
    drop(crowd);
    let shutdown = app.shutdown(PATIENT).await;
    assert!(shutdown.is_clean(), "{shutdown:?}");
}

/// As long as OTP gives it, or as an attempt of our own may take where that is longer.
#[tokio::test(start_paused = true)]
async fn how_long_a_caller_may_be_silent() {
    for (connect_timeout, patience) in [(1, 7), (40, 40)] {
        let app = node_within("app@127.0.0.1", Duration::from_secs(connect_timeout)).await;
        let mut silent = Stranger::at(&app).await;
        let begun = tokio::time::Instant::now();
        let mut rest = Vec::new();
        // The clock stands until nothing but it can happen.
        silent.stream.read_to_end(&mut rest).await.expect("an end");
        assert_eq!(begun.elapsed().as_secs(), patience);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_silent_in_a_step_hung_up_on() {
    let app = node_within("app@127.0.0.1", Duration::from_secs(1)).await;
    let silent = Stranger::at(&app).await;
    let mut half = Stranger::at(&app).await;
    half.stream.write_all(b"\0\x20N").await.expect("it is read");
    let mut greeted = Stranger::at(&app).await;
    greeted
        .write(&shown("greeted@127.0.0.1").send_name().0)
        .await;
    greeted.read().await;
    greeted.read().await;
    let friend = node("friend@127.0.0.1").await;
    let target = Target::new(name("app@127.0.0.1")).on_port(app.port().expect("it listens"));
    friend.connect(&target).await.expect("it connects");
    let mut asked = Stranger::at(&app).await;
    asked.write(&shown("friend@127.0.0.1").send_name().0).await;
    asked.read().await;
    let ends = tokio::join!(
        silent.hung_up_on(),
        half.hung_up_on(),
        greeted.hung_up_on(),
        asked.hung_up_on()
    );
    assert_eq!(ends, (true, true, true, true));
    assert_eq!(app.connected(), [name("friend@127.0.0.1")]);
}

/// It says that the connection of the living node is its own and has to go, and cannot prove it.
#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_with_the_name_of_a_connected_node_ends_nothing() {
    let (app, friend) = (node("app@127.0.0.1").await, node("friend@127.0.0.1").await);
    let target = Target::new(name("app@127.0.0.1")).on_port(app.port().expect("it listens"));
    let mut events = app.monitor_nodes_of(NodeType::All);
    friend.connect(&target).await.expect("it connects");
    // The one who is called has the connection a moment later.
    let up = timeout(PATIENT, events.next()).await.expect("in time");
    assert!(matches!(up, Some(NodeEvent::Up { .. })), "{up:?}");
    for _ in 0..20 {
        let mut stranger = Stranger::at(&app).await;
        let (send_name, state) = shown("friend@127.0.0.1").send_name();
        stranger.write(&send_name).await;
        let status = state.status(&stranger.read().await).expect("a status");
        let AfterStatus::Alive(question) = status else {
            panic!("there is a connection: {status:?}");
        };
        let (frame, state) = question.replace();
        stranger.write(&frame).await;
        let greeted = state
            .challenge(&stranger.read().await)
            .expect("a challenge");
        let (proof, _) = greeted.reply(&cookie("guessed"), 4711);
        stranger.write(&proof).await;
        assert!(stranger.hung_up_on().await);
    }
    assert_eq!(app.connected(), [name("friend@127.0.0.1")]);
    assert_eq!(friend.connected(), [name("app@127.0.0.1")]);
    let none = timeout(Duration::from_millis(50), events.next()).await;
    assert!(none.is_err(), "{none:?}");
}

/// A node that dies in its handshake and dials again: the older call ends last, and is the dead one.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_call_does_not_replace_a_later_one() {
    let app = node("app@127.0.0.1").await;
    let mut calls = Vec::new();
    for _ in 0..2 {
        let mut call = Stranger::at(&app).await;
        let (send_name, state) = shown("friend@127.0.0.1").send_name();
        call.write(&send_name).await;
        let status = state.status(&call.read().await).expect("a status");
        let AfterStatus::Go(state) = status else {
            panic!("there is no connection: {status:?}");
        };
        let greeted = state.challenge(&call.read().await).expect("a challenge");
        calls.push((call, greeted));
    }
    let (mut later, greeted) = calls.pop().expect("two");
    let (proof, _) = greeted.reply(&cookie("monster"), 4711);
    later.write(&proof).await;
    later.read().await;
    let mut events = app.monitor_nodes_of(NodeType::All);
    let (mut older, greeted) = calls.pop().expect("two");
    let (proof, _) = greeted.reply(&cookie("monster"), 4712);
    older.write(&proof).await;
    assert!(older.hung_up_on().await);
    assert_eq!(app.connected(), [name("friend@127.0.0.1")]);
    let event = timeout(Duration::from_millis(50), events.next()).await;
    let down = matches!(event, Ok(Some(NodeEvent::Down { .. })));
    assert!(!down, "{event:?}");
}
