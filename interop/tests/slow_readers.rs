//! Connections that are read slowly because too much waits here of what came by them: a peer whose host
//! has vanished is noticed, one that only does not read either is not cut.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

use std::net::IpAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use trunkline_etf::{Pid, Term};
use trunkline_interop::netns::{Host, Lab};
use trunkline_interop::wait;
use trunkline_node::{Node, Target};
use trunkline_proto::Cookie;

const SOON: Duration = Duration::from_secs(60);

/// A peer may be silent for a quarter longer than this.
const TICK: Duration = Duration::from_millis(1200);

/// Of what comes so little may wait that the first pause is an hour.
const BUDGET: usize = 1 << 10;

struct Member {
    node: Node,
    runtime: Handle,
    _over: Sender<()>,
}

/// A node on a host of its own, connected to `peer`; on a thread of its own, until what is given back
/// is dropped.
fn start(host: &Host, name: &str, peer: Option<&Node>) -> Member {
    let address = IpAddr::from(host.private());
    let name = format!("{name}@{address}").parse().unwrap();
    let peer = peer.map(|peer| Target::new(peer.name().clone()).on_port(peer.port().unwrap()));
    let (tell, told) = channel();
    let (over, is_over): (Sender<()>, Receiver<()>) = channel();
    let host = host.clone();
    std::thread::spawn(move || {
        let run = || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let node = Node::builder(name).cookie(Cookie::new("monster").unwrap());
                let node = node.listen([address], 0).epmd(None).max_mailboxes(BUDGET);
                let node = node.tick_time(TICK).follow_tick_time(false);
                let node = node.start().await.unwrap();
                if let Some(peer) = peer {
                    node.connect(&peer).await.unwrap();
                }
                tell.send((node.clone(), Handle::current())).ok();
                let ends = tokio::task::spawn_blocking(move || is_over.recv());
                ends.await.unwrap().ok();
            });
        };
        host.inside(run).unwrap();
    });
    let (node, runtime) = told.recv_timeout(SOON).expect("it starts");
    Member {
        node,
        runtime,
        _over: over,
    }
}

/// Sends to a process for as long as its node lives.
fn flood(from: &Member, to: Pid) {
    let _in_its = from.runtime.enter();
    from.node.spawn(async move |process| {
        let binary = Term::binary(vec![7; 32 << 10]);
        while process.send(&to, binary.clone()).await.is_ok() {}
    });
}

#[test]
fn a_host_that_vanishes() {
    let _took = wait::Took::new("a host that vanishes while it is read slowly");
    let lab = Lab::new().unwrap();
    let (here, there) = (lab.host(1).unwrap(), lab.host(2).unwrap());
    let one = start(&here, "one", None);
    let two = start(&there, "two", Some(&one.node));
    let stuck = one.node.process();
    flood(&two, stuck.pid());
    wait::until("it is slowed down", SOON, || {
        (stuck.waiting() > 0).then_some(())
    });
    there.cable(false).unwrap();
    // As long as TCP itself goes on it would take 15 minutes.
    wait::until("the host is missed", SOON, || {
        one.node.connected().is_empty().then_some(())
    });
}

#[test]
fn a_peer_that_does_not_read_either() {
    let _took = wait::Took::new("two that read each other slowly");
    let lab = Lab::new().unwrap();
    let (here, there) = (lab.host(1).unwrap(), lab.host(2).unwrap());
    let one = start(&here, "one", None);
    let two = start(&there, "two", Some(&one.node));
    let stuck = [one.node.process(), two.node.process()];
    flood(&two, stuck[0].pid());
    flood(&one, stuck[1].pid());
    for process in &stuck {
        wait::until("it is slowed down", SOON, || {
            (process.waiting() > 0).then_some(())
        });
    }
    // All that is between them is full soon.
    wait::stays("the connection", 8 * TICK, || {
        let lives = one.node.connected().len() + two.node.connected().len() == 2;
        lives.then_some(()).ok_or_else(|| "it was cut".to_owned())
    });
}
