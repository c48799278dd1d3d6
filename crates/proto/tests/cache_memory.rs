//! Memory of the atom cache, and of binaries in the read buffer.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../../etf/tests/util/counting.rs"]
mod counting;

use bytes::BufMut as _;
use counting::kept;
use trunkline_etf::{Atom, Pid, Term, atom};
use trunkline_proto::conn::{
    DEFAULT_TICK_TIME, Inbound, Limits, Outbound, Payload, Sending, Signal,
};
use trunkline_proto::control::Control;
use trunkline_proto::{Flags, Instant};

const NOW: Instant = Instant::ZERO;

fn outbound(sending: Sending) -> Outbound {
    let flags = Flags::hidden_default();
    Outbound::new(NOW, flags, flags, DEFAULT_TICK_TIME).with_sending(sending)
}

fn inbound() -> Inbound {
    let flags = Flags::hidden_default();
    Inbound::new(NOW, flags, DEFAULT_TICK_TIME, Limits::default())
}

fn pid(id: u32) -> Pid {
    Pid {
        node: atom!("a@h"),
        id,
        serial: 0,
        creation: 1,
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

/// Reads as a socket does: into the spare capacity.
fn read(inbound: &mut Inbound, mut bytes: &[u8]) -> Option<Signal> {
    let mut signal = None;
    while !bytes.is_empty() {
        let buffer = inbound.read_buf();
        let room = (buffer.capacity() - buffer.len()).min(bytes.len());
        let (piece, rest) = bytes.split_at(room);
        buffer.put_slice(piece);
        bytes = rest;
        inbound.advance(NOW);
        for one in inbound.by_ref() {
            assert!(signal.replace(one.unwrap()).is_none());
        }
    }
    signal
}

/// A frame that puts a short atom into this slot, and is a message to the name that it is.
fn entry(segment: u8, index: u8) -> Vec<u8> {
    let mut body = vec![131, 68, 1, 8 | segment, index, 1, b'a'];
    let control = Term::tuple([
        Term::from(6),
        Term::from(pid(1)),
        Term::atom(""),
        Term::atom("x"),
    ]);
    control.encode_bare(&mut body);
    Term::nil().encode_bare(&mut body);
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&length[..], &body].concat()
}

/// A segment of 256 slots has memory from its first atom on, and no sooner.
#[test]
fn a_peers_cache_grows_by_segments() {
    let (mut inbound, fresh) = kept(inbound);
    assert!(fresh < 2000, "{fresh}");
    let mut put = |segment, index| {
        kept(|| {
            assert!(read(&mut inbound, &entry(segment, index)).is_some());
            // The read buffer is not what is measured.
            inbound.handle_timeout(Instant::at(std::time::Duration::from_secs(2)));
        })
        .1
    };
    let segment = 256 * isize::try_from(size_of::<Option<Atom>>()).unwrap();
    let some = 200;
    for one in [3, 7, 0] {
        let first = put(one, 255);
        assert!((segment..segment + some).contains(&first), "{first}");
        for index in 0..10 {
            let more = put(one, index);
            assert!((-some..some).contains(&more), "{more}");
        }
    }
}

/// The same of what we send: no more than a segment for the first atoms, nothing where no atom is cached.
#[test]
fn our_cache_grows_by_segments() {
    let push = |outbound: &mut Outbound, name: &str| {
        let control = Control::RegSend {
            from: pid(1),
            to: Atom::new(name).unwrap(),
            token: None,
        };
        outbound
            .push(NOW, &control, Payload::Term(&Term::nil()))
            .unwrap();
        drop(drain(outbound));
    };
    let held = |cached, count: u32| {
        let names: Vec<_> = (0..count).map(|n| format!("name_{n}")).collect();
        let (_outbound, held) = kept(|| {
            let mut outbound = outbound(Sending::default().with_atom_cache(cached));
            names.iter().for_each(|name| push(&mut outbound, name));
            outbound
        });
        held
    };
    let plain = held(false, 1);
    let first = held(true, 1) - plain;
    println!(
        "without {plain}, first atom {first}, of 2000 {}",
        held(true, 2000) - plain
    );
    assert!(first < 16 << 10, "{first}");
    let many = held(true, 2000) - plain;
    assert!(many > 3 * first, "{many} {first}");
}

/// What is as long as 64 KiB, in the middle of small ones, is not copied once it has been read.
#[test]
fn a_binary_of_64_kib_is_a_slice_of_the_read_buffer() {
    let mut sender = outbound(Sending::default());
    let control = Control::SendSender {
        from: pid(1),
        to: pid(9),
        token: None,
    };
    let large = Term::binary(vec![7; 64 << 10]);
    for _ in 0..20 {
        sender.push(NOW, &control, Payload::Term(&large)).unwrap();
    }
    let wire = drain(&mut sender);
    let mut inbound = inbound();
    let (mut rest, mut seen, mut in_place) = (&wire[..], 0, 0);
    while !rest.is_empty() {
        let buffer = inbound.read_buf();
        let room = (buffer.capacity() - buffer.len()).min(rest.len());
        let (piece, later) = rest.split_at(room);
        buffer.put_slice(piece);
        rest = later;
        let memory = buffer.as_ptr_range();
        inbound.advance(NOW);
        for signal in inbound.by_ref() {
            let payload = signal.unwrap().payload.unwrap();
            seen += 1;
            in_place += usize::from(memory.contains(&payload.bytes().as_ptr()));
            let term = payload.decode(&Default::default()).unwrap();
            assert_eq!(term, large);
        }
    }
    assert_eq!((seen, in_place), (20, 20));
}
