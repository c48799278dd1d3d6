//! Two apps of one organization: one network, one DNS, two cookies.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

use std::time::Duration;

use serde_json::Value;
use trunkline_interop::fly::machine::App;
use trunkline_interop::fly::{Fly, Settings};
use trunkline_interop::in_fly_worlds;
use trunkline_interop::verb::Said;

in_fly_worlds!(neighbours:
    otp_25_guide: System, true, GUIDE, false;
    otp_27_every_edge_ours_unbound: Otp27, false, TRUNKLINE, true;
);

const SHOP: App = App {
    name: "shop",
    release: "01H3N1Z2K0",
    cookie: "another-one-0123456789-abcdef",
};

fn neighbours(settings: Settings) {
    let hello = App::hello();
    let mut fly = Fly::new(settings).unwrap();
    fly.scale(&hello, &[1, 2]).unwrap();
    fly.scale(&SHOP, &[3, 4]).unwrap();
    fly.until_whole(&[1, 2]);
    fly.until_whole(&[3, 4]);
    fly.recorded("each app by itself", |n| {
        let other = [2, 1, 4, 3][usize::from(n) - 1];
        vec![(trunkline_interop::release::Event::Up, other)]
    });

    assert_eq!(ping(&fly, 1, 2), "pong");
    assert_eq!(ping(&fly, 1, 3), "cookie_mismatch");
    assert_eq!(ping(&fly, 4, 2), "cookie_mismatch");
    fly.quiet("after the questions", Duration::from_secs(6));
    fly.until_whole(&[1, 2]);
    fly.until_whole(&[3, 4]);
    for n in 1..=4 {
        // Agents of one app never knew of the other.
        let app = if n < 3 { SHOP.name } else { hello.name };
        assert_eq!(fly.times(n, &format!("{app}-")), 0, "{}", fly.report());
        for cookie in [hello.cookie, SHOP.cookie] {
            assert!(!fly.member(n).log().contains(cookie), "a cookie in a log");
        }
    }
    for n in [1, 3] {
        listed(&fly, n);
    }
}

/// `pong`, or the code of the reason, from a console on machine `from`.
fn ping(fly: &Fly, from: u8, to: u8) -> String {
    let mut ping = fly.command(from, "trunkline").unwrap();
    ping.args(["ping", &fly.member(to).node, "--json"]);
    let said = Said::of(&mut ping).unwrap();
    let value: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
    assert_eq!(said.code, i32::from(value["result"] == "pang"), "{said:?}");
    match value["reason"]["code"].as_str() {
        Some(code) => code.to_owned(),
        None => value["result"].as_str().unwrap().to_owned(),
    }
}

/// `discover` shows both machines of the app, with their ids and regions, and no other.
fn listed(fly: &Fly, n: u8) {
    let mut discover = fly.command(n, "trunkline").unwrap();
    discover.args(["discover", "--json"]);
    let said = Said::of(&mut discover).unwrap();
    assert_eq!(said.code, 0, "{said:?}");
    let value: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
    let peers = value["topologies"][0]["peers"].as_array().unwrap();
    let text = |peer: &Value, label: &str| peer["labels"][label].as_str().map(String::from);
    let mut found: Vec<_> = peers
        .iter()
        .map(|peer| {
            let node = peer["node"].as_str().unwrap().to_owned();
            (node, text(peer, "machine_id"), text(peer, "region"))
        })
        .collect();
    found.sort();
    let both = if n < 3 { [1, 2] } else { [3, 4] };
    let mut wanted: Vec<_> = both
        .iter()
        .map(|n| {
            let machine = fly.machine(*n);
            let region = machine.region.to_owned();
            (machine.node(), Some(machine.id.clone()), Some(region))
        })
        .collect();
    wanted.sort();
    assert_eq!(found, wanted, "{value}");
}
