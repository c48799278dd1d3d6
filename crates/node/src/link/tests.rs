use std::net::Ipv4Addr;
use std::task::{Context, Wake, Waker};

use trunkline_etf::{Reference, atom, term};
use trunkline_proto::{Cookie, Creation, Flags};

use super::*;
use crate::process::state::Watcher;
use crate::{MaxMailbox, Message, Node, NodeEvent, NodeType, Target, WhenFull};

async fn node(name: &str) -> Node {
    let node = Node::builder(name.parse().unwrap()).epmd(None);
    let node = node.cookie(Cookie::new("monster").unwrap());
    let node = node.listen([Ipv4Addr::LOCALHOST.into()], 0);
    node.follow_tick_time(false).start().await.unwrap()
}

struct Bomb;

impl Wake for Bomb {
    fn wake(self: Arc<Self>) {
        panic!("a waker of somebody's own runtime");
    }
}

/// What a delivery calls is not all ours.
#[tokio::test]
async fn a_reader_that_panics_ends_its_connection() {
    let (one, two) = (node("one@127.0.0.1").await, node("two@127.0.0.1").await);
    let there = Target::new(two.name().clone()).on_port(two.port().unwrap());
    one.connect(&there).await.unwrap();
    let mut events = two.monitor_nodes_of(NodeType::All);
    let (sender, mut watcher) = (one.process(), two.process());
    let monitor = watcher.monitor(&sender.pid());
    let mut victim = two.process();
    let (to, bystander) = (victim.pid(), two.process());
    let waker = Waker::from(Arc::new(Bomb));
    let mut received = pin!(victim.recv());
    let polled = received.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    sender.send(&bystander.pid(), Term::nil()).await.unwrap();
    sender.send(&to, Term::nil()).await.unwrap();
    let soon = Duration::from_secs(60);
    let lost = timeout(soon, watcher.recv()).await.expect("it is told");
    assert!(
        matches!(lost, Some(Message::Down { ref reference, ref reason, .. })
            if *reference == monitor && reason.is_atom("noconnection")),
        "{lost:?}"
    );
    assert!(two.connected().is_empty());
    let down = timeout(soon, events.next()).await.expect("it is said");
    assert!(
        matches!(down, Some(NodeEvent::Down { ref reason, .. }) if *reason == DownReason::Panicked),
        "{down:?}"
    );
    // Nothing is locked for ever: it connects again.
    one.connect(&there).await.unwrap();
}

/// Whoever is told of the end may panic, too: nothing of the connection stays.
#[tokio::test]
async fn an_end_that_panics_ends_the_connection() {
    let (one, two) = (node("one@127.0.0.1").await, node("two@127.0.0.1").await);
    let there = Target::new(two.name().clone()).on_port(two.port().unwrap());
    one.connect(&there).await.unwrap();
    let (sender, mut watcher) = (one.process(), two.process());
    watcher.monitor(&sender.pid());
    let waker = Waker::from(Arc::new(Bomb));
    let mut received = pin!(watcher.recv());
    let polled = received.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    // The reader of the other node ends for it.
    let link = two.shared.link(one.name().as_str()).unwrap();
    link.stop.cancel();
    let begun = Instant::now();
    while !one.connected().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it stays");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Panics at the event of this module that so many went before.
struct Log(&'static str, AtomicU64);

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let Self(module, left) = self;
        let is_meant = event.metadata().target().ends_with(module);
        if is_meant && left.fetch_sub(1, Ordering::Relaxed) == 0 {
            panic!("somebody's own log");
        }
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

/// Who got something before is woken all the same.
#[tokio::test]
async fn a_reader_that_panics_leaves_nobody_asleep() {
    let (one, two) = (node("one@127.0.0.1").await, node("two@127.0.0.1").await);
    let there = Target::new(two.name().clone()).on_port(two.port().unwrap());
    one.connect(&there).await.unwrap();
    let (sender, mut receiver) = (one.process(), two.process());
    receiver.trap_exit(true);
    let pid = receiver.pid();
    let received = tokio::spawn(async move { (receiver.recv().await, receiver) });
    tokio::task::yield_now().await;
    let third = Log("::dispatch::batch", AtomicU64::new(2));
    let _log = tracing::subscriber::set_default(third);
    // In one read: nothing waits in between.
    sender.send(&pid, term!(first)).await.unwrap();
    sender.link(&pid);
    sender.send(&pid, term!(second)).await.unwrap();
    let soon = Duration::from_secs(60);
    let received = timeout(soon, received).await.expect("it is woken");
    let (first, mut receiver) = received.unwrap();
    assert_eq!(first, Some(Message::Term(term!(first))));
    let next = timeout(soon, receiver.recv()).await.expect("it is told");
    assert!(matches!(next, Some(Message::Exit { .. })), "{next:?}");
    assert!(two.connected().is_empty());
}

/// The same where the last delivery of a read panics, which is that of its messages.
#[tokio::test]
async fn a_last_delivery_that_panics_leaves_nobody_asleep() {
    let (one, two) = (node("one@127.0.0.1").await, node("two@127.0.0.1").await);
    let there = Target::new(two.name().clone()).on_port(two.port().unwrap());
    one.connect(&there).await.unwrap();
    let (sender, mut receiver, full) = (one.process(), two.process(), two.process());
    full.max_mailbox(Some(MaxMailbox {
        messages: 0,
        bytes: 0,
        when_full: WhenFull::Kill,
    }));
    // That it has ended is to be told to a node that is not there: that is said in the log.
    let watcher = Watcher {
        pid: Pid {
            node: atom!("three@127.0.0.1"),
            ..full.pid()
        },
        named: full.pid().into(),
    };
    let reference = Reference::new(atom!("three@127.0.0.1"), 1, &[1, 2, 3]).unwrap();
    let inner = two.shared.processes.find(&full.pid()).unwrap();
    inner.watched(reference, watcher).unwrap();
    let pid = receiver.pid();
    let received = tokio::spawn(async move { receiver.recv().await });
    tokio::task::yield_now().await;
    let first = Log("::dispatch", AtomicU64::new(0));
    let _log = tracing::subscriber::set_default(first);
    // In one read: nothing waits in between.
    sender.send(&pid, term!(first)).await.unwrap();
    sender.send(&full.pid(), term!(second)).await.unwrap();
    let soon = Duration::from_secs(60);
    let received = timeout(soon, received).await.expect("it is woken");
    assert_eq!(received.unwrap(), Some(Message::Term(term!(first))));
    let begun = Instant::now();
    while !two.connected().is_empty() {
        assert!(begun.elapsed() < soon, "it stays");
        tokio::task::yield_now().await;
    }
}

/// A call waits for what comes by the connection to its node, for as long as it does, and for nothing else.
#[tokio::test]
async fn who_is_awaited() {
    let (one, two) = (node("one@127.0.0.1").await, node("two@127.0.0.1").await);
    let there = Target::new(two.name().clone()).on_port(two.port().unwrap());
    one.connect(&there).await.unwrap();
    let link = one.shared.link(two.name().as_str()).unwrap();
    let back = two.shared.link(one.name().as_str()).unwrap();
    assert!(!link.is_awaited(&one.shared));
    let silent = two.process();
    let call = |node: &Node| {
        let (node, to) = (node.clone(), silent.pid());
        let soon = Duration::from_secs(600);
        tokio::spawn(async move { node.call(&to, term!(question), soon).await })
    };
    let until = async |awaited: bool| {
        let begun = Instant::now();
        while link.is_awaited(&one.shared) != awaited {
            assert!(begun.elapsed() < Duration::from_secs(60), "{awaited}");
            tokio::task::yield_now().await;
        }
    };
    let calls = [call(&one), call(&one)];
    until(true).await;
    while silent.waiting() < 2 {
        tokio::task::yield_now().await;
    }
    assert!(!back.is_awaited(&two.shared), "the other way nobody waits");
    calls[0].abort();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(link.is_awaited(&one.shared), "the other call waits");
    calls[1].abort();
    until(false).await;
}

/// A process that has sent much, and nothing since the connection was lost, still knows the link.
#[tokio::test]
async fn what_did_not_leave_a_connection_is_not_kept() {
    let (one, two) = (node("one@127.0.0.1").await, node("two@127.0.0.1").await);
    let there = Target::new(two.name().clone()).on_port(two.port().unwrap());
    one.connect(&there).await.unwrap();
    let link = one.shared.link(two.name().as_str()).unwrap();
    let process = one.process();
    let name = atom!("nobody");
    let much = Term::binary(vec![0; 64 << 20]);
    process.send((&name, two.name()), much).await.unwrap();
    assert!(link.queued() > 64 << 20);
    one.disconnect(two.name());
    let begun = Instant::now();
    while link.queued() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "it is kept");
        tokio::task::yield_now().await;
    }
    assert!(Arc::strong_count(&link) > 1, "the process knows it");
    drop(process);
}

/// A process that sent to a node that is gone, and nothing since, knows the link: the node has no part of
/// the budget all the same.
#[tokio::test]
async fn a_lost_connection_has_no_part() {
    let one = Node::builder("one@127.0.0.1".parse().unwrap()).epmd(None);
    let one = one.cookie(Cookie::new("monster").unwrap());
    let one = one.max_mailboxes(100).start().await.unwrap();
    let two = node("two@127.0.0.1").await;
    let there = Target::new(two.name().clone()).on_port(two.port().unwrap());
    one.connect(&there).await.unwrap();
    let process = one.process();
    let to = two.process();
    process.send(&to.pid(), Term::nil()).await.unwrap();
    let other = one.shared.budget.account(&atom!("other@127.0.0.1"));
    let (_connected, _waits) = (other.connected(), other.charge(60));
    let mut unfinished = other.unfinished();
    unfinished.set(50);
    assert!(other.is_over(), "each has a half");
    one.disconnect(two.name());
    let begun = Instant::now();
    while other.is_over() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it has a half");
        tokio::task::yield_now().await;
    }
    drop(process);
}

/// Large messages of one process, then small ones of another between their fragments.
#[tokio::test]
async fn little_lies_in_the_system_while_others_go_between() {
    let (one, two) = (node("one@127.0.0.1").await, node("two@127.0.0.1").await);
    let there = Target::new(two.name().clone()).on_port(two.port().unwrap());
    one.connect(&there).await.unwrap();
    let link = one.shared.link(two.name().as_str()).unwrap();
    let mut receiver = two.process();
    let to = receiver.pid();
    tokio::spawn(async move { while receiver.recv().await.is_some() {} });
    let (bulk, small) = (one.process(), one.process());
    let large = Term::binary(vec![7; 8 << 20]);
    let (near, own) = (crate::socket::UNSENT_NEAR, crate::socket::SYSTEMS);
    let begun = Instant::now();
    let late = || begun.elapsed() > Duration::from_secs(120);
    small.send(&to, term!(first)).await.unwrap();
    assert_eq!(link.wire.unsent_limit(), Some(near));
    while link.wire.unsent_limit() != Some(own) {
        assert!(!late(), "large messages are alone");
        bulk.send(&to, &large).await.unwrap();
    }
    while link.wire.unsent_limit() != Some(near) {
        assert!(!late(), "somebody goes between");
        bulk.send(&to, &large).await.unwrap();
        small.send(&to, term!(between)).await.unwrap();
    }
}

#[test]
fn a_link_shows_how_much_waits_and_not_what() {
    let info = Connected {
        me: "me@h".parse().unwrap(),
        my_creation: Creation(1),
        peer: "peer@h".parse().unwrap(),
        peer_flags: Flags::hidden_default(),
        flags: Flags::hidden_default(),
        creation: Creation(1),
    };
    let ticks = Ticks {
        time: Duration::from_secs(60),
        intensity: 4,
    };
    let stop = CancellationToken::new();
    let budget = Budget::new(1 << 20);
    let sending = Sending::default();
    let link = Link::new(info, ticks, sending, stop, Visited::Dialled(0), &budget);
    let control = Control::RegSend {
        from: Pid {
            node: atom!("me@h"),
            id: 2,
            serial: 0,
            creation: 1,
        },
        to: atom!("logger"),
        token: None,
    };
    let word = Term::from("a word for one process");
    link.force(None, &control, Some(&word)).unwrap();
    // The peer says what its tick time is.
    assert_eq!(
        link.moment(trunkline_proto::Instant::at(Duration::MAX)),
        None
    );
    let shown = format!("{link:?}");
    assert!(shown.contains("Outbound { "), "{shown}");
    assert!(
        !shown.contains("word") && !shown.contains("logger"),
        "{shown}"
    );
}
