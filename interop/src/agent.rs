//! `trunkline run` on a host of a lab, what it says of each peer, and `trunkline ping` beside it.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use rustix::process::Signal;
use serde_json::Value;

use crate::netns::Host;
use crate::process::{Process, read_lossy};
use crate::verb::Said;
use crate::workspace;

/// How long a ping waits for a peer that is silent.
const PATIENCE: &str = "5s";

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    process: Process,
}

/// A desk on a host of a lab: the node there, its cookie, and verbs in this environment.
#[derive(Clone, Debug)]
pub struct Place {
    /// The host.
    pub host: Host,
    /// The node that is served there.
    pub node: String,
    /// `RELEASE_COOKIE`, byte for byte; `None`: not set.
    pub cookie: Option<String>,
}

/// What `trunkline ping NODE --json` found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pang {
    /// The reason's code; `pong` when there is none.
    pub code: String,
    /// The reason in words.
    pub text: String,
    /// What the same says to people.
    pub human: Said,
}

impl Place {
    /// For the node `node` on `host`.
    pub fn new(host: &Host, node: &str, cookie: &str) -> Self {
        Self {
            host: host.clone(),
            node: node.to_owned(),
            cookie: Some(cookie.to_owned()),
        }
    }

    /// `trunkline ARGS…`; further settings may be added.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.host.command(workspace::trunkline());
        command.args(args).env("RELEASE_NODE", &self.node);
        if let Some(cookie) = &self.cookie {
            command.env("RELEASE_COOKIE", cookie);
        }
        command
    }

    /// Runs a verb to its end.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn say(&self, args: &[&str]) -> Result<Said> {
        Said::of(&mut self.command(args))
    }

    /// The reason that `ping` gives, held against its exit code and its other fields.
    ///
    /// # Errors
    /// When it says no JSON.
    pub fn ping(&self, node: &str) -> Result<Pang> {
        let said = self.say(&["ping", node, "--json", "--timeout", PATIENCE])?;
        let value: Value =
            serde_json::from_str(&said.out).with_context(|| format!("ping {node}: {said:?}"))?;
        let reason = &value["reason"];
        let text = |key: &str| reason[key].as_str().map(str::to_owned);
        let pang = Pang {
            code: text("code").unwrap_or_else(|| "pong".to_owned()),
            text: text("text").unwrap_or_default(),
            human: self.say(&["ping", node, "--timeout", PATIENCE])?,
        };
        let result = if reason.is_null() { "pong" } else { "pang" };
        assert_eq!(value["result"], result, "{value}");
        assert_eq!(value["node"], node, "{value}");
        assert_eq!(said.code, i32::from(!reason.is_null()), "{said:?}");
        assert_eq!(value["rtt_us"].is_null(), !reason.is_null(), "{value}");
        Ok(pang)
    }

    /// Writes `trunkline.toml`: `hosts` are the cluster, as a fixed list.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn list(&self, hosts: &[&str]) -> Result<()> {
        let text = format!("[topologies.fixed]\nstrategy = \"epmd\"\nhosts = {hosts:?}\n");
        Ok(fs::write(self.host.dir().join("trunkline.toml"), text)?)
    }

    /// Starts `trunkline run`, its output in `log` of the host's folder.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run(&self, log: &str) -> Result<Agent> {
        let process = self.host.start(self.command(&["run"]), log)?;
        Ok(Agent { process })
    }
}

impl Agent {
    /// One that was started otherwise: `exec`.
    pub const fn of(process: Process) -> Self {
        Self { process }
    }

    /// Its lines so far, without their times: `WARN what · where · cure`. Lines of an application beside it are left out.
    pub fn lines(&self) -> Vec<String> {
        self.output().lines().filter_map(line).collect()
    }

    /// All that it has written.
    pub fn output(&self) -> String {
        self.process.output()
    }

    /// The codes of the reasons why it could not connect `peer`, oldest first.
    pub fn codes(&self, peer: &str) -> Vec<String> {
        let lines = self.lines();
        let codes = lines.iter().filter_map(|line| code(line, peer));
        codes.map(str::to_owned).collect()
    }

    /// How many lines hold both texts.
    pub fn count(&self, what: &str, peer: &str) -> usize {
        let lines = self.lines();
        let both = |line: &&String| line.contains(what) && line.contains(peer);
        lines.iter().filter(both).count()
    }

    /// The process, to be signalled or waited for.
    pub const fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Its resident memory in bytes.
    ///
    /// # Errors
    /// When it does not run any more.
    pub fn resident(&self) -> Result<u64> {
        let status = read_lossy(format!("/proc/{}/status", self.process.id()).as_ref());
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kib: u64 = kib.context("a running process has memory")?.parse()?;
        Ok(kib * 1024)
    }

    /// Ends it as a crash does.
    pub fn kill(&mut self) {
        self.process.signal(Signal::KILL);
    }
}

/// `2026-11-22T01:27:10.123456Z  WARN what · where` → `WARN what · where`.
fn line(line: &str) -> Option<String> {
    let (time, rest) = line.split_once(' ')?;
    let ours = time.len() > 20 && time.ends_with('Z') && time.contains('T');
    ours.then(|| rest.trim_start().to_owned())
}

/// The code in `WARN cannot connect (CODE): why · PEER · cure`.
fn code<'a>(line: &'a str, peer: &str) -> Option<&'a str> {
    let rest = line.strip_prefix("WARN cannot connect (")?;
    let mut parts = rest.split(" · ");
    let (code, _why) = parts.next()?.split_once("): ")?;
    let named = parts.next()? == peer;
    // Without a cure the line is not whole.
    (named && parts.next().is_some_and(|cure| !cure.is_empty())).then_some(code)
}
