//! Bare tokio over TCP: the floor of a round trip and the ceiling of a stream, for messages of the same size. What is not
//! known beforehand is how a program should read best, so there are three strategies and the best of them counts.

mod transfer;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use ::bytes::BytesMut;
use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{commands, done, quantiles, say};
use crate::bytes::{self, Script};
use crate::line::Line;

pub(super) async fn run() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = listener.local_addr()?.port();
    let listener = std::sync::Arc::new(listener);
    say(&Line::new("ready").with("port", port))?;
    let mut commands = commands();
    while let Some(line) = commands.recv().await {
        let listener = std::sync::Arc::clone(&listener);
        done(tokio::spawn(async move { command(&listener, &line).await })).await?;
    }
    Ok(())
}

async fn command(listener: &TcpListener, line: &Line) -> Result<()> {
    match line.word.as_str() {
        "take" => {
            say(&Line::new("taking"))?;
            take(accept(listener).await?, line).await
        }
        "send" => send(connect(line).await?, line).await,
        "serve" => serve(listener, line).await,
        "ping" => ping(connect(line).await?, line).await,
        "connect" => connect_often(line).await,
        "store" => transfer::serve(listener, line).await,
        "transfer" => transfer::transfer(line).await,
        other => bail!("there is no command {other:?}"),
    }
}

async fn accept(listener: &TcpListener) -> Result<TcpStream> {
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn connect(line: &Line) -> Result<TcpStream> {
    let port: u16 = line.number("to")?;
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// All senders share one connection here, as they do between nodes.
fn total(line: &Line) -> Result<u64> {
    Ok(line.number::<u64>("senders")? * line.number::<u64>("count")?)
}

async fn send(mut stream: TcpStream, line: &Line) -> Result<()> {
    let size: usize = line.number("bytes")?;
    // Small ones leave many at a time, as they do from a node's queue.
    let batch = (BATCH / size).max(1);
    let mut buffer = vec![7; batch * size];
    let senders: u64 = line.number("senders")?;
    let mut seqs =
        (1..=line.number::<u64>("count")?).flat_map(|seq| (0..senders).map(move |_| seq));
    let mut left = total(line)?;
    while left > 0 {
        let now = left.min(batch as u64);
        for message in buffer.chunks_exact_mut(size).take(usize::try_from(now)?) {
            let seq = seqs.next().context("as many as are left")?;
            message[..8].copy_from_slice(&seq.to_le_bytes());
        }
        stream
            .write_all(&buffer[..usize::try_from(now)? * size])
            .await?;
        left -= now;
    }
    say(&Line::new("sent"))
}

const BATCH: usize = 64 << 10;

async fn take(mut stream: TcpStream, line: &Line) -> Result<()> {
    let mut counter = Counter::new(line.number("bytes")?, total(line)?);
    match line.number("strategy")? {
        0 => into_one_buffer(&mut stream, &mut counter, 64 << 10).await?,
        1 => into_one_buffer(&mut stream, &mut counter, 1 << 20).await?,
        _ => into_new_ones(&mut stream, &mut counter).await?,
    }
    let took = counter.took()?;
    say(&Line::new("took").with("ns", took).with("sum", counter.sum))
}

/// A buffer that is used again and again.
async fn into_one_buffer(stream: &mut TcpStream, counter: &mut Counter, len: usize) -> Result<()> {
    let mut buffer = vec![0; len];
    while counter.left > 0 {
        let len = stream.read(&mut buffer).await?;
        ensure!(len > 0, "the stream ends early");
        counter.feed(&buffer[..len]);
    }
    Ok(())
}

/// A buffer for each message, or for some small ones, that belongs to whoever takes it.
async fn into_new_ones(stream: &mut TcpStream, counter: &mut Counter) -> Result<()> {
    let whole = counter.size.max(BATCH / counter.size * counter.size);
    while counter.left > 0 {
        let mut buffer = BytesMut::with_capacity(whole);
        while buffer.len() < whole && (counter.left as usize) * counter.size > buffer.len() {
            ensure!(stream.read_buf(&mut buffer).await? > 0, "it ends early");
        }
        counter.feed(&buffer);
    }
    Ok(())
}

/// Finds the messages in a stream.
struct Counter {
    size: usize,
    left: u64,
    /// Bytes of the current message that came already, and its number as far as it came.
    inside: usize,
    seq: [u8; 8],
    sum: u64,
    begun: Option<Instant>,
    ended: Option<Instant>,
}

impl Counter {
    fn new(size: usize, left: u64) -> Self {
        Self {
            size,
            left,
            inside: 0,
            seq: [0; 8],
            sum: 0,
            begun: None,
            ended: None,
        }
    }

    fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.left > 0 {
            let len = bytes.len().min(self.size - self.inside);
            let (part, rest) = bytes.split_at(len);
            for (at, byte) in (self.inside..8).zip(part) {
                self.seq[at] = *byte;
            }
            self.inside += len;
            bytes = rest;
            if self.inside == self.size {
                self.inside = 0;
                self.sum += u64::from_le_bytes(self.seq);
                self.left -= 1;
                self.begun.get_or_insert_with(Instant::now);
            }
        }
        if self.left == 0 {
            self.ended.get_or_insert_with(Instant::now);
        }
    }

    fn took(&self) -> Result<u128> {
        let (begun, ended) = (self.begun.context("none")?, self.ended.context("no end")?);
        Ok((ended - begun).as_nanos())
    }
}

async fn ping(mut stream: TcpStream, line: &Line) -> Result<()> {
    let count: u64 = line.number("count")?;
    let script: Script = line.text("scripts")?.parse()?;
    let mut times = Vec::with_capacity(usize::try_from(count)?);
    let mut reader = Reader::new(line.number("strategy")?);
    let mut message = Vec::new();
    for seq in 1..=count {
        let one = script.at(0).context("a round trip")?;
        let begun = Instant::now();
        message.clear();
        message.resize(one.ask, 7);
        message[..8].copy_from_slice(&seq.to_le_bytes());
        stream.write_all(&message).await?;
        let back = reader.next(&mut stream, one.answer).await?;
        times.push(u64::try_from(begun.elapsed().as_nanos())?);
        let back = back.context("it ends early")?;
        ensure!(back == seq.to_le_bytes(), "another message comes back");
    }
    say(&quantiles("pinged", times))
}

/// As many round trips on new connections as a node that dials has: one with EPMD, two of the handshake.
async fn connect_often(line: &Line) -> Result<()> {
    let strategy: u64 = line.number("strategy")?;
    let scripts = bytes::parse_scripts(line.text("scripts")?)?;
    let mut times = Vec::new();
    for _ in 0..line.number("count")? {
        let begun = Instant::now();
        for script in &scripts {
            let mut stream = connect(line).await?;
            let mut reader = Reader::new(strategy);
            for one in &script.0 {
                stream.write_all(&vec![7; one.ask]).await?;
                let back = reader.next(&mut stream, one.answer).await?;
                back.context("it ends early")?;
            }
        }
        times.push(u64::try_from(begun.elapsed().as_nanos())?);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    say(&quantiles("connected", times))
}

/// Connections have the scripts in turn.
async fn serve(listener: &TcpListener, line: &Line) -> Result<()> {
    say(&Line::new("serving"))?;
    let strategy = line.number("strategy")?;
    let scripts = bytes::parse_scripts(line.text("scripts")?)?;
    let scripts = scripts.into_iter().cycle();
    for (_, script) in (0..line.number("connections")?).zip(scripts) {
        tokio::spawn(echo(accept(listener).await?, script, strategy));
    }
    Ok(())
}

/// Answers with as many bytes as the script says, the first of them those of the question.
async fn echo(mut stream: TcpStream, script: Script, strategy: u64) -> Result<()> {
    let mut reader = Reader::new(strategy);
    let mut answer = Vec::new();
    for number in 0.. {
        let one = script.at(number).context("a round trip")?;
        let Some(seq) = reader.next(&mut stream, one.ask).await? else {
            break;
        };
        answer.clear();
        answer.resize(one.answer, 7);
        answer[..8].copy_from_slice(&seq);
        stream.write_all(&answer).await?;
    }
    Ok(())
}

/// Reads small messages, one at a time.
enum Reader {
    /// As much as the message needs.
    Exact(Vec<u8>),
    /// Whatever is there, into a growing buffer.
    Growing(BytesMut),
    /// The same, by trying before waiting.
    Trying(BytesMut),
}

impl Reader {
    fn new(strategy: u64) -> Self {
        match strategy {
            0 => Self::Exact(Vec::new()),
            1 => Self::Growing(BytesMut::new()),
            _ => Self::Trying(BytesMut::new()),
        }
    }

    /// The number in front of a message of `len` bytes. `None` at the end.
    async fn next(&mut self, stream: &mut TcpStream, len: usize) -> Result<Option<[u8; 8]>> {
        let buffer = match self {
            Self::Exact(buffer) => {
                buffer.resize(len, 0);
                let read = stream.read_exact(buffer).await.is_ok();
                return Ok(buffer.first_chunk().copied().filter(|_| read));
            }
            Self::Growing(buffer) => {
                buffer.reserve(BATCH);
                while buffer.len() < len {
                    if stream.read_buf(buffer).await? == 0 {
                        return Ok(None);
                    }
                }
                buffer
            }
            Self::Trying(buffer) => {
                buffer.reserve(BATCH);
                while buffer.len() < len {
                    match stream.try_read_buf(buffer) {
                        Ok(0) => return Ok(None),
                        Ok(_) => {}
                        Err(why) if why.kind() == std::io::ErrorKind::WouldBlock => {
                            stream.readable().await?;
                        }
                        Err(why) => return Err(why.into()),
                    }
                }
                buffer
            }
        };
        Ok(buffer.split_to(len).first_chunk().copied())
    }
}
