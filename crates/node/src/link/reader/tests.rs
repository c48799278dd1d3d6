use std::net::Ipv4Addr;

use socket2::SockRef;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use trunkline_etf::{Pid, atom};
use trunkline_proto::conn::{DEFAULT_TICK_TIME, Outbound, Payload, Sending};
use trunkline_proto::handshake::Connected;
use trunkline_proto::{Cookie, Creation, Flags};

use super::*;
use crate::budget::Budget;
use crate::link::{Ticks, spawn};
use crate::shared::Visited;
use crate::transport::Transport;
use crate::{Message, Node};

/// A fragment. It is read straight to its place, and several of them are a turn of the reader.
const PIECE: usize = 28 << 10;

fn push(out: &mut Outbound, id: u32, to: &Pid, term: &Term) {
    let from = Pid {
        node: atom!("peer@h"),
        id,
        serial: 0,
        creation: 1,
    };
    let control = Control::SendSender {
        from,
        to: to.clone(),
        token: None,
    };
    let now = trunkline_proto::Instant::ZERO;
    out.push(now, &control, Payload::Term(term)).unwrap();
}

/// A large message in fragments, with numbers of another sender between them.
fn stream(to: &Pid) -> Vec<u8> {
    let flags = Flags::hidden_default();
    let now = trunkline_proto::Instant::ZERO;
    let sending = Sending::default().with_whole(PIECE).with_piece(PIECE);
    let mut out = Outbound::new(now, flags, flags, DEFAULT_TICK_TIME).with_sending(sending);
    push(&mut out, 1, to, &Term::binary(vec![7; 9 * PIECE]));
    let (mut wire, mut number) = (Vec::new(), 0_u64);
    while !out.is_empty() {
        let bytes = out.segments().collect::<Vec<_>>().concat();
        out.sent(bytes.len());
        wire.extend(bytes);
        if !out.is_empty() {
            push(&mut out, 2, to, &Term::from(number));
            number += 1;
        }
    }
    wire
}

/// How many bytes come after each frame that is no fragment.
fn after_small(wire: &[u8]) -> Vec<usize> {
    const WHOLE: u8 = 68;
    let (mut rest, mut after) = (wire, Vec::new());
    while let Some((length, body)) = rest.split_first_chunk() {
        rest = &body[u32::from_be_bytes(*length) as usize..];
        if body[1] == WHOLE {
            after.push(rest.len());
        }
    }
    after
}

/// How many bytes lie in the system.
fn unread(socket: &std::net::TcpStream) -> usize {
    socket.peek(&mut vec![0; 1 << 20]).unwrap_or(0)
}

/// A connection to `node` on which `wire` lies, all of it, and another handle of the socket.
async fn connected(node: &Node, wire: &[u8]) -> (TcpStream, std::net::TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let socket = SockRef::from(&listener);
    socket.set_recv_buffer_size(2 * wire.len()).unwrap();
    let port = listener.local_addr().unwrap();
    let (peer, accepted) = tokio::join!(TcpStream::connect(port), listener.accept());
    let (mut peer, stream) = (peer.unwrap(), accepted.unwrap().0.into_std().unwrap());
    let socket = stream.try_clone().unwrap();
    peer.write_all(wire).await.unwrap();
    let begun = Instant::now();
    while unread(&socket) < wire.len() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "it does not come"
        );
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let info = Connected {
        me: node.name().clone(),
        my_creation: Creation(1),
        peer: "peer@h".parse().unwrap(),
        peer_flags: Flags::hidden_default(),
        flags: Flags::hidden_default(),
        creation: Creation(1),
    };
    let ticks = Ticks {
        time: DEFAULT_TICK_TIME,
        intensity: 4,
    };
    let stop = CancellationToken::new();
    let budget = Budget::new(64 << 20);
    let sending = Sending::default();
    let link = Link::new(info, ticks, sending, stop, Visited::Dialled(0), &budget);
    let transport = Transport::from(TcpStream::from_std(stream).unwrap());
    let shared = Arc::clone(&node.shared);
    spawn(shared, link, transport, BytesMut::new(), None);
    (peer, socket)
}

/// Behind a small message the next fragment lies in the system already. Whose the small one is has his turn before that is read.
#[tokio::test]
async fn whoever_gets_something_between_fragments_has_his_turn() {
    let node = Node::builder("me@h".parse().unwrap()).epmd(None);
    let node = node.cookie(Cookie::new("monster").unwrap());
    let node = node.start().await.unwrap();
    let mut receiver = node.process();
    let wire = stream(&receiver.pid());
    let after = after_small(&wire);
    let (_peer, socket) = connected(&node, &wire).await;
    let (mut number, mut at_once) = (0, 0);
    loop {
        let received = timeout(Duration::from_secs(60), receiver.recv());
        let Some(Message::Term(term)) = received.await.expect("all comes") else {
            panic!("the end");
        };
        if term.as_binary().is_some() {
            break;
        }
        assert_eq!(term.as_u64(), Some(number as u64));
        // The head of what comes next may be read with it.
        at_once += usize::from(unread(&socket) + 1000 > after[number]);
        number += 1;
    }
    assert_eq!(number, after.len());
    // Before some has come of the large one nothing is known of it.
    assert!(at_once + 5 > number, "{at_once} of {number}");
}
