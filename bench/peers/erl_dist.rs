//! A node of the crates `erl_dist` and `eetf` that is measured, on smol as in their examples. The commands are those of
//! `bench/README.md`. There are no processes and no mailbox, so a message counts as received when `recv` gives it, and there is one
//! sender.
//!
//! `erl_dist` writes and reads a message in several small pieces. Unbuffered, that would be three system calls each, so it runs over
//! a buffer of 64 KiB either way, and one-way senders flush that when it is full.

use std::cell::RefCell;
use std::io::{self, BufRead as _, Write as _};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use eetf::{Atom, Binary, FixInteger, Pid, Term, Tuple};
use erl_dist::epmd::{EpmdClient, NodeEntry};
use erl_dist::handshake::{ClientSideHandshake, HandshakeStatus, ServerSideHandshake};
use erl_dist::message::{Message, Receiver, Sender, channel};
use erl_dist::node::{LocalNode, NodeName};
use futures::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use smol::net::{TcpListener, TcpStream};

fn main() -> Result<()> {
    let name = std::env::args().nth(1).context("NAME")?;
    smol::block_on(run(name.parse()?))
}

struct Node {
    local: LocalNode,
    listener: TcpListener,
    cookie: String,
    epmd_port: u16,
}

async fn run(name: NodeName) -> Result<()> {
    let epmd_port = std::env::var("ERL_EPMD_PORT")?.parse()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let entry = NodeEntry::new_hidden(name.name(), listener.local_addr()?.port());
    let epmd = TcpStream::connect(("127.0.0.1", epmd_port)).await?;
    let (_registered, creation) = EpmdClient::new(epmd).register(entry).await?;
    let node = Node {
        local: LocalNode::new(name, creation),
        listener,
        cookie: std::env::var("BENCH_COOKIE")?,
        epmd_port,
    };
    say("ready")?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        match line.split(' ').next() {
            Some("take") => take(&node, &line).await?,
            Some("send") => send(&node, &line).await?,
            Some("serve") => serve(&node, &line).await?,
            Some("ping") => ping(&node, &line).await?,
            Some("connect") => connect_often(&node, &line).await?,
            _ => bail!("there is no command {line:?}"),
        }
    }
    Ok(())
}

fn say(text: &str) -> Result<()> {
    println!("@ {text}");
    Ok(io::stdout().flush()?)
}

fn field<'a>(line: &'a str, key: &str) -> Result<&'a str> {
    line.split(' ')
        .find_map(|field| field.strip_prefix(key)?.strip_prefix('='))
        .with_context(|| format!("no {key} in {line}"))
}

fn number(line: &str, key: &str) -> Result<u64> {
    Ok(field(line, key)?.parse()?)
}

/// One connection.
struct Link {
    stream: Buffered,
    tx: Sender<Buffered>,
    rx: Receiver<Buffered>,
    own: Pid,
}

impl Link {
    fn new(node: &Node, stream: Buffered) -> Self {
        let (tx, rx) = channel(stream.clone(), node.local.flags);
        let own = Pid::new(node.local.name.to_string(), 1, 0, node.local.creation.get());
        Self {
            stream,
            tx,
            rx,
            own,
        }
    }

    /// The other side may not have seen yet that the connection before has ended, and refuse. With the time that the attempt that
    /// succeeded took.
    async fn dial(node: &Node, to: &str) -> Result<(Self, Duration)> {
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let begun = Instant::now();
            match Self::dial_once(node, to).await {
                Ok(link) => return Ok((link, begun.elapsed())),
                Err(why) if Instant::now() > deadline => return Err(why),
                Err(_) => smol::Timer::after(Duration::from_millis(5)).await,
            };
        }
    }

    async fn dial_once(node: &Node, to: &str) -> Result<Self> {
        let to: NodeName = to.parse()?;
        let epmd = TcpStream::connect((to.host(), node.epmd_port)).await?;
        let entry = EpmdClient::new(epmd).get_node(to.name()).await?;
        let port = entry.context("it is not registered")?.port;
        let stream = Buffered::new(TcpStream::connect((to.host(), port)).await?)?;
        let mut handshake = ClientSideHandshake::new(stream, node.local.clone(), &node.cookie);
        handshake
            .execute_send_name(erl_dist::LOWEST_DISTRIBUTION_PROTOCOL_VERSION)
            .await?;
        let (stream, _) = handshake.execute_rest(true).await?;
        Ok(Self::new(node, stream))
    }

    async fn accept(node: &Node) -> Result<Self> {
        let (stream, _) = node.listener.accept().await?;
        let stream = Buffered::new(stream)?;
        let mut handshake = ServerSideHandshake::new(stream, node.local.clone(), &node.cookie);
        handshake.execute_recv_name().await?;
        let (stream, _) = handshake.execute_rest(HandshakeStatus::Ok).await?;
        Ok(Self::new(node, stream))
    }

    async fn send(&mut self, to: &Pid, tag: &str, rest: Vec<Term>) -> Result<()> {
        let message = Message::send(to.clone(), tagged(tag, rest));
        Ok(self.tx.send(message).await?)
    }

    /// The next message; `None` at the end.
    async fn recv(&mut self) -> Option<Vec<Term>> {
        loop {
            let term = match self.rx.recv().await {
                Ok(Message::Send(send)) => send.message,
                Ok(Message::SendSender(send)) => send.message,
                Ok(Message::RegSend(send)) => send.message,
                Ok(_) => continue,
                Err(_) => return None,
            };
            match term {
                Term::Tuple(tuple) => return Some(tuple.elements),
                _ => return None,
            }
        }
    }

    async fn welcome(&mut self, from: &Term) -> Result<()> {
        let Term::Pid(from) = from else {
            bail!("no pid");
        };
        let own = Term::from(self.own.clone());
        self.send(from, "welcome", vec![own]).await
    }

    async fn meet(&mut self, name: &str) -> Result<Pid> {
        let own = self.own.clone();
        let hello = tagged("hello", vec![own.clone().into()]);
        self.tx
            .send(Message::reg_send(own, Atom::from(name), hello))
            .await?;
        match self.recv().await.as_deref() {
            Some([tag, Term::Pid(pid)]) if is(tag, "welcome") => Ok(pid.clone()),
            other => bail!("{other:?} is no welcome"),
        }
    }
}

fn tagged(tag: &str, rest: Vec<Term>) -> Term {
    let mut elements = vec![Term::from(Atom::from(tag))];
    elements.extend(rest);
    Tuple::from(elements).into()
}

fn is(term: &Term, text: &str) -> bool {
    matches!(term, Term::Atom(atom) if atom.name == text)
}

fn integer(value: u64) -> Result<Term> {
    Ok(FixInteger::from(i32::try_from(value)?).into())
}

async fn take(node: &Node, line: &str) -> Result<()> {
    let (mut left, size) = (number(line, "count")?, number(line, "size")?);
    ensure!(number(line, "senders")? == 1, "there is one sender");
    say("taking")?;
    let mut link = Link::accept(node).await?;
    let (mut begun, mut last, mut sum) = (None, 0, 0);
    while left > 0 {
        let message = link.recv().await.context("the connection ends")?;
        let (seq, len) = match message.as_slice() {
            [tag, from] if is(tag, "hello") => {
                link.welcome(from).await?;
                continue;
            }
            [tag, Term::FixInteger(_), Term::FixInteger(seq)] if is(tag, "msg") => (seq.value, 0),
            [
                tag,
                Term::FixInteger(_),
                Term::FixInteger(seq),
                Term::Binary(binary),
            ] if is(tag, "msg") => (seq.value, binary.bytes.len()),
            other => bail!("this was not expected: {other:?}"),
        };
        begun.get_or_insert_with(Instant::now);
        ensure!(seq == last + 1 && len as u64 == size, "{seq} after {last}");
        last = seq;
        sum += u64::try_from(seq)?;
        left -= 1;
    }
    let took = begun.map_or(0, |begun| begun.elapsed().as_nanos());
    say(&format!("took ns={took} sum={sum}"))
}

async fn send(node: &Node, line: &str) -> Result<()> {
    ensure!(number(line, "senders")? == 1, "there is one sender");
    let bytes = vec![7; usize::try_from(number(line, "size")?)?];
    let (mut link, _) = Link::dial(node, field(line, "to")?).await?;
    let sink = link.meet("sink").await?;
    link.stream.0.borrow_mut().eager = false;
    for seq in 1..=number(line, "count")? {
        let mut rest = vec![integer(1)?, integer(seq)?];
        if !bytes.is_empty() {
            rest.push(Binary::from(bytes.clone()).into());
        }
        link.send(&sink, "msg", rest).await?;
    }
    link.stream.0.borrow_mut().eager = true;
    link.stream.flush().await?;
    say("sent")
}

async fn serve(node: &Node, line: &str) -> Result<()> {
    say("serving")?;
    for _ in 0..number(line, "connections")? {
        let mut link = Link::accept(node).await?;
        while let Some(message) = link.recv().await {
            match message.as_slice() {
                [tag, from] if is(tag, "hello") => link.welcome(from).await?,
                [tag, Term::Pid(from), seq] if is(tag, "ping") => {
                    link.send(from, "pong", vec![seq.clone()]).await?;
                }
                other => bail!("this was not expected: {other:?}"),
            }
        }
    }
    Ok(())
}

async fn ping(node: &Node, line: &str) -> Result<()> {
    let (mut link, _) = Link::dial(node, field(line, "to")?).await?;
    let echo = link.meet("echo").await?;
    let mut times = Vec::new();
    for seq in 1..=number(line, "count")? {
        let begun = Instant::now();
        let rest = vec![link.own.clone().into(), integer(seq)?];
        link.send(&echo, "ping", rest).await?;
        let pong = link.recv().await.context("the connection ends")?;
        times.push(begun.elapsed());
        ensure!(pong[1..] == [integer(seq)?], "{pong:?} after {seq}");
    }
    quantiles("pinged", times)
}

async fn connect_often(node: &Node, line: &str) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..number(line, "count")? {
        let (link, took) = Link::dial(node, field(line, "to")?).await?;
        times.push(took);
        drop(link);
        // Until the other side has seen the end.
        smol::Timer::after(Duration::from_millis(2)).await;
    }
    quantiles("connected", times)
}

fn quantiles(word: &str, mut times: Vec<Duration>) -> Result<()> {
    times.sort();
    let at = |part: usize| times[times.len() * part / 100].as_nanos();
    let sum: Duration = times.iter().sum();
    let (ns, p50, p99) = (sum.as_nanos(), at(50), at(99));
    say(&format!("{word} ns={ns} p50={p50} p99={p99}"))
}

/// A stream with a buffer either way, of which there can be several handles.
#[derive(Clone)]
struct Buffered(Rc<RefCell<Inner>>);

struct Inner {
    stream: TcpStream,
    incoming: Vec<u8>,
    /// What of `incoming` was read already, and how much there is.
    read: usize,
    filled: usize,
    outgoing: Vec<u8>,
    written: usize,
    /// Whether a flush writes, or waits until the buffer is full.
    eager: bool,
}

const FULL: usize = 64 << 10;

impl Buffered {
    fn new(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self(Rc::new(RefCell::new(Inner {
            stream,
            incoming: vec![0; FULL],
            read: 0,
            filled: 0,
            outgoing: Vec::new(),
            written: 0,
            eager: true,
        }))))
    }
}

impl Inner {
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.outgoing.len() {
            let rest = &self.outgoing[self.written..];
            self.written += ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
        }
        self.outgoing.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Buffered {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let inner = &mut *self.0.borrow_mut();
        if inner.read == inner.filled {
            if into.len() >= FULL {
                return Pin::new(&mut inner.stream).poll_read(cx, into);
            }
            inner.filled = ready!(Pin::new(&mut inner.stream).poll_read(cx, &mut inner.incoming))?;
            inner.read = 0;
        }
        let len = into.len().min(inner.filled - inner.read);
        into[..len].copy_from_slice(&inner.incoming[inner.read..inner.read + len]);
        inner.read += len;
        Poll::Ready(Ok(len))
    }
}

impl AsyncWrite for Buffered {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let inner = &mut *self.0.borrow_mut();
        if inner.outgoing.len() >= FULL {
            ready!(inner.poll_drain(cx))?;
        }
        if bytes.len() >= FULL {
            ready!(inner.poll_drain(cx))?;
            return Pin::new(&mut inner.stream).poll_write(cx, bytes);
        }
        inner.outgoing.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let inner = &mut *self.0.borrow_mut();
        match inner.eager || inner.outgoing.len() >= FULL {
            true => inner.poll_drain(cx),
            false => Poll::Ready(Ok(())),
        }
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.borrow_mut().stream).poll_close(cx)
    }
}
