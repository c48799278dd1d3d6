//! Our node.

mod calls;
mod load;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use trunkline_etf::{Atom, Pid, Term, atom};
use trunkline_node::{Message, Node, NodeBuilder, Process, Target, Tls};
use trunkline_proto::{Cookie, NodeName};

use super::{commands, done, quantiles, say};
use crate::line::Line;

pub(super) async fn run(name: &str) -> Result<()> {
    let node = builder(name)?
        .listen([Ipv4Addr::LOCALHOST.into()], 0)
        .start()
        .await?;
    tokio::spawn(echo(node.process(), atom!("echo")));
    tokio::spawn(echo(node.process(), atom!("store")));
    tokio::spawn(calls::serve(node.process()));
    say(&Line::new("ready"))?;
    let mut commands = commands();
    let mut dialled = Vec::new();
    while let Some(line) = commands.recv().await {
        // In a task: what is measured runs where a program's own tasks would.
        let nodes = done(tokio::spawn(command(node.clone(), line))).await?;
        dialled.extend(nodes);
    }
    Ok(())
}

/// A node that only dials, so far.
fn builder(name: &str) -> Result<NodeBuilder<Cookie>> {
    let cookie = std::env::var("BENCH_COOKIE").context("BENCH_COOKIE")?;
    let epmd_port = std::env::var("ERL_EPMD_PORT").context("ERL_EPMD_PORT")?;
    let builder = Node::builder(name.parse()?)
        .cookie(Cookie::new(cookie)?)
        .epmd_port(epmd_port.parse()?);
    Ok(match std::env::var_os("BENCH_TLS") {
        Some(options) => builder.tls(Tls::from_optfile(options)?),
        None => builder,
    })
}

/// Nodes that are to live on.
async fn command(node: Node, line: Line) -> Result<Vec<Node>> {
    match line.word.as_str() {
        "take" => {
            let sink = Sink::new(&node, &line)?;
            say(&Line::new("taking"))?;
            sink.run().await?;
        }
        "send" => send(node, &line).await?,
        "serve" => say(&Line::new("serving"))?,
        "ping" => ping(node, &line).await?,
        "call" => calls::call(node, &line).await?,
        "connect" => connect(node, &line).await?,
        "transfer" => load::transfer(node, &line).await?,
        "dial" => return load::dial(&line).await,
        other => bail!("there is no command {other:?}"),
    }
    Ok(Vec::new())
}

/// Takes messages from its mailbox, checks their order, counts the time from the first to the last.
struct Sink {
    process: Process,
    left: u64,
    size: usize,
    last: Vec<u64>,
    sum: u64,
}

impl Sink {
    fn new(node: &Node, line: &Line) -> Result<Self> {
        let senders: u64 = line.number("senders")?;
        let process = node.process();
        ensure!(process.register(&atom!("sink")), "there is a sink already");
        Ok(Self {
            process,
            left: senders * line.number::<u64>("count")?,
            size: line.number("size")?,
            last: vec![0; usize::try_from(senders)? + 1],
            sum: 0,
        })
    }

    async fn run(mut self) -> Result<()> {
        let mut begun = None;
        while self.left > 0 {
            let message = received(&mut self.process).await?;
            if let Some(from) = hello(&message) {
                welcome(&self.process, from).await?;
                continue;
            }
            begun.get_or_insert_with(Instant::now);
            self.take(&message)?;
        }
        let took = begun.map_or(0, |begun| begun.elapsed().as_nanos());
        let took = Line::new("took").with("ns", took).with("sum", self.sum);
        // The name is free before the next command comes.
        drop(self);
        say(&took)
    }

    fn take(&mut self, message: &Term) -> Result<()> {
        let (sender, seq, size) = match message.as_tuple() {
            Some([tag, sender, seq]) if tag.is_atom("msg") => (sender, seq, 0),
            Some([tag, sender, seq, binary]) if tag.is_atom("msg") => {
                let binary = binary.as_binary().context("no binary")?;
                (sender, seq, binary.len())
            }
            _ => bail!("this was not expected: {message}"),
        };
        let sender = usize::try_from(sender.as_u64().context("no sender")?)?;
        let seq = seq.as_u64().context("no number")?;
        let last = self.last.get_mut(sender).context("an unknown sender")?;
        ensure!(seq == *last + 1, "{seq} of {sender} comes after {last}");
        ensure!(size == self.size, "a binary of {size}");
        *last = seq;
        self.sum += seq;
        self.left -= 1;
        Ok(())
    }
}

async fn send(node: Node, line: &Line) -> Result<()> {
    let count: u64 = line.number("count")?;
    let binary = Bytes::from(vec![7; line.number("size")?]);
    let mut process = node.process();
    let sink = meet(&node, &mut process, line.text("to")?, atom!("sink")).await?;
    let mut tasks = Vec::new();
    for sender in 1..=line.number::<u64>("senders")? {
        let (process, sink, binary) = (node.process(), sink.clone(), binary.clone());
        tasks.push(tokio::spawn(async move {
            for seq in 1..=count {
                let message = message(sender, seq, &binary);
                process.send(&sink, &message).await?;
            }
            Ok(())
        }));
    }
    for task in tasks {
        done(task).await?;
    }
    say(&Line::new("sent"))
}

fn message(sender: u64, seq: u64, binary: &Bytes) -> Term {
    let (tag, sender, seq) = (Term::atom("msg"), Term::from(sender), Term::from(seq));
    if binary.is_empty() {
        Term::tuple([tag, sender, seq])
    } else {
        Term::tuple([tag, sender, seq, Term::from(binary.clone())])
    }
}

/// Answers pings for ever, and says of large binaries how large they are.
async fn echo(mut process: Process, name: Atom) -> Result<()> {
    process.register(&name);
    loop {
        let message = received(&mut process).await?;
        match message.as_tuple() {
            Some([tag, from, seq]) if tag.is_atom("ping") => {
                let from = from.as_pid().context("no pid")?;
                let pong = Term::tuple([Term::atom("pong"), seq.clone()]);
                process.send(from, &pong).await?;
            }
            Some([tag, from, binary]) if tag.is_atom("blob") => {
                let from = from.as_pid().context("no pid")?;
                let size = binary.as_binary().context("no binary")?.len();
                let answer = Term::tuple([Term::atom("size"), Term::from(size)]);
                process.send(from, &answer).await?;
            }
            _ => {
                let from = hello(&message).context("neither ping nor hello")?;
                welcome(&process, from).await?;
            }
        }
    }
}

async fn ping(node: Node, line: &Line) -> Result<()> {
    let count: u64 = line.number("count")?;
    let mut process = node.process();
    let echo = meet(&node, &mut process, line.text("to")?, atom!("echo")).await?;
    let mut times = Vec::with_capacity(usize::try_from(count)?);
    for seq in 1..=count {
        times.push(one_ping(&mut process, &echo, seq).await?);
    }
    say(&quantiles("pinged", times))
}

/// In nanoseconds.
async fn one_ping(process: &mut Process, echo: &Pid, seq: u64) -> Result<u64> {
    let begun = Instant::now();
    let ping = [
        Term::atom("ping"),
        Term::from(&process.pid()),
        Term::from(seq),
    ];
    process.send(echo, &Term::tuple(ping)).await?;
    let pong = received(process).await?;
    let took = u64::try_from(begun.elapsed().as_nanos())?;
    match pong.as_tuple() {
        Some([tag, back]) if tag.is_atom("pong") && back.as_u64() == Some(seq) => Ok(took),
        _ => bail!("{pong} is no answer to {seq}"),
    }
}

async fn connect(node: Node, line: &Line) -> Result<()> {
    let target = Target::new(line.text("to")?.parse()?);
    let mut times = Vec::new();
    for _ in 0..line.number("count")? {
        let begun = Instant::now();
        node.connect(&target).await?;
        times.push(u64::try_from(begun.elapsed().as_nanos())?);
        node.disconnect(&target.name);
        while !node.connected().is_empty() {
            tokio::task::yield_now().await;
        }
        // Until the other side has seen the end.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    say(&quantiles("connected", times))
}

/// Connects, and asks a registered process for its pid.
async fn meet(node: &Node, process: &mut Process, to: &str, name: Atom) -> Result<Pid> {
    let to: NodeName = to.parse()?;
    node.connect(&Target::new(to.clone())).await?;
    let hello = Term::tuple([Term::atom("hello"), Term::from(&process.pid())]);
    process.send((&name, &to), &hello).await?;
    let answer = received(process).await?;
    match answer.as_tuple() {
        Some([tag, pid]) if tag.is_atom("welcome") => Ok(pid.as_pid().context("no pid")?.clone()),
        _ => bail!("{answer} is no welcome"),
    }
}

fn hello(message: &Term) -> Option<&Pid> {
    match message.as_tuple() {
        Some([tag, from]) if tag.is_atom("hello") => from.as_pid(),
        _ => None,
    }
}

async fn welcome(process: &Process, from: &Pid) -> Result<()> {
    let welcome = Term::tuple([Term::atom("welcome"), Term::from(&process.pid())]);
    Ok(process.send(from, &welcome).await?)
}

async fn received(process: &mut Process) -> Result<Term> {
    match process.recv().await {
        Some(Message::Term(term)) => Ok(term),
        other => bail!("this was not expected: {other:?}"),
    }
}
