//! A node of `ractor_cluster` that is measured. The commands are those of `bench/README.md`; a node is found by its port, its actors
//! by their process groups. `ping` and `call` are ractor's own calls.

use std::io::{BufRead as _, Write as _};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, call, pg};
use ractor_cluster::{NodeServer, NodeServerMessage, RactorClusterMessage};
use tokio::runtime::Builder;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::sleep;

/// What the actors receive.
#[derive(RactorClusterMessage)]
enum Message {
    Small(u64, u64),
    Large(u64, u64, Vec<u8>),
    /// Senders, messages of each, size: what is to come.
    #[rpc]
    Expect(u64, u64, u64, RpcReplyPort<u64>),
    #[rpc]
    Add(u64, RpcReplyPort<u64>),
}

/// NAME FLAVOUR
fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [name, flavour] = args.as_slice() else {
        bail!("NAME FLAVOUR");
    };
    let mut builder = match flavour.as_str() {
        "current" => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.enable_all().build()?.block_on(run(name))
}

/// A port that was free a moment ago: the node server does not tell which one it took.
fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok(listener.local_addr()?.port())
}

async fn run(name: &str) -> Result<()> {
    let port = free_port()?;
    let cookie = std::env::var("BENCH_COOKIE")?;
    let server = NodeServer::new(
        port,
        cookie,
        name.to_owned(),
        "localhost".into(),
        None,
        None,
    )
    .with_listen_addr([127, 0, 0, 1].into())
    .with_max_inbound_frame_size(64 << 20);
    let (server, _) = Actor::spawn(None, server, ()).await?;
    let (sink, _) = Actor::spawn(None, Sink, ()).await?;
    if name.starts_with('r') {
        pg::join("sink".into(), vec![sink.get_cell()]);
    }
    say(&format!("ready port={port}"))?;
    let (heard, mut lines) = unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if heard.send(line).is_err() {
                break;
            }
        }
    });
    let mut remote = None;
    while let Some(line) = lines.recv().await {
        let word = line.split(' ').next().unwrap_or_default();
        if remote.is_none() && !matches!(word, "take" | "serve") {
            remote = Some(meet(&server, field(&line, "to")?).await?);
        }
        let remote = remote.clone();
        let task = tokio::spawn(command(line.clone(), sink.clone(), remote));
        task.await??;
    }
    Ok(())
}

async fn command(
    line: String,
    sink: ActorRef<Message>,
    remote: Option<ActorRef<Message>>,
) -> Result<()> {
    let to = || remote.clone().context("no remote actor");
    match line.split(' ').next() {
        Some("take") => take(&line, sink).await,
        Some("serve") => say("serving"),
        Some("send") => send(&line, to()?).await,
        Some("ping") => ping(&line, to()?).await,
        Some("call") => calls(&line, to()?).await,
        _ => bail!("there is no command {line:?}"),
    }
}

fn say(text: &str) -> Result<()> {
    println!("@ {text}");
    Ok(std::io::stdout().flush()?)
}

fn field<'a>(line: &'a str, key: &str) -> Result<&'a str> {
    line.split(' ')
        .find_map(|field| field.strip_prefix(key)?.strip_prefix('='))
        .with_context(|| format!("no {key} in {line}"))
}

fn number(line: &str, key: &str) -> Result<u64> {
    Ok(field(line, key)?.parse()?)
}

/// Connects, and waits until the other node's actor is known here.
async fn meet(server: &ActorRef<NodeServerMessage>, port: &str) -> Result<ActorRef<Message>> {
    ractor_cluster::client_connect(server, format!("127.0.0.1:{port}")).await?;
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(cell) = pg::get_members(&"sink".to_owned()).into_iter().next() {
            return Ok(cell.into());
        }
        ensure!(Instant::now() < deadline, "no actor in the group");
        sleep(Duration::from_millis(2)).await;
    }
}

/// Takes messages, checks their order, counts the time from the first to the last.
struct Sink;

#[derive(Default)]
struct Taken {
    left: u64,
    size: u64,
    last: Vec<u64>,
    sum: u64,
    begun: Option<Instant>,
}

impl Taken {
    fn take(&mut self, sender: u64, seq: u64, size: usize) -> Result<()> {
        self.begun.get_or_insert_with(Instant::now);
        let last = self.last.get_mut(usize::try_from(sender)?);
        let last = last.context("an unknown sender")?;
        ensure!(seq == *last + 1, "{seq} of {sender} comes after {last}");
        ensure!(size as u64 == self.size, "a binary of {size}");
        *last = seq;
        self.sum += seq;
        self.left -= 1;
        if self.left == 0 {
            let took = self.begun.map_or(0, |begun| begun.elapsed().as_nanos());
            say(&format!("took ns={took} sum={}", self.sum))?;
        }
        Ok(())
    }
}

impl Actor for Sink {
    type Msg = Message;
    type State = Taken;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Message>, (): ()) -> Result<Taken, ActorProcessingErr> {
        Ok(Taken::default())
    }

    async fn handle(
        &self,
        _: ActorRef<Message>,
        message: Message,
        state: &mut Taken,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Small(sender, seq) => state.take(sender, seq, 0)?,
            Message::Large(sender, seq, bytes) => state.take(sender, seq, bytes.len())?,
            Message::Expect(senders, count, size, reply) => {
                *state = Taken {
                    left: senders * count,
                    size,
                    last: vec![0; usize::try_from(senders)? + 1],
                    ..Taken::default()
                };
                reply.send(0)?;
            }
            Message::Add(value, reply) => reply.send(value + 1)?,
        }
        Ok(())
    }
}

async fn take(line: &str, sink: ActorRef<Message>) -> Result<()> {
    let (senders, count) = (number(line, "senders")?, number(line, "count")?);
    let size = number(line, "size")?;
    call!(sink, Message::Expect, senders, count, size).map_err(|why| anyhow!("{why}"))?;
    say("taking")
}

async fn send(line: &str, to: ActorRef<Message>) -> Result<()> {
    let (count, size) = (number(line, "count")?, number(line, "size")?);
    let bytes = vec![7; usize::try_from(size)?];
    let mut tasks = Vec::new();
    for sender in 1..=number(line, "senders")? {
        let (to, bytes) = (to.clone(), bytes.clone());
        tasks.push(tokio::spawn(async move {
            for seq in 1..=count {
                let message = match size {
                    0 => Message::Small(sender, seq),
                    _ => Message::Large(sender, seq, bytes.clone()),
                };
                to.cast(message).map_err(|why| anyhow!("{why}"))?;
                // Nothing else holds a sender back.
                if seq % 64 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            anyhow::Ok(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    say("sent")
}

async fn round_trip(to: &ActorRef<Message>, value: u64) -> Result<()> {
    let answer = call!(to, Message::Add, value).map_err(|why| anyhow!("{why}"))?;
    ensure!(answer == value + 1, "{answer} after {value}");
    Ok(())
}

async fn ping(line: &str, to: ActorRef<Message>) -> Result<()> {
    let mut times = Vec::new();
    for seq in 1..=number(line, "count")? {
        let begun = Instant::now();
        round_trip(&to, seq).await?;
        times.push(begun.elapsed());
    }
    times.sort();
    let at = |part: usize| times[times.len() * part / 100].as_nanos();
    let sum: Duration = times.iter().sum();
    let (ns, p50, p99) = (sum.as_nanos(), at(50), at(99));
    say(&format!("pinged ns={ns} p50={p50} p99={p99}"))
}

async fn calls(line: &str, to: ActorRef<Message>) -> Result<()> {
    let (count, callers) = (number(line, "count")?, number(line, "callers")?);
    let (told, sums) = mpsc::channel();
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..callers {
        let (to, told) = (to.clone(), told.clone());
        tasks.push(tokio::spawn(async move {
            for value in 1..=count {
                round_trip(&to, value).await?;
            }
            Ok(told.send(count * (count + 1) / 2 + count)?)
        }));
    }
    for task in tasks {
        let done: Result<()> = task.await?;
        done?;
    }
    let ns = begun.elapsed().as_nanos();
    drop(told);
    say(&format!("called ns={ns} sum={}", sums.iter().sum::<u64>()))
}
