use std::time::Duration;

use trunkline_reconcile::evidence::TopologyId;
use trunkline_reconcile::{Event, HealthRule, PeerState, TopologyRules};

use crate::world::{World, node};

fn checked(rise: u32, fall: u32) -> World {
    let mut world = World::fleet(3);
    let interval = Duration::from_secs(5);
    let health = Some(HealthRule {
        rise,
        fall,
        interval,
    });
    let web = TopologyId("web".into());
    world.engine.add_topology(web, TopologyRules { health });
    world
}

#[test]
fn an_unhealthy_peer_is_not_dialled_before_it_passes() {
    let mut world = checked(1, 1);
    world.healthy.insert(node(2));
    world.run(60);
    assert_eq!(world.state(2), Some(PeerState::Connected));
    assert_eq!(world.state(3), Some(PeerState::Checking));
    assert!(world.dials(3).is_empty());
    assert_eq!(world.count(|e| matches!(e, Event::Unhealthy { .. })), 1);
    world.healthy.insert(node(3));
    world.run(6);
    assert_eq!(world.state(3), Some(PeerState::Connected));
    assert_eq!(world.count(|e| matches!(e, Event::Healthy { .. })), 1);
}

#[test]
fn a_connected_peer_is_never_dropped_for_its_health() {
    let mut world = checked(1, 1);
    world.healthy.extend([node(2), node(3)]);
    world.run(60);
    world.healthy.clear();
    world.run(600);
    assert_eq!(world.links.len(), 2);
    // Nor is its link mended later than without a check.
    world.cut(2);
    world.run(0);
    assert_eq!(world.state(2), Some(PeerState::Connected));
}

#[test]
fn the_gate_opens_after_rise_checks_in_a_row() {
    let mut world = checked(3, 2);
    world.healthy.insert(node(2));
    world.run(4);
    assert_eq!(world.state(2), Some(PeerState::Checking));
    world.run(11);
    assert_eq!(world.state(2), Some(PeerState::Connected));
}
