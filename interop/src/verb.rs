//! The `trunkline` command on this host's loopback, with an environment that holds only what the test puts there.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;
use tempfile::TempDir;

use crate::otp::Epmd;
use crate::process::Process;
use crate::workspace;

/// Where verbs run: a home, a folder for sockets, a port mapper's port, a cookie.
#[derive(Debug)]
pub struct Desk {
    dir: TempDir,
    epmd_port: u16,
    cookie: Option<String>,
}

/// What a verb said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The exit code; -1 when a signal ended it.
    pub code: i32,
    /// stdout.
    pub out: String,
    /// stderr.
    pub err: String,
}

impl Desk {
    /// With `RELEASE_COOKIE` set to `cookie`.
    pub fn new(epmd: &Epmd, cookie: &str) -> Result<Self> {
        Ok(Self {
            dir: tempfile::tempdir()?,
            epmd_port: epmd.port,
            cookie: Some(cookie.to_owned()),
        })
    }

    /// The same desk for somebody who has no cookie in the environment.
    #[must_use]
    pub fn without_cookie(mut self) -> Self {
        self.cookie = None;
        self
    }

    /// Its folder: home and working directory of what runs here.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A command that is ready to run; further settings may be added.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(workspace::trunkline());
        command
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir())
            .env("XDG_RUNTIME_DIR", self.dir())
            .env("ERL_EPMD_PORT", self.epmd_port.to_string())
            .current_dir(self.dir());
        if let Some(cookie) = &self.cookie {
            command.env("RELEASE_COOKIE", cookie);
        }
        command
    }

    /// Runs a verb to its end.
    pub fn say(&self, args: &[&str]) -> Result<Said> {
        Said::of(&mut self.command(args))
    }

    /// The JSON that a verb prints, and its exit code.
    pub fn json(&self, args: &[&str]) -> Result<(i32, Value)> {
        let said = self.say(args)?;
        let value =
            serde_json::from_str(&said.out).with_context(|| format!("{args:?}: {said:?}"))?;
        Ok((said.code, value))
    }

    /// Starts a verb that keeps running, its output in `log`.
    pub fn start(&self, args: &[&str], log: &str) -> Result<Process> {
        Process::start(self.command(args), self.dir().join(log))
    }
}

impl Said {
    /// What `command` says.
    pub fn of(command: &mut Command) -> Result<Self> {
        let output = command
            .output()
            .with_context(|| format!("start {command:?}"))?;
        Ok(Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}
