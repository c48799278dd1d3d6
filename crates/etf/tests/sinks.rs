//! Sinks of every behaviour get the same bytes.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use bytes::{Bytes, BytesMut};
use trunkline_etf::{Atom, Limits, Pid, Record, Sink, Term, atom};

/// A buffer that has room for exactly one term stays as it is, whatever the term ends with.
#[test]
fn room_for_exactly_one_term_is_enough() {
    for last in every_leaf() {
        for before in 0..600 {
            let term = Term::tuple([bytes(before), last.clone()]);
            let mut buffer = Vec::with_capacity(term.encoded_len());
            let (place, room) = (buffer.as_ptr(), buffer.capacity());
            assert_eq!(room, term.encoded_len());
            term.encode_bare(&mut buffer);
            assert_eq!(buffer.len(), room, "{before} bytes and {last}");
            assert_eq!(
                (buffer.as_ptr(), buffer.capacity()),
                (place, room),
                "{last}"
            );
        }
    }
}

/// Every place where a piece may meet the end of what is cleared, of a block, of the buffer.
#[test]
fn every_end_of_the_room() {
    for last in every_leaf() {
        let many = Term::list((0..40).map(|_| last.clone()));
        for before in (0..80).chain(990..1_040) {
            let term = Term::list([bytes(before), last.clone(), many.clone()]);
            let expected = simple(&term);
            for room in [0, 1, 90, before + 20, term.encoded_len(), 5_000] {
                let mut buffer = Vec::with_capacity(room);
                term.encode_bare(&mut buffer);
                assert!(buffer == expected, "{before} bytes, room {room}, {last}");
            }
            let mut bytes = BytesMut::new();
            term.encode_bare(&mut bytes);
            assert!(bytes == expected, "{before} bytes, {last}");
        }
    }
}

/// Byte by byte in the simplest way: what the encoder does in a hurry.
fn simple(term: &Term) -> Vec<u8> {
    let mut sink = Kept::default();
    term.encode_bare(&mut sink);
    assert_eq!(sink.all.len(), term.encoded_len());
    let again = Term::decode(&[&[131][..], &sink.all].concat().into(), &Limits::default());
    assert_eq!(&again.unwrap(), term);
    sink.all
}

/// Without a buffer of its own.
#[derive(Default)]
struct Kept {
    all: Vec<u8>,
}

impl Sink for Kept {
    fn put(&mut self, bytes: &[u8]) {
        self.all.extend_from_slice(bytes);
    }
}

/// A sink may have its buffer at one time and none at another: nothing is lost, nothing comes twice.
#[test]
fn a_buffer_that_comes_and_goes() {
    let long = Term::from(Bytes::from(vec![7; 300]));
    let many = Term::list((0..100).map(|_| Term::from(1)));
    let term = Term::list([long.clone(), Term::atom("ok"), many, long.clone(), long]);
    let expected = [b"before", &term.to_vec()[1..]].concat();
    for pattern in 0..1_u32 << 12 {
        let mut buffer = Vec::with_capacity(4_096);
        buffer.extend_from_slice(b"before");
        let mut sink = Fickle {
            buffer,
            given: Vec::new(),
            pattern,
            asked: 0,
        };
        term.encode_bare(&mut sink);
        sink.given.extend_from_slice(&sink.buffer);
        assert!(sink.given == expected, "{pattern:b}");
    }
}

/// What it has in its buffer comes after what it was given.
struct Fickle {
    buffer: Vec<u8>,
    given: Vec<u8>,
    pattern: u32,
    asked: u32,
}

impl Sink for Fickle {
    fn put(&mut self, bytes: &[u8]) {
        self.given.append(&mut self.buffer);
        self.given.extend_from_slice(bytes);
    }

    fn buffer(&mut self) -> Option<&mut Vec<u8>> {
        self.asked += 1;
        (self.pattern >> (self.asked % 32) & 1 == 0).then_some(&mut self.buffer)
    }
}

/// A closure says how long it is, with its atoms written out; so no atom of it becomes a reference, and all that come after it may.
#[test]
fn atoms_of_a_closure_are_written_out_and_no_others() {
    for closure in [
        fun(0),
        fun(3),
        fun(200),
        Term::list([fun(40)]),
        shared_in_a_fun(),
    ] {
        let after = Term::list((0..1_000).map(|_| Term::atom("ok")));
        let term = Term::tuple([Term::atom("ok"), closure.clone(), Term::atom("ok"), after]);
        let inside = closure.to_vec()[1..].to_vec();
        let mut expected = [&[104, 4, 82, 3][..], &inside, &[82, 3]].concat();
        expected.extend([108, 0, 0, 3, 232]);
        expected.extend([82, 3].repeat(1_000));
        expected.push(106);
        for buffered in [false, true] {
            let mut sink = Table {
                all: Vec::new(),
                buffered,
                shared: Vec::new(),
            };
            term.encode_bare(&mut sink);
            assert!(sink.whole() == expected, "{buffered} {closure}");
        }
    }
}

/// Every atom has the place 3 in its table; long binaries are kept.
struct Table {
    all: Vec<u8>,
    buffered: bool,
    shared: Vec<(usize, Bytes)>,
}

impl Table {
    fn whole(mut self) -> Vec<u8> {
        while let Some((at, bytes)) = self.shared.pop() {
            self.all.splice(at..at, bytes);
        }
        self.all
    }
}

impl Sink for Table {
    fn put(&mut self, bytes: &[u8]) {
        self.all.extend_from_slice(bytes);
    }

    fn put_shared(&mut self, _: &[u8], shared: impl FnOnce() -> Bytes) {
        self.shared.push((self.all.len(), shared()));
    }

    fn buffer(&mut self) -> Option<&mut Vec<u8>> {
        self.buffered.then_some(&mut self.all)
    }

    fn place_of(&mut self, _: &Atom) -> Option<u8> {
        Some(3)
    }
}

/// A closure that holds these variables.
fn closure(variables: &[u8], count: u32) -> Term {
    let fun = [&[131, 112, 0, 0, 0, 0, 1][..], &[1; 16], &[0, 0, 0, 1]].concat();
    let pid = [88, 119, 1, b'a', 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
    let count = count.to_be_bytes();
    let mut bytes = [&fun[..], &count, &[119, 1, b'm', 97, 0, 97, 0], &pid].concat();
    bytes.extend_from_slice(variables);
    let size = u32::try_from(bytes.len() - 2).unwrap().to_be_bytes();
    bytes[2..6].copy_from_slice(&size);
    Term::decode(&bytes.into(), &Limits::default()).unwrap()
}

/// A closure with so many atoms.
fn fun(variables: usize) -> Term {
    let atoms = [119, 2, b'o', b'k'].repeat(variables);
    closure(&atoms, u32::try_from(variables).unwrap())
}

/// With a binary between atoms, which a sink may keep.
fn shared_in_a_fun() -> Term {
    let atom = [119, 2, b'o', b'k'];
    let binary = [&[109, 0, 0, 1, 44][..], &[9; 300]].concat();
    closure(&[&atom[..], &binary, &atom, &atom].concat(), 4)
}

/// One of each kind and length that are written in different ways.
fn every_leaf() -> Vec<Term> {
    let binaries = [0, 1, 21, 22, 23, 63, 64, 65, 200, 511, 512, 513, 1_024];
    let binaries = binaries.map(|length| Term::from(Bytes::from(vec![5; length])));
    let bigs = [1_i128 << 62, i128::MAX, -(1 << 90)].map(Term::from);
    let atoms = [
        "",
        "ok",
        "twenty-three characters",
        "more than twenty-three characters",
    ];
    let long = "a".repeat(255);
    let wide = "\u{1f980}".repeat(255);
    let strings = [
        1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 512, 513, 2_000,
    ];
    let pid = Pid {
        node: atom!("app@host"),
        id: 1,
        serial: 2,
        creation: 3,
    };
    let record = Record::new(atom!("m"), atom!("n"), true, [(atom!("f"), 1.into())]);
    let mut all = vec![
        Term::nil(),
        1.into(),
        1_000.into(),
        Term::float(1.5).unwrap(),
        Term::from(&pid),
        Term::bitstring(&Bytes::from_static(&[255; 40]), 315).unwrap(),
        Term::integer(false, &[1; 300]),
        record.into(),
        fun(2),
        Term::tuple(Vec::<Term>::new()),
        Term::list_with_tail([1], Term::atom("tail")),
        Term::map([(1, 2)]),
    ];
    all.extend(binaries);
    all.extend(bigs);
    all.extend(atoms.map(|text| Term::from(Atom::new(text).unwrap())));
    all.extend([&long, &wide].map(|text| Term::from(Atom::new(text).unwrap())));
    all.extend(strings.map(bytes));
    all
}

/// A list of so many bytes.
fn bytes(length: usize) -> Term {
    Term::list((0..length).map(|at| u8::try_from(at % 251).unwrap()))
}
