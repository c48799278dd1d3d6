//! The tests of the crates, and those against real OTP and real servers. The latter wait far more than they compute (a tenth of
//! their time is a processor's) and each has hosts of its own, so more of their files run side by side than there are cores.

use std::collections::VecDeque;
use std::env;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::run::{cargo, root, shown, standing_back};

const PACKAGE: &str = "trunkline-interop";

/// These compare durations, or have many nodes and short tick times: they run one at a time, after all others.
const ALONE: &[&str] = &["conformance", "crowd_of_dead", "dead_hosts"];

/// These take minutes and begin first.
const FIRST: &[&str] = &[
    "fleet_api_troubles",
    "fly_beside_dns_cluster",
    "fly_dns_troubles",
    "fleet_leaves",
];

/// Stories of several worlds that wait for minutes in which nothing happens: all worlds at once, whatever the cores.
const WAITING: &[(&str, &str)] = &[
    ("fleet_api_troubles", "4"),
    ("fleet_freeze", "4"),
    ("fleet_leaves", "4"),
    ("fly_beside_dns_cluster", "4"),
    ("fly_dns_troubles", "4"),
];

/// So many more run side by side than there are cores.
const MORE: usize = 2;

/// Runs the tests of the crates and every file of `interop/tests`, also after one has failed: who reads a log of CI cannot ask
/// again.
pub(crate) fn run() -> Result<()> {
    let (mut failed, ahead) = first();
    let (alone, files): (Vec<String>, Vec<String>) = files(&root().join("interop/tests"))?
        .into_iter()
        .partition(|file| ALONE.contains(&file.as_str()));
    let cores = thread::available_parallelism().map_or(2, usize::from);
    failed.extend(side_by_side(files, cores.saturating_add(MORE)));
    failed.extend(side_by_side(alone, 1));
    if let Some(mut ahead) = ahead {
        // Whether it was well is said by the stories that run what it made.
        ahead.wait()?;
    }
    if !failed.is_empty() {
        bail!("these failed: {}", failed.join(" "));
    }
    Ok(())
}

/// All that is no story, with nothing beside it: many of these tests have tick times and time-outs of a second, and stories build
/// the binary that the crates' tests start. What failed, and the build that still runs.
fn first() -> (Vec<String>, Option<Child>) {
    let others = ["--workspace", "--exclude", PACKAGE];
    let own = ["--package", PACKAGE, "--lib", "--bins"];
    let mut failed = Vec::new();
    let mut part = |name: &str, which: &[&str], more: &str| {
        let mut command = cargo();
        command.arg("test").args(which);
        if let Err(why) = shown(command.arg(more)) {
            println!("xtask: {name} FAILED: {why:#}");
            failed.push(name.to_owned());
        }
    };
    part("crates, built", &others, "--no-run");
    let ahead = build_ahead();
    part("crates", &others, "--no-fail-fast");
    part("interop's own", &own, "--no-fail-fast");
    part("stories, built", &["--package", PACKAGE], "--no-run");
    (failed, ahead)
}

/// Begins to build what users run, which takes minutes of all cores: with what the tests leave over, since those mostly wait. Where
/// it cannot be begun, the stories that need it build it.
fn build_ahead() -> Option<Child> {
    let log = root().join("target/dist.log");
    let mut build = standing_back(Command::new(env::current_exe().ok()?).arg("dist"));
    build.stdout(Stdio::null()).stdin(Stdio::null());
    build.stderr(File::create(log).ok()?).spawn().ok()
}

/// The names of the test files, in the order in which they begin.
fn files(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let is_test =
            path.extension().is_some_and(|rs| rs == "rs") || path.join("main.rs").exists();
        if let (true, Some(name)) = (is_test, path.file_stem()) {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    let turn = |name: &str| FIRST.iter().position(|first| *first == name);
    names.sort_by_key(|name| (turn(name).unwrap_or(FIRST.len()), name.clone()));
    Ok(names)
}

/// Runs `files`, at most `limit` at a time; prints what each said when it has ended. The names of
/// those that failed.
fn side_by_side(files: Vec<String>, limit: usize) -> Vec<String> {
    let queue = Mutex::new(VecDeque::from(files));
    let failed = Mutex::new(Vec::new());
    let print = Mutex::new(());
    let next = || lock(&queue).pop_front();
    thread::scope(|scope| {
        for _ in 0..limit {
            scope.spawn(|| {
                while let Some(file) = next() {
                    // One that never ends has its name in the log.
                    println!("xtask: {file} begins");
                    let begun = Instant::now();
                    let outcome = one(&file);
                    let _turn = lock(&print);
                    if !tell(&file, outcome, begun.elapsed()) {
                        lock(&failed).push(file);
                    }
                }
            });
        }
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Runs one file. What it printed, and whether it passed.
fn one(file: &str) -> Result<(String, bool)> {
    let log = root().join("target/interop").join(format!("{file}.log"));
    fs::create_dir_all(log.parent().expect("it is in target/interop"))?;
    let sink = File::create(&log).with_context(|| log.display().to_string())?;
    let mut command: Command = cargo();
    command
        .args(["test", "--quiet", "--package", PACKAGE, "--test", file])
        .args(threads(file))
        .stdout(sink.try_clone()?)
        .stderr(sink);
    let passed = command.status()?.success();
    Ok((
        String::from_utf8_lossy(&fs::read(&log)?).into_owned(),
        passed,
    ))
}

/// How many tests of a file run at once, where it is not as many as there are cores.
fn threads(file: &str) -> Vec<&'static str> {
    let waiting = WAITING.iter().find(|(name, _)| *name == file);
    waiting.map_or_else(Vec::new, |(_, count)| vec!["--", "--test-threads", count])
}

/// Prints the end of one file: everything it said when it failed. Whether it passed.
fn tell(file: &str, outcome: Result<(String, bool)>, took: Duration) -> bool {
    let (said, passed) = outcome.unwrap_or_else(|error| (format!("{error:#}\n"), false));
    let verdict = if passed { "passed" } else { "FAILED" };
    println!("xtask: {file} {verdict} in {} s", took.as_secs());
    if !passed {
        print!("{said}");
    }
    passed
}

/// A thread that panicked here has left nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_test_file_is_found_and_the_long_ones_begin() {
        let files = files(&root().join("interop/tests")).unwrap();
        assert_eq!(&files[..FIRST.len()], FIRST);
        let waiting = WAITING.iter().map(|(name, _)| name);
        for known in ["attached", "lab", "etf_port"]
            .iter()
            .chain(ALONE)
            .chain(waiting)
        {
            assert!(files.iter().any(|file| file == known), "{known}");
        }
    }

    #[test]
    fn one_that_cannot_run_is_named_and_the_others_run() {
        let outcome = side_by_side(vec!["no_such_test".into(), "nor_this".into()], 2);
        assert_eq!(outcome.len(), 2);
    }
}
