//! A program started by a test: its output in a file, ended when dropped.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::wait;

/// A running program. Both output streams are in one file, in the order they were written.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts `command` with its output in `log` (appended, so that a restarted program continues its log) and no input.
    pub fn start(mut command: Command, log: impl Into<PathBuf>) -> Result<Self> {
        let log = log.into();
        let out = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("open {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .with_context(|| format!("start {command:?}"))?;
        Ok(Self {
            child,
            log,
            status: None,
        })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far.
    pub fn output(&self) -> String {
        read_lossy(&self.log)
    }

    /// Sends a signal. A process that has ended is not an error.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .expect("a pid of the kernel is positive");
        // ESRCH: it has ended by itself, which is what most signals are sent for.
        kill_process(pid, signal).ok();
    }

    /// The exit status, when it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// When it has not ended by itself within `limit`.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let what = format!("the end of process {}", self.id());
        wait::until(what, limit, || self.ended())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_none() {
            // Both fail only when the process has ended in between.
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

/// Runs a short command to its end and gives its standard output, or an error that holds what it said.
pub fn run(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("start {program}: {}", missing(&program)))?;
    if !output.status.success() {
        bail!(
            "{command:?}: {}: {}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr),
            String::from_utf8_lossy(&output.stdout)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Fails with the line that installs `package` when `program` is not in `PATH`.
pub fn installed(program: &str, package: &str) -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    ensure!(
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file()),
        "{program} is missing: apt-get install -y --no-install-recommends {package}"
    );
    Ok(())
}

/// What to install when `program` is not there.
fn missing(program: &str) -> String {
    let name = Path::new(program)
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let package = match name.as_str() {
        "ip" => "iproute2",
        "nft" => "nftables",
        "mix" => "elixir",
        "erl" | "epmd" => "erlang-base",
        "mmdebstrap" => "mmdebstrap",
        "script" => "bsdutils",
        _ => return String::from("is it installed?"),
    };
    format!("when missing: apt-get install -y --no-install-recommends {package}")
}

/// A text file's content, empty while there is none.
pub fn read_lossy(path: &Path) -> String {
    std::fs::read(path).map_or_else(
        |_| String::new(),
        |bytes| String::from_utf8_lossy(&bytes).into_owned(),
    )
}
