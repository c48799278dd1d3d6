//! `trunkline cookie` through the real binary.

mod util;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use insta::assert_snapshot;
use util::{seen, stdout, trunkline};

const GOOD: &str = "QWERTZUIOPASDFGHJKLYX";

#[test]
fn generated_cookies_are_strong() {
    for _ in 0..50 {
        let line = stdout(&mut trunkline("cookie generate"));
        let cookie = line.strip_suffix('\n').unwrap();
        assert_eq!(cookie.len(), 54);
        assert!(!cookie.starts_with('-'));
        assert!(
            cookie
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        );
        let checked = seen(trunkline("cookie check").env("RELEASE_COOKIE", cookie));
        assert!(checked.starts_with("exit 0\n"), "{checked}");
    }
}

#[test]
fn a_good_one() {
    assert_snapshot!(seen(trunkline("cookie check").env("RELEASE_COOKIE", GOOD)), @r"
    exit 0
    stdout: the cookie in RELEASE_COOKIE
    stdout:   no weakness found
    ");
    assert_snapshot!(seen(trunkline("cookie check --json").env("RELEASE_COOKIE", GOOD)), @r#"
    exit 0
    stdout: {"source":"RELEASE_COOKIE","weaknesses":[]}
    "#);
}

#[test]
fn weak_ones() {
    assert_snapshot!(seen(trunkline("cookie check").env("RELEASE_COOKIE", "secret")), @r"
    exit 1
    stdout: the cookie in RELEASE_COOKIE
    stdout:   it is one that everybody tries first · make a new one: trunkline cookie generate
    stdout:   it has fewer than 20 characters · make a new one: trunkline cookie generate
    stdout:   it has fewer than 8 different characters · make a new one: trunkline cookie generate
    stderr: trunkline: the cookie is weak: it is one that everybody tries first · RELEASE_COOKIE · make a new one: trunkline cookie generate
    ");
    let newline = format!("{GOOD}\n");
    assert_snapshot!(seen(trunkline("cookie check --json").env("RELEASE_COOKIE", &newline)), @r#"
    exit 1
    stdout: {"source":"RELEASE_COOKIE","weaknesses":[{"code":"trailing_newline","text":"it ends with a newline, which the BEAM takes as part of it","cure":"set it without one: printf %s, not echo"}]}
    stderr: trunkline: the cookie is weak: it ends with a newline, which the BEAM takes as part of it · RELEASE_COOKIE · set it without one: printf %s, not echo
    "#);
    let dash = format!("-{GOOD}");
    assert_snapshot!(seen(trunkline("cookie check").env("RELEASE_COOKIE", &dash)), @r"
    exit 1
    stdout: the cookie in RELEASE_COOKIE
    stdout:   it begins with -, which erl takes for a flag · make a new one: trunkline cookie generate
    stderr: trunkline: the cookie is weak: it begins with -, which erl takes for a flag · RELEASE_COOKIE · make a new one: trunkline cookie generate
    ");
}

#[test]
fn a_file_that_others_can_read() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join(".erlang.cookie");
    fs::write(&path, format!("{GOOD}\r\n")).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let seen = |mode| {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let seen = seen(trunkline("cookie check").env("HOME", home.path()));
        seen.replace(home.path().to_str().unwrap(), "$HOME")
    };
    assert_snapshot!(seen(0o644), @r"
    exit 1
    stdout: the cookie in $HOME/.erlang.cookie
    stdout:   its file has mode 0644, others can read it · chmod 400 the file
    stderr: trunkline: the cookie is weak: its file has mode 0644, others can read it · $HOME/.erlang.cookie · chmod 400 the file
    ");
    assert_snapshot!(seen(0o400), @r"
    exit 0
    stdout: the cookie in $HOME/.erlang.cookie
    stdout:   no weakness found
    ");
}

#[test]
fn none_at_all() {
    assert_snapshot!(seen(&mut trunkline("cookie check")), @r"
    exit 1
    stderr: trunkline: there is no cookie · RELEASE_COOKIE, $RELEASE_ROOT/releases/COOKIE, $HOME/.erlang.cookie · make one (trunkline cookie generate) and give every node the same
    ");
    assert_snapshot!(seen(&mut trunkline("cookie check --cookie-file /nowhere")), @r"
    exit 2
    stderr: trunkline: there is no such file · /nowhere · put the cookie there, or name another place
    ");
    assert_snapshot!(seen(trunkline("cookie check").env("RELEASE_COOKIE", "x".repeat(256))), @r"
    exit 2
    stderr: trunkline: the cookie is longer than 255 characters · RELEASE_COOKIE · put the cookie there, or name another place
    ");
}

#[test]
fn never_printed() {
    for secret in [
        "hush-hush",
        "hush-hush\n",
        "-hush-hush",
        &"hush".repeat(100),
    ] {
        for args in [
            "cookie check",
            "cookie check --json",
            "--log-level trace cookie check",
        ] {
            let seen = seen(trunkline(args).env("RELEASE_COOKIE", secret));
            assert!(!seen.contains("hush"), "{seen}");
        }
    }
}
