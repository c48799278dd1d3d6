//! Whatever the API does, nobody loses anybody, and each change is one line.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

use std::net::Ipv4Addr;
use std::time::Duration;

use trunkline_interop::digitalocean::{Droplet, Status, Trouble};
use trunkline_interop::fleet::{Fleet, PATIENCE, Settings};
use trunkline_interop::in_every_world;
use trunkline_interop::release::{Event, Otp};
use trunkline_interop::wait;

in_every_world!(api_troubles);

/// Longer than every misses-and-grace of this fleet.
const WHILE: Duration = Duration::from_secs(4);

fn api_troubles(otp: Otp, connect_all: bool) {
    let mut fleet = Fleet::new(Settings {
        otp,
        connect_all,
        polling: Some("500ms"),
        engine: "removal_grace = \"1s\"",
        ..Settings::default()
    })
    .unwrap();
    // So many that the members are on the second page.
    let off = |n: u64| Droplet {
        status: Status::Off,
        ..Droplet::at(1_000 + n, &format!("off-{n}"), Ipv4Addr::new(10, 20, 1, 1))
    };
    fleet.api.set((0..200).map(off).collect());
    fleet.up(5).unwrap();
    fleet.recorded("all five up", |n| {
        (1..=5)
            .filter(|other| *other != n)
            .map(|other| (Event::Up, other))
            .collect()
    });

    fleet.until_settled(&[1, 2, 3, 4, 5]);
    trouble(&fleet, "500 on page 2", WHILE, "500", || {
        fleet.api.fault_on_page(2, Trouble::Status(500));
    });
    trouble(
        &fleet,
        "invalid JSON",
        WHILE,
        "the last good answer stands",
        || {
            fleet.api.fault(Trouble::InvalidJson);
        },
    );
    trouble(&fleet, "401", WHILE, "401", || {
        fleet.api.fault(Trouble::Status(401))
    });
    rate_limited(&fleet);
    trouble(&fleet, "empty list", WHILE, "lists nobody", || {
        fleet.api.fault(Trouble::Empty);
    });
    trouble(
        &fleet,
        "hung connection",
        Duration::from_secs(15),
        "the last good answer stands",
        || {
            fleet.api.fault(Trouble::Hang);
        },
    );
    trouble(
        &fleet,
        "down for a minute",
        Duration::from_secs(60),
        "the last good answer stands",
        || {
            fleet.api.reachable(false).unwrap();
        },
    );
    fleet.recorded("all troubles", |_| Vec::new());
    assert_eq!(fleet.api.violations(), [""; 0]);
}

/// During the trouble each agent says it once and loses nobody; after it, it says that once too.
fn trouble(fleet: &Fleet, what: &str, span: Duration, line: &str, begin: impl FnOnce()) {
    let before = logs(fleet);
    begin();
    // A busy machine may be late to ask.
    let all_say = || {
        let mut now = logs(fleet).into_iter().zip(&before);
        now.all(|(log, (_, old))| log.1[old.len()..].iter().any(|said| said.contains(line)))
            .then_some(())
    };
    if wait::within(PATIENCE, all_say).is_none() {
        panic!("{what}: not everybody says {line:?}:\n{}", fleet.report());
    }
    fleet.quiet(what, span);
    for (log, (node, old)) in logs(fleet).into_iter().zip(&before) {
        let new = &log.1[old.len()..];
        let said = new.iter().filter(|said| said.contains(line)).count();
        assert_eq!(said, 1, "{what}: {node} said {new:#?}");
        assert!(new.len() <= 2, "{what}: {node} said {new:#?}");
    }
    let before = logs(fleet);
    fleet.api.heal();
    fleet.api.reachable(true).unwrap();
    let recovered = || {
        let mut now = logs(fleet).into_iter().zip(&before);
        now.all(|(log, (_, old))| log.1[old.len()..].iter().any(|said| said.contains("again")))
            .then_some(())
    };
    if wait::within(PATIENCE, recovered).is_none() {
        panic!("after {what} not everybody recovered:\n{}", fleet.report());
    }
    fleet.quiet(what, Duration::from_secs(1));
    for (log, (node, old)) in logs(fleet).into_iter().zip(&before) {
        let new = &log.1[old.len()..];
        assert!(new.len() <= 2, "after {what} {node} said {new:#?}");
    }
}

/// `Retry-After` is obeyed by each agent.
fn rate_limited(fleet: &Fleet) {
    let wait = Duration::from_secs(3);
    let before = fleet.api.count();
    trouble(fleet, "429", WHILE, "429", || {
        fleet.api.fault(Trouble::RateLimited(wait));
    });
    let requests = fleet.api.requests();
    for member in fleet.members() {
        let mine = requests[before..]
            .iter()
            .filter(|request| request.from == member.host.private());
        let mine: Vec<_> = mine.collect();
        for pair in mine.windows(2).filter(|pair| pair[0].status == Some(429)) {
            let gap = pair[1].at.duration_since(pair[0].at).unwrap();
            assert!(gap >= wait, "{} asked again after {gap:?}", member.node);
        }
        assert!(mine.iter().any(|request| request.status == Some(429)));
    }
}

fn logs(fleet: &Fleet) -> Vec<(String, Vec<String>)> {
    let logs = fleet.members().iter();
    logs.map(|member| (member.node.clone(), member.agent_log()))
        .collect()
}
