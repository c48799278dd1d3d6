//! Runs the peers, each in a process of its own, and collects what they say.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use trunkline_bench_codec::{Shape, write_all};

/// Nanoseconds for an element, by peer and operation, then by shape.
pub(crate) type Figures = BTreeMap<String, BTreeMap<String, f64>>;

/// Rounds of everybody, one after another, so that a slow minute of the machine hits all; the best one counts.
const ROUNDS: usize = 3;

pub(crate) fn measure() -> Result<Figures> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = root.join("target");
    let shapes = write_all(&target.join("shapes"))?;
    let files: Vec<&Path> = shapes.iter().map(|(_, file)| file.as_path()).collect();
    let libei = compile_libei(root, &target)?;
    run(Command::new("erlc")
        .arg("-o")
        .arg(&target)
        .arg(root.join("peers/otp.erl")))?;
    let mut figures = Figures::new();
    for round in 1..=ROUNDS {
        eprintln!("codec: round {round} of {ROUNDS}");
        let said = run(Command::new(&libei).args(&files))?;
        keep_lines(&said, &shapes, &mut figures)?;
        let mut erl = Command::new("erl");
        erl.args(["-noshell", "-run", "otp", "main"]).args(&files);
        let said = run(erl.current_dir(&target))?;
        keep_lines(&said, &shapes, &mut figures)?;
        let mut bench = Command::new(env!("CARGO"));
        run(bench
            .args(["bench", "--quiet", "--bench", "codec"])
            .current_dir(root))?;
        keep_samples(&target.join("criterion"), &shapes, &mut figures)?;
    }
    Ok(figures)
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
fn keep_lines(said: &str, shapes: &[(Shape, PathBuf)], figures: &mut Figures) -> Result<()> {
    for line in said.lines() {
        let [peer, operation, file, time] = *line.split(' ').collect::<Vec<_>>() else {
            bail!("not a figure: {line}")
        };
        let shape = shapes.iter().find(|(_, known)| known == Path::new(file));
        let (shape, _) = shape.context("a file that is no shape")?;
        keep(
            figures,
            &format!("{peer} {operation}"),
            shape,
            time.parse()?,
        );
    }
    Ok(())
}

/// Criterion's own samples, of which the best counts, as for the others.
fn keep_samples(folder: &Path, shapes: &[(Shape, PathBuf)], figures: &mut Figures) -> Result<()> {
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
            keep(figures, &name, shape, each.fold(f64::INFINITY, f64::min));
        }
    }
    Ok(())
}

fn keep(figures: &mut Figures, who: &str, shape: &Shape, nanoseconds: f64) {
    let each = nanoseconds / shape.elements as f64;
    let known = figures.entry(who.to_owned()).or_default();
    let best = known.entry(shape.name.to_owned()).or_insert(each);
    *best = best.min(each);
}

fn run(command: &mut Command) -> Result<String> {
    let what = format!("{command:?}");
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .context(what.clone())?;
    if !output.status.success() {
        bail!("{what}: {}", output.status);
    }
    Ok(String::from_utf8(output.stdout)?)
}
