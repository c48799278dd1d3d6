//! Whoever is woken may do what he likes, at once and on the thread that woke him: the node holds no lock
//! then. (Tokio's own wakers only note that a task is to run; those of other executors, and those that
//! run a callback, do more.)

mod support;

use std::net::Ipv4Addr;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use support::{cookie, name};
use trunkline_etf::{Term, atom, term};
use trunkline_node::{Message, Node, NodeEvent, NodeKind, NodeType, Process, Target};
use trunkline_proto::control::Control;

const PATIENT: Duration = Duration::from_secs(30);

/// Does something on the spot.
struct Calls<F>(F, AtomicUsize);

impl<F: Fn() + Send + Sync + 'static> Wake for Calls<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
        self.1.fetch_add(1, Ordering::SeqCst);
    }
}

fn calls<F: Fn() + Send + Sync + 'static>(what: F) -> (Waker, Arc<Calls<F>>) {
    let calls = Arc::new(Calls(what, AtomicUsize::new(0)));
    (Waker::from(Arc::clone(&calls)), calls)
}

async fn node(text: &str) -> Node {
    let node = Node::builder(name(text)).cookie(cookie("monster"));
    let node = node.listen([Ipv4Addr::LOCALHOST.into()], 0).epmd(None);
    node.follow_tick_time(false)
        .connect_timeout(PATIENT)
        .start()
        .await
        .expect("it starts")
}

/// Two nodes that are connected.
async fn pair() -> (Node, Node) {
    let (one, two) = (node("one@127.0.0.1").await, node("two@127.0.0.1").await);
    let there = Target::new(two.name().clone()).on_port(two.port().expect("it listens"));
    one.connect(&there).await.expect("it connects");
    while two.connected().is_empty() {
        tokio::task::yield_now().await;
    }
    (one, two)
}

/// Runs `test` on a runtime of its own; a thread that waits for itself ends neither it nor this program.
fn in_time<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    let (done, is_done) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(2).enable_all().build();
        runtime.expect("a runtime").block_on(test());
        done.send(()).ok();
    });
    is_done
        .recv_timeout(PATIENT)
        .expect("nobody waits for himself");
}

async fn until(is: impl Fn() -> bool) {
    while !is() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn whoever_hears_of_a_lost_connection_may_ask_the_node() {
    in_time(async || {
        let (one, two) = pair().await;
        let mut process = one.process();
        process.monitor_node(two.name());
        process.monitor((atom!("nobody_yet"), two.name()));
        // It fires at once.
        assert!(matches!(process.recv().await, Some(Message::Down { .. })));
        let asked = one.clone();
        let (waker, woken) = calls(move || {
            asked.nodes(&[NodeKind::Known]);
        });
        {
            let mut receives = pin!(process.recv());
            let polled = receives.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            one.disconnect(two.name());
            until(|| woken.1.load(Ordering::SeqCst) > 0).await;
        }
        assert!(matches!(
            process.recv().await,
            Some(Message::NodeDown { .. })
        ));
    });
}

#[test]
fn whoever_waits_for_an_answer_of_a_lost_node_may_ask_the_node() {
    in_time(async || {
        let (one, two) = pair().await;
        let silent = two.process();
        let asked = one.clone();
        let (waker, woken) = calls(move || {
            asked.nodes(&[NodeKind::Known]);
        });
        let server = silent.pid();
        let mut called = pin!(one.call(&server, term!(hello), PATIENT));
        let mut polled = called.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        one.disconnect(two.name());
        until(|| woken.1.load(Ordering::SeqCst) > 0).await;
        while polled.is_pending() {
            polled = called.as_mut().poll(&mut Context::from_waker(&waker));
        }
        assert!(matches!(polled, Poll::Ready(Err(_))), "{polled:?}");
    });
}

#[test]
fn whoever_gets_a_message_may_hang_up() {
    in_time(async || {
        let (one, two) = pair().await;
        let mut process = two.process();
        let asked = two.clone();
        let peer = one.name().clone();
        let (waker, woken) = calls(move || asked.disconnect(&peer));
        let pid = process.pid();
        {
            let mut receives = pin!(process.recv());
            let polled = receives.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            one.process().send(&pid, term!(hello)).await.expect("sent");
            until(|| woken.1.load(Ordering::SeqCst) > 0).await;
        }
        assert_eq!(process.recv().await, Some(Message::Term(term!(hello))));
        assert!(two.connected().is_empty());
    });
}

#[test]
fn whoever_gets_an_answer_may_hang_up() {
    in_time(async || {
        let (one, two) = pair().await;
        let mut server = two.process();
        let asked = one.clone();
        let peer = two.name().clone();
        let (waker, woken) = calls(move || asked.disconnect(&peer));
        let at = server.pid();
        let mut called = pin!(one.call(&at, term!(hello), PATIENT));
        let polled = called.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        let call = server.recv().await.expect("a call").into_term();
        let from = call.as_tuple().and_then(|parts| parts.get(1));
        server
            .reply(from.expect("a caller"), term!(yes))
            .await
            .expect("sent");
        until(|| woken.1.load(Ordering::SeqCst) > 0).await;
        let polled = called.as_mut().poll(&mut Context::from_waker(&waker));
        assert_eq!(polled, Poll::Ready(Ok(term!(yes))));
        assert!(one.connected().is_empty());
    });
}

#[test]
fn whoever_hears_of_nodes_may_ask_which_there_are() {
    in_time(async || {
        let (one, two) = (node("one@127.0.0.1").await, node("two@127.0.0.1").await);
        let mut events = one.monitor_nodes_of(NodeType::All);
        let asked = one.clone();
        let (waker, woken) = calls(move || {
            asked.nodes(&[NodeKind::Known]);
            // And somebody else may begin to listen.
            drop(asked.monitor_nodes());
        });
        let there = Target::new(two.name().clone()).on_port(two.port().expect("it listens"));
        for round in 0..2 {
            let mut event = pin!(events.next());
            let polled = event.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            if round == 0 {
                one.connect(&there).await.expect("it connects");
            } else {
                one.disconnect(two.name());
            }
            until(|| woken.1.load(Ordering::SeqCst) > round).await;
            let event = event.await.expect("the node lives");
            assert_eq!(matches!(event, NodeEvent::Up { .. }), round == 0);
        }
    });
}

/// One that is woken while the reader delivers keeps it waiting until he has taken all that is there and waits again: whoever is woken
/// for each message would be woken as often as there are messages.
#[test]
fn one_read_wakes_each_of_its_receivers_once() {
    const EACH: u64 = 200;
    const RECEIVERS: usize = 3;
    in_time(async || {
        let node = node("one@127.0.0.1").await;
        let mut receivers: Vec<_> = (0..RECEIVERS).map(|_| node.process()).collect();
        let pids: Vec<_> = receivers.iter().map(Process::pid).collect();
        let (go, may_go) = mpsc::channel::<()>();
        let may_go = Mutex::new(may_go);
        let peer = support::peer(move |wire| {
            let mut conn = support::Conn::new(wire.connect().expect("it connects"));
            may_go
                .lock()
                .expect("nobody panics")
                .recv()
                .expect("the test goes on");
            for number in 0..EACH {
                for to in &pids {
                    let (from, to) = (support::pid(1), to.clone());
                    let token = None;
                    conn.push(
                        &Control::SendSender { from, to, token },
                        Some(&Term::from(number)),
                    );
                }
            }
            conn.flush();
            while conn.next().is_some() {}
        });
        node.connect(&peer).await.expect("it connects");
        let (woken, wakes) = mpsc::channel();
        let (taken, goes_on) = mpsc::channel();
        let goes_on = Arc::new(Mutex::new(goes_on));
        let wakers: Vec<Waker> = (0..RECEIVERS)
            .map(|who| {
                let (woken, goes_on) = (woken.clone(), Arc::clone(&goes_on));
                calls(move || {
                    woken.send(who).ok();
                    goes_on.lock().expect("nobody panics").recv().ok();
                })
                .0
            })
            .collect();
        // What is there, and who waits then.
        let mut take = |who: usize| {
            let mut numbers = Vec::new();
            let mut context = Context::from_waker(&wakers[who]);
            while let Poll::Ready(message) = pin!(receivers[who].recv()).poll(&mut context) {
                let message = message.expect("it lives").into_term();
                numbers.push(message.as_u64().expect("a number"));
            }
            numbers
        };
        let mut came = [const { Vec::new() }; RECEIVERS];
        let mut counts = [0; RECEIVERS];
        for who in 0..RECEIVERS {
            assert!(take(who).is_empty());
        }
        go.send(()).expect("the peer waits");
        while came
            .iter()
            .any(|numbers: &Vec<u64>| numbers.len() < EACH as usize)
        {
            let who = wakes.recv_timeout(PATIENT).expect("somebody is woken");
            counts[who] += 1;
            came[who].extend(take(who));
            taken.send(()).expect("the reader waits");
        }
        assert!(
            came.iter()
                .all(|numbers| numbers.iter().copied().eq(0..EACH))
        );
        // The system may cut what was written into a few reads, not into hundreds.
        assert!(
            counts.iter().all(|count| (1..=4).contains(count)),
            "{counts:?}"
        );
    });
}

/// Somebody's waker panics who waits for room on a connection: that ends all the same, for everybody.
#[test]
fn whoever_waits_for_room_keeps_no_lost_connection() {
    in_time(async || {
        let (go, wait) = mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        let deaf = support::peer(move |wire| {
            let stream = wire.connect();
            wait.lock().expect("no panic").recv().ok();
            drop(stream);
        });
        let one = node("one@127.0.0.1").await;
        one.connect(&deaf).await.expect("it connects");
        let (outbox, second, mut watcher) = (one.process(), one.process(), one.process());
        let to = support::pid(9);
        watcher.monitor(&to);
        let large = Term::binary(vec![7; 16 << 20]);
        for outbox in [&outbox, &second] {
            outbox.send(&to, &large).await.expect("connected");
        }
        let (bomb, _) = calls(|| panic!("somebody's waker"));
        let mut sends = pin!(outbox.send(&to, &large));
        let polled = sends.as_mut().poll(&mut Context::from_waker(&bomb));
        assert!(polled.is_pending());
        let more = large.clone();
        let second = tokio::spawn(async move { second.send(&support::pid(9), &more).await });
        drop(go);
        let told = watcher.recv().await;
        assert!(matches!(told, Some(Message::Down { .. })), "{told:?}");
        assert!(one.connected().is_empty());
        // Who waited behind it is woken.
        let second = second.await.expect("no panic");
        assert_eq!(second, Err(trunkline_node::SendError::NotConnected));
    });
}
