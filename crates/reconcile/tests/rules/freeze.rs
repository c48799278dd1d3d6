//! The process was stopped for a while: by a debugger, a suspended machine, a snapshot being taken.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use trunkline_proto::Reason;
use trunkline_reconcile::evidence::Kind;
use trunkline_reconcile::{Action, Config, Event, PeerState};

use crate::world::{Peerish, World, node};

/// Longer than every time in the configuration.
const GAP: Duration = Duration::from_secs(3600);

fn is_frozen(event: &Event) -> bool {
    matches!(event, Event::Frozen { .. })
}

fn is_ask(action: &Action) -> bool {
    matches!(action, Action::AskLeave { .. })
}

#[test]
fn nothing_is_removed_on_evidence_older_than_a_gap() {
    let mut world = World::fleet(4);
    world.run(21);
    world.kill(4);
    world.list("api", 1..=3);
    world.run(20);
    // In the middle of the grace.
    world.now += GAP;
    world.engine.handle_timeout(world.at());
    world.settle();
    assert_eq!(world.count(is_frozen), 1);
    assert_eq!(world.state(4), Some(PeerState::Missing));
    assert!(!world.is_left("web"));
}

#[test]
fn our_own_node_does_not_leave_on_evidence_older_than_a_gap() {
    let mut world = World::fleet(4);
    world.run(21);
    world.list("api", 2..=4);
    world.run(20);
    world.now += GAP;
    world.poll();
    assert!(!world.is_left("web"));
    // Fresh answers and a fresh grace later it does.
    world.run(15);
    assert!(!world.is_left("web"));
    world.run(25);
    assert!(world.is_left("web"));
}

#[test]
fn a_gap_does_not_hide_behind_a_long_grace() {
    let config = Config {
        removal_grace: Duration::from_secs(600),
        audit_interval: Duration::from_secs(600),
        ..Config::default()
    };
    let mut world = World::fleet_with(4, config);
    world.run(21);
    world.kill(4);
    world.list("api", 1..=3);
    world.run(10);
    // Two misses; the third comes after most of the grace was slept through.
    world.now += Duration::from_secs(570);
    world.run(30);
    assert_eq!(world.count(is_frozen), 1);
    assert_eq!(world.state(4), Some(PeerState::Missing));
    world.run(590);
    assert_eq!(world.state(4), None);
}

#[test]
fn the_first_answer_after_a_gap_may_be_older_and_is_no_miss() {
    let config = Config {
        removal_misses: 1,
        removal_grace: Duration::from_secs(1),
        ..Config::default()
    };
    let mut world = World::fleet_with(4, config);
    world.run(21);
    world.now += GAP;
    // Asked before the gap, when the list was broken for a moment.
    world.list("api", 1..=3);
    world.poll();
    world.list("api", 1..=4);
    world.run(60);
    assert_eq!(world.state(4), Some(PeerState::Connected));
    assert_eq!(
        world.count(|e| matches!(e, Event::Listed { absent, .. } if !absent.is_empty())),
        0
    );
}

#[test]
fn a_proof_of_silence_that_is_older_than_a_gap_is_none() {
    let mut world = World::new();
    world.source("fly", "a", Kind::Sampling);
    world.list("a", 1..=4);
    (2..=4).for_each(|i| world.set(i, Peerish::Lives));
    world.run(21);
    world.kill(4);
    world.list("a", 1..=3);
    let asked =
        |action: &Action| matches!(action, Action::Look { target } if target.node == node(4));
    // It is asked whether it lives, and the answer is on its way.
    while world.engine.poll_action().filter(asked).is_none() {
        world.now += Duration::from_secs(1);
        world.poll_only();
    }
    world.now += GAP;
    let step = trunkline_proto::Step::Port;
    world
        .engine
        .looked(world.at(), &node(4), Err(Reason::Timeout { step }));
    world.settle();
    assert_eq!(world.state(4), Some(PeerState::Missing));
    // Now it lives, and says so when it is asked again.
    world.set(4, Peerish::OtherCookie);
    world.run(600);
    assert!(world.state(4).is_some());
    assert_eq!(world.count(|e| matches!(e, Event::Forgotten { .. })), 0);
}

#[test]
fn nobody_is_asked_to_leave_on_evidence_older_than_a_gap() {
    let mut world = World::fleet(5);
    world.run(10);
    world.list("api", 1..=4);
    // Its agent, which it has not, is looked for, and the answer is on its way.
    let found = loop {
        world.now += Duration::from_secs(1);
        world.poll_only();
        match world.engine.poll_action() {
            Some(Action::FindAgents { leaver, among }) => {
                assert_eq!(leaver, node(5));
                break among
                    .into_iter()
                    .map(|name| (name, false))
                    .collect::<BTreeMap<_, _>>();
            }
            Some(Action::Audit) => world.engine.audit(world.at(), &world.links.clone()),
            _ => {}
        }
    };
    world.now += GAP;
    // It is listed again, and the answer arrives first.
    world.list("api", 1..=5);
    world.engine.agents(world.at(), &node(5), &found);
    world.run(120);
    assert_eq!(world.wanted(is_ask), 0);
    assert_eq!(world.state(5), Some(PeerState::Connected));
    // When it is dropped for good it is asked, once.
    world.list("api", 1..=4);
    world.run(120);
    assert_eq!(world.wanted(is_ask), 1);
    world.now += GAP;
    world.run(120);
    assert_eq!(world.wanted(is_ask), 1);
}

#[test]
fn nobody_is_asked_to_leave_before_a_fresh_answer() {
    let mut world = World::fleet(5);
    world.run(10);
    world.list("api", 1..=4);
    // Dropped, with the time to leave not yet over.
    world.run(41);
    assert_eq!(world.wanted(is_ask), 0);
    world.now += GAP;
    world.fail("api", "the network comes up later than we do");
    world.run(600);
    assert_eq!(world.wanted(is_ask), 0);
    world.list("api", 1..=4);
    world.run(30);
    assert_eq!(world.wanted(is_ask), 1);
}

#[test]
fn links_that_went_in_a_gap_are_made_again_at_once() {
    let mut world = World::fleet(4);
    world.run(21);
    world.hush();
    // The others gave us up, and their goodbyes wait in the sockets.
    world.links.clear();
    world.now += GAP;
    world.engine.handle_timeout(world.at());
    world.settle();
    assert_eq!(world.engine.status(world.at()).connected(), 3);
    assert_eq!(world.count(|e| matches!(e, Event::Lost { .. })), 3);
    assert_eq!(world.wanted(|a| matches!(a, Action::Connect { .. })), 3);
}

#[test]
fn a_slow_driver_is_no_freeze() {
    let mut world = World::fleet(4);
    world.run(21);
    world.now += Duration::from_secs(4);
    world.engine.link_up(world.at(), &node(9));
    world.run(60);
    assert_eq!(world.count(is_frozen), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Lists as they may be, a gap at any moment: until a grace after it nobody is dropped.
    #[test]
    fn whenever_the_gap_comes_nobody_is_dropped_before_a_fresh_grace(
        lists in prop::collection::vec((prop::collection::btree_set(1_u8..8, 1..8), 0_u64..40), 1..8),
        gap in 60_u64..4000, misses in 1_u32..4, sampling in any::<bool>(),
    ) {
        let config = Config { removal_misses: misses, ..Config::default() };
        let mut world = World::with(config);
        let kind = if sampling { Kind::Sampling } else { Kind::Authoritative };
        world.source("web", "api", kind);
        world.list("api", 1..8);
        (2..8).for_each(|i| world.set(i, Peerish::Lives));
        world.run(20);
        for (nodes, secs) in lists {
            (2..8).filter(|i| !nodes.contains(i)).for_each(|i| world.cut(i));
            world.list("api", nodes);
            world.run(secs);
        }
        let decided = |event: &Event| matches!(event, Event::Forgotten { .. } | Event::Left { .. });
        world.hush();
        let pending = world.engine.status(world.at()).topologies[0].missing > 0;
        world.now += Duration::from_secs(gap);
        // Who was dropped before has a fresh time to leave.
        world.run(9);
        prop_assert_eq!(world.wanted(is_ask), 0, "{:?}", world.said);
        world.run(20);
        prop_assert_eq!(world.count(decided), 0, "{:?}", world.said);
        prop_assert!(!pending || world.count(is_frozen) == 1, "{:?}", world.said);
    }
}
