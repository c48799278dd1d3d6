use trunkline_proto::{NodeName, Reason};
use trunkline_reconcile::evidence::{Kind, Peer};
use trunkline_reconcile::{Action, Event, PeerState};

use crate::world::{Peerish, World, node};

fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

fn called(actual: &str) -> Peerish {
    Peerish::Fails(Reason::NameMismatch {
        actual: name(actual),
    })
}

fn only_peer(world: &World) -> (NodeName, PeerState, Vec<NodeName>) {
    let status = world.engine.status(world.at());
    let [peer] = status.peers.as_slice() else {
        panic!("{:?}", status.peers)
    };
    (peer.node.clone(), peer.state, peer.listed_as.clone())
}

#[test]
fn the_name_that_a_greeting_shows_is_used_at_once() {
    let mut world = World::fleet(2);
    world.set(2, called("web@10.0.0.2"));
    world.peers.insert(name("web@10.0.0.2"), Peerish::Lives);
    world.run(0);
    world.poll();
    let connected = (name("web@10.0.0.2"), PeerState::Connected, vec![node(2)]);
    assert_eq!(only_peer(&world), connected);
    assert_eq!(world.count(|e| matches!(e, Event::RealName { .. })), 1);
    world.run(600);
    assert_eq!(world.dials(2).len(), 1);
    assert_eq!(world.count(|e| matches!(e, Event::RealName { .. })), 1);
}

#[test]
fn a_peer_under_two_names_counts_once() {
    let mut world = World::fleet(2);
    let extra = Peer::named(name("web@10.0.0.2"));
    world.list_peers("api", [Peer::named(node(1)), Peer::named(node(2)), extra]);
    world.set(2, called("web@10.0.0.2"));
    world.peers.insert(name("web@10.0.0.2"), Peerish::Lives);
    world.run(60);
    assert_eq!(only_peer(&world).0, name("web@10.0.0.2"));
    assert_eq!(world.engine.status(world.at()).connected(), 1);
}

#[test]
fn a_name_that_is_our_own_is_no_peer() {
    let mut world = World::fleet(2);
    world.list("api", [2]);
    world.set(2, called("app@10.0.0.1"));
    world.run(60);
    assert!(world.engine.status(world.at()).peers.is_empty());
    assert_eq!(world.dials(2).len(), 1);
}

#[test]
fn another_spelling_of_the_address_is_the_same_peer() {
    let mut world = World::new();
    world.source("web", "api", Kind::Authoritative);
    world.list_peers(
        "api",
        [Peer::named(node(1)), Peer::named(name("app@fdaa::2"))],
    );
    let shouted = "app@FDAA:0000:0000:0000:0000:0000:0000:0002";
    world.set(9, Peerish::Lives);
    world.links.insert(name(shouted));
    world.engine.link_up(world.at(), &name(shouted));
    world.run(300);
    let connected = (
        name(shouted),
        PeerState::Connected,
        vec![name("app@fdaa::2")],
    );
    assert_eq!(only_peer(&world), connected);
    assert_eq!(world.wanted(|a| matches!(a, Action::Connect { .. })), 0);

    world.links.clear();
    world
        .engine
        .link_down(world.at(), &name(shouted), "net_tick_timeout");
    world.peers.insert(name(shouted), Peerish::Lives);
    world.run(0);
    assert_eq!(only_peer(&world).1, PeerState::Connected);
}

#[test]
fn a_link_that_came_first_is_recognised_in_another_spelling() {
    let mut world = World::new();
    world.source("web", "api", Kind::Authoritative);
    world.list_peers(
        "api",
        [Peer::named(node(1)), Peer::named(name("app@fdaa::2"))],
    );
    world.run(1);
    let connects = world.dials(1).len();
    world.links.insert(name("app@FDAA::2"));
    world.engine.link_up(world.at(), &name("app@FDAA::2"));
    world.run(300);
    assert_eq!(only_peer(&world).1, PeerState::Connected);
    assert_eq!(world.dials(1).len(), connects);
    assert_eq!(world.count(|e| matches!(e, Event::Connected { .. })), 1);
}

#[test]
fn a_learned_name_that_is_gone_gives_way_to_the_listed_one() {
    let mut world = World::fleet(2);
    world.set(2, called("web@10.0.0.2"));
    world.peers.insert(name("web@10.0.0.2"), Peerish::Lives);
    world.run(30);
    // The host is set up anew, with the listed name.
    let gone = Reason::NotRegistered {
        alive: "web".into(),
        registered: "app".into(),
    };
    world
        .peers
        .insert(name("web@10.0.0.2"), Peerish::Fails(gone));
    world.set(2, Peerish::Lives);
    world.links.clear();
    world
        .engine
        .link_down(world.at(), &name("web@10.0.0.2"), "connection_closed");
    world.run(30);
    assert_eq!(only_peer(&world), (node(2), PeerState::Connected, vec![]));
}

#[test]
fn two_names_that_take_turns_make_no_storm() {
    let mut world = World::fleet(2);
    world.set(2, called("web@10.0.0.2"));
    world
        .peers
        .insert(name("web@10.0.0.2"), called("app@10.0.0.2"));
    world.run(3600);
    let dials = world.wanted(|a| matches!(a, Action::Connect { .. }));
    assert!(dials < 30, "{dials}");
}

#[test]
fn a_host_that_had_the_name_of_another_is_looked_at_again() {
    let mut world = World::fleet(3);
    world.set(3, called("app@10.0.0.2"));
    world.run(60);
    assert_eq!(only_peer(&world).0, node(2));
    // Its operator corrects it; n2 is connected all the while.
    world.set(3, Peerish::Lives);
    world.run(700);
    assert_eq!(world.engine.status(world.at()).connected(), 2);
    assert_eq!(world.count(|e| matches!(e, Event::RealName { .. })), 1);
}
