//! What all peers of a run share: a port mapper, a cookie, what is compiled for them.

use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::certificates;
use crate::pair::{Flavour, Pair, Peer};
use crate::process::Process;

/// The place where peers meet. Dropping it ends the port mapper.
#[derive(Debug)]
pub(crate) struct Place {
    epmd: Child,
    epmd_port: u16,
    folder: PathBuf,
    /// OTP's option file, for pairs that speak TLS.
    tls: Option<PathBuf>,
}

/// One of the two peers of a pair, to be run by callgrind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watched<'a> {
    /// The sender; otherwise the receiver.
    pub(crate) sends: bool,
    /// Where callgrind writes to when the peer has ended.
    pub(crate) file: &'a Path,
}

impl Watched<'_> {
    /// The same command, run by callgrind.
    fn wrap(&self, command: &Command) -> Command {
        let mut wrapped = Command::new("valgrind");
        let mut file = OsString::from("--callgrind-out-file=");
        file.push(self.file);
        wrapped
            .args(["--quiet", "--tool=callgrind", "--dump-instr=yes"])
            .args(["--compress-strings=no", "--compress-pos=no"])
            .arg(file)
            .arg(command.get_program())
            .args(command.get_args());
        wrapped
    }
}

/// Of nodes that listen on the loopback and live for seconds.
const COOKIE: &str = "trunkline-bench";

/// The peers' sources.
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers");

impl Place {
    /// Compiles what `pairs` need, starts the port mapper.
    pub(crate) fn new(pairs: &[Pair]) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("trunkline-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        compile(pairs, &folder)?;
        let speak = pairs.iter().any(|pair| pair.tls);
        let tls = speak.then(|| certificates::make(&folder)).transpose()?;
        let epmd_port = free_port()?;
        let epmd = Command::new("epmd")
            .args(["-port", &epmd_port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("epmd: apt-get install erlang-nox")?;
        let place = Self {
            epmd,
            epmd_port,
            folder,
            tls,
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

    /// Starts one peer of a pair under this node name.
    pub(crate) fn start(
        &self,
        peer: Peer,
        name: &str,
        pair: &Pair,
        watched: Option<&Watched<'_>>,
    ) -> Result<Process> {
        let mut command = self.command(peer, name, pair.flavour.unwrap_or(Flavour::Multi))?;
        if let Some(watched) = watched {
            command = watched.wrap(&command);
        }
        if let Some(options) = self.tls.as_ref().filter(|_| pair.tls) {
            if peer == Peer::Otp {
                command.args(["-proto_dist", "inet_tls", "-ssl_dist_optfile"]);
                command.arg(options);
            }
            command.env("BENCH_TLS", options);
        }
        command
            .env("ERL_EPMD_PORT", self.epmd_port.to_string())
            .env("BENCH_COOKIE", COOKIE)
            .env("ERL_CRASH_DUMP_BYTES", "0")
            .env("HOME", &self.folder);
        Process::start(command, format!("{peer:?} {name}"))
    }

    /// For what is gone with the run.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn command(&self, peer: Peer, name: &str, flavour: Flavour) -> Result<Command> {
        let mut command = match peer {
            Peer::Rust | Peer::Tokio | Peer::Encoded => Command::new(std::env::current_exe()?),
            Peer::Otp => Command::new("erl"),
            Peer::Libei | Peer::Raw => Command::new(self.folder.join("libei")),
            Peer::ErlDist => Command::new(foreign()?.join("release/erl_dist")),
            Peer::Ractor => Command::new(foreign()?.join("release/ractor")),
        };
        match peer {
            Peer::Rust => command.args(["peer", "rust", flavour.name(), name]),
            Peer::Tokio => command.args(["peer", "tokio", flavour.name(), name]),
            Peer::Encoded => command.args(["peer", "raw", flavour.name(), name]),
            Peer::Otp => command
                .args(["-noshell", "-name", name, "-setcookie", COOKIE])
                .args(["-start_epmd", "false", "-s", "bench", "-pa"])
                .arg(&self.folder),
            Peer::Libei | Peer::ErlDist => command.arg(name),
            Peer::Raw => command.args([name, "raw"]),
            Peer::Ractor => command.args([name, flavour.name()]),
        };
        Ok(command)
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

fn compile(pairs: &[Pair], folder: &Path) -> Result<()> {
    let any = |peer| pairs.iter().any(|pair| pair.is_of(peer));
    let source = |name| Path::new(SOURCES).join(name);
    if any(Peer::Otp) {
        let mut erlc = Command::new("erlc");
        run(
            erlc.arg("-o").arg(folder).arg(source("bench.erl")),
            "apt-get install erlang-nox",
        )?;
    }
    if any(Peer::Libei) || any(Peer::Raw) {
        let mut cc = Command::new("cc");
        cc.args(["-O2", "-D_REENTRANT", "-o"])
            .args([folder.join("libei"), source("libei.c")])
            .args(["-lei", "-lpthread"]);
        run(&mut cc, "apt-get install gcc erlang-dev")?;
    }
    if any(Peer::ErlDist) || any(Peer::Ractor) {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build
            .args([
                "build",
                "--release",
                "--quiet",
                "--locked",
                "--manifest-path",
            ])
            .arg(source("Cargo.toml"))
            .env("CARGO_TARGET_DIR", foreign()?);
        // What cargo tells a package that it runs would have build scripts run anew.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                build.env_remove(&name);
            }
        }
        run(&mut build, "it needs the crates of bench/peers/Cargo.toml")?;
    }
    Ok(())
}

/// Where the crates of others are built: beside our own.
fn foreign() -> Result<PathBuf> {
    let exe = std::env::current_exe()?;
    let target = exe.ancestors().nth(2).context("a target directory")?;
    Ok(target.join("peers"))
}

fn run(command: &mut Command, cure: &str) -> Result<()> {
    let program = command.get_program().to_owned();
    let what = || format!("{}: {cure}", program.display());
    let status = command.status().with_context(what)?;
    if !status.success() {
        bail!("{} ended with {status}", what());
    }
    Ok(())
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}
