//! Rounds: each pair has its turn, again and again, so that what the machine does meanwhile meets all of them.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use crate::figure::{Better, Figure, Kind, RUN};
use crate::line::Line;
use crate::options::Options;
use crate::pair::{Pair, Peer};
use crate::place::Place;
use crate::process::Process;
use crate::stats::median;

/// How long one run may take before it counts as stuck.
const LIMIT: Duration = Duration::from_secs(30);

/// All figures of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) figures: Vec<Table>,
}

/// One figure of all pairs that have it.
#[derive(Debug, Serialize)]
pub(crate) struct Table {
    pub(crate) figure: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) rows: Vec<Row>,
}

/// One figure of one pair.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) pair: String,
    /// Of each round, in its order.
    pub(crate) values: Vec<f64>,
    /// The 99th percentile of each round, where there is one, in the same unit.
    pub(crate) p99: Vec<f64>,
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<Report> {
    let place = Place::new(&options.pairs)?;
    let mut figures = Vec::new();
    for figure in &options.figures {
        let table = measure(&place, *figure, options)?;
        print(*figure, &table);
        figures.push(table);
    }
    Ok(Report { figures })
}

fn measure(place: &Place, figure: Figure, options: &Options) -> Result<Table> {
    let mut turns = Vec::new();
    for (number, pair) in options.pairs.iter().enumerate() {
        if pair.has(figure) {
            turns.push(Turn::start(place, *pair, number)?);
        }
    }
    for turn in &mut turns {
        turn.until_ready()?;
        turn.count = match options.count {
            Some(count) => count,
            None => turn.enough(figure).with_context(|| turn.pair.name())?,
        };
    }
    for _ in 0..options.rounds {
        for turn in &mut turns {
            let sample = turn.best(figure).with_context(|| turn.pair.name())?;
            turn.row.values.push(sample.value);
            turn.row.p99.extend(sample.p99);
        }
    }
    Ok(Table {
        figure: figure.name(),
        unit: figure.unit(),
        rows: turns.into_iter().map(|turn| turn.row).collect(),
    })
}

/// A pair that is running.
#[derive(Debug)]
struct Turn {
    pair: Pair,
    /// The receiver's node name, or port.
    to: String,
    receiver: Process,
    sender: Process,
    count: u64,
    row: Row,
}

/// One run's figure.
#[derive(Clone, Copy, Debug)]
struct Sample {
    value: f64,
    p99: Option<f64>,
    took: Duration,
}

impl Turn {
    fn start(place: &Place, pair: Pair, number: usize) -> Result<Self> {
        let name = |role| format!("{role}{number}x{}@127.0.0.1", std::process::id());
        let receiver = place.start(pair.receiver, &name("r"), pair.flavour)?;
        let sender = place.start(pair.sender, &name("s"), pair.flavour)?;
        Ok(Self {
            pair,
            to: name("r"),
            receiver,
            sender,
            count: 0,
            row: Row {
                pair: pair.name(),
                values: Vec::new(),
                p99: Vec::new(),
            },
        })
    }

    fn until_ready(&mut self) -> Result<()> {
        self.sender.until_ready()?;
        let ready = self.receiver.until_ready()?;
        if matches!(self.pair.receiver, Peer::Tokio | Peer::Ractor) {
            ready.text("port")?.clone_into(&mut self.to);
        }
        Ok(())
    }

    /// How many messages fill a run. Warms up, too.
    fn enough(&mut self, figure: Figure) -> Result<u64> {
        let (first, most) = figure.counts();
        let mut count = first;
        // The second time everything is warm.
        for _ in 0..2 {
            self.count = count;
            let took = self.once(figure, 0)?.took;
            let factor = RUN.as_secs_f64() / took.as_secs_f64().max(1e-6);
            count = ((count as f64 * factor) as u64).clamp(first, most);
        }
        Ok(count)
    }

    /// One run; of bare tokio one with each strategy, of which the best counts.
    fn best(&mut self, figure: Figure) -> Result<Sample> {
        let strategies = match self.pair.receiver {
            Peer::Tokio => 0..3,
            _ => 0..1,
        };
        let mut best: Option<Sample> = None;
        for strategy in strategies {
            let sample = self.once(figure, strategy)?;
            let wins = best.is_none_or(|best| match figure.better() {
                Better::Higher => sample.value > best.value,
                Better::Lower => sample.value < best.value,
            });
            if wins {
                best = Some(sample);
            }
        }
        best.context("there is a strategy")
    }

    fn once(&mut self, figure: Figure, strategy: u64) -> Result<Sample> {
        match figure.kind() {
            Kind::Stream { senders, size } => self.stream(senders, size, strategy),
            Kind::RoundTrip => self.round_trips("ping", "pinged", 1, strategy),
            Kind::Connect => self.round_trips("connect", "connected", self.count, strategy),
            Kind::Call { callers } => self.calls(callers),
        }
    }

    fn stream(&mut self, senders: u64, size: u64, strategy: u64) -> Result<Sample> {
        let take = Line::new("take")
            .with("senders", senders)
            .with("count", self.count)
            .with("size", size)
            .with("strategy", strategy);
        self.receiver.ask(&take)?;
        self.receiver.answer("taking", LIMIT)?;
        self.sender
            .ask(&take.renamed("send").with("to", &self.to))?;
        let took = self.receiver.answer("took", LIMIT)?;
        self.sender.answer("sent", LIMIT)?;
        let expected = senders * (self.count * (self.count + 1) / 2);
        let sum: u64 = took.number("sum")?;
        ensure!(sum == expected, "the sum is {sum}, not {expected}");
        let nanos: u64 = took.number("ns")?;
        // The time begins with the first message, so that one does not count.
        let messages = (senders * self.count - 1) as f64;
        let value = match size {
            0 => messages / nanos as f64 * 1e3,
            _ => messages * size as f64 / nanos as f64,
        };
        Ok(Sample {
            value,
            p99: None,
            took: Duration::from_nanos(nanos),
        })
    }

    fn round_trips(
        &mut self,
        ask: &str,
        answer: &str,
        connections: u64,
        strategy: u64,
    ) -> Result<Sample> {
        let serve = Line::new("serve")
            .with("strategy", strategy)
            .with("connections", connections);
        self.receiver.ask(&serve)?;
        self.receiver.answer("serving", LIMIT)?;
        let ask = Line::new(ask)
            .with("to", &self.to)
            .with("count", self.count)
            .with("strategy", strategy);
        self.sender.ask(&ask)?;
        let answer = self.sender.answer(answer, LIMIT)?;
        Ok(Sample {
            value: answer.number::<f64>("p50")? / 1e3,
            p99: Some(answer.number::<f64>("p99")? / 1e3),
            took: Duration::from_nanos(answer.number("ns")?),
        })
    }

    fn calls(&mut self, callers: u64) -> Result<Sample> {
        let call = Line::new("call")
            .with("to", &self.to)
            .with("count", self.count)
            .with("callers", callers);
        self.sender.ask(&call)?;
        let called = self.sender.answer("called", LIMIT)?;
        // Each answer is the number that was asked with, and one.
        let expected = callers * (self.count * (self.count + 1) / 2 + self.count);
        let sum: u64 = called.number("sum")?;
        ensure!(sum == expected, "the sum is {sum}, not {expected}");
        let nanos: u64 = called.number("ns")?;
        Ok(Sample {
            value: (callers * self.count) as f64 / nanos as f64 * 1e6,
            p99: None,
            took: Duration::from_nanos(nanos),
        })
    }
}

fn print(figure: Figure, table: &Table) {
    println!("{} ({})", figure.title(), figure.unit());
    for row in &table.rows {
        let (least, most) = (
            row.values.iter().copied().fold(f64::INFINITY, f64::min),
            row.values.iter().copied().fold(0.0, f64::max),
        );
        print!(
            "  {:<18} {:>9.3}  ({least:.3} to {most:.3})",
            row.pair,
            median(&row.values),
        );
        if !row.p99.is_empty() {
            print!("  p99 {:.1}", median(&row.p99));
        }
        println!();
    }
}
