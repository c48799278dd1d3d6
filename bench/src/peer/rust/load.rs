//! Small messages while large ones pass, and many connections on which nothing does.

use std::time::Instant;

use anyhow::{Result, bail};
use bytes::Bytes;
use tokio::sync::oneshot::{self, error::TryRecvError};
use trunkline_etf::{Pid, Term, atom};
use trunkline_node::{Node, Process};

use super::{builder, done, meet, one_ping, received, say};
use crate::line::Line;
use crate::stats::quantile;

/// Pings alone, then while another process sends large binaries, one after another.
pub(super) async fn transfer(node: Node, line: &Line) -> Result<()> {
    let to = line.text("to")?;
    let mut process = node.process();
    let echo = meet(&node, &mut process, to, atom!("echo")).await?;
    let mut idle = Vec::new();
    for seq in 1..=line.number("count")? {
        idle.push(one_ping(&mut process, &echo, seq).await?);
    }
    let mut sender = node.process();
    let store = meet(&node, &mut sender, to, atom!("store")).await?;
    let binary = Bytes::from(vec![7; line.number("size")?]);
    let transfers: u64 = line.number("transfers")?;
    let (ended, mut end) = oneshot::channel();
    let task = tokio::spawn(async move {
        let begun = Instant::now();
        for _ in 0..transfers {
            blob(&mut sender, &store, &binary).await?;
        }
        // The one who pings waits for it.
        if ended.send(()).is_err() {
            bail!("nobody pings");
        }
        Ok(begun.elapsed())
    });
    let mut busy = Vec::new();
    while end.try_recv() == Err(TryRecvError::Empty) {
        busy.push(one_ping(&mut process, &echo, busy.len() as u64).await?);
    }
    let took = done(task).await?;
    let line = Line::new("transferred")
        .with("ns", took.as_nanos())
        .with("pings", busy.len())
        .with("idle50", quantile(&mut idle, 0.5))
        .with("idle99", quantile(&mut idle, 0.99))
        .with("p50", quantile(&mut busy, 0.5))
        .with("p99", quantile(&mut busy, 0.99));
    say(&line)
}

async fn blob(process: &mut Process, store: &Pid, binary: &Bytes) -> Result<()> {
    let blob = [
        Term::atom("blob"),
        Term::from(&process.pid()),
        Term::from(binary.clone()),
    ];
    process.send(store, &Term::tuple(blob)).await?;
    let answer = received(process).await?;
    match answer.as_tuple() {
        Some([tag, size]) if tag.is_atom("size") && size.as_u64() == Some(binary.len() as u64) => {
            Ok(())
        }
        _ => bail!("{answer} is no size"),
    }
}

/// Many nodes that connect to one, each says hello, and then nothing.
pub(super) async fn dial(line: &Line) -> Result<Vec<Node>> {
    let (to, prefix) = (line.text("to")?, line.text("prefix")?);
    let mut nodes = Vec::new();
    for number in 0..line.number::<u64>("count")? {
        let node = builder(&format!("{prefix}x{number}@127.0.0.1"))?
            .start()
            .await?;
        let mut process = node.process();
        meet(&node, &mut process, to, atom!("echo")).await?;
        nodes.push(node);
    }
    say(&Line::new("dialled"))?;
    Ok(nodes)
}
