//! Thirty listed Droplets that do not answer delay no link to one that does, and the application's node knows nothing of them.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, UNIX_EPOCH};

use rustix::process::Signal;
use trunkline_interop::digitalocean::Droplet;
use trunkline_interop::fleet::{Fleet, Naming, PATIENCE, Settings};
use trunkline_interop::netns::Host;
use trunkline_interop::wait;

/// The member with the agent; the others only run their application.
const ME: u8 = 1;
const LIVE: std::ops::RangeInclusive<u8> = 2..=6;
const DEAD: std::ops::Range<u8> = 100..130;

/// What thirty dead hosts may cost. One by one, the `net_kernel` of OTP takes seven seconds for each.
const COST: Duration = Duration::from_millis(250);

/// The least of so many counts: what else the machine does only adds to it.
const ROUNDS: usize = 3;

#[test]
fn the_dead_delay_nobody() {
    let _took = wait::Took::new("thirty dead hosts");
    let mut fleet = Fleet::new(Settings {
        connect_all: false,
        ..Settings::default()
    })
    .unwrap();
    let graveyard = fleet.lab().host(90).unwrap();
    let _silent = bury(&graveyard);
    for n in (ME..=ME).chain(LIVE) {
        fleet.create(n, Naming::Trunkline).unwrap();
    }
    for n in LIVE {
        fleet.boot_alone(n).unwrap();
    }
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        fleet.api.set(listing(&fleet, 0));
        without.push(round(&mut fleet));
        fleet.api.set(listing(&fleet, DEAD.len()));
        with.push(round(&mut fleet));
    }
    let (without, with) = (
        without.into_iter().min().unwrap(),
        with.into_iter().min().unwrap(),
    );
    println!("all live edges after the first answer: {without:?}, with 30 dead hosts {with:?}");
    assert!(
        with < without + COST,
        "{without:?} without the dead, {with:?} with them"
    );
    let log = fleet.member(ME).log();
    assert!(
        !log.contains("[error]") && !log.contains("[warning]"),
        "{log}"
    );
}

/// The node anew, its agent last: from the API's answer to the last live edge.
fn round(fleet: &mut Fleet) -> Duration {
    fleet.boot_alone(ME).unwrap();
    for n in (ME..=ME).chain(LIVE) {
        fleet.until_booted(n);
    }
    let (records, requests) = (fleet.member(ME).news().len(), fleet.api.count());
    let mut agent = fleet.agent(ME).unwrap();
    let edges = || {
        let news = fleet.member(ME).news().split_off(records);
        let up = news.len() == LIVE.count();
        up.then(|| news.into_iter().map(|record| record.at).max().unwrap())
    };
    let Some(last) = wait::within(PATIENCE, edges) else {
        panic!(
            "not all live edges:\n{}\n{}",
            agent.output(),
            fleet.report()
        );
    };
    let answered = fleet.api.requests()[requests].answered.unwrap();
    agent.signal(Signal::TERM);
    agent.wait(PATIENCE);
    fleet.member_mut(ME).stop();
    last.saturating_sub(answered.duration_since(UNIX_EPOCH).unwrap())
}

/// `dead` Droplets: twelve first, the rest between the live ones.
fn listing(fleet: &Fleet, dead: usize) -> Vec<Droplet> {
    let mut dead = DEAD.take(dead).map(|n| {
        // One of each kind after the other.
        let n = 100 + (n - 100) % 3 * 10 + (n - 100) / 3;
        Droplet::at(n.into(), &format!("web-{n}"), Ipv4Addr::new(10, 20, 0, n))
    });
    let mut list: Vec<Droplet> = dead.by_ref().take(12).collect();
    for member in fleet.members() {
        list.push(fleet.droplet(member.host.n()).clone());
        list.extend(dead.by_ref().take(3));
    }
    list.extend(dead);
    list
}

/// Ten addresses that drop everything, ten that refuse, ten that accept at the port mapper's port and say nothing.
fn bury(host: &Host) -> Vec<TcpListener> {
    host.add_addresses(DEAD.map(|n| Ipv4Addr::new(10, 20, 0, n)))
        .unwrap();
    host.firewall(&["ip daddr 10.20.0.100-10.20.0.109 drop"])
        .unwrap();
    let silent = (120..130).map(|n| host.listen((Ipv4Addr::new(10, 20, 0, n), 4369)).unwrap());
    silent.collect()
}
