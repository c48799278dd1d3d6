//! `trunkline exec` is told to stop: at every moment of a BEAM's start, while the node drains, and with a node or a peer that hangs.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use trunkline_interop::agent::Place;
use trunkline_interop::netns::Lab;
use trunkline_interop::otp::Epmd;
use trunkline_interop::process::Process;
use trunkline_interop::release::{Otp, Release};
use trunkline_interop::turn::Turn;
use trunkline_interop::verb::Desk;
use trunkline_interop::wait;

const COOKIE: &str = "stops-0123456789-abcdefghij";

/// A lost signal is one that has not ended the node when a platform would kill it.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a BEAM and the agent may take to start on a busy machine.
const START: Duration = Duration::from_secs(120);

/// The shortest that an attempt of the agent lasts with what hangs here: nobody waits for one. (Promised are two seconds, which a busy machine may
/// need for less.)
const HANGS: Duration = Duration::from_secs(5);

/// From the moment CMD is there; on an idle machine the BEAM is deaf from the second to the fifth, on a busy one longer.
fn moments() -> impl Iterator<Item = Duration> {
    (0..11).map(|n| Duration::from_millis(n * 60))
}

/// What `trunkline` is told before CMD.
const EXEC: &[&str] = &["exec", "--for", "erl", "--"];

/// A cookie for `erl`, and a configuration.
fn configure(dir: &Path, name: &str, hosts: &[&str]) -> Result<()> {
    let cookie = dir.join(".erlang.cookie");
    fs::write(&cookie, COOKIE)?;
    fs::set_permissions(&cookie, Permissions::from_mode(0o400))?;
    let text =
        format!("[node]\nname = '{name}'\n[topologies.t]\nstrategy = 'epmd'\nhosts = {hosts:?}\n");
    fs::write(dir.join("trunkline.toml"), text)?;
    Ok(())
}

fn desk(epmd: &Epmd, name: &str) -> Result<Desk> {
    let desk = Desk::new(epmd, COOKIE)?;
    configure(desk.dir(), name, &[name])?;
    Ok(desk)
}

/// `exec`, when it has started CMD.
fn exec(desk: &Desk, cmd: &[&str]) -> Result<Process> {
    let args = [EXEC, cmd].concat();
    let mut command = desk.command(&args);
    command.env("ERL_CRASH_DUMP_BYTES", "0");
    let process = Process::start(command, desk.dir().join("exec.log"))?;
    until_says(&process, "INFO started ");
    Ok(process)
}

fn until_says(process: &Process, text: &str) {
    if wait::within(START, || process.output().contains(text).then_some(())).is_none() {
        panic!("no {text:?} in: {}", process.output());
    }
}

/// A signal ended it before it could handle one, or it ended by itself in order.
fn ended_well(what: &str, process: &mut Process) -> Result<()> {
    let from = Instant::now();
    let ended = wait::within(PATIENCE, || process.ended())
        .with_context(|| format!("{what}: the signal was lost: {}", process.output()))?;
    let log = process.output();
    let again = log.contains("sent the signal to stop again");
    println!(
        "{what}: {ended} after {:?}, sent again: {again}",
        from.elapsed()
    );
    ensure!(
        matches!(ended.code(), Some(0 | 143)),
        "{what}: {ended}: {log}"
    );
    Ok(())
}

#[test]
fn erl_is_stopped_at_every_moment_of_its_start() -> Result<()> {
    let epmd = Epmd::start()?;
    for (n, moment) in moments().enumerate() {
        let name = format!("s{n}@127.0.0.1");
        let desk = desk(&epmd, &name)?;
        let _turn = Turn::of(1)?;
        let mut process = exec(&desk, &["erl", "-noinput"])?;
        thread::sleep(moment);
        process.signal(Signal::TERM);
        ended_well(&format!("{moment:?}"), &mut process)?;
    }
    Ok(())
}

#[test]
fn a_release_is_stopped_at_every_moment_of_its_start() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host(1)?;
    let release = Release::install(&host, Otp::System, "")?;
    let name = format!("app@{}", host.private());
    let script = release.script();
    configure(host.dir(), &name, &[&name])?;
    for moment in moments() {
        let mut command = release.command(trunkline_interop::workspace::trunkline())?;
        command
            .args(["exec", "--"])
            .arg(&script)
            .arg("start")
            .envs([("RELEASE_NODE", name.as_str()), ("RELEASE_COOKIE", COOKIE)])
            .env("XDG_RUNTIME_DIR", host.dir());
        let log = format!("stop-{}.log", moment.as_millis());
        let _turn = Turn::of(1)?;
        let mut process = host.start(command, &log)?;
        until_says(&process, "INFO started ");
        thread::sleep(moment);
        process.signal(Signal::TERM);
        ended_well(&format!("{moment:?}"), &mut process)?;
    }
    Ok(())
}

/// The application's own handler notes each signal and drains for longer than a signal could come again.
const DRAINS: &str = r#"
    -module(drains).
    -export([start/0, init/1, handle_event/2, handle_call/2]).
    start() ->
        ok = gen_event:delete_handler(erl_signal_server, erl_signal_handler, []),
        ok = gen_event:add_handler(erl_signal_server, ?MODULE, []).
    init([]) -> io:format("handles signals~n"), {ok, 0}.
    handle_call(_, S) -> {ok, ok, S}.
    handle_event(sigterm, S) ->
        io:format("drains ~b~n", [S + 1]),
        S =:= 0 andalso spawn(fun() -> timer:sleep(7000), halt(5) end),
        {ok, S + 1}.
"#;

#[test]
fn a_node_that_drains_is_told_once() -> Result<()> {
    let epmd = Epmd::start()?;
    let name = "drains@127.0.0.1";
    let desk = desk(&epmd, name)?;
    fs::write(desk.dir().join("drains.erl"), DRAINS)?;
    let start = "{ok, drains} = c:c(drains), drains:start().";
    let mut process = exec(&desk, &["erl", "-noinput", "-eval", start])?;
    until_says(&process, "handles signals");
    until_says(&process, "INFO attached");
    // What the agent waits for once it sees the node.
    thread::sleep(Duration::from_secs(1));
    process.signal(Signal::TERM);
    let ended = process.wait(PATIENCE);
    let log = process.output();
    assert_eq!(ended.code(), Some(5), "{log}");
    assert!(
        log.contains("drains 1") && !log.contains("drains 2"),
        "{log}"
    );
    assert!(!log.contains("sent the signal to stop again"), "{log}");
    Ok(())
}

/// The end of a CMD that writes down when it ends, and of `exec`.
fn own_part(what: &str, dir: &Path, mut process: Process) -> Result<()> {
    process.signal(Signal::TERM);
    let ended = process.wait(PATIENCE);
    let end = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let log = process.output();
    ensure!(ended.code() == Some(3), "{what}: {ended}: {log}");
    let stamp = fs::read_to_string(dir.join("ended"))?;
    let own = end.saturating_sub(Duration::from_nanos(stamp.trim().parse()?));
    println!("{what}: the agent's own part {own:?}");
    ensure!(own < HANGS, "{what}: {own:?}: {log}");
    Ok(())
}

/// Starts a node beside itself, and ends at SIGTERM whatever that does.
const BESIDE: &str = "erl -noinput & echo $! >pid; \
    trap 'date +%s%N >ended; exit 3' TERM; while :; do sleep 0.02; done";

/// The attached node is stopped: it answers nothing, its connections stay open.
#[test]
fn an_attached_node_that_hangs_delays_nothing() -> Result<()> {
    let epmd = Epmd::start()?;
    let name = "hangs@127.0.0.1";
    let desk = desk(&epmd, name)?;
    let process = exec(&desk, &["sh", "-c", BESIDE])?;
    let beam = Beam::of(desk.dir())?;
    until_says(&process, "INFO attached");
    beam.signal(Signal::STOP);
    own_part("a hung node", desk.dir(), process)
}

/// A probe of a peer is under way: its port mapper takes the connection and says nothing.
#[test]
fn a_peer_that_is_being_probed_delays_nothing() -> Result<()> {
    let lab = Lab::new()?;
    let (host, silent) = (lab.host(1)?, lab.host(2)?);
    let mapper = silent.listen((silent.private(), 4369))?;
    let name = format!("probes@{}", host.private());
    let peer = format!("peer@{}", silent.private());
    configure(host.dir(), &name, &[&name, &peer])?;
    let args = [EXEC, &["sh", "-c", BESIDE]].concat();
    let command = Place::new(&host, &name, COOKIE).command(&args);
    let process = host.start(command, "exec.log")?;
    let _beam = Beam::of(host.dir())?;
    mapper.accept()?;
    own_part("a probe under way", host.dir(), process)
}

/// The node that the script left behind, ended with the test.
struct Beam(Pid);

impl Beam {
    fn of(dir: &Path) -> Result<Self> {
        let pid = wait::until("the node's process", START, || {
            fs::read_to_string(dir.join("pid"))
                .ok()?
                .trim()
                .parse()
                .ok()
        });
        Ok(Self(Pid::from_raw(pid).context("a pid")?))
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.0, signal).ok();
    }
}

impl Drop for Beam {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
