//! Who waits and who does not, what keeps its order when nobody says who sends, ticks in a queue that
//! is never empty, and memory that large messages leave.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../../etf/tests/util/counting.rs"]
mod counting;

use std::time::Duration;

use counting::kept;
use trunkline_etf::{Pid, Reference, Term, atom};
use trunkline_proto::conn::{
    DEFAULT_TICK_TIME, Inbound, Limits, Origin, Outbound, Payload, Sending, Signal,
};
use trunkline_proto::control::{Control, PidOrName};
use trunkline_proto::{Flags, Instant};

const NOW: Instant = Instant::ZERO;

fn outbound(sending: Sending) -> Outbound {
    let flags = Flags::hidden_default();
    let peer = flags | Flags::PUBLISHED;
    Outbound::new(NOW, flags, peer, DEFAULT_TICK_TIME).with_sending(sending)
}

fn small_pieces() -> Outbound {
    outbound(Sending::default().with_whole(1000).with_piece(1000))
}

fn inbound() -> Inbound {
    let flags = Flags::hidden_default();
    Inbound::new(NOW, flags, DEFAULT_TICK_TIME, Limits::default())
}

fn pid(id: u32) -> Pid {
    Pid {
        node: atom!("a@10.0.0.1"),
        id,
        serial: 0,
        creation: 1,
    }
}

fn link(from: u32) -> Control {
    Control::Link {
        from: pid(from),
        to: pid(9),
    }
}

fn send(from: u32) -> Control {
    Control::SendSender {
        from: pid(from),
        to: pid(9),
        token: None,
    }
}

/// A message that does not say from whom it is.
fn anonymous() -> Control {
    Control::Send {
        to: pid(9),
        token: None,
    }
}

fn drain(outbound: &mut Outbound) -> Vec<u8> {
    let mut wire = Vec::new();
    while !outbound.is_empty() {
        let bytes = outbound.segments().collect::<Vec<_>>().concat();
        outbound.sent(bytes.len());
        wire.extend(bytes);
    }
    wire
}

fn controls(wire: &[u8]) -> Vec<Control> {
    let mut inbound = inbound();
    inbound.read_buf().extend_from_slice(wire);
    inbound.map(|signal| signal.unwrap().control).collect()
}

/// Kinds of frames in the order in which they are.
fn kinds(mut wire: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    while let Some((length, rest)) = wire.split_first_chunk() {
        let length = u32::from_be_bytes(*length) as usize;
        kinds.push(rest.get(1).copied().filter(|_| length > 0).unwrap_or(0));
        wire = &rest[length..];
    }
    kinds
}

const TICK: u8 = 0;
const WHOLE: u8 = 68;

/// What others queued while they could wait is not what a peer made us hold.
#[test]
fn what_waited_for_room_is_not_forced() {
    let mut outbound = outbound(Sending::default());
    let signal = |outbound: &mut Outbound, from, reason: &Term| {
        let control = Control::PayloadExit {
            from: pid(from),
            to: pid(9),
            token: None,
        };
        let origin = Origin {
            from: None,
            waited: false,
        };
        let queued = outbound.push_of(NOW, origin, &control, Payload::Term(reason));
        queued.unwrap().forced
    };
    let large = Term::binary(vec![1; 3 << 20]);
    outbound.push(NOW, &send(1), Payload::Term(&large)).unwrap();
    assert_eq!(signal(&mut outbound, 1, &Term::nil()), 0);
    let first = signal(&mut outbound, 1, &large);
    assert!((1..200).contains(&first), "{first}");
    // One in fragments, one that is ready.
    assert!(signal(&mut outbound, 2, &Term::nil()) > large.as_bytes_len());
    let both = signal(&mut outbound, 2, &Term::nil());
    assert!(both > large.as_bytes_len() && both < large.as_bytes_len() + 400);
    drain(&mut outbound);
    assert_eq!(signal(&mut outbound, 1, &Term::nil()), 0, "all has left");
    // Taken by a writer, and not written yet.
    let mut portion = Default::default();
    outbound.take(&mut portion);
    assert!(signal(&mut outbound, 1, &Term::nil()) > 0);
    portion.sent(portion.len());
    outbound.take(&mut portion);
    portion.sent(portion.len());
    outbound.take(&mut portion);
    assert_eq!(signal(&mut outbound, 1, &Term::nil()), 0);
}

trait BytesLen {
    fn as_bytes_len(&self) -> usize;
}

impl BytesLen for Term {
    fn as_bytes_len(&self) -> usize {
        let mut bytes = Vec::new();
        self.encode_bare(&mut bytes);
        bytes.len()
    }
}

/// SEND does not name its sender: whoever pushes it does. It goes in fragments, what its sender says
/// later stays behind it, and nobody else is touched.
#[test]
fn a_sender_that_is_named_beside_the_message() {
    let mut outbound = small_pieces();
    let large = Term::binary(vec![1; 10_000]);
    let (one, waited) = (pid(1), true);
    let from = Some(&one);
    let origin = Origin { from, waited };
    outbound.push(NOW, &send(2), Payload::Term(&large)).unwrap();
    let queued = outbound
        .push_of(NOW, origin, &anonymous(), Payload::Term(&large))
        .unwrap();
    assert!(queued.before < 3000, "{}", queued.before);
    outbound.push(NOW, &link(1), Payload::None).unwrap();
    let down = Control::PayloadMonitorPExit {
        from: PidOrName::Name(atom!("server")),
        to: pid(9),
        reference: Reference::new(atom!("b@h"), 1, &[1, 2, 3]).unwrap(),
    };
    outbound
        .push_of(NOW, origin, &down, Payload::Term(&Term::nil()))
        .unwrap();
    outbound.push(NOW, &link(3), Payload::None).unwrap();
    let seen = controls(&drain(&mut outbound));
    assert_eq!(seen.first(), Some(&link(3)), "others go between");
    let mut of_one = seen.into_iter().filter(|c| *c != link(3) && *c != send(2));
    assert_eq!(of_one.next(), Some(anonymous()));
    assert_eq!(of_one.next(), Some(link(1)));
    assert_eq!(of_one.next(), Some(down));
}

/// Nobody says who sends: it goes whole, behind everything, and nothing can come between.
#[test]
fn a_sender_that_nobody_names() {
    let mut outbound = small_pieces();
    let large = Term::binary(vec![1; 10_000]);
    outbound.push(NOW, &send(1), Payload::Term(&large)).unwrap();
    outbound
        .push(NOW, &anonymous(), Payload::Term(&large))
        .unwrap();
    for from in [1, 2] {
        outbound.push(NOW, &link(from), Payload::None).unwrap();
    }
    let wire = drain(&mut outbound);
    assert_eq!(kinds(&wire)[10..], [70, WHOLE, WHOLE, WHOLE]);
    assert_eq!(controls(&wire), [send(1), anonymous(), link(1), link(2)]);
}

/// A hidden peer gets its tick at each interval however much waits: some answer ticks and say nothing
/// else. Others know by what comes that this side lives.
#[test]
fn ticks_in_a_queue_that_is_never_empty() {
    let flags = Flags::hidden_default();
    let large = Term::binary(vec![1; 10_000]);
    for (peer, ticks) in [(flags, 3), (flags | Flags::PUBLISHED, 0)] {
        let mut outbound = Outbound::new(NOW, flags, peer, DEFAULT_TICK_TIME);
        let mut wire = Vec::new();
        outbound.push(NOW, &send(1), Payload::Term(&large)).unwrap();
        for _ in 0..3 {
            let due = outbound.poll_timeout().unwrap();
            outbound.push(due, &send(1), Payload::Term(&large)).unwrap();
            outbound.handle_timeout(due);
            // Some of it is written, never all.
            let some = outbound.segments().next().unwrap()[..4].to_vec();
            outbound.sent(some.len());
            wire.extend(some);
        }
        wire.extend(drain(&mut outbound));
        let kinds = kinds(&wire);
        assert_eq!(kinds.iter().filter(|kind| **kind == TICK).count(), ticks);
        assert_eq!(kinds.len() - ticks, 4);
    }
}

fn read(inbound: &mut Inbound, mut bytes: &[u8]) -> Option<Signal> {
    let mut signal = None;
    while !bytes.is_empty() {
        let buffer = inbound.read_buf();
        let room = (buffer.capacity() - buffer.len()).min(bytes.len());
        let (piece, rest) = bytes.split_at(room);
        buffer.extend_from_slice(piece);
        bytes = rest;
        inbound.advance(NOW);
        for one in inbound.by_ref() {
            assert!(signal.replace(one.unwrap()).is_none());
        }
    }
    signal
}

fn fragments(len: usize, piece: usize) -> Vec<u8> {
    let mut sender = outbound(Sending::default().with_whole(1000).with_piece(piece));
    let term = Term::binary(vec![5; len]);
    sender.push(NOW, &send(1), Payload::Term(&term)).unwrap();
    drain(&mut sender)
}

/// The memory of a large message goes to another large one, and a small one does not keep it.
#[test]
fn a_small_message_does_not_hold_a_large_ones_memory() {
    let (large, small) = (fragments(16 << 20, 256 << 10), fragments(5000, 2500));
    let mut inbound = inbound();
    drop(read(&mut inbound, &large).unwrap());
    let mut held = Vec::new();
    let (_, more) = kept(|| {
        for _ in 0..10 {
            held.push(read(&mut inbound, &small).unwrap());
        }
    });
    assert!(more < 200_000, "{more}");
    let (_, more) = kept(|| held.push(read(&mut inbound, &large).unwrap()));
    assert!(more < 1 << 20, "it has the memory of the first: {more}");
    held.clear();
    // As much is promised as the large one had, and then it is not.
    let (_, more) = kept(|| held.push(read(&mut inbound, &promises(20, 800_000)).unwrap()));
    assert!(
        more < -8 << 20,
        "the large one's memory is not held: {more}"
    );
    assert_eq!(
        held[0].payload.as_ref().unwrap().bytes().len(),
        800_000 + 19
    );
}

/// A first fragment of so many bytes, and others of one.
fn promises(fragments: u8, first: usize) -> Vec<u8> {
    let mut wire = Vec::new();
    for fragment in (1..=fragments).rev() {
        let is_first = fragment == fragments;
        let mut frame = vec![131, if is_first { 69 } else { 70 }];
        frame.extend([0, 0, 0, 0, 0, 0, 0, 77, 0, 0, 0, 0, 0, 0, 0, fragment]);
        if is_first {
            frame.push(0);
            send(1).to_term().encode_bare(&mut frame);
        }
        frame.extend(vec![5; if is_first { first } else { 1 }]);
        wire.extend(u32::try_from(frame.len()).unwrap().to_be_bytes());
        wire.extend(frame);
    }
    wire
}

/// What a large message leaves is kept for a second or two, whatever small ones come meanwhile.
#[test]
fn memory_is_kept_for_large_messages_only() {
    let large = fragments(16 << 20, 256 << 10);
    let mut inbound = inbound();
    let small = {
        let mut sender = outbound(Sending::default());
        sender
            .push(NOW, &send(1), Payload::Term(&Term::nil()))
            .unwrap();
        drain(&mut sender)
    };
    let (_, left) = kept(|| {
        drop(read(&mut inbound, &large).unwrap());
        for tenth in 1..30 {
            let now = Instant::at(Duration::from_millis(tenth * 100));
            assert!(read(&mut inbound, &small).is_some());
            inbound.lives(now);
            if inbound.poll_timeout().unwrap() <= now {
                inbound.handle_timeout(now);
            }
        }
    });
    assert!(left < 1 << 20, "{left}");
}

/// Messages of 100 MB one after another have the memory of the first.
#[test]
fn messages_of_a_hundred_megabytes_share_memory() {
    let large = fragments(100_000_000, 256 << 10);
    let mut inbound = inbound();
    drop(read(&mut inbound, &large).unwrap());
    let (_, peak) = counting::measured(|| drop(read(&mut inbound, &large).unwrap()));
    assert!(peak < 1 << 20, "{peak}");
}

/// Whoever keeps a budget is told of all that is no message yet, whatever its frames say they have,
/// and of the memory that is kept.
#[test]
fn what_is_held_beside_messages() {
    let len = 16 << 20;
    let large = fragments(len, 4 << 20);
    let mut inbound = inbound();
    assert_eq!(inbound.held(), 0);
    let mut fed = 0;
    for part in [100, 300 << 10, 5 << 20, 9 << 20] {
        assert!(read(&mut inbound, &large[fed..part]).is_none());
        fed = part;
        let held = inbound.held();
        assert!(
            held + 200 >= part && held <= part + 5000,
            "{held} of {part}"
        );
    }
    let whole = read(&mut inbound, &large[fed..]).unwrap();
    assert_eq!(inbound.held(), 0, "the message is its receiver's");
    drop(whole);
    assert!(inbound.held() >= len, "its memory is kept for the next");
    for second in 1..4 {
        inbound.handle_timeout(Instant::at(Duration::from_secs(second)));
    }
    assert_eq!(inbound.held(), 0);
}

/// Of a message that is lost nothing is held, so nothing of it is missing in what is.
#[test]
fn what_is_held_beside_a_message_that_is_lost() {
    let (len, flags) = (1 << 20, Flags::hidden_default());
    let mut limits = Limits::default();
    limits.message = 2 * len;
    let mut inbound = Inbound::new(NOW, flags, DEFAULT_TICK_TIME, limits);
    let kept = half(1, len);
    assert!(read(&mut inbound, &kept).is_none());
    let held = inbound.held();
    assert!(held >= len, "{held}");
    // The rest of its second fragment is still to come when it is known to be lost.
    let lost = half(2, 10);
    let mut second = next_head(2, 8 << 20);
    second.extend(vec![5; 100 << 10]);
    assert!(read(&mut inbound, &[lost, second].concat()).is_none());
    let now = inbound.held();
    assert!(now >= held && now < held + (64 << 10), "{now} of {held}");
}

/// The first of two fragments of a message, with so many bytes of its payload.
fn half(sequence: u64, len: usize) -> Vec<u8> {
    let mut frame = vec![131, 69];
    frame.extend(sequence.to_be_bytes());
    frame.extend(2_u64.to_be_bytes());
    frame.push(0);
    send(1).to_term().encode_bare(&mut frame);
    frame.extend(vec![5; len]);
    let length = u32::try_from(frame.len()).unwrap();
    [&length.to_be_bytes(), frame.as_slice()].concat()
}

/// The head of the second of two fragments, which says that it has so many bytes.
fn next_head(sequence: u64, len: usize) -> Vec<u8> {
    let head = [131, 70];
    let numbers = [sequence.to_be_bytes(), 1_u64.to_be_bytes()].concat();
    let length = u32::try_from(head.len() + numbers.len() + len).unwrap();
    [&length.to_be_bytes(), &head[..], &numbers].concat()
}

/// A message that says it will be large gets the memory of one before it, and does not keep that when it
/// is not.
#[test]
fn memory_that_was_lent_comes_back() {
    let large = fragments(16 << 20, 256 << 10);
    let mut inbound = inbound();
    drop(read(&mut inbound, &large).unwrap());
    let promise = promises(40, 600_000);
    let (_, left) = kept(|| {
        // All but the last few.
        assert!(read(&mut inbound, &promise[..promise.len() - 50]).is_none());
        for second in 1..10 {
            let now = Instant::at(Duration::from_secs(second));
            inbound.lives(now);
            if inbound.poll_timeout().unwrap() <= now {
                inbound.handle_timeout(now);
            }
        }
    });
    assert!(left < -14 << 20, "{left}");
}
