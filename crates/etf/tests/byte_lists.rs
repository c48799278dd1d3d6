//! Lists of bytes are kept as bytes: nobody can tell but by the memory that they take.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

#[path = "util/counting.rs"]
mod counting;

use std::hash::{DefaultHasher, Hash, Hasher};

use counting::kept;
use proptest::{collection::vec, prelude::*};
use trunkline_etf::{Limits, Term, View};

const STRING: u8 = 107;
const LIST: u8 = 108;
const NIL: u8 = 106;
const SMALL_INTEGER: u8 = 97;

proptest! {
    #[test]
    fn every_way_to_one_gives_the_same(bytes in vec(any::<u8>(), 1..40), cut in 0..40_usize) {
        let (before, after) = bytes.split_at(cut.min(bytes.len()));
        let all = [
            Term::list(bytes.iter().copied()),
            Term::list(bytes.iter().copied().filter(|_| true)),
            Term::list_with_tail(before.iter().copied(), Term::list(after.iter().copied())),
            decode(&string(&bytes)),
            decode(&list(&bytes, &[NIL])),
            decode(&list(before, &string(after))),
            decode(&list(before, &list(after, &[NIL]))),
        ];
        for one in &all {
            prop_assert_eq!(one, &all[0]);
            prop_assert_eq!(one.cmp(&all[0]), std::cmp::Ordering::Equal);
            prop_assert_eq!(hash(one), hash(&all[0]));
            prop_assert_eq!(one.to_string(), all[0].to_string());
            prop_assert_eq!(one.elixir().to_string(), all[0].elixir().to_string());
            prop_assert_eq!(&one.to_vec()[1..], &string(&bytes));
            let items: Vec<Option<u8>> = one.as_list().unwrap().iter().map(byte).collect();
            prop_assert_eq!(items, bytes.iter().map(|byte| Some(*byte)).collect::<Vec<_>>());
            prop_assert!(matches!(one.view(), View::List(items) if items.len() == bytes.len()));
            prop_assert_eq!(one.to_text().unwrap(), bytes.iter().map(|byte| char::from(*byte)).collect::<String>());
        }
    }

    /// Beside lists of anything, improper ones too.
    #[test]
    fn they_sort_as_lists_do(bytes in vec(0..3_u8, 0..4), other in vec(0..4_u8, 0..4), tail in 0..4_u8) {
        let element = |byte: &u8| match byte {
            3 => Term::float(1.5).unwrap(),
            small => Term::from(*small),
        };
        let one = Term::list(bytes.iter().copied());
        let elements: Vec<Term> = other.iter().map(element).collect();
        let proper = Term::list(elements.clone());
        let slices = one.as_list().unwrap().cmp(proper.as_list().unwrap());
        prop_assert_eq!(one.cmp(&proper), slices);
        prop_assert_eq!(proper.cmp(&one), slices.reverse());
        prop_assert_eq!(one == proper, slices.is_eq());
        // A number is less than a list, `[]` too, and a binary is more.
        for tail in [Term::from(tail), Term::from("tail")] {
            let improper = Term::list_with_tail(elements.clone(), tail.clone());
            let shared = bytes.len().min(elements.len());
            let expected = one.as_list().unwrap()[..shared].cmp(&elements[..shared]).then_with(|| {
                match bytes.len() {
                    longer if longer > elements.len() => one.cmp(&tail),
                    same if same == elements.len() => Term::nil().cmp(&tail),
                    _ => std::cmp::Ordering::Less,
                }
            });
            if !elements.is_empty() {
                prop_assert_eq!(one.cmp(&improper), expected, "{} {}", one, improper);
                prop_assert_eq!(improper.cmp(&one), expected.reverse());
            }
        }
    }
}

#[test]
fn the_longest_is_not_longer_than_its_form_on_the_wire() {
    for (length, tag) in [(65_535, STRING), (65_536, LIST)] {
        let term = Term::list(std::iter::repeat_n(7, length));
        let encoded = term.to_vec();
        assert_eq!(encoded[1], tag);
        assert_eq!(decode(&encoded[1..]), term);
        assert_eq!(term.as_list().unwrap().len(), length);
    }
    let text = "a".repeat(70_000);
    assert_eq!(Term::string(&text).to_text().unwrap(), text);
    assert_eq!(Term::string("né").to_vec(), [131, STRING, 0, 2, b'n', 0xe9]);
    assert_eq!(Term::string(""), Term::nil());
}

#[test]
fn nothing_but_the_elements_themselves_needs_them() {
    let bytes = string(&[b'x'; 10_000]);
    let (term, held) = kept(|| decode(&bytes));
    assert!(held < 11_000, "{held}");
    let ((), more) = kept(|| {
        assert!(term == term.clone() && term <= term.clone());
        assert!(hash(&term) != 0 && term.to_string().len() > 10_000);
        assert!(term.elixir().to_string().starts_with("~c") && term.to_vec().len() > 10_000);
        assert!(term != Term::list([1_000]) && term < Term::list([1_000]));
    });
    assert_eq!(more, 0);
    let (length, more) = kept(|| term.as_list().unwrap().len());
    assert!(length == 10_000 && more >= 240_000, "{length} {more}");
    assert_eq!(kept(|| term.as_list().unwrap().len()).1, 0);
}

fn byte(term: &Term) -> Option<u8> {
    u8::try_from(term.as_i64()?).ok()
}

fn string(bytes: &[u8]) -> Vec<u8> {
    if bytes.is_empty() {
        return vec![NIL];
    }
    let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
    [&[STRING], &length[..], bytes].concat()
}

/// Each element by itself, and this after them.
fn list(bytes: &[u8], tail: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    let each = bytes.iter().flat_map(|byte| [SMALL_INTEGER, *byte]);
    [&[LIST], &length[..], &each.collect::<Vec<u8>>(), tail].concat()
}

fn decode(bare: &[u8]) -> Term {
    Term::decode_lent(bare, &[], &Limits::default()).unwrap()
}

fn hash(term: &Term) -> u64 {
    let mut hasher = DefaultHasher::new();
    term.hash(&mut hasher);
    hasher.finish()
}
