//! The codec's section of `docs/performance.md`, from the report of `bench/codec`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::stats::{median, span};

/// What `trunkline-bench-codec` writes.
#[derive(Debug, Deserialize)]
struct Report {
    versions: Vec<String>,
    /// Names, and what one element is.
    shapes: Vec<(String, String)>,
    /// Nanoseconds for an element: by peer and operation, by shape, of each round.
    figures: BTreeMap<String, BTreeMap<String, Vec<f64>>>,
}

/// One table: what we do, beside those who do the same.
struct Table {
    title: &'static str,
    ours: &'static str,
    peers: &'static [&'static str],
    goal: fn(&str) -> Goal,
}

/// How many times as fast as whom we want to be.
struct Goal {
    wanted: f64,
    /// The best of these counts.
    than: &'static [&'static str],
}

const TABLES: &[Table] = &[
    Table {
        title: "Checking and reading every value in one pass (`RawTerm::visit`)",
        ours: "trunkline visit",
        peers: &["trunkline walk", "libei walk", "libei skip"],
        goal: |_| Goal {
            wanted: 2.0,
            than: &["libei walk"],
        },
    },
    Table {
        title: "Decoding into a term of its own, and dropping it",
        ours: "trunkline decode",
        peers: &["otp decode", "eetf decode"],
        goal: |shape| Goal {
            wanted: 1.0,
            than: match shape {
                "integers" | "rows" | "short_binaries" | "bignums" => {
                    &["otp decode", "eetf decode"]
                }
                _ => &["eetf decode"],
            },
        },
    },
    Table {
        title: "Encoding into a buffer that is there",
        ours: "trunkline encode",
        peers: &["libei encode", "eetf encode", "copy encode"],
        goal: |_| Goal {
            wanted: 1.5,
            than: &["libei encode", "eetf encode"],
        },
    },
    Table {
        title: "Encoding into a new buffer, and dropping it",
        ours: "trunkline vec",
        peers: &["otp encode", "eetf vec", "copy vec"],
        goal: |_| Goal {
            wanted: 1.5,
            than: &["otp encode", "eetf vec"],
        },
    },
];

pub(crate) const HEADING: &str = "\n## The codec\n";

/// What comes after it on the page.
pub(crate) const NEXT: &str = "\n## The agent\n";

/// The page with this report's section in place of the one it has.
pub(crate) fn run(report: &str) -> Result<()> {
    let page = page()?;
    let (before, rest) = page.split_once(NEXT).context("the page has no agent")?;
    let before = before.split(HEADING).next().unwrap_or(before);
    print!("{before}{}{NEXT}{rest}", section(&read(report)?)?);
    Ok(())
}

/// The section as it is on the page, so that a run of the others keeps it; empty when there is none.
pub(crate) fn kept() -> Result<String> {
    let page = page()?;
    let before = page.split_once(NEXT).map_or("", |(before, _)| before);
    Ok(match before.split_once(HEADING) {
        Some((_, section)) => format!("{HEADING}{section}"),
        None => String::new(),
    })
}

/// The page as it is.
pub(crate) fn page() -> Result<String> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance.md");
    std::fs::read_to_string(page).context(page)
}

fn read(report: &str) -> Result<Report> {
    let json = std::fs::read(report).with_context(|| report.to_owned())?;
    Ok(serde_json::from_slice(&json)?)
}

fn section(report: &Report) -> Result<String> {
    let rounds = report.figures.values().flat_map(BTreeMap::values);
    let rounds = rounds.map(Vec::len).max().unwrap_or_default();
    let mut section = String::from(HEADING);
    writeln!(
        section,
        "\nOne process and one thread, the same bytes for everybody, {}; measured in a run of its own. Nanoseconds for each element,\n\
         medians of {rounds} rounds, each the best of many short samples; what a step makes it also drops. A goal is how many times as\n\
         fast we are as the best of those in bold, round by round: the median, the least and the most. \
         [bench/codec](../bench/codec/README.md) has the shapes and rules.",
        report.versions.join(", ")
    )?;
    for table in TABLES {
        table.write(report, &mut section)?;
    }
    let notes = include_str!("../notes/codec.md");
    writeln!(section, "\n{}", notes.trim())?;
    Ok(section)
}

impl Table {
    fn write(&self, report: &Report, page: &mut String) -> Result<()> {
        writeln!(page, "\n### {}\n", self.title)?;
        let peers: Vec<&str> = self.peers.iter().map(|peer| who(peer)).collect();
        writeln!(
            page,
            "| shape | an element is a | Trunkline | {} | times as fast | wanted | |",
            peers.join(" | ")
        )?;
        writeln!(page, "|---|---|{}", "---|".repeat(4 + self.peers.len()))?;
        for (shape, element) in &report.shapes {
            let Some(ours) = report.rounds(self.ours, shape) else {
                continue;
            };
            let goal = (self.goal)(shape);
            let cells = self.peers.iter().map(|peer| {
                let figure = report.rounds(peer, shape);
                let figure = figure.map_or_else(|| "-".to_owned(), |rounds| number(median(rounds)));
                match goal.than.contains(peer) {
                    true => format!("**{figure}**"),
                    false => figure,
                }
            });
            let cells: Vec<String> = cells.collect();
            writeln!(
                page,
                "| {shape} | {element} | {} | {} | {} |",
                number(median(ours)),
                cells.join(" | "),
                goal.verdict(report, ours, shape)?
            )?;
        }
        Ok(())
    }
}

impl Goal {
    fn verdict(&self, report: &Report, ours: &[f64], shape: &str) -> Result<String> {
        let than = self
            .than
            .iter()
            .filter_map(|peer| report.rounds(peer, shape));
        let than: Vec<&[f64]> = than.collect();
        // The same place is the same round only where everybody was in all of them.
        if let Some(other) = than.iter().find(|rounds| rounds.len() != ours.len()) {
            bail!("{shape}: {} rounds beside {}", ours.len(), other.len());
        }
        let best = |round: usize| {
            let figures = than.iter().filter_map(|rounds| rounds.get(round));
            figures.copied().min_by(f64::total_cmp)
        };
        let ratios = ours.iter().enumerate();
        let ratios: Vec<f64> = ratios
            .filter_map(|(round, own)| Some(best(round)? / own))
            .collect();
        if ratios.is_empty() {
            return Ok("- | - | not measured".to_owned());
        }
        let (ratio, (least, most)) = (median(&ratios), span(&ratios));
        let verdict = match ratio >= self.wanted {
            true => "reached".to_owned(),
            false => format!("**missed by {:.0} %**", (1.0 - ratio / self.wanted) * 100.0),
        };
        let wanted = self.wanted;
        Ok(format!(
            "{ratio:.2} ({least:.2} to {most:.2}) | ≥ {wanted} | {verdict}"
        ))
    }
}

impl Report {
    fn rounds(&self, who: &str, shape: &str) -> Option<&[f64]> {
        let rounds = self.figures.get(who)?.get(shape)?;
        (!rounds.is_empty()).then_some(rounds)
    }
}

/// A peer and its operation in words.
fn who(peer: &str) -> &str {
    match peer {
        "trunkline walk" => "what was checked before (`Walk::visit`)",
        "libei walk" => "libei",
        "libei skip" => "libei, skipping",
        _ => match peer.split_once(' ') {
            Some(("otp", _)) => "OTP",
            Some(("copy", _)) => "copying the bytes",
            Some((peer, _)) => peer,
            None => peer,
        },
    }
}

/// Three digits that count.
fn number(value: f64) -> String {
    match value {
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_against_the_best_peer_of_each_round() {
        let report: Report = serde_json::from_str(
            r#"{"versions": ["OTP 25"], "shapes": [["rows", "row"], ["atoms", "atom"]], "figures": {
                "trunkline encode": {"rows": [10.0, 20.0, 10.0]},
                "libei encode": {"rows": [30.0, 20.0, 40.0]},
                "copy encode": {"rows": [2.0, 2.0, 2.0]},
                "eetf encode": {"rows": [20.0, 30.0, 30.0]}}}"#,
        )
        .unwrap();
        let section = section(&report).unwrap();
        let row = "| rows | row | 10.0 | **30.0** | **30.0** | 2.00 | 2.00 (1.00 to 3.00) | ≥ 1.5 | reached |";
        assert!(section.contains(row), "{section}");
        assert!(!section.contains("| atoms"), "{section}");
    }

    #[test]
    fn rounds_that_are_not_the_same_ones_are_not_compared() {
        let report: Report = serde_json::from_str(
            r#"{"versions": ["OTP 25"], "shapes": [["rows", "row"]], "figures": {
                "trunkline encode": {"rows": [10.0, 20.0]}, "libei encode": {"rows": [30.0]}}}"#,
        )
        .unwrap();
        let refused = section(&report).unwrap_err().to_string();
        assert_eq!(refused, "rows: 2 rounds beside 1");
    }
}
