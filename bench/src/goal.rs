//! What is wanted, as ratios within one run.

use crate::figure::{Better, Figure};
use crate::run::{Report, Row, Table};
use crate::stats::{median, span};

/// One wish.
#[derive(Debug)]
pub(crate) struct Goal {
    /// What the explanation of a miss is called (`bench/notes/`).
    pub(crate) id: &'static str,
    pub(crate) what: &'static str,
    pub(crate) wanted: Wanted,
    ratio: Ratio,
}

/// How much of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Wanted {
    AtLeast(f64),
    AtMost(f64),
}

/// What is compared. A pair's name without its flavour stands for the flavour that does best.
#[derive(Clone, Copy, Debug)]
enum Ratio {
    /// One row to another.
    To((Figure, &'static str), (Figure, &'static str)),
    /// One row to another of the same flavour.
    ToSameFlavour(Figure, &'static str, &'static str),
    /// A row's own figure.
    Itself(Figure, &'static str),
}

/// How a goal was met.
#[derive(Debug, PartialEq)]
pub(crate) struct Outcome {
    /// The median of the rounds, and the least and most.
    pub(crate) ratio: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
    /// Which flavour it is of, where there is a choice.
    pub(crate) of: String,
}

impl Wanted {
    pub(crate) fn is_met(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(wanted) => ratio >= wanted,
            Self::AtMost(wanted) => ratio <= wanted,
        }
    }

    /// By which part of what is wanted a ratio falls short.
    pub(crate) fn missed_by(self, ratio: f64) -> f64 {
        match self {
            Self::AtLeast(wanted) => 1.0 - ratio / wanted,
            Self::AtMost(wanted) => ratio / wanted - 1.0,
        }
    }
}

impl Goal {
    /// `None` when it was not measured, or not in one run.
    pub(crate) fn judge(&self, report: &Report) -> Option<Outcome> {
        match self.ratio {
            Ratio::To((figure, ..), (other, ..)) if run(report, figure) != run(report, other) => {
                None
            }
            Ratio::To((figure, ours), (other, theirs)) => {
                let theirs = rows(report, other, theirs).reduce(|a, b| better(other, a, b))?;
                let outcomes = rows(report, figure, ours).map(|row| Outcome::of(row, theirs));
                self.best(outcomes)
            }
            Ratio::ToSameFlavour(figure, ours, theirs) => {
                let outcomes = rows(report, figure, ours).filter_map(|row| {
                    let name = row.pair.replacen(ours, theirs, 1);
                    let same = rows(report, figure, theirs).find(|row| row.pair == name)?;
                    Some(Outcome::of(row, same))
                });
                self.best(outcomes)
            }
            Ratio::Itself(figure, ours) => {
                let outcomes = rows(report, figure, ours).map(|row| Outcome::new(row, &row.values));
                self.best(outcomes)
            }
        }
    }

    /// When what is compared was measured.
    pub(crate) fn run(&self, report: &Report) -> Option<u64> {
        let (Ratio::To((figure, _), _)
        | Ratio::ToSameFlavour(figure, ..)
        | Ratio::Itself(figure, _)) = self.ratio;
        run(report, figure)
    }

    fn best(&self, outcomes: impl Iterator<Item = Outcome>) -> Option<Outcome> {
        outcomes.min_by(|a, b| {
            let (a, b) = (
                self.wanted.missed_by(a.ratio),
                self.wanted.missed_by(b.ratio),
            );
            a.total_cmp(&b)
        })
    }
}

impl Outcome {
    /// Round by round: what the machine did in a round met both.
    fn of(ours: &Row, theirs: &Row) -> Self {
        let rounds = ours.values.iter().zip(&theirs.values);
        let ratios: Vec<f64> = rounds.map(|(ours, theirs)| ours / theirs).collect();
        Self::new(ours, &ratios)
    }

    fn new(row: &Row, ratios: &[f64]) -> Self {
        let (least, most) = span(ratios);
        Self {
            ratio: median(ratios),
            least,
            most,
            of: row.pair.clone(),
        }
    }
}

/// The run that measured a figure.
fn run(report: &Report, figure: Figure) -> Option<u64> {
    let mut tables = report.figures.iter();
    tables
        .find(|table| table.figure == figure)
        .map(|table| table.run)
}

/// The rows of a pair: that of the whole name, or of each flavour.
fn rows<'a>(report: &'a Report, figure: Figure, pair: &'a str) -> impl Iterator<Item = &'a Row> {
    let tables = report
        .figures
        .iter()
        .filter(move |t: &&Table| t.figure == figure);
    tables.flat_map(|table| &table.rows).filter(move |row| {
        let rest = row.pair.strip_prefix(pair);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    })
}

fn better<'a>(figure: Figure, a: &'a Row, b: &'a Row) -> &'a Row {
    let (first, second) = (median(&a.values), median(&b.values));
    let keep = match figure.better() {
        Better::Higher => first >= second,
        Better::Lower => first <= second,
    };
    if keep { a } else { b }
}

/// Everything that is wanted of the wire.
pub(crate) const GOALS: &[Goal] = &[
    Goal {
        id: "oneway",
        what: "small messages, Rust to Rust, to OTP to OTP",
        wanted: Wanted::AtLeast(4.0),
        ratio: Ratio::To((Figure::OneWay, "rust"), (Figure::OneWay, "otp")),
    },
    Goal {
        id: "oneway8",
        what: "small messages, Rust to Rust, 8 senders to 1",
        wanted: Wanted::AtLeast(1.0),
        ratio: Ratio::To((Figure::OneWay8, "rust"), (Figure::OneWay, "rust")),
    },
    Goal {
        id: "into-otp",
        what: "small messages, Rust to OTP, to what OTP takes of bytes encoded before",
        wanted: Wanted::AtLeast(1.0),
        ratio: Ratio::To((Figure::OneWay, "rust-otp"), (Figure::OneWay, "raw-otp")),
    },
    Goal {
        id: "from-otp",
        what: "small messages, OTP to Rust, to what OTP sends to one that decodes nothing",
        wanted: Wanted::AtLeast(1.0),
        ratio: Ratio::To((Figure::OneWay, "otp-rust"), (Figure::OneWay, "otp-raw")),
    },
    Goal {
        id: "pingpong",
        what: "ping-pong p50, to the bare echo of the same flavour",
        wanted: Wanted::AtMost(1.25),
        ratio: Ratio::ToSameFlavour(Figure::PingPong, "rust", "tokio"),
    },
    Goal {
        id: "call",
        what: "calls, Rust to Rust, to OTP to OTP",
        wanted: Wanted::AtLeast(1.5),
        ratio: Ratio::To((Figure::Call, "rust"), (Figure::Call, "otp")),
    },
    Goal {
        id: "call8",
        what: "calls of 8 callers, Rust to Rust, to OTP to OTP",
        wanted: Wanted::AtLeast(1.5),
        ratio: Ratio::To((Figure::Call8, "rust"), (Figure::Call8, "otp")),
    },
    Goal {
        id: "bin64k",
        what: "binaries of 64 KiB, to the bare stream of the same flavour",
        wanted: Wanted::AtLeast(0.8),
        ratio: Ratio::ToSameFlavour(Figure::Bin64k, "rust", "tokio"),
    },
    Goal {
        id: "bin16m",
        what: "binaries of 16 MiB, to the bare stream of the same flavour",
        wanted: Wanted::AtLeast(0.8),
        ratio: Ratio::ToSameFlavour(Figure::Bin16m, "rust", "tokio"),
    },
    Goal {
        id: "transfer",
        what: "p99 of a ping during 100 MB of another process, to the p99 without",
        wanted: Wanted::AtMost(5.0),
        ratio: Ratio::Itself(Figure::Transfer, "rust"),
    },
    Goal {
        id: "transfer",
        what: "that of both, to the same of bare sockets of the same flavour",
        wanted: Wanted::AtMost(1.25),
        ratio: Ratio::ToSameFlavour(Figure::Transfer, "rust", "tokio"),
    },
    Goal {
        id: "connect",
        what: "connect and handshake p50, to OTP to OTP",
        wanted: Wanted::AtMost(0.25),
        ratio: Ratio::To((Figure::Connect, "rust"), (Figure::Connect, "otp")),
    },
    Goal {
        id: "idle",
        what: "KiB of memory for an idle connection",
        wanted: Wanted::AtMost(16.0),
        ratio: Ratio::Itself(Figure::Idle, "rust"),
    },
    default_beats_otp(Figure::OneWay, "small messages"),
    default_beats_otp(Figure::OneWay8, "small messages of 8 senders"),
    default_beats_otp(Figure::PingPong, "ping-pong p50"),
    default_beats_otp(Figure::Bin64k, "binaries of 64 KiB"),
    default_beats_otp(Figure::Bin16m, "binaries of 16 MiB"),
    default_beats_otp(Figure::Call, "calls"),
    default_beats_otp(Figure::Call8, "calls of 8 callers"),
    default_beats_otp(Figure::Connect, "connect p50"),
    default_beats_otp(Figure::Transfer, "p99 during a transfer over that without"),
];

/// What holds for whoever writes `#[tokio::main]`.
const fn default_beats_otp(figure: Figure, what: &'static str) -> Goal {
    Goal {
        id: "default",
        what,
        wanted: match figure.better() {
            Better::Higher => Wanted::AtLeast(1.0),
            Better::Lower => Wanted::AtMost(1.0),
        },
        ratio: Ratio::To((figure, "rust multi"), (figure, "otp")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn row(pair: &str, values: &[f64]) -> Row {
        Row {
            pair: pair.into(),
            values: values.to_vec(),
            more: BTreeMap::new(),
            syscalls: None,
        }
    }

    fn report(figure: Figure, rows: Vec<Row>) -> Report {
        Report {
            machine: Vec::new(),
            figures: vec![Table {
                figure,
                run: 1,
                rows,
            }],
        }
    }

    #[test]
    fn nothing_is_compared_across_runs() {
        let mut both = report(Figure::OneWay, vec![row("rust multi", &[2.0])]);
        let eight = report(Figure::OneWay8, vec![row("rust multi", &[4.0])]);
        both.figures.extend(eight.figures);
        assert_eq!(judged("oneway8", &both).unwrap().ratio, 2.0);
        both.figures[1].run = 2;
        assert_eq!(judged("oneway8", &both), None);
    }

    fn judged(id: &str, report: &Report) -> Option<Outcome> {
        let goal = GOALS.iter().find(|goal| goal.id == id).unwrap();
        goal.judge(report)
    }

    #[test]
    fn the_better_flavour_counts_round_by_round() {
        let rows = vec![
            row("rust multi", &[3.0, 6.0, 4.0]),
            row("rust current", &[8.0, 10.0, 2.0]),
            row("rust-otp multi", &[99.0, 99.0, 99.0]),
            row("otp", &[1.0, 2.0, 1.0]),
        ];
        let outcome = judged("oneway", &report(Figure::OneWay, rows)).unwrap();
        assert_eq!(outcome.of, "rust current");
        assert_eq!(
            (outcome.ratio, outcome.least, outcome.most),
            (5.0, 2.0, 8.0)
        );
    }

    #[test]
    fn each_flavour_has_a_floor_of_its_own() {
        let rows = vec![
            row("rust multi", &[20.0]),
            row("rust current", &[12.0]),
            row("tokio multi", &[18.0]),
            row("tokio current", &[8.0]),
        ];
        let outcome = judged("pingpong", &report(Figure::PingPong, rows)).unwrap();
        assert_eq!(outcome.of, "rust multi");
        assert!(Wanted::AtMost(1.25).is_met(outcome.ratio));
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        let rows = vec![row("rust multi", &[1.0])];
        let report = report(Figure::OneWay, rows);
        assert_eq!(judged("oneway", &report), None);
        assert_eq!(judged("pingpong", &report), None);
    }

    #[test]
    fn a_miss_is_a_part_of_what_is_wanted() {
        assert_eq!(Wanted::AtLeast(4.0).missed_by(3.0), 0.25);
        assert_eq!(Wanted::AtMost(4.0).missed_by(5.0), 0.25);
    }
}
