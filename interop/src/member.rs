//! One host of a story: its release under `trunkline exec`, and what its recorder saw.

use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::Result;
use rustix::process::Signal;

use crate::netns::Host;
use crate::process::{Process, read_lossy};
use crate::release::{Record, Release};

/// How long a BEAM may take to start, and a cluster to form, while the machine does other things too.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// What `exec` and all below it write, in the host's folder.
const LOG: &str = "exec.log";

/// One host with its node and agent.
#[derive(Debug)]
pub struct Member {
    /// Its host.
    pub host: Host,
    /// Its release.
    pub release: Release,
    /// The node's name.
    pub node: String,
    process: Option<Process>,
    seen: usize,
}

impl Member {
    /// A host whose release is installed and not started; its node will be called `node`.
    pub fn new(release: Release, node: impl Into<String>) -> Self {
        Self {
            host: release.host().clone(),
            release,
            node: node.into(),
            process: None,
            seen: 0,
        }
    }

    /// Starts `command` (made by [`Release::command`]) as the member's process, with its output in the member's log.
    pub(crate) fn start(&mut self, command: Command) -> Result<()> {
        self.process = Some(self.host.start(command, LOG)?);
        Ok(())
    }

    /// Whether its application answers, or there is none any more to wait for.
    pub(crate) fn is_up_or_ended(&mut self) -> bool {
        self.release.eval("1").is_ok() || self.process().ended().is_some()
    }

    /// Whether its process was started, and neither stopped nor destroyed since.
    pub fn is_started(&self) -> bool {
        self.process.is_some()
    }

    /// The visible nodes that its node is connected to, sorted; empty while it does not answer.
    pub fn visible(&self) -> Vec<String> {
        let list = self
            .release
            .eval("Enum.join(Enum.sort(Node.list()), \" \")");
        let list = list.unwrap_or_default();
        let names = list.trim_matches('"').split(' ');
        names
            .filter(|name| !name.is_empty())
            .map(String::from)
            .collect()
    }

    /// Records of visible nodes since the last look.
    pub fn news(&self) -> Vec<Record> {
        let mut records = self.release.records();
        records.retain(|record| !record.hidden);
        records.split_off(self.seen.min(records.len()))
    }

    /// All that `exec`, the agent and the application wrote.
    pub fn log(&self) -> String {
        read_lossy(&self.log_file())
    }

    /// The agent's lines alone, without their times.
    pub fn agent_log(&self) -> Vec<String> {
        self.log().lines().filter_map(agent_line).collect()
    }

    /// The running `exec`.
    ///
    /// # Panics
    /// When it was not started.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the member was started")
    }

    /// Its machine is gone: no packet comes out any more.
    pub fn destroy(&mut self) -> Result<()> {
        self.host.pull_the_plug()?;
        self.process = None;
        Ok(())
    }

    /// Ends it as systemd does.
    pub fn stop(&mut self) -> ExitStatus {
        let process = self.process();
        process.signal(Signal::TERM);
        let status = process.wait(PATIENCE);
        self.process = None;
        status
    }

    /// From now on its application sends to these nodes all the time.
    pub fn talk_to(&self, nodes: &[&str]) -> Result<()> {
        let atoms: Vec<String> = nodes.iter().map(|node| format!(":{node:?}")).collect();
        let call = format!("FleetApp.Talker.talk_to([{}])", atoms.join(", "));
        self.release.eval(&call).map(drop)
    }

    /// Takes the first `count` of [`Member::news`] as looked at.
    pub(crate) fn looked_at(&mut self, count: usize) {
        self.seen += count;
    }

    fn log_file(&self) -> PathBuf {
        self.host.dir().join(LOG)
    }
}

/// `2026-11-22T01:27:10.123456Z  WARN what · where` → `WARN what · where`; `None` for lines of the application.
fn agent_line(line: &str) -> Option<String> {
    let (time, rest) = line.split_once(' ')?;
    let ours = time.len() > 20 && time.ends_with('Z') && time.contains('T');
    ours.then(|| rest.trim_start().to_owned())
}
