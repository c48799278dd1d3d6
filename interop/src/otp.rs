//! Real OTP nodes and port mappers: on this host's loopback, each test with its own, on its own EPMD port; or on a host of a lab.

mod calls;

use std::fs::Permissions;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::netns::Host;
use crate::process::{Process, run};
use crate::turn::Turn;
use crate::{otp27, wait, workspace};

pub use self::calls::Evaluator;

/// How long an Erlang VM may take to start while others compile.
const START: Duration = Duration::from_secs(180);

/// Where `epmd` listens on a host of a lab.
const EPMD_PORT: u16 = 4369;

/// How long an expression may take.
const EVAL: Duration = Duration::from_secs(120);

/// Answers one expression per connection, beside distribution: what a test asks a node must not disturb what it measures. A stranger may
/// come, too: a test that proves a port closed, a moment after it was given to this one. That must not be an error report of the node's.
const CONTROL: &str = r#"spawn(fun() ->
    {ok, L} = gen_tcp:listen(0, [{ip, {127,0,0,1}}, binary, {packet, line}, {active, false}, {recbuf, 65536}]),
    {ok, P} = inet:port(L),
    io:format("control ~b~n", [P]),
    Serve = fun(S) ->
        Answer = try
            {ok, Line} = gen_tcp:recv(S, 0),
            {ok, T, _} = erl_scan:string(unicode:characters_to_list(Line)),
            {ok, E} = erl_parse:parse_exprs(T),
            {value, V, _} = erl_eval:exprs(E, []),
            io_lib:format("ok ~0tp~n", [V])
        catch C:X -> io_lib:format("error ~0tp~n", [{C, X}]) end,
        gen_tcp:send(S, unicode:characters_to_binary(Answer)), gen_tcp:close(S) end,
    (fun Accept() ->
        {ok, S} = gen_tcp:accept(L),
        Pid = spawn(fun() -> receive go -> Serve(S) end end),
        gen_tcp:controlling_process(S, Pid), Pid ! go, Accept() end)() end)."#;

/// Which OTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// The system's: OTP 25.
    Otp25,
    /// That of the next Debian, unpacked.
    Otp27,
}

impl Release {
    /// A program of it, with the same files below `shared`.
    ///
    /// # Errors
    /// When the release that is not the system's cannot be unpacked.
    pub fn command(self, program: &str, shared: &[PathBuf]) -> Result<Command> {
        match self {
            Self::Otp25 => Ok(Command::new(program)),
            Self::Otp27 => otp27::command(program, shared),
        }
    }
}

/// OTP's port mapper.
#[derive(Debug)]
pub struct Epmd {
    /// Where it listens.
    pub port: u16,
    process: Option<Process>,
    dir: TempDir,
}

impl Epmd {
    /// Starts one on a free port of all addresses.
    ///
    /// # Errors
    /// When there is no `epmd`; says what to install.
    pub fn start() -> Result<Self> {
        let mut epmd = Self {
            port: free_port()?,
            process: None,
            dir: tempfile::tempdir()?,
        };
        epmd.restart()?;
        Ok(epmd)
    }

    /// Ends it, and every registration.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Starts it again on the same port.
    ///
    /// # Errors
    /// When there is no `epmd`.
    pub fn restart(&mut self) -> Result<()> {
        self.stop();
        let mut command = Command::new("epmd");
        command.args(["-port", &self.port.to_string()]);
        let log = self.dir.path().join("epmd.log");
        self.process = Some(start(command, "epmd", &log)?);
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        wait::until("epmd listens", START, || TcpStream::connect(addr).ok());
        Ok(())
    }
}

/// A real node.
#[derive(Debug)]
pub struct Otp {
    name: String,
    control: SocketAddr,
    host: Option<Host>,
    process: Process,
    dir: TempDir,
}

impl Otp {
    /// Starts `erl -name NAME -setcookie COOKIE ARGS…` (`-sname` for a host without a dot or colon), registered with `epmd`.
    ///
    /// # Errors
    /// When there is no `erl`, or the node does not come up; with its output.
    pub fn start(epmd: &Epmd, name: &str, cookie: &str, args: &[&str]) -> Result<Self> {
        Self::of_release(Release::Otp25, epmd, name, cookie, args)
    }

    /// The same with a release of OTP that need not be the system's.
    ///
    /// # Errors
    /// As [`Otp::start`].
    pub fn of_release(
        release: Release,
        epmd: &Epmd,
        name: &str,
        cookie: &str,
        args: &[&str],
    ) -> Result<Self> {
        // Certificates and option files of a test.
        let mut command = release.command("erl", &[std::env::temp_dir()])?;
        command.args(args).args(["-eval", CONTROL]);
        Self::on_loopback(command, epmd, name, cookie, tempfile::tempdir()?)
    }

    fn on_loopback(
        mut command: Command,
        epmd: &Epmd,
        name: &str,
        cookie: &str,
        dir: TempDir,
    ) -> Result<Self> {
        command
            .args([form(name), name, "-setcookie", cookie, "-noinput"])
            .args(["-start_epmd", "false"])
            .env("ERL_EPMD_PORT", epmd.port.to_string())
            .env("ERL_CRASH_DUMP_BYTES", "0")
            .env("LC_ALL", "C.UTF-8")
            .env("HOME", "/")
            // A folder that every release has.
            .current_dir("/");
        let _turn = Turn::of(1)?;
        let mut process = start(command, "erl", &dir.path().join("erl.log"))?;
        Ok(Self {
            name: name.to_owned(),
            control: control(name, &mut process)?,
            host: None,
            process,
            dir,
        })
    }

    /// Starts `erl -name NAME ARGS…` on a host of a lab, where an `epmd` on the usual port is started with the first node. The
    /// cookie is in the file of its home, where OTP looks for it.
    ///
    /// # Errors
    /// As [`Otp::start`].
    pub fn on(
        host: &Host,
        release: Release,
        name: &str,
        cookie: &str,
        args: &[&str],
    ) -> Result<Self> {
        let dir = tempfile::tempdir_in(host.dir())?;
        let file = dir.path().join(".erlang.cookie");
        std::fs::write(&file, cookie)?;
        // OTP insists on it.
        std::fs::set_permissions(&file, Permissions::from_mode(0o400))?;
        let mut command = match release {
            Release::Otp25 => host.command("erl"),
            Release::Otp27 => {
                let shared = [workspace::target(), std::env::temp_dir()];
                let inside = otp27::inside(&otp27::root()?, &shared);
                let mut command = host.command(&inside[0]);
                command.args(&inside[1..]).arg("erl");
                command
            }
        };
        command
            .args([form(name), name, "-noinput", "-start_epmd", "false"])
            .args(args)
            .args(["-eval", CONTROL])
            .env("ERL_CRASH_DUMP_BYTES", "0")
            .env("HOME", dir.path());
        epmd_on(host)?;
        let _turn = Turn::of(1)?;
        let mut process = start(command, "erl", &dir.path().join("erl.log"))?;
        Ok(Self {
            name: name.to_owned(),
            control: control(name, &mut process)?,
            host: Some(host.clone()),
            process,
            dir,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value of an Erlang expression there, printed.
    ///
    /// # Errors
    /// When it raises, with class and reason; or the node does not answer.
    pub fn eval(&self, expression: &str) -> Result<String> {
        let mut stream = match &self.host {
            Some(host) => host.inside(|| TcpStream::connect(self.control))??,
            None => TcpStream::connect(self.control)?,
        };
        stream.set_read_timeout(Some(EVAL))?;
        let line = expression.trim().trim_end_matches('.').replace('\n', " ");
        stream.write_all(format!("{line}.\n").as_bytes())?;
        let mut answer = String::new();
        BufReader::new(stream)
            .read_line(&mut answer)
            .with_context(|| format!("{line} on {}", self.name))?;
        match answer.trim_end().split_once(' ') {
            Some(("ok", value)) => Ok(value.to_owned()),
            _ => bail!("{line} on {}: {answer}", self.name),
        }
    }

    /// Everything that it has printed, error reports included.
    pub fn output(&self) -> String {
        self.process.output()
    }

    /// Sends it a signal: STOP and CONT to make it silent, KILL to end it at once.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }
}

/// Starts the port mapper of a host, unless it runs.
///
/// # Errors
/// When there is no `epmd`.
pub fn epmd_on(host: &Host) -> Result<()> {
    let listens = || {
        let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, EPMD_PORT));
        host.inside(connect).ok()?.ok()
    };
    if listens().is_none() {
        run(host.command("epmd").arg("-daemon"))?;
        wait::until("epmd listens", START, listens);
    }
    Ok(())
}

/// A port that nobody has, below those that the kernel gives away: between this and its use nobody else gets it by chance.
///
/// # Errors
/// When there is none.
pub fn free_port() -> Result<u16> {
    const EACH: u32 = 100;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Test programs run side by side: each has a hundred ports of its own, unless their numbers are that much alike.
    let first = 12_000 + std::process::id() % 89 * EACH;
    for _ in 0..EACH {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed) % EACH;
        let port = u16::try_from(port)?;
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("all ports from {first} on are taken")
}

fn start(command: Command, program: &str, log: &Path) -> Result<Process> {
    Process::start(command, log).with_context(|| {
        // Runs into the same wall, and says what to install.
        run(&mut Command::new(program))
            .err()
            .map_or_else(String::new, |why| format!("{why:#}"))
    })
}

/// A short name has a host without a dot or colon.
fn form(name: &str) -> &'static str {
    match name.split_once('@') {
        Some((_, host)) if host.contains(['.', ':']) => "-name",
        _ => "-sname",
    }
}

/// Where a node that has just been started takes expressions.
fn control(name: &str, process: &mut Process) -> Result<SocketAddr> {
    let said = wait::within(START, || match control_port(&process.output()) {
        Some(port) => Some(Some(port)),
        None => process.ended().map(|_| None),
    });
    let Some(Some(port)) = said else {
        bail!("{name} does not come up: {}", process.output());
    };
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

fn control_port(output: &str) -> Option<u16> {
    let line = output.lines().find_map(|l| l.strip_prefix("control "))?;
    line.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_at_the_control_port_is_no_error_of_the_node() {
        let epmd = Epmd::start().expect("an epmd");
        let node = Otp::start(&epmd, "quiet@127.0.0.1", "monster", &[]).expect("a node");
        let processes = || node.eval("length(processes())").ok();
        let before = processes();
        for said in [
            &b""[..],
            b"GET / HTTP/1.1\r\n",
            &[0, 5, b'n'],
            &[255, b'\n'],
        ] {
            let mut stranger = TcpStream::connect(node.control).expect("it listens");
            stranger.write_all(said).expect("it reads");
        }
        wait::until("all were served", START, || {
            (processes() == before).then_some(())
        });
        let written = node.eval("logger_std_h:filesync(default)");
        assert_eq!(written.expect("an answer"), "ok");
        assert!(!node.output().contains("REPORT"), "{}", node.output());
    }
}
