//! What a sender may choose: fragments and whose turn it is, atoms through the cache. The failing
//! seed is printed; `TRUNKLINE_SEED` runs it alone.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../../etf/tests/util/counting.rs"]
mod counting;
#[allow(dead_code, reason = "nothing is damaged here")]
#[path = "../../etf/tests/util/mutate.rs"]
mod mutate;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::{BufMut, Bytes};
use counting::measured;
use mutate::Random;
use trunkline_etf::{Atom, Limits as TermLimits, Pid, Term, atom};
use trunkline_proto::conn::{
    ConnectionError, DEFAULT_TICK_TIME, Inbound, Limits, Origin, Outbound, Payload, Portion,
    Sending, Signal,
};
use trunkline_proto::control::{Control, PidOrName};
use trunkline_proto::{Flags, Instant};

fn outbound(sending: Sending) -> Outbound {
    let flags = Flags::hidden_default();
    Outbound::new(Instant::ZERO, flags, flags, DEFAULT_TICK_TIME).with_sending(sending)
}

fn inbound() -> Inbound {
    let flags = Flags::hidden_default();
    Inbound::new(Instant::ZERO, flags, DEFAULT_TICK_TIME, Limits::default())
}

fn pid(id: u32) -> Pid {
    Pid {
        node: atom!("a@10.0.0.1"),
        id,
        serial: 0,
        creation: 1,
    }
}

fn send(from: u32, to: u32) -> Control {
    Control::SendSender {
        from: pid(from),
        to: pid(to),
        token: None,
    }
}

fn payload(signal: &Signal) -> Term {
    let raw = signal.payload.as_ref().unwrap();
    raw.decode(&TermLimits::default()).unwrap()
}

/// Reads as a socket does: into the spare capacity, no more.
fn read(inbound: &mut Inbound, bytes: &mut &[u8], most: usize) -> usize {
    let buffer = inbound.read_buf();
    let room = (buffer.capacity() - buffer.len()).min(most).max(1);
    let (piece, rest) = bytes.split_at(room.min(bytes.len()));
    buffer.put_slice(piece);
    *bytes = rest;
    inbound.advance(Instant::ZERO);
    piece.len()
}

/// Everything that waits, as one stream.
fn drain(outbound: &mut Outbound) -> Vec<u8> {
    let mut wire = Vec::new();
    while !outbound.is_empty() {
        let bytes = outbound.segments().collect::<Vec<_>>().concat();
        outbound.sent(bytes.len());
        wire.extend(bytes);
    }
    assert_eq!(outbound.queued(), 0);
    wire
}

/// The frames of a stream: kind and length of the body.
fn frames(mut wire: &[u8]) -> Vec<(u8, usize)> {
    let mut frames = Vec::new();
    while let Some((length, rest)) = wire.split_first_chunk() {
        let length = u32::from_be_bytes(*length) as usize;
        frames.push((rest[1], length));
        wire = &rest[length..];
    }
    frames
}

fn signals(wire: &[u8]) -> Vec<Signal> {
    let mut inbound = inbound();
    inbound.read_buf().extend_from_slice(wire);
    inbound.map(Result::unwrap).collect()
}

const WHOLE: u8 = 68;
const FIRST: u8 = 69;
const NEXT: u8 = 70;

#[test]
fn payloads_up_to_256_kib_go_whole() {
    let mut outbound = outbound(Sending::default());
    let mut push = |len: usize| {
        let term = Term::binary(vec![1; len]);
        outbound
            .push(Instant::ZERO, &send(1, 2), Payload::Term(&term))
            .unwrap();
        let kinds: Vec<_> = frames(&drain(&mut outbound))
            .into_iter()
            .map(|(kind, _)| kind)
            .collect();
        kinds
    };
    let limit = 256 << 10;
    // Tag and length of the binary are part of the payload.
    assert_eq!(push(limit - 5), [WHOLE]);
    assert_eq!(push(limit - 4), [FIRST, NEXT]);
    assert_eq!(push(2 * limit), [FIRST, NEXT, NEXT]);

    let flags = Flags::hidden_default().without(Flags::FRAGMENTS);
    let mut outbound = Outbound::new(Instant::ZERO, flags, flags, DEFAULT_TICK_TIME);
    let term = Term::binary(vec![1; 2 * limit]);
    outbound
        .push(Instant::ZERO, &send(1, 2), Payload::Term(&term))
        .unwrap();
    assert_eq!(frames(&drain(&mut outbound)).len(), 1, "not negotiated");
}

#[test]
fn a_large_binary_is_cut_and_not_copied() {
    let large = Bytes::from(vec![7; 3 << 20]);
    let mut outbound = outbound(Sending::default());
    let term = Term::tuple([Term::atom("data"), Term::binary(large.clone())]);
    let ((), peak) = measured(|| {
        let queued = outbound
            .push(Instant::ZERO, &send(1, 2), Payload::Term(&term))
            .unwrap();
        assert!(queued.bytes > large.len());
        let range = large.as_ptr_range();
        let mut shared = 0;
        while !outbound.is_empty() {
            let segments: Vec<_> = outbound.segments().collect();
            shared += segments
                .iter()
                .filter(|segment| range.contains(&segment.as_ptr()))
                .map(|segment| segment.len())
                .sum::<usize>();
            let ready = segments.iter().map(|segment| segment.len()).sum();
            assert!(ready <= 2 * (256 << 10) + 4096, "{ready}");
            outbound.sent(ready);
        }
        // The last piece is small, and copied.
        assert!(shared + 4096 > large.len(), "the very same memory");
    });
    assert!(peak < 64 << 10, "{peak}");
}

/// Frames of a message of `len` bytes, and how much was ready at once at the most. A message of another sender goes between,
/// or not.
fn frames_of(outbound: &mut Outbound, len: usize, between: bool) -> (usize, usize) {
    let now = Instant::ZERO;
    let (large, small) = (Term::binary(vec![1; len]), Term::atom("between"));
    outbound
        .push(now, &send(1, 2), Payload::Term(&large))
        .unwrap();
    if between {
        let small = Payload::Term(&small);
        outbound.push(now, &send(3, 2), small).unwrap();
    }
    let (mut wire, mut most) = (Vec::new(), 0);
    let mut portion = Portion::default();
    loop {
        outbound.take(&mut portion);
        if portion.is_empty() {
            break;
        }
        most = most.max(portion.len());
        for segment in portion.segments() {
            wire.extend_from_slice(segment);
        }
        portion.sent(portion.len());
    }
    let frames = frames(&wire);
    let fragments = frames.iter().filter(|(kind, _)| *kind != WHOLE);
    (fragments.count(), most)
}

/// Pieces are small while others go between, and leave several at a time when none has for long.
#[test]
fn pieces_follow_what_passes() {
    let mut outbound = outbound(Sending::default());
    let mib = 1 << 20;
    let len = (8 << 20) - 100;
    // A head is some bytes.
    let about = |(fragments, most): (usize, usize)| (fragments, most / 4096 * 4096);
    let mut next = |between| about(frames_of(&mut outbound, len, between));
    assert_eq!(next(false), (32, mib / 4));
    // The pieces of this one are chosen already, and so is its first portion.
    let (fragments, most) = next(true);
    assert!(fragments == 32 && most <= mib / 4 + 8192, "{most}");
    // One frame is the rest of the turn of whoever had it.
    assert_eq!(next(false), (128, mib / 16));
    // An answer to what went between may be a long way behind.
    for _ in 0..29 {
        assert_eq!(next(false), (128, mib / 16));
    }
    for _ in 0..2 {
        next(false);
    }
    assert_eq!(next(false), (32, mib));
}

#[test]
fn what_a_sender_says_later_waits_and_others_go_between() {
    let mut outbound = outbound(Sending::default().with_whole(1000).with_piece(1000));
    let large = Term::binary(vec![1; 10_000]);
    let link = Control::Link {
        from: pid(1),
        to: pid(2),
    };
    let now = Instant::ZERO;
    outbound
        .push(now, &send(1, 2), Payload::Term(&large))
        .unwrap();
    outbound.push(now, &link, Payload::None).unwrap();
    outbound
        .push(now, &send(3, 2), Payload::Term(&Term::atom("between")))
        .unwrap();
    outbound
        .push(now, &send(4, 2), Payload::Term(&large))
        .unwrap();
    let wire = drain(&mut outbound);
    let seen: Vec<_> = signals(&wire).into_iter().map(|s| s.control).collect();
    assert_eq!(seen, [send(3, 2), send(1, 2), link, send(4, 2)]);
    // Both large ones take turns: the second begins long before the first ends.
    let firsts: Vec<_> = frames(&wire)
        .iter()
        .enumerate()
        .filter(|(_, (kind, _))| *kind == FIRST)
        .map(|(at, _)| at)
        .collect();
    assert!(firsts[1] < 5, "{firsts:?}");
}

/// Who ended is known by a name only: its messages may be any that wait.
#[test]
fn what_does_not_name_its_sender_comes_after_everything() {
    let mut outbound = outbound(Sending::default().with_whole(1000).with_piece(1000));
    let large = Term::binary(vec![1; 10_000]);
    let reference = trunkline_etf::Reference::new(atom!("b@h"), 1, &[1, 2, 3]).unwrap();
    let down = Control::PayloadMonitorPExit {
        from: PidOrName::Name(atom!("server")),
        to: pid(9),
        reference,
    };
    for from in [1, 2] {
        outbound
            .push(Instant::ZERO, &send(from, 9), Payload::Term(&large))
            .unwrap();
    }
    let reason = Term::atom("normal");
    outbound
        .push(Instant::ZERO, &down, Payload::Term(&reason))
        .unwrap();
    let seen: Vec<_> = signals(&drain(&mut outbound))
        .into_iter()
        .map(|s| s.control)
        .collect();
    assert_eq!(seen, [send(1, 9), send(2, 9), down]);
}

/// Others that never pause do not keep a large message from its turns, nor it them.
#[test]
fn nobody_starves() {
    let mut outbound = outbound(Sending::default().with_piece(10_000).with_whole(10_000));
    let large = Term::binary(vec![1; 200_000]);
    let small = Term::binary(vec![2; 1000]);
    outbound
        .push(Instant::ZERO, &send(1, 2), Payload::Term(&large))
        .unwrap();
    let mut between = 0;
    let mut inbound = inbound();
    for _ in 0..1000 {
        // More comes than goes: the queue never gets short.
        for _ in 0..2 {
            outbound
                .push(Instant::ZERO, &send(3, 2), Payload::Term(&small))
                .unwrap();
        }
        let bytes = outbound.segments().collect::<Vec<_>>().concat();
        let bytes = &bytes[..bytes.len().min(1500)];
        inbound.read_buf().extend_from_slice(bytes);
        outbound.sent(bytes.len());
        for signal in inbound.by_ref() {
            if signal.unwrap().control == send(1, 2) {
                // It has about half of the connection.
                assert!((100..400).contains(&between), "{between}");
                return;
            }
            between += 1;
        }
    }
    panic!("the large message never came");
}

/// A number that says from whom to whom, and the how manyth; and bytes that must not get lost.
fn message(number: u64, len: usize) -> Term {
    let fill = number.to_be_bytes()[7];
    Term::tuple([
        Term::from(number),
        Term::atom("message"),
        Term::binary(vec![fill; len]),
        Term::list(vec![Term::from(number % 1000); len / 50]),
    ])
}

/// Senders of any size of message, stalls, a stream cut anywhere: for each sender and receiver the
/// order of arrival is the order of sending; nothing is lost, nothing comes twice.
#[test]
fn between_two_processes_order_is_kept() {
    let runs = if std::env::var("TRUNKLINE_SEED").is_ok() {
        1
    } else {
        40
    };
    for _ in 0..runs {
        let mut random = Random::seeded();
        one_run(&mut random);
    }
}

type Message = (Control, Option<Term>);

fn one_run(random: &mut Random) {
    let largest_piece = if random.below(4) == 0 { 200 } else { 40_000 };
    let sending = Sending::default()
        .with_whole(1 + random.below(40_000))
        .with_piece(1 + random.below(largest_piece))
        .with_atom_cache(random.below(2) == 0);
    let mut outbound = outbound(sending);
    let mut inbound = inbound();
    let mut sent: BTreeMap<(u32, u32), VecDeque<Message>> = BTreeMap::new();
    // The network: what was written and has not been read.
    let mut network = VecDeque::new();
    let senders = 1 + random.below(5);
    // SEND, which does not name its sender, and whether somebody else does.
    let (anonymous, named) = (random.below(3) == 0, random.below(2) == 0);
    let mut left = 20 + random.below(60);
    let mut number = 0;
    // Of each number.
    let mut senders_of = vec![0];
    let mut received = 0;
    let mut expected = 0;
    while left > 0 || !outbound.is_empty() || !network.is_empty() {
        // A burst, at times; at times everybody is silent.
        for _ in 0..random.below(4).min(left) {
            left -= 1;
            let from = u32::try_from(random.below(senders)).unwrap();
            let to = 100 + u32::try_from(random.below(2)).unwrap();
            number += 1;
            let (control, term) = if random.below(5) == 0 {
                let control = Control::UnlinkId {
                    id: number,
                    from: pid(from),
                    to: pid(to),
                };
                (control, None)
            } else {
                let largest = *random.of(&[10, 1000, 60_000, 400_000]);
                let len = random.below(largest);
                let control = if anonymous && random.below(3) == 0 {
                    let (to, token) = (pid(to), None);
                    Control::Send { to, token }
                } else {
                    send(from, to)
                };
                (control, Some(message(number, len)))
            };
            let payload = term.as_ref().map_or(Payload::None, Payload::Term);
            let from_pid = pid(from);
            let origin = Origin {
                from: named.then_some(&from_pid),
                waited: random.below(2) == 0,
            };
            outbound
                .push_of(Instant::ZERO, origin, &control, payload)
                .unwrap();
            senders_of.push(from);
            expected += 1;
            sent.entry((from, to))
                .or_default()
                .push_back((control, term));
        }
        // The socket takes some of it, or nothing.
        if random.below(3) > 0 {
            let ready = outbound.segments().collect::<Vec<_>>().concat();
            assert_eq!(ready.is_empty(), outbound.is_empty());
            let taken = random.below(2 * ready.len() + 1).min(ready.len());
            network.extend(&ready[..taken]);
            outbound.sent(taken);
        }
        if random.below(3) > 0 {
            let some = random.below(network.len() + 1);
            let bytes: Vec<u8> = network.drain(..some).collect();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                read(&mut inbound, &mut rest, 1 + random.below(70_000));
                for signal in inbound.by_ref() {
                    let signal = signal.unwrap();
                    let (from, to) = ends(&signal, &senders_of);
                    let (control, term) = sent
                        .get_mut(&(from, to))
                        .and_then(VecDeque::pop_front)
                        .expect("only what was sent, and once");
                    assert_eq!(signal.control, control);
                    assert_eq!(signal.payload.is_some(), term.is_some());
                    if let Some(term) = term {
                        assert_eq!(payload(&signal), term);
                    }
                    received += 1;
                }
            }
        }
    }
    assert_eq!(received, expected, "nothing is lost");
    assert_eq!(outbound.queued(), 0);
}

/// From whom to whom; what does not say the first has a number.
fn ends(signal: &Signal, senders_of: &[u32]) -> (u32, u32) {
    match &signal.control {
        Control::SendSender { from, to, .. } | Control::UnlinkId { from, to, .. } => {
            (from.id, to.id)
        }
        Control::Send { to, .. } => {
            let message = payload(signal);
            let number = message.as_tuple().unwrap()[0].as_u64().unwrap();
            (senders_of[usize::try_from(number).unwrap()], to.id)
        }
        other => panic!("nobody sent {other:?}"),
    }
}

/// One stream with fragments of two senders and cached atoms, cut in two at each of its bytes.
#[test]
fn the_stream_may_be_cut_at_every_place() {
    let sending = Sending::default()
        .with_whole(300)
        .with_piece(200)
        .with_atom_cache(true);
    let mut outbound = outbound(sending);
    let mut expected = Vec::new();
    for number in 0..6 {
        let term = message(number, 400);
        let from = u32::try_from(number % 2).unwrap();
        outbound
            .push(Instant::ZERO, &send(from, 9), Payload::Term(&term))
            .unwrap();
        expected.push(term);
    }
    let wire = drain(&mut outbound);
    for cut in 0..wire.len() {
        let (before, after) = wire.split_at(cut);
        let mut inbound = inbound();
        let mut seen = Vec::new();
        for part in [before, after] {
            inbound.read_buf().extend_from_slice(part);
            seen.extend(inbound.by_ref().map(|signal| payload(&signal.unwrap())));
        }
        seen.sort();
        assert_eq!(seen, expected, "cut at {cut}");
    }
}

/// A fragment of which much is missing is read to where it stays.
#[test]
fn a_large_fragment_is_read_to_its_place() {
    // Four fragments, the last one large too.
    let large = Term::binary(vec![5; (4 << 20) - 100]);
    let mut sender = outbound(Sending::default().with_piece(1 << 20));
    sender
        .push(Instant::ZERO, &send(1, 2), Payload::Term(&large))
        .unwrap();
    let wire = drain(&mut sender);
    let mut inbound = inbound();
    let mut rest = &wire[..];
    let mut last = std::ptr::null();
    let mut done = None;
    while !rest.is_empty() {
        last = inbound.read_buf().as_ptr();
        read(&mut inbound, &mut rest, 300_000);
        done = done.or_else(|| inbound.next().map(Result::unwrap));
    }
    let done = done.unwrap();
    let raw = done.payload.as_ref().unwrap();
    assert!(
        raw.bytes().as_ptr_range().contains(&last),
        "the last bytes were not moved"
    );
    assert_eq!(payload(&done), large);
}

/// What is read beyond the end of a large fragment is the next frame, however much it is.
#[test]
fn more_than_was_asked_for_is_the_next_frame() {
    let mut sender = outbound(Sending::default());
    let large = Term::binary(vec![5; 600_000]);
    for from in [1, 2] {
        sender
            .push(Instant::ZERO, &send(from, 9), Payload::Term(&large))
            .unwrap();
    }
    let wire = drain(&mut sender);
    for step in [70_000, 300_000, 500_000] {
        let mut inbound = inbound();
        let mut seen = Vec::new();
        for part in wire.chunks(step) {
            inbound.read_buf().extend_from_slice(part);
            seen.extend(inbound.by_ref().map(|signal| payload(&signal.unwrap())));
        }
        assert_eq!(seen, [large.clone(), large.clone()], "{step}");
    }
}

/// Memory of a message in fragments follows what has come, not what is promised.
#[test]
fn reassembly_takes_what_has_come() {
    let large = Term::binary(vec![5; 8 << 20]);
    let mut sender = outbound(Sending::default().with_piece(8 << 20));
    sender
        .push(Instant::ZERO, &send(1, 2), Payload::Term(&large))
        .unwrap();
    // A small first fragment, then one that claims 64 MiB and brings 1 MiB.
    let mut control = Vec::new();
    send(1, 2).to_term().encode_bare(&mut control);
    let numbers = |fragment: u64| [7_u64.to_be_bytes(), fragment.to_be_bytes()].concat();
    let first = [&[131, FIRST][..], &numbers(2), &[0], &control].concat();
    let mut wire = u32::try_from(first.len()).unwrap().to_be_bytes().to_vec();
    wire.extend(first);
    wire.extend((60_u32 << 20).to_be_bytes());
    wire.extend([&[131, NEXT][..], &numbers(1), &[109]].concat());
    wire.resize(wire.len() + (1 << 20), 0);
    let (_, peak) = measured(|| {
        let mut inbound = inbound();
        let mut rest = &wire[..];
        while !rest.is_empty() {
            read(&mut inbound, &mut rest, usize::MAX);
            assert!(inbound.next().is_none());
        }
    });
    assert!(peak < 5 << 20, "{peak}");
}

#[test]
fn a_fragment_out_of_order_is_refused_before_it_has_come() {
    let mut inbound = inbound();
    let numbers = [7_u64.to_be_bytes(), 1_u64.to_be_bytes()].concat();
    let head = [&[131, NEXT][..], &numbers].concat();
    inbound
        .read_buf()
        .extend_from_slice(&(1_u32 << 20).to_be_bytes());
    inbound.read_buf().extend_from_slice(&head);
    assert_eq!(
        inbound.next().map(Result::unwrap_err),
        Some(ConnectionError::FragmentOutOfOrder {
            sequence: 7,
            fragment: 1
        })
    );
}

/// Atoms in any number and length, slots that are displaced, funs that count their bytes.
#[test]
fn atoms_go_through_the_cache_and_come_back() {
    let mut random = Random::seeded();
    let sending = Sending::default()
        .with_atom_cache(true)
        .with_whole(2000)
        .with_piece(500);
    let mut outbound = outbound(sending);
    let mut inbound = inbound();
    let names: Vec<_> = (0..6000)
        .map(|number| {
            let text = match number % 7 {
                0 => format!("{number}"),
                1 => "é".repeat(200) + &number.to_string(),
                2 => "x".repeat(number % 250),
                _ => format!("Elixir.Some.Module{number}.Name"),
            };
            Atom::new(&text).unwrap()
        })
        .collect();
    let fun = Term::decode(&FUN.to_vec().into(), &TermLimits::default()).unwrap();
    for round in 0..600 {
        let few = if round % 3 == 0 { names.len() } else { 300 };
        let count = random.below(400);
        let mut items: Vec<Term> = (0..count)
            .map(|_| Term::from(names[random.below(few)].clone()))
            .collect();
        if random.below(4) == 0 {
            items.push(fun.clone());
            items.extend(items.clone().into_iter().take(9));
        }
        let term = Term::list(items);
        let to = names[random.below(few)].clone();
        let control = Control::RegSend {
            from: pid(u32::try_from(random.below(5)).unwrap()),
            to,
            token: None,
        };
        outbound
            .push(Instant::ZERO, &control, Payload::Term(&term))
            .unwrap();
        let wire = drain(&mut outbound);
        inbound.read_buf().extend_from_slice(&wire);
        let signal = inbound.next().unwrap().unwrap();
        assert_eq!(signal.control, control);
        assert_eq!(payload(&signal), term);
        assert!(inbound.next().is_none());
    }
}

/// `fun erl_eval:…` as OTP sends it: module, free variables, a pid; see the etf vectors.
const FUN: &[u8] = &[
    131, 112, 0, 0, 0, 76, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0, 0, 0, 1, 0,
    0, 0, 1, 119, 3, b'm', b'o', b'd', 97, 1, 97, 2, 88, 119, 3, b'a', b'@', b'h', 0, 0, 0, 1, 0,
    0, 0, 0, 0, 0, 0, 1, 119, 18, b'f', b'r', b'e', b'e', b'_', b'v', b'a', b'r', b'i', b'a', b'b',
    b'l', b'e', b'_', b'a', b't', b'o', b'm',
];

/// The second time an atom is a number.
#[test]
fn an_atom_is_sent_once() {
    let mut outbound = outbound(Sending::default().with_atom_cache(true));
    let control = Control::RegSend {
        from: pid(1),
        to: atom!("some_registered_name"),
        token: None,
    };
    let term = Term::tuple([Term::atom("some_word"), Term::atom("some_word")]);
    let mut sizes = Vec::new();
    for _ in 0..3 {
        outbound
            .push(Instant::ZERO, &control, Payload::Term(&term))
            .unwrap();
        sizes.push(drain(&mut outbound).len());
    }
    // Three atoms of 39 bytes, each with a byte of length.
    assert_eq!(sizes[0] - sizes[1], 39 + 3);
    assert_eq!(sizes[1], sizes[2]);
}

#[test]
fn the_peers_cache_is_limited() {
    let flags = Flags::hidden_default();
    let limits = Limits::default().with_atoms(3);
    let mut inbound = Inbound::new(Instant::ZERO, flags, DEFAULT_TICK_TIME, limits);
    let mut outbound = outbound(Sending::default().with_atom_cache(true));
    let mut push = |text: &str| {
        let control = Control::RegSend {
            from: pid(1),
            to: Atom::new(text).unwrap(),
            token: None,
        };
        outbound
            .push(Instant::ZERO, &control, Payload::Term(&Term::nil()))
            .unwrap();
        inbound.read_buf().extend_from_slice(&drain(&mut outbound));
        inbound.next().unwrap().map(drop)
    };
    assert_eq!((push("first"), push("second")), (Ok(()), Ok(())));
    assert_eq!(push("second"), Ok(()));
    assert_eq!(
        push("third"),
        Err(ConnectionError::TooManyAtoms { limit: 3 })
    );
}

#[test]
fn tick_intensity() {
    let at = |millis| Instant::at(Duration::from_millis(millis));
    let flags = Flags::hidden_default();
    let time = Duration::from_secs(40);
    for (intensity, interval) in [(4, 10_000), (10, 4000), (1000, 40), (5000, 40), (0, 40_000)] {
        let outbound =
            Outbound::new(Instant::ZERO, flags, flags, time).with_tick_intensity(intensity);
        assert_eq!(outbound.poll_timeout(), Some(at(interval)));
        let mut inbound = Inbound::new(Instant::ZERO, flags, time, Limits::default())
            .with_tick_intensity(intensity);
        assert_eq!(inbound.poll_timeout(), Some(at(40_000 + interval)));
        inbound.handle_timeout(at(40_000 + interval));
        assert_eq!(
            inbound.next().map(Result::unwrap_err),
            Some(ConnectionError::TickTimeout)
        );
    }
}

/// What a sender has to wait for: its own large message, not that of another.
#[test]
fn a_large_message_is_before_its_own_sender_only() {
    let mut outbound = outbound(Sending::default());
    let large = Term::binary(vec![5; 4 << 20]);
    let now = Instant::ZERO;
    let first = outbound
        .push(now, &send(1, 9), Payload::Term(&large))
        .unwrap();
    assert_eq!(first.before, 0);
    assert!(outbound.before(&pid(1)) > 4 << 20);
    assert!(outbound.before(&pid(2)) <= 512 << 10, "what is ready");
    let small = Term::atom("small");
    let other = outbound
        .push(now, &send(2, 9), Payload::Term(&small))
        .unwrap();
    assert!(other.before <= 512 << 10);
    assert!(other.bytes > 4 << 20);
    drain(&mut outbound);
    assert_eq!(outbound.before(&pid(1)), 0);
}
