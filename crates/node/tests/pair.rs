//! Two nodes of ours: processes, links and monitors without an OTP node.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::time::timeout;
use trunkline_etf::{Term, atom};
use trunkline_node::epmd::server::Server;
use trunkline_node::{CallError, Message, Node, Process, RpcError, SendError, Target};
use trunkline_proto::{Cookie, NodeName};

const SOON: Duration = Duration::from_secs(60);

struct Pair {
    one: Node,
    two: Node,
    _epmd: Server,
}

async fn pair() -> Pair {
    let any = "127.0.0.1:0".parse().expect("an address");
    let epmd = Server::bind(&[any]).expect("a free port");
    let node = async |name: &str| {
        Node::builder(name.parse().expect("a node name"))
            .cookie(Cookie::new("monster").expect("a cookie"))
            .epmd_port(epmd.port())
            .listen([Ipv4Addr::LOCALHOST.into()], 0)
            .auto_connect(false)
            .connect_timeout(SOON)
            .start()
            .await
            .expect("it starts")
    };
    let (one, two) = (node("one@127.0.0.1").await, node("two@127.0.0.1").await);
    let target = Target::new(two.name().clone());
    one.connect(&target).await.expect("it connects");
    // The other side has the connection a moment later.
    let there = async {
        while two.connected().is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(SOON, there)
        .await
        .expect("it is there on both sides");
    Pair {
        one,
        two,
        _epmd: epmd,
    }
}

fn trapping(node: &Node) -> Process {
    let process = node.process();
    process.trap_exit(true);
    process
}

async fn next(process: &mut Process) -> Message {
    let message = timeout(SOON, process.recv()).await;
    message.expect("a message").expect("the node lives")
}

#[tokio::test]
async fn messages_and_names() {
    let pair = pair().await;
    let a = trapping(&pair.one);
    let mut b = trapping(&pair.two);
    assert!(b.register(&atom!("b")));
    assert!(!b.register(&atom!("again")), "a process has one name");
    assert!(
        !trapping(&pair.two).register(&atom!("b")),
        "a name has one process"
    );
    a.send(&b.pid(), &Term::atom("by_pid"))
        .await
        .expect("connected");
    let two = pair.two.name();
    a.send((&atom!("b"), two), &Term::atom("by_name"))
        .await
        .expect("connected");
    // Order holds.
    assert_eq!(next(&mut b).await, Message::Term(Term::atom("by_pid")));
    assert_eq!(next(&mut b).await, Message::Term(Term::atom("by_name")));
    // To oneself, and to nobody.
    let mut own = trapping(&pair.one);
    own.send(&own.pid(), &Term::atom("own"))
        .await
        .expect("always");
    assert_eq!(next(&mut own).await, Message::Term(Term::atom("own")));
    let nobody: NodeName = "nobody@127.0.0.1".parse().expect("a node name");
    let lost = a.send((&atom!("b"), &nobody), &Term::nil()).await;
    assert_eq!(lost, Err(SendError::NotConnected));
}

#[tokio::test]
async fn links_end_together() {
    let pair = pair().await;
    let mut a = trapping(&pair.one);
    let mut b = trapping(&pair.two);
    a.link(&b.pid());
    a.send(&b.pid(), &Term::atom("linked"))
        .await
        .expect("connected");
    next(&mut b).await;
    let from = a.pid();
    a.end(Term::atom("enough"));
    let reason = Term::atom("enough");
    assert_eq!(next(&mut b).await, Message::Exit { from, reason });

    // Unlinked in time, nothing comes.
    a = trapping(&pair.one);
    b.link(&a.pid());
    b.unlink(&a.pid());
    let monitor = b.monitor(&a.pid());
    b.send(&a.pid(), &Term::atom("monitored"))
        .await
        .expect("connected");
    assert_eq!(next(&mut a).await, Message::Term(Term::atom("monitored")));
    drop(a);
    match next(&mut b).await {
        Message::Down {
            reference, reason, ..
        } => {
            assert_eq!(reference, monitor);
            assert!(reason.is_atom("shutdown"));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_lost_connection_is_everybodys_end() {
    let pair = pair().await;
    let mut a = trapping(&pair.one);
    let b = trapping(&pair.two);
    a.link(&b.pid());
    a.monitor(&b.pid());
    pair.two.disconnect(pair.one.name());
    for _ in 0..2 {
        let (Message::Exit { reason, .. } | Message::Down { reason, .. }) = next(&mut a).await
        else {
            panic!("no end");
        };
        assert!(reason.is_atom("noconnection"));
    }
    // From now on it is so at once.
    a.link(&b.pid());
    assert!(
        matches!(next(&mut a).await, Message::Exit { reason, .. } if reason.is_atom("noconnection"))
    );
    a.monitor(&b.pid());
    assert!(
        matches!(next(&mut a).await, Message::Down { reason, .. } if reason.is_atom("noconnection"))
    );
}

#[tokio::test]
async fn nothing_is_started_for_others() {
    let pair = pair().await;
    let two = pair.two.name();
    let called = pair.one.erpc(two, "erlang", "node", vec![], SOON).await;
    assert_eq!(called, Err(RpcError::NotSupported));
}

/// Far more than the sockets hold: the sender waits, and both directions go on side by side.
#[tokio::test(flavor = "multi_thread")]
async fn large_messages_in_both_directions_at_once() {
    let pair = pair().await;
    let mut a = trapping(&pair.one);
    let mut b = trapping(&pair.two);
    let large = Term::binary(vec![7; 1 << 20]);
    for _ in 0..32 {
        let there = b.pid();
        let back = a.pid();
        let (sent, returned) = tokio::join!(a.send(&there, &large), b.send(&back, &large));
        sent.expect("connected");
        returned.expect("connected");
    }
    for _ in 0..32 {
        assert_eq!(next(&mut a).await, Message::Term(large.clone()));
        assert_eq!(next(&mut b).await, Message::Term(large.clone()));
    }
}

/// What is longer than a peer may make us hold is lost alone: what ends by it still ends, who waits for
/// it hears so, and the connection lives.
#[tokio::test]
async fn a_message_that_is_too_long_is_lost_alone() {
    let pair = pair().await;
    let too_long = || Term::binary(vec![0; 129 << 20]);
    let a = trapping(&pair.one);
    let mut b = trapping(&pair.two);
    a.send(&b.pid(), too_long()).await.expect("connected");
    a.send(&b.pid(), Term::atom("after"))
        .await
        .expect("connected");
    assert_eq!(next(&mut b).await, Message::Term(Term::atom("after")));

    b.link(&a.pid());
    b.send(&a.pid(), Term::atom("linked"))
        .await
        .expect("connected");
    let mut a = a;
    assert_eq!(next(&mut a).await, Message::Term(Term::atom("linked")));
    let from = a.pid();
    a.end(too_long());
    let reason = Term::atom("system_limit");
    assert_eq!(next(&mut b).await, Message::Exit { from, reason });

    let server = pair.one.spawn(async move |mut server| {
        while let Some(Message::Term(call)) = server.recv().await {
            let from = call.as_tuple().and_then(|parts| parts.get(1));
            server.reply(from.expect("a call"), too_long()).await.ok();
        }
    });
    let answer = pair.two.call(&server, Term::atom("all"), SOON).await;
    assert_eq!(answer, Err(CallError::Exit(Term::atom("system_limit"))));
    assert_eq!(pair.two.connected(), [pair.one.name().clone()]);
}
