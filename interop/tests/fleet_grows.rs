//! Five Droplets become a cluster; a sixth joins; one is destroyed.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

use std::time::{Duration, SystemTime};

use trunkline_interop::fleet::{Fleet, Naming, PATIENCE, Settings};
use trunkline_interop::in_every_world;
use trunkline_interop::release::{Event, Otp};
use trunkline_interop::wait;

in_every_world!(grows_and_shrinks);

fn grows_and_shrinks(otp: Otp, connect_all: bool) {
    let mut fleet = Fleet::new(Settings {
        otp,
        connect_all,
        // So that the end of a machine is seen in ten seconds instead of a minute.
        tick: Some(8),
        polling: Some("500ms"),
        engine: "removal_grace = \"3s\"",
        ..Settings::default()
    })
    .unwrap();
    fleet.up(5).unwrap();
    fleet.recorded("all five up", |n| ups(1..=5, n));

    fleet.create(6, Naming::Trunkline).unwrap();
    fleet.boot(6).unwrap();
    fleet.until_whole(&[1, 2, 3, 4, 5, 6]);
    fleet.recorded("a sixth joins", |n| match n {
        6 => ups(1..=5, 6),
        _ => vec![(Event::Up, 6)],
    });

    let gone = fleet.member(3).node.clone();
    fleet.api.destroy(fleet.droplet(3).id);
    fleet.member_mut(3).destroy().unwrap();
    fleet.until_whole(&[1, 2, 4, 5, 6]);
    fleet.recorded("one is destroyed", |n| match n {
        3 => Vec::new(),
        _ => vec![(Event::Down, 3)],
    });
    for n in [1, 2, 4, 5, 6] {
        let line = format!("forgotten · {gone}");
        wait::until(format!("\"{line}\" at member {n}"), PATIENCE, || {
            let log = fleet.member(n).agent_log();
            log.iter().any(|said| said.contains(&line)).then_some(())
        });
    }
    fleet.recorded("after it was forgotten", |_| Vec::new());
    assert_eq!(fleet.api.violations(), [""; 0]);
}

/// With every default: how often the API is asked, and how soon the cluster is whole.
#[test]
fn defaults() {
    let _took = wait::Took::new("five with every default");
    let mut fleet = Fleet::new(Settings::default()).unwrap();
    fleet.up(5).unwrap();
    fleet.recorded("all five up", |n| ups(1..=5, n));
    let start = SystemTime::now();
    let before = fleet.api.count();
    let window = Duration::from_secs(20);
    wait::stays("the mesh", window, || {
        let whole = fleet
            .members()
            .iter()
            .all(|member| member.news().is_empty());
        whole.then_some(()).ok_or_else(|| fleet.report())
    });
    let requests = fleet.api.requests();
    // The window is longer where the machine is busy.
    let looks = usize::try_from(start.elapsed().unwrap().as_secs() / 5).unwrap();
    let recent = &requests[before..];
    assert!(requests.iter().all(|request| request.status == Some(200)));
    for member in fleet.members() {
        let mine = |request: &&trunkline_interop::digitalocean::Request| {
            request.from == member.host.private()
        };
        let count = recent.iter().filter(mine).count();
        // Every 5 s, with a jitter that no two agents share.
        let about = looks - 1..=looks + 2;
        assert!(about.contains(&count), "{count}, not {about:?}");
    }
    let first = &requests[0];
    assert_eq!(first.uri, "/v2/droplets?per_page=200&tag_name=web");
    assert!(
        first.user_agent.starts_with("trunkline/"),
        "{}",
        first.user_agent
    );
}

fn ups(all: std::ops::RangeInclusive<u8>, me: u8) -> Vec<(Event, u8)> {
    all.filter(|n| *n != me).map(|n| (Event::Up, n)).collect()
}
