//! Several topologies on one node: each one's answers are its own, and only one of them is our node's.

use trunkline_reconcile::evidence::{Kind, SourceId, TopologyId};
use trunkline_reconcile::{Alarm, Event, PeerState, TopologyRules};

use crate::world::{Peerish, World};

/// Our node, n2 and n3 by a sample, and n7 and n8 in another site's complete list.
fn two_sites() -> World {
    let mut world = World::new();
    world.source("app", "dns", Kind::Sampling);
    world.source("far", "api", Kind::Authoritative);
    world.list("dns", 1..=3);
    world.list("api", 7..=8);
    for i in [2, 3, 7, 8] {
        world.set(i, Peerish::Lives);
    }
    world
}

/// In which topologies something was wrong, in the order it was said.
fn alarms(world: &World) -> Vec<(String, Alarm)> {
    let said = world.said.iter().filter_map(|(_, event)| match event {
        Event::Alarm { topology, alarm } => Some((topology.0.to_string(), *alarm)),
        _ => None,
    });
    said.collect()
}

fn without_self(topology: &str) -> (String, Alarm) {
    (topology.to_owned(), Alarm::WithoutSelf)
}

fn ends(world: &World) -> usize {
    world.count(|event| matches!(event, Event::AlarmOver { .. }))
}

fn foreign(world: &World) -> Vec<String> {
    let said = world.said.iter().map(|(_, event)| event);
    let said = said.filter(|event| matches!(event, Event::Foreign { .. }));
    said.map(ToString::to_string).collect()
}

#[test]
fn a_second_site_need_not_list_our_node() {
    let mut world = two_sites();
    world.run(3600);
    assert_eq!(alarms(&world), []);
    assert_eq!(
        foreign(&world),
        ["our own node is not listed here, it is one of app · far"]
    );
    assert!(!world.is_left("far") && !world.is_left("app"));
    assert_eq!(world.links.len(), 4);
    let status = world.engine.status(world.at());
    let far = status.topologies.iter().find(|t| t.topology.0 == "far");
    assert_eq!(far.map(|t| (t.alarm, t.lists_self)), Some((None, false)));
}

#[test]
fn it_is_quiet_on_the_other_side_too() {
    let mut world = two_sites();
    world.list("api", [1, 7, 8]);
    world.list("dns", 2..=3);
    world.run(3600);
    assert_eq!(alarms(&world), []);
    assert_eq!(
        foreign(&world),
        ["our own node is not listed here, it is one of far · app"]
    );
}

#[test]
fn nothing_is_wrong_while_the_other_topology_does_not_know() {
    let mut world = two_sites();
    world.fail("dns", "SERVFAIL");
    world.run(120);
    assert_eq!(alarms(&world), []);
    // Our node starts, and its record comes a moment later.
    world.list("dns", 2..=3);
    world.run(12);
    world.list("dns", 1..=3);
    world.run(120);
    assert_eq!((alarms(&world), ends(&world)), (vec![], 0));
    assert_eq!(foreign(&world).len(), 1);
}

#[test]
fn when_no_topology_lists_our_node_each_of_them_is_wrong() {
    let mut world = two_sites();
    world.list("dns", 2..=3);
    world.run(120);
    assert_eq!(
        alarms(&world),
        [without_self("app"), without_self("far")],
        "the complete list waits for the sample"
    );
    assert_eq!(foreign(&world), [""; 0]);
    // A record for our node mends both.
    world.list("dns", 1..=3);
    world.run(120);
    assert_eq!((alarms(&world).len(), ends(&world)), (2, 2));
    assert_eq!(foreign(&world).len(), 1);
}

#[test]
fn a_topology_that_held_our_node_and_no_longer_does_is_wrong() {
    let mut world = two_sites();
    world.run(60);
    world.list("dns", 2..=3);
    world.run(600);
    // Our node is still the first one's, so that one cause is one line.
    assert_eq!(alarms(&world), [without_self("app")]);
    world.list("dns", 1..=3);
    world.run(60);
    assert_eq!((alarms(&world).len(), ends(&world)), (1, 1));
    assert_eq!(foreign(&world).len(), 1);
}

#[test]
fn a_complete_list_that_held_our_node_is_left_and_the_other_site_is_not() {
    let mut world = two_sites();
    world.list("api", [1, 7, 8]);
    world.run(60);
    world.list("api", 7..=8);
    world.run(6);
    assert_eq!(alarms(&world), [without_self("far")]);
    world.run(60);
    assert!(world.is_left("far") && !world.is_left("app"));
    assert_eq!(world.state(2), Some(PeerState::Connected));
    world.cut(7);
    world.run(60);
    assert!(!world.links.contains(&crate::world::node(7)), "left");
}

#[test]
fn the_other_sites_trouble_and_emptiness_are_its_own() {
    let mut world = two_sites();
    world.run(60);
    world.hush();
    world.list("api", []);
    world.fail("dns", "SERVFAIL");
    world.run(3600);
    assert_eq!(alarms(&world), [("far".to_owned(), Alarm::Empty)]);
    assert_eq!(world.links.len(), 4);
    world.list("api", 7..=8);
    world.run(60);
    assert_eq!((alarms(&world).len(), ends(&world)), (1, 1));
    assert_eq!(foreign(&world), [""; 0], "said before");
}

#[test]
fn our_own_site_is_configured_no_more() {
    let mut world = two_sites();
    world.run(60);
    let at = world.at();
    world.engine.remove_topology(at, &TopologyId("app".into()));
    world.run(1);
    assert_eq!(alarms(&world), [without_self("far")]);
}

#[test]
fn our_own_site_is_asked_otherwise() {
    let mut world = two_sites();
    world.run(60);
    world.hush();
    let at = world.at();
    let (app, other) = (TopologyId("app".into()), SourceId("dns 2".into()));
    let sources = [(other, Kind::Sampling)];
    let rules = TopologyRules::default();
    world.engine.set_topology(at, &app, rules, &sources);
    world.run(60);
    world.list("dns 2", 1..=3);
    world.run(60);
    assert_eq!(alarms(&world), []);
    assert_eq!(foreign(&world), [""; 0], "said before");
}

#[test]
fn an_alarm_stands_while_the_other_topology_is_asked_otherwise() {
    let mut world = two_sites();
    world.list("dns", 2..=3);
    world.run(60);
    assert_eq!(alarms(&world).len(), 2);
    world.hush();
    let at = world.at();
    let (app, other) = (TopologyId("app".into()), SourceId("dns 2".into()));
    let sources = [(other, Kind::Sampling)];
    let rules = TopologyRules::default();
    world.engine.set_topology(at, &app, rules, &sources);
    world.run(60);
    assert_eq!((alarms(&world).len(), ends(&world)), (0, 0));
    world.list("dns 2", 1..=3);
    world.run(60);
    assert_eq!((alarms(&world).len(), ends(&world)), (0, 2));
}
