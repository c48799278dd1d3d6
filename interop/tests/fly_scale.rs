//! `fly scale count`: 2, 5, 1, 3, none, and back.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

use std::time::Duration;

use trunkline_interop::fly::machine::App;
use trunkline_interop::fly::{Fly, Settings};
use trunkline_interop::in_fly_worlds;
use trunkline_interop::release::Event;

in_fly_worlds!(scales:
    otp_25_guide: System, true, GUIDE, false;
    otp_27_every_edge_ours_unbound: Otp27, false, TRUNKLINE, true;
);

fn scales(settings: Settings) {
    let app = App::hello();
    let mut fly = Fly::new(settings).unwrap();
    fly.scale(&app, &[1, 2]).unwrap();
    fly.met("two", &[1, 2]);

    fly.scale(&app, &[3, 4, 5]).unwrap();
    fly.until_whole(&[1, 2, 3, 4, 5]);
    fly.recorded("five", |n| {
        let news = if n < 3 { 3..=5 } else { 1..=5 };
        let ups = news.filter(|other| *other != n);
        ups.map(|other| (Event::Up, other)).collect()
    });

    // Who came and went between two polls was never listed.
    fly.until_settled(&[1, 2, 3, 4, 5]);
    fly.stop(&[2, 3, 4, 5]).unwrap();
    fly.recorded("one", |n| match n {
        1 => (2..=5).map(|other| (Event::Down, other)).collect(),
        _ => Vec::new(),
    });
    alone(&fly);

    // One of the stopped machines, and a new one.
    fly.start(&[2]).unwrap();
    fly.scale(&app, &[6]).unwrap();
    fly.until_whole(&[1, 2, 6]);
    fly.recorded("three", |n| match n {
        3..=5 => Vec::new(),
        _ => ups(&[1, 2, 6], n),
    });

    fly.stop(&[1, 2, 6]).unwrap();
    assert_eq!(fly.server.records("internal"), []);
    fly.start(&[1, 6]).unwrap();
    fly.scale(&app, &[7]).unwrap();
    fly.until_whole(&[1, 6, 7]);
    fly.recorded("none, and back", |n| match n {
        2..=5 => Vec::new(),
        _ => ups(&[1, 6, 7], n),
    });
}

/// The others leave the DNS: they are forgotten, each with one line, and to be alone is nothing to warn of.
fn alone(fly: &Fly) {
    // The first of them; removal_guard lets the rest follow step by step.
    fly.says(1, "forgotten · ");
    fly.quiet("only self", Duration::from_secs(11));
    let log = fly.member(1).agent_log();
    let count = |what: &str, n: u8| {
        let about = |line: &&String| line.contains(what) && line.contains(&fly.member(n).node);
        log.iter().filter(about).count()
    };
    for n in 2..=5 {
        assert_eq!(count("connection lost", n), 1, "{log:#?}");
        assert_eq!(count("no longer: ", n), 1, "{log:#?}");
        assert!(count("forgotten", n) <= 1, "{log:#?}");
    }
    for word in [
        "lists nobody",
        "not our own node",
        "cannot be resolved",
        "family",
    ] {
        assert_eq!(fly.times(1, word), 0, "{log:#?}");
    }
}

fn ups(all: &[u8], me: u8) -> Vec<(Event, u8)> {
    let others = all.iter().filter(|n| **n != me);
    others.map(|n| (Event::Up, *n)).collect()
}
