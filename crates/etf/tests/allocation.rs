//! Memory follows the bytes that are there, whatever they claim.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

#[path = "util/counting.rs"]
mod counting;
mod util;

use std::{convert::Infallible, ops::ControlFlow, sync::Arc};

use bytes::Bytes;
use counting::{kept, measured};
use trunkline_etf::{
    Atom, DecodeError, Decoder, Export, Limits, Pid, Port, RawTerm, Record, Reference, Term, Token,
    Visit, atom,
};
use util::{malformed, release};

/// What an element of a list of small integers becomes, first as a value and then in its list, with room to grow.
const PER_BYTE: usize = 96;
/// The state of the inflater and odds and ends.
const CONSTANT: usize = 64 << 10;

#[test]
fn malformed_terms_take_little() {
    for vector in malformed()
        .iter()
        .filter(|vector| vector.accepted.is_empty())
    {
        within_bounds(&vector.name, &vector.bytes());
    }
}

#[test]
fn claims_without_bytes_take_little() {
    let padded =
        |head: &[u8], length: usize| -> Bytes { [head, &vec![0x61; length]].concat().into() };
    for length in [0, 10, 10_000] {
        within_bounds("tuple", &padded(&[131, 105, 255, 255, 255, 255], length));
        within_bounds("list", &padded(&[131, 108, 255, 255, 255, 255], length));
        within_bounds("map", &padded(&[131, 116, 127, 255, 255, 255], length));
        within_bounds(
            "record",
            &padded(&[131, 67, 255, 255, 255, 255, 0, 119, 0, 119, 0], length),
        );
        within_bounds("binary", &padded(&[131, 109, 255, 255, 255, 255], length));
        within_bounds("big", &padded(&[131, 111, 255, 255, 255, 255, 0], length));
        within_bounds(
            "compressed",
            &padded(&[131, 80, 3, 255, 255, 255, 0x78, 0x9c], length),
        );
    }
    // Each level claims all that is left.
    let level = |left: u32| [vec![105], (left / 2).to_be_bytes().to_vec()].concat();
    let nested: Vec<u8> = (0..5_000)
        .flat_map(|depth| level((5_000 - depth) * 5))
        .collect();
    within_bounds("nested claims", &[vec![131], nested].concat().into());
}

#[test]
fn sound_terms_take_what_they_hold() {
    for vector in release("29")
        .iter()
        .filter(|vector| !vector.name.starts_with("compressed/"))
    {
        within_bounds(&vector.name, &vector.bytes());
    }
}

#[test]
fn binaries_are_not_copied() {
    let body = vec![7; 1 << 20];
    let encoded: Bytes = Term::tuple([Term::binary(body.clone()), Term::binary(body)])
        .to_vec()
        .into();
    let limits = Limits::default();
    let (term, peak) = measured(|| Term::decode(&encoded, &limits).unwrap());
    assert!(peak < 4096, "{peak}");
    let first = term.as_tuple().unwrap()[0].as_binary().unwrap();
    assert!(encoded.as_ptr_range().contains(&first.as_ptr()));
    let bytes = term.as_tuple().unwrap()[1].to_bytes().unwrap();
    assert!(encoded.as_ptr_range().contains(&bytes.as_ptr()));
}

#[test]
fn a_term_without_binaries_holds_nothing_of_what_it_came_from() {
    const BINARY_EXT: u8 = 109;
    const BIT_BINARY_EXT: u8 = 77;
    let vectors = ["25", "27", "29"].into_iter().flat_map(release);
    let mut seen = 0;
    for vector in vectors {
        let bytes = vector.bytes();
        if bytes.contains(&BINARY_EXT) || bytes.contains(&BIT_BINARY_EXT) {
            continue;
        }
        let term = Term::decode(&bytes, &Limits::default()).unwrap();
        assert!(bytes.is_unique(), "{}: {term}", vector.name);
        seen += 1;
    }
    assert!(seen > 100, "{seen}");
}

#[test]
fn the_size_limit_counts_all_that_is_held() {
    let limits = Limits::default();
    for (kind, element) in every_kind() {
        for count in [1, 1_000] {
            let length = u32::try_from(count).unwrap().to_be_bytes();
            let list = [&[108], &length[..], &element.repeat(count), &[106]].concat();
            let raw = RawTerm::new(list.into());
            let (decoded, kept) = kept(|| {
                let decoded = raw.decode(&limits).unwrap();
                // What is made of it on demand counts, too.
                let elements = decoded.as_list().unwrap();
                assert!(
                    elements
                        .iter()
                        .all(|element| element.as_list() != Some(&[]))
                );
                decoded
            });
            let less = limits.with_size(usize::try_from(kept).unwrap() - 1);
            let refused = DecodeError::TooLarge(less.size);
            let told = format!("{count} of {kind} hold {kept} bytes");
            assert_eq!(raw.decode(&less), Err(refused), "{told}");
            assert_eq!(raw.walk(&less).err(), Some(refused), "{told}");
            let lent = Term::decode_lent(raw.bytes(), &[], &less);
            assert_eq!(lent, Err(refused), "{told}, lent");
            // And not much more than that: twice, with what the smallest have for an allocator's own needs.
            let more = limits.with_size(usize::try_from(kept).unwrap() * 2 + count * 64 + 128);
            assert_eq!(raw.decode(&more), Ok(decoded), "{told}");
        }
    }
}

/// However a list goes on: what is made of it on the way costs at most as much again.
#[test]
fn what_is_being_made_takes_twice_what_it_counts_at_most() {
    const MANY: usize = 1 << 16;
    let begun = |count: usize| [&[108][..], &u32::try_from(count).unwrap().to_be_bytes()].concat();
    let nils = |count: usize| [begun(count), vec![106; count]].concat();
    let string = [&[107, 255, 255][..], &[7; 65_535]].concat();
    let short = [begun(1), vec![106]].concat().repeat(MANY / 16);
    // So deep that the containers wait on the heap from the beginning.
    let deep = |list: &[u8]| [&[104, 1].repeat(9), list].concat();
    let improper = [nils(MANY), vec![97, 1]].concat();
    let shapes = [
        ("improper", improper.clone()),
        ("improper and deep", deep(&improper)),
        ("goes on", [nils(MANY), nils(1), vec![106]].concat()),
        (
            "goes on as long",
            [nils(MANY), nils(MANY), vec![106]].concat(),
        ),
        (
            "goes on thrice",
            [nils(MANY), nils(MANY), nils(MANY / 2), vec![97, 1]].concat(),
        ),
        ("ends with a string", [nils(MANY), string].concat()),
        (
            "goes on in short stretches",
            [nils(MANY), short, vec![97, 1]].concat(),
        ),
        ("tuple", [&[105][..], &nils(MANY)[1..]].concat()),
        ("deep tuple", deep(&[&[105][..], &nils(MANY)[1..]].concat())),
        (
            "list of lists",
            [
                begun(MANY / 8),
                [nils(1), vec![97, 1]].concat().repeat(MANY / 8),
                vec![106],
            ]
            .concat(),
        ),
    ];
    let limits = Limits::default();
    for (name, bytes) in shapes {
        let raw = RawTerm::new(bytes.into());
        let counted = counted(&raw);
        let (term, peak) = measured(|| raw.decode(&limits).unwrap());
        assert!(
            peak <= counted * 2 + 4096,
            "{name}: {peak} bytes, counted {counted}"
        );
        assert_eq!(raw.decode(&limits.with_size(counted)), Ok(term), "{name}");
    }
}

/// The least limit that it is within.
fn counted(raw: &RawTerm) -> usize {
    let limits = Limits::default();
    let (mut less, mut enough) = (0, limits.size);
    while less < enough {
        let size = less.midpoint(enough);
        match raw.walk(&limits.with_size(size)) {
            Ok(_) => enough = size,
            Err(fault) => {
                assert!(fault.is_limit(), "{fault}");
                less = size + 1;
            }
        }
    }
    enough
}

/// Each kind that takes memory of its own, in the forms that take the most of it.
fn every_kind() -> Vec<(&'static str, Vec<u8>)> {
    let bare = |term: Term| {
        let mut bytes = Vec::new();
        term.encode_bare(&mut bytes);
        bytes
    };
    let node = Atom::new(&"n".repeat(200)).unwrap();
    let empty = || Term::tuple::<Term>([]);
    let pid = Pid {
        node: node.clone(),
        id: 1,
        serial: 2,
        creation: 3,
    };
    let port = Port {
        node: node.clone(),
        id: 1,
        creation: 3,
    };
    let export = Export {
        module: node.clone(),
        function: node.clone(),
        arity: 1,
    };
    let record = |fields| {
        let fields = (0..fields).map(|_| (node.clone(), Term::nil()));
        bare(Record::new(node.clone(), node.clone(), true, fields).into())
    };
    let reference = Reference::new(node.clone(), 1, &[1, 2, 3, 4, 5]).unwrap();
    let bytes_one_by_one = [&[108, 0, 0, 1, 0], &[97, 7].repeat(256)[..], &[106]].concat();
    let goes_on = [&[108, 0, 0, 0, 1, 97, 1], &bytes_one_by_one[..]].concat();
    let ends_with_string = [108, 0, 0, 0, 1, 97, 1, 107, 0, 2, 1, 2].to_vec();
    let dirty_bits = [&[77, 0, 0, 1, 0, 3], &[255; 256][..]].concat();
    vec![
        ("string of one", bare(Term::string("a"))),
        ("string", bare(Term::string(&"text ".repeat(50)))),
        ("list of bytes", bytes_one_by_one),
        ("list that goes on", goes_on),
        ("list that ends with a string", ends_with_string),
        ("list", bare(Term::list([empty(), empty()]))),
        ("improper list", bare(Term::list_with_tail([1], 2.into()))),
        ("empty tuple", bare(empty())),
        ("tuple", bare(Term::tuple([1]))),
        ("large tuple", bare(Term::tuple(0..300))),
        ("empty map", bare(Term::map::<Term, Term>([]))),
        ("map", bare(Term::map([(1, empty())]))),
        (
            "map of tuples",
            bare(Term::map((0..9).rev().map(|key| (Term::tuple([key]), 1)))),
        ),
        (
            "large map in no order",
            bare(Term::map((0..400).rev().map(|key| (key, key)))),
        ),
        ("atom", bare(Term::atom("an atom that is longer than 23"))),
        ("long atom", bare(Term::from(&node))),
        ("integer", bare(Term::integer(true, &[1; 22]))),
        ("long integer", bare(Term::integer(true, &[1; 3_000]))),
        (
            "bits",
            bare(Term::bitstring(&vec![254; 100].into(), 799).unwrap()),
        ),
        ("bits that do not count", dirty_bits),
        ("pid", bare(pid.into())),
        ("port", bare(port.into())),
        ("reference", bare(reference.into())),
        ("export", bare(export.into())),
        ("empty record", record(0)),
        ("record", record(3)),
        ("fun", fun(0)),
        ("fun with variables", fun(2)),
    ]
}

/// With so many variables, each `[]`.
fn fun(variables: u8) -> Vec<u8> {
    let pid = [88, 119, 1, b'a', 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
    let module = [119, 1, b'm', 97, 0, 97, 0];
    let head = [
        &[1; 17][..],
        &[0, 0, 0, 1, 0, 0, 0, variables],
        &module,
        &pid,
    ]
    .concat();
    let rest = [head, vec![106; variables.into()]].concat();
    let size = u32::try_from(rest.len() + 4).unwrap().to_be_bytes();
    [&[112], &size[..], &rest].concat()
}

#[test]
fn a_term_of_a_runtimes_own_counts() {
    let bytes: Bytes = [&[131, 121][..], &[7; 1_000]].concat().into();
    let limits = Limits::default();
    let (term, kept) = kept(|| Term::decode(&bytes, &limits).unwrap());
    assert_eq!(term.to_vec(), bytes);
    let less = limits.with_size(usize::try_from(kept).unwrap() - 1);
    assert_eq!(
        Term::decode(&bytes, &less),
        Err(DecodeError::TooLarge(less.size))
    );
}

#[test]
fn a_visit_takes_no_memory() {
    let pid = Pid {
        node: atom!("app@host"),
        id: 7,
        serial: 0,
        creation: 1,
    };
    let mut message = Term::tuple([
        Term::atom("$gen_call"),
        pid.into(),
        Term::map([(atom!("a.name.of.more.than.twenty.three"), 1)]),
        Term::string("text"),
        Term::integer(true, &[7; 100]),
    ]);
    for _ in 1..15 {
        message = Term::list([message]);
    }
    let raw = RawTerm::from(&message);
    let limits = Limits::default();
    let mut seen = Seen(0);
    let (flow, peak) = measured(|| raw.visit(&limits, &mut seen));
    assert!(flow.is_ok() && seen.0 > 20);
    assert_eq!(peak, 0);
    assert_eq!(measured(|| raw.walk(&limits).is_ok()), (true, 0));
    // Beyond that, a word for each level.
    let bytes = [[104, 1].repeat(1_000), vec![106]].concat();
    let deep = RawTerm::new(bytes.into());
    let (flow, peak) = measured(|| deep.visit(&limits, &mut seen));
    assert!(flow.is_ok() && peak < 3 * 8 * 1_000, "{peak}");
}

struct Seen(usize);

impl<'a> Visit<'a> for Seen {
    type Stop = Infallible;

    fn token(&mut self, _: Token<'a>) -> ControlFlow<Infallible> {
        self.0 += 1;
        ControlFlow::Continue(())
    }
}

#[test]
fn cached_atoms_are_shared() {
    let long = atom!("an.atom.that.is.longer.than.what.fits.inline");
    let frame: Bytes = [vec![104, 200], [82, 0].repeat(200)].concat().into();
    let limits = Limits::default();
    let atoms = [long];
    let (term, peak) = measured(|| Decoder::new(frame, &limits).atoms(&atoms).term().unwrap());
    assert_eq!(term.as_tuple().unwrap().len(), 200);
    assert!(peak < 200 * 24 * 2 + 1024, "{peak}");
}

#[test]
fn the_bytes_of_a_list_are_there_without_its_elements() {
    let text = "text".repeat(1_000);
    let term = Term::string(&text);
    let (bytes, taken) = measured(|| term.as_byte_list());
    assert_eq!((bytes, taken), (Some(text.as_bytes()), 0));
    // The same list, however it came to be.
    let one_by_one = Term::list(text.bytes());
    assert_eq!(one_by_one.as_byte_list(), Some(text.as_bytes()));
    assert_eq!(Term::nil().as_byte_list(), Some(&[][..]));
    for other in [
        Term::list([-1]),
        Term::tuple([1]),
        Term::binary("a"),
        Term::list(vec![1; 65_536]),
    ] {
        assert_eq!(other.as_byte_list(), None, "{other}");
    }
}

#[test]
fn cached_atoms_count_nothing() {
    let atoms: Arc<[Atom]> = [Atom::new(&"ü".repeat(255)).unwrap()].into();
    let known = [82, 0];
    let pid = [&[88][..], &known, &[0; 12]].concat();
    let port = [&[120][..], &known, &[0; 12]].concat();
    let reference = [&[90, 0, 1][..], &known, &[0; 8]].concat();
    let export = [&[113][..], &known, &known, &[97, 1]].concat();
    for bytes in [known.to_vec(), pid, port, reference, export] {
        let length = bytes.len();
        let frame = [&[104, 200][..], &bytes.repeat(200)].concat();
        let raw = RawTerm::with_atoms(frame.into(), atoms.clone());
        let counted = counted(&raw);
        assert!(counted <= 45 * (2 + 200 * length), "{bytes:?}: {counted}");
        assert!(
            raw.decode(&Limits::default().with_size(counted)).is_ok(),
            "{bytes:?}"
        );
    }
}

fn within_bounds(name: &str, bytes: &Bytes) {
    let limits = Limits::default();
    let (result, peak) = measured(|| Term::decode(bytes, &limits));
    let allowed = bytes.len() * PER_BYTE + CONSTANT;
    assert!(
        peak <= allowed,
        "{name}: {peak} bytes for {}: {result:?}",
        bytes.len()
    );
}
