//! Who is connected, who comes and goes, who may.

mod support;

use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;
use std::time::Duration;

use support::{cookie, name};
use tokio::time::timeout;
use trunkline_etf::Term;
use trunkline_node::{
    Message, Node, NodeBuilder, NodeEvent, NodeKind, NodeType, StartError, Target,
};
use trunkline_proto::{Cookie, Reason};

const PATIENT: Duration = Duration::from_secs(30);

fn builder(text: &str) -> NodeBuilder<Cookie> {
    Node::builder(name(text))
        .cookie(cookie("monster"))
        .epmd(None)
        .listen([Ipv4Addr::LOCALHOST.into()], 0)
        .follow_tick_time(false)
        .auto_connect(false)
        .connect_timeout(PATIENT)
}

async fn node(text: &str) -> Node {
    builder(text).start().await.expect("it starts")
}

fn at(node: &Node) -> Target {
    Target::new(node.name().clone()).on_port(node.port().expect("it listens"))
}

#[tokio::test]
async fn lists() {
    let (one, two) = (node("one@127.0.0.1").await, node("two@127.0.0.1").await);
    let mut visible = one.monitor_nodes();
    let mut hidden = one.monitor_nodes_of(NodeType::Hidden);
    one.connect(&at(&two)).await.expect("it connects");
    assert_eq!(one.list(), []);
    assert_eq!(one.nodes(&[NodeKind::Hidden]), [name("two@127.0.0.1")]);
    assert_eq!(one.nodes(&[NodeKind::Connected]), one.connected());
    assert_eq!(one.nodes(&[NodeKind::This]), [name("one@127.0.0.1")]);
    let known = [name("one@127.0.0.1"), name("two@127.0.0.1")];
    assert_eq!(one.nodes(&[NodeKind::Known]), known);
    assert_eq!(
        one.nodes(&[NodeKind::This, NodeKind::Hidden, NodeKind::Connected]),
        known
    );
    one.disconnect(two.name());
    assert!(matches!(
        hidden.next().await,
        Some(NodeEvent::Up { hidden: true, .. })
    ));
    assert!(matches!(
        hidden.next().await,
        Some(NodeEvent::Down { hidden: true, .. })
    ));
    drop((one, two));
    assert_eq!(visible.next().await, None, "two is a hidden node");
}

/// The peer sends all the time, the connection is cut in the middle of it by whoever feels like it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_message_comes_before_the_nodeup_or_after_the_nodedown() {
    let (one, two) = (node("one@127.0.0.1").await, node("two@127.0.0.1").await);
    let mut inbox = one.process();
    let to = inbox.pid();
    let sender = two.clone();
    let flood = tokio::spawn(async move {
        let outbox = sender.process();
        loop {
            // Nobody is connected half of the time.
            outbox.send(&to, &Term::atom("flood")).await.ok();
            tokio::task::yield_now().await;
        }
    });
    let mut events = one.monitor_nodes_of(NodeType::All);
    let received = async |inbox: &mut trunkline_node::Process, wait| {
        matches!(inbox.recv_timeout(wait).await, Ok(Message::Term(_)))
    };
    for round in 0..150 {
        one.connect(&at(&two)).await.expect("it connects");
        let up = timeout(PATIENT, events.next()).await;
        assert!(
            matches!(up, Ok(Some(NodeEvent::Up { .. }))),
            "{round}: {up:?}"
        );
        assert!(
            received(&mut inbox, PATIENT).await,
            "{round}: the flood comes"
        );
        if round % 2 == 0 {
            one.disconnect(two.name());
        } else {
            two.disconnect(one.name());
        }
        let down = timeout(PATIENT, events.next()).await;
        assert!(
            matches!(down, Ok(Some(NodeEvent::Down { .. }))),
            "{round}: {down:?}"
        );
        // What came before is there at once; then nothing follows.
        while received(&mut inbox, Duration::ZERO).await {}
        let late = received(&mut inbox, Duration::from_millis(5)).await;
        assert!(!late, "{round}: a message after the nodedown");
    }
    flood.abort();
}

#[tokio::test]
async fn a_range_of_ports() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let first = taken.local_addr().expect("bound").port();
    let ip = [Ipv4Addr::LOCALHOST.into()];
    let full = builder("full@127.0.0.1").listen_range(ip, first..=first);
    let why = full.start().await.expect_err("the only port is taken");
    let said = why.to_string();
    assert!(said.contains(&format!("127.0.0.1, port {first}")), "{said}");
    let more = builder("more@127.0.0.1").listen_range(ip, first..=first.saturating_add(20));
    let node = more.start().await.expect("the next is free");
    assert!(node.port() > Some(first));
    let empty = builder("none@127.0.0.1").listen_range(ip, RangeInclusive::new(9105, 9100));
    let why = empty.start().await.expect_err("no port is in it");
    assert!(matches!(why, StartError::Listen { .. }));
    assert!(
        why.to_string().contains("any port from 9105 to 9100"),
        "{why}"
    );
}

#[tokio::test]
async fn a_cookie_of_its_own_in_both_directions() {
    let one = builder("one@127.0.0.1")
        .cookie_of(name("two@127.0.0.1"), cookie("theirs"))
        .start()
        .await
        .expect("it starts");
    let two = Node::builder(name("two@127.0.0.1")).cookie(cookie("theirs"));
    let two = two
        .epmd(None)
        .listen([Ipv4Addr::LOCALHOST.into()], 0)
        .start()
        .await
        .expect("it starts");
    let three = node("three@127.0.0.1").await;
    for (from, to) in [(&one, &two), (&two, &one), (&one, &three), (&three, &one)] {
        from.connect(&at(to)).await.expect("the cookie fits");
        from.disconnect(to.name());
        until(|| to.connected().is_empty()).await;
    }
    for (from, to) in [(&two, &three), (&three, &two)] {
        let why = from.connect(&at(to)).await.expect_err("the cookies differ");
        assert_eq!(why.reason().code(), "cookie_mismatch");
    }
    three.set_cookie(name("two@127.0.0.1"), cookie("theirs"));
    two.connect(&at(&three)).await.expect("the cookie fits now");
}

#[tokio::test]
async fn who_is_not_allowed() {
    let (friend, other) = (
        node("friend@127.0.0.1").await,
        node("other@127.0.0.1").await,
    );
    let strict = builder("strict@127.0.0.1").allow(name("friend@127.0.0.1"));
    let strict = strict.start().await.expect("it starts");
    for (from, to) in [(&other, &strict), (&strict, &other)] {
        let why = from.connect(&at(to)).await.expect_err("not on the list");
        assert_eq!(why.reason().code(), "not_allowed");
        let here = *from.name() == *strict.name();
        assert_eq!(why.reason(), &Reason::NotAllowed { here });
    }
    friend.connect(&at(&strict)).await.expect("on the list");
    strict.allow(name("other@127.0.0.1"));
    strict.connect(&at(&other)).await.expect("on the list now");
    let hosts = builder("hosts@127.0.0.1").allow_host("10.0.0.9");
    let hosts = hosts.start().await.expect("it starts");
    let why = other
        .connect(&at(&hosts))
        .await
        .expect_err("not of that host");
    assert_eq!(why.reason().code(), "not_allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_lent_for_as_long_as_the_connection_lives() {
    let giver = node("giver@127.0.0.1").await;
    let other = node("other@127.0.0.1").await;
    let nameless = || {
        Node::nameless("127.0.0.1")
            .cookie(cookie("monster"))
            .follow_tick_time(false)
            .connect_timeout(PATIENT)
    };
    let mut clients = Vec::new();
    for _ in 0..5 {
        let client = nameless().start_through(&at(&giver)).await;
        clients.push(client.expect("it is given a name"));
    }
    let mut names: Vec<_> = clients.iter().map(|client| client.name().clone()).collect();
    names.sort();
    // The giver lists a connection a moment after the other end has it.
    let listed = async {
        while giver.nodes(&[NodeKind::Hidden]) != names {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENT, listed).await.expect("all are connected");
    assert!(
        names
            .iter()
            .all(|name| name.alive().len() == 13 && name.host() == "127.0.0.1")
    );
    let client = &clients[0];
    assert_eq!(client.port(), None);
    assert!(client.creation().0 > 3);
    client
        .connect(&at(&other))
        .await
        .expect("it has a name now");
    let mut inbox = client.process();
    let outbox = giver.process();
    outbox
        .send(&inbox.pid(), &Term::atom("hello"))
        .await
        .expect("connected");
    let message = timeout(PATIENT, inbox.recv()).await.expect("in time");
    assert_eq!(message, Some(Message::Term(Term::atom("hello"))));

    giver.disconnect(client.name());
    until(|| client.connected().is_empty() && other.connected().is_empty()).await;
    let why = client
        .connect(&at(&other))
        .await
        .expect_err("the name is not its own any more");
    assert_eq!(why.reason().code(), "closed");

    let wrong = Node::nameless("127.0.0.1").cookie(cookie("another"));
    let why = wrong
        .start_through(&at(&giver))
        .await
        .expect_err("the cookies differ");
    assert!(
        matches!(&why, StartError::NotNamed(reason) if reason.code() == "cookie_mismatch"),
        "{why}"
    );
    giver.allow(name("friend@127.0.0.1"));
    let why = nameless()
        .start_through(&at(&giver))
        .await
        .expect_err("not on the list");
    assert!(
        matches!(&why, StartError::NotNamed(reason) if reason.code() == "not_allowed"),
        "{why}"
    );
    let why = Node::nameless("a@b")
        .cookie(cookie("monster"))
        .start_through(&at(&giver))
        .await;
    assert!(matches!(why, Err(StartError::Host { .. })), "{why:?}");
}

/// One port for all, and no port mapper anywhere.
#[tokio::test]
async fn every_node_on_the_same_port() {
    let two = builder("two@127.0.0.1").start().await.expect("it starts");
    let port = two.port().expect("it listens");
    let one = builder("one@127.0.0.1").epmd_port(1).peer_port(port);
    let one = one.start().await.expect("it starts");
    one.connect(&Target::new(two.name().clone()))
        .await
        .expect("on the common port");
    let mut probe = trunkline_node::probe::ProbeConfig::new(name("probe@127.0.0.1"));
    probe.epmd_port = 1;
    probe.peer_port = Some(port);
    let found = trunkline_node::probe::probe(&probe, &Target::new(two.name().clone())).await;
    assert_eq!(found.result.expect("it greets").port, Some(port));
}

async fn until(mut done: impl FnMut() -> bool) {
    let polled = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENT, polled).await.expect("it comes to be");
}
