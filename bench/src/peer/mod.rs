//! `trunkline-bench peer …`: one of the two OS processes.

mod raw;
mod rust;
mod tokio;

use std::io::{BufRead as _, Write as _};

use ::tokio::runtime::{Builder, Runtime};
use ::tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use anyhow::{Context as _, Result, bail};

use crate::line::Line;
use crate::pair::Flavour;
use crate::process::ANSWER;
use crate::stats::quantile;

/// `KIND FLAVOUR NAME`; ends with its standard input.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let [kind, flavour, name] = args else {
        bail!("peer wants KIND FLAVOUR NAME");
    };
    if kind == "raw" {
        return raw::run(name);
    }
    let runtime = runtime(Flavour::parse(flavour)?)?;
    match kind.as_str() {
        "rust" => runtime.block_on(rust::run(name)),
        "tokio" => runtime.block_on(tokio::run()),
        _ => bail!("there is no peer {kind:?}"),
    }
}

fn runtime(flavour: Flavour) -> Result<Runtime> {
    let mut builder = match flavour {
        Flavour::Multi => Builder::new_multi_thread(),
        Flavour::Current => Builder::new_current_thread(),
    };
    Ok(builder.enable_all().build()?)
}

/// The commands, read by a thread of their own so that none of the runtime's waits for them.
fn commands() -> UnboundedReceiver<Line> {
    let (heard, lines) = unbounded_channel();
    std::thread::spawn(move || {
        for text in std::io::stdin().lock().lines().map_while(Result::ok) {
            let line = Line::parse(&text).unwrap_or_else(|_| Line::new("nonsense"));
            if heard.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

fn say(line: &Line) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{ANSWER}{line}")?;
    Ok(out.flush()?)
}

/// The answer about round trips, each in nanoseconds.
fn quantiles(word: &str, mut times: Vec<u64>) -> Line {
    Line::new(word)
        .with("ns", times.iter().sum::<u64>())
        .with("p50", quantile(&mut times, 0.5))
        .with("p99", quantile(&mut times, 0.99))
}

/// What a task that was spawned gave.
async fn done<T>(task: ::tokio::task::JoinHandle<Result<T>>) -> Result<T> {
    task.await.context("a task panicked")?
}
