//! The section of `docs/performance.md` about what was [counted](crate::counted).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, Result};

use crate::codec_page;
use crate::counted::{Count, Counts};
use crate::figure::Figure;

const HEADING: &str = "\n## Counted instructions\n";

/// Locked instructions that a small message may cost its sender: to lock its queue, and to unlock it.
const WANTED: f64 = 2.0;

/// The page with this report's section in place of the one it has.
pub(crate) fn run(report: &str) -> Result<()> {
    let json = std::fs::read(report).with_context(|| report.to_owned())?;
    let page = codec_page::page()?;
    let (before, after) = around(&page);
    print!(
        "{before}{}{after}",
        section(&serde_json::from_slice(&json)?)?
    );
    Ok(())
}

/// The section as it is on the page; empty when there is none.
pub(crate) fn kept() -> Result<String> {
    let page = codec_page::page()?;
    let (before, after) = around(&page);
    let kept = page.get(before.len()..page.len() - after.len());
    Ok(kept.unwrap_or_default().to_owned())
}

/// What comes before the section on a page, or would, and what comes behind it.
fn around(page: &str) -> (&str, &str) {
    let next = [codec_page::HEADING, codec_page::NEXT];
    let end = next.iter().find_map(|heading| page.find(heading));
    let (before, after) = page.split_at(end.unwrap_or(page.len()));
    (before.split(HEADING).next().unwrap_or(before), after)
}

fn section(counts: &Counts) -> Result<String> {
    let mut section = String::from(HEADING);
    writeln!(section, "\n{}\n", HOW.trim())?;
    writeln!(
        section,
        "| for one | side | instructions | locked | of those the program's own terms |\n|---|---|---|---|---|"
    )?;
    for count in &counts.rows {
        writeln!(
            section,
            "| {} | {} | {:.0} | {:.2} | {:.2} |",
            what(count.figure),
            if count.sends { "sender" } else { "receiver" },
            count.instructions,
            count.all_locked(),
            count.all_locked() - ours(count),
        )?;
    }
    let sends = |count: &&Count| count.sends && count.figure == Figure::OneWay;
    if let Some(count) = counts.rows.iter().find(sends) {
        let verdict = if ours(count) <= WANTED + TOLERANCE {
            "reached"
        } else {
            "**missed**"
        };
        writeln!(
            section,
            "\nWanted for a small message: no locked instruction of its sender's beyond the {WANTED:.0} of its queue. Counted: {:.2} ({verdict}), \
             and its receiver's, which locks a mailbox once for many: {:.2}.",
            ours(count),
            counts
                .rows
                .iter()
                .filter(|count| !count.sends && count.figure == Figure::OneWay)
                .map(ours)
                .sum::<f64>(),
        )?;
    }
    writeln!(
        section,
        "\n| locked instructions of a small message stand in | sender | receiver |\n|---|---|---|"
    )?;
    for (function, [sender, receiver]) in places(counts) {
        writeln!(section, "| `{function}` | {sender:.2} | {receiver:.2} |")?;
    }
    Ok(section)
}

/// What one write, or one look at the clock, adds to a message of hundreds.
const TOLERANCE: f64 = 0.1;

const HOW: &str = "
In user mode, by callgrind, with tokio's current-thread runtime: a longer run less a shorter one, divided by the messages that it has more; making, decoding and dropping
the terms included. A locked instruction is one with the prefix `lock`, or an `xchg` with memory, counted where it stands (`--dump-instr=yes`, joined with
the disassembly). The program's own terms have counters of their own parts: what drops a term stands apart. `cargo xtask bench counted` counts.
";

fn what(figure: Figure) -> &'static str {
    match figure {
        Figure::OneWay => "small message",
        Figure::PingPong => "ping-pong round trip",
        Figure::Call => "call of a gen_server",
        other => other.name(),
    }
}

/// What is not for the terms' own counters.
fn ours(count: &Count) -> f64 {
    let ours = count
        .locked
        .iter()
        .filter(|(function, _)| !is_terms(function));
    // Of nothing the sum is -0.
    ours.map(|(_, times)| times).sum::<f64>() + 0.0
}

/// Whether it shares or drops parts of terms.
fn is_terms(function: &str) -> bool {
    ["trunkline_etf", "triomphe"]
        .iter()
        .any(|of| function.contains(of))
}

/// By function, those that matter most first.
fn places(counts: &Counts) -> Vec<(&str, [f64; 2])> {
    let mut places = BTreeMap::<&str, [f64; 2]>::new();
    for count in counts
        .rows
        .iter()
        .filter(|count| count.figure == Figure::OneWay)
    {
        for (function, times) in &count.locked {
            let [sender, receiver] = places.entry(function).or_default();
            *if count.sends { sender } else { receiver } += times;
        }
    }
    let mut places: Vec<_> = places.into_iter().collect();
    places.sort_by(|(_, [a, b]), (_, [c, d])| (c + d).total_cmp(&(a + b)));
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_section_stands_before_the_codec() {
        let (goals, codec, agent) = (
            "# Performance\n",
            "\n## The codec\n\nx\n",
            "\n## The agent\n\ny\n",
        );
        let mine = format!("{HEADING}\nz\n");
        for page in [
            format!("{goals}{mine}{codec}{agent}"),
            format!("{goals}{codec}{agent}"),
        ] {
            let (before, after) = around(&page);
            assert_eq!((before, after), (goals, &*format!("{codec}{agent}")));
        }
        let page = format!("{goals}{mine}{agent}");
        assert_eq!(around(&page), (goals, agent));
    }

    #[test]
    fn the_terms_of_the_program_stand_apart() {
        let row = |sends, locked: &[(&str, f64)]| Count {
            figure: Figure::OneWay,
            sends,
            instructions: 1500.0,
            locked: locked
                .iter()
                .map(|(name, n)| ((*name).to_owned(), *n))
                .collect(),
        };
        let term = "core::ptr::drop_in_place<trunkline_etf::term::Term>";
        let queue = "trunkline_node::link::queue::Queue::push";
        let rows = vec![
            row(true, &[(queue, 2.0), (term, 1.0)]),
            row(false, &[(term, 1.0)]),
        ];
        let section = section(&Counts { rows }).unwrap();
        for line in [
            "| small message | sender | 1500 | 3.00 | 1.00 |",
            "| small message | receiver | 1500 | 1.00 | 1.00 |",
            "| `trunkline_node::link::queue::Queue::push` | 2.00 | 0.00 |",
        ] {
            assert!(
                section.lines().any(|found| found == line),
                "no {line:?} in\n{section}"
            );
        }
        assert!(section.contains("Counted: 2.00 (reached)"), "{section}");
    }
}
