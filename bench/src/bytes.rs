//! How many bytes our node writes, so that bare sockets move as many: from the protocol's own encoder. That the node
//! writes these and no others is a test below.

use std::fmt::{self, Display};
use std::str::FromStr;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use trunkline_etf::{Atom, Pid, Term};
use trunkline_proto::conn::{DEFAULT_TICK_TIME, Outbound, Payload};
use trunkline_proto::control::Control;
use trunkline_proto::epmd::{NodeType, PortResponse, Registration, Request};
use trunkline_proto::handshake::acceptor::{AfterName, AwaitName};
use trunkline_proto::handshake::initiator::{AfterStatus, Start};
use trunkline_proto::handshake::{HandshakeFramer, Local, Prefix};
use trunkline_proto::{Cookie, Creation, Flags, Instant, NodeName};

/// One round trip: bytes there and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exchange {
    pub(crate) ask: usize,
    pub(crate) answer: usize,
}

/// The round trips of one connection, again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Script(pub(crate) Vec<Exchange>);

/// What the numbers of a run mostly are: beyond one byte, within four.
const SEQ: u64 = 1_000;

/// Bytes of one message of a stream, `{msg, Sender, Seq}` or `{msg, Sender, Seq, Binary}` with a binary of `size`.
pub(crate) fn message(from: &NodeName, to: &NodeName, size: usize) -> Result<usize> {
    let (tag, sender, seq) = (Term::atom("msg"), Term::from(1), Term::from(SEQ));
    let message = match size {
        0 => Term::tuple([tag, sender, seq]),
        _ => Term::tuple([tag, sender, seq, Bytes::from(vec![0; size]).into()]),
    };
    sent(from, to, &message)
}

/// `{ping, Pid, Seq}` and `{pong, Seq}`.
pub(crate) fn ping(from: &NodeName, to: &NodeName) -> Result<Script> {
    let pid = Term::from(&pid(from)?);
    let ping = Term::tuple([Term::atom("ping"), pid, Term::from(SEQ)]);
    let pong = Term::tuple([Term::atom("pong"), Term::from(SEQ)]);
    Ok(Script(vec![Exchange {
        ask: sent(from, to, &ping)?,
        answer: sent(to, from, &pong)?,
    }]))
}

/// What a node says that dials another: to EPMD, and then to the node.
pub(crate) fn connect(from: &NodeName, to: &NodeName) -> Result<Vec<Script>> {
    Ok(vec![epmd(to)?, handshake(from, to)?])
}

fn pid(node: &NodeName) -> Result<Pid> {
    Ok(Pid {
        node: Atom::new(node.as_str())?,
        id: 1,
        serial: 0,
        creation: 1,
    })
}

fn sent(from: &NodeName, to: &NodeName, message: &Term) -> Result<usize> {
    let flags = Flags::hidden_default();
    let mut out = Outbound::new(Instant::ZERO, flags, flags, DEFAULT_TICK_TIME);
    let control = Control::SendSender {
        from: pid(from)?,
        to: pid(to)?,
        token: None,
    };
    out.push(Instant::ZERO, &control, Payload::Term(message))?;
    let mut bytes = 0;
    while !out.is_empty() {
        let now = out.segments().map(<[u8]>::len).sum();
        out.sent(now);
        bytes += now;
    }
    Ok(bytes)
}

fn epmd(to: &NodeName) -> Result<Script> {
    let alive = to.alive().to_owned();
    let registration = Registration::new(&alive, 40_000, NodeType::HIDDEN);
    Ok(Script(vec![Exchange {
        ask: Request::PortPlease2 { alive }.encode()?.len(),
        answer: PortResponse::Found(registration).encode()?.len(),
    }]))
}

fn handshake(from: &NodeName, to: &NodeName) -> Result<Script> {
    let (flags, creation, cookie) = (
        Flags::hidden_default(),
        Creation(1),
        Cookie::new("any".to_owned())?,
    );
    let framer = HandshakeFramer::new(Prefix::U16);
    let framed = |message: &[u8]| framer.frame(message).len();

    let me = Local::new(from.clone(), flags, creation);
    let (name, caller) = Start::new(me, Some(to.clone())).send_name();
    let AfterName::Caller(called) = AwaitName::new(to.clone(), flags, creation).name(&name)? else {
        bail!("the caller has a name");
    };
    let (status, called) = called.accept();
    let (challenge, called) = called.challenge(1);
    let AfterStatus::Go(caller) = caller.status(&status)? else {
        bail!("the caller is to go on");
    };
    let (reply, _caller) = caller.challenge(&challenge)?.reply(&cookie, 2);
    let (ack, _connected) = called.reply(&reply, &cookie)?;
    Ok(Script(vec![
        Exchange {
            ask: framed(&name),
            answer: framed(&status) + framed(&challenge),
        },
        Exchange {
            ask: framed(&reply),
            answer: framed(&ack),
        },
    ]))
}

impl Script {
    /// The `number`-th round trip.
    pub(crate) fn at(&self, number: u64) -> Option<Exchange> {
        let count = u64::try_from(self.0.len()).ok()?;
        self.0.get(usize::try_from(number % count).ok()?).copied()
    }
}

/// `95-99,24-30`.
impl Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, Exchange { ask, answer }) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(f, "{comma}{ask}-{answer}")?;
        }
        Ok(())
    }
}

impl FromStr for Script {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let exchange = |text: &str| {
            let (ask, answer) = text.split_once('-').context("no round trip")?;
            Ok(Exchange {
                ask: ask.parse()?,
                answer: answer.parse()?,
            })
        };
        text.split(',')
            .map(exchange)
            .collect::<Result<_>>()
            .map(Self)
    }
}

/// Scripts with semicolons between them.
pub(crate) fn scripts(scripts: &[Script]) -> String {
    let texts: Vec<_> = scripts.iter().map(Script::to_string).collect();
    texts.join(";")
}

/// The scripts in such a text.
pub(crate) fn parse_scripts(text: &str) -> Result<Vec<Script>> {
    text.split(';').map(str::parse).collect()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
    use tokio::net::{TcpListener, TcpStream};
    use trunkline_node::epmd::server::Server;
    use trunkline_node::{Node, NodeBuilder, Target};

    use super::*;

    /// What went through: bytes there, and back.
    type Counts = Arc<[AtomicUsize; 2]>;

    /// Counts what goes to and from `port`; dial the port that it gives instead.
    async fn tap(port: u16) -> (u16, Counts) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let counts = Counts::default();
        let counted = Arc::clone(&counts);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let on = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await;
                let ((from, back), (answers, to)) = (stream.into_split(), on.unwrap().into_split());
                tokio::spawn(pipe(from, to, Arc::clone(&counted), 0));
                tokio::spawn(pipe(answers, back, Arc::clone(&counted), 1));
            }
        });
        (own, counts)
    }

    async fn pipe(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, counts: Counts, which: usize) {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(len @ 1..) = from.read(&mut buffer).await {
            counts[which].fetch_add(len, Ordering::SeqCst);
            to.write_all(&buffer[..len]).await.unwrap();
        }
    }

    async fn until(counts: &Counts, wanted: [usize; 2]) {
        let now = || [0, 1].map(|which: usize| counts[which].load(Ordering::SeqCst));
        let reached = async {
            while now()[0] < wanted[0] || now()[1] < wanted[1] {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), reached)
            .await
            .ok();
        assert_eq!(now(), wanted);
    }

    fn builder(name: &NodeName) -> NodeBuilder<Cookie> {
        let builder = Node::builder(name.clone()).follow_tick_time(false);
        builder.cookie(Cookie::new("any".to_owned()).unwrap())
    }

    fn names() -> [NodeName; 2] {
        ["here@127.0.0.1", "there@127.0.0.1"].map(|name| name.parse().unwrap())
    }

    #[tokio::test]
    async fn our_node_writes_these_messages_and_this_handshake() {
        let [from, to] = names();
        let there = builder(&to)
            .listen([Ipv4Addr::LOCALHOST.into()], 0)
            .epmd(None);
        let (here, there) = (
            builder(&from).start().await.unwrap(),
            there.start().await.unwrap(),
        );
        let (port, counts) = tap(there.port().unwrap()).await;
        here.connect(&Target::new(to.clone()).on_port(port))
            .await
            .unwrap();
        let shake = handshake(&from, &to).unwrap().0;
        let mut asked = shake.iter().map(|one| one.ask).sum();
        let mut answered = shake.iter().map(|one| one.answer).sum();
        until(&counts, [asked, answered]).await;

        let (sender, receiver) = (here.process(), there.process());
        for size in [0, 64 << 10, 1 << 20] {
            let mut parts = vec![Term::atom("msg"), Term::from(1), Term::from(SEQ)];
            if size > 0 {
                parts.push(Bytes::from(vec![0; size]).into());
            }
            for _ in 0..2 {
                sender
                    .send(&receiver.pid(), Term::tuple(parts.clone()))
                    .await
                    .unwrap();
                asked += message(&from, &to, size).unwrap();
                until(&counts, [asked, answered]).await;
            }
        }
        let one = ping(&from, &to).unwrap().at(7).unwrap();
        let there_and_back = [
            [
                Term::atom("ping"),
                Term::from(&sender.pid()),
                Term::from(SEQ),
            ]
            .to_vec(),
            [Term::atom("pong"), Term::from(SEQ)].to_vec(),
        ];
        let [question, answer] = there_and_back.map(Term::tuple);
        sender.send(&receiver.pid(), question).await.unwrap();
        receiver.send(&sender.pid(), answer).await.unwrap();
        (asked, answered) = (asked + one.ask, answered + one.answer);
        until(&counts, [asked, answered]).await;
    }

    #[tokio::test]
    async fn our_node_asks_epmd_so() {
        let [from, to] = names();
        let mapper = Server::bind(&[(Ipv4Addr::LOCALHOST, 0).into()]).unwrap();
        let there = builder(&to).listen([Ipv4Addr::LOCALHOST.into()], 0);
        let _there = there.epmd_port(mapper.port()).start().await.unwrap();
        let (port, counts) = tap(mapper.port()).await;
        let here = builder(&from).epmd_port(port).start().await.unwrap();
        here.connect(&Target::new(to.clone())).await.unwrap();
        let asked = epmd(&to).unwrap().at(0).unwrap();
        until(&counts, [asked.ask, asked.answer]).await;
    }

    #[test]
    fn scripts_are_said_and_understood() {
        let [from, to] = names();
        let said = connect(&from, &to).unwrap();
        assert_eq!(parse_scripts(&scripts(&said)).unwrap(), said);
        let text: Script = "95-99,24-30".parse().unwrap();
        assert_eq!(text.to_string(), "95-99,24-30");
        assert_eq!(
            text.at(3),
            Some(Exchange {
                ask: 24,
                answer: 30
            })
        );
        assert!("95".parse::<Script>().is_err());
    }
}
