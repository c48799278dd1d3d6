//! Peers that real OTP cannot play: too old, lying, mute. Each is a few lines of the protocol's own
//! acceptor on a loopback port.

mod support;

use std::net::Ipv4Addr;
use std::time::Duration;

use support::{cookie, name, peer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use trunkline_node::epmd::server::Server;
use trunkline_node::probe::{Depth, ProbeConfig, probe};
use trunkline_node::{Node, NodeEvent, NodeType, Target};
use trunkline_proto::epmd::{NameEntry, NamesResponse, PortResponse};
use trunkline_proto::{Flags, Reason, Step};

async fn reason(target: &Target, limit: Duration) -> Reason {
    let config = ProbeConfig {
        cookie: Some(cookie("monster")),
        depth: Depth::Handshake,
        timeout: limit,
        ..ProbeConfig::new(name("trunkline-probe-app@127.0.0.1"))
    };
    let probe = probe(&config, target).await;
    probe.result.expect_err("it cannot succeed")
}

const PATIENT: Duration = Duration::from_secs(20);
const HASTY: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_peer_too_old() {
    let old = peer(|mut wire| drop(wire.greet(Flags::MANDATORY_25)));
    let why = reason(&old, PATIENT).await;
    assert_eq!(
        why,
        Reason::Incompatible {
            detail: "it does not offer UNLINK_ID, V4_NC".into()
        }
    );
}

#[tokio::test]
async fn a_peer_that_does_not_know_the_cookie() {
    let liar = peer(|mut wire| {
        if let Some((_, _reply)) = wire.greet(Flags::hidden_default()) {
            wire.write(&[b"a".as_slice(), &[0; 16]].concat());
            wire.read();
        }
    });
    assert_eq!(reason(&liar, PATIENT).await, Reason::CookieMismatch);
}

#[tokio::test]
async fn a_peer_that_stops_half_way() {
    let mute = peer(|mut wire| {
        wire.greet(Flags::hidden_default());
        wire.read();
    });
    let step = Step::Handshake;
    assert_eq!(reason(&mute, HASTY).await, Reason::Timeout { step });
    // The one before has answered `ok` and then nothing.
    let step = Step::Greeting;
    let mute = peer(|mut wire| {
        wire.write(b"sok");
        wire.read();
        wire.read();
    });
    assert_eq!(reason(&mute, HASTY).await, Reason::Timeout { step });
    let gone = peer(|mut wire| {
        wire.read();
        wire.write(b"sok");
    });
    assert_eq!(reason(&gone, PATIENT).await, Reason::Closed { step });
}

#[tokio::test]
async fn a_peer_that_says_nok_for_ever() {
    let busy = peer(|mut wire| {
        wire.read();
        wire.write(b"snok");
        wire.read();
    });
    assert_eq!(reason(&busy, PATIENT).await, Reason::LostRace);
}

#[tokio::test]
async fn two_nodes_of_ours_through_our_own_epmd() {
    let epmd = Server::bind(&["127.0.0.1:0".parse().expect("an address")]).expect("a free port");
    let node = async |text: &str| {
        Node::builder(name(text))
            .cookie(cookie("monster"))
            .epmd_port(epmd.port())
            .listen([Ipv4Addr::LOCALHOST.into()], 0)
            .connect_timeout(PATIENT)
            .start()
            .await
    };
    let one = node("one@127.0.0.1").await.expect("it starts");
    let two = node("two@127.0.0.1").await.expect("it starts");
    let taken = node("two@127.0.0.1").await.expect_err("the name is taken");
    assert_eq!(
        taken.to_string(),
        "the port mapper has a node two@127.0.0.1 already"
    );

    let mut events = two.monitor_nodes_of(NodeType::All);
    one.connect(&Target::new(name("two@127.0.0.1")))
        .await
        .expect("it connects");
    assert!(matches!(
        events.next().await,
        Some(NodeEvent::Up { hidden: true, .. })
    ));
    assert_eq!(two.connected(), [name("one@127.0.0.1")]);
    drop(one);
    assert!(matches!(events.next().await, Some(NodeEvent::Down { .. })));
    // The name is free again.
    let again = async {
        while node("one@127.0.0.1").await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENT, again)
        .await
        .expect("the name is given back");
}

#[tokio::test]
async fn a_node_that_registers_between_two_questions() {
    // EPMD does not know it when it is asked for its port, and a moment later it does.
    let epmd = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a free port");
    let epmd_port = epmd.local_addr().expect("it is bound").port();
    let mute = peer(|mut wire| drop(wire.read()));
    let entry = NameEntry {
        alive: "late".into(),
        port: mute.port.expect("it listens"),
    };
    let names = NamesResponse {
        epmd_port: epmd_port.into(),
        names: vec![entry],
    };
    let unknown = PortResponse::Unknown { result: 1 };
    let answers = [unknown.encode().expect("it is short"), names.encode()];
    let script = async {
        for answer in answers {
            let (mut asked, _) = epmd.accept().await.expect("somebody asks");
            let length = asked.read_u16().await.expect("a question");
            let mut question = vec![0; length.into()];
            asked.read_exact(&mut question).await.expect("the whole");
            asked.write_all(&answer).await.expect("it is read");
        }
        std::future::pending::<()>().await;
    };
    let config = ProbeConfig {
        epmd_port,
        depth: Depth::Handshake,
        timeout: PATIENT,
        ..ProbeConfig::new(name("trunkline-probe-app@127.0.0.1"))
    };
    let target = Target::new(name("late@127.0.0.1"));
    let probe = tokio::select! {
        probe = probe(&config, &target) => probe,
        () = script => unreachable!("the script goes on"),
    };
    // It was found, and hangs up.
    let why = probe.result.expect_err("it hangs up");
    assert_eq!(
        why,
        Reason::Closed {
            step: Step::Greeting
        }
    );
}
