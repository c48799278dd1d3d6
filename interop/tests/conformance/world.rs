//! One run of the suite: a port mapper, a launcher for subjects, and the driver.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use trunkline_interop::certificates::Certificates;
use trunkline_interop::otp::{Epmd, Release};
use trunkline_interop::process::{self, Process};
use trunkline_interop::{wait, workspace};

use crate::launcher;
use crate::report::Report;
use crate::subject::{Kind, erl};

/// The whole suite; most of it waits for others to notice a silence.
const SUITE: Duration = Duration::from_secs(1200);

/// Runs the suite on `driver` against `kind`.
pub(crate) fn run(kind: Kind, driver: Release) -> Result<()> {
    let start = Instant::now();
    let epmd = Epmd::start()?;
    let launcher = launcher::start(kind, beams()?, epmd.port)?;
    let certificates = option_files()?;
    let dir = tempfile::tempdir()?;
    let log = dir.path().join("driver.log");
    let mut command = erl(driver, &beams()?, epmd.port)?;
    command
        .args(["-name", "driver@127.0.0.1", "-setcookie", "monster"])
        .args(["-s", "conform", "start"])
        .args(["-launcher", &launcher.port.to_string()])
        .arg("-vectors")
        .arg(workspace::root().join("crates/etf/tests/vectors"))
        .arg("-certificates")
        .arg(certificates.path(""));
    if let Ok(groups) = std::env::var("CONFORMANCE_GROUPS") {
        command.arg("-groups").args(groups.split(','));
    }
    let mut process = Process::start(command, &log)?;
    let ended = wait::within(SUITE, || process.ended());
    let output = process.output();
    let report = Report::read(&output);
    let took = start.elapsed().as_secs_f32();
    // Past the capturing of tests' output: the durations are part of what this is for.
    writeln!(
        std::io::stderr(),
        "{kind:?} judged by {driver:?}, {took:.1} s\n{report}"
    )?;
    ensure!(
        ended.is_some() && report.passed(),
        "{kind:?} judged by {driver:?} fails\n{report}\n--- driver\n{output}\n{}",
        launcher.outputs()
    );
    Ok(())
}

/// The option files that `tls_cases.erl` names.
fn option_files() -> Result<Certificates> {
    const HOST: &str = "127.0.0.1";
    let ca = Certificates::new("conformance")?;
    let other = Certificates::new("somebody else")?;
    ca.issue("node", HOST)?;
    ca.issue("elsewhere", "elsewhere.example.com")?;
    ca.issue_expired("expired", HOST)?;
    other.issue("stranger", HOST)?;
    ca.take("stranger", &other)?;
    for name in ["node", "elsewhere", "expired", "stranger"] {
        let shown = ca.shown(name);
        let verify = "{verify, verify_peer}";
        let text = format!(
            "[{{server, [{shown}, {verify}, {{fail_if_no_peer_cert, true}}]}}, {{client, [{shown}, {verify}]}}]."
        );
        ca.options(&format!("{name}.conf"), &text)?;
    }
    let (shown, authority) = (ca.shown("node"), ca.ca());
    let client = format!("{{client, [{authority}, {{verify, verify_peer}}]}}");
    let demands = "{verify, verify_peer}, {fail_if_no_peer_cert, true}";
    let bare = format!("[{{server, [{shown}, {demands}]}}, {client}].");
    ca.options("bare.conf", &bare)?;
    let open = format!("[{{server, [{shown}, {{secure_renegotiate, true}}]}}, {client}].");
    ca.options("open.conf", &open)?;
    Ok(ca)
}

/// The suite's modules, compiled once by the older release: the newer runs them too.
fn beams() -> Result<PathBuf> {
    static BEAMS: OnceLock<TempDir> = OnceLock::new();
    static MADE: OnceLock<Result<(), String>> = OnceLock::new();
    let dir = BEAMS.get_or_init(|| tempfile::tempdir().expect("a folder for beams"));
    let made = MADE.get_or_init(|| compile(dir).map_err(|why| format!("{why:#}")));
    made.as_ref().map_err(|why| anyhow::anyhow!("{why}"))?;
    Ok(dir.path().to_owned())
}

fn compile(dir: &TempDir) -> Result<()> {
    let source = workspace::root().join("interop/conformance");
    let files = std::fs::read_dir(&source).context("the suite")?;
    let modules = files.filter_map(|file| Some(file.ok()?.path()));
    let modules = modules.filter(|path| path.extension().is_some_and(|found| found == "erl"));
    let mut erlc = Command::new("erlc");
    erlc.args(["-Wall", "-Werror", "-o"]).arg(dir.path());
    process::run(erlc.args(modules))?;
    Ok(())
}
