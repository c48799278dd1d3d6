//! `gen_server:call`, from both sides.

use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use trunkline_etf::{Term, atom};
use trunkline_node::{Mailbox, Message, Node, Target};
use trunkline_proto::NodeName;

use super::{done, received, say};
use crate::line::Line;

/// The server `adder`: answers `{add, N}` with `N + 1`.
pub(super) async fn serve(mut mailbox: Mailbox) -> Result<()> {
    mailbox.register(&atom!("adder"));
    loop {
        let message = match mailbox.recv().await {
            Some(Message::Term(term)) => term,
            Some(_) => continue,
            None => return Ok(()),
        };
        let Some([_, from, request]) = message.as_tuple() else {
            bail!("{message} is no call");
        };
        let (Some([pid, tag]), Some([_, number])) = (from.as_tuple(), request.as_tuple()) else {
            bail!("{message} is no call");
        };
        let sum = number.as_u64().context("no number")? + 1;
        let reply = Term::tuple([tag.clone(), Term::from(sum)]);
        mailbox
            .send(pid.as_pid().context("no pid")?, &reply)
            .await?;
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
    let mut mailbox = node.mailbox();
    let mut sum = 0;
    for number in 1..=count {
        sum += one(&mut mailbox, &to, number).await?;
    }
    Ok(sum)
}

async fn one(mailbox: &mut Mailbox, to: &NodeName, number: u64) -> Result<u64> {
    let adder = atom!("adder");
    let monitor = mailbox.monitor_name(to, &adder)?;
    let from = Term::tuple([Term::from(&mailbox.pid()), Term::from(&monitor)]);
    let request = Term::tuple([Term::atom("add"), Term::from(number)]);
    let call = Term::tuple([Term::atom("$gen_call"), from, request]);
    mailbox.send_name(to, &adder, &call).await?;
    let answer = received(mailbox).await?;
    mailbox.demonitor(&monitor);
    match answer.as_tuple() {
        Some([tag, sum]) => {
            ensure!(
                tag.as_reference() == Some(&monitor),
                "another call's answer"
            );
            sum.as_u64().context("no number")
        }
        _ => bail!("{answer} is no answer"),
    }
}
