//! `bin/app remote`, `rpc`, `stop` and `pid` on each host, from a shell that inherited nothing, with a fixed port.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

use std::fs;
use std::io::Write;
use std::process::Stdio;

use trunkline_interop::fleet::{Fleet, Member, Naming, PATIENCE, Settings};
use trunkline_interop::process::{read_lossy, run};
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
        fleet.boot(n).unwrap();
    }
    for n in 1..=2 {
        fleet.until_booted(n);
    }
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
        let output = remote(
            member,
            "IO.puts(\"answer \" <> to_string(node()) <> \" #{6 * 7}\")",
        );
        assert!(
            output.contains(&format!("answer {} 42", member.node)),
            "{output}"
        );
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

/// Types a line into `bin/fleet_app remote` on a pseudo terminal, and gives all that the terminal showed.
fn remote(member: &Member, line: &str) -> String {
    let shown = member.host.dir().join("remote.txt");
    fs::write(&shown, "").unwrap();
    let command = format!("{} remote", member.release.script().display());
    let mut script = member.release.command("script").unwrap();
    let mut child = script
        .args(["--quiet", "--return", "--flush", "--command", &command])
        .arg(&shown)
        .env("TERM", "xterm")
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut keys = child.stdin.take().unwrap();
    let prompt = || read_lossy(&shown).contains(")1>").then_some(());
    if wait::within(PATIENCE, prompt).is_none() {
        panic!("no prompt: {}", read_lossy(&shown));
    }
    keys.write_all(format!("{line}\n").as_bytes()).unwrap();
    wait::within(PATIENCE, || {
        read_lossy(&shown).contains(")2>").then_some(())
    });
    // Ctrl-G q: leave the shell, not the node.
    keys.write_all(b"\x07").unwrap();
    wait::within(PATIENCE, || {
        read_lossy(&shown).contains("-->").then_some(())
    });
    keys.write_all(b"q\n").unwrap();
    drop(keys);
    let ended = wait::within(PATIENCE, || child.try_wait().unwrap());
    let text = read_lossy(&shown);
    if ended.is_none() {
        child.kill().unwrap();
        panic!("the shell does not end: {text}");
    }
    text
}
