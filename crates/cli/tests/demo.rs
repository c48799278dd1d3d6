//! `trunkline demo` through the real binary.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

fn trunkline(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
    command.args(args).stdin(Stdio::null());
    command
}

fn lines(child: &mut Child) -> impl Iterator<Item = Value> + use<> {
    let stdout = child.stdout.take().expect("a pipe");
    let lines = BufReader::new(stdout).lines();
    lines.map(|line| serde_json::from_str(&line.expect("text")).expect("JSON"))
}

fn pids(line: &Value) -> Vec<u64> {
    let nodes = line["nodes"].as_array().expect("nodes");
    nodes
        .iter()
        .filter_map(|node| node["pid"].as_u64())
        .collect()
}

fn proc(pid: u64, file: &str) -> PathBuf {
    format!("/proc/{pid}/{file}").into()
}

fn until(what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < LIMIT, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A process that is gone, or waits for its parent to notice.
fn ended(pid: u64) -> bool {
    std::fs::read_to_string(proc(pid, "stat")).map_or(true, |stat| stat.contains(") Z "))
}

#[test]
fn once() {
    let output = trunkline(&["demo", "--once"]).output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(text.contains("the mesh is whole"), "{text}");
    assert!(text.contains("demo@127.0.0.3     ●   ●   –"), "{text}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn one_handshake_is_one() {
    let args = ["demo", "--once", "--nodes", "2"];
    let output = trunkline(&args).output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains(" ms, 1 handshake so far\n"), "{text}");
}

#[test]
fn once_as_json() {
    let args = ["demo", "--once", "--json", "--nodes", "6"];
    let output = trunkline(&args).output().expect("it starts");
    assert!(output.status.success(), "{output:?}");
    let line: Value = serde_json::from_slice(&output.stdout).expect("one line of JSON");
    assert_eq!(line["event"], "mesh");
    assert_eq!(line["edges"].as_array().map(Vec::len), Some(15));
    assert_eq!(line["missing"].as_array().map(Vec::len), Some(0));
    // Both ends dial: one connection comes of it all the same.
    assert_eq!(line["handshakes"], 15);
    assert!(line["ms"].is_u64());
    for pid in pids(&line) {
        until("the nodes have ended", || ended(pid));
    }
}

#[test]
fn one_is_killed_and_comes_back_and_nothing_outlives_the_demo() {
    let mut demo = trunkline(&["demo", "--json"])
        // What this machine has in its environment may look like a cookie.
        .env_clear()
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = lines(&mut demo);
    let mut next = || lines.next().expect("another line");
    let mesh = next();
    assert_eq!(
        (mesh["event"].as_str(), pids(&mesh).len()),
        (Some("mesh"), 3)
    );
    let killed = next();
    assert_eq!(killed["event"], "killed");
    assert!(killed["nodes"][2]["pid"].is_null());
    assert_eq!(killed["missing"].as_array().map(Vec::len), Some(2));
    let returned = next();
    assert_eq!(returned["event"], "returned");
    assert_eq!(returned["missing"].as_array().map(Vec::len), Some(0));
    let (before, after) = (pids(&mesh), pids(&returned));
    assert_eq!(before.get(..2), after.get(..2));
    assert_ne!(before.get(2), after.get(2));

    // The cookie is in no argument and in no environment: nothing there is as random.
    for pid in after.iter().copied().chain([u64::from(demo.id())]) {
        for file in ["cmdline", "environ"] {
            let bytes = std::fs::read(proc(pid, file)).expect("it runs");
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let hex = |word: &str| word.len() == 32 && word.chars().all(|c| c.is_ascii_hexdigit());
            let words = text.split(|c: char| !c.is_ascii_alphanumeric());
            assert!(!words.into_iter().any(hex), "{file} of {pid}: {text}");
        }
    }

    // SIGKILL: the demo cannot do anything any more.
    demo.kill().expect("it runs");
    demo.wait().expect("it ends");
    for pid in after {
        until("a node ends with the demo", || ended(pid));
    }
}

#[test]
fn mistakes() {
    let alone = trunkline(&["demo-node"]).output().expect("it starts");
    assert_eq!(alone.status.code(), Some(2));
    insta::assert_snapshot!(String::from_utf8_lossy(&alone.stderr), @"trunkline: this is a part of `trunkline demo`, and no verb of its own · demo-node · use `trunkline demo`");
    let one = trunkline(&["demo", "--nodes", "1"])
        .output()
        .expect("it starts");
    assert_eq!(one.status.code(), Some(2));
    let help = trunkline(&["--help"]).output().expect("it starts");
    assert!(!String::from_utf8_lossy(&help.stdout).contains("demo-node"));
}
