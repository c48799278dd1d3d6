//! `erlang_hosts`: a file that changes under the source, hosts that come and go, and options.

#![allow(clippy::unwrap_used)] // a test may panic

mod support;

use std::path::Path;

use support::epmd::Mapper;
use support::{Running, build, hosts, line, start};
use trunkline_discovery::Report;

fn names(report: &Report) -> Vec<&str> {
    let answer = report.answer.as_ref().unwrap();
    answer.peers.iter().map(|peer| peer.node.as_str()).collect()
}

fn run(file: &Path) -> Running {
    let options = format!(
        "strategy = 'Cluster.Strategy.ErlangHosts'\npath = '{}'\npolling_interval = '1s'\n",
        file.display()
    );
    start(&options, Some("app@10.0.0.1"))
}

/// The first report for which `wanted` holds, of the next few.
async fn next(running: &mut Running, wanted: impl Fn(&Report) -> bool) -> Report {
    for _ in 0..20 {
        let report = running.next().await;
        if wanted(&report) {
            return report;
        }
    }
    panic!("it does not come");
}

#[tokio::test(start_paused = true)]
async fn the_file_is_read_again_however_it_changes() {
    for n in 1..=3 {
        hosts().list(&format!("10.0.0.{n}"), &["app", "-tool"]);
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hosts");
    let mut running = run(&file);
    let missing = running.next().await;
    let said = format!(
        "{}: there is no such file · write it, one host on a line: 'host.example.org'.",
        file.display()
    );
    assert_eq!(line(&missing), said);

    std::fs::write(&file, "'10.0.0.1'.\n'10.0.0.2'.\n").unwrap();
    let first = next(&mut running, |report| report.answer.is_ok()).await;
    assert_eq!(names(&first), ["app@10.0.0.1", "app@10.0.0.2"]);
    assert!(first.answer.as_ref().unwrap().peers[0].is_self);

    // As long as before, and as new as the clock of the file system tells.
    std::fs::write(&file, "'10.0.0.1'.\n'10.0.0.3'.\n").unwrap();
    let second = running.next().await;
    assert_eq!(names(&second), ["app@10.0.0.1", "app@10.0.0.3"]);

    // Replaced by another, as editors and configuration tools do.
    let other = dir.path().join("new");
    std::fs::write(&other, "'10.0.0.2'.\n'10.0.0.1'.\n").unwrap();
    std::fs::rename(&other, &file).unwrap();
    assert_eq!(
        names(&running.next().await),
        ["app@10.0.0.1", "app@10.0.0.2"]
    );

    // Half of it is no list, and neither is none.
    for broken in ["'10.0.0.1'.\n'10.0.", ""] {
        std::fs::write(&file, broken).unwrap();
        assert!(running.next().await.answer.is_err(), "{broken:?}");
    }
    std::fs::remove_file(&file).unwrap();
    assert!(running.next().await.answer.is_err());
    std::fs::write(&file, "\"10.0.0.2\".").unwrap();
    let last = next(&mut running, |report| report.answer.is_ok()).await;
    assert_eq!(names(&last), ["app@10.0.0.2"]);
}

#[tokio::test(start_paused = true)]
async fn when_no_host_ever_answered_nobody_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hosts");
    std::fs::write(&file, "'10.0.0.1'.\n'10.0.0.2'.\n'no-such-host.invalid'.\n").unwrap();
    let mut running = run(&file);
    let said = line(&running.next().await);
    assert!(
        said.starts_with("10.0.0.1 (and 2 more): nothing answers at its EPMD port 4369 · "),
        "{said}"
    );
    // One is enough, even if it has no node.
    hosts().set("10.0.0.2", Mapper::Lists(Vec::new()));
    let answer = next(&mut running, |report| report.answer.is_ok())
        .await
        .answer
        .unwrap();
    assert_eq!(answer.peers, []);
    assert!(
        answer.notes[0].starts_with("10.0.0.1: nothing answers"),
        "{:?}",
        answer.notes
    );
}

#[tokio::test(start_paused = true)]
async fn names_are_matched_before_they_are_greeted() {
    hosts().list("10.0.0.1", &["app", "app-2", "web"]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hosts");
    std::fs::write(&file, "'10.0.0.1'.").unwrap();
    let path = file.display();
    for (name_match, expected) in [
        ("'app'", &["app@10.0.0.1", "app-2@10.0.0.1"][..]),
        ("['app', 'web']", &["app@10.0.0.1", "web@10.0.0.1"]),
        ("['none']", &[]),
    ] {
        hosts().asked();
        let options =
            format!("strategy = 'erlang_hosts'\npath = '{path}'\nname_match = {name_match}\n");
        let report = start(&options, Some("me@10.0.0.9")).next().await;
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(names(&report), expected, "{name_match}");
        assert_eq!(hosts().asked().len(), 1 + expected.len(), "{name_match}");
    }
}

#[test]
fn options_that_contradict_each_other() {
    let error = |options: &str| {
        let error = build(&format!("strategy = 'erlang_hosts'\n{options}")).unwrap_err();
        format!("{error} · {}", error.cure())
    };
    assert_eq!(
        error("timeout = '30s'\npolling_interval = '5s'\n"),
        "topologies.web: timeout and polling_interval are both set, and mean the same · remove one of them"
    );
    assert!(
        error("timeout = 30\n").starts_with("topologies.web: timeout = \"30ms\" is not allowed · ")
    );
    assert!(
        error("name_match = ''\n")
            .contains("name_match holds an empty text or list · allowed is a text")
    );
    assert!(error("path = ''\n").contains("path = \"\" is not allowed"));
}
