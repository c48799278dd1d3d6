//! The configuration changes while links exist.

use std::time::Duration;

use trunkline_reconcile::evidence::{Kind, SourceId, TopologyId};
use trunkline_reconcile::{Action, Config, Event, HealthRule, OnRemoved, PeerState, TopologyRules};

use crate::world::{Peerish, World, node, refused};

fn web() -> TopologyId {
    TopologyId("web".into())
}

fn asked(source: &str) -> [(SourceId, Kind); 1] {
    [(SourceId(source.into()), Kind::Authoritative)]
}

/// `web` is asked by another source from now on.
fn change(world: &mut World, source: &str) {
    let (now, rules) = (world.at(), TopologyRules::default());
    world
        .engine
        .set_topology(now, &web(), rules, &asked(source));
    world.settle();
}

fn remove(world: &mut World, topology: &str) {
    let now = world.at();
    world
        .engine
        .remove_topology(now, &TopologyId(topology.into()));
    world.answers.clear();
    world.settle();
}

#[test]
fn the_peers_of_a_removed_topology_stay_linked_and_are_not_dialled() {
    for on_removed in [OnRemoved::Keep, OnRemoved::Disconnect] {
        let mut world = World::fleet_with(
            4,
            Config {
                on_removed,
                ..Config::default()
            },
        );
        world.set(4, Peerish::Fails(refused(4)));
        world.run(20);
        assert_eq!(world.links.len(), 2);
        world.hush();
        remove(&mut world, "web");
        world.run(600);
        assert_eq!(world.links.len(), 2);
        assert!(world.said.is_empty(), "{:?}", world.said);
        let only_audits = |action: &Action| matches!(action, Action::Audit);
        assert_eq!(
            world.wanted(|action| !only_audits(action)),
            0,
            "{:?}",
            world.wanted
        );
        assert!(world.engine.status(world.at()).topologies.is_empty());
    }
}

#[test]
fn a_peer_of_a_removed_topology_that_goes_is_forgotten() {
    let mut world = World::fleet(3);
    world.run(20);
    remove(&mut world, "web");
    world.kill(2);
    world.run(60);
    assert_eq!(world.state(2), None);
    assert_eq!(world.dials(2).len(), 1);
    // And when it comes back by itself, that is its own matter.
    world.hush();
    world.dial_in(2);
    world.run(60);
    assert_eq!(world.said.len(), 0, "{:?}", world.said);
}

#[test]
fn a_peer_that_another_topology_lists_is_still_dialled() {
    let mut world = World::fleet(3);
    world.source("fly", "dns", Kind::Authoritative);
    world.list("dns", [1, 2]);
    world.run(20);
    remove(&mut world, "web");
    world.list("dns", [1, 2]);
    world.cut(2);
    world.cut(3);
    world.run(20);
    assert_eq!(world.state(2), Some(PeerState::Connected));
    assert_eq!(world.state(3), None);
}

#[test]
fn an_attempt_that_runs_while_its_topology_is_removed_ends_quietly() {
    let mut world = World::fleet(2);
    world.set(2, Peerish::Hangs);
    world.run(1);
    world.hush();
    remove(&mut world, "web");
    let now = world.at();
    world
        .engine
        .connect_result(now, &node(2), Err(refused(2)).into());
    world.run(600);
    assert!(world.said.is_empty(), "{:?}", world.said);
    assert!(world.dials(2).is_empty());
}

#[test]
fn a_topology_that_comes_back_finds_its_peers_linked() {
    let mut world = World::fleet(3);
    world.run(20);
    remove(&mut world, "web");
    world.run(20);
    change(&mut world, "api");
    world.list("api", 1..=3);
    world.hush();
    world.run(20);
    assert_eq!(world.state(2), Some(PeerState::Connected));
    assert!(world.dials(2).is_empty() && world.links.len() == 2);
}

#[test]
fn a_changed_topology_keeps_who_was_listed_until_its_new_source_answers() {
    for source in ["api", "other"] {
        let mut world = World::fleet(3);
        world.run(20);
        world.hush();
        change(&mut world, source);
        world.answers.clear();
        world.fail(source, "no answer yet");
        world.cut(2);
        world.run(600);
        assert_eq!(world.links.len(), 2, "{source}");
        world.answers.clear();
        world.list(source, 1..=3);
        world.run(60);
        assert_eq!(world.links.len(), 2);
        let removed = |e: &Event| matches!(e, Event::Forgotten { .. } | Event::Left { .. });
        assert_eq!(world.count(removed), 0, "{:?}", world.said);
    }
}

#[test]
fn who_the_new_source_does_not_list_is_missed_and_forgotten_as_always() {
    for source in ["api", "other"] {
        let mut world = World::fleet(5);
        world.run(20);
        change(&mut world, source);
        world.answers.clear();
        world.list(source, 1..=4);
        world.kill(5);
        world.run(20);
        assert_eq!(world.state(5), Some(PeerState::Missing), "{source}");
        world.run(60);
        assert_eq!(world.state(5), None, "{source}");
        assert_eq!(world.links.len(), 3);
    }
}

#[test]
fn a_peer_that_was_missing_already_stays_missing() {
    let mut world = World::fleet(5);
    world.run(20);
    world.list("api", 1..=4);
    world.kill(5);
    world.run(10);
    change(&mut world, "other");
    world.answers.clear();
    world.fail("other", "no answer");
    assert_eq!(world.state(5), Some(PeerState::Missing));
    world.run(600);
    // An error is no evidence, and nobody dials who is missing.
    assert_eq!(world.state(5), Some(PeerState::Missing));
    world.list("other", 1..=4);
    world.run(60);
    assert_eq!(world.state(5), None);
}

#[test]
fn our_own_node_does_not_leave_because_another_question_does_not_list_it() {
    let mut world = World::fleet(4);
    world.run(20);
    change(&mut world, "other");
    world.answers.clear();
    world.list("other", 2..=4);
    world.run(600);
    assert!(!world.is_left("web"));
    assert_eq!(world.links.len(), 3);
}

#[test]
fn a_topology_that_is_switched_off_holds_nobody() {
    let mut world = World::fleet(3);
    world.run(20);
    let (now, rules) = (world.at(), TopologyRules::default());
    world.engine.set_topology(now, &web(), rules, &[]);
    world.cut(2);
    world.hush();
    world.run(600);
    assert_eq!(world.links.len(), 1);
    assert_eq!(world.wanted(|a| matches!(a, Action::Connect { .. })), 0);
}

#[test]
fn an_answer_of_a_source_that_is_gone_is_ignored() {
    let mut world = World::fleet(3);
    world.run(20);
    change(&mut world, "other");
    // The world still answers for the old one.
    world.list("api", 1..=9);
    world.run(60);
    assert_eq!(world.state(9), None);
}

#[test]
fn an_unchanged_topology_keeps_its_backoff_while_others_come_change_and_go() {
    let mut world = World::fleet(3);
    world.source("db", "hosts", Kind::Authoritative);
    world.list("hosts", [1, 7]);
    world.set(3, Peerish::Fails(refused(3)));
    world.run(200);
    let waits = |world: &World| {
        let status = world.engine.status(world.at());
        let peer = status.peers.into_iter().find(|peer| peer.node == node(3));
        peer.map(|peer| (peer.failures, peer.retry_in, peer.state))
    };
    let before = waits(&world);
    assert!(
        matches!(before, Some((5.., Some(_), PeerState::Waiting))),
        "{before:?}"
    );
    world.hush();
    let now = world.at();
    let (db, new) = (TopologyId("db".into()), TopologyId("new".into()));
    let rules = TopologyRules::default();
    let source = [(SourceId("hosts 2".into()), Kind::Sampling)];
    world.engine.set_topology(now, &db, rules.clone(), &source);
    world.settle();
    assert_eq!(waits(&world), before);
    world.engine.set_topology(now, &new, rules, &asked("new"));
    world.engine.remove_topology(now, &db);
    world.engine.set_config(
        now,
        Config {
            expected_size: 2,
            ..Config::default()
        },
    );
    world.settle();
    assert_eq!(waits(&world), before);
    // And it is dialled when that wait is over, not before.
    let wait = before.and_then(|(_, wait, _)| wait).unwrap();
    world.run(wait.as_secs());
    assert_eq!(world.dials(3), [0; 0]);
    world.run(1);
    assert_eq!(world.dials(3).len(), 1);
}

#[test]
fn a_new_health_check_gates_who_was_never_connected() {
    let mut world = World::fleet(3);
    world.set(3, Peerish::Fails(refused(3)));
    world.run(20);
    let health = Some(HealthRule::default());
    let now = world.at();
    world
        .engine
        .set_topology(now, &web(), TopologyRules { health }, &asked("api"));
    world.settle();
    world.set(3, Peerish::Lives);
    world.hush();
    world.run(60);
    assert!(world.dials(3).is_empty(), "it does not pass");
    assert_eq!(world.links.len(), 1);
    world.healthy.insert(node(3));
    world.run(60);
    assert_eq!(world.links.len(), 2);
    // And none any more.
    change(&mut world, "api");
    world.hush();
    world.run(60);
    assert_eq!(world.wanted(|a| matches!(a, Action::Check { .. })), 0);
}

#[test]
fn new_knobs_count_from_now_on() {
    let mut world = World::fleet(4);
    world.run(20);
    let config = Config {
        expected_size: 9,
        audit_interval: Duration::from_secs(3),
        ..Config::default()
    };
    world.hush();
    let now = world.at();
    world.engine.set_config(now, config);
    world.run(30);
    assert_eq!(world.count(|e| matches!(e, Event::Alarm { .. })), 1);
    assert!(world.wanted(|a| matches!(a, Action::Audit)) >= 9);
    assert_eq!(world.links.len(), 3);
}
