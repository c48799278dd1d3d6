//! `bin/app remote`, `rpc`, `stop` and `pid` on each host, from a shell that inherited nothing, with a fixed port.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

use trunkline_interop::fleet::{Fleet, Member, Naming, PATIENCE, Settings};
use trunkline_interop::process::run;
use trunkline_interop::terminal::remote;
use trunkline_interop::wait;

const PORT: u16 = 9100;

#[test]
fn over_ipv4() {
    let _took = wait::Took::new("release verbs over IPv4");
    verbs_work(false);
}

#[test]
fn over_ipv6() {
    let _took = wait::Took::new("release verbs over IPv6");
    verbs_work(true);
}

fn verbs_work(ipv6: bool) {
    let mut fleet = Fleet::new(Settings {
        ipv6,
        dist_port: Some(PORT),
        ..Settings::default()
    })
    .unwrap();
    for n in 1..=2 {
        fleet.create(n, Naming::Trunkline).unwrap();
    }
    fleet.boot_all(&[1, 2]).unwrap();
    for n in 1..=2 {
        let member = fleet.member(n);
        let node = verb(member, &["rpc", "IO.puts(node())"]);
        assert_eq!(node.trim(), member.node);
        let ports = run(member.host.command("ss").args(["-tlnH"])).unwrap();
        assert!(ports.contains(&format!(":{PORT} ")), "{ports}");
        let pid = verb(member, &["pid"]);
        assert_eq!(
            pid.trim(),
            member
                .release
                .eval("System.pid()")
                .unwrap()
                .trim_matches('"')
        );
        let mut shell = member.release.command(member.release.script()).unwrap();
        shell.arg("remote").current_dir("/");
        let line = "IO.puts(\"answer \" <> to_string(node()) <> \" #{6 * 7}\")";
        let output = remote(&shell, &[line], &member.host.dir().join("remote.txt")).unwrap();
        let answer = format!("answer {} 42", member.node);
        assert!(output[0].contains(&answer), "{output:?}");
        verb(member, &["stop"]);
        let member = fleet.member_mut(n);
        let status = member.process().wait(PATIENCE);
        assert!(status.success(), "{status}: {}", member.log());
    }
}

/// `bin/fleet_app VERB` from the folder `/`, without a variable but `PATH`, `HOME` and `LANG`.
fn verb(member: &Member, args: &[&str]) -> String {
    let script = member.release.script();
    run(member
        .release
        .command(script)
        .unwrap()
        .args(args)
        .current_dir("/"))
    .unwrap()
}
