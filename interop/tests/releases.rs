//! The stories' application as plain OTP nodes: the laboratory without the command under test.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

use std::time::{Duration, Instant};

use trunkline_interop::netns::{Host, Lab};
use trunkline_interop::process::Process;
use trunkline_interop::release::{Event, Otp, Release};
use trunkline_interop::turn::Turn;
use trunkline_interop::wait;

const BOOT: Duration = Duration::from_secs(120);

#[test]
fn plain_releases_meet_on_otp_25() {
    plain_releases_meet(Otp::System, "25");
}

#[test]
fn plain_releases_meet_on_otp_27() {
    plain_releases_meet(Otp::Otp27, "27");
}

fn plain_releases_meet(otp: Otp, version: &str) {
    let start = Instant::now();
    let lab = Lab::new().unwrap();
    let (a, mut process) = boot(&lab.host(1).unwrap(), otp);
    let (b, _b) = boot(&lab.host(2).unwrap(), otp);
    let release = a.eval("System.otp_release()").unwrap();
    assert_eq!(release, format!("{version:?}"));

    let ping = format!("Node.ping(:\"app@{}\")", b.host().private());
    assert_eq!(a.eval(&ping).unwrap(), ":pong");
    wait::until("b's record of a", BOOT, || {
        (!b.records().is_empty()).then_some(())
    });
    let [record] = &b.records()[..] else {
        panic!("one record: {:?}", b.records());
    };
    assert_eq!(record.event, Event::Up);
    assert_eq!(record.node, "app@10.20.0.1");
    assert!(!record.hidden);

    a.eval("FleetApp.Talker.talk_to(Node.list())").unwrap();
    wait::until("b hears a", BOOT, || {
        (b.eval("FleetApp.Talker.heard()").unwrap() != "%{}").then_some(())
    });
    assert!(
        a.eval("raise \"no\"")
            .unwrap_err()
            .to_string()
            .contains("(RuntimeError) no")
    );
    let pid = a.verb(&["pid"]).unwrap();
    assert_eq!(pid.trim(), process.id().to_string());
    a.verb(&["stop"]).unwrap();
    assert!(process.wait(BOOT).success(), "{}", process.output());
    let down = wait::until("b's record of a's end", BOOT, || {
        b.records()
            .into_iter()
            .rfind(|record| record.event == Event::Down)
    });
    assert_eq!((down.node.as_str(), down.hidden), ("app@10.20.0.1", false));
    println!("two releases on OTP {version}: {:?}", start.elapsed());
}

#[test]
fn a_blocked_port_map_keeps_nodes_apart() {
    let lab = Lab::new().unwrap();
    let (a, _a) = boot(&lab.host(1).unwrap(), Otp::System);
    let (b, _b) = boot(&lab.host(2).unwrap(), Otp::System);
    b.host()
        .firewall(&["tcp dport 4369 reject with tcp reset"])
        .unwrap();
    let ping = format!("Node.ping(:\"app@{}\")", b.host().private());
    assert_eq!(a.eval(&ping).unwrap(), ":pang");
    b.host().open_firewall().unwrap();
    assert_eq!(a.eval(&ping).unwrap(), ":pong");
}

fn boot(host: &Host, otp: Otp) -> (Release, Process) {
    let env_sh = format!(
        "export RELEASE_DISTRIBUTION=name RELEASE_NODE=app@{} RELEASE_COOKIE=plain\n",
        host.private()
    );
    let release = Release::install(host, otp, &env_sh).unwrap();
    let mut start = release.command(release.script()).unwrap();
    start.arg("start");
    let _turn = Turn::of(1).unwrap();
    let process = host.start(start, "app.log").unwrap();
    wait::until("the application", BOOT, || release.eval("1").ok());
    (release, process)
}
