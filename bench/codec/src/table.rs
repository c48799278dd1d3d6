//! The figures as Markdown.

use std::fs;
use std::path::Path;

use anyhow::Result;
use trunkline_bench_codec::shapes;

use crate::peers::Figures;

pub(crate) fn print(figures: &Figures, json: Option<&Path>) -> Result<()> {
    if let Some(file) = json {
        fs::write(file, serde_json::to_string_pretty(figures)?)?;
    }
    let peers = ["libei walk", "libei skip"];
    compare(
        figures,
        "Walk: check once, read every value",
        "trunkline walk",
        &peers,
    );
    compare(
        figures,
        "Decode into a term of its own, and drop it",
        "trunkline decode",
        &["otp decode", "eetf decode"],
    );
    let peers = ["otp encode", "libei encode", "eetf encode"];
    compare(
        figures,
        "Encode into a buffer of its own (libei: into one that is there)",
        "trunkline encode",
        &peers,
    );
    Ok(())
}

/// Nanoseconds for an element; ratios say how many times as fast we are.
fn compare(figures: &Figures, title: &str, ours: &str, peers: &[&str]) {
    println!(
        "### {title}\n\nNanoseconds for each element; in brackets, how many times as fast Trunkline is.\n"
    );
    println!("| shape | element | Trunkline | {} |", peers.join(" | "));
    println!("|---|---|---|{}", "---|".repeat(peers.len()));
    for shape in shapes() {
        let figure = |who: &str| figures.get(who)?.get(shape.name).copied();
        let own = figure(ours);
        let cell = |peer: &&str| match (figure(peer), own) {
            (Some(theirs), Some(own)) => format!("{theirs:.1} ({:.2})", theirs / own),
            _ => "-".to_owned(),
        };
        let cells: Vec<String> = peers.iter().map(cell).collect();
        let own = own.map_or("-".to_owned(), |own| format!("{own:.1}"));
        println!(
            "| {} | {} | {own} | {} |",
            shape.name,
            shape.element,
            cells.join(" | ")
        );
    }
    println!();
}
