//! `gen_server:call`, from both sides.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use trunkline_etf::{atom, term};
use trunkline_node::{Message, Node, Process, Target};
use trunkline_proto::NodeName;

use super::{done, say};
use crate::line::Line;

/// The server `adder`: answers `{add, N}` with `N + 1`.
pub(super) async fn serve(mut process: Process) -> Result<()> {
    process.register(&atom!("adder"));
    loop {
        let message = match process.recv().await {
            Some(Message::Term(term)) => term,
            Some(_) => continue,
            None => return Ok(()),
        };
        let Some([_, from, request]) = message.as_tuple() else {
            bail!("{message} is no call");
        };
        let Some([_, number]) = request.as_tuple() else {
            bail!("{message} is no call");
        };
        let sum = number.as_u64().context("no number")? + 1;
        process.reply(from, sum).await?;
    }
}

pub(super) async fn call(node: Node, line: &Line) -> Result<()> {
    let to: NodeName = line.text("to")?.parse()?;
    let count: u64 = line.number("count")?;
    node.connect(&Target::new(to.clone())).await?;
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..line.number("callers")? {
        tasks.push(tokio::spawn(calls(node.clone(), to.clone(), count)));
    }
    let mut sum = 0;
    for task in tasks {
        sum += done(task).await?;
    }
    let nanos = begun.elapsed().as_nanos();
    say(&Line::new("called").with("ns", nanos).with("sum", sum))
}

async fn calls(node: Node, to: NodeName, count: u64) -> Result<u64> {
    let process = node.process();
    let mut sum = 0;
    for number in 1..=count {
        let request = term!({add, (number)});
        let answer = process.call((atom!("adder"), &to), request, LIMIT).await?;
        sum += answer.as_u64().context("no number")?;
    }
    Ok(sum)
}

/// As OTP's default.
const LIMIT: Duration = Duration::from_secs(5);
