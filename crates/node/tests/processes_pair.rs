//! Processes of two nodes over loopback.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use tokio::time::timeout;
use trunkline_etf::{Pid, Term, atom, term};
use trunkline_node::epmd::server::Server;
use trunkline_node::{
    AliasMode, CallError, MaxMailbox, Message, Node, Process, SendError, WhenFull,
};
use trunkline_proto::{Cookie, NodeName};

const SOON: Duration = Duration::from_secs(20);

struct Pair {
    one: Node,
    two: Node,
    _epmd: Server,
}

/// Two nodes that do not know each other yet: whoever sends first connects them.
async fn pair() -> Pair {
    let any = "127.0.0.1:0".parse().expect("an address");
    let epmd = Server::bind(&[any]).expect("a free port");
    let node = async |name: &str| {
        Node::builder(name.parse().expect("a node name"))
            .cookie(Cookie::new("monster").expect("a cookie"))
            .epmd_port(epmd.port())
            .listen([Ipv4Addr::LOCALHOST.into()], 0)
            .connect_timeout(SOON)
            .start()
            .await
            .expect("it starts")
    };
    Pair {
        one: node("one@127.0.0.1").await,
        two: node("two@127.0.0.1").await,
        _epmd: epmd,
    }
}

async fn next(process: &mut Process) -> Message {
    let message = timeout(SOON, process.recv()).await;
    message.expect("a message").expect("the process lives")
}

fn trapping(node: &Node) -> Process {
    let process = node.process();
    process.trap_exit(true);
    process
}

/// A process that waits for the reason that it ends for.
fn waiter(node: &Node) -> Pid {
    node.spawn(async |mut process: Process| match process.recv().await {
        Some(Message::Term(reason)) => reason,
        _ => term!(strange),
    })
}

fn nobody() -> NodeName {
    "nobody@127.0.0.1".parse().expect("a node name")
}

#[tokio::test]
async fn whoever_sends_first_connects() {
    let pair = pair().await;
    let mut b = pair.two.process();
    b.register(&atom!("b"));
    let a = pair.one.process();
    a.send((atom!("b"), pair.two.name()), term!(first))
        .await
        .expect("it connects");
    a.send(&b.pid(), term!(second))
        .await
        .expect("it is connected");
    assert_eq!(next(&mut b).await, Message::Term(term!(first)));
    assert_eq!(next(&mut b).await, Message::Term(term!(second)));
    let lost = a.send((atom!("b"), &nobody()), term!(third)).await;
    assert_eq!(lost, Err(SendError::NotConnected));
}

#[tokio::test]
async fn what_waits_for_the_connection_keeps_its_order() {
    let pair = pair().await;
    let mut a = trapping(&pair.one);
    let b = waiter(&pair.two);
    // Both leave before there is a connection, and the message behind them.
    let monitor = a.monitor(&b);
    a.link(&b);
    a.send(&b, term!(done)).await.expect("it connects");
    let mut came = [next(&mut a).await, next(&mut a).await];
    came.sort_by_key(|message| matches!(message, Message::Down { .. }));
    let reason = term!(done);
    assert_eq!(
        came,
        [
            Message::Exit {
                from: b.clone(),
                reason: reason.clone()
            },
            Message::Down {
                reference: monitor,
                node: b.node.clone(),
                from: b.into(),
                reason
            },
        ]
    );
}

#[tokio::test]
async fn a_node_that_cannot_be_reached_is_a_connection_that_is_lost() {
    let pair = pair().await;
    let mut a = trapping(&pair.one);
    let pid = Pid {
        node: atom!("nobody@127.0.0.1"),
        id: 70,
        serial: 0,
        creation: 9,
    };
    a.link(&pid);
    assert_eq!(
        next(&mut a).await,
        Message::Exit {
            from: pid.clone(),
            reason: term!(noconnection)
        }
    );
    let reference = a.monitor((atom!("x"), &nobody()));
    assert_eq!(
        next(&mut a).await,
        Message::Down {
            reference,
            node: atom!("nobody@127.0.0.1"),
            from: atom!("x").into(),
            reason: term!(noconnection)
        }
    );
    a.monitor_node(&nobody());
    assert_eq!(
        next(&mut a).await,
        Message::NodeDown {
            node: atom!("nobody@127.0.0.1")
        }
    );
    let called = a.call((atom!("x"), &nobody()), term!(hello), SOON).await;
    assert_eq!(called, Err(CallError::NodeDown));
}

#[tokio::test]
async fn nodes_are_monitored_once_for_each_call() {
    let pair = pair().await;
    let mut a = pair.one.process();
    for _ in 0..3 {
        a.monitor_node(pair.two.name());
    }
    a.demonitor_node(pair.two.name());
    // The connection is there, now that this has come through.
    let mut b = pair.two.process();
    a.send(&b.pid(), term!(hello)).await.expect("it connects");
    next(&mut b).await;
    pair.two.disconnect(pair.one.name());
    for _ in 0..2 {
        assert_eq!(
            next(&mut a).await,
            Message::NodeDown {
                node: atom!("two@127.0.0.1")
            }
        );
    }
    a.send(&a.pid(), term!(last)).await.expect("always");
    assert_eq!(next(&mut a).await, Message::Term(term!(last)));
}

#[tokio::test]
async fn exit_signals_cross() {
    let pair = pair().await;
    let mut a = trapping(&pair.one);
    for (reason, ends) in [(term!(oops), term!(oops)), (term!(kill), term!(killed))] {
        let b = waiter(&pair.two);
        a.link(&b);
        a.exit(&b, reason).expect("it connects");
        assert_eq!(
            next(&mut a).await,
            Message::Exit {
                from: b,
                reason: ends
            }
        );
    }
    // `normal` ends nobody.
    let b = waiter(&pair.two);
    let monitor = a.monitor(&b);
    a.exit(&b, term!(normal)).expect("connected");
    a.send(&b, term!(later)).await.expect("connected");
    assert!(
        matches!(next(&mut a).await, Message::Down { reference, reason, .. }
        if reference == monitor && reason == term!(later))
    );
}

#[tokio::test]
async fn calls_and_how_they_fail() {
    let pair = pair().await;
    let server = pair.two.spawn(async |mut process: Process| {
        process.register(&atom!("server"));
        while let Some(Message::Term(message)) = process.recv().await {
            let Some([_, from, request]) = message.as_tuple() else {
                continue;
            };
            match request
                .as_atom()
                .map(|atom| atom.as_str().to_owned())
                .as_deref()
            {
                Some("crash") => panic!("asked to"),
                Some("mute") => {}
                _ => process
                    .reply(from, term!({you_said, (request)}))
                    .await
                    .expect("connected"),
            }
        }
    });
    let name = (atom!("server"), pair.two.name());
    let answer = pair.one.call(&server, term!({hello, "you"}), SOON).await;
    assert_eq!(answer, Ok(term!({you_said, {hello, "you"}})));
    assert_eq!(
        pair.one.call(name.clone(), term!(1), SOON).await,
        Ok(term!({you_said, 1}))
    );
    let mute = pair
        .one
        .call(name.clone(), term!(mute), Duration::from_millis(5))
        .await;
    assert_eq!(mute, Err(CallError::Timeout));
    let mut process = pair.one.process();
    assert_eq!(
        process.call(name.clone(), term!(2), SOON).await,
        Ok(term!({you_said, 2}))
    );
    let none = pair
        .one
        .call((atom!("none"), pair.two.name()), term!(3), SOON)
        .await;
    assert_eq!(none, Err(CallError::NoProcess));
    let crashed = process.call(name, term!(crash), SOON).await;
    assert!(
        matches!(&crashed, Err(CallError::Exit(why)) if why.to_string().starts_with("{panic,")),
        "{crashed:?}"
    );
    // Nothing of all that is in the mailbox, and nothing is left.
    process
        .send(&process.pid(), term!(last))
        .await
        .expect("always");
    assert_eq!(next(&mut process).await, Message::Term(term!(last)));
    no_call_is_left(&pair.one).await;
}

/// The node's own question, for the other's tick time, may be on its way just now.
async fn no_call_is_left(node: &Node) {
    let begun = Instant::now();
    while !format!("{node:?}").contains("calls_and_aliases: 0") {
        assert!(begun.elapsed() < SOON, "{node:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn an_abandoned_alias_takes_nothing() {
    let pair = pair().await;
    let mut a = pair.one.process();
    let b = pair.two.process();
    let alias = a.alias(AliasMode::Explicit);
    b.send(&alias, term!(in_time)).await.expect("it connects");
    assert_eq!(next(&mut a).await, Message::Term(term!(in_time)));
    a.unalias(&alias);
    b.send(&alias, term!(late)).await.expect("connected");
    b.send(&a.pid(), term!(last)).await.expect("connected");
    assert_eq!(next(&mut a).await, Message::Term(term!(last)));
}

/// A limit holds for what comes from other nodes, a whole read at once: the first ten are those that stay.
#[tokio::test]
async fn a_mailbox_that_others_fill_kills_or_drops() {
    let limit = |messages, bytes, when_full| MaxMailbox {
        messages,
        bytes,
        when_full,
    };
    let pair = pair().await;
    let mut me = pair.one.process();
    // By number and by bytes: a place in the mailbox counts for some, too.
    for (messages, bytes, len) in [(10, 1 << 20, 4), (10, 1 << 20, 5000), (1000, 51_000, 5000)] {
        let mut full = pair.two.process();
        full.max_mailbox(Some(limit(messages, bytes, WhenFull::DropNew)));
        for n in 0..25 {
            let message = term!({(n), (Term::binary(vec![1; len]))});
            me.send(&full.pid(), message).await.expect("it connects");
        }
        let all = async {
            while full.dropped() + (full.waiting() as u64) < 25 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(SOON, all).await.expect("all of them come");
        let kept = full.waiting();
        assert!((9..=10).contains(&kept), "{kept} of {len} bytes");
        for n in 0..kept {
            let Message::Term(message) = next(&mut full).await else {
                panic!("there is nothing else");
            };
            assert_eq!(message.as_tuple().expect("a tuple")[0], term!((n)));
        }
    }
    let full = pair.two.process();
    full.max_mailbox(Some(limit(10, 1 << 20, WhenFull::Kill)));
    let monitor = me.monitor(&full.pid());
    for n in 0..25 {
        me.send(&full.pid(), term!((n))).await.expect("connected");
    }
    match next(&mut me).await {
        Message::Down {
            reference, reason, ..
        } => {
            assert_eq!(reference, monitor);
            let parts = reason.as_tuple().map(|parts| parts[0].clone());
            assert_eq!(parts, Some(term!(max_mailbox)));
        }
        message => panic!("{message:?}"),
    }
    assert_eq!(pair.one.connected().len(), 1, "the connection lives");
}

/// What one process sends to another.
#[derive(Clone, Debug)]
enum Step {
    ByPid(usize),
    ByName(usize),
    ByAlias(usize),
    Monitor,
    Exit,
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![4 => 0..200_usize, 1 => 3_000..6_000_usize, 1 => 250_000..700_000_usize];
    (0..9_u8, size).prop_map(|(kind, size)| match kind {
        0..=3 => Step::ByPid(size),
        4 | 5 => Step::ByName(size),
        6 => Step::ByAlias(size),
        7 => Step::Monitor,
        _ => Step::Exit,
    })
}

/// Whatever the way and the size, one process receives from another in the order of sending.
async fn in_order(senders: Vec<Vec<Step>>) {
    let pair = pair().await;
    let mut to = trapping(&pair.two);
    to.register(&atom!("to"));
    let alias = to.alias(AliasMode::Explicit);
    let mut expected = Vec::new();
    for (id, steps) in senders.iter().enumerate() {
        let counted = steps
            .iter()
            .filter(|step| !matches!(step, Step::Monitor))
            .count();
        expected.push(counted);
        let (steps, pid, alias) = (steps.clone(), to.pid(), alias.clone());
        let two = pair.two.name().clone();
        pair.one.spawn(async move |mut process: Process| {
            let mut n = 0;
            for step in steps {
                let word = |size: usize| term!({(id), (n), (Term::binary(vec![1; size]))});
                match step {
                    Step::ByPid(size) => process.send(&pid, word(size)).await.expect("connected"),
                    Step::ByName(size) => {
                        process
                            .send((atom!("to"), &two), word(size))
                            .await
                            .expect("connected");
                    }
                    Step::ByAlias(size) => {
                        process.send(&alias, word(size)).await.expect("connected")
                    }
                    Step::Exit => process
                        .exit(&pid, term!({(id), (n), exit}))
                        .expect("connected"),
                    Step::Monitor => {
                        let monitor = process.monitor(&pid);
                        process.demonitor(&monitor);
                        continue;
                    }
                }
                n += 1;
            }
        });
    }
    let mut seen = vec![0; senders.len()];
    for _ in 0..expected.iter().sum::<usize>() {
        let term = match next(&mut to).await {
            Message::Term(term) | Message::Exit { reason: term, .. } => term,
            other => panic!("{other:?}"),
        };
        let parts = term.as_tuple().expect("a tuple");
        let id = usize::try_from(parts[0].as_u64().expect("a number")).expect("small");
        assert_eq!(parts[1].as_u64(), Some(seen[id]), "of sender {id}");
        seen[id] += 1;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn between_two_processes_the_order_holds(
        senders in prop::collection::vec(prop::collection::vec(step(), 1..40), 1..5),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime").block_on(in_order(senders));
    }
}

/// The alias goes with its monitor, whatever ends that.
#[tokio::test]
async fn an_alias_of_a_monitor_that_the_node_ends_is_none_any_more() {
    let pair = pair().await;
    let mut a = pair.one.process();
    a.monitor_with_alias((atom!("x"), &nobody()), AliasMode::Demonitor);
    assert!(matches!(next(&mut a).await, Message::Down { .. }));
    let b = waiter(&pair.two);
    a.monitor_with_alias(&b, AliasMode::ReplyDemonitor);
    // The monitor is there when this has come through.
    let called = a
        .call((atom!("x"), pair.two.name()), term!(hello), SOON)
        .await;
    assert_eq!(called, Err(CallError::NoProcess));
    pair.one.disconnect(pair.two.name());
    assert!(matches!(next(&mut a).await, Message::Down { .. }));
    no_call_is_left(&pair.one).await;
}
