//! Peers that real OTP cannot play: too old, lying, mute. Each is a few lines of the protocol's own
//! acceptor on a loopback port.

mod support;

use std::net::Ipv4Addr;
use std::time::Duration;

use support::{Conn, cookie, name, peer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;
use trunkline_etf::{Term, atom, term};
use trunkline_node::epmd::server::Server;
use trunkline_node::probe::{Depth, ProbeConfig, probe};
use trunkline_node::{AliasMode, Message, Node, NodeEvent, NodeType, Process, Target};
use trunkline_proto::control::{AltactTo, Control};
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

/// The peer goes on to this step and no further: found by the first limit that suffices to get there.
async fn stops_at(target: &Target, step: Step) {
    let mut limit = Duration::from_millis(300);
    loop {
        let why = reason(target, limit).await;
        if why == (Reason::Timeout { step }) {
            return;
        }
        assert!(matches!(why, Reason::Timeout { .. }), "{why:?}");
        assert!(limit < PATIENT, "{why:?}, not {step:?}");
        limit *= 2;
    }
}

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
    stops_at(&mute, Step::Handshake).await;
    // The one before has answered `ok` and then nothing.
    let step = Step::Greeting;
    let mute = peer(|mut wire| {
        wire.write(b"sok");
        wire.read();
        wire.read();
    });
    stops_at(&mute, step).await;
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
    timeout(PATIENT, again)
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

/// ALTACT_SIG_SEND in all its forms, from one that has the flag as we do: no OTP before 28 has it.
#[tokio::test(flavor = "multi_thread")]
async fn signals_in_the_form_of_otp_28() {
    let flags = Flags::hidden_default().with(Flags::ALTACT_SIG);
    let node = Node::builder(name("me@127.0.0.1"))
        .cookie(cookie("monster"))
        .flags(flags);
    let node = node
        .follow_tick_time(false)
        .connect_timeout(PATIENT)
        .start()
        .await
        .expect("it starts");
    let mut me = node.process();
    me.trap_exit(true);
    assert!(me.register(&atom!("me")));
    let (pid, alias) = (me.pid(), me.alias(AliasMode::Explicit));
    let token = Some(term!({1, 2, 3, (support::pid(9)), 4}));
    let sent: Vec<(u32, AltactTo, Option<Term>, Term)> = vec![
        (0, AltactTo::Pid(pid.clone()), None, term!(by_pid)),
        (
            Control::ALTACT_PRIO,
            AltactTo::Pid(pid.clone()),
            None,
            term!(first),
        ),
        (
            Control::ALTACT_NAME,
            AltactTo::Name(atom!("me")),
            None,
            term!(by_name),
        ),
        (
            Control::ALTACT_ALIAS,
            AltactTo::Alias(alias),
            None,
            term!(by_alias),
        ),
        (
            Control::ALTACT_TOKEN,
            AltactTo::Pid(pid.clone()),
            token,
            term!(traced),
        ),
        (
            Control::ALTACT_EXIT,
            AltactTo::Pid(pid),
            None,
            term!(enough),
        ),
    ];
    let (answered, answer) = std::sync::mpsc::channel();
    let there = peer(move |wire| {
        let mut conn = Conn::with(wire.connect_with(flags).expect("it connects"), flags);
        for (flags, to, token, what) in sent.clone() {
            let from = support::pid(1);
            conn.send(
                &Control::AltactSend {
                    flags,
                    from,
                    to,
                    token,
                },
                Some(&what),
            );
        }
        answered.send(conn.next().map(|signal| signal.control)).ok();
    });
    let agreed = node.connect(&there).await.expect("it connects").flags;
    assert!(agreed.contains(Flags::ALTACT_SIG));
    for what in ["by_pid", "first", "by_name", "by_alias", "traced"] {
        let came = timeout(PATIENT, me.recv()).await.expect("in time");
        assert!(
            matches!(&came, Some(Message::Term(came)) if came.is_atom(what)),
            "{what}: {came:?}"
        );
    }
    let came = timeout(PATIENT, me.recv()).await.expect("in time");
    let (from, reason) = (support::pid(1), term!(enough));
    assert_eq!(came, Some(Message::Exit { from, reason }));
    // Ours go to it in the forms that every OTP has.
    me.send(&support::pid(2), term!(hello))
        .await
        .expect("connected");
    let answer = answer.recv_timeout(PATIENT).expect("in time");
    assert!(
        matches!(answer, Some(Control::SendSender { .. })),
        "{answer:?}"
    );
}

/// Two of ours that both have it.
#[tokio::test(flavor = "multi_thread")]
async fn two_that_have_the_form_of_otp_28() {
    let start = async |text: &str| {
        let flags = Flags::hidden_default().with(Flags::ALTACT_SIG);
        let node = Node::builder(name(text))
            .cookie(cookie("monster"))
            .flags(flags);
        let node = node.listen([Ipv4Addr::LOCALHOST.into()], 0).epmd(None);
        node.connect_timeout(PATIENT)
            .start()
            .await
            .expect("it starts")
    };
    let (one, two) = (start("one@127.0.0.1").await, start("two@127.0.0.1").await);
    let there = Target::new(two.name().clone()).on_port(two.port().expect("it listens"));
    let agreed = one.connect(&there).await.expect("it connects").flags;
    assert!(agreed.contains(Flags::ALTACT_SIG));
    let doubles = two.spawn(async |mut process: Process| {
        while let Some(Message::Term(call)) = process.recv().await {
            let Some([_, from, number]) = call.as_tuple() else {
                return number_of(&call);
            };
            let double = number.as_i64().expect("a number") * 2;
            process.reply(from, double).await.expect("connected");
        }
        term!(nothing)
    });
    let mut me = one.process();
    me.trap_exit(true);
    me.link(&doubles);
    let monitor = me.monitor(&doubles);
    assert_eq!(one.call(&doubles, term!(21), PATIENT).await, Ok(term!(42)));
    assert_eq!(me.call(&doubles, term!(4), PATIENT).await, Ok(term!(8)));
    me.send(&doubles, term!(7)).await.expect("connected");
    let mut came = Vec::new();
    for _ in 0..2 {
        came.push(
            timeout(PATIENT, me.recv())
                .await
                .expect("in time")
                .expect("it lives"),
        );
    }
    came.sort_by_key(|message| matches!(message, Message::Down { .. }));
    let reason = term!({ended_by, 7});
    let (from, node) = (doubles.clone(), doubles.node.clone());
    let exit = Message::Exit {
        from,
        reason: reason.clone(),
    };
    let (reference, from) = (monitor, doubles.into());
    assert_eq!(
        came,
        [
            exit,
            Message::Down {
                reference,
                node,
                from,
                reason
            }
        ]
    );
}

fn number_of(message: &Term) -> Term {
    term!({ended_by, (message.clone())})
}

/// A peer without monitors, as a C node may be: nothing of them goes there, and one of a process there hears of the end of the
/// connection only (`erts_dsig_send_monitor`).
#[tokio::test]
async fn a_peer_that_knows_no_monitors() {
    let flags = Flags::hidden_default() & !Flags::DIST_MONITOR;
    let (tell, told) = std::sync::mpsc::channel();
    let there = peer(move |wire| {
        let mut conn = Conn::with(wire.connect_with(flags).expect("it connects"), flags);
        while let Some(signal) = conn.next() {
            let is_last = matches!(&signal.control, Control::RegSend { to, .. } if *to == "last");
            tell.send(signal.control).ok();
            if is_last {
                return;
            }
        }
    });
    let node = Node::builder(name("me@127.0.0.1")).cookie(cookie("monster"));
    let node = node.auto_connect(false).follow_tick_time(false);
    let node = node.start().await.expect("it starts");
    node.connect(&there).await.expect("it connects");
    let mut me = node.process();
    let ended = me.monitor((atom!("ended"), &there.name));
    assert!(me.demonitor(&ended));
    let monitor = me.monitor(&support::pid(1));
    let limit = Duration::from_millis(1);
    let answer = me.call(&support::pid(1), term!(hello), limit).await;
    assert_eq!(answer, Err(trunkline_node::CallError::Timeout));
    let last = (atom!("last"), &there.name);
    me.send(last, term!(hello)).await.expect("it is connected");
    let down = timeout(PATIENT, me.recv()).await.expect("in time");
    assert!(
        matches!(&down, Some(Message::Down { reference, reason, .. }) if *reference == monitor && reason.is_atom("noconnection")),
        "{down:?}"
    );
    let came: Vec<_> = told.try_iter().collect();
    assert!(
        matches!(
            &came[..],
            [
                Control::SendSender { .. } | Control::Send { .. },
                Control::RegSend { .. }
            ]
        ),
        "{came:?}"
    );
}
