//! How the node under test is started: an OTP node or ours, with the same options.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use trunkline_interop::otp::Release;

/// What is under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An Erlang node that runs `subject.erl`.
    Otp(Release),
    /// Our node.
    Rust,
}

/// `NAME KEY=VALUE…`, as the suite asks for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order<'a>(&'a str);

impl<'a> Order<'a> {
    /// What follows `start`.
    pub(crate) fn new(line: &'a str) -> Self {
        Self(line.trim())
    }

    /// The node's name.
    pub(crate) fn name(self) -> &'a str {
        self.0.split(' ').next().unwrap_or_default()
    }

    /// All of it.
    fn words(self) -> impl Iterator<Item = &'a str> {
        self.0.split(' ')
    }

    /// The value of an option.
    pub(crate) fn get(self, key: &str) -> Option<&'a str> {
        let mut options = self.0.split(' ').filter_map(|word| word.split_once('='));
        options.find(|(found, _)| *found == key).map(|(_, v)| v)
    }
}

impl Kind {
    /// The command that starts it, registered with the port mapper on `epmd_port`.
    pub(crate) fn command(self, order: Order<'_>, beams: &Path, epmd_port: u16) -> Result<Command> {
        let Self::Otp(release) = self else {
            return Ok(ours(order, epmd_port));
        };
        let mut command = erl(release, beams, epmd_port)?;
        let cookie = order.get("cookie").unwrap_or("monster");
        command
            .args(["-hidden", "-name", order.name(), "-setcookie", cookie])
            .args(["-s", "subject", "start"]);
        for (key, parameter) in [
            ("ticktime", "net_ticktime"),
            ("setuptime", "net_setuptime"),
            ("min", "inet_dist_listen_min"),
            ("max", "inet_dist_listen_max"),
        ] {
            if let Some(value) = order.get(key) {
                command.args(["-kernel", parameter, value]);
            }
        }
        for (key, flags) in [
            ("dial", &["-dial"][..]),
            ("tls", &["-proto_dist", "inet_tls", "-ssl_dist_optfile"]),
        ] {
            if let Some(value) = order.get(key) {
                command.args(flags).arg(value);
            }
        }
        Ok(command)
    }
}

/// `interop/src/bin/conformance_subject`.
fn ours(order: Order<'_>, epmd_port: u16) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conformance_subject"));
    command
        .args(order.words())
        .env("ERL_EPMD_PORT", epmd_port.to_string());
    command
}

/// An Erlang that finds the suite and the port mapper.
pub(crate) fn erl(release: Release, beams: &Path, epmd_port: u16) -> Result<Command> {
    let shared = [
        std::env::temp_dir(),
        trunkline_interop::workspace::root().to_owned(),
    ];
    let mut command = release.command("erl", &shared).context("an erl")?;
    command
        .args(["-noinput", "-start_epmd", "false", "-connect_all", "false"])
        .arg("-pa")
        .arg(beams)
        .env("ERL_EPMD_PORT", epmd_port.to_string())
        .env("ERL_CRASH_DUMP_BYTES", "0")
        .env("LC_ALL", "C.UTF-8")
        .env("HOME", "/")
        .current_dir("/");
    Ok(command)
}
