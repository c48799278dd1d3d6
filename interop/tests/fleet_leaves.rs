//! A Droplet loses its tag and lives on: it leaves by itself, and the others keep each other.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

use std::time::Duration;

use trunkline_interop::fleet::{Fleet, Settings};
use trunkline_interop::in_every_world;
use trunkline_interop::release::{Event, Otp};

in_every_world!(loses_its_tag);

fn loses_its_tag(otp: Otp, connect_all: bool) {
    let mut fleet = Fleet::new(Settings {
        otp,
        connect_all,
        polling: Some("500ms"),
        engine: "removal_grace = \"2s\"\naudit_interval = \"5s\"",
        ..Settings::default()
    })
    .unwrap();
    fleet.up(5).unwrap();
    fleet.recorded("all five up", |n| {
        others(n).map(|n| (Event::Up, n)).collect()
    });

    let id = fleet.droplet(5).id;
    fleet.api.change(id, |droplet| droplet.tags.clear());
    fleet.recorded("one loses its tag", |n| match n {
        5 => others(5).map(|n| (Event::Down, n)).collect(),
        _ => vec![(Event::Down, 5)],
    });
    fleet.says(5, "our own node is no longer listed");
    fleet.until_whole(&[1, 2, 3, 4]);

    // Any message connects again: that is the application's right, and no reason to pull at other links.
    let names: Vec<String> = others(5).map(|n| fleet.member(n).node.clone()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    fleet.member(5).talk_to(&names).unwrap();
    fleet.recorded("its application sends to the others", |n| match n {
        5 => others(5).map(|n| (Event::Up, n)).collect(),
        _ => vec![(Event::Up, 5)],
    });
    fleet.quiet("the peace", Duration::from_secs(60));
    let unlisted = format!("unlisted but connected · {}", fleet.member(5).node);
    for n in 1..=4 {
        assert_eq!(
            fleet.times(n, &unlisted),
            1,
            "member {n}: {}",
            fleet.report()
        );
    }
    assert_eq!(fleet.times(5, "our own node is no longer listed"), 1);

    fleet
        .api
        .change(id, |droplet| droplet.tags = vec![String::from("web")]);
    fleet.says(5, "our own node is listed again");
    fleet.until_whole(&[1, 2, 3, 4, 5]);
    fleet.recorded("it has its tag again", |_| Vec::new());
}

fn others(me: u8) -> impl Iterator<Item = u8> {
    (1..=5).filter(move |n| *n != me)
}
