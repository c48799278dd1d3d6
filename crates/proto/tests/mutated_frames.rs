//! Damaged recordings: errors or messages, in memory that follows the bytes and is given back, and
//! never a proof that is none.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../../etf/tests/util/counting.rs"]
mod counting;
#[path = "../../etf/tests/util/mutate.rs"]
mod mutate;
mod support;

use counting::{kept, measured};
use mutate::Random;
use support::{Connection, Dir, Frame, scenarios};
use trunkline_etf::{Limits as TermLimits, Term};
use trunkline_proto::conn::{DEFAULT_TICK_TIME, Inbound, Limits, Outbound, Payload, Signal};
use trunkline_proto::control::Control;
use trunkline_proto::epmd::{
    Access, AliveResponse, NamesResponse, PortResponse, Registry, Request, Then,
};
use trunkline_proto::handshake::acceptor::{AfterName, AwaitName};
use trunkline_proto::handshake::initiator::{AfterStatus, Start};
use trunkline_proto::handshake::{
    Challenge, ChallengeAck, ChallengeReply, HandshakeFramer, Local, Prefix, SendName, Status,
};
use trunkline_proto::{Cookie, Creation, Flags, Instant};

/// Of one byte on the wire: an element of a list in a control message, and the read buffer.
const PER_BYTE: usize = 100;
const CONSTANT: usize = 1 << 20;

/// What one side sent after the handshake.
struct Stream {
    headers: bool,
    frames: Vec<Vec<u8>>,
}

fn frames(dir: Option<Dir>, wanted: impl Fn(&Frame) -> bool) -> Vec<Vec<u8>> {
    let connections = scenarios().into_iter().flat_map(|all| all.connections);
    connections
        .flat_map(|connection| connection.frames)
        .filter(|frame| dir.is_none_or(|dir| frame.dir == dir) && wanted(frame))
        .map(|frame| frame.wire())
        .collect()
}

fn streams() -> Vec<Stream> {
    let of = |connection: &Connection, dir| Stream {
        headers: true,
        frames: connection
            .frames
            .iter()
            .filter(|frame| frame.dir == dir && !frame.is_handshake())
            .map(Frame::wire)
            .filter(|wire| wire.len() < 4096)
            .collect(),
    };
    let mut streams: Vec<_> = scenarios()
        .iter()
        .flat_map(|scenario| &scenario.connections)
        .filter(|connection| connection.of == "dist")
        .flat_map(|connection| [of(connection, Dir::C2s), of(connection, Dir::S2c)])
        .filter(|stream| stream.frames.len() > 2)
        .collect();
    streams.push(without_headers(&streams));
    streams
}

/// The same messages as a peer sends them that has no headers.
fn without_headers(streams: &[Stream]) -> Stream {
    let flags = Flags::hidden_default();
    let mut frames = Vec::new();
    for stream in streams {
        let mut inbound = inbound(flags);
        for signal in feed(&mut inbound, &stream.frames.concat()).flatten() {
            let mut body = vec![112];
            signal.control.to_term().encode(&mut body);
            if let Some(payload) = signal.payload {
                let payload = payload.decode(&TermLimits::default()).unwrap();
                payload.encode(&mut body);
            }
            frames.push(framed(&body));
        }
    }
    Stream {
        headers: false,
        frames,
    }
}

fn framed(body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).unwrap();
    [&len.to_be_bytes(), body].concat()
}

fn inbound(flags: Flags) -> Inbound {
    let limits = Limits::default();
    Inbound::new(Instant::ZERO, flags, DEFAULT_TICK_TIME, limits)
}

fn feed(
    inbound: &mut Inbound,
    bytes: &[u8],
) -> impl Iterator<Item = Result<Signal, trunkline_proto::conn::ConnectionError>> {
    inbound.read_buf().extend_from_slice(bytes);
    inbound.advance(Instant::ZERO);
    inbound
}

#[test]
fn damaged_connections() {
    let mut random = Random::seeded();
    let streams = streams();
    let (mut signals, mut errors) = (0, 0);
    for _ in 0..20_000 {
        let stream = random.of(&streams);
        let begin = random.below(stream.frames.len());
        let begin = if stream.headers { begin.min(12) } else { begin };
        let first = if stream.headers { 0 } else { begin };
        let mut wire = stream.frames[first..begin].concat();
        let other = random.of(&streams);
        let other = random.of(&other.frames).clone();
        for frame in stream.frames[begin..].iter().take(3) {
            let mut damaged = frame.clone();
            if random.below(8) == 0 {
                random.damage(&mut damaged, &other);
            } else if damaged.len() > 4 {
                // With a length that is right: deeper.
                let mut body = damaged.split_off(4);
                random.damage(&mut body, &other);
                damaged = framed(&body);
            }
            wire.extend(damaged);
        }
        let flags = Flags::hidden_default();
        let flags = if stream.headers {
            flags
        } else {
            flags.without(Flags::DIST_HDR_ATOM_CACHE)
        };
        let step = 1 + random.below(wire.len());
        let (outcome, peak) = measured(|| run(flags, &wire, step));
        signals += outcome.0;
        errors += usize::from(outcome.1);
        assert!(
            peak <= wire.len() * PER_BYTE + CONSTANT,
            "{peak} bytes for {wire:?}"
        );
    }
    assert!(signals > 20_000 && errors > 2_000, "{signals} {errors}");
}

/// Signals, and whether an error ended them.
fn run(flags: Flags, wire: &[u8], step: usize) -> (usize, bool) {
    let mut inbound = inbound(flags);
    let mut signals = 0;
    for part in wire.chunks(step) {
        inbound.read_buf().extend_from_slice(part);
        inbound.advance(Instant::ZERO);
        for signal in inbound.by_ref() {
            let Ok(signal) = signal else {
                assert!(inbound.next().is_none() && inbound.poll_timeout().is_none());
                return (signals, true);
            };
            signals += 1;
            assert_eq!(signal.control.has_payload(), signal.payload.is_some());
            let again = Control::from_term(&signal.control.to_term());
            assert_eq!(again.as_ref(), Ok(&signal.control));
            if let Some(Ok(term)) = signal
                .payload
                .map(|payload| payload.decode(&TermLimits::default()))
            {
                assert!(!term.to_string().is_empty());
            }
        }
    }
    (signals, false)
}

#[test]
fn damaged_handshakes() {
    let mut random = Random::seeded();
    let cookie = Cookie::new("monster").unwrap();
    let (me, peer) = ("a@h.x", "b@h.x");
    let flags = Flags::hidden_default();
    let recorded = frames(None, Frame::is_handshake);
    let mut connected = 0;
    for _ in 0..40_000 {
        let other = random.of(&recorded)[2..].to_vec();
        // One message in three is damaged; one is another altogether, at times.
        let mut spoil = |frame: Vec<u8>| {
            let mut frame = frame;
            match random.below(12) {
                0..=3 => random.damage(&mut frame, &other),
                4 => frame.clone_from(&other),
                _ => {}
            }
            frame
        };
        let local = Local::new(me.parse().unwrap(), flags, Creation(1));
        let (name, state) = Start::new(local, Some(peer.parse().unwrap())).send_name();
        let theirs = spoil(name);
        let acceptor = AwaitName::new(peer.parse().unwrap(), flags, Creation(2)).name(&theirs);
        let Ok(AfterName::Caller(caller)) = acceptor else {
            continue;
        };
        let (status, challenger) = caller.accept();
        let Ok(AfterStatus::Go(state)) = state.status(&spoil(status)) else {
            continue;
        };
        let (challenge, await_reply) = challenger.challenge(0x8000_0001);
        let Ok(greeted) = state.challenge(&spoil(challenge)) else {
            continue;
        };
        let (reply, await_ack) = greeted.reply(&cookie, 0xffff_ffff);
        let proof = ChallengeReply::decode(&reply).unwrap();
        let reply = spoil(reply);
        let accepted = await_reply.reply(&reply, &cookie);
        let proved = proof.digest == cookie.digest(0x8000_0001)
            && ChallengeReply::decode(&reply).is_ok_and(|sent| sent.digest == proof.digest);
        assert_eq!(accepted.is_ok(), proved, "{reply:?}");
        let Ok((ack, _)) = accepted else { continue };
        let ack = spoil(ack);
        let right = [b"a".as_slice(), &cookie.digest(0xffff_ffff)].concat();
        let done = await_ack.ack(&ack);
        assert_eq!(done.is_ok(), ack == right, "{ack:?}");
        connected += usize::from(done.is_ok());
    }
    assert!(connected > 400, "{connected}");
}

#[test]
fn damaged_handshake_messages_decode_to_what_encodes_to_the_same() {
    let mut random = Random::seeded();
    let recorded = frames(None, Frame::is_handshake);
    for _ in 0..60_000 {
        let mut frame = random.of(&recorded)[2..].to_vec();
        let other = random.of(&recorded).clone();
        random.damage(&mut frame, &other);
        let encoded = [
            SendName::decode(&frame)
                .ok()
                .map(|message| message.encode()),
            Challenge::decode(&frame)
                .ok()
                .map(|message| message.encode()),
            Status::decode(&frame).ok().map(|message| message.encode()),
            ChallengeReply::decode(&frame)
                .ok()
                .map(|message| message.encode()),
            ChallengeAck::decode(&frame)
                .ok()
                .map(|message| message.encode()),
        ];
        for encoded in encoded.into_iter().flatten() {
            // What follows a name is ignored.
            assert!(frame.starts_with(&encoded), "{frame:?} {encoded:?}");
        }
        frames_of_any_cut(&mut random, &frame);
    }
}

fn frames_of_any_cut(random: &mut Random, bytes: &[u8]) {
    let prefix = *random.of(&[Prefix::U16, Prefix::U32]);
    let step = 1 + random.below(bytes.len());
    let ((), peak) = measured(|| {
        let mut framer = HandshakeFramer::new(prefix);
        for part in bytes.chunks(step) {
            framer.push(part);
            while let Ok(Some(frame)) = framer.next_frame() {
                assert!(frame.len() <= bytes.len());
            }
        }
        assert!(framer.into_rest().len() <= bytes.len());
    });
    assert!(peak < 4096 + 8 * bytes.len());
}

#[test]
fn damaged_questions_to_epmd() {
    let mut random = Random::seeded();
    let recorded = frames(Some(Dir::C2s), |frame| frame.of == "epmd");
    let mut registry = Registry::new(1);
    let mut held = Vec::new();
    for _ in 0..60_000 {
        let mut wire = random.of(&recorded).clone();
        if random.below(8) == 0 {
            let other = random.of(&recorded).clone();
            random.damage(&mut wire, &other);
        } else {
            let mut body = wire.split_off(2);
            let other = random.of(&recorded).clone();
            random.damage(&mut body, &other);
            wire = u16::try_from(body.len()).unwrap().to_be_bytes().to_vec();
            wire.extend(body);
        }
        let Ok(Some((request, used))) = Request::decode_prefix(&wire) else {
            continue;
        };
        assert_eq!(request.encode().unwrap(), wire[..used]);
        let access = Access {
            epmd_port: 4369,
            loopback: random.below(2) == 0,
            relaxed: random.below(2) == 0,
        };
        let answer = registry.answer(request, access);
        if let Then::Hold(registered) = answer.then {
            held.push(registered.id);
        }
        if held.len() > 50 {
            let at = random.below(held.len());
            registry.unregister(held.swap_remove(at));
        }
        // Whatever names there are: the list is one that clients can read.
        let listed = registry.names(4369);
        assert_eq!(NamesResponse::decode(&listed.encode()), Ok(listed));
    }
    assert!(held.len() > 20, "{}", held.len());
}

#[test]
fn damaged_answers_of_epmd() {
    let mut random = Random::seeded();
    let recorded = frames(Some(Dir::S2c), |frame| frame.of == "epmd");
    for _ in 0..60_000 {
        let mut wire = random.of(&recorded).clone();
        let other = random.of(&recorded).clone();
        random.damage(&mut wire, &other);
        if let Ok(Some((answer, used))) = PortResponse::decode_prefix(&wire) {
            assert_eq!(answer.encode().unwrap(), wire[..used]);
        }
        if let Ok(Some((answer, used))) = AliveResponse::decode_prefix(&wire) {
            assert_eq!(answer.encode(), wire[..used]);
        }
        let (names, peak) = measured(|| NamesResponse::decode(&wire));
        assert!(peak <= 4096 + 16 * wire.len(), "{peak}");
        if let Ok(names) = names {
            assert_eq!(NamesResponse::decode(&names.encode()), Ok(names));
        }
    }
}

#[test]
fn one_large_message_costs_its_size_once() {
    let flags = Flags::hidden_default();
    let large = Term::list(vec![Term::from(1 << 20); 1_000_000]);
    let pid = |id| trunkline_etf::Pid {
        node: trunkline_etf::atom!("a@h"),
        id,
        serial: 0,
        creation: 1,
    };
    let control = Control::SendSender {
        from: pid(1),
        to: pid(2),
        token: None,
    };
    let (outbound, after) = kept(|| {
        let mut outbound = Outbound::new(Instant::ZERO, flags, flags, DEFAULT_TICK_TIME);
        let queued = outbound.push(Instant::ZERO, &control, Payload::Term(&large));
        let queued = queued.unwrap().bytes;
        assert!(queued > 5_000_000);
        while !outbound.is_empty() {
            let ready = outbound.segments().map(<[u8]>::len).sum();
            outbound.sent(ready);
        }
        assert_eq!(outbound.queued(), 0);
        outbound
    });
    assert!(after < 1 << 20, "{after} bytes are kept by {outbound:?}");

    let mut body = vec![131, 68, 0];
    control.to_term().encode_bare(&mut body);
    large.encode_bare(&mut body);
    let wire = framed(&body);
    let (inbound, after) = kept(|| {
        let mut inbound = inbound(flags);
        let mut signals = 0;
        for part in wire.chunks(64 << 10) {
            inbound.read_buf().extend_from_slice(part);
            signals += inbound.by_ref().map(Result::unwrap).count();
        }
        assert_eq!(signals, 1);
        inbound.read_buf();
        inbound
    });
    assert!(after < 1 << 20, "{after} bytes are kept by {inbound:?}");
}
