use std::time::Duration;

use trunkline_reconcile::evidence::Kind;
use trunkline_reconcile::{Event, PeerState};

use crate::world::{World, node};

#[test]
fn nothing_is_removed_on_evidence_older_than_a_gap() {
    let mut world = World::fleet(4);
    world.run(21);
    world.kill(4);
    world.list("api", 1..=3);
    world.run(20);
    // Stopped for an hour, in the middle of the grace.
    world.now += Duration::from_secs(3600);
    world.engine.handle_timeout(world.at());
    world.settle();
    assert_eq!(world.count(|e| matches!(e, Event::Frozen { .. })), 1);
    assert_eq!(world.state(4), Some(PeerState::Missing));
    assert!(!world.is_left("web"));
}

#[test]
fn our_own_node_does_not_leave_on_evidence_older_than_a_gap() {
    let mut world = World::fleet(4);
    world.run(21);
    world.list("api", 2..=4);
    world.run(20);
    world.now += Duration::from_secs(3600);
    world.poll();
    assert!(!world.is_left("web"));
    // Three fresh answers and a fresh grace later it does.
    world.run(15);
    assert!(!world.is_left("web"));
    world.run(25);
    assert!(world.is_left("web"));
}

#[test]
fn a_slow_driver_is_no_freeze() {
    let mut world = World::fleet(4);
    world.run(21);
    world.now += Duration::from_secs(4);
    world.engine.link_up(world.at(), &node(9));
    world.run(60);
    assert_eq!(world.count(|e| matches!(e, Event::Frozen { .. })), 0);
}

#[test]
fn time_that_goes_back_stands_still() {
    let mut world = World::fleet(3);
    world.run(100);
    let links = world.links.clone();
    world.engine.audit(trunkline_proto::Instant::ZERO, &links);
    world.run(100);
    assert_eq!(world.links.len(), 2);
}

#[test]
fn the_same_state_at_another_time_is_the_same_rebased() {
    let at = |start: u64| {
        let mut world = World::new();
        world.now = Duration::from_secs(start);
        world.engine.me_up(world.at(), &Default::default());
        world.source("web", "api", Kind::Authoritative);
        world.list("api", 1..=3);
        world.poll();
        world.engine
    };
    assert_ne!(at(0), at(77));
    assert_eq!(at(0).rebased(), at(77).rebased());
}
