use trunkline_reconcile::evidence::Kind;
use trunkline_reconcile::{Action, Config, Event, Fraction, OnRemoved, PeerState};

use crate::world::{Peerish, World, node};

fn is_forgotten(event: &Event) -> bool {
    matches!(event, Event::Forgotten { .. })
}

#[test]
fn a_dead_peer_is_forgotten_after_misses_and_grace_and_no_sooner() {
    let mut world = World::fleet(4);
    world.run(21);
    world.kill(4);
    world.list("api", 1..=3);
    // Missing since second 25: the grace ends at 55.
    world.run(33);
    assert_eq!(world.state(4), Some(PeerState::Missing));
    world.run(2);
    assert_eq!(world.state(4), None);
    assert_eq!(world.count(is_forgotten), 1);
}

#[test]
fn the_grace_alone_is_not_enough_misses_count_too() {
    let removal_misses = 20;
    let config = Config {
        removal_misses,
        ..Config::default()
    };
    let mut world = World::fleet_with(4, config);
    world.run(10);
    world.kill(4);
    world.list("api", 1..=3);
    world.run(90);
    assert_eq!(world.state(4), Some(PeerState::Missing));
    world.run(30);
    assert_eq!(world.state(4), None);
}

#[test]
fn errors_are_no_misses() {
    let mut world = World::fleet(4);
    world.run(10);
    world.kill(4);
    world.list("api", 1..=3);
    world.run(6);
    world.fail("api", "down");
    world.run(600);
    assert_eq!(world.state(4), Some(PeerState::Missing));
}

#[test]
fn listed_again_within_the_grace_it_was_never_gone() {
    let mut world = World::fleet(4);
    world.run(10);
    world.list("api", 1..=3);
    world.run(20);
    world.list("api", 1..=4);
    world.run(120);
    assert_eq!(world.state(4), Some(PeerState::Connected));
    assert_eq!(world.count(|e| matches!(e, Event::Lost { .. })), 0);
}

#[test]
fn a_peer_that_fell_out_of_a_complete_list_is_not_dialled_again() {
    let mut world = World::fleet(4);
    world.run(10);
    world.list("api", 1..=3);
    world.run(5);
    world.hush();
    // It leaves: dialling it would bring it back.
    world.cut(4);
    world.run(120);
    assert!(world.dials(4).is_empty());
}

#[test]
fn never_more_than_the_guard_in_one_step() {
    let mut world = World::fleet(21);
    world.run(10);
    world.hush();
    for i in 4..=21 {
        world.kill(i);
    }
    world.list("api", 1..=3);
    let mut forgotten = vec![];
    for _ in 0..40 {
        let before = world.count(is_forgotten);
        world.run(5);
        let step = world.count(is_forgotten) - before;
        if step > 0 {
            forgotten.push(step);
        }
    }
    assert_eq!(forgotten, [10, 5, 3]);
    assert_eq!(world.count(|e| matches!(e, Event::Guarded { .. })), 1);
    assert_eq!(world.links.len(), 2);
}

#[test]
fn the_guard_is_the_operators() {
    let removal_guard = Fraction::new(0.1).unwrap();
    let config = Config {
        removal_guard,
        ..Config::default()
    };
    let mut world = World::fleet_with(20, config);
    world.run(10);
    (16..=20).for_each(|i| world.kill(i));
    world.list("api", 1..=15);
    world.run(40);
    assert_eq!(world.count(is_forgotten), 2);
}

#[test]
fn when_more_than_the_guard_is_missing_the_list_is_doubted_and_links_are_still_mended() {
    let mut world = World::fleet(10);
    world.run(21);
    world.list("api", 1..=3);
    world.run(10);
    world.cut(7);
    world.run(1);
    assert_eq!(world.state(7), Some(PeerState::Connected));
}

#[test]
fn a_sampled_peer_needs_a_failed_probe_too() {
    let mut world = World::new();
    world.source("fly", "a", Kind::Sampling);
    world.list("a", 1..=6);
    (2..=6).for_each(|i| world.set(i, Peerish::Lives));
    world.run(21);
    world.list("a", 1..=4);
    world.kill(5);
    world.run(300);
    assert_eq!(world.state(5), None, "it does not answer");
    assert_eq!(world.state(6), Some(PeerState::Connected), "it lives");
    // Not connected, but alive: it refuses us, so it is there.
    world.set(6, Peerish::OtherCookie);
    world.cut(6);
    world.run(600);
    assert!(world.state(6).is_some());
}

#[test]
fn a_peer_of_two_topologies_is_gone_when_neither_lists_it() {
    let mut world = World::fleet(4);
    world.source("db", "hosts", Kind::Authoritative);
    world.list("hosts", [1, 3, 4]);
    world.run(10);
    world.kill(4);
    world.list("api", 1..=3);
    world.run(120);
    assert_eq!(world.state(4), Some(PeerState::Waiting));
    world.list("hosts", [1, 3]);
    world.run(120);
    assert_eq!(world.state(4), None);
}

#[test]
fn a_topology_prunes_only_its_own() {
    let mut world = World::fleet(2);
    world.source("db", "hosts", Kind::Authoritative);
    world.list("hosts", [1, 3, 4]);
    (3..=4).for_each(|i| world.set(i, Peerish::Lives));
    // Nobody lists this one; the application connected it.
    world.dial_in(9);
    world.run(10);
    world.list("hosts", [1, 3]);
    world.run(300);
    assert_eq!(world.state(2), Some(PeerState::Connected));
    assert_eq!(world.state(9), None);
    assert!(world.links.contains(&node(9)));
    assert_eq!(world.wanted(|a| matches!(a, Action::Disconnect { .. })), 0);
}

#[test]
fn a_living_peer_that_is_dropped_keeps_its_link_and_it_is_said_once() {
    let mut world = World::fleet(4);
    world.agents.insert(node(4));
    world.run(10);
    world.hush();
    world.list("api", 1..=3);
    world.run(600);
    assert_eq!(world.state(4), Some(PeerState::UnlistedButConnected));
    let said = |e: &Event| matches!(e, Event::UnlistedButConnected { .. });
    assert_eq!(world.count(said), 1);
    assert_eq!(world.count(|e| matches!(e, Event::Lost { .. })), 0);
    // When it ends it is not dialled, and when a message brings it back that is no news.
    world.cut(4);
    world.run(60);
    world.dial_in(4);
    world.run(60);
    assert_eq!(world.state(4), Some(PeerState::UnlistedButConnected));
    assert_eq!(world.count(said), 1);
    assert!(world.dials(4).is_empty());
}

#[test]
fn a_dropped_peer_that_comes_back_by_itself_is_said_once() {
    let mut world = World::fleet(4);
    world.run(10);
    world.list("api", 1..=3);
    world.run(10);
    world.cut(4);
    world.run(60);
    assert_eq!(world.state(4), None);
    for _ in 0..3 {
        world.dial_in(4);
        world.run(30);
        world.cut(4);
        world.run(30);
    }
    assert_eq!(
        world.count(|e| matches!(e, Event::UnlistedButConnected { .. })),
        1
    );
}

#[test]
fn a_dropped_peer_that_starts_before_its_listing_comes_is_no_warning() {
    let mut world = World::fleet(4);
    world.run(10);
    world.list("api", 1..=3);
    world.run(10);
    world.cut(4);
    world.run(60);
    world.dial_in(4);
    world.run(6);
    assert_eq!(world.state(4), Some(PeerState::UnlistedButConnected));
    world.list("api", 1..=4);
    world.run(600);
    assert_eq!(world.state(4), Some(PeerState::Connected));
    let warned = |e: &Event| matches!(e, Event::UnlistedButConnected { .. });
    assert_eq!(world.count(warned), 0);
}

#[test]
fn links_to_dropped_peers_are_cut_only_when_the_operator_says_so() {
    let on_removed = OnRemoved::Disconnect;
    let config = Config {
        on_removed,
        ..Config::default()
    };
    let mut world = World::fleet_with(4, config);
    world.run(10);
    world.list("api", 1..=3);
    world.run(60);
    assert_eq!(world.wanted(|a| matches!(a, Action::Disconnect { .. })), 1);
    assert_eq!(world.wanted(|a| matches!(a, Action::FindAgents { .. })), 0);
    assert_eq!(world.state(4), None);
}

#[test]
fn a_sample_that_misses_a_peer_now_and_then_is_no_news() {
    let mut world = World::new();
    world.source("fly", "a", Kind::Sampling);
    world.list("a", 1..=3);
    (2..=3).for_each(|i| world.set(i, Peerish::Lives));
    world.run(21);
    let absences =
        |e: &Event| matches!(e, Event::Listed { absent, .. } if absent.contains(&node(3)));
    for _ in 0..20 {
        world.list("a", 1..=2);
        world.run(5);
        world.list("a", 1..=3);
        world.run(5);
    }
    assert_eq!(world.count(absences), 0);
    world.list("a", 1..=2);
    world.run(60);
    assert_eq!(world.count(absences), 1);
}

#[test]
fn a_peer_that_fell_out_and_is_listed_again_is_said_once() {
    let mut world = World::fleet(4);
    world.run(10);
    for _ in 0..2 {
        world.hush();
        world.list("api", 1..=3);
        world.run(20);
        world.list("api", 1..=4);
        world.run(60);
        let said: Vec<_> = world.said.iter().map(|(_, e)| e.to_string()).collect();
        assert_eq!(
            said,
            [
                "3 nodes listed · no longer: app@10.0.0.4 · web",
                "4 nodes listed · again: app@10.0.0.4 · web",
            ]
        );
    }
}
