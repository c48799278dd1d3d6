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
fn changes_that_may_have_gone_unseen_are_looked_for_at_once() {
    let mut world = World::fleet(3);
    world.run(21);
    world.hush();
    world.links = BTreeSet::from([node(3), node(9)]);
    world.engine.links_unseen(world.at());
    world.settle();
    assert_eq!(world.dials(2), [21]);
    assert_eq!(world.count(|e| matches!(e, Event::Lost { .. })), 1);
    // What is known already is no news.
    world.hush();
    for _ in 0..60 {
        world.engine.links_unseen(world.at());
        world.run(1);
    }
    assert!(world.said.is_empty(), "{:?}", world.said);
    assert!(
        world
            .wanted
            .iter()
            .all(|(_, action)| *action == Action::Audit)
    );
}

#[test]
fn one_list_is_read_at_a_time_and_one_more_for_all_who_ask_meanwhile() {
    let mut world = World::fleet(3);
    world.run(21);
    let before = world.links.clone();
    for _ in 0..3 {
        world.engine.links_unseen(world.at());
    }
    assert_eq!(world.engine.poll_action(), Some(Action::Audit));
    assert_eq!(world.engine.poll_action(), None);
    world.engine.audit(world.at(), &before);
    assert_eq!(world.engine.poll_action(), Some(Action::Audit));
    world.engine.audit(world.at(), &before);
    assert_eq!(world.engine.poll_action(), None);
}

#[test]
fn a_list_that_does_not_come_changes_nothing_and_is_asked_for_again() {
    let mut world = World::fleet(3);
    world.run(21);
    world.engine.links_unseen(world.at());
    assert_eq!(world.engine.poll_action(), Some(Action::Audit));
    world.engine.audit_failed(world.at());
    assert_eq!(world.engine.poll_action(), None);
    assert_eq!(world.engine.status(world.at()).connected(), 2);
    world.engine.links_unseen(world.at());
    assert_eq!(world.engine.poll_action(), Some(Action::Audit));
}

#[test]
fn a_connect_that_a_list_on_its_way_does_not_know_stands() {
    let mut world = World::fleet(3);
    world.run(21);
    world.cut(3);
    world.engine.links_unseen(world.at());
    let before = world.links.clone();
    assert_eq!(world.engine.poll_action(), Some(Action::Audit));
    // Where links are read nobody else tells of it.
    let connect = world.engine.poll_action();
    assert!(matches!(connect, Some(Action::Connect { target, .. }) if target.node == node(3)));
    let now = world.at();
    world.engine.connect_result(now, &node(3), Ok(()).into());
    world.settle();
    world.hush();
    world.engine.audit(world.at(), &before);
    assert_eq!(world.state(3), Some(PeerState::Connected));
    assert!(world.said.is_empty(), "{:?}", world.said);
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
