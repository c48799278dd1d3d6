//! A DNS server over UDP and TCP on one port that answers as a closure says. It encodes by hand, so
//! that it shares no mistake with what it tests, and can make every mistake itself.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinHandle;

pub const A: u16 = 1;
pub const CNAME: u16 = 5;
pub const SOA: u16 = 6;
pub const TXT: u16 = 16;
pub const AAAA: u16 = 28;
pub const SRV: u16 = 33;

#[derive(Clone, Debug)]
pub enum Answer {
    /// These addresses; of none there is NODATA.
    Records(Vec<IpAddr>),
    /// An error by its number: 2 SERVFAIL, 3 NXDOMAIN, 5 REFUSED.
    Code(u8),
    /// Cut to what the client takes when it comes over UDP.
    Message(Message),
    /// Exactly these bytes, in one datagram or stream.
    Raw(Vec<u8>),
    /// Several datagrams, or one stream.
    Several(Vec<Vec<u8>>),
    /// Over TCP: the connection is closed.
    Silence,
}

#[derive(Clone, Debug, Default)]
pub struct Message {
    pub code: u8,
    pub not_authoritative: bool,
    pub answers: Vec<Rr>,
    pub authorities: Vec<Rr>,
    pub additional: Vec<Rr>,
}

/// A record of class IN with a TTL of one second, unless it is changed.
#[derive(Clone, Debug)]
pub struct Rr {
    pub name: String,
    pub kind: u16,
    pub class: u16,
    pub ttl: u32,
    pub data: Vec<u8>,
}

/// One question as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// In lower case, without a final dot.
    pub name: String,
    pub kind: u16,
    pub tcp: bool,
    /// The payload that EDNS allows.
    pub edns: Option<u16>,
    pub id: u16,
    /// Header and question, the head of every answer.
    pub question: Vec<u8>,
}

pub struct DnsServer {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    tasks: [JoinHandle<()>; 2],
}

impl DnsServer {
    /// `script` is told the name (lower case, without a final dot) and whether AAAA is asked for.
    pub async fn start(script: impl Fn(&str, bool) -> Answer + Send + Sync + 'static) -> Self {
        Self::serve(move |asked| script(&asked.name, asked.kind == AAAA)).await
    }

    /// `script` is told everything.
    pub async fn serve(script: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let (udp, tcp) = both().await;
        let address = udp.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let log = Arc::clone(&asked);
        let script = Arc::new(move |asked: Asked| {
            let answer = script(&asked);
            log.lock().unwrap().push(asked);
            answer
        });
        let tasks = [
            tokio::spawn(datagrams(udp, Arc::clone(&script))),
            tokio::spawn(streams(tcp, script)),
        ];
        Self {
            address,
            asked,
            tasks,
        }
    }

    /// Everything that was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Rr {
    pub fn new(name: &str, kind: u16, data: Vec<u8>) -> Self {
        Self {
            name: name.into(),
            kind,
            class: 1,
            ttl: 1,
            data,
        }
    }

    pub fn address(name: &str, ip: &str) -> Self {
        match ip.parse().unwrap() {
            IpAddr::V4(ip) => Self::new(name, A, ip.octets().into()),
            IpAddr::V6(ip) => Self::new(name, AAAA, ip.octets().into()),
        }
    }

    pub fn cname(name: &str, target: &str) -> Self {
        Self::new(name, CNAME, encode(target))
    }

    pub fn srv(name: &str, port: u16, target: &str) -> Self {
        let numbers = [0, 0, 0, 5].into_iter().chain(port.to_be_bytes());
        Self::new(name, SRV, numbers.chain(encode(target)).collect())
    }

    pub fn txt(name: &str, strings: &[&str]) -> Self {
        let one = |text: &&str| [&[text.len() as u8][..], text.as_bytes()].concat();
        Self::new(name, TXT, strings.iter().flat_map(one).collect())
    }

    pub fn soa(name: &str, minimum: u32) -> Self {
        let mut data = [encode("ns.internal"), encode("admin.internal")].concat();
        for number in [1, 3600, 600, 86400, minimum] {
            data.extend(u32::to_be_bytes(number));
        }
        Self {
            ttl: 3600,
            ..Self::new(name, SOA, data)
        }
    }

    pub fn ttl(self, ttl: u32) -> Self {
        Self { ttl, ..self }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend(encode(&self.name));
        out.extend(self.kind.to_be_bytes());
        out.extend(self.class.to_be_bytes());
        out.extend(self.ttl.to_be_bytes());
        out.extend((self.data.len() as u16).to_be_bytes());
        out.extend(&self.data);
    }
}

impl From<Vec<Rr>> for Answer {
    fn from(answers: Vec<Rr>) -> Self {
        Self::Message(Message {
            answers,
            ..Message::default()
        })
    }
}

/// Labels of any bytes but dots; `""` is the root.
pub fn encode(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        out.push(label.len() as u8);
        out.extend(label.as_bytes());
    }
    out.push(0);
    out
}

impl Asked {
    /// RFC 1035 section 4: a header of 12 bytes, then labels, type and class.
    fn read(packet: &[u8], tcp: bool) -> Self {
        let mut labels = Vec::new();
        let mut at = 12;
        while packet[at] != 0 {
            let len = usize::from(packet[at]);
            labels.push(String::from_utf8_lossy(&packet[at + 1..at + 1 + len]).to_lowercase());
            at += 1 + len;
        }
        let number = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
        // The root, type OPT (41), the payload in place of the class.
        let opt = at + 5;
        let edns = packet.get(opt..opt + 3) == Some(&[0, 0, 41]);
        Self {
            name: labels.join("."),
            kind: number(at + 1),
            tcp,
            edns: edns.then(|| number(opt + 3)),
            id: number(0),
            question: packet[..opt].to_vec(),
        }
    }

    /// An answer as it is sent.
    pub fn reply(&self, message: &Message) -> Vec<u8> {
        let mut reply = self.question.clone();
        let authoritative = if message.not_authoritative {
            0x80
        } else {
            0x84
        };
        reply[2..4].copy_from_slice(&[authoritative | 1, message.code]);
        let sections = [&message.answers, &message.authorities, &message.additional];
        for (at, section) in [6, 8, 10].into_iter().zip(sections) {
            reply[at..at + 2].copy_from_slice(&(section.len() as u16).to_be_bytes());
        }
        for record in sections.into_iter().flatten() {
            record.write(&mut reply);
        }
        if self.tcp || reply.len() <= usize::from(self.edns.unwrap_or(512)) {
            return reply;
        }
        reply.truncate(self.question.len());
        reply[2] |= 2;
        reply[6..12].fill(0);
        reply
    }

    fn replies(&self, answer: Answer) -> Vec<Vec<u8>> {
        let message = match answer {
            Answer::Silence => return Vec::new(),
            Answer::Raw(bytes) => return vec![bytes],
            Answer::Several(all) => return all,
            Answer::Message(message) => message,
            Answer::Code(code) => Message {
                code,
                ..Message::default()
            },
            Answer::Records(ips) => {
                let answers = ips
                    .iter()
                    .map(|ip| Rr::address(&self.name, &ip.to_string()));
                Message {
                    answers: answers.collect(),
                    ..Message::default()
                }
            }
        };
        vec![self.reply(&message)]
    }
}

/// UDP and TCP on one port.
async fn both() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
}

async fn datagrams(socket: UdpSocket, script: Arc<impl Fn(Asked) -> Answer>) {
    let mut packet = [0; 1500];
    loop {
        let (len, from) = socket.recv_from(&mut packet).await.unwrap();
        let asked = Asked::read(&packet[..len], false);
        for reply in asked.clone().replies(script(asked)) {
            // One that is too long for a datagram is lost.
            drop(socket.send_to(&reply, from).await);
        }
    }
}

async fn streams(listener: TcpListener, script: Arc<impl Fn(Asked) -> Answer>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        // The client went away: its test says why.
        drop(one(stream, script.as_ref()).await);
    }
}

async fn one(mut stream: TcpStream, script: &impl Fn(Asked) -> Answer) -> std::io::Result<()> {
    let len = stream.read_u16().await?;
    let mut packet = vec![0; len.into()];
    stream.read_exact(&mut packet).await?;
    let asked = Asked::read(&packet, true);
    let replies = asked.clone().replies(script(asked)).concat();
    if !replies.is_empty() {
        stream.write_u16(replies.len().min(0xffff) as u16).await?;
        stream.write_all(&replies).await?;
    }
    stream.shutdown().await
}
