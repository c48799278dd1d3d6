//! A cluster around a member that only pretends.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod port_mappers;
mod pretend;
mod rust_nodes;

use std::time::Duration;

use trunkline::{Change, ClusterEvent, MemberEvent};
use trunkline_proto::{Reason, Step};
use trunkline_reconcile::{Event, PeerState};

use crate::pretend::{Stage, name, until};

#[tokio::test(start_paused = true)]
async fn listed_peers_are_connected_and_it_shows() {
    let stage = Stage::new();
    let mut events = stage.cluster.events();
    stage.attach();
    stage.list(&["me@h", "a@h", "b@h"]).await;
    until(|| stage.cluster.status().engine.connected() == 2).await;
    let mut said = vec![];
    while let Ok(event) = events.try_recv() {
        said.push(event.to_string());
    }
    assert_eq!(said[0], "attached · me@h");
    assert!(said.contains(&"connected · a@h".to_owned()), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn the_member_may_come_later_than_the_answers() {
    let stage = Stage::new();
    stage.list(&["me@h", "a@h"]).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(stage.member.dialled().is_empty());
    stage.attach();
    until(|| stage.cluster.status().engine.connected() == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_link_that_came_while_the_first_list_was_on_its_way_is_known() {
    let stage = Stage::new();
    stage.list(&["me@h", "a@h"]).await;
    stage.member.hold_links();
    stage.attach();
    tokio::time::sleep(Duration::from_secs(1)).await;
    // The list was taken before this link.
    stage.tell(MemberEvent::LinkUp(name("a@h")));
    tokio::time::sleep(Duration::from_secs(1)).await;
    stage.member.release_links();
    until(|| stage.cluster.status().engine.connected() == 1).await;
    assert!(stage.member.dialled().is_empty());
}

#[tokio::test(start_paused = true)]
async fn when_the_member_restarts_everything_is_made_again() {
    let stage = Stage::new();
    stage.attach();
    stage.list(&["me@h", "a@h"]).await;
    until(|| stage.cluster.status().engine.connected() == 1).await;
    stage.member.lose_links();
    let reason = Reason::Closed {
        step: Step::Connect,
    };
    stage.tell(MemberEvent::Detached {
        reason: reason.clone(),
    });
    until(|| stage.cluster.status().detached == Some(reason.clone())).await;
    assert!(!stage.cluster.status().engine.up);
    stage.attach();
    until(|| stage.cluster.status().engine.connected() == 1).await;
    assert_eq!(stage.member.dialled().len(), 2);
    assert_eq!(stage.cluster.status().detached, None);
}

#[tokio::test(start_paused = true)]
async fn the_audit_repairs_what_nobody_told_us() {
    let stage = Stage::new();
    stage.attach();
    stage.list(&["me@h", "a@h"]).await;
    until(|| stage.cluster.status().engine.connected() == 1).await;
    stage.member.lose_links();
    tokio::time::sleep(Duration::from_secs(31)).await;
    until(|| stage.member.dialled().len() == 2).await;
}

#[tokio::test(start_paused = true)]
async fn after_stop_dialling_links_stay_and_none_is_made() {
    let stage = Stage::new();
    stage.attach();
    stage.list(&["me@h", "a@h"]).await;
    until(|| stage.cluster.status().engine.connected() == 1).await;
    stage.cluster.stop_dialling();
    stage.list(&["me@h", "a@h", "b@h"]).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(stage.member.dialled(), [name("a@h")]);
    assert_eq!(stage.cluster.status().engine.connected(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_does_not_end_holds_no_shutdown_up() {
    let stage = Stage::stubborn();
    let begun = tokio::time::Instant::now();
    stage.cluster.shutdown().await;
    assert!(begun.elapsed() <= Duration::from_secs(2));
    assert!(stage.member.is_dropped());
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_panics_is_a_failure_like_any_other() {
    let stage = Stage::new();
    stage.attach();
    stage.member.panic_at("a@h");
    stage.list(&["me@h", "a@h"]).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert!(stage.member.dialled().len() > 2);
    let status = stage.cluster.status().engine;
    assert!(matches!(
        status.peers[0].state,
        PeerState::Waiting | PeerState::Connecting
    ));
}

#[tokio::test]
async fn an_unhealthy_peer_is_connected_once_its_port_answers() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let stage = Stage::checked(port);
    let mut events = stage.cluster.events();
    stage.attach();
    stage.list(&["me@h", "a@127.0.0.1"]).await;
    loop {
        let event = events.recv().await.unwrap();
        if matches!(event, ClusterEvent::Engine(Event::Unhealthy { .. })) {
            break;
        }
    }
    assert!(stage.member.dialled().is_empty());
    let _listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    until(|| stage.cluster.status().engine.connected() == 1).await;
}

/// What another configuration does not name goes on; what it names is asked anew, and no link ends.
#[tokio::test(start_paused = true)]
async fn another_configuration() {
    let stage = Stage::new();
    stage.attach();
    stage.list(&["me@h", "a@h"]).await;
    until(|| stage.cluster.status().engine.connected() == 1).await;
    let (more, answers) = pretend::topology("more");
    let set = vec![more];
    stage
        .cluster
        .change(Change {
            set,
            ..Change::default()
        })
        .await;
    answers
        .send(pretend::answer(&["me@h", "b@h"]))
        .await
        .unwrap();
    until(|| stage.cluster.status().engine.connected() == 2).await;
    stage.list(&["me@h", "a@h", "c@h"]).await;
    until(|| stage.cluster.status().engine.connected() == 3).await;
    // Changed: an old answer that nobody heard does not count for the new source.
    let (changed, again) = pretend::topology("more");
    answers
        .send(pretend::answer(&["me@h", "z@h"]))
        .await
        .unwrap();
    let set = vec![changed];
    stage
        .cluster
        .change(Change {
            set,
            ..Change::default()
        })
        .await;
    again.send(pretend::answer(&["me@h", "b@h"])).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!stage.member.dialled().contains(&name("z@h")));
    assert_eq!(stage.cluster.status().engine.connected(), 3);
    // Gone: nobody is cut off.
    let remove = vec!["more".to_owned(), "web".to_owned(), "never".to_owned()];
    stage
        .cluster
        .change(Change {
            remove,
            ..Change::default()
        })
        .await;
    let status = stage.cluster.status().engine;
    assert!(status.topologies.is_empty());
    assert_eq!(status.links.len(), 3);
    assert_eq!(stage.member.dialled().len(), 3);
}
