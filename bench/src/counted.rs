//! Instructions, and those of them that lock the bus, counted where they stand: valgrind's `callgrind` runs one side, and what
//! `objdump` says tells which instruction is which. No other program that runs meanwhile touches these figures.
//!
//! Two runs, one longer than the other: what differs is what messages cost.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::figure::Figure;
use crate::pair::{Flavour, Pair};
use crate::place::{Place, Watched};
use crate::turn::Turn;

/// What was counted, with tokio's current-thread runtime.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) rows: Vec<Count>,
}

/// One side of one figure, for one message, round trip or call.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Count {
    pub(crate) figure: Figure,
    pub(crate) sends: bool,
    pub(crate) instructions: f64,
    /// Locked instructions, by the function in which they stand; what inlined functions do is their caller's.
    pub(crate) locked: BTreeMap<String, f64>,
}

impl Count {
    pub(crate) fn all_locked(&self) -> f64 {
        self.locked.values().sum()
    }
}

/// What is counted, and the lengths of the two runs.
const FIGURES: [(Figure, u64, u64); 3] = [
    (Figure::OneWay, 10_000, 30_000),
    (Figure::PingPong, 1_000, 3_000),
    (Figure::Call, 1_000, 3_000),
];

/// Less than one in a hundred messages has it: no cost of a message.
const SELDOM: f64 = 0.01;

/// Counts, prints, and writes the report there.
pub(crate) fn run(json: Option<&str>) -> Result<()> {
    let pairs = Pair::named("rust", &[Flavour::Current])?;
    let pair = *pairs.first().context("there is one")?;
    let place = Place::new(&pairs)?;
    let mut locks = Locks::default();
    let mut rows = Vec::new();
    for (figure, short, long) in FIGURES {
        for sends in [true, false] {
            let [before, after] =
                [short, long].map(|count| profile(&place, pair, figure, sends, count));
            let (before, after) = (before?, after?);
            let count = Count::of(figure, sends, (&before, &after, long - short), &mut locks)?;
            print(&count);
            rows.push(count);
        }
    }
    if let Some(path) = json {
        std::fs::write(path, serde_json::to_vec_pretty(&Counts { rows })?)?;
    }
    Ok(())
}

fn print(count: &Count) {
    let side = if count.sends { "sender" } else { "receiver" };
    println!(
        "{}, {side}: {:.0} instructions, {:.2} locked",
        count.figure.name(),
        count.instructions,
        count.all_locked()
    );
    for (function, times) in &count.locked {
        println!("  {times:6.2} {function}");
    }
}

/// How often each instruction was executed by one side in a run of so many messages.
fn profile(place: &Place, pair: Pair, figure: Figure, sends: bool, count: u64) -> Result<Profile> {
    let file = place.folder().join("callgrind.out");
    let mut turn = Turn::start_watched(place, pair, &Watched { sends, file: &file })?;
    turn.until_ready()?;
    turn.count = count;
    turn.once(figure, 0)?;
    turn.end();
    turn.sender.until_ended()?;
    turn.receiver.until_ended()?;
    Profile::parse(&std::fs::read_to_string(&file).context("valgrind: apt-get install valgrind")?)
}

/// How often each instruction was executed: by object and address, with the function.
#[derive(Debug, Default, PartialEq)]
struct Profile(HashMap<(String, u64), (String, u64)>);

impl Profile {
    /// Of callgrind's file, with whole names and whole addresses.
    fn parse(text: &str) -> Result<Self> {
        let mut profile = Self::default();
        let (mut object, mut function) = (String::new(), String::new());
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(name) = line.strip_prefix("ob=") {
                name.clone_into(&mut object);
            } else if let Some(name) = line.strip_prefix("fn=") {
                // A number tells recursive calls apart.
                let name = name.split('\'').next().unwrap_or_default();
                name.clone_into(&mut function);
            } else if line.starts_with("calls=") {
                // What follows is the cost of those who are called.
                lines.next();
            } else if let Some(cost) = line.strip_prefix("0x") {
                let mut fields = cost.split(' ');
                let address = fields.next().map(|hex| u64::from_str_radix(hex, 16));
                let address = address.context("an address")??;
                let times: u64 = fields.nth(1).unwrap_or("0").parse()?;
                let place = profile.0.entry((object.clone(), address)).or_default();
                place.0.clone_from(&function);
                place.1 += times;
            }
        }
        ensure!(!profile.0.is_empty(), "callgrind counted nothing");
        Ok(profile)
    }
}

impl Count {
    fn of(
        figure: Figure,
        sends: bool,
        (before, after, more): (&Profile, &Profile, u64),
        locks: &mut Locks,
    ) -> Result<Self> {
        let more = more as f64;
        let mut instructions = 0.0;
        let mut locked = BTreeMap::<String, f64>::new();
        for (place, (function, times)) in &after.0 {
            let earlier = before.0.get(place).map_or(0, |(_, times)| *times);
            let times = (*times as f64 - earlier as f64) / more;
            instructions += times;
            // So that only what runs is looked up.
            if times >= SELDOM && locks.has(place)? {
                *locked.entry(function.clone()).or_default() += times;
            }
        }
        Ok(Self {
            figure,
            sends,
            instructions,
            locked,
        })
    }
}

/// The addresses of locked instructions, by object.
#[derive(Default)]
struct Locks(HashMap<PathBuf, HashSet<u64>>);

impl Locks {
    fn has(&mut self, (object, address): &(String, u64)) -> Result<bool> {
        let object = Path::new(object);
        if !self.0.contains_key(object) {
            let found = if object.is_file() {
                disassembled(object)?
            } else {
                // What valgrind puts there itself.
                HashSet::new()
            };
            self.0.insert(object.to_owned(), found);
        }
        Ok(self
            .0
            .get(object)
            .is_some_and(|found| found.contains(address)))
    }
}

fn disassembled(object: &Path) -> Result<HashSet<u64>> {
    let mut objdump = Command::new("objdump");
    objdump.args(["-d", "--no-show-raw-insn"]).arg(object);
    let output = objdump
        .output()
        .context("objdump: apt-get install binutils")?;
    if !output.status.success() {
        bail!("objdump {} ended with {}", object.display(), output.status);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().filter_map(locked).collect())
}

/// The address of a line of the disassembly, if it locks the bus: by the prefix, or as `xchg` with memory does by itself.
fn locked(line: &str) -> Option<u64> {
    let (address, instruction) = line.split_once(':')?;
    let instruction = instruction.trim_start();
    let mnemonic = instruction.split_whitespace().next()?;
    let locks = mnemonic == "lock" || (mnemonic.starts_with("xchg") && instruction.contains('('));
    let address = u64::from_str_radix(address.trim(), 16).ok()?;
    locks.then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disassembly_tells_which_instructions_lock() {
        let lines = [
            ("  1a2b:\tlock cmpxchg %ecx,(%rdi)", Some(0x1a2b)),
            ("  1a30:\txchg   %eax,0x10(%rbx)", Some(0x1a30)),
            ("  1a34:\txchg   %ax,%ax", None),
            ("  1a36:\tmov    (%rax),%rcx", None),
            ("0000000000001a20 <block>:", None),
        ];
        for (line, wanted) in lines {
            assert_eq!(locked(line), wanted, "{line}");
        }
    }

    #[test]
    fn what_is_called_is_counted_where_it_stands() {
        let text = "version: 1\npositions: instr line\n\nob=/a\nfl=a.rs\nfn=one\n0x10 5 3\ncfn=two\ncalls=2 0x20 \n0x14 6 40\n0x18 7 3\n\nfn=two'2\n0x20 9 7\n";
        let profile = Profile::parse(text).unwrap();
        let at = |address| profile.0.get(&("/a".to_owned(), address)).cloned();
        assert_eq!(at(0x10), Some(("one".to_owned(), 3)));
        assert_eq!(at(0x14), None);
        assert_eq!(at(0x18), Some(("one".to_owned(), 3)));
        assert_eq!(at(0x20), Some(("two".to_owned(), 7)));
    }
}
