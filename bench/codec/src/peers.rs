//! Runs the peers, each in a process of its own, and collects what they say.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use trunkline_bench_codec::{Shape, write_all};

/// What was measured.
#[derive(Default, Serialize)]
pub(crate) struct Report {
    /// Versions of those who are compared.
    pub(crate) versions: Vec<String>,
    /// Names, and what one element is.
    pub(crate) shapes: Vec<(&'static str, &'static str)>,
    /// Nanoseconds for an element: by peer and operation, by shape, of each round.
    pub(crate) figures: BTreeMap<String, BTreeMap<&'static str, Vec<f64>>>,
}

/// Rounds of everybody, one after another, so that a slow minute of the machine hits all.
const ROUNDS: usize = 5;

pub(crate) fn measure() -> Result<Report> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = root.join("target");
    let shapes = write_all(&target.join("shapes"))?;
    let files: Vec<&Path> = shapes.iter().map(|(_, file)| file.as_path()).collect();
    let libei = compile_libei(root, &target)?;
    run(Command::new("erlc")
        .arg("-o")
        .arg(&target)
        .arg(root.join("peers/otp.erl")))?;
    let mut report = Report {
        versions: vec![otp_version()?, eetf_version(root)?],
        shapes: shapes
            .iter()
            .map(|(shape, _)| (shape.name, shape.element))
            .collect(),
        ..Report::default()
    };
    for round in 1..=ROUNDS {
        eprintln!("codec: round {round} of {ROUNDS}");
        let said = run(Command::new(&libei).args(&files))?;
        keep_lines(&said, &shapes, &mut report)?;
        let mut erl = Command::new("erl");
        erl.args(["-noshell", "-run", "otp", "main"]).args(&files);
        let said = run(erl.current_dir(&target))?;
        keep_lines(&said, &shapes, &mut report)?;
        let mut bench = Command::new(env!("CARGO"));
        run(bench
            .args(["bench", "--quiet", "--bench", "codec", "--", "--quiet"])
            .current_dir(root))?;
        keep_samples(&target.join("criterion"), &shapes, &mut report)?;
    }
    Ok(report)
}

fn otp_version() -> Result<String> {
    let release = "io:put_chars(erlang:system_info(otp_release)), halt().";
    let mut erl = Command::new("erl");
    let release = run(erl.args(["-noshell", "-eval", release]))?;
    Ok(format!("OTP {release} and its libei"))
}

/// As the lock file has it.
fn eetf_version(root: &Path) -> Result<String> {
    let lock = fs::read_to_string(root.join("Cargo.lock"))?;
    let version = lock
        .split_once("name = \"eetf\"\nversion = \"")
        .and_then(|(_, rest)| rest.split('"').next());
    Ok(format!(
        "eetf {}",
        version.context("no eetf in Cargo.lock")?
    ))
}

fn compile_libei(root: &Path, target: &Path) -> Result<PathBuf> {
    let program = target.join("libei");
    let mut gcc = Command::new("gcc");
    gcc.args(["-O2", "-o"])
        .arg(&program)
        .arg(root.join("peers/libei.c"));
    // Where Debian's erlang-dev has ei.h and libei.a.
    gcc.args([
        "-I/usr/lib/erlang/usr/include",
        "-L/usr/lib/erlang/usr/lib",
        "-lei",
        "-lpthread",
    ]);
    run(&mut gcc).context("libei: apt-get install erlang-dev gcc")?;
    Ok(program)
}

/// `PEER OPERATION FILE NANOSECONDS` for a whole term.
fn keep_lines(said: &str, shapes: &[(Shape, PathBuf)], report: &mut Report) -> Result<()> {
    for line in said.lines() {
        let [peer, operation, file, time] = *line.split(' ').collect::<Vec<_>>() else {
            bail!("not a figure: {line}")
        };
        let shape = shapes.iter().find(|(_, known)| known == Path::new(file));
        let (shape, _) = shape.context("a file that is no shape")?;
        let who = format!("{peer} {operation}");
        keep(report, who, shape, time.parse()?);
    }
    Ok(())
}

/// Criterion's own samples, of which the best counts, as for the others.
fn keep_samples(folder: &Path, shapes: &[(Shape, PathBuf)], report: &mut Report) -> Result<()> {
    for group in fs::read_dir(folder)? {
        let group = group?;
        let name = group.file_name().to_string_lossy().replace('_', " ");
        for (shape, _) in shapes {
            let file = group.path().join(shape.name).join("new/sample.json");
            let Ok(text) = fs::read_to_string(file) else {
                continue;
            };
            let sample: serde_json::Value = serde_json::from_str(&text)?;
            let list = |key: &str| sample[key].as_array().cloned().unwrap_or_default();
            let each = list("times").into_iter().zip(list("iters"));
            let each = each.filter_map(|(time, times)| Some(time.as_f64()? / times.as_f64()?));
            let best = each.fold(f64::INFINITY, f64::min);
            keep(report, name.clone(), shape, best);
        }
    }
    Ok(())
}

fn keep(report: &mut Report, who: String, shape: &Shape, nanoseconds: f64) {
    let of = report.figures.entry(who).or_default();
    let rounds = of.entry(shape.name).or_default();
    rounds.push(nanoseconds / shape.elements as f64);
}

fn run(command: &mut Command) -> Result<String> {
    let what = format!("{command:?}");
    let output = command.output().context(what.clone())?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{what}: {}: {said}", output.status);
    }
    Ok(String::from_utf8(output.stdout)?)
}
