//! `docs/performance.md`, from the reports of a run.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::goal::{GOALS, Goal, Outcome, Wanted};
use crate::run::{Report, Row, Table};
use crate::stats::{median, span};

/// What `trunkline-bench-agent` writes.
#[derive(Debug, Deserialize)]
struct Agent {
    cost: Cost,
    formation: Formation,
}

#[derive(Debug, Deserialize)]
struct Cost {
    hosts: u8,
    resident_kib: Vec<u64>,
    cpu_ms: u64,
    starts: usize,
    version_ms: f64,
    erl_version_ms: f64,
    binary_bytes: u64,
}

#[derive(Debug, Deserialize)]
struct Formation {
    hosts: u32,
    fast: Vec<f64>,
    default: Vec<f64>,
}

/// The page, of the wire's report and the agent's. Without the latter its sections stay as they are on the page.
pub(crate) fn run(wire: &str, agent: &str) -> Result<()> {
    let wire = std::fs::read(wire).with_context(|| wire.to_owned())?;
    let wire: Report = serde_json::from_slice(&wire)?;
    let agent = match std::fs::read(agent) {
        Ok(agent) => sections(&serde_json::from_slice(&agent)?)?,
        Err(_) => {
            let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance.md");
            earlier(&std::fs::read_to_string(page).context(page)?)?
        }
    };
    let sections = crate::counted_page::kept()? + &crate::codec_page::kept()? + &agent;
    print!("{}", page(&wire, &sections)?);
    Ok(())
}

/// The agent's sections of a page.
fn earlier(page: &str) -> Result<String> {
    let at = page.find(AGENT).context("the page has no agent")?;
    let (heading, rest) = page.split_at(at + AGENT.len());
    debug_assert!(heading.ends_with(AGENT));
    let rest = rest.strip_prefix(EARLIER).unwrap_or(rest);
    Ok(format!("{AGENT}{EARLIER}{rest}"))
}

const AGENT: &str = "\n## The agent\n";

const EARLIER: &str =
    "\nThis section and the next were measured in an earlier run than the wire.\n";

fn sections(agent: &Agent) -> Result<String> {
    let mut page = String::new();
    cost(&mut page, &agent.cost)?;
    formation(&mut page, &agent.formation)?;
    Ok(page)
}

fn page(wire: &Report, agent: &str) -> Result<String> {
    let mut page = String::from(
        "# Performance\n\n\
         Made by `cargo xtask bench`; nothing here is written by hand. The machine is shared, so figures vary from run to run, and\n\
         what is compared was measured in one run, in turns. A table or goal that is not of the run of the others says so.\n\n",
    );
    for line in &wire.machine {
        writeln!(page, "- {line}")?;
    }
    goals(&mut page, wire)?;
    writeln!(page, "\n## The wire\n\n{}", HOW.trim())?;
    let main = wire.main_run();
    let of = |tls: bool| {
        let tables = wire.figures.iter().map(move |table| table.of(tls));
        tables.filter(move |table| !tls || !table.rows.is_empty())
    };
    for table in of(false) {
        figure(&mut page, &table, main)?;
    }
    if of(true).next().is_some() {
        writeln!(page, "\n## The wire over TLS\n\n{}", TLS.trim())?;
    }
    for table in of(true) {
        figure(&mut page, &table, main)?;
    }
    page.push_str(agent);
    Ok(page)
}

const HOW: &str = "
Two OS processes, always. The receiver takes each message from a mailbox, decodes it, checks the sequence of its sender and gives the
sum; the time is the receiver's, from the first message to the last. Medians of the rounds, with the least and the most. System calls are those
of sender and receiver for 1,000 messages or round trips, counted in a run of their own. [bench/README.md](../bench/README.md) has all rules, and
how to run one figure alone.
";

const TLS: &str = "
The same peers in the same run as above, with TLS 1.3 between them: OTP's `-proto_dist inet_tls` and our own, one option file for both, certificates
with elliptic keys on both sides, each verified by the other.
";

fn goals(page: &mut String, wire: &Report) -> Result<()> {
    let rows = wire.figures.iter().flat_map(|table| &table.rows);
    let rounds = rows.map(|row| row.values.len()).max().unwrap_or_default();
    writeln!(
        page,
        "\n## Goals\n\n\
         Ratios within one run, round by round: the median, the least and the most of {rounds} rounds. A goal holds for the better flavour of\n\
         tokio's runtime; the last rows are about the default, `multi`.\n\n\
         | what | wanted | reached | of | |\n|---|---|---|---|---|"
    )?;
    let main = wire.main_run();
    let mut notes = Vec::new();
    for goal in GOALS {
        let Some(outcome) = goal.judge(wire) else {
            if goal.id != "default" {
                writeln!(page, "| {} | | not measured in one run | | |", goal.what)?;
            }
            continue;
        };
        let other = (goal.run(wire) != main).then_some(" (another run)");
        goal_row(page, goal, &outcome, other.unwrap_or_default())?;
        if !goal.wanted.is_met(outcome.ratio) && !notes.contains(&goal.id) {
            notes.push(goal.id);
        }
    }
    for id in notes {
        if let Some(note) = note(id) {
            writeln!(page, "\n{}", note.trim())?;
        }
    }
    Ok(())
}

fn goal_row(page: &mut String, goal: &Goal, outcome: &Outcome, run: &str) -> Result<()> {
    let wanted = match goal.wanted {
        Wanted::AtLeast(ratio) => format!("≥ {ratio}"),
        Wanted::AtMost(ratio) => format!("≤ {ratio}"),
    };
    let verdict = match goal.wanted.is_met(outcome.ratio) {
        true => "reached".to_owned(),
        false => format!(
            "**missed by {:.0} %**",
            goal.wanted.missed_by(outcome.ratio) * 100.0
        ),
    };
    let what = match goal.id {
        "default" => format!("default to OTP: {}", goal.what),
        _ => goal.what.to_owned(),
    };
    let Outcome {
        ratio,
        least,
        most,
        of,
    } = outcome;
    writeln!(
        page,
        "| {what} | {wanted} | {ratio:.2} ({least:.2} to {most:.2}) | {of} | {verdict}{run} |"
    )?;
    Ok(())
}

/// Why a goal is missed: where the time goes.
fn note(id: &str) -> Option<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("notes");
    std::fs::read_to_string(folder.join(format!("{id}.md"))).ok()
}

fn figure(page: &mut String, table: &Table, main: Option<u64>) -> Result<()> {
    let more: Vec<&String> = table.rows.iter().flat_map(|row| row.more.keys()).collect();
    let mut columns: Vec<&String> = Vec::new();
    for name in more {
        if !columns.contains(&name) {
            columns.push(name);
        }
    }
    let calls = table.rows.iter().any(|row| row.syscalls.is_some());
    writeln!(page, "\n### {}\n", table.figure.title())?;
    if let Some(main) = main.filter(|main| *main != table.run) {
        writeln!(page, "{}\n", other_run(table.run, main))?;
    }
    write!(
        page,
        "| sender → receiver | {} | rounds |",
        table.figure.unit()
    )?;
    for name in &columns {
        write!(page, " {name} |")?;
    }
    if calls {
        write!(page, " system calls per 1,000 |")?;
    }
    let width = 3 + columns.len() + usize::from(calls);
    writeln!(page, "\n|{}", "---|".repeat(width))?;
    for row in &table.rows {
        figure_row(page, row, &columns, calls)?;
    }
    Ok(())
}

/// Why the figures of this table stand alone.
fn other_run(run: u64, main: u64) -> String {
    let (apart, when) = match run >= main {
        true => (run - main, "later"),
        false => (main - run, "earlier"),
    };
    let (hours, minutes) = (apart / 3600, apart / 60 % 60);
    format!(
        "Of another run than the rest, {hours} h {minutes} min {when}: not to be compared with the other tables."
    )
}

fn figure_row(page: &mut String, row: &Row, columns: &[&String], calls: bool) -> Result<()> {
    let (least, most) = span(&row.values);
    let figure = number(median(&row.values));
    let (least, most) = (number(least), number(most));
    write!(
        page,
        "| {} | {figure} | {least} to {most} |",
        who(&row.pair)
    )?;
    for name in columns {
        let values = row.more.get(*name).map(|values| number(median(values)));
        write!(page, " {} |", values.unwrap_or_default())?;
    }
    if calls {
        let both = row
            .syscalls
            .map(|(sender, receiver)| format!("{} + {}", number(sender), number(receiver)));
        write!(page, " {} |", both.unwrap_or_default())?;
    }
    writeln!(page)?;
    Ok(())
}

/// Three digits that count.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A pair in words.
fn who(pair: &str) -> String {
    let (pair, flavour) = pair.split_once(' ').unwrap_or((pair, ""));
    let words = match pair {
        "rust" => "Rust → Rust",
        "rust-otp" => "Rust → OTP",
        "otp-rust" => "OTP → Rust",
        "otp" => "OTP → OTP",
        "libei" => "libei → libei",
        "libei-otp" => "libei → OTP",
        "erl_dist" => "erl_dist → erl_dist",
        "erl_dist-otp" => "erl_dist → OTP",
        "ractor" => "ractor_cluster",
        "raw-otp" => "bytes encoded before → OTP",
        "otp-raw" => "OTP → one that decodes nothing",
        "tokio" => "bare tokio",
        "rust-tls" => "Rust → Rust",
        "otp-tls" => "OTP → OTP",
        other => other,
    };
    match flavour {
        "" => words.to_owned(),
        _ => format!("{words}, {flavour}"),
    }
}

fn cost(page: &mut String, cost: &Cost) -> Result<()> {
    let largest = cost.resident_kib.iter().max().copied().unwrap_or_default();
    writeln!(
        page,
        "\n## The agent\n\n\
         `trunkline exec` beside a release, attached and polling every 5 s, {hosts} hosts.\n\n\
         | what | figure |\n|---|---|\n\
         | resident memory | {largest} KiB (largest of {hosts}) |\n\
         | processor time in a quiet minute | {} ms (mean of {hosts}; the kernel counts in steps of 10 ms) |\n\
         | `trunkline --version`, median of {starts} | {:.1} ms |\n\
         | `erl -version`, median of {starts}, for comparison | {:.1} ms |\n\
         | size of the binary, stripped | {:.1} MiB |",
        cost.cpu_ms,
        cost.version_ms,
        cost.erl_version_ms,
        cost.binary_bytes as f64 / f64::from(1 << 20),
        hosts = cost.hosts,
        starts = cost.starts,
    )?;
    Ok(())
}

fn formation(page: &mut String, formation: &Formation) -> Result<()> {
    let list = |times: &[f64]| {
        let texts: Vec<_> = times.iter().map(|time| format!("{time:.2} s")).collect();
        texts.join(", ")
    };
    writeln!(
        page,
        "\n## Formation\n\n\
         {} hosts, `connect_all false`, so that each of the {} edges is Trunkline's own. Time from the moment at which the last\n\
         node has started to the last `nodeup` that a node recorded, {} runs each.\n\n\
         | `polling_interval` | times |\n|---|---|\n| 500 ms | {} |\n| 5 s (default) | {} |\n\n\
         For comparison, read in their sources:\n\
         libcluster polls every 5 s and dials one peer after another, up to 7 s for each that does not answer; dns_cluster polls\n\
         every 5 s and dials all side by side, and gives up its process when one takes longer than 10 s.",
        formation.hosts,
        formation.hosts * (formation.hosts - 1) / 2,
        formation.fast.len(),
        list(&formation.fast),
        list(&formation.default),
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIRE: &str = r#"{"machine": ["a machine"], "figures": [
        {"figure": "oneway", "run": 100, "rows": [
            {"pair": "rust multi", "values": [3.0], "more": {}, "syscalls": [1.0, 63.4]},
            {"pair": "otp", "values": [1.0], "more": {}, "syscalls": null}]},
        {"figure": "idle", "run": 100, "rows": []},
        {"figure": "pingpong", "run": 3820, "rows": [
            {"pair": "rust multi", "values": [9.0], "more": {"p99": [123.4]}, "syscalls": null},
            {"pair": "tokio multi", "values": [8.0], "more": {"p99": [20.0]}, "syscalls": null},
            {"pair": "rust-tls multi", "values": [13.0], "more": {}, "syscalls": null}]}]}"#;

    const REPORT: &str = r#"{"cost": {"hosts": 3, "resident_kib": [1, 3, 2], "cpu_ms": 3, "starts": 40,
        "version_ms": 1.1, "erl_version_ms": 12.1, "binary_bytes": 1048576},
        "formation": {"hosts": 5, "fast": [0.1], "default": [0.2, 0.3]}}"#;

    #[test]
    fn goals_and_figures_are_on_the_page() {
        let wire = serde_json::from_str(WIRE).unwrap();
        let agent = serde_json::from_str(REPORT).unwrap();
        let agent = sections(&agent).unwrap();
        let page = page(&wire, &agent).unwrap();
        for line in [
            "- a machine",
            "| small messages, Rust to Rust, to OTP to OTP | ≥ 4 | 3.00 (3.00 to 3.00) | rust multi | **missed by 25 %** |",
            "| default to OTP: small messages | ≥ 1 | 3.00 (3.00 to 3.00) | rust multi | reached |",
            "| Rust → Rust, multi | 3.00 | 3.00 to 3.00 | 1.00 + 63.4 |",
            "| OTP → OTP | 1.00 | 1.00 to 1.00 |  |",
            "| ping-pong p50, to the bare echo of the same flavour | ≤ 1.25 | 1.12 (1.12 to 1.12) | rust multi | reached (another run) |",
            "Of another run than the rest, 1 h 2 min later: not to be compared with the other tables.",
            "| Rust → Rust, multi | 9.00 | 9.00 to 9.00 | 123 |",
            "| resident memory | 3 KiB (largest of 3) |",
            "| 5 s (default) | 0.20 s, 0.30 s |",
        ] {
            assert!(
                page.lines().any(|found| found == line),
                "no {line:?} in\n{page}"
            );
        }
        assert!(!page.contains("ping-pong p50, to OTP"), "{page}");
        let (open, tls) = page.split_once("## The wire over TLS").unwrap();
        let row = "| Rust → Rust, multi | 13.0 | 13.0 to 13.0 |";
        assert!(tls.contains(row) && !open.contains(row), "{page}");
        assert_eq!(tls.matches("### ").count(), 1, "{page}");
        let kept = earlier(&page).unwrap();
        assert!(kept.starts_with("\n## The agent\n\nThis section"), "{kept}");
        assert!(kept.ends_with(agent.strip_prefix(AGENT).unwrap()), "{kept}");
        assert_eq!(earlier(&kept).unwrap(), kept);
    }
}
