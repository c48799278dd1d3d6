//! Rules of processes that are easily missed; each was tried on OTP 25.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::timeout;
use trunkline_etf::{atom, term};
use trunkline_node::{AliasMode, Message, Node, Process, SendError, Target};
use trunkline_proto::Cookie;

const SOON: Duration = Duration::from_secs(20);

/// Longer than a busy machine takes to connect.
const PATIENT: Duration = Duration::from_secs(60);

async fn node() -> Node {
    Node::builder("one@127.0.0.1".parse().expect("a node name"))
        .cookie(Cookie::new("monster").expect("a cookie"))
        .connect_timeout(PATIENT)
        .start()
        .await
        .expect("it starts")
}

async fn next(process: &mut Process) -> Message {
    let message = timeout(SOON, process.recv()).await;
    message.expect("a message").expect("the process lives")
}

/// `unalias` and `demonitor` of what is not one's own change nothing.
#[tokio::test]
async fn nobody_takes_anothers_alias_away() {
    let node = node().await;
    let (mut me, mut other) = (node.process(), node.process());
    let plain = me.alias(AliasMode::Explicit);
    let of_monitor = me.monitor_with_alias(&other.pid(), AliasMode::Demonitor);
    for alias in [&plain, &of_monitor] {
        assert!(!other.unalias(alias));
        assert!(!other.demonitor(alias));
        other.send(alias, term!(hello)).await.expect("always");
        assert_eq!(next(&mut me).await, Message::Term(term!(hello)));
    }
    // Nor the answer to a call.
    let server = other.pid();
    let replies = async {
        let call = next(&mut other).await.into_term();
        let from = call.as_tuple().and_then(|parts| parts.get(1)).cloned();
        let from = from.expect("a caller");
        let tag = from.as_tuple().and_then(|parts| parts.get(1)).cloned();
        let trunkline_etf::View::Improper(_, reference) = tag.as_ref().expect("a tag").view()
        else {
            panic!("{tag:?}");
        };
        let reference = reference.as_reference().expect("an alias");
        assert!(!other.unalias(reference));
        assert!(!other.demonitor(reference));
        other.reply(&from, term!(yes)).await.expect("always");
    };
    let (answer, ()) = tokio::join!(me.call(&server, term!(hello), SOON), replies);
    assert_eq!(answer, Ok(term!(yes)));
    // Its owner does.
    assert!(me.unalias(&plain));
    assert!(me.demonitor(&of_monitor));
    for alias in [&plain, &of_monitor] {
        other.send(alias, term!(gone)).await.expect("always");
    }
    other.send(&me.pid(), term!(last)).await.expect("always");
    assert_eq!(next(&mut me).await, Message::Term(term!(last)));
}

/// After `exit(Pid, kill)` a process is not alive, whatever its future does: it has a thread for itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_to_end_is_not_alive() {
    let node = node().await;
    let me = node.process();
    let (over, begun) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let busy = me.spawn({
        let (over, begun) = (Arc::clone(&over), Arc::clone(&begun));
        async move |_| {
            begun.store(true, Ordering::Relaxed);
            while !over.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    });
    while !begun.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(node.is_alive(&busy));
    me.exit(&busy, atom!("kill")).expect("always");
    let alive = node.is_alive(&busy);
    over.store(true, Ordering::Relaxed);
    assert!(!alive);
}

/// `receive after 0` finds what is there, however much was received before in one go.
#[tokio::test]
async fn what_is_there_is_found_without_waiting() {
    let node = node().await;
    let mut me = node.process();
    let (pid, many) = (me.pid(), 20_000);
    for wave in 0..3 {
        for n in 0..many {
            me.send(&pid, term!((n))).await.expect("always");
        }
        let first = me.recv_timeout(Duration::ZERO).await;
        assert_eq!(first, Ok(Message::Term(term!(0))), "{wave}");
        // It comes behind what was taken out of the mailbox together.
        me.send(&pid, term!(last)).await.expect("always");
        let last = |message: &Message| *message == Message::Term(term!(last));
        if wave == 2 {
            let found = me.recv_matching_timeout(Duration::ZERO, last).await;
            assert!(found.is_ok_and(|message| last(&message)));
        }
        let mut count = 1;
        while me.recv_timeout(Duration::ZERO).await.is_ok() {
            count += 1;
        }
        assert_eq!(count, if wave == 2 { many } else { many + 1 }, "{wave}");
    }
}

/// An alias that goes with its monitor leaves nothing behind when that fires.
#[tokio::test]
async fn an_alias_of_a_monitor_that_fired_is_forgotten() {
    let node = node().await;
    let (mut me, other) = (node.process(), node.process());
    for mode in [AliasMode::Demonitor, AliasMode::ReplyDemonitor] {
        me.monitor_with_alias((atom!("nobody"), node.name()), mode);
        me.monitor_with_alias(&other.pid(), mode);
        assert!(matches!(next(&mut me).await, Message::Down { .. }));
    }
    assert!(format!("{node:?}").contains("calls_and_aliases: 2"));
    drop(other);
    for _ in 0..2 {
        assert!(matches!(next(&mut me).await, Message::Down { .. }));
    }
    assert!(format!("{node:?}").contains("calls_and_aliases: 0"));
}

/// The node itself sends to everything that a process can send to.
#[tokio::test]
async fn a_node_sends_without_a_process() {
    let start = async |name: &str| {
        let node = Node::builder(name.parse().expect("a node name"));
        let node = node.cookie(Cookie::new("monster").expect("a cookie"));
        let node = node.listen([std::net::Ipv4Addr::LOCALHOST.into()], 0);
        let node = node.epmd(None).connect_timeout(PATIENT);
        node.start().await.expect("it starts")
    };
    let (one, two) = (start("one@127.0.0.1").await, start("two@127.0.0.1").await);
    let there = Target::new(two.name().clone()).on_port(two.port().expect("it listens"));
    one.connect(&there).await.expect("it connects");
    for (to, here) in [(&two, false), (&one, true)] {
        let mut process = to.process();
        process.register(&atom!("it"));
        let (pid, alias) = (process.pid(), process.alias(AliasMode::Explicit));
        let mut expected = Vec::new();
        for n in 0..100 {
            one.send(&pid, term!({pid, (n)})).await.expect("sent");
            one.send((atom!("it"), to.name()), term!({name, (n)}))
                .await
                .expect("sent");
            one.send(&alias, term!({alias, (n)})).await.expect("sent");
            expected.extend([term!({pid, (n)}), term!({name, (n)}), term!({alias, (n)})]);
        }
        for expected in expected {
            assert_eq!(next(&mut process).await, Message::Term(expected));
        }
        let by_name = one.send(atom!("it"), term!(hello)).await;
        let nobody = Err(SendError::NotRegistered);
        assert_eq!(by_name, if here { Ok(()) } else { nobody });
    }
}

/// What a future returns becomes a reason by code of the process.
#[tokio::test]
async fn a_reason_that_panics_is_a_panic_of_its_process() {
    struct Bad;

    impl std::fmt::Display for Bad {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("somebody's Display")
        }
    }

    let node = node().await;
    let mut me = node.process();
    me.spawn_monitor(async |_| Err::<(), _>(Bad));
    let Message::Down { reason, .. } = next(&mut me).await else {
        panic!("it has ended");
    };
    let [what, text, place] = reason.as_tuple().expect("a panic") else {
        panic!("{reason}");
    };
    assert!(
        what.is_atom("panic") && *text == "somebody's Display".into(),
        "{reason}"
    );
    let place = String::from_utf8_lossy(place.as_binary().expect("a place"));
    assert!(place.contains("process_edges.rs:"), "{place}");
}
