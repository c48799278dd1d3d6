//! Names learned from port mappers: who is a peer, what an error leaves standing, and what a dead host costs.

#![allow(clippy::unwrap_used)] // a test may panic

mod support;

use std::time::Duration;

use support::epmd::{Hosts, Mapper};
use support::{cx, hosts};
use tokio::time::Instant;
use trunkline_discovery::port_mapper::{Learned, Learner};
use trunkline_discovery::source::PollCx;

fn learner() -> (Hosts, Learner) {
    let learner = Learner::new(&cx(), "topologies.web").unwrap();
    (hosts(), learner.visible_only(|_| true))
}

async fn learn(learner: &Learner, ips: &[&str]) -> Learned {
    let me = PollCx::new(Some("app@10.0.0.1".parse().unwrap()));
    let ips: Vec<_> = ips.iter().map(|ip| ip.parse().unwrap()).collect();
    learner.learn(&me, &ips, |_| true).await
}

fn nodes(learned: &Learned) -> Vec<&str> {
    learned
        .peers
        .iter()
        .map(|peer| peer.node.as_str())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn helpers_and_hidden_nodes_are_no_peers() {
    let (hosts, learner) = learner();
    hosts.list(
        "10.0.0.1",
        &[
            "app",
            "-tool",
            "rem-1a2b-app",
            "trunkline-app",
            "no name",
            "x@y",
            "web-2",
            "",
        ],
    );
    hosts.list("fdaa::2", &["app"]);
    let learned = learn(&learner, &["fdaa:0::2", "10.0.0.1", "::ffff:10.0.0.1"]).await;
    assert_eq!(
        nodes(&learned),
        ["app@10.0.0.1", "app@fdaa::2", "web-2@10.0.0.1"]
    );
    assert_eq!(learned.notes, [""; 0]);
    let selves: Vec<_> = learned.peers.iter().map(|peer| peer.is_self).collect();
    assert_eq!(selves, [true, false, false]);
    assert_eq!(learned.peers[1].address, Some("fdaa::2".parse().unwrap()));
    assert_eq!(learned.peers[1].port, None);

    let (me, host) = (
        PollCx::new(Some("app@10.0.0.1".parse().unwrap())),
        ["10.0.0.1".parse().unwrap()],
    );
    let wanted = learner.learn(&me, &host, |alive| alive.starts_with("web-"));
    assert_eq!(nodes(&wanted.await), ["web-2@10.0.0.1"]);
}

#[tokio::test(start_paused = true)]
async fn hidden_nodes_count_where_they_are_wanted() {
    let (hosts, learner) = (hosts(), Learner::new(&cx(), "topologies.web").unwrap());
    hosts.list("10.0.0.1", &["app", "-tool"]);
    let learned = learn(&learner, &["10.0.0.1"]).await;
    assert_eq!(hosts.asked(), ["10.0.0.1"]);
    assert_eq!(nodes(&learned), ["app@10.0.0.1", "tool@10.0.0.1"]);
}

#[tokio::test(start_paused = true)]
async fn a_node_is_greeted_once_and_our_own_never() {
    let (hosts, learner) = learner();
    hosts.list("10.0.0.1", &["app", "web"]);
    learn(&learner, &["10.0.0.1"]).await;
    assert_eq!(hosts.asked(), ["10.0.0.1", "10.0.0.1/web"]);
    learn(&learner, &["10.0.0.1"]).await;
    assert_eq!(hosts.asked(), ["10.0.0.1"]);
    // It was started again, and has another port.
    hosts.set(
        "10.0.0.1",
        Mapper::Lists(vec![("app".into(), 9000), ("web".into(), 1)]),
    );
    learn(&learner, &["10.0.0.1"]).await;
    assert_eq!(hosts.asked(), ["10.0.0.1", "10.0.0.1/web"]);
}

#[tokio::test(start_paused = true)]
async fn an_error_shrinks_nothing() {
    let (hosts, learner) = learner();
    for host in ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"] {
        hosts.list(host, &["app"]);
    }
    let all = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"];
    let before = learn(&learner, &all).await;
    assert_eq!(before.peers.len(), 4);
    hosts.set("10.0.0.1", Mapper::Hangs);
    hosts.set("10.0.0.2", Mapper::Refuses);
    hosts.set("10.0.0.3", Mapper::Babbles);
    let after = learn(&learner, &all).await;
    assert_eq!(after.peers, before.peers);
    // The one that hangs is asked still.
    assert_eq!(
        after.notes,
        [
            "10.0.0.2: nothing answers at its EPMD port 4369, the names that it last had stand; \
         start a node there; with ERL_EPMD_PORT, set the same on all hosts",
            "10.0.0.3: what answers at its port 4369 is no EPMD: a line makes no sense, \
         the names that it last had stand; check ERL_EPMD_PORT",
        ]
    );
    tokio::time::sleep(Duration::from_secs(5)).await;
    let silent = learn(&learner, &all).await;
    assert_eq!(silent.peers, before.peers);
    assert!(silent.notes[0].starts_with("10.0.0.1: its EPMD (port 4369) does not answer"));

    // A good answer counts, an empty one too.
    hosts.list("10.0.0.2", &[]);
    let shrunk = learn(&learner, &all).await;
    assert_eq!(
        nodes(&shrunk),
        ["app@10.0.0.1", "app@10.0.0.3", "app@10.0.0.4"]
    );
}

#[tokio::test(start_paused = true)]
async fn an_address_that_comes_and_goes_is_remembered_for_a_while() {
    let (hosts, learner) = learner();
    hosts.list("10.0.0.1", &["app"]);
    hosts.list("10.0.0.2", &["app"]);
    learn(&learner, &["10.0.0.1", "10.0.0.2"]).await;
    hosts.set("10.0.0.2", Mapper::Refuses);
    learn(&learner, &["10.0.0.1"]).await;
    let again = learn(&learner, &["10.0.0.1", "10.0.0.2"]).await;
    assert_eq!(nodes(&again), ["app@10.0.0.1", "app@10.0.0.2"]);
    for _ in 0..20 {
        learn(&learner, &["10.0.0.1"]).await;
    }
    let forgotten = learn(&learner, &["10.0.0.1", "10.0.0.2"]).await;
    assert_eq!(nodes(&forgotten), ["app@10.0.0.1"]);
}

#[tokio::test(start_paused = true)]
async fn dead_hosts_hold_nobody_up() {
    let (hosts, learner) = learner();
    let all: Vec<_> = (0..300)
        .map(|n| format!("10.0.{}.{}", n / 250, n % 250 + 1))
        .collect();
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    for (n, host) in all.iter().enumerate() {
        if n < 295 {
            hosts.set(host, Mapper::Hangs);
        } else {
            hosts.list(host, &["app"]);
        }
    }
    let begun = Instant::now();
    assert_eq!(learn(&learner, &all).await.peers.len(), 5);
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    // From now on they are known, and nobody waits for them.
    tokio::time::sleep(Duration::from_secs(30)).await;
    hosts.asked();
    let begun = Instant::now();
    let learned = learn(&learner, &all).await;
    assert_eq!((learned.peers.len(), learned.notes.len()), (5, 295));
    assert_eq!(begun.elapsed(), Duration::ZERO);

    // They are asked ever more seldom: 20 minutes of looks every five seconds.
    hosts.asked();
    for _ in 0..240 {
        tokio::time::sleep(Duration::from_secs(5)).await;
        learn(&learner, &all).await;
    }
    let dead = hosts
        .asked()
        .iter()
        .filter(|asked| *asked == all[0])
        .count();
    assert!(
        (30..=45).contains(&dead),
        "{dead} questions to a dead host in 20 minutes"
    );
}

#[tokio::test(start_paused = true)]
async fn a_host_that_boots_is_waited_for_without_a_note() {
    let (hosts, learner) = learner();
    hosts.list("10.0.0.1", &["app"]);
    learn(&learner, &["10.0.0.1"]).await;
    let mut notes = Vec::new();
    for _ in 0..5 {
        notes.push(learn(&learner, &["10.0.0.1", "10.0.0.2"]).await.notes.len());
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    assert_eq!(notes, [0, 0, 0, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_list_without_end_is_no_list() {
    let (hosts, learner) = learner();
    let names = (0..5000).map(|n| (format!("n{n}"), 1)).collect();
    hosts.set("10.0.0.1", Mapper::Lists(names));
    let learned = learn(&learner, &["10.0.0.1"]).await;
    assert_eq!(nodes(&learned), [""; 0]);
    assert!(
        learned.notes[0].contains("is no EPMD: it lists 5000 nodes"),
        "{:?}",
        learned.notes
    );
}
