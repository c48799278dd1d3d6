use std::collections::BTreeSet;

use trunkline_reconcile::{Action, Event, PeerState};

use crate::world::{World, node};

#[test]
fn the_audit_wins() {
    let mut world = World::fleet(3);
    world.run(21);
    world.hush();
    // A link that went without a word, and one that came without.
    world.links = BTreeSet::from([node(3), node(9)]);
    world.run(31);
    assert_eq!(world.dials(2), [30]);
    assert_eq!(world.state(2), Some(PeerState::Connected));
    assert_eq!(world.count(|e| matches!(e, Event::Lost { .. })), 1);
}

#[test]
fn an_audit_that_a_link_event_overtook_is_old_news_for_that_link() {
    let mut world = World::fleet(3);
    world.run(21);
    world.hush();
    world.now = std::time::Duration::from_secs(30);
    world.engine.handle_timeout(world.at());
    assert_eq!(world.engine.poll_action(), Some(Action::Audit));
    let before = world.links.clone();
    world.dial_in(7);
    world.cut(3);
    world.engine.audit(world.at(), &before);
    let links = world.engine.status(world.at()).links;
    assert!(
        links.contains(&node(7)) && !links.contains(&node(3)),
        "{links:?}"
    );
}

#[test]
fn every_half_minute_and_no_more_the_list_is_read() {
    let mut world = World::fleet(2);
    world.run(300);
    let audits = world.wanted(|a| matches!(a, Action::Audit));
    assert_eq!(audits, 10);
}

#[test]
fn links_that_exist_when_we_come_are_not_dialled() {
    let mut world = World::fleet(3);
    world.engine.me_down(world.at());
    world.run(6);
    world.links = BTreeSet::from([node(2), node(3)]);
    world.engine.me_up(world.at(), &world.links.clone());
    world.run(60);
    assert_eq!(world.wanted(|a| matches!(a, Action::Connect { .. })), 0);
    assert_eq!(world.engine.status(world.at()).connected(), 2);
}

#[test]
fn a_quiet_hour_says_nothing() {
    let mut world = World::fleet(8);
    world.run(60);
    world.hush();
    world.run(3600);
    assert!(world.said.is_empty(), "{:?}", world.said);
    assert!(
        world
            .wanted
            .iter()
            .all(|(_, action)| *action == Action::Audit)
    );
}
