//! Damaged terms: an error or a sound term, in memory that follows the bytes.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

#[path = "util/counting.rs"]
mod counting;
#[path = "util/mutate.rs"]
mod mutate;
mod util;

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use counting::measured;
use mutate::Random;
use trunkline_etf::{Decoder, Limits, Term, atom};
use util::{malformed, release};

const CASES: usize = 200_000;
/// As in `allocation.rs`: an element of 24 bytes, as a value, in its list, with room to grow.
const PER_BYTE: usize = 96;
const CONSTANT: usize = 64 << 10;
const INFLATED: usize = 64 << 10;

#[test]
fn damaged_terms_are_errors_or_sound() {
    let mut random = Random::seeded();
    let limits = Limits::default().with_inflated(INFLATED);
    let vectors: Vec<Bytes> = ["25", "27", "29"]
        .into_iter()
        .flat_map(release)
        .chain(malformed())
        .map(|vector| vector.bytes())
        .filter(|bytes| bytes.len() < 1_000)
        .collect();
    let mut sound = 0;
    for _ in 0..CASES {
        let mut bytes = random.of(&vectors).to_vec();
        let other = random.of(&vectors).clone();
        random.damage(&mut bytes, &other);
        let bytes = Bytes::from(bytes);
        let (result, peak) = measured(|| Term::decode_prefix(&bytes, &limits));
        let inflated = if bytes.get(1) == Some(&80) {
            INFLATED
        } else {
            0
        };
        let allowed = (bytes.len() + inflated) * PER_BYTE + CONSTANT;
        assert!(peak <= allowed, "{peak} bytes for {bytes:?}: {result:?}");
        if let Ok((term, used)) = result {
            assert!(used <= bytes.len());
            is_sound(&term, &bytes);
            sound += 1;
        }
    }
    assert!(
        sound > CASES / 50,
        "only {sound} got through: too much damage"
    );
}

#[test]
fn damaged_terms_of_frames_are_errors_or_sound() {
    let mut random = Random::seeded();
    let atoms = [
        atom!("a"),
        atom!("node@host"),
        atom!("an.atom.longer.than.inline"),
    ];
    let limits = Limits::default();
    let vectors: Vec<Bytes> = release("29").iter().map(util::Vector::bytes).collect();
    let vectors: Vec<Bytes> = vectors
        .into_iter()
        .filter(|bytes| bytes.len() < 300)
        .collect();
    for _ in 0..CASES / 4 {
        let mut bytes = random.of(&vectors).slice(1..).to_vec();
        // References to atoms that are there, and to ones that are not.
        let at = random.below(bytes.len());
        let place = u8::try_from(random.below(5)).unwrap();
        bytes.splice(at..at, [82, place]);
        let other = random.of(&vectors).clone();
        random.damage(&mut bytes, &other);
        let bytes = Bytes::from(bytes);
        let mut decoder = Decoder::new(bytes.clone(), &limits).atoms(&atoms);
        while let Ok(term) = decoder.term() {
            is_sound(&term, &bytes);
            assert_eq!(decoder.used() + decoder.remaining().len(), bytes.len());
        }
    }
}

/// Encodes to what decodes to the same; prints, compares and hashes.
fn is_sound(term: &Term, bytes: &Bytes) {
    let encoded = Bytes::from(term.to_vec());
    assert_eq!(encoded.len(), 1 + term.encoded_len(), "{bytes:?}");
    let again = Term::decode(&encoded, &Limits::default());
    assert_eq!(again.as_ref(), Ok(term), "{bytes:?}");
    let again = again.unwrap();
    assert!(
        again.cmp(term).is_eq() && hash(&again) == hash(term),
        "{bytes:?}"
    );
    assert_eq!(again.to_string(), term.to_string(), "{bytes:?}");
    assert_eq!(again.to_vec(), encoded, "{bytes:?}");
}

fn hash(term: &Term) -> u64 {
    let mut hasher = DefaultHasher::new();
    term.hash(&mut hasher);
    hasher.finish()
}
