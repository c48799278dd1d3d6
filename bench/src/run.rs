//! Rounds: each pair has its turn, again and again, so that what the machine does meanwhile meets all of them.

use std::collections::BTreeMap;
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::figure::{Figure, Kind};
use crate::options::Options;
use crate::pair::is_tls;
use crate::place::Place;
use crate::stats::{median, span};
use crate::turn::{Sample, Turn};
use crate::{machine, syscalls};

/// The figures that were measured last, each in one run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// What the machine and the peers are, in words; of the last run.
    pub(crate) machine: Vec<String>,
    pub(crate) figures: Vec<Table>,
}

/// One figure of all pairs that have it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Table {
    pub(crate) figure: Figure,
    /// In which run: its beginning in seconds since 1970. Nothing is compared across runs. Reports of
    /// before have none: 0.
    #[serde(default)]
    pub(crate) run: u64,
    pub(crate) rows: Vec<Row>,
}

/// One figure of one pair.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) pair: String,
    /// Of each round, in its order.
    pub(crate) values: Vec<f64>,
    /// What else the rounds gave, in their order: `p99` in the same unit, or what its name says.
    pub(crate) more: BTreeMap<String, Vec<f64>>,
    /// System calls for 1,000 messages or round trips: the sender's, the receiver's.
    pub(crate) syscalls: Option<(f64, f64)>,
}

impl Table {
    /// Its rows of pairs that speak TLS, or of those that do not.
    pub(crate) fn of(&self, tls: bool) -> Self {
        let rows = self.rows.iter().filter(|row| is_tls(&row.pair) == tls);
        Self {
            rows: rows.cloned().collect(),
            ..*self
        }
    }
}

impl Report {
    /// The run of most of the figures; of several, the last.
    pub(crate) fn main_run(&self) -> Option<u64> {
        let runs = self.figures.iter().map(|table| table.run);
        runs.max_by_key(|run| {
            let of_it = self.figures.iter().filter(|table| table.run == *run);
            (of_it.count(), *run)
        })
    }

    /// Puts a figure in the place of an earlier measurement of it.
    fn replace(&mut self, table: Table) {
        let order = |figure| Figure::ALL.iter().position(|known| *known == figure);
        self.figures.retain(|old| old.figure != table.figure);
        self.figures.push(table);
        self.figures.sort_by_key(|table| order(table.figure));
    }
}

/// Measures, prints, and writes after each figure, so that a failure takes none that was measured.
pub(crate) fn run(options: &Options) -> Result<()> {
    let place = Place::new(&options.pairs)?;
    let mut report = Report {
        machine: machine::describe(),
        figures: Vec::new(),
    };
    if let Some(earlier) = options
        .json
        .as_ref()
        .and_then(|path| std::fs::read(path).ok())
    {
        report.figures = serde_json::from_slice::<Report>(&earlier)?.figures;
    }
    let run = now()?;
    let mut turns = Vec::new();
    for (number, pair) in options.pairs.iter().enumerate() {
        if options.figures.iter().any(|figure| pair.has(*figure)) {
            turns.push(Turn::start(&place, *pair, number)?);
        }
    }
    for turn in &mut turns {
        turn.until_ready()?;
    }
    for figure in &options.figures {
        let rows = measure(&place, *figure, &mut turns, options)?;
        let table = Table {
            figure: *figure,
            run,
            rows,
        };
        print(&table);
        report.replace(table);
        if let Some(path) = &options.json {
            std::fs::write(path, serde_json::to_vec_pretty(&report)?)?;
        }
    }
    // All begin to end before the first is waited for.
    turns.iter_mut().for_each(Turn::end);
    Ok(())
}

/// Memory varies little, and a round of it takes longest.
const IDLE_ROUNDS: usize = 3;

/// Seconds since 1970.
fn now() -> Result<u64> {
    Ok(SystemTime::UNIX_EPOCH.elapsed()?.as_secs())
}

fn measure(place: &Place, figure: Figure, all: &mut [Turn], options: &Options) -> Result<Vec<Row>> {
    let able = all.iter_mut().filter(|turn| turn.pair.has(figure));
    let mut turns: Vec<&mut Turn> = able.collect();
    for turn in &mut turns {
        turn.count = match options.count {
            Some(count) => count,
            None => turn
                .enough(figure, options.run)
                .with_context(|| turn.pair.name())?,
        };
    }
    let mut rows: Vec<Row> = turns
        .iter()
        .map(|turn| Row::new(turn.pair.name()))
        .collect();
    let rounds = match figure.kind() {
        Kind::Idle => options.rounds.min(IDLE_ROUNDS),
        _ => options.rounds,
    };
    for _ in 0..rounds {
        for (turn, row) in turns.iter_mut().zip(&mut rows) {
            // Memory that was taken once is not given back.
            if figure.kind() == Kind::Idle {
                turn.restart(place)?;
            }
            row.add(turn.best(figure).with_context(|| turn.pair.name())?);
        }
    }
    if options.syscalls {
        for (turn, row) in turns.iter_mut().zip(&mut rows) {
            row.syscalls = syscalls::count(turn, figure).with_context(|| turn.pair.name())?;
        }
    }
    Ok(rows)
}

impl Row {
    fn new(pair: String) -> Self {
        Self {
            pair,
            values: Vec::new(),
            more: BTreeMap::new(),
            syscalls: None,
        }
    }

    fn add(&mut self, sample: Sample) {
        self.values.push(sample.value);
        for (name, value) in sample.more {
            self.more.entry(name.to_owned()).or_default().push(value);
        }
    }
}

fn print(table: &Table) {
    let figure = table.figure;
    println!("{} ({})", figure.title(), figure.unit());
    for row in &table.rows {
        let (least, most) = span(&row.values);
        print!(
            "  {:<18} {:>9.3}  ({least:.3} to {most:.3})",
            row.pair,
            median(&row.values),
        );
        for (name, values) in &row.more {
            print!("  {name} {:.1}", median(values));
        }
        if let Some((sender, receiver)) = row.syscalls {
            print!("  system calls per 1,000: {sender:.0} + {receiver:.0}");
        }
        println!();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(figure: Figure, pair: &str) -> Table {
        Table {
            figure,
            run: 1,
            rows: vec![Row::new(pair.to_owned())],
        }
    }

    #[test]
    fn the_main_run_has_most_of_the_figures() {
        let of = |runs: &[u64]| {
            let tables = runs.iter().map(|run| Table {
                run: *run,
                ..table(Figure::Idle, "any")
            });
            let machine = Vec::new();
            let figures = tables.collect();
            Report { machine, figures }.main_run()
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[7, 9, 7]), Some(7));
        assert_eq!(of(&[7, 9]), Some(9));
    }

    #[test]
    fn what_was_measured_again_takes_the_place_of_the_old() {
        let mut new = Report {
            machine: Vec::new(),
            figures: vec![table(Figure::PingPong, "old"), table(Figure::Idle, "old")],
        };
        new.replace(table(Figure::PingPong, "new"));
        new.replace(table(Figure::OneWay, "new"));
        let kept: Vec<_> = new
            .figures
            .iter()
            .map(|table| (table.figure, table.rows[0].pair.as_str()))
            .collect();
        assert_eq!(
            kept,
            [
                (Figure::OneWay, "new"),
                (Figure::PingPong, "new"),
                (Figure::Idle, "old")
            ]
        );
    }
}
