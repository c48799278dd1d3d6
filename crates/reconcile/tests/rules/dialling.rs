use trunkline_proto::{Reason, Step};
use trunkline_reconcile::{Action, Config, Event, PeerState};

use crate::world::{Peerish, World, node, refused};

#[test]
fn all_are_dialled_at_once_and_dead_ones_delay_nobody() {
    let mut world = World::fleet(40);
    (2..=31).for_each(|i| world.set(i, Peerish::Hangs));
    world.run(0);
    world.poll();
    assert_eq!(world.links.len(), 9);
    assert_eq!(world.now.as_secs(), 0);
}

#[test]
fn no_more_connects_than_slots_and_those_that_failed_least_go_first() {
    let max_attempts = 4;
    let config = Config {
        max_attempts,
        ..Config::default()
    };
    let mut world = World::fleet_with(12, config);
    (2..=12).for_each(|i| world.set(i, Peerish::Hangs));
    world.run(60);
    assert_eq!(world.wanted(|a| matches!(a, Action::Connect { .. })), 4);
    let timeout = Reason::Timeout { step: Step::Port };
    world
        .engine
        .connect_result(world.at(), &node(10), Err(timeout).into());
    world.run(600);
    // n10 failed once, so that it waits behind those that were never tried.
    assert_eq!(world.wanted(|a| matches!(a, Action::Connect { .. })), 5);
    assert_eq!(world.dials(10).len(), 1);
}

#[test]
fn a_passing_reason_is_retried_soon_and_said_once() {
    let mut world = World::fleet(2);
    world.set(2, Peerish::Fails(refused(2)));
    world.run(300);
    let dials = world.dials(2);
    assert!(dials.len() > 10, "{dials:?}");
    let waits = dials.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(waits.max() <= Some(30), "{dials:?}");
    assert_eq!(world.count(|e| matches!(e, Event::CannotConnect { .. })), 1);
    world.set(2, Peerish::Fails(Reason::Timeout { step: Step::Port }));
    world.run(60);
    assert_eq!(world.count(|e| matches!(e, Event::CannotConnect { .. })), 2);
}

#[test]
fn a_lasting_reason_backs_off_to_ten_minutes() {
    let mut world = World::fleet(2);
    world.set(2, Peerish::Fails(Reason::TlsRequired));
    world.run(4 * 3600);
    let dials = world.dials(2);
    let last = dials.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert!(last > Some(300) && last <= Some(600), "{dials:?}");
}

#[test]
fn a_lost_connection_is_retried_at_once() {
    let mut world = World::fleet(2);
    world.run(21);
    world.hush();
    world.cut(2);
    world.run(0);
    assert_eq!(world.dials(2), [21]);
    assert_eq!(world.state(2), Some(PeerState::Connected));
    assert_eq!(world.count(|e| matches!(e, Event::Lost { .. })), 1);
    assert_eq!(world.count(|e| matches!(e, Event::Connected { .. })), 1);
}

#[test]
fn a_lost_connection_that_stays_lost_backs_off() {
    let mut world = World::fleet(2);
    world.run(21);
    world.hush();
    world.kill(2);
    world.run(600);
    let dials = world.dials(2);
    assert_eq!(dials[0], 21);
    assert!(dials.len() < 45, "{dials:?}");
}

#[test]
fn a_link_that_does_not_last_makes_no_storm() {
    let mut world = World::fleet(2);
    world.run(1);
    for _ in 0..600 {
        world.cut(2);
        world.run(1);
    }
    let dials = world.dials(2).len();
    assert!(dials < 60, "{dials} dials in ten minutes");
}

#[test]
fn an_hour_with_another_cookie_makes_at_most_ten_full_handshakes() {
    for seed_peer in 2..=6 {
        let mut world = World::fleet(6);
        world.set(seed_peer, Peerish::OtherCookie);
        world.run(3600);
        let seen = world.handshakes[&node(seed_peer)];
        assert!((2..=10).contains(&seen), "{seen} lines in that peer's log");
        assert_eq!(world.count(|e| matches!(e, Event::CannotConnect { .. })), 1);
    }
}

#[test]
fn an_hour_with_a_link_that_only_our_node_cannot_make_makes_at_most_ten_full_handshakes() {
    let mut world = World::fleet(2);
    world.set(2, Peerish::OnlyFromHere);
    world.run(3600);
    let seen = world.handshakes[&node(2)];
    assert!((2..=10).contains(&seen), "{seen} lines in that peer's log");
    assert_eq!(world.count(|e| matches!(e, Event::CannotConnect { .. })), 1);
}

#[test]
fn what_a_proof_found_is_said_once_although_later_attempts_make_none() {
    let mut world = World::fleet(2);
    world.set(2, Peerish::Mute);
    world.run(3600);
    let said = |event: &Event| matches!(event, Event::CannotConnect { reason, .. } if reason.code() == "timeout");
    assert_eq!(world.count(said), 1);
    assert_eq!(world.count(|e| matches!(e, Event::CannotConnect { .. })), 1);
    assert!(world.dials(2).len() > 10, "it passes by itself");
}

#[test]
fn a_restarted_peer_is_tried_again_soon_although_its_cookie_differed() {
    let mut world = World::fleet(2);
    world.set(2, Peerish::OtherCookie);
    world.run(100);
    world.set(2, Peerish::Lives);
    world.run(100);
    assert_eq!(
        world.state(2),
        Some(PeerState::Waiting),
        "nothing shows that it changed"
    );
    world.creations.insert(node(2), 2);
    world.run(31);
    assert_eq!(world.state(2), Some(PeerState::Connected));
}

#[test]
fn after_a_restart_of_our_own_node_everybody_is_tried_at_once() {
    let mut world = World::fleet(3);
    world.set(2, Peerish::OtherCookie);
    world.set(3, Peerish::Fails(Reason::TlsRequired));
    world.run(100);
    world.engine.me_down(world.at());
    world.links.clear();
    world.run(30);
    world.hush();
    world.set(2, Peerish::Lives);
    world.set(3, Peerish::Lives);
    world.engine.me_up(world.at(), &world.links.clone());
    world.run(0);
    assert_eq!(world.links.len(), 2);
}

#[test]
fn nothing_is_dialled_while_our_node_is_away() {
    let mut world = World::fleet(3);
    world.engine.me_down(world.at());
    world.run(300);
    assert!(world.wanted.is_empty(), "{:?}", world.wanted);
    assert_eq!(world.state(2), Some(PeerState::Discovered));
}

#[test]
fn after_stop_dialling_links_stay_and_none_is_made() {
    let mut world = World::fleet(4);
    world.set(4, Peerish::Fails(refused(4)));
    world.run(21);
    world.engine.stop_dialling(world.at());
    world.hush();
    world.set(4, Peerish::Lives);
    world.cut(3);
    world.run(300);
    assert_eq!(world.wanted(|a| matches!(a, Action::Connect { .. })), 0);
    assert_eq!(world.links.len(), 1);
}

#[test]
fn a_failure_that_a_link_overtook_is_none() {
    let mut world = World::fleet(2);
    world.set(2, Peerish::Hangs);
    world.run(1);
    world.dial_in(2);
    let lost = Err(Reason::LostRace).into();
    world.engine.connect_result(world.at(), &node(2), lost);
    world.run(60);
    assert_eq!(world.state(2), Some(PeerState::Connected));
    assert_eq!(world.count(|e| matches!(e, Event::CannotConnect { .. })), 0);
}
