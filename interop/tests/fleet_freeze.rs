//! A host stands still for longer than every time-out, while its own node and another one are missing from the list for a moment.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

use std::time::Duration;

use trunkline_interop::fleet::{Fleet, PATIENCE, Settings};
use trunkline_interop::in_every_world;
use trunkline_interop::release::{Event, Otp};
use trunkline_interop::wait;

in_every_world!(stands_still);

/// Longer than the grace, the audit, four ticks, and every time-out of the agent's questions.
const GAP: Duration = Duration::from_secs(25);

const GRACE: Duration = Duration::from_secs(10);

/// The host that is stopped.
const STILL: u8 = 1;

fn stands_still(otp: Otp, connect_all: bool) {
    let mut fleet = Fleet::new(Settings {
        otp,
        connect_all,
        tick: Some(4),
        polling: Some("500ms"),
        engine: "removal_grace = \"10s\"\naudit_interval = \"5s\"\nconnect_timeout = \"2s\"",
        ..Settings::default()
    })
    .unwrap();
    fleet.up(5).unwrap();
    fleet.recorded("all five up", |n| edges(Event::Up, n, 1..=5));
    fleet.until_settled(&[1, 2, 3, 4, 5]);
    // A node that is slow to start is "not attached" for a while: that is no decision about this.
    let before = decided(&fleet);

    // It and another one fall out of the list; its misses are soon enough, its grace is not.
    tag(&fleet, &[STILL, 4], &[]);
    until_missed(&fleet);
    let still = fleet.member(STILL).host.clone();
    still.stand_still(true);
    // Both are there again while it cannot see it.
    tag(&fleet, &[STILL, 4], &["web"]);
    fleet.recorded("it stands still", |n| match n {
        STILL => Vec::new(),
        _ => vec![(Event::Down, STILL)],
    });
    fleet.quiet("its absence", GAP - Duration::from_secs(5));
    still.stand_still(false);

    fleet.until_whole(&[1, 2, 3, 4, 5]);
    fleet.recorded("it goes on", |n| match n {
        STILL => {
            let mut events = edges(Event::Down, STILL, 2..=5);
            events.extend(edges(Event::Up, STILL, 2..=5));
            events
        }
        _ => vec![(Event::Up, STILL)],
    });
    fleet.quiet("after a fresh grace", GRACE + Duration::from_secs(5));
    assert_eq!(decided(&fleet), before, "{}", fleet.report());
    says_that_it_stood_still_once(&fleet);
    assert_eq!(fleet.api.violations(), [""; 0]);
}

/// Waits until the agent has asked often enough for a removal: only the grace is left.
fn until_missed(fleet: &Fleet) {
    let from = fleet.api.count();
    let address = fleet.member(STILL).host.private();
    wait::until("answers without them", PATIENCE, || {
        let asked = fleet.api.requests();
        let mine = asked[from..]
            .iter()
            .filter(|request| request.from == address);
        (mine.count() > 4).then_some(())
    });
    fleet.says(STILL, &format!("no longer: {}", fleet.member(4).node));
}

/// How often each agent said that it dropped somebody, left, or lost its node.
fn decided(fleet: &Fleet) -> Vec<(u8, &'static str, usize)> {
    const LINES: [&str; 5] = [
        "forgotten",
        "unlisted",
        "our own node is no longer listed",
        "missing at once",
        "not attached",
    ];
    let times = |n: u8| LINES.map(|line| (n, line, fleet.times(n, line)));
    (1..=5).flat_map(times).collect()
}

/// The one that stood still, and no other.
fn says_that_it_stood_still_once(fleet: &Fleet) {
    for n in 1..=5 {
        let times = fleet.times(n, "stood still for");
        assert_eq!(times, usize::from(n == STILL), "{}", fleet.report());
    }
}

/// The tags of these members' Droplets.
fn tag(fleet: &Fleet, members: &[u8], tags: &[&str]) {
    for n in members {
        let tags = tags.iter().map(|tag| String::from(*tag)).collect();
        fleet
            .api
            .change(fleet.droplet(*n).id, |droplet| droplet.tags = tags);
    }
}

fn edges(event: Event, me: u8, all: std::ops::RangeInclusive<u8>) -> Vec<(Event, u8)> {
    all.filter(|n| *n != me).map(|n| (event, n)).collect()
}
