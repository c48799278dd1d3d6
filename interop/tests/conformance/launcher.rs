//! Starts and signals subjects for the suite, over a socket: `launcher.erl` has the other side.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use tempfile::TempDir;
use trunkline_interop::process::Process;
use trunkline_interop::turn::Turn;
use trunkline_interop::wait;

use crate::subject::{Kind, Order};

/// How long a subject may take to start while everything else runs.
const START: Duration = Duration::from_secs(180);

/// What every request needs.
#[derive(Debug)]
struct Launcher {
    kind: Kind,
    beams: PathBuf,
    epmd_port: u16,
    logs: TempDir,
    /// By the number that the suite was told. They end with the world.
    subjects: Mutex<Vec<Process>>,
}

/// A running launcher.
#[derive(Debug)]
pub(crate) struct Handle {
    /// Where it listens, on loopback.
    pub(crate) port: u16,
    launcher: Arc<Launcher>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        // The thread that accepts keeps its own handle until the test program ends.
        self.launcher.subjects.lock().expect("no panic").clear();
    }
}

impl Handle {
    /// The last lines of everything that subjects printed, for a failed world.
    pub(crate) fn outputs(&self) -> String {
        let subjects = self.launcher.subjects.lock().expect("no panic");
        let outputs = subjects.iter().enumerate().map(|(id, subject)| {
            let output = subject.output();
            let lines: Vec<_> = output.lines().rev().take(12).collect();
            let last: Vec<_> = lines.into_iter().rev().collect();
            format!("--- subject {id}\n{}\n", last.join("\n"))
        });
        outputs.collect()
    }
}

/// Starts one.
pub(crate) fn start(kind: Kind, beams: PathBuf, epmd_port: u16) -> Result<Handle> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let launcher = Arc::new(Launcher {
        kind,
        beams,
        epmd_port,
        logs: tempfile::tempdir()?,
        subjects: Mutex::new(Vec::new()),
    });
    let serving = Arc::clone(&launcher);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let launcher = Arc::clone(&serving);
            std::thread::spawn(move || launcher.serve(stream));
        }
    });
    Ok(Handle { port, launcher })
}

impl Launcher {
    /// One line, one answer; the suite reads to the end.
    fn serve(&self, mut stream: TcpStream) {
        let mut line = String::new();
        let read = BufReader::new(&stream).read_line(&mut line);
        let answer = match read.context("a request").and_then(|_| self.answer(&line)) {
            Ok(answer) => answer,
            Err(why) => format!("failed {why:#}"),
        };
        // The suite is gone: nobody waits for it.
        stream.write_all(answer.as_bytes()).ok();
    }

    fn answer(&self, line: &str) -> Result<String> {
        match line.trim_end().split_once(' ') {
            Some(("start", order)) => Ok(format!("ok {}\n", self.start(Order::new(order))?)),
            Some(("signal", what)) => self.signal(what),
            Some(("output", id)) => self.with(id, Process::output),
            _ => bail!("what is {line:?}?"),
        }
    }

    fn start(&self, order: Order<'_>) -> Result<usize> {
        let command = self.kind.command(order, &self.beams, self.epmd_port)?;
        let log = tempfile::Builder::new().tempfile_in(self.logs.path())?;
        let (_, log) = log.keep()?;
        let _turn = match self.kind {
            Kind::Otp(_) => Some(Turn::of(1)?),
            Kind::Rust => None,
        };
        let mut subject = Process::start(command, log)?;
        let ready = wait::within(START, || {
            let up = subject.output().lines().any(|line| line == "ready");
            (up || subject.ended().is_some()).then_some(up)
        });
        if ready != Some(true) {
            bail!("{} is not ready: {}", order.name(), subject.output());
        }
        let mut subjects = self.subjects.lock().expect("no panic");
        subjects.push(subject);
        Ok(subjects.len() - 1)
    }

    fn signal(&self, what: &str) -> Result<String> {
        let (id, name) = what.split_once(' ').context("which signal?")?;
        let signal = match name {
            "STOP" => Signal::STOP,
            "CONT" => Signal::CONT,
            "KILL" => Signal::KILL,
            _ => bail!("what is SIG{name}?"),
        };
        self.with(id, |subject| subject.signal(signal))?;
        Ok("ok\n".to_owned())
    }

    fn with<T>(&self, id: &str, act: impl FnOnce(&Process) -> T) -> Result<T> {
        let subjects = self.subjects.lock().expect("no panic");
        let subject = subjects.get(id.parse::<usize>()?);
        subject.map(act).context("no such subject")
    }
}
