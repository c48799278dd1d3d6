//! Small messages that go between the fragments of a large one, as the receiving half reads them: they keep nobody waiting,
//! and cost few reads.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use bytes::BufMut as _;
use trunkline_etf::{Limits as TermLimits, Pid, Term, atom};
use trunkline_proto::conn::{DEFAULT_TICK_TIME, Inbound, Limits, Outbound, Payload};
use trunkline_proto::control::Control;
use trunkline_proto::{Flags, Instant};

const NOW: Instant = Instant::ZERO;

/// A fragment while small messages are about.
const PIECE: usize = 64 << 10;

fn send(from: u32) -> Control {
    let pid = |id| Pid {
        node: atom!("a@10.0.0.1"),
        id,
        serial: 0,
        creation: 1,
    };
    Control::SendSender {
        from: pid(from),
        to: pid(9),
        token: None,
    }
}

/// A stream in which after each portion of a large message `small` others come.
fn stream(large: &Term, small: u64) -> Vec<u8> {
    let flags = Flags::hidden_default();
    let mut outbound = Outbound::new(NOW, flags, flags, DEFAULT_TICK_TIME);
    let push = |outbound: &mut Outbound, from, term: &Term| {
        outbound
            .push(NOW, &send(from), Payload::Term(term))
            .unwrap();
    };
    // Small ones are about: fragments are small.
    for number in 0..20_u64 {
        push(&mut outbound, 2, &Term::from(number));
    }
    push(&mut outbound, 1, large);
    let mut wire = Vec::new();
    let mut number = 20;
    while !outbound.is_empty() {
        let bytes = outbound.segments().collect::<Vec<_>>().concat();
        outbound.sent(bytes.len());
        wire.extend(bytes);
        if !outbound.is_empty() {
            for _ in 0..small {
                push(&mut outbound, 2, &Term::from(number));
                number += 1;
            }
        }
    }
    wire
}

/// What was seen of a stream that was read as a socket is: into the spare capacity.
#[derive(Default)]
struct Seen {
    reads: usize,
    small: u64,
    large: Vec<Term>,
    /// The most that was read at once with a small message in it that came within a large one.
    most: usize,
}

fn read(inbound: &mut Inbound, mut rest: &[u8]) -> Seen {
    let mut seen = Seen::default();
    while !rest.is_empty() {
        let was_within = inbound.is_within_large();
        let buffer = inbound.read_buf();
        let room = (buffer.capacity() - buffer.len()).min(rest.len());
        assert!(room > 0, "there is room");
        let (piece, later) = rest.split_at(room);
        buffer.put_slice(piece);
        rest = later;
        inbound.advance(NOW);
        seen.reads += 1;
        let before = seen.small;
        for signal in inbound.by_ref() {
            let raw = signal.unwrap().payload.unwrap();
            let term = raw.decode(&TermLimits::default()).unwrap();
            if term.as_binary().is_some() {
                seen.large.push(term);
            } else {
                assert_eq!(term.as_u64(), Some(seen.small), "in order");
                seen.small += 1;
            }
        }
        if was_within && seen.small > before {
            seen.most = seen.most.max(room);
        }
    }
    seen
}

fn inbound() -> Inbound {
    let flags = Flags::hidden_default();
    let mut inbound = Inbound::new(NOW, flags, DEFAULT_TICK_TIME, Limits::default());
    // As after much else: large reads have paid.
    let flags = Flags::hidden_default();
    let mut outbound = Outbound::new(NOW, flags, flags, DEFAULT_TICK_TIME);
    let whole = Term::binary(vec![7; 3 * PIECE]);
    let mut wire = Vec::new();
    for _ in 0..20 {
        outbound.push(NOW, &send(3), Payload::Term(&whole)).unwrap();
        let bytes = outbound.segments().collect::<Vec<_>>().concat();
        outbound.sent(bytes.len());
        wire.extend(bytes);
    }
    assert_eq!(read(&mut inbound, &wire).large.len(), 20);
    inbound
}

/// Behind a small message the next fragment has come too, as a rule. It is not read together with it.
#[test]
fn a_small_message_is_read_without_the_fragment_behind_it() {
    let large = Term::binary(vec![7; 100 * PIECE]);
    let wire = stream(&large, 1);
    let seen = read(&mut inbound(), &wire);
    assert_eq!(seen.large, [large]);
    assert!(seen.small > 100, "{}", seen.small);
    // The end of a fragment may come with it, of which little was missing.
    assert!(seen.most < PIECE / 2, "{}", seen.most);
    // One for the small message, one for the fragment.
    assert!(seen.reads < 220, "{}", seen.reads);
}

/// Many small ones between two fragments do not cost a read each.
#[test]
fn many_small_messages_are_few_reads() {
    let large = Term::binary(vec![7; 10 * PIECE]);
    let wire = stream(&large, 2000);
    let seen = read(&mut inbound(), &wire);
    assert_eq!(seen.large, [large]);
    assert!(seen.small > 10_000, "{}", seen.small);
    assert!(seen.most <= 32 << 10, "{}", seen.most);
    let each = seen.reads as u64 * 1000 / seen.small;
    assert!(each < 15, "{each} reads for 1,000");
}
