//! What the other side can take: the bytes that our node writes for a stream of small messages, encoded before and written
//! many at a time. Of a frame only the number changes, its last four bytes.

use std::io::{BufRead as _, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpStream};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use trunkline_etf::{Atom, Limits, Pid, Term, atom};
use trunkline_proto::conn::{DEFAULT_TICK_TIME, Inbound, Outbound, Payload};
use trunkline_proto::control::Control;
use trunkline_proto::epmd::{PortResponse, Request};
use trunkline_proto::handshake::initiator::{AfterStatus, Start};
use trunkline_proto::handshake::{Connected, HandshakeFramer, Local, Prefix};
use trunkline_proto::{Cookie, Creation, Flags, Instant, NodeName};

use super::say;
use crate::line::Line;

pub(super) fn run(name: &str) -> Result<()> {
    let name = name.parse()?;
    say(&Line::new("ready"))?;
    for text in std::io::stdin().lock().lines() {
        let line = Line::parse(&text?)?;
        match line.word.as_str() {
            "send" => send(&name, &line)?,
            other => bail!("there is no command {other:?}"),
        }
    }
    Ok(())
}

fn send(me: &NodeName, line: &Line) -> Result<()> {
    ensure!(line.text("senders")? == "1" && line.text("size")? == "0");
    let mut link = Link::dial(me, &line.text("to")?.parse()?)?;
    let sink = link.meet()?;
    let message = [Term::atom("msg"), Term::from(1), Term::from(PLACE)];
    let control = Control::SendSender {
        from: link.own.clone(),
        to: sink,
        token: None,
    };
    let mut batch = link.encoded(&control, &Term::tuple(message))?;
    ensure!(batch.ends_with(&PLACE.to_be_bytes()), "the number is last");
    let frame = batch.len();
    batch = batch.repeat(BATCH);
    let mut seq: u32 = 0;
    let mut left: usize = line.number("count")?;
    while left > 0 {
        let now = left.min(BATCH);
        for frame in batch.chunks_exact_mut(frame).take(now) {
            seq += 1;
            let at = frame.len() - 4;
            frame[at..].copy_from_slice(&seq.to_be_bytes());
        }
        link.stream.write_all(&batch[..now * frame])?;
        left -= now;
    }
    say(&Line::new("sent"))?;
    // What the other side sent meanwhile (ticks) would make it a reset.
    link.stream.shutdown(Shutdown::Write)?;
    while link.stream.read(&mut batch)? > 0 {}
    Ok(())
}

/// A number that takes four bytes, as most do.
const PLACE: u32 = 0x0102_0304;

/// Frames of one write.
const BATCH: usize = 500;

/// A connection, and who this is on it.
struct Link {
    stream: TcpStream,
    outbound: Outbound,
    inbound: Inbound,
    own: Pid,
}

impl Link {
    fn dial(me: &NodeName, to: &NodeName) -> Result<Self> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port(to)?))?;
        stream.set_nodelay(true)?;
        let (connected, framer) = shake(&mut stream, me, to)?;
        let own = Pid {
            node: Atom::new(me.as_str())?,
            id: 1,
            serial: 0,
            creation: connected.my_creation.0,
        };
        let Connected {
            flags, peer_flags, ..
        } = connected;
        let (now, tick) = (Instant::ZERO, DEFAULT_TICK_TIME);
        let inbound = Inbound::new(now, flags, tick, trunkline_proto::conn::Limits::default());
        Ok(Self {
            stream,
            outbound: Outbound::new(now, flags, peer_flags, tick),
            inbound: inbound.with_rest(framer.into_rest()),
            own,
        })
    }

    /// The pid of `sink`.
    fn meet(&mut self) -> Result<Pid> {
        let control = Control::RegSend {
            from: self.own.clone(),
            to: atom!("sink"),
            token: None,
        };
        let hello = Term::tuple([Term::atom("hello"), Term::from(&self.own)]);
        let hello = self.encoded(&control, &hello)?;
        self.stream.write_all(&hello)?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            for signal in self.inbound.by_ref() {
                let Some(payload) = signal?.payload else {
                    continue;
                };
                let welcome = payload.decode(&Limits::default())?;
                if let Some([tag, pid]) = welcome.as_tuple()
                    && tag.is_atom("welcome")
                {
                    return Ok(pid.as_pid().context("no pid")?.clone());
                }
            }
            let len = self.stream.read(&mut buffer)?;
            ensure!(len > 0, "the connection ends");
            self.inbound.read_buf().extend_from_slice(&buffer[..len]);
            self.inbound.advance(Instant::ZERO);
        }
    }

    fn encoded(&mut self, control: &Control, message: &Term) -> Result<Vec<u8>> {
        let payload = Payload::Term(message);
        self.outbound.push(Instant::ZERO, control, payload)?;
        let bytes: Vec<u8> = self.outbound.segments().collect::<Vec<_>>().concat();
        self.outbound.sent(bytes.len());
        Ok(bytes)
    }
}

/// Where the node listens.
fn port(of: &NodeName) -> Result<u16> {
    let epmd: u16 = std::env::var("ERL_EPMD_PORT")?.parse()?;
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, epmd))?;
    let alive = of.alive().to_owned();
    stream.write_all(&Request::PortPlease2 { alive }.encode()?)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    match PortResponse::decode_prefix(&answer)? {
        Some((PortResponse::Found(registration), _)) => Ok(registration.port),
        other => bail!("epmd says {other:?} of {of}"),
    }
}

fn shake(
    stream: &mut TcpStream,
    me: &NodeName,
    to: &NodeName,
) -> Result<(Connected, HandshakeFramer)> {
    let cookie = Cookie::new(std::env::var("BENCH_COOKIE")?)?;
    let mut framer = HandshakeFramer::new(Prefix::U16);
    let own = Local::new(me.clone(), Flags::hidden_default(), Creation(7));
    let (name, state) = Start::new(own, Some(to.clone())).send_name();
    stream.write_all(&framer.frame(&name))?;
    let state = match state.status(&next(stream, &mut framer)?)? {
        AfterStatus::Go(state) => state,
        // It has not seen the end of the connection before.
        AfterStatus::Alive(question) => {
            let (yes, state) = question.replace();
            stream.write_all(&framer.frame(&yes))?;
            state
        }
    };
    let (reply, state) = state
        .challenge(&next(stream, &mut framer)?)?
        .reply(&cookie, 1);
    stream.write_all(&framer.frame(&reply))?;
    let connected = state.ack(&next(stream, &mut framer)?)?;
    Ok((connected, framer))
}

fn next(stream: &mut TcpStream, framer: &mut HandshakeFramer) -> Result<Bytes> {
    let mut buffer = [0; 1024];
    loop {
        if let Some(frame) = framer.next_frame()? {
            return Ok(frame);
        }
        let len = stream.read(&mut buffer)?;
        ensure!(len > 0, "the connection ends in the handshake");
        framer.push(&buffer[..len]);
    }
}
