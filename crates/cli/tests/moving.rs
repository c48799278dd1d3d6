//! The guides for moving over name only options that there are, and the systemd guide only units that systemd takes.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

mod util;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use util::{TRUNKLINE, stdout, texts, trunkline};

const MOVING: [&str; 2] = ["moving-from-libcluster", "moving-from-dns_cluster"];

fn guide(name: &str) -> String {
    let path = format!("{}/../../docs/guides/{name}.md", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn json(args: &str) -> Value {
    serde_json::from_str(&stdout(&mut trunkline(args))).unwrap()
}

fn is_built(name: &str) -> bool {
    let shown = trunkline(&format!("strategies {name}")).output().unwrap();
    shown.status.success()
}

fn options(strategy: &str) -> BTreeSet<String> {
    let details = json(&format!("strategies {strategy} --json"));
    let options = details["options"].as_array().unwrap().iter();
    options
        .map(|option| option["name"].as_str().unwrap().to_owned())
        .chain(["strategy".to_owned()])
        .collect()
}

/// What stands in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_option_of_ours_that_is_named_is_one() {
    let example = stdout(&mut trunkline("config example"));
    let mut checked = 0;
    for name in MOVING {
        let mut known = options("dns");
        for line in guide(name).lines() {
            if let Some((_, ours)) = line.strip_prefix("## ").and_then(|l| l.split_once('→')) {
                let strategy = quoted(ours).next().unwrap();
                known = match is_built(strategy) {
                    true => options(strategy),
                    // Its page is written before it is.
                    false => BTreeSet::new(),
                };
            }
            let Some(cell) = line.strip_prefix('|').and_then(|row| row.split('|').nth(1)) else {
                continue;
            };
            for option in quoted(cell) {
                checked += 1;
                if let Some((_, key)) = option.split_once("] ") {
                    assert!(
                        example.contains(&format!("\n#{key} = ")),
                        "{name}: {option}"
                    );
                } else {
                    assert!(
                        known.is_empty() || known.contains(option),
                        "{name}: {line}: {option}"
                    );
                }
            }
        }
    }
    assert!(checked > 20, "{checked}");
}

#[test]
fn every_module_is_mapped_and_what_is_not_built_is_not() {
    let guides: String = MOVING.iter().map(|name| guide(name)).collect();
    let list = json("strategies --json");
    for row in list["strategies"].as_array().unwrap() {
        for module in row["modules"].as_array().unwrap() {
            let module = module.as_str().unwrap();
            let heading = guides
                .lines()
                .find(|line| line.starts_with(&format!("## `{module}`")));
            let heading = heading.unwrap_or_else(|| panic!("no heading for {module}"));
            let ours = format!("→ `{}`", row["name"].as_str().unwrap());
            assert!(heading.ends_with(&ours), "{heading}");
        }
    }
    let unbuilt = guides
        .lines()
        .filter(|line| line.starts_with("## ") && line.ends_with(": not built yet"));
    for heading in unbuilt {
        let module = quoted(heading).next().unwrap();
        assert!(!is_built(module), "{heading}: it is built now");
    }
}

/// Programs and users of the guide are stood in for.
#[test]
fn units_that_systemd_takes() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("program");
    fs::copy(TRUNKLINE, &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let text = guide("systemd");
    let mut units = Vec::new();
    for block in text.split("\n```ini ").skip(1) {
        let (name, rest) = block.split_once('\n').unwrap();
        let (unit, _) = rest.split_once("\n```").unwrap();
        parsed(unit);
        // Programs and users of the guide are not here.
        let unit = unit
            .replace("/usr/local/bin/trunkline", program.to_str().unwrap())
            .replace("User=my_app", "User=daemon");
        let path = dir.path().join(name);
        fs::write(&path, unit).unwrap();
        units.push(path);
    }
    assert_eq!(units.len(), 2);
    let mut verify = Command::new("systemd-analyze");
    match verify.arg("verify").args(&units).output() {
        Ok(said) => {
            let (out, err) = texts(&said);
            let ours = |line: &&str| line.contains(dir.path().to_str().unwrap());
            let complaints: Vec<_> = out.lines().chain(err.lines()).filter(ours).collect();
            assert!(complaints.is_empty(), "{complaints:#?}");
        }
        Err(error) => eprintln!("systemd-analyze: {error}; only parsed"),
    }
}

/// Sections that there are, keys with a value, the arguments of ours that we take.
fn parsed(unit: &str) {
    let mut section = "";
    for line in unit
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        if line.starts_with('[') {
            section = line;
            assert!(
                ["[Unit]", "[Service]", "[Install]"].contains(&section),
                "{line}"
            );
            continue;
        }
        let (key, value) = line.split_once('=').unwrap();
        assert!(
            !section.is_empty() && key.chars().all(char::is_alphanumeric),
            "{line}"
        );
        if key == "ExecStart" {
            let ours = value.strip_prefix("/usr/local/bin/trunkline ").unwrap();
            let (flags, _) = ours.split_once(" -- ").unwrap_or((ours, ""));
            let help = trunkline(&format!("{} --help", flags.split(' ').next_back().unwrap()));
            assert!(Path::new(TRUNKLINE).exists() && { help }.output().unwrap().status.success());
        }
        if key == "ExecReload" {
            assert_eq!(value, "/bin/kill -HUP $MAINPID");
        }
    }
    assert!(unit.contains("\nEnvironmentFile=/etc/trunkline/secrets\n"));
}
