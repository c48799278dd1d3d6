//! Two nodes from the first byte to the last: handshake and connection in one stream, which the network cuts wherever it
//! likes. proptest prints the cuts of a run that fails.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use proptest::prelude::*;
use trunkline_etf::{Limits as TermLimits, Pid, Term, atom};
use trunkline_proto::conn::{DEFAULT_TICK_TIME, Inbound, Limits, Outbound, Payload, Sending};
use trunkline_proto::control::Control;
use trunkline_proto::handshake::acceptor::{AfterName, AwaitName, AwaitReply};
use trunkline_proto::handshake::initiator::{
    AfterStatus, AwaitAck, AwaitChallenge, AwaitStatus, Start,
};
use trunkline_proto::handshake::{Connected, HandshakeFramer, Local, Prefix};
use trunkline_proto::{Cookie, Creation, Flags, Instant, NodeName};

/// What a side waits for.
enum Awaits {
    Name(AwaitName),
    Status(AwaitStatus),
    Challenge(AwaitChallenge),
    Reply(AwaitReply),
    Ack(AwaitAck),
}

/// One of the two nodes.
struct Side {
    handshake: Option<(Awaits, HandshakeFramer)>,
    inbound: Option<Inbound>,
    /// What it has written, all of it, and how much of that was read.
    said: Vec<u8>,
    read: usize,
    seen: Vec<(Control, Option<Term>)>,
}

fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

fn cookie() -> Cookie {
    Cookie::new("monster").unwrap()
}

fn pair(prefix: Prefix) -> [Side; 2] {
    let flags = Flags::hidden_default();
    let me = Local::new(name("one@10.0.0.1"), flags, Creation(5));
    let (send_name, status) = Start::new(me, Some(name("two@10.0.0.2"))).send_name();
    let await_name = AwaitName::new(name("two@10.0.0.2"), flags, Creation(7));
    let side = |awaits| Side {
        handshake: Some((awaits, HandshakeFramer::new(prefix))),
        inbound: None,
        said: Vec::new(),
        read: 0,
        seen: Vec::new(),
    };
    let mut one = side(Awaits::Status(status));
    one.say(&send_name);
    [one, side(Awaits::Name(await_name))]
}

impl Side {
    fn say(&mut self, message: &[u8]) {
        let (_, framer) = self.handshake.as_ref().unwrap();
        self.said.extend(framer.frame(message));
    }

    /// Takes what was read, however much it is.
    fn hear(&mut self, bytes: &[u8]) {
        if let Some((_, framer)) = &mut self.handshake {
            framer.push(bytes);
        } else if let Some(inbound) = &mut self.inbound {
            inbound.read_buf().extend_from_slice(bytes);
        }
        while let Some((_, framer)) = &mut self.handshake
            && let Some(frame) = framer.next_frame().unwrap()
        {
            self.step(&frame);
        }
        for signal in self.inbound.iter_mut().flatten() {
            let signal = signal.unwrap();
            let decode = |raw: trunkline_etf::RawTerm| raw.decode(&TermLimits::default()).unwrap();
            self.seen.push((signal.control, signal.payload.map(decode)));
        }
    }

    fn step(&mut self, frame: &[u8]) {
        let (awaits, framer) = self.handshake.take().unwrap();
        let mut say = |message: &[u8]| self.said.extend(framer.frame(message));
        let (awaits, connected) = match awaits {
            Awaits::Name(state) => {
                let AfterName::Caller(caller) = state.name(frame).unwrap() else {
                    panic!("it has a name");
                };
                let (status, challenger) = caller.accept();
                say(&status);
                let (challenge, next) = challenger.challenge(4711);
                say(&challenge);
                (Some(Awaits::Reply(next)), None)
            }
            Awaits::Status(state) => {
                let AfterStatus::Go(next) = state.status(frame).unwrap() else {
                    panic!("there is no other");
                };
                (Some(Awaits::Challenge(next)), None)
            }
            Awaits::Challenge(state) => {
                let (reply, next) = state.challenge(frame).unwrap().reply(&cookie(), 815);
                say(&reply);
                (Some(Awaits::Ack(next)), None)
            }
            Awaits::Reply(state) => {
                let (ack, connected) = state.reply(frame, &cookie()).unwrap();
                say(&ack);
                (None, Some(connected))
            }
            Awaits::Ack(state) => (None, Some(state.ack(frame).unwrap())),
        };
        self.handshake = awaits.map(|awaits| (awaits, framer.clone()));
        if let Some(connected) = connected {
            let inbound = Inbound::new(
                Instant::ZERO,
                connected.flags,
                DEFAULT_TICK_TIME,
                Limits::default(),
            );
            self.inbound = Some(inbound.with_rest(framer.into_rest()));
            // Right behind the handshake, as the acceptor may do before it hears anything more.
            self.said.extend(traffic(&connected));
        }
    }
}

/// What each side sends: whole messages, fragments of two senders, cached atoms, a tick.
fn messages() -> Vec<(Control, Option<Term>)> {
    let pid = |id| Pid {
        node: atom!("one@10.0.0.1"),
        id,
        serial: 0,
        creation: 5,
    };
    let send = |from, term| {
        let control = Control::SendSender {
            from: pid(from),
            to: pid(9),
            token: None,
        };
        (control, Some(term))
    };
    let named = Control::RegSend {
        from: pid(1),
        to: atom!("a_registered_name"),
        token: None,
    };
    let link = Control::Link {
        from: pid(1),
        to: pid(9),
    };
    vec![
        (named.clone(), Some(Term::atom("a_word"))),
        (link, None),
        send(1, Term::binary(vec![1; 700])),
        (named, Some(Term::atom("a_word"))),
        send(2, Term::tuple([Term::from(2), Term::atom("a_word")])),
    ]
}

fn traffic(connected: &Connected) -> Vec<u8> {
    let sending = Sending::default()
        .with_whole(300)
        .with_piece(200)
        .with_atom_cache(true);
    let now = Instant::ZERO;
    let (ours, theirs) = (connected.flags, connected.peer_flags);
    let mut outbound = Outbound::new(now, ours, theirs, DEFAULT_TICK_TIME).with_sending(sending);
    let mut wire = vec![0; 4];
    for (control, term) in messages() {
        let payload = term.as_ref().map_or(Payload::None, Payload::Term);
        outbound.push(now, &control, payload).unwrap();
    }
    while !outbound.is_empty() {
        let bytes = outbound.segments().collect::<Vec<_>>().concat();
        outbound.sent(bytes.len());
        wire.extend(bytes);
    }
    wire
}

/// Moves what was said to the other side in pieces that end where `cut` says, `None` where there is no cut ahead, until
/// nobody says anything more. Gives how much each has said.
fn run(prefix: Prefix, cut: impl Fn(usize, usize) -> Option<usize>) -> [usize; 2] {
    let mut sides = pair(prefix);
    loop {
        let mut moved = false;
        for from in [0, 1] {
            let [said, read] = [sides[from].said.len(), sides[from].read];
            let end = cut(from, read).map_or(said, |end| end.min(said));
            if end > read {
                let piece = sides[from].said[read..end].to_vec();
                sides[from].read = end;
                sides[1 - from].hear(&piece);
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    let mut expected = messages();
    for side in &mut sides {
        assert!(side.inbound.is_some(), "connected");
        // What one sender says is in its order; others may pass a long message of his.
        let order = |seen: &mut Vec<(Control, Option<Term>)>| {
            seen.sort_by_key(|(control, _)| control.sender_pid().map(|pid| pid.id));
        };
        order(&mut side.seen);
        order(&mut expected);
        assert_eq!(side.seen, expected);
    }
    sides.map(|side| side.said.len())
}

#[test]
fn one_cut_at_every_place() {
    for prefix in [Prefix::U16, Prefix::U32] {
        let said = run(prefix, |_, _| None);
        assert!(said.iter().all(|bytes| *bytes > 1000), "{said:?}");
        for (cut_side, bytes) in said.into_iter().enumerate() {
            for at in 1..bytes {
                let again = run(prefix, |from, read| {
                    (from == cut_side && read < at).then_some(at)
                });
                assert_eq!(again, said, "cut at {at}");
            }
        }
    }
}

proptest! {
    #[test]
    fn cut_anywhere_and_often(
        long in any::<bool>(),
        sizes in prop::array::uniform2(prop::collection::vec(1_usize..60, 1..30)),
    ) {
        let prefix = if long { Prefix::U32 } else { Prefix::U16 };
        // Each side's stream has its own sizes, again and again.
        let cut = |from: usize, read: usize| {
            let sizes: &Vec<usize> = &sizes[from];
            let mut end = 0;
            sizes.iter().cycle().find_map(|size| {
                end += size;
                (end > read).then_some(end)
            })
        };
        run(prefix, cut);
    }
}
