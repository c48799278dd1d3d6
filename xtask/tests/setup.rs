//! `cargo xtask setup` on a machine that has nothing, with an `apt-get` that only writes down what it is told.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// Some of what is installed; programs in `/usr/sbin` are found whatever PATH says.
const WANTED: [(&str, &str); 5] = [
    ("erl", "erlang-nox"),
    ("elixir", "elixir"),
    ("openssl", "openssl"),
    ("mmdebstrap", "mmdebstrap"),
    ("kdig", "knot-dnsutils"),
];

/// All programs that a package of the real list brings.
const PROGRAMS: &str = "cc curl erl openssl elixir ip nft script mmdebstrap unshare knotd kdig unbound perf valgrind objdump";

/// PATH has this folder and nothing else.
fn setup(path: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("setup").env_clear().env("PATH", path);
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8(text).unwrap()
}

/// An `apt-get` that appends its arguments to `asked`, and makes these programs when it is to install.
fn apt_get(path: &Path, programs: &str) {
    let file = path.join("apt-get");
    let here = path.display();
    let script = format!(
        "#!/bin/sh\necho \"$@\" >>{here}/asked\ncase \"$*\" in *install*) for program in {programs}; do : >{here}/$program; done;; esac\n"
    );
    fs::write(&file, script).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o755)).unwrap();
}

fn asked(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path.join("asked")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn what_is_missing_is_said_and_installed_once() {
    let path = TempDir::new().unwrap();
    apt_get(path.path(), PROGRAMS);
    let first = setup(path.path());
    let text = said(&first);
    for (program, package) in WANTED {
        let line = format!("setup: missing {program} ({package}), for ");
        assert_eq!(text.matches(&line).count(), 1, "{text}");
    }
    if !rustix::process::geteuid().is_root() {
        assert!(!first.status.success(), "{text}");
        assert!(text.contains("run as root: apt-get install -y --no-install-recommends "));
        assert_eq!(asked(path.path()), [""; 0]);
        return;
    }
    assert!(first.status.success(), "{text}");
    let calls = asked(path.path());
    assert_eq!(calls.len(), 2, "{calls:?}");
    assert_eq!(calls[0], "-q update");
    let packages = calls[1].strip_prefix("-q -y --no-install-recommends install ");
    let packages: Vec<&str> = packages.unwrap().split(' ').collect();
    for (_, package) in WANTED {
        let times = packages.iter().filter(|it| **it == package).count();
        assert_eq!(times, 1, "{package} in {packages:?}");
    }
    let again = setup(path.path());
    assert!(again.status.success(), "{}", said(&again));
    assert_eq!(asked(path.path()), calls, "{}", said(&again));
}

#[test]
fn a_package_that_brings_no_program_is_named() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let path = TempDir::new().unwrap();
    apt_get(path.path(), &PROGRAMS.replace(" elixir", ""));
    let output = setup(path.path());
    let text = said(&output);
    assert!(!output.status.success(), "{text}");
    assert!(
        text.contains("elixir is installed and there is no elixir"),
        "{text}"
    );
}

#[test]
fn another_system_is_told_what_to_install() {
    let path = TempDir::new().unwrap();
    let output = setup(path.path());
    let text = said(&output);
    assert!(!output.status.success(), "{text}");
    assert!(
        text.contains("install these with your system's packages: "),
        "{text}"
    );
    for (_, package) in WANTED {
        assert!(text.contains(package), "{text}");
    }
}
