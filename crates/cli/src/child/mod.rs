//! A program that runs as our child: finding it, starting it, passing signals on, reaping.
//!
//! We may be PID 1 of a container, so everything that dies is reaped, and no signal that we know
//! is lost. The child stays in our session and process group: a terminal's keys reach it without
//! us, and `iex` has its terminal.

mod again;
mod program;
mod signals;

pub(crate) use again::Again;
pub(crate) use program::{Program, Release};
pub(crate) use signals::{Passed, Signals, StopSignal};

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};
use trunkline_discovery::platform::Env;

use crate::failure::Failure;

/// A child that was started. Dropping it does nothing to it.
#[derive(Debug)]
pub(crate) struct Child {
    pid: Pid,
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With this exit code.
    Exited(u8),
    /// By this signal.
    Killed(u8),
}

impl Child {
    /// Starts `program` with exactly the variables of `env`; stdin, stdout and stderr are ours.
    pub(crate) fn start(program: &Program, env: &Env) -> Result<Self, Failure> {
        let child = Command::new(&program.path)
            .arg0(&program.argv[0])
            .args(&program.argv[1..])
            .env_clear()
            .envs(env.iter())
            .spawn()
            .map_err(|error| program.not_started(&error))?;
        // Its handle is not kept: the reaper below waits for every child alike.
        Ok(Self {
            pid: pid_of(child.id()),
        })
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Sends a signal. A child that is gone needs none.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Err(error) = kill_process(self.pid, signal) {
            tracing::debug!(
                "signal {signal:?} did not reach pid {}: {error}",
                self.pid()
            );
        }
    }

    /// Whether it is an Erlang VM by now: the scripts that start one become it. Only Linux says so.
    pub(crate) fn is_beam(&self) -> bool {
        let exe = fs::read_link(format!("/proc/{}/exe", self.pid()));
        exe.is_ok_and(|exe| {
            let name = exe.file_name().unwrap_or_default();
            name.to_string_lossy().starts_with("beam")
        })
    }

    /// Reaps all that has died, ours and whatever a container's PID 1 inherits; says how our child
    /// ended when it is among them.
    pub(crate) fn reap(&self) -> Option<Ended> {
        let mut ours = None;
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            match ended(status) {
                Some(ended) if pid == self.pid => ours = Some(ended),
                _ => tracing::debug!("reaped pid {}", pid.as_raw_nonzero()),
            }
        }
        ours
    }
}

fn pid_of(id: u32) -> Pid {
    let raw = i32::try_from(id).ok().and_then(Pid::from_raw);
    raw.expect("the kernel gives positive process ids that fit")
}

fn ended(status: WaitStatus) -> Option<Ended> {
    let byte = |number: i32| u8::try_from(number & 0xff).unwrap_or(u8::MAX);
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Some(Ended::Exited(byte(code))),
        (None, Some(signal)) => Some(Ended::Killed(byte(signal))),
        (None, None) => None,
    }
}

impl Ended {
    /// The exit code that a shell would show: 128 and the signal's number for a killed one.
    pub(crate) fn exit_code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Exited(code) => code,
            Self::Killed(signal) => signal.saturating_add(128),
        })
    }
}
