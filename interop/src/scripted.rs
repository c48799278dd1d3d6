//! Peers that are no OTP: registered in a host's real port mapper, and behind the port whatever a test wants to meet.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::thread;

use anyhow::{Result, ensure};
use trunkline_proto::epmd::{NodeType, Registration, Request};
use trunkline_proto::handshake::{Challenge, Status};
use trunkline_proto::{Creation, Flags, NodeName};

use crate::netns::Host;
use crate::otp;

const EPMD: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 4369);

/// What is behind the port, once a connection has come and its first bytes have been read.
#[derive(Clone, Debug)]
pub enum Behind {
    /// Says nothing, and keeps the connection.
    Silence,
    /// Says this, and keeps the connection until the other end closes it.
    Says(Vec<u8>),
    /// Says this, and closes the connection.
    SaysAndCloses(Vec<u8>),
}

/// A name in the port mapper with something behind its port; the name goes when it is dropped.
#[derive(Debug)]
pub struct Scripted {
    // Open as long as the name shall be known.
    _registration: TcpStream,
}

impl Scripted {
    /// Registers `alive` on `host`, whose port mapper is started when it does not run.
    ///
    /// # Errors
    /// When the port mapper does not take the name.
    pub fn start(host: &Host, alive: &str, behind: Behind) -> Result<Self> {
        otp::epmd_on(host)?;
        let listener = host.listen(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)))?;
        let port = listener.local_addr()?.port();
        // Ends with the test's process: nothing else holds on to a host of a lab.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let behind = behind.clone();
                thread::spawn(move || behind.serve(stream));
            }
        });
        Ok(Self {
            _registration: register(host, alive, port)?,
        })
    }
}

impl Behind {
    fn serve(self, mut stream: TcpStream) {
        let mut asked = [0; 1024];
        if !stream.read(&mut asked).is_ok_and(|n| n > 0) {
            return;
        }
        let (text, closes) = match &self {
            Self::Silence => (&[][..], false),
            Self::Says(text) => (&text[..], false),
            Self::SaysAndCloses(text) => (&text[..], true),
        };
        if stream.write_all(text).is_ok() && !closes {
            while stream.read(&mut asked).is_ok_and(|n| n > 0) {}
        }
    }
}

fn register(host: &Host, alive: &str, port: u16) -> Result<TcpStream> {
    let registration = Registration::new(alive, port, NodeType::VISIBLE);
    let request = Request::Alive2(registration).encode()?;
    let mut stream = host.inside(|| TcpStream::connect(EPMD))??;
    stream.write_all(&request)?;
    // `118 0 creation`: epmd answers so to everybody who knows version 6.
    let mut answer = [0; 6];
    stream.read_exact(&mut answer)?;
    ensure!(
        answer[..2] == [118, 0],
        "epmd does not take {alive}: {answer:?}"
    );
    Ok(stream)
}

/// A handshake message with its length before it.
pub fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).expect("handshake messages are short");
    [&length.to_be_bytes()[..], message].concat()
}

/// The status of step 2, framed.
pub fn status(status: &Status) -> Vec<u8> {
    framed(&status.encode())
}

/// Steps 2 and 3 of a node of this name with these flags, framed.
pub fn greeting(name: &NodeName, flags: Flags) -> Vec<u8> {
    let challenge = Challenge {
        flags,
        challenge: 4711,
        creation: Creation(7),
        name: name.clone(),
    };
    [status(&Status::Ok), framed(&challenge.encode())].concat()
}

/// The same as OTP 22 and older send it: version 5, flags of 32 bits.
pub fn old_greeting(name: &NodeName) -> Vec<u8> {
    let mut challenge = b"n\x00\x05\x00\x07\xff\xbd\x12\x34\x56\x78".to_vec();
    challenge.extend(name.as_str().as_bytes());
    [status(&Status::Ok), framed(&challenge)].concat()
}
