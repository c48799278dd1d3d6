//! The application brings its own `dns_cluster`, which asks the same DNS and connects the same nodes, and one more.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use trunkline_interop::dns::Data;
use trunkline_interop::fly::machine::App;
use trunkline_interop::fly::zone::ORIGIN;
use trunkline_interop::fly::{Fly, Settings};
use trunkline_interop::in_every_fly_world;
use trunkline_interop::member::PATIENCE;
use trunkline_interop::release::Event;
use trunkline_interop::turn::Turn;
use trunkline_interop::wait;

in_every_fly_world!(beside);

/// Both ask every second, or nearly so: neither is always the first.
const LIBRARY: &[(&str, &str)] = &[
    ("FLEET_APP_DNS_CLUSTER", "900"),
    (
        "FLEET_APP_DNS_CLUSTER_ALSO",
        "hello-jobs-01H3N1Z2K0=hello-jobs.internal",
    ),
];

const AGENT: &str = "[engine]\nremoval_grace = \"2s\"\naudit_interval = \"5s\"\n\
     [topologies.fly]\nstrategy = \"fly\"\npolling_interval = \"1s\"\n";

const NOT_ALONE: &str = "dns_cluster runs in the application too, what it connects is left alone";

/// Nodes of this app are in the library's question, and in no agent's but their own.
const JOBS: App = App {
    name: "hello-jobs",
    ..App::hello()
};

/// Runs [`JOBS`].
const THEIRS: u8 = 4;

/// Longer than misses, grace and audit, the agent's second look at the application included.
const LONG: Duration = Duration::from_secs(32);

/// Longer than misses, grace and audit.
const WHILE: Duration = Duration::from_secs(12);

fn beside(settings: Settings) {
    let settings = Settings {
        variables: LIBRARY,
        config: Some(AGENT),
        ..settings
    };
    let mut fly = Fly::new(settings).unwrap();
    let app = App::hello();
    for n in 1..=3 {
        fly.create(n, &app).unwrap();
    }
    fly.create(THEIRS, &JOBS).unwrap();
    fly.start(&[1, 2, 3, THEIRS]).unwrap();
    fly.until_whole(&[1, 2, 3, THEIRS]);
    fly.recorded("all four up", |n| edges(Event::Up, n, 1..=4));
    for n in 1..=4 {
        fly.says(n, NOT_ALONE);
    }
    calm(&fly, "peace", LONG);

    // One starts anew: everybody dials everybody, from two sides each.
    let turn = Turn::of(1).unwrap();
    fly.stop(&[3]).unwrap();
    fly.recorded("one stops", |n| match n {
        3 => Vec::new(),
        _ => vec![(Event::Down, 3)],
    });
    fly.start_in(turn, &[3]).unwrap();
    fly.until_whole(&[1, 2, 3, THEIRS]);
    fly.recorded("it starts again", |n| match n {
        3 => edges(Event::Up, 3, 1..=4),
        _ => vec![(Event::Up, 3)],
    });
    fly.scale(&app, &[5]).unwrap();
    fly.until_whole(&[1, 2, 3, THEIRS, 5]);
    fly.recorded("one more", |n| match n {
        5 => edges(Event::Up, 5, 1..=5),
        _ => vec![(Event::Up, 5)],
    });
    fly.says(5, NOT_ALONE);

    // Nobody loses whom the DNS does not list any more and the library has connected.
    let gone = [fly.machine(2).ip, fly.machine(THEIRS).ip];
    let all = fly.server.records(ORIGIN).to_vec();
    let kept = all
        .into_iter()
        .filter(|it| !matches!(it.data, Data::Aaaa(ip) if gone.contains(&ip)));
    fly.server.serve(ORIGIN, kept.collect()).unwrap();
    for n in [1, 3, 5] {
        fly.says(n, &format!("no longer: {}", fly.member(2).node));
    }
    fly.says(2, "lists others, and not our own node");
    fly.says(THEIRS, "lists nobody");
    calm(&fly, "two are not listed", WHILE);
    fly.publish().unwrap();
    for n in [2, THEIRS] {
        fly.says(n, "the answers look right again");
    }
    calm(&fly, "they are again", WHILE);
    said_once(&fly);
}

/// Nobody records anything and no agent says anything, while the library goes on asking.
fn calm(fly: &Fly, what: &str, span: Duration) {
    // What is still to be said of the last change has a moment.
    let logs = || -> Vec<_> { fly.members().iter().map(|it| it.agent_log()).collect() };
    let mut before = logs();
    wait::within(PATIENCE, || {
        std::thread::sleep(Duration::from_secs(2));
        let now = logs();
        let still = now == before;
        before = now;
        still.then_some(())
    });
    let rounds = rounds(fly);
    fly.quiet(what, span);
    for (now, before) in logs().iter().zip(&before) {
        assert_eq!(now, before, "{what}: {}", fly.report());
    }
    let asked = self::rounds(fly).into_iter().zip(rounds);
    assert!(asked.into_iter().all(|(now, before)| now > before + 5));
}

/// How often each library has asked.
fn rounds(fly: &Fly) -> Vec<u32> {
    let members = fly.members().iter();
    let rounds = members.map(|it| it.release.eval("DNSCluster.rounds()").unwrap());
    rounds.map(|text| text.parse().unwrap()).collect()
}

/// Each line as often as there was a change, and never that something was dropped.
fn said_once(fly: &Fly) {
    for member in fly.members() {
        let n = member.host.n();
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for line in member.agent_log() {
            *counts.entry(line).or_default() += 1;
        }
        for (line, count) in counts {
            // The third one was started twice, with its agent; and a machine that starts may be listed after a moment only.
            let alarm = ["not our own node", "look right again"]
                .iter()
                .any(|it| line.contains(it));
            let twice = n == 3 || alarm || line.contains(&fly.member(3).node);
            assert!(
                count <= 1 + usize::from(twice),
                "{count} × {line}: {}",
                fly.report()
            );
            for word in ["forgotten", "unlisted", "no longer listed"] {
                assert!(!line.contains(word), "{line}: {}", fly.report());
            }
        }
        assert_eq!(fly.times(n, NOT_ALONE), 1 + usize::from(n == 3));
        assert_eq!(fly.warnings(n), [""; 0], "{}", member.log());
    }
}

fn edges(event: Event, me: u8, all: std::ops::RangeInclusive<u8>) -> Vec<(Event, u8)> {
    all.filter(|n| *n != me).map(|n| (event, n)).collect()
}
