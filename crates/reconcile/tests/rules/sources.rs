use trunkline_reconcile::evidence::{Kind, Peer};
use trunkline_reconcile::{Alarm, Config, Event, PeerState};

use crate::world::{Peerish, World, node};

fn is_alarm(wanted: Alarm) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::Alarm { alarm, .. } if *alarm == wanted)
}

#[test]
fn an_error_changes_nothing_and_is_said_once() {
    let mut world = World::fleet(3);
    world.run(10);
    assert_eq!(world.links.len(), 2);
    world.hush();
    world.fail("api", "503 Service Unavailable");
    world.run(600);
    assert_eq!(world.links.len(), 2);
    assert_eq!(world.said.len(), 1, "{:?}", world.said);
    assert_eq!(
        world.said[0].1.to_string(),
        "503 Service Unavailable; the last good answer stands · api · mend it"
    );
    world.list("api", 1..=3);
    world.run(60);
    assert_eq!(world.said.len(), 2);
    assert!(matches!(world.said[1].1, Event::SourceRecovered { .. }));
}

#[test]
fn peers_of_the_last_good_answer_are_still_dialled_while_the_source_fails() {
    let mut world = World::fleet(3);
    world.run(20);
    world.fail("api", "no route");
    world.kill(2);
    world.run(60);
    world.set(2, Peerish::Lives);
    world.run(40);
    assert_eq!(world.state(2), Some(PeerState::Connected));
}

#[test]
fn a_different_error_is_said_again() {
    let mut world = World::fleet(2);
    world.fail("api", "one");
    world.run(20);
    world.fail("api", "two");
    world.run(20);
    assert_eq!(world.count(|e| matches!(e, Event::SourceFailed { .. })), 2);
}

#[test]
fn an_empty_answer_is_an_alarm_and_drops_nobody() {
    let mut world = World::fleet(4);
    world.run(10);
    world.hush();
    world.list("api", []);
    world.run(3600);
    assert_eq!(world.links.len(), 3);
    assert!(!world.is_left("web"));
    assert_eq!(world.said.len(), 1, "{:?}", world.said);
    assert_eq!(world.count(is_alarm(Alarm::Empty)), 1);
    world.list("api", 1..=4);
    world.run(10);
    assert!(matches!(world.said[1].1, Event::AlarmOver { .. }));
    assert_eq!(world.said.len(), 2);
}

#[test]
fn an_answer_with_peers_and_without_self_is_an_alarm_at_once() {
    let mut world = World::fleet(3);
    world.list("api", 2..=3);
    world.run(120);
    assert_eq!(world.count(is_alarm(Alarm::WithoutSelf)), 1);
    // It was never listed, so it has nothing to leave.
    assert_eq!(world.links.len(), 2);
    assert!(!world.is_left("web"));
}

#[test]
fn a_node_alone_is_quiet_unless_more_are_expected() {
    let mut world = World::fleet(1);
    world.run(60);
    assert_eq!(world.count(|e| matches!(e, Event::Alarm { .. })), 0);

    let expected_size = 3;
    let config = Config {
        expected_size,
        ..Config::default()
    };
    let mut world = World::fleet_with(1, config);
    world.run(60);
    assert_eq!(world.count(is_alarm(Alarm::TooFew { expected: 3 })), 1);
    world.list("api", 1..=3);
    world.run(10);
    assert_eq!(world.count(|e| matches!(e, Event::AlarmOver { .. })), 1);
}

#[test]
fn a_sample_may_miss_self_now_and_then() {
    let mut world = World::new();
    world.source("fly", "a", Kind::Sampling);
    world.list("a", 1..=2);
    world.run(10);
    world.list("a", [2]);
    world.run(10);
    world.list("a", 1..=2);
    world.run(10);
    assert_eq!(world.count(|e| matches!(e, Event::Alarm { .. })), 0);
    world.list("a", [2]);
    world.run(60);
    assert_eq!(world.count(is_alarm(Alarm::WithoutSelf)), 1);
    assert!(!world.is_left("fly"), "absence from a sample means little");
}

#[test]
fn several_sources_of_one_topology_are_a_union_and_an_empty_one_is_no_alarm() {
    let mut world = World::new();
    world.source("fly", "a", Kind::Sampling);
    world.source("fly", "aaaa", Kind::Sampling);
    world.list("a", []);
    world.list("aaaa", 1..=3);
    (2..=3).for_each(|i| world.set(i, Peerish::Lives));
    world.run(120);
    assert_eq!(world.links.len(), 2);
    assert_eq!(world.count(|e| matches!(e, Event::Alarm { .. })), 0);
}

#[test]
fn a_source_that_never_answered_holds_nothing_up() {
    let mut world = World::fleet(2);
    world.source("web", "other", Kind::Authoritative);
    world.fail("other", "unauthorized");
    world.run(10);
    assert_eq!(world.state(2), Some(PeerState::Connected));
    world.kill(2);
    world.list("api", [1]);
    world.run(60);
    assert_eq!(world.state(2), None);
}

#[test]
fn self_and_helpers_are_never_peers() {
    let mut world = World::new();
    world.source("web", "api", Kind::Authoritative);
    let mut by_id = Peer::named("other@10.0.0.99".parse().unwrap());
    by_id.is_self = true;
    let names = [
        "rem-1a2b-app@10.0.0.1",
        "trunkline-app@10.0.0.1",
        "maint4f-app@10.0.0.1",
    ];
    let helpers = names.map(|name| Peer::named(name.parse().unwrap()));
    let me = [
        Peer::named(node(1)),
        Peer::named("app@::ffff:10.0.0.1".parse().unwrap()),
        by_id,
    ];
    world.list_peers("api", me.into_iter().chain(helpers));
    world.run(60);
    assert_eq!(
        world.wanted(|a| matches!(a, trunkline_reconcile::Action::Connect { .. })),
        0
    );
    assert!(world.engine.status(world.at()).peers.is_empty());
}

#[test]
fn what_is_passed_over_is_said_once() {
    let mut world = World::fleet(2);
    let id = trunkline_reconcile::evidence::SourceId("api".into());
    if let Some(Ok(answer)) = world.answers.get_mut(&id) {
        answer.notes.push("web-9 has no private address".into());
    }
    world.run(60);
    assert_eq!(world.count(|e| matches!(e, Event::Note { .. })), 1);
}

#[test]
fn changes_of_the_list_are_one_line_and_no_change_is_none() {
    let mut world = World::fleet(3);
    world.run(60);
    assert_eq!(world.count(|e| matches!(e, Event::Listed { .. })), 1);
    world.list("api", 1..=4);
    world.run(60);
    assert_eq!(world.count(|e| matches!(e, Event::Listed { .. })), 2);
}
