//! `trunkline strategies` through the real binary.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

mod util;

use insta::assert_snapshot;
use serde_json::Value;
use util::{seen, stdout, trunkline};

fn json(args: &str) -> Value {
    serde_json::from_str(&stdout(&mut trunkline(args))).unwrap()
}

#[test]
fn everything_that_is_built_in() {
    let text = stdout(&mut trunkline("strategies"));
    let list = json("strategies --json");
    let rows = list["strategies"].as_array().unwrap();
    assert!(rows.len() >= 3);
    for row in rows {
        let name = row["name"].as_str().unwrap();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        assert!(line.contains(row["summary"].as_str().unwrap()), "{line}");
        for module in row["modules"].as_array().unwrap() {
            assert!(line.contains(module.as_str().unwrap()), "{line}");
        }
    }
    let droplets = rows
        .iter()
        .find(|row| row["name"] == "digitalocean")
        .unwrap();
    assert_eq!(droplets["modules"][0], "Cluster.Strategy.Droplet");
}

#[test]
fn every_option_of_one() {
    for row in json("strategies --json")["strategies"].as_array().unwrap() {
        let name = row["name"].as_str().unwrap();
        let text = stdout(&mut trunkline(&format!("strategies {name}")));
        let details = json(&format!("strategies {name} --json"));
        let options = details["options"].as_array().unwrap();
        assert!(options.iter().any(|o| o["name"] == "health_check"));
        for option in options {
            let key = option["name"].as_str().unwrap();
            for part in ["summary", "allowed", "default", "example"] {
                let Some(part) = option[part].as_str() else {
                    continue;
                };
                assert!(text.contains(part), "{name}: {key}: {part}");
            }
        }
    }
}

/// The part before the options that every strategy takes.
#[test]
fn a_list_of_hosts() {
    let text = seen(&mut trunkline("strategies Cluster.Strategy.Epmd"));
    let own = text.split("stdout: \nstdout: enabled").next().unwrap();
    assert_snapshot!(own, @r#"
    exit 0
    stdout: epmd: a fixed list of nodes, found through EPMD on their hosts
    stdout: also accepted: Cluster.Strategy.Epmd
    stdout: 
    stdout: hosts  (required)
    stdout:   the nodes
    stdout:   takes    a list of node names, ["app@10.0.0.5", …]
    stdout:   example  hosts = ["app@10.0.0.5", "app@10.0.0.6"]
    "#);
    assert!(
        text.contains("timeout  not taken: every node is retried"),
        "{text}"
    );
}

#[test]
fn a_name_that_is_none() {
    assert_snapshot!(seen(&mut trunkline("strategies digital-ocean")), @r"
    exit 2
    stderr: trunkline: there is no strategy 'digital-ocean' · NAME · did you mean digitalocean?
    ");
    let far = seen(&mut trunkline("strategies rabbit"));
    assert!(
        far.contains("there is no strategy 'rabbit' · NAME · built in are "),
        "{far}"
    );
}
