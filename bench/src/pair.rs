//! Who is measured: a sending and a receiving peer.

use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::process::Process;

/// Tokio's kinds of runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    Multi,
    Current,
}

impl Flavour {
    pub(crate) const ALL: &[Self] = &[Self::Multi, Self::Current];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Multi => "multi",
            Self::Current => "current",
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self> {
        match text {
            "multi" => Ok(Self::Multi),
            "current" => Ok(Self::Current),
            _ => bail!("there is no flavour {text:?}: multi, current"),
        }
    }
}

/// A kind of peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Our node.
    Rust,
    /// An OTP node.
    Otp,
    /// Bare tokio: no distribution, floor and ceiling.
    Tokio,
}

/// Who sends to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    name: &'static str,
    pub(crate) sender: Peer,
    pub(crate) receiver: Peer,
    /// Of those peers that have one.
    pub(crate) flavour: Option<Flavour>,
}

/// What pairs are called on the command line.
pub(crate) const NAMES: &[&str] = &["rust", "rust-otp", "otp-rust", "otp", "tokio"];

impl Pair {
    /// The pairs of this name: one of each flavour, where the peers have one.
    pub(crate) fn named(name: &str, flavours: &[Flavour]) -> Result<Vec<Self>> {
        let Some(name) = NAMES.iter().find(|known| **known == name) else {
            bail!("there is no pair {name:?}: {}", NAMES.join(", "));
        };
        let (sender, receiver) = match *name {
            "rust" => (Peer::Rust, Peer::Rust),
            "rust-otp" => (Peer::Rust, Peer::Otp),
            "otp-rust" => (Peer::Otp, Peer::Rust),
            "tokio" => (Peer::Tokio, Peer::Tokio),
            _ => (Peer::Otp, Peer::Otp),
        };
        let pair = |flavour| Self {
            name,
            sender,
            receiver,
            flavour,
        };
        let flavoured = [sender, receiver]
            .iter()
            .any(|peer| matches!(peer, Peer::Rust | Peer::Tokio));
        Ok(match flavoured {
            true => flavours.iter().map(|f| pair(Some(*f))).collect(),
            false => vec![pair(None)],
        })
    }

    /// As the page has it.
    pub(crate) fn name(&self) -> String {
        match self.flavour {
            Some(flavour) => format!("{} {}", self.name, flavour.name()),
            None => self.name.to_owned(),
        }
    }
}

/// What all peers of a run share: a port mapper, a cookie, a folder for what is compiled.
#[derive(Debug)]
pub(crate) struct Place {
    epmd: Child,
    epmd_port: u16,
    folder: PathBuf,
}

/// Of nodes that listen on the loopback and live for seconds.
const COOKIE: &str = "trunkline-bench";

impl Place {
    /// Starts the port mapper, compiles the Erlang side.
    pub(crate) fn new() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("trunkline-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/bench.erl");
        let status = Command::new("erlc")
            .arg("-o")
            .args([&folder, &source])
            .status()
            .context("erlc (apt-get install erlang-nox)")?;
        if !status.success() {
            bail!("erlc ended with {status}");
        }
        let epmd_port = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let epmd = Command::new("epmd")
            .args(["-port", &epmd_port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("epmd (apt-get install erlang-nox)")?;
        let place = Self {
            epmd,
            epmd_port,
            folder,
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, epmd_port)).is_err() {
            if Instant::now() > deadline {
                bail!("epmd does not listen on {epmd_port}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(place)
    }

    /// Starts one peer under this node name.
    pub(crate) fn start(
        &self,
        peer: Peer,
        name: &str,
        flavour: Option<Flavour>,
    ) -> Result<Process> {
        let mut command = match peer {
            Peer::Rust | Peer::Tokio => {
                let mut command = Command::new(std::env::current_exe()?);
                let kind = if peer == Peer::Rust { "rust" } else { "tokio" };
                let flavour = flavour.unwrap_or(Flavour::Multi).name();
                command.args(["peer", kind, flavour, name]);
                command
            }
            Peer::Otp => {
                let mut command = Command::new("erl");
                command
                    .args(["-noshell", "-name", name, "-setcookie", COOKIE])
                    .args(["-start_epmd", "false", "-pa"])
                    .arg(&self.folder)
                    .args(["-s", "bench"]);
                command
            }
        };
        command
            .env("ERL_EPMD_PORT", self.epmd_port.to_string())
            .env("BENCH_COOKIE", COOKIE)
            .env("ERL_CRASH_DUMP_BYTES", "0")
            .env("HOME", &self.folder);
        Process::start(command, format!("{peer:?} {name}"))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(why) = self.epmd.kill().and_then(|()| self.epmd.wait()) {
            eprintln!("epmd cannot be ended: {why}");
        }
        if let Err(why) = std::fs::remove_dir_all(&self.folder) {
            eprintln!("{}: {why}", self.folder.display());
        }
    }
}
