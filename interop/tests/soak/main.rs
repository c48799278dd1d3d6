//! The soak: one node of ours among real ones of OTP 25 and 27, whose processes talk in pairs (messages by pid, name and alias, large
//! ones among them; links, monitors, exit signals, calls) while nodes are killed and come back as new incarnations, stand still, and
//! lose their connections in every way there is. Whatever happens, each half of a pair holds what it hears against what Erlang
//! guarantees, on both sides; see [`half`]. In the end everything is given back: processes, memory, file descriptors.
//!
//! `SOAK_SECONDS` (30) is how long there is trouble, `SOAK_SEED` which trouble: a run that fails prints its own. The plan is the
//! same with the same seed; the moments at which it meets the machine are not.

mod acts;
mod faults;
mod half;
mod memory;
mod rng;
mod world;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use trunkline_interop::netns::{Host, Lab};
use trunkline_interop::otp::{Otp, Release, epmd_on};
use trunkline_interop::process::run;
use trunkline_interop::{otp27, wait, workspace};

use self::faults::Slot;
use self::world::{Phase, World};

/// For what takes milliseconds, while others compile.
const SOON: Duration = Duration::from_secs(60);

/// The host of our node; OTP's come behind it.
const OURS: u8 = 1;

const RELEASES: [Release; 4] = [
    Release::Otp25,
    Release::Otp27,
    Release::Otp25,
    Release::Otp27,
];

const COOKIE: &str = "soak-0123456789";

/// Pairs that each side begins on each node.
const PAIRS: usize = 3;

/// Seconds of silence after which a connection is given up.
const TICK_TIME: u64 = 4;

/// More than this must not be left of a run, over what the idle node had.
const LEFT: usize = 4 << 20;

#[test]
fn nothing_that_erlang_guarantees_is_broken() {
    let seconds = number("SOAK_SECONDS").unwrap_or(30);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seed = number("SOAK_SEED").unwrap_or_else(|| now.expect("after 1970").as_secs());
    println!("again with SOAK_SEED={seed} SOAK_SECONDS={seconds}");
    let story = story(seed, Duration::from_secs(seconds));
    story.unwrap_or_else(|why| panic!("SOAK_SEED={seed} SOAK_SECONDS={seconds}: {why:#}"));
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a number")),
    )
}

fn story(seed: u64, long: Duration) -> Result<()> {
    // Before there is a thread that cannot fetch it.
    otp27::root()?;
    let lab = Lab::new()?;
    let ours = lab.host(OURS)?;
    let hosts: Vec<Host> = (OURS + 1..)
        .take(RELEASES.len())
        .map(|n| lab.host(n))
        .collect::<Result<_>>()?;
    let module = lab.dir().join("soak");
    compile(&module)?;
    epmd_on(&ours)?;
    let runtime = ours.inside(|| {
        // Its threads begin where this one is.
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
    })??;
    // On that host, too.
    ours.inside(|| {
        let _entered = runtime.enter();
        let world = runtime.block_on(World::start(&ours, &hosts, seed))?;
        let before = Held::now();
        let troubled = trouble(&world, &hosts, &module, seed, long);
        let said = world.said();
        println!("{said}");
        let slots = troubled.with_context(|| said.clone())?;
        end(&world, slots).with_context(|| said.clone())?;
        before.is_back(&world).with_context(|| said)?;
        runtime.block_on(world.stop())
    })?
}

/// All the trouble, and then none: every node comes back, and every pair goes on.
fn trouble(
    world: &Arc<World>,
    hosts: &[Host],
    module: &Path,
    seed: u64,
    long: Duration,
) -> Result<Vec<Otp>> {
    let end = Instant::now() + long;
    let slots: Vec<Otp> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..hosts.len())
            .map(|at| {
                let slot = Slot::new(world, at, &hosts[at], RELEASES[at], module, seed);
                scope.spawn(move || slot.run(end))
            })
            .collect();
        let ended = threads.into_iter().map(|thread| thread.join());
        ended
            .map(|one| one.expect("it does not panic"))
            .collect::<Result<_>>()
    })?;
    let begun = world.progress();
    let mut late = Vec::new();
    let all = wait::within(SOON, || {
        let now = world.progress();
        let count = |at: &usize| now[*at] < begun[*at] + 100;
        late = (0..hosts.len()).filter(count).collect();
        (late.is_empty() || !world.broken().is_empty()).then_some(())
    });
    ensure!(all.is_some(), "nothing comes from {late:?} any more");
    heard(world, &slots)?;
    Ok(slots)
}

/// Nothing was broken, on either side.
fn heard(world: &World, slots: &[Otp]) -> Result<()> {
    let broken = world.broken();
    ensure!(broken.is_empty(), "{}", broken.join("\n"));
    for otp in slots {
        faults::check(otp)?;
    }
    Ok(())
}

/// The other nodes are gone for good: each monitor and link that is left fires, and all processes end.
fn end(world: &Arc<World>, slots: Vec<Otp>) -> Result<()> {
    world.enter(Phase::Ending);
    drop(slots);
    wait::within(SOON, || (world.halves() == 0).then_some(()));
    let broken = world.broken();
    ensure!(broken.is_empty(), "{}", broken.join("\n"));
    let left = world.left();
    ensure!(
        left.is_empty(),
        "these were not told that all is over: {left:#?}"
    );
    world.saw_all_go(SOON)
}

/// What this process holds.
struct Held {
    memory: usize,
    files: usize,
}

impl Held {
    fn now() -> Self {
        let files = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        Self {
            memory: memory::held(),
            files,
        }
    }

    /// Waits until no more is held than now was.
    fn is_back(&self, world: &World) -> Result<()> {
        let mut now = Self::now();
        let back = wait::within(SOON, || {
            now = Self::now();
            (now.files <= self.files && now.memory < self.memory + LEFT).then_some(())
        });
        println!(
            "held: {} to {} files, {} to {} KiB, at most {} KiB",
            self.files,
            now.files,
            self.memory >> 10,
            now.memory >> 10,
            memory::most() >> 10
        );
        ensure!(
            back.is_some(),
            "{} files of {}, {} bytes of {} are left; connected: {:?}",
            now.files,
            self.files,
            now.memory,
            self.memory,
            world.node().connected()
        );
        Ok(())
    }
}

/// OTP's side, by the older release: the newer runs it too.
fn compile(dir: &Path) -> Result<()> {
    std::fs::create_dir(dir)?;
    let source = workspace::root().join("interop/fixtures/erlang/soak.erl");
    run(Command::new("erlc")
        .args(["-Wall", "-Werror", "-o"])
        .arg(dir)
        .arg(source))?;
    Ok(())
}
