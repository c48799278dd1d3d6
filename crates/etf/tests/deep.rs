//! 100,000 levels, on a thread with little stack: an error or a value, never an overflow.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::{
    convert::Infallible,
    hash::{DefaultHasher, Hash, Hasher},
    ops::ControlFlow,
    thread,
};

use bytes::Bytes;
use trunkline_etf::{DecodeError, Limits, RawTerm, Term, Token, Visit};

const LEVELS: usize = 100_000;

/// Bytes that stand before and after what they hold, of each container.
fn nests() -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let pid = [
        88, 119, 3, b'a', b'@', b'b', 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1,
    ];
    let record = [67, 0, 0, 0, 1, 1, 119, 1, b'm', 119, 1, b'n', 119, 1, b'f'];
    let fun_head = [[1; 25].as_slice(), &[119, 1, b'm', 97, 0, 97, 0], &pid].concat();
    let mut fun = [vec![112, 0, 0, 0, 0], fun_head].concat();
    fun[29] = 1;
    fun[26..29].fill(0);
    vec![
        ("tuple", vec![104, 1], vec![]),
        ("list", vec![108, 0, 0, 0, 1], vec![106]),
        ("tail", vec![108, 0, 0, 0, 1, 97, 1], vec![]),
        ("list of nothing", vec![108, 0, 0, 0, 0], vec![]),
        ("improper list", vec![108, 0, 0, 0, 1], vec![97, 1]),
        ("key", vec![116, 0, 0, 0, 1], vec![97, 1]),
        ("key of two", two_keys(), vec![97, 1]),
        ("value", vec![116, 0, 0, 0, 1, 97, 1], vec![]),
        ("record", record.to_vec(), vec![]),
        ("fun", fun, vec![]),
    ]
}

/// A map of two pairs up to its second key; the first is a map of two pairs, too, so that the keys are compared.
fn two_keys() -> Vec<u8> {
    let pair = [116, 0, 0, 0, 2];
    let flat = [97, 1, 97, 1, 97, 2, 97, 2];
    [&pair[..], &pair, &flat, &[97, 1]].concat()
}

#[test]
fn values() {
    for (name, before, after) in nests() {
        on_little_stack(name, move || {
            let limits = Limits::default().with_depth(LEVELS + 1);
            let term = Term::decode(&encoded(&before, &after), &limits).unwrap();
            let copy = Term::decode(&encoded(&before, &after), &limits).unwrap();
            assert!(
                term == copy && term.cmp(&copy).is_eq() && hash(&term) == hash(&copy),
                "{name}"
            );
            assert_eq!(term.to_string().len(), copy.to_string().len(), "{name}");
            assert!(term.elixir().to_string().len() > 1, "{name}");
            let again = Term::decode(&term.to_vec().into(), &limits).unwrap();
            assert!(again == term, "{name}");
            drop(term);
            let shared = Term::list([copy.clone(), copy]);
            assert_ne!(hash(&shared), hash(&again), "{name}");
        });
    }
}

#[test]
fn visits() {
    for (name, before, after) in nests() {
        on_little_stack(name, move || {
            let bytes = encoded(&before, &after).slice(1..);
            let raw = RawTerm::new(bytes.clone());
            let flat = matches!(name, "tail" | "list of nothing");
            // A closure is one value for visitors.
            let shown = match name {
                "tail" => 1,
                "list of nothing" | "fun" => 0,
                "key of two" => 2 * LEVELS,
                _ => LEVELS,
            };
            for depth in [LEVELS, LEVELS - 1, 17, 16, 0] {
                let limits = Limits::default().with_depth(depth);
                let mut ends = Ends::default();
                let visited = raw.visit(&limits, &mut ends);
                let decoded = raw.decode(&limits);
                assert_eq!(
                    visited.err(),
                    decoded.as_ref().err().copied(),
                    "{name} {depth}"
                );
                assert_eq!(raw.walk(&limits).err(), decoded.err(), "{name} {depth}");
                if visited.is_ok() {
                    assert_eq!((ends.open, ends.seen), (0, shown), "{name}");
                } else if !flat && name != "fun" {
                    assert!(ends.most <= depth, "{name} {depth}: {}", ends.most);
                }
            }
            let limits = Limits::default().with_depth(LEVELS + 1);
            let cut = RawTerm::new(bytes.slice(..bytes.len() - 1));
            let refused = cut.visit(&limits, &mut Ends::default());
            assert!(refused.is_err() && cut.decode(&limits).is_err(), "{name}");
        });
    }
}

/// Counts containers by their ends.
#[derive(Default)]
struct Ends {
    open: usize,
    most: usize,
    seen: usize,
    /// In a list, how many of its elements have not been seen.
    list: usize,
}

impl<'a> Visit<'a> for Ends {
    type Stop = Infallible;

    fn token(&mut self, token: Token<'a>) -> ControlFlow<Infallible> {
        match token {
            // Only where the tail is what nests can a list continue one: all elements of that one have been seen.
            Token::List(_) if self.list == 1 && self.open == 1 => return ControlFlow::Continue(()),
            Token::List(_) | Token::Tuple(_) | Token::Map(_) | Token::Record(..) => {
                self.open += 1;
                self.most = self.most.max(self.open);
            }
            Token::Int(1) => self.list = 1,
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn end(&mut self) -> ControlFlow<Infallible> {
        self.open -= 1;
        self.seen += 1;
        ControlFlow::Continue(())
    }
}

#[test]
fn errors() {
    for (name, before, after) in nests() {
        on_little_stack(name, move || {
            let whole = encoded(&before, &after);
            let flat = matches!(name, "tail" | "list of nothing");
            match Term::decode(&whole, &Limits::default()) {
                Err(DecodeError::TooDeep(10_000)) => {}
                other => assert!(flat, "{name}: {other:?}"),
            }
            let limits = Limits::default().with_depth(LEVELS);
            let cut = whole.slice(..whole.len() - 1);
            assert!(Term::decode(&cut, &limits).is_err(), "{name}");
            let junk: Bytes = [&whole[..1 + before.len() * LEVELS], &[255]]
                .concat()
                .into();
            assert!(Term::decode(&junk, &limits).is_err(), "{name}");
        });
    }
}

fn encoded(before: &[u8], after: &[u8]) -> Bytes {
    let mut bytes = [
        vec![131],
        before.repeat(LEVELS),
        vec![106],
        after.repeat(LEVELS),
    ]
    .concat();
    if before[0] == 112 {
        for level in 0..LEVELS {
            let at = 1 + level * before.len();
            let size =
                u32::try_from((LEVELS - level) * before.len() - (LEVELS - level - 1)).unwrap();
            let size = size + u32::try_from(LEVELS - level - 1).unwrap();
            bytes[at + 1..at + 5].copy_from_slice(&size.to_be_bytes());
        }
    }
    bytes.into()
}

fn hash(term: &Term) -> u64 {
    let mut hasher = DefaultHasher::new();
    term.hash(&mut hasher);
    hasher.finish()
}

/// An overflow aborts and prints the name of the thread.
fn on_little_stack(name: &str, work: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new()
        .name(name.to_owned())
        .stack_size(64 << 10);
    thread.spawn(work).unwrap().join().unwrap();
}
