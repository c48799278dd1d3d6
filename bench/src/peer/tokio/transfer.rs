//! Small messages between the pieces of large ones, over bare sockets: what the machine allows to whoever has one
//! connection for both. One task writes, one reads, one asks, one sends what is large, as in a node; there is no
//! distribution, and nothing is encoded.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use ::bytes::{Buf as _, Bytes, BytesMut};
use anyhow::{Context as _, Result, bail, ensure};
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{Receiver, Sender, channel, error::TryRecvError};
use tokio::sync::oneshot;

use crate::bytes::{Exchange, Script};
use crate::line::Line;
use crate::peer::{done, say};
use crate::stats::quantile;

/// How a large message is cut, as a node cuts it while small ones pass.
const PIECE: usize = 64 << 10;

/// Before each body: its length, and what it is.
const HEAD: usize = 8;
const SMALL: u32 = 0;
const LARGE: u32 = 1;
const LAST: u32 = 2;

/// What a read takes at most that is not for a large message.
const READ: usize = 512;

/// Sets what the strategy says: how much of this connection may wait in the system.
fn limit(stream: &TcpStream, strategy: u64) -> Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    if strategy > 0 {
        socket.set_tcp_notsent_lowat(16 << 10)?;
    }
    if strategy > 1 {
        socket.set_recv_buffer_size(64 << 10)?;
    }
    Ok(())
}

/// Answers small messages as they come, and large ones when they are whole.
pub(super) async fn serve(listener: &TcpListener, line: &Line) -> Result<()> {
    let script: Script = line.text("scripts")?.parse()?;
    let answer = script.at(0).context("a round trip")?.answer;
    let size: usize = line.number("size")?;
    say(&Line::new("serving"))?;
    let (stream, _) = listener.accept().await?;
    limit(&stream, line.number("strategy")?)?;
    tokio::spawn(answers(stream, answer, size));
    Ok(())
}

async fn answers(stream: TcpStream, answer: usize, size: usize) -> Result<()> {
    let (read, mut write) = stream.into_split();
    let mut reader = Reader::new(read, size);
    while let Some(message) = reader.next().await? {
        match message {
            Message::Small(seq) => write.write_all(&small(answer, seq)).await?,
            Message::Large(len) => {
                let head = head(8, LAST);
                let len = u64::try_from(len)?.to_le_bytes();
                write.write_all(&[&head[..], &len[..]].concat()).await?;
            }
        }
    }
    Ok(())
}

fn head(len: usize, what: u32) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    let (length, kind) = head.split_at_mut(4);
    length.copy_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
    kind.copy_from_slice(&what.to_le_bytes());
    head
}

/// `len` bytes in all.
fn small(len: usize, seq: u64) -> Vec<u8> {
    let mut message = vec![7; len.max(HEAD + 8)];
    let body = message.len() - HEAD;
    message[..HEAD].copy_from_slice(&head(body, SMALL));
    message[HEAD..HEAD + 8].copy_from_slice(&seq.to_le_bytes());
    message
}

enum Message {
    /// Its number.
    Small(u64),
    /// How long it was. What the peer says of its own is this, too.
    Large(usize),
}

struct Reader {
    stream: OwnedReadHalf,
    read: BytesMut,
    /// The large message, as far as it has come; its memory serves the next one.
    large: Vec<u8>,
}

impl Reader {
    /// Large messages will have `size` bytes.
    fn new(stream: OwnedReadHalf, size: usize) -> Self {
        Self {
            stream,
            read: BytesMut::new(),
            large: Vec::with_capacity(size),
        }
    }

    /// `None` at the end.
    async fn next(&mut self) -> Result<Option<Message>> {
        loop {
            if !self.fill(HEAD).await? {
                return Ok(None);
            }
            let (len, what) = (self.read.get_u32_le() as usize, self.read.get_u32_le());
            if what == SMALL || len < READ {
                ensure!(self.fill(len).await?, "it ends early");
                let number = self.read.split_to(len).get_u64_le();
                return Ok(Some(match what {
                    SMALL => Message::Small(number),
                    _ => Message::Large(usize::try_from(number)?),
                }));
            }
            let there = self.read.split_to(len.min(self.read.len()));
            self.large.extend_from_slice(&there);
            let mut rest = (&mut self.stream).take((len - there.len()) as u64);
            while rest.limit() > 0 {
                ensure!(rest.read_buf(&mut self.large).await? > 0, "it ends early");
            }
            if what == LAST {
                let len = self.large.len();
                self.large.clear();
                return Ok(Some(Message::Large(len)));
            }
        }
    }

    async fn fill(&mut self, len: usize) -> Result<bool> {
        self.read.reserve(READ);
        while self.read.len() < len {
            let mut some = (&mut self.stream).take(READ as u64);
            if some.read_buf(&mut self.read).await? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Writes small messages as they come, and in between the pieces of large ones.
async fn write(
    mut stream: OwnedWriteHalf,
    mut pings: Receiver<Vec<u8>>,
    mut blobs: Receiver<Bytes>,
) -> Result<()> {
    let mut open = Bytes::new();
    loop {
        match pings.try_recv() {
            Ok(ping) => stream.write_all(&ping).await?,
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return Ok(()),
        }
        if !open.is_empty() {
            let piece = open.split_to(open.len().min(PIECE));
            let what = if open.is_empty() { LAST } else { LARGE };
            let head = head(piece.len(), what);
            let mut both = Bytes::copy_from_slice(&head).chain(piece);
            stream.write_all_buf(&mut both).await?;
            tokio::task::yield_now().await;
            continue;
        }
        tokio::select! {
            ping = pings.recv() => match ping {
                Some(ping) => stream.write_all(&ping).await?,
                None => return Ok(()),
            },
            Some(blob) = blobs.recv() => open = blob,
        }
    }
}

/// Tells who asked, as the answers come.
async fn read(stream: OwnedReadHalf, pongs: Sender<u64>, sizes: Sender<usize>) -> Result<()> {
    let mut reader = Reader::new(stream, 0);
    while let Some(message) = reader.next().await? {
        match message {
            Message::Small(seq) => pongs.send(seq).await?,
            Message::Large(size) => sizes.send(size).await?,
        }
    }
    Ok(())
}

/// Who asks.
struct Asker {
    pings: Sender<Vec<u8>>,
    pongs: Receiver<u64>,
    exchange: Exchange,
}

impl Asker {
    async fn ping(&mut self, seq: u64) -> Result<u64> {
        let begun = Instant::now();
        self.pings.send(small(self.exchange.ask, seq)).await?;
        let back = self.pongs.recv().await.context("it ends early")?;
        ensure!(back == seq, "{back} is no answer to {seq}");
        Ok(u64::try_from(begun.elapsed().as_nanos())?)
    }
}

/// Pings alone, then while large messages pass, one after another.
pub(super) async fn transfer(line: &Line) -> Result<()> {
    let port: u16 = line.number("to")?;
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    limit(&stream, line.number("strategy")?)?;
    let script: Script = line.text("scripts")?.parse()?;
    let (reads, writes) = stream.into_split();
    let (pings, pings_to) = channel(1);
    let (blobs, blobs_to) = channel(1);
    let (pongs_from, pongs) = channel(1);
    let (sizes_from, sizes) = channel(1);
    let writer = tokio::spawn(write(writes, pings_to, blobs_to));
    let reader = tokio::spawn(read(reads, pongs_from, sizes_from));
    let mut asker = Asker {
        pings,
        pongs,
        exchange: script.at(0).context("a round trip")?,
    };
    let mut idle = Vec::new();
    for seq in 1..=line.number("count")? {
        idle.push(asker.ping(seq).await?);
    }
    let large = Bytes::from(vec![7; line.number("size")?]);
    let times = line.number("transfers")?;
    let (ended, mut end) = oneshot::channel();
    let task = tokio::spawn(async move {
        let took = send(&blobs, sizes, &large, times).await?;
        // The one who pings waits for it.
        if ended.send(()).is_err() {
            bail!("nobody pings");
        }
        Ok(took)
    });
    let mut busy = Vec::new();
    while end.try_recv() == Err(oneshot::error::TryRecvError::Empty) {
        busy.push(asker.ping(busy.len() as u64).await?);
    }
    let took = done(task).await?;
    drop(asker);
    done(writer).await?;
    reader.abort();
    let line = Line::new("transferred")
        .with("ns", took.as_nanos())
        .with("pings", busy.len())
        .with("idle50", quantile(&mut idle, 0.5))
        .with("idle99", quantile(&mut idle, 0.99))
        .with("p50", quantile(&mut busy, 0.5))
        .with("p99", quantile(&mut busy, 0.99));
    say(&line)
}

async fn send(
    blobs: &Sender<Bytes>,
    mut sizes: Receiver<usize>,
    large: &Bytes,
    times: u64,
) -> Result<Duration> {
    let begun = Instant::now();
    for _ in 0..times {
        blobs.send(large.clone()).await?;
        let size = sizes.recv().await.context("it ends early")?;
        ensure!(size == large.len(), "{size} bytes came");
    }
    Ok(begun.elapsed())
}
