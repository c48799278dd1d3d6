//! Bytes as a term.

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::ControlFlow;

use bytes::Bytes;
use trunkline_etf::{DecodeError, Decoder, Limits, RawTerm, Term, Token, Visit, atom};

/// A term that decodes has one encoding, which decodes to it; and everything that one can do with a
/// term can be done with it. What decodes can be walked, and only that; a visitor is shown what the walk shows, though it is not
/// checked beforehand.
pub(crate) fn run(input: &[u8]) {
    let bytes = Bytes::copy_from_slice(input);
    let limits = Limits::default().with_inflated(1 << 20);
    if let Ok((term, used)) = Term::decode_prefix(&bytes, &limits) {
        assert!(used <= input.len());
        check(&term);
    }
    let atoms = [atom!("ok"), atom!("a"), atom!("node@10.0.0.1")];
    let mut decoder = Decoder::new(bytes.clone(), &limits).atoms(&atoms);
    while let Ok(term) = decoder.term() {
        check(&term);
    }
    walk(&RawTerm::with_atoms(bytes, atoms.into()), &limits);
}

/// Depth and size of what comes at random seldom reach the limits, so it meets small ones, too.
fn walk(raw: &RawTerm, limits: &Limits) {
    for limits in [*limits, limits.with_depth(3).with_size(500)] {
        let walked = raw.walk(&limits);
        let mut shown = Shown::default();
        let visited = raw.visit(&limits, &mut shown);
        assert_eq!(visited.err(), walked.as_ref().err().copied());
        match (raw.decode(&limits), walked) {
            (Ok(term), Ok(mut walk)) => {
                assert!(!shown.0.is_empty());
                let tokens = walk.tokens().map(|token| format!("{token:?}"));
                assert_eq!(tokens.collect::<Vec<_>>(), shown.0);
                let (mut again, mut from_here) = (Shown::default(), walk);
                assert!(from_here.visit(&mut again).is_continue());
                assert_eq!(again.0, shown.0);
                assert_eq!(walk.term().as_ref(), Some(&term));
                assert!(walk.is_done());
            }
            // What walking leaves to those who build.
            (Err(DecodeError::DuplicateKey), _) | (Err(_), Err(_)) => {}
            (decoded, walked) => panic!("{decoded:?}, but {walked:?}"),
        }
    }
}

/// All that a visitor is shown.
#[derive(Default)]
struct Shown(Vec<String>);

impl<'a> Visit<'a> for Shown {
    type Stop = Infallible;

    fn token(&mut self, token: Token<'a>) -> ControlFlow<Infallible> {
        self.0.push(format!("{token:?}"));
        ControlFlow::Continue(())
    }
}

fn check(term: &Term) {
    let bytes = term.to_vec();
    assert_eq!(term.encoded_len() + 1, bytes.len());
    exactly(term, &bytes);
    let limits = Limits::default().with_size(1 << 30);
    let again = Term::decode(&bytes.clone().into(), &limits).expect("what was encoded");
    assert_eq!(again, *term);
    assert_eq!(again.cmp(term), std::cmp::Ordering::Equal);
    assert_eq!(hash(&again), hash(term));
    assert_eq!(again.to_vec(), bytes);
    assert!(!term.to_string().is_empty());
}

/// Room for exactly this term is enough for it, and what stands before it stays. The room must not grow.
fn exactly(term: &Term, bytes: &[u8]) {
    let mut room = Vec::with_capacity(bytes.len());
    let begins = room.as_ptr();
    term.encode(&mut room);
    assert_eq!(room, bytes);
    assert_eq!((room.as_ptr(), room.capacity()), (begins, bytes.len()));
    let mut behind = Vec::with_capacity(3 + bytes.len());
    behind.extend([1, 2, 3]);
    term.encode(&mut behind);
    assert_eq!(behind.strip_prefix(&[1, 2, 3]), Some(bytes));
    let mut bare = Vec::with_capacity(term.encoded_len());
    term.encode_bare(&mut bare);
    assert_eq!(Some(&*bare), bytes.get(1..));
}

fn hash(term: &Term) -> u64 {
    let mut hasher = DefaultHasher::new();
    term.hash(&mut hasher);
    hasher.finish()
}
