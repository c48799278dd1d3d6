//! A peer that is scripted: the protocol's own acceptor on a loopback port.
#![allow(dead_code, reason = "each test program uses a part")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use trunkline_etf::{Pid, Term, atom};
use trunkline_node::Target;
use trunkline_proto::conn::{DEFAULT_TICK_TIME, Inbound, Limits, Outbound, Payload, Signal};
use trunkline_proto::control::Control;
use trunkline_proto::handshake::acceptor::{AfterName, AwaitName, AwaitReply};
use trunkline_proto::handshake::{HandshakeFramer, Prefix};
use trunkline_proto::{Cookie, Creation, Flags, Instant, NodeName};

pub(crate) fn name(text: &str) -> NodeName {
    text.parse().expect("a node name")
}

pub(crate) fn cookie(text: &str) -> Cookie {
    Cookie::new(text).expect("a cookie")
}

/// The connection of one caller.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    framer: HandshakeFramer,
}

impl Wire {
    pub(crate) fn read(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(frame) = self.framer.next_frame().ok()? {
                return Some(frame.to_vec());
            }
            let mut bytes = [0; 1024];
            match self.stream.read(&mut bytes) {
                Ok(0) | Err(_) => return None,
                Ok(n) => self.framer.push(bytes.get(..n)?),
            }
        }
    }

    pub(crate) fn write(&mut self, message: &[u8]) {
        let frame = self.framer.frame(message);
        self.stream.write_all(&frame).ok();
    }

    /// Everything up to the caller's proof.
    pub(crate) fn greet(&mut self, flags: Flags) -> Option<(AwaitReply, Vec<u8>)> {
        let state = AwaitName::new(name("app@127.0.0.1"), flags, Creation(7));
        let AfterName::Caller(caller) = state.name(&self.read()?).ok()? else {
            return None;
        };
        let (status, state) = caller.accept();
        self.write(&status);
        let (challenge, state) = state.challenge(4711);
        self.write(&challenge);
        let reply = self.read()?;
        Some((state, reply))
    }

    /// The whole handshake; what is left is the connection.
    pub(crate) fn connect(self) -> Option<TcpStream> {
        self.connect_with(Flags::hidden_default())
    }

    /// The same of a peer with these flags.
    pub(crate) fn connect_with(mut self, flags: Flags) -> Option<TcpStream> {
        let (state, reply) = self.greet(flags)?;
        let (ack, _) = state.reply(&reply, &cookie("monster")).ok()?;
        self.write(&ack);
        Some(self.stream)
    }
}

/// A peer that plays `script` with each caller.
pub(crate) fn peer(script: impl Fn(Wire) + Send + 'static) -> Target {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let framer = HandshakeFramer::new(Prefix::U16);
            script(Wire { stream, framer });
        }
    });
    Target::new(name("app@127.0.0.1")).on_port(port)
}

/// The connection of a scripted peer after the handshake.
pub(crate) struct Conn {
    pub(crate) stream: TcpStream,
    inbound: Inbound,
    outbound: Outbound,
}

impl Conn {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self::with(stream, Flags::hidden_default())
    }

    /// The connection of two that have agreed on these.
    pub(crate) fn with(stream: TcpStream, flags: Flags) -> Self {
        let (now, time) = (Instant::ZERO, DEFAULT_TICK_TIME);
        Self {
            stream,
            inbound: Inbound::new(now, flags, time, Limits::default()),
            outbound: Outbound::new(now, flags, flags, time),
        }
    }

    /// The next message; `None` when the connection is over.
    pub(crate) fn next(&mut self) -> Option<Signal> {
        loop {
            if let Some(signal) = self.inbound.next() {
                return signal.ok();
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) | Err(_) => return None,
                Ok(n) => self.inbound.read_buf().extend_from_slice(bytes.get(..n)?),
            }
        }
    }

    pub(crate) fn send(&mut self, control: &Control, payload: Option<&Term>) {
        self.push(control, payload);
        self.flush();
    }

    /// Behind what is to be sent.
    pub(crate) fn push(&mut self, control: &Control, payload: Option<&Term>) {
        let payload = payload.map_or(Payload::None, Payload::Term);
        let pushed = self.outbound.push(Instant::ZERO, control, payload);
        pushed.expect("a control message that fits");
    }

    /// All of that at once.
    pub(crate) fn flush(&mut self) {
        let bytes = self.outbound.segments().collect::<Vec<_>>().concat();
        self.outbound.sent(bytes.len());
        self.stream.write_all(&bytes).ok();
    }
}

/// A process of the peer.
pub(crate) fn pid(id: u32) -> Pid {
    Pid {
        node: atom!("app@127.0.0.1"),
        id,
        serial: 0,
        creation: 7,
    }
}
