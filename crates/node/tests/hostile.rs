//! Peers that mean ill, and strangers without the cookie.

mod support;

use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use support::{Conn, cookie, name, peer, pid};
use tokio::time::timeout;
use trunkline_etf::{Pid, Reference, Term, atom};
use trunkline_node::{DownReason, Message, Node, NodeEvent, NodeType, RpcError, Target};
use trunkline_proto::control::{Control, PidOrName};
use trunkline_proto::handshake::initiator::Start;
use trunkline_proto::handshake::{HandshakeFramer, Local, Prefix};
use trunkline_proto::{Creation, Flags};

const PATIENT: Duration = Duration::from_secs(30);

async fn node(follow_tick_time: bool) -> Node {
    Node::builder(name("me@127.0.0.1"))
        .cookie(cookie("monster"))
        .follow_tick_time(follow_tick_time)
        .connect_timeout(PATIENT)
        .start()
        .await
        .expect("it starts")
}

/// Waits for what another thread sends.
async fn told<T: Send + 'static>(receiver: mpsc::Receiver<T>) -> T {
    let waiting = tokio::task::spawn_blocking(move || receiver.recv_timeout(PATIENT));
    let told = waiting.await.expect("no panic");
    told.expect("the peer comes to its end")
}

/// A SPAWN_REQUEST: its id, who asks, and the id of the erpc call.
fn request(conn: &mut Conn) -> Option<(Reference, Pid, Term)> {
    loop {
        let signal = conn.next()?;
        if let Control::SpawnRequest { request, from, .. } = signal.control {
            let args = signal.payload?.decode(&Default::default()).ok()?;
            let id = args.as_list()?.first()?.clone();
            return Some((request, from, id));
        }
    }
}

fn spawned(conn: &mut Conn, request: &Reference, to: &Pid) {
    let reply = Control::SpawnReply {
        request: request.clone(),
        to: to.clone(),
        flags: Control::SPAWNED_WITH_MONITOR,
        result: PidOrName::Pid(pid(9)),
        token: None,
    };
    conn.send(&reply, None);
}

fn returned(conn: &mut Conn, request: Reference, to: Pid, id: Term, value: Term) {
    let down = Control::PayloadMonitorPExit {
        from: PidOrName::Pid(pid(9)),
        to,
        reference: request,
    };
    let reason = Term::tuple([id, Term::atom("return"), value]);
    conn.send(&down, Some(&reason));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_does_not_keep_the_connection_from_ending() {
    let (begun, flooding) = mpsc::channel();
    let (over, closed) = mpsc::channel();
    let flood = peer(move |wire| {
        let Some(mut stream) = wire.connect() else {
            return;
        };
        // Each is answered, which costs more than to repeat it; the answers are not read.
        let watch = Control::MonitorP {
            from: pid(9),
            to: PidOrName::Name(atom!("nobody")),
            reference: Reference::new(atom!("app@127.0.0.1"), 7, &[1, 2, 3]).expect("three words"),
        };
        let mut body = vec![131, 68, 0];
        watch.to_term().encode_bare(&mut body);
        let length = u32::try_from(body.len()).expect("a short frame");
        let frames = [&length.to_be_bytes(), &body[..]].concat().repeat(10_000);
        stream.write_all(&frames).ok();
        begun.send(()).ok();
        while stream.write_all(&frames).is_ok() {}
        over.send(()).ok();
    });
    let node = node(false).await;
    node.connect(&flood).await.expect("it connects");
    told(flooding).await;
    node.disconnect(&name("app@127.0.0.1"));
    told(closed).await;
}

#[tokio::test]
async fn a_tick_time_beyond_the_end_of_the_clock() {
    let (answered, alive) = mpsc::channel();
    let liar = peer(move |wire| {
        let Some(stream) = wire.connect() else {
            return;
        };
        let mut conn = Conn::new(stream);
        let Some((asked, from, id)) = request(&mut conn) else {
            return;
        };
        spawned(&mut conn, &asked, &from);
        returned(&mut conn, asked, from.clone(), id, Term::from(u64::MAX));
        // One question and answer after another, while the time takes effect.
        for id in 1..=3 {
            let (from, to) = (pid(9), from.clone());
            conn.send(&Control::UnlinkId { id, from, to }, None);
            while let Some(signal) = conn.next() {
                if matches!(signal.control, Control::UnlinkIdAck { .. }) {
                    break;
                }
            }
        }
        conn.send(
            &Control::UnlinkId {
                id: 4,
                from: pid(9),
                to: from,
            },
            None,
        );
        answered.send(conn.next().is_some()).ok();
        conn.next();
    });
    let node = node(true).await;
    node.connect(&liar).await.expect("it connects");
    assert!(told(alive).await, "the connection lives");
    assert_eq!(node.connected(), [name("app@127.0.0.1")]);
}

#[tokio::test]
async fn an_answer_to_somebody_else_is_none() {
    let (tell, other) = mpsc::channel::<Pid>();
    let other = std::sync::Mutex::new(other);
    let liar = peer(move |wire| {
        let other = other.lock().expect("no panic").recv();
        let (Some(stream), Ok(other)) = (wire.connect(), other) else {
            return;
        };
        let mut conn = Conn::new(stream);
        while let Some((asked, from, id)) = request(&mut conn) {
            spawned(&mut conn, &asked, &other);
            // Such a process is told that nobody waits for it.
            let refused = conn.next().map(|signal| signal.control);
            let refused = matches!(refused, Some(Control::DemonitorP { .. }));
            spawned(&mut conn, &asked, &from);
            let wrong = Term::atom("wrong");
            returned(&mut conn, asked.clone(), other.clone(), id.clone(), wrong);
            returned(&mut conn, asked, from, id, Term::from(refused));
        }
    });
    let node = node(false).await;
    let process = node.process();
    tell.send(process.pid()).expect("the peer waits");
    node.connect(&liar).await.expect("it connects");
    let app = name("app@127.0.0.1");
    let answer = node.erpc(&app, "erlang", "node", Vec::new(), PATIENT).await;
    assert_eq!(answer, Ok(Term::from(true)));
}

#[tokio::test]
async fn a_call_that_is_never_answered_leaves_nothing() {
    let (seen, late) = mpsc::channel();
    let mute = peer(move |wire| {
        let Some(stream) = wire.connect() else {
            return;
        };
        let mut conn = Conn::new(stream);
        let mut asked = Vec::new();
        for _ in 0..20 {
            asked.extend(request(&mut conn));
        }
        // A call that is over: what comes of it is given up when it comes.
        for (request, from, _) in asked.iter().take(19) {
            spawned(&mut conn, request, from);
            let next = conn.next().map(|signal| signal.control);
            seen.send(matches!(next, Some(Control::DemonitorP { reference, .. }) if reference == *request)).ok();
        }
        conn.next();
    });
    let node = node(false).await;
    node.connect(&mute).await.expect("it connects");
    let app = name("app@127.0.0.1");
    let call = |limit| node.erpc(&app, "erlang", "node", Vec::new(), limit);
    for _ in 0..19 {
        let answer = call(Duration::from_millis(2)).await;
        assert_eq!(answer, Err(RpcError::Timeout));
    }
    assert!(
        format!("{node:?}").contains("calls_and_aliases: 0"),
        "no question is remembered"
    );
    assert_eq!(
        call(Duration::from_millis(500)).await,
        Err(RpcError::Timeout)
    );
    for _ in 0..19 {
        assert!(late.recv_timeout(PATIENT).expect("the peer goes on"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_with_the_name_of_a_node_does_not_keep_us_from_it() {
    let app = peer(|wire| {
        if let Some(stream) = wire.connect() {
            Conn::new(stream).next();
        }
    });
    let node = Node::builder(name("aaa@127.0.0.1"))
        .cookie(cookie("monster"))
        .epmd(None)
        .listen([Ipv4Addr::LOCALHOST.into()], 0)
        .follow_tick_time(false)
        .connect_timeout(Duration::from_secs(10))
        .start()
        .await
        .expect("it starts");
    let port = node.port().expect("it listens");
    let mut stranger = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
    let shown = Local::new(name("app@127.0.0.1"), Flags::hidden_default(), Creation(5));
    let (send_name, _) = Start::new(shown, None).send_name();
    let frame = HandshakeFramer::new(Prefix::U16).frame(&send_name);
    stranger.write_all(&frame).expect("it is read");
    // It has been told to go on, and says nothing more.
    let mut status = [0; 5];
    std::io::Read::read_exact(&mut stranger, &mut status).expect("a status");
    assert_eq!(status, *b"\0\x03sok");
    node.connect(&app).await.expect("it connects");
}

/// One after the other calls by the name of a node, shows no cookie and stays on the line.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_who_come_again_and_again_do_not_keep_us_from_a_node() {
    let app = peer(|wire| {
        if let Some(stream) = wire.connect() {
            Conn::new(stream).next();
        }
    });
    let node = Node::builder(name("aaa@127.0.0.1"))
        .cookie(cookie("monster"))
        .epmd(None)
        .listen([Ipv4Addr::LOCALHOST.into()], 0)
        .follow_tick_time(false)
        .connect_timeout(Duration::from_secs(12))
        .start()
        .await
        .expect("it starts");
    let port = node.port().expect("it listens");
    let shown = Local::new(name("app@127.0.0.1"), Flags::hidden_default(), Creation(5));
    let (send_name, _) = Start::new(shown, None).send_name();
    let frame = HandshakeFramer::new(Prefix::U16).frame(&send_name);
    let (first, called) = mpsc::channel();
    let (connected, over) = mpsc::channel::<()>();
    let strangers = std::thread::spawn(move || {
        let mut held = Vec::new();
        loop {
            let mut stranger = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
            stranger.write_all(&frame).ok();
            held.push(stranger);
            first.send(()).ok();
            match over.recv_timeout(Duration::from_millis(100)) {
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                _ => return,
            }
        }
    });
    told(called).await;
    let connects = node.connect(&app).await;
    drop(connected);
    strangers.join().expect("no panic");
    connects.expect("it connects");
}

/// Two nodes of one name take each other's place all the time, on two threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ups_and_downs_alternate_however_connections_replace_each_other() {
    let start = async |text: &str| {
        Node::builder(name(text))
            .cookie(cookie("monster"))
            .epmd(None)
            .listen([Ipv4Addr::LOCALHOST.into()], 0)
            .follow_tick_time(false)
            .connect_timeout(PATIENT)
            .start()
            .await
            .expect("it starts")
    };
    let app = start("app@127.0.0.1").await;
    let target = Target::new(name("app@127.0.0.1")).on_port(app.port().expect("it listens"));
    let twins = [start("twin@127.0.0.1").await, start("twin@127.0.0.1").await];
    let mut events = app.monitor_nodes_of(NodeType::All);
    for _ in 0..100 {
        let [one, two] = &twins;
        // One of them may be cut off by the other half way.
        let _outcomes = tokio::join!(one.connect(&target), two.connect(&target));
        one.disconnect(&target.name);
        two.disconnect(&target.name);
    }
    drop(twins);
    let gone = async {
        while !app.connected().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENT, gone).await.expect("all connections end");
    drop(app);
    let mut up = false;
    while let Ok(Some(event)) = timeout(Duration::from_millis(200), events.next()).await {
        let is_up = matches!(event, NodeEvent::Up { .. });
        assert_ne!(is_up, up, "{event:?} twice");
        up = is_up;
    }
    assert!(!up);
}

/// Whoever breaks the protocol loses the connection, which says why; nobody else loses anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_protocol_ends_one_connection_and_says_why() {
    let frame = |body: &[u8]| {
        let length = u32::try_from(body.len()).expect("a short frame");
        [&length.to_be_bytes(), body].concat()
    };
    let no_message = {
        let mut body = vec![131, 68, 0];
        Term::tuple([Term::from(99)]).encode_bare(&mut body);
        frame(&body)
    };
    let node = node(false).await;
    let other = Node::builder(name("other@127.0.0.1"))
        .cookie(cookie("monster"))
        .epmd(None)
        .listen([Ipv4Addr::LOCALHOST.into()], 0)
        .follow_tick_time(false)
        .connect_timeout(PATIENT)
        .start()
        .await
        .expect("it starts");
    let there = Target::new(other.name().clone()).on_port(other.port().expect("it listens"));
    node.connect(&there).await.expect("it connects");
    let mut events = node.monitor_nodes_of(NodeType::All);
    for (wrong, said) in [
        (frame(b"what is this"), "unexpected frame"),
        (frame(&[131, 68, 1, 0, 5]), "atom"),
        (no_message, "99"),
        (vec![255; 8], "4294967295"),
    ] {
        let bytes = wrong.clone();
        let (told, over) = mpsc::channel();
        let breaker = peer(move |wire| {
            let Some(mut stream) = wire.connect() else {
                return;
            };
            stream.write_all(&bytes).ok();
            // It stays on the line until it is hung up on.
            let rest = std::io::copy(&mut stream, &mut std::io::sink());
            told.send(rest.is_ok()).ok();
        });
        node.connect(&breaker).await.expect("it connects");
        let mut down = None;
        while down.is_none() {
            match timeout(PATIENT, events.next()).await.expect("in time") {
                Some(NodeEvent::Down { peer, reason, .. }) => down = Some((peer, reason)),
                event => assert!(matches!(event, Some(NodeEvent::Up { .. })), "{event:?}"),
            }
        }
        let (peer, reason) = down.expect("it was waited for");
        assert_eq!(peer, name("app@127.0.0.1"));
        let DownReason::Protocol(why) = reason else {
            panic!("{wrong:?}: {reason}");
        };
        println!("{why}");
        assert!(why.contains(said), "{why}");
        let _closed_or_reset = self::told(over).await;
        assert_eq!(node.connected(), [other.name().clone()]);
    }
    let mut inbox = other.process();
    let outbox = node.process();
    let sent = outbox.send(&inbox.pid(), &Term::atom("still here")).await;
    sent.expect("connected");
    let came = timeout(PATIENT, inbox.recv()).await.expect("in time");
    assert_eq!(came, Some(Message::Term(Term::atom("still here"))));
}

/// `tick_intensity` is that of the connections: with 1,000 parts of 400 s a tick comes each 0.4 s, with 4 of them each 100.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ticks_come_as_often_as_they_are_to() {
    let (told, ticks) = mpsc::channel();
    let listener = peer(move |wire| {
        let Some(mut stream) = wire.connect() else {
            return;
        };
        for _ in 0..3 {
            let mut length = [1; 4];
            std::io::Read::read_exact(&mut stream, &mut length).ok();
            told.send(length).ok();
        }
    });
    let node = Node::builder(name("me@127.0.0.1"))
        .cookie(cookie("monster"))
        .follow_tick_time(false)
        .tick_time(Duration::from_secs(400))
        .tick_intensity(1000)
        .connect_timeout(PATIENT)
        .start()
        .await
        .expect("it starts");
    node.connect(&listener).await.expect("it connects");
    let ticks = tokio::task::spawn_blocking(move || {
        [0; 3].map(|_| ticks.recv_timeout(PATIENT).expect("a tick"))
    });
    assert_eq!(ticks.await.expect("no panic"), [[0; 4]; 3]);
}

/// A peer that links, monitors or ends in the name of another node's process breaks the protocol, as OTP has
/// it: nothing of that happens.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_speaks_for_anothers_process() {
    let (says, said) = mpsc::channel::<(Control, Option<Term>)>();
    let said = std::sync::Mutex::new(said);
    let forger = peer(move |wire| {
        let Some(stream) = wire.connect() else {
            return;
        };
        let mut conn = Conn::new(stream);
        let Ok((control, payload)) = said.lock().expect("one caller").recv() else {
            return;
        };
        conn.send(&control, payload.as_ref());
        while conn.next().is_some() {}
    });
    let node = node(false).await;
    let victim = node.process();
    victim.trap_exit(true);
    let to = victim.pid();
    let from = Pid {
        node: atom!("two@127.0.0.1"),
        ..pid(9)
    };
    let reference = Reference::new(from.node.clone(), 7, &[1, 2, 3]).expect("three words");
    let forged = || (from.clone(), to.clone());
    let (reason, token) = (atom!("forged"), None::<Term>);
    let (from, to) = forged();
    let link = Control::Link { from, to };
    let (from, to) = forged();
    let unlink = Control::UnlinkId { id: 1, from, to };
    let (from, to) = forged();
    let acknowledged = Control::UnlinkIdAck { id: 1, from, to };
    let (from, to) = forged();
    let exit = Control::PayloadExit { from, to, token };
    let (from, to) = forged();
    let exit2 = Control::PayloadExit2 {
        from,
        to,
        token: None,
    };
    let (from, to) = forged();
    let old_exit2 = Control::Exit2 {
        from,
        to,
        reason: reason.clone().into(),
        token: None,
    };
    let (from, to) = forged();
    let monitor = Control::MonitorP {
        from,
        to: to.into(),
        reference: reference.clone(),
    };
    let (from, to) = forged();
    let demonitor = Control::DemonitorP {
        from,
        to: to.into(),
        reference,
    };
    for control in [
        link,
        unlink,
        acknowledged,
        exit,
        exit2,
        old_exit2,
        monitor,
        demonitor,
    ] {
        node.connect(&forger).await.expect("it connects");
        let mut events = node.monitor_nodes_of(NodeType::All);
        let what = format!("{control:?}");
        let payload = control.has_payload().then(|| reason.clone().into());
        says.send((control, payload)).expect("it listens");
        let ended = timeout(PATIENT, events.next()).await.expect(&what);
        assert!(
            matches!(
                ended,
                Some(NodeEvent::Down {
                    reason: DownReason::Protocol(_),
                    ..
                })
            ),
            "{what}: {ended:?}"
        );
        assert_eq!(victim.waiting(), 0, "{what}");
    }
}
