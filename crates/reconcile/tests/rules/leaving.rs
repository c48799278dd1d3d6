use trunkline_reconcile::evidence::Kind;
use trunkline_reconcile::{Action, Event, PeerState};

use crate::world::{Peerish, World, node};

fn is_leave(action: &Action) -> bool {
    matches!(action, Action::Leave { .. })
}

fn is_ask(action: &Action) -> bool {
    matches!(action, Action::AskLeave { .. })
}

#[test]
fn our_own_node_leaves_when_a_complete_list_no_longer_holds_it() {
    let mut world = World::fleet(5);
    world.run(11);
    world.list("api", 2..=5);
    world.run(33);
    assert!(!world.is_left("web"), "the grace is not over");
    world.run(2);
    assert!(world.is_left("web"));
    let said = |event: &Event| matches!(event, Event::Left { .. } | Event::Lost { .. });
    assert_eq!(world.count(said), 1, "{:?}", world.said);
    assert!(world.links.is_empty());
    world.hush();
    world.run(600);
    assert!(
        world.wanted.iter().all(|(_, a)| matches!(a, Action::Audit)),
        "{:?}",
        world.wanted
    );
    assert!(world.said.is_empty(), "{:?}", world.said);
    // Any message reconnects: that is how it is, and nobody leaves twice.
    world.dial_in(3);
    world.run(120);
    assert_eq!(world.wanted(is_leave), 0);
    world.hush();
    world.cut(3);
    world.run(1);
    assert_eq!(world.count(|e| matches!(e, Event::Lost { .. })), 1);
}

#[test]
fn it_returns_when_it_is_listed_again() {
    let mut world = World::fleet(5);
    world.run(10);
    world.list("api", 2..=5);
    world.run(60);
    assert_eq!(world.wanted(is_leave), 1);
    world.list("api", 1..=5);
    world.run(6);
    assert!(!world.is_left("web"));
    assert_eq!(world.links.len(), 4);
    assert_eq!(world.count(|e| matches!(e, Event::Returned { .. })), 1);
}

#[test]
fn it_does_not_leave_when_more_than_the_guard_is_missing_with_it() {
    let mut world = World::fleet(10);
    world.run(10);
    world.list("api", 8..=10);
    world.run(40);
    assert!(!world.is_left("web"));
    assert_eq!(world.wanted(is_leave), 0);
}

#[test]
fn it_stays_where_another_topology_needs_its_links() {
    let mut world = World::fleet(3);
    world.source("db", "hosts", Kind::Authoritative);
    world.list("hosts", [1, 7, 8]);
    (7..=8).for_each(|i| world.set(i, Peerish::Lives));
    world.run(10);
    world.list("api", 2..=3);
    world.run(60);
    assert!(world.is_left("web"));
    assert!(!world.is_left("db"));
    assert_eq!(
        world.wanted(is_leave),
        0,
        "global:disconnect would cut db too"
    );
    world.hush();
    world.cut(2);
    world.cut(7);
    world.run(60);
    assert!(world.dials(2).is_empty(), "left, so not dialled");
    assert_eq!(world.state(7), Some(PeerState::Connected));
}

#[test]
fn a_leaver_without_agent_is_asked_once_by_the_agent_that_sorts_first() {
    let mut world = World::fleet(5);
    world.agents.extend([node(2), node(3)]);
    world.run(10);
    world.list("api", 1..=4);
    world.run(300);
    // We are n1, and sort before n2 and n3.
    assert_eq!(world.wanted(is_ask), 1);
    world.cut(5);
    world.run(30);
    world.dial_in(5);
    world.run(300);
    assert_eq!(world.wanted(is_ask), 1);
}

#[test]
fn a_leaver_with_an_agent_is_not_asked() {
    let mut world = World::fleet(5);
    world.agents.insert(node(5));
    world.run(10);
    world.list("api", 1..=4);
    world.run(300);
    assert_eq!(world.wanted(is_ask), 0);
}

#[test]
fn an_agent_that_sorts_later_leaves_the_asking_to_the_first() {
    let mut world = World::fleet(5);
    let first = "a@10.0.0.200";
    let mut peers: Vec<_> = (1..=5).map(node).collect();
    peers.push(first.parse().unwrap());
    world.agents.insert(first.parse().unwrap());
    world.peers.insert(first.parse().unwrap(), Peerish::Lives);
    let list = |n: &[_]| {
        n.iter()
            .cloned()
            .map(trunkline_reconcile::evidence::Peer::named)
            .collect::<Vec<_>>()
    };
    world.list_peers("api", list(&peers));
    world.run(10);
    peers.remove(4);
    world.list_peers("api", list(&peers));
    world.run(300);
    assert_eq!(world.wanted(is_ask), 0);
}

#[test]
fn while_our_node_is_away_it_cannot_leave() {
    let mut world = World::fleet(3);
    world.run(10);
    world.engine.me_down(world.at());
    world.links.clear();
    world.list("api", 2..=3);
    world.run(60);
    assert!(world.is_left("web"));
    assert_eq!(world.wanted(is_leave), 0);
    world.hush();
    world.engine.me_up(world.at(), &world.links.clone());
    world.run(60);
    assert!(world.dials(2).is_empty());
}
