//! What no release takes is an error here too, but for the differences listed below.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod util;

use bytes::Bytes;
use trunkline_etf::{DecodeError, Decoder, Limits, Term};
use util::{malformed, release};

/// OTP refused these only because of the option `safe`: an atom or a function that did not exist there.
const UNSAFE_THERE: [&str; 6] = [
    "atom100/latin1-bytes",
    "atom118/255x4byte",
    "atom119/unknown-atom-safe",
    "newpid/unknown-node-atom-safe",
    "export/unknown-function-safe",
    "export/known-atoms-undefined-function-safe",
];

/// Only the runtime that wrote them knows the hash; for us they are opaque.
const OPAQUE: [&str; 2] = ["tag/121-local-bad-hash", "tag/121-local-bad-hash8"];

/// We refuse what only OTP 25 takes, a reference without words, for which OTP reads past the end, and bytes after a term
/// inside of a compressed stream, which OTP drops.
const STRICTER: [&str; 4] = [
    "compressed/two-terms-inside",
    "bitbin/len-0-bits-0",
    "oldfloat/no-nul-31",
    "newerref/0-words",
];

#[test]
fn is_an_error_where_every_release_says_so() {
    for vector in malformed() {
        let name = &*vector.name;
        let result = Term::decode_prefix(&vector.bytes(), &Limits::default());
        let refused =
            vector.accepted.is_empty() && !UNSAFE_THERE.contains(&name) && !OPAQUE.contains(&name);
        if refused || STRICTER.contains(&name) {
            assert!(result.is_err(), "{name}: {result:?}");
            continue;
        }
        let (term, used) = result.unwrap_or_else(|error| panic!("{name}: {error}"));
        // The vectors have 300 characters of long ones; numbers of identifiers are local, map keys are sorted there.
        let theirs = vector
            .term
            .filter(|term| term.len() < 300 && !term.contains('<') && !name.starts_with("map/"));
        assert_eq!(
            Some(term.to_string()).filter(|_| theirs.is_some()),
            theirs,
            "{name}"
        );
        assert_eq!(vector.used.unwrap_or(used), used, "{name}");
    }
}

#[test]
fn every_truncation_is_an_error() {
    for vector in ["25", "27", "29"].into_iter().flat_map(release) {
        let bytes = vector.bytes();
        let step = 1 + bytes.len() / 200;
        for length in (0..bytes.len()).step_by(step) {
            let opaque = vector.name.starts_with("local/") && length > 6;
            let result = Term::decode(&bytes.slice(..length), &Limits::default());
            assert!(result.is_err() || opaque, "{} cut to {length}", vector.name);
        }
    }
}

#[test]
fn every_flipped_byte_is_an_error_or_a_term() {
    for vector in release("29")
        .iter()
        .filter(|vector| vector.hex.len() < 1_000)
    {
        let bytes = vector.bytes();
        for place in 0..bytes.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bytes = bytes.to_vec();
                bytes[place] ^= flip;
                if let Ok(term) = Term::decode(&bytes.into(), &Limits::default()) {
                    let again = Term::decode(&term.to_vec().into(), &Limits::default());
                    assert_eq!(again.as_ref(), Ok(&term), "{} byte {place}", vector.name);
                    assert!(!term.to_string().is_empty());
                }
            }
        }
    }
}

#[test]
fn limits_are_errors_of_their_own() {
    let decode =
        |term: &Term, limits: Limits| Term::decode(&term.to_vec().into(), &limits).unwrap_err();
    let nested = Term::tuple([Term::tuple([Term::tuple([1])])]);
    let error = decode(&nested, Limits::default().with_depth(2));
    assert_eq!(error, DecodeError::TooDeep(2));
    assert!(error.is_limit());
    let list = Term::list(0..1_000);
    assert_eq!(
        decode(&list, Limits::default().with_size(1_000)),
        DecodeError::TooLarge(1_000)
    );
    let zeros = malformed()
        .into_iter()
        .find(|vector| vector.name == "compressed/1MB-zeros-legal")
        .unwrap();
    let error =
        Term::decode(&zeros.bytes(), &Limits::default().with_inflated(999_999)).unwrap_err();
    assert_eq!(error, DecodeError::TooInflated(999_999));
    assert!(
        Term::decode(&vec![131, 97, 1, 0].into(), &Limits::default())
            == Err(DecodeError::Trailing(1))
    );
}

#[test]
fn compressed_terms_share_the_size_limit_and_end_with_their_stream() {
    let vectors = malformed();
    let bytes = |name: &str| {
        let found = vectors.iter().find(|vector| vector.name == name);
        found.unwrap().bytes()
    };
    let one = bytes("compressed/ok-reference");
    let limits = Limits::default();
    let fits = |size: usize| Term::decode(&one, &limits.with_size(size)).is_ok();
    let size = (1..100_000).find(|size| fits(*size)).unwrap();
    let two = Bytes::from([&one[..], &one].concat());
    let decode_two = |size: usize| {
        let limits = limits.with_size(size);
        let mut decoder = Decoder::new(two.clone(), &limits);
        decoder.versioned().and_then(|_| decoder.versioned())
    };
    assert_eq!(
        decode_two(2 * size - 1),
        Err(DecodeError::TooLarge(2 * size - 1))
    );
    assert!(decode_two(2 * size).is_ok());
    let trailing = Term::decode_prefix(&bytes("compressed/two-terms-inside"), &limits);
    assert_eq!(trailing, Err(DecodeError::Trailing(2)));
}
