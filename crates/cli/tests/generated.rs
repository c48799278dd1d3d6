//! `trunkline completions` and `man` through the real binary.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

mod util;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use util::{seen, sh, stdout, texts, trunkline};

/// The verbs that `--help` lists.
fn verbs() -> Vec<String> {
    let help = stdout(&mut trunkline("--help"));
    let verbs: Vec<_> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|verb| !verb.is_empty())
        .map(str::to_owned)
        .collect();
    assert!(verbs.len() > 10, "{help}");
    verbs
}

#[test]
fn every_shell_gets_every_verb() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = stdout(&mut trunkline(&format!("completions {shell}")));
        for verb in verbs() {
            assert!(script.contains(&verb), "{shell}: {verb}");
        }
        assert!(
            !script.contains("demo-node"),
            "{shell}: that is no verb for people"
        );
    }
    let unknown = seen(&mut trunkline("completions command.com"));
    assert!(unknown.starts_with("exit 2\n"), "{unknown}");
    assert!(
        unknown.contains("use one of: bash, elvish, fish"),
        "{unknown}"
    );
}

#[test]
fn bash_takes_its_script_and_completes() {
    let checked = sh("trunkline completions bash | bash -n").output().unwrap();
    assert!(checked.status.success(), "{:?}", texts(&checked));
    let script = r#"
        eval "$(trunkline completions bash)"
        complete_line() {
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
            _trunkline trunkline "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
            echo "${COMPREPLY[@]}"
        }
        complete_line trunkline str
        complete_line trunkline config ch
        complete_line trunkline ping --js
    "#;
    let mut bash = sh("exec bash -c \"$SCRIPT\"");
    let said = stdout(bash.env("SCRIPT", script));
    assert_eq!(said, "strategies\ncheck\n--json\n");
}

#[test]
fn the_manual_names_every_verb_and_renders() {
    let page = stdout(&mut trunkline("man"));
    assert!(page.contains(".TH TRUNKLINE 1"), "{page}");
    for verb in verbs() {
        let named = format!("trunkline\\-{}(1)", verb.replace('-', "\\-"));
        assert!(page.contains(&named), "{verb}: {page}");
    }
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("share/man1");
    let mut command = trunkline("man --dir");
    assert_eq!(seen(command.arg(&pages)), "exit 0\n");
    let names: BTreeSet<_> = fs::read_dir(&pages)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for verb in verbs() {
        assert!(names.contains(&format!("trunkline-{verb}.1")), "{names:?}");
    }
    assert!(names.contains("trunkline.1") && names.contains("trunkline-config-check.1"));
    assert!(
        !names.iter().any(|name| name.contains("demo-node")),
        "{names:?}"
    );
    for name in &names {
        render(&pages.join(name));
    }
}

/// With whatever renders manuals here; without any, what every page begins with.
fn render(page: &Path) {
    let text = fs::read_to_string(page).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines.iter().any(|line| line.starts_with(".TH ")), "{text}");
    for section in ["NAME", "SYNOPSIS"] {
        let heading = format!(".SH {section}");
        assert!(
            lines.iter().any(|line| *line == heading),
            "{}: {section}",
            page.display()
        );
    }
    for (tool, args) in [
        ("mandoc", &["-T", "lint", "-W", "error"][..]),
        ("groff", &["-man", "-ww", "-T", "utf8"]),
    ] {
        let Ok(output) = Command::new(tool).args(args).arg(page).output() else {
            continue;
        };
        let (_, err) = texts(&output);
        assert!(
            output.status.success() && err.is_empty(),
            "{tool} {}: {err}",
            page.display()
        );
    }
}

#[test]
fn a_folder_that_cannot_be_written() {
    let mut command = trunkline("man --dir /dev/null/pages");
    let text = seen(&mut command);
    assert!(
        text.starts_with("exit 1\nstderr: trunkline: the pages are not written: "),
        "{text}"
    );
}
