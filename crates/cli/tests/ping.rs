//! `trunkline ping` and `nodes` through the real binary, as far as no node is needed.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

mod util;

use std::process::Command;

use insta::assert_snapshot;
use util::{free_port, seen, trunkline};

const COOKIE: &str = "QWERTZUIOPASDFGHJKLYX";

/// In a home of its own, with a cookie, and a port mapper's port on which nothing listens.
fn lonely(args: &str) -> (tempfile::TempDir, u16, Command) {
    let home = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut command = trunkline(args);
    command
        .env("XDG_RUNTIME_DIR", home.path())
        .env("ERL_EPMD_PORT", port.to_string())
        .env("RELEASE_COOKIE", COOKIE);
    (home, port, command)
}

#[test]
fn no_epmd() {
    let (_home, port, mut command) = lonely("ping app@127.0.0.1");
    assert_snapshot!(seen(&mut command).replace(&port.to_string(), "PORT"), @r"
    exit 1
    stdout: pang: epmd_unreachable: epmd at 127.0.0.1:PORT refuses the connection · start the node (it starts epmd), or set ERL_EPMD_PORT on both sides alike
    ");
    let (_home, port, mut command) = lonely("ping app@127.0.0.1 --json");
    assert_snapshot!(seen(&mut command).replace(&port.to_string(), "PORT"), @r#"
    exit 1
    stdout: {"node":"app@127.0.0.1","result":"pang","reason":{"code":"epmd_unreachable","text":"epmd at 127.0.0.1:PORT refuses the connection"},"rtt_us":null}
    "#);
}

#[test]
fn malformed_names() {
    let seen = |args| seen(&mut lonely(args).2);
    assert_snapshot!(seen("ping app"), @r#"
    exit 2
    stderr: trunkline: "app" is no node name: a node name is name@host, this has no @ · NODE · write it as name@host, for example app@10.0.0.5
    "#);
    assert_snapshot!(seen("ping app --json"), @r#"
    exit 2
    stdout: {"node":"app","result":"pang","reason":{"code":"bad_name","text":"not a node name: a node name is name@host, this has no @"},"rtt_us":null}
    stderr: trunkline: "app" is no node name: a node name is name@host, this has no @ · NODE · write it as name@host, for example app@10.0.0.5
    "#);
    assert_snapshot!(seen("ping a@b/c"), @r#"
    exit 2
    stderr: trunkline: "a@b/c" is no node name: '/' cannot be in the part after the @ · NODE · write it as name@host, for example app@10.0.0.5
    "#);
}

#[test]
fn mistakes() {
    let (_home, _, mut command) = lonely("ping app@127.0.0.1");
    assert_snapshot!(seen(command.env_remove("RELEASE_COOKIE")), @r"
    exit 2
    stderr: trunkline: no cookie was found · configuration, RELEASE_COOKIE, $RELEASE_ROOT/releases/COOKIE, ~/.erlang.cookie · give --cookie-file FILE
    ");
    let (_home, _, mut command) = lonely("ping app@127.0.0.1 --cookie-file /nonexistent");
    assert_snapshot!(seen(&mut command), @r"
    exit 2
    stderr: trunkline: there is no such file · /nonexistent · put the cookie there, or name another place
    ");
    let (_home, _, mut command) = lonely("ping app@127.0.0.1");
    assert_snapshot!(seen(command.env("ERL_EPMD_PORT", "many")), @r#"
    exit 2
    stderr: trunkline: "many" is no port · ERL_EPMD_PORT · set it to a number from 1 to 65535, the same on all hosts
    "#);
    let (_home, _, mut command) = lonely("ping app@127.0.0.1 --timeout 0");
    assert_snapshot!(seen(&mut command), @r"
    exit 2
    stderr: trunkline: invalid value '0' for '--timeout <DURATION>': it must be longer than nothing · trunkline ping · see trunkline ping --help
    ");
}
