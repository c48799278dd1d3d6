//! A peer: an OS process that takes commands as lines and answers with lines.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::line::Line;

/// Answers begin with this; everything else that a peer prints is its own chatter.
pub(crate) const ANSWER: &str = "@ ";

/// How long a peer may take to start, on a machine that is busy.
const START: Duration = Duration::from_secs(30);

/// A running peer. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Process {
    what: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    chatter: Vec<String>,
}

impl Process {
    /// Starts it; [`Process::until_ready`] waits for it.
    pub(crate) fn start(mut command: Command, what: String) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .with_context(|| format!("{what}: {}", command.get_program().display()))?;
        let stdout = child.stdout.take().context("its output is a pipe")?;
        let (heard, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if heard.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            what,
            stdin: child.stdin.take(),
            child,
            lines,
            chatter: Vec::new(),
        })
    }

    /// What it says when it takes commands.
    pub(crate) fn until_ready(&mut self) -> Result<Line> {
        self.answer("ready", START)
    }

    /// Its id, for what the kernel knows of it.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Memory that is resident, in KiB.
    pub(crate) fn resident(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        Ok(number.context("no VmRSS")?.parse()?)
    }

    /// Says a command.
    pub(crate) fn ask(&mut self, line: &Line) -> Result<()> {
        let stdin = self.stdin.as_mut().context("it is ending")?;
        writeln!(stdin, "{line}").with_context(|| self.what.clone())?;
        Ok(())
    }

    /// Waits for the answer that begins with `word`.
    pub(crate) fn answer(&mut self, word: &str, limit: Duration) -> Result<Line> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let text = match self.lines.recv_timeout(left) {
                Ok(text) => text,
                Err(RecvTimeoutError::Timeout) => bail!(
                    "{} does not say {word:?} in {limit:?}{}",
                    self.what,
                    self.said()
                ),
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("{} ends before {word:?}{}", self.what, self.said())
                }
            };
            let Some(answer) = text.strip_prefix(ANSWER) else {
                self.chatter.push(text);
                continue;
            };
            let line = Line::parse(answer)?;
            if line.word != word {
                bail!("{} says {line} in place of {word:?}", self.what);
            }
            return Ok(line);
        }
    }

    /// The end of its input is its end.
    pub(crate) fn end(&mut self) {
        self.stdin = None;
    }

    /// Waits until it has ended, after [`end`](Self::end).
    pub(crate) fn until_ended(&mut self) -> Result<()> {
        let deadline = Instant::now() + START;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                bail!("{} does not end", self.what);
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn said(&self) -> String {
        if self.chatter.is_empty() {
            return String::new();
        }
        format!("; it said:\n{}", self.chatter.join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        if let Err(why) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("{} cannot be ended: {why}", self.what);
        }
    }
}

/// How long a peer may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(2);
