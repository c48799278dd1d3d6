//! The ways in which hosts of one fleet come to have different cookies, and what the agent says of each.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

use std::fs;

use trunkline_interop::fleet::{COOKIE, Fleet, Naming, Settings};
use trunkline_interop::wait;

#[test]
fn a_newline_in_the_environment() {
    let _took = wait::Took::new("a cookie with a trailing newline");
    let mut fleet = two();
    fleet.boot(1).unwrap();
    fleet
        .boot_with(2, &[("RELEASE_COOKIE", &format!("{COOKIE}\n"))])
        .unwrap();
    mismatch(&fleet, 1, 2);
    mismatch(&fleet, 2, 1);
    // And the one who has it is told what is odd about it.
    fleet.says(2, "newline");
}

#[test]
fn another_file() {
    let _took = wait::Took::new("a cookie from another file");
    let mut fleet = two();
    // Without RELEASE_COOKIE both take the file of their release; one of them is another build.
    for n in 1..=2 {
        fleet.member(n).release.set_env_sh(PLAIN).unwrap();
    }
    let file = fleet.member(2).release.root().join("releases/COOKIE");
    fs::write(&file, "of-another-build").unwrap();
    fleet.boot_with(1, &[("RELEASE_COOKIE", "")]).unwrap();
    fleet.boot_with(2, &[("RELEASE_COOKIE", "")]).unwrap();
    mismatch(&fleet, 1, 2);
    mismatch(&fleet, 2, 1);
    fleet.says(2, "releases/COOKIE");
}

#[test]
fn a_redeploy_with_a_fresh_one() {
    let _took = wait::Took::new("a redeploy with a fresh cookie");
    let mut fleet = two();
    fleet.boot(1).unwrap();
    fleet.boot(2).unwrap();
    fleet.until_whole(&[1, 2]);
    assert!(fleet.member_mut(2).stop().success());
    fleet
        .boot_with(2, &[("RELEASE_COOKIE", "fresh-and-random")])
        .unwrap();
    mismatch(&fleet, 1, 2);
    mismatch(&fleet, 2, 1);
    // Put right, they find each other without a restart of the one that was right all the time.
    assert!(fleet.member_mut(2).stop().success());
    fleet.boot(2).unwrap();
    fleet.until_whole(&[1, 2]);
}

const PLAIN: &str = "#!/bin/sh\neval \"$(trunkline env --platform droplet)\"\n";

fn two() -> Fleet {
    let mut fleet = Fleet::new(Settings {
        polling: Some("500ms"),
        ..Settings::default()
    })
    .unwrap();
    for n in 1..=2 {
        fleet.create(n, Naming::Trunkline).unwrap();
    }
    fleet
}

/// The agent of `n` says that the cookie of `other` differs, and names no cookie.
fn mismatch(fleet: &Fleet, n: u8, other: u8) {
    fleet.says(n, "cannot connect (cookie_mismatch)");
    let node = &fleet.member(other).node;
    let log = fleet.member(n).agent_log();
    let line = log
        .iter()
        .find(|line| line.contains("cookie_mismatch"))
        .unwrap();
    assert!(line.contains(node), "{line}");
    for secret in [COOKIE, "of-another-build", "fresh-and-random"] {
        assert!(
            !fleet.member(n).log().contains(secret),
            "{}",
            fleet.report()
        );
    }
}
