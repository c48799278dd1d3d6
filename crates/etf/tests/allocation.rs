//! Memory follows the bytes that are there, whatever they claim.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

#[path = "util/counting.rs"]
mod counting;
mod util;

use bytes::Bytes;
use counting::{kept, measured};
use trunkline_etf::{DecodeError, Decoder, Limits, RawTerm, Term, atom};
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
    let many = |term: Term| Term::list(std::iter::repeat_n(term, 1_000));
    let empty = Term::tuple::<Term>([]);
    for term in [
        many(Term::string("a")),
        many(Term::string("a string of some length")),
        many(Term::tuple([1])),
        many(Term::map([(1, empty.clone())])),
        many(Term::list_with_tail([1], 2.into())),
        many(Term::list([empty.clone(), empty])),
        many(Term::map((0..40).map(|key| (key, key)))),
    ] {
        let raw = RawTerm::from(&term);
        let (decoded, kept) = kept(|| raw.decode(&limits).unwrap());
        assert_eq!(decoded, term);
        let less = limits.with_size(usize::try_from(kept).unwrap() - 1);
        let refused = DecodeError::TooLarge(less.size);
        assert_eq!(
            raw.decode(&less),
            Err(refused),
            "{kept} bytes: {:.60}",
            term.to_string()
        );
        assert_eq!(raw.walk(&less).err(), Some(refused), "{kept} bytes");
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
