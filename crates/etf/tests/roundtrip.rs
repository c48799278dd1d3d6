//! Properties of terms of any shape.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::{
    cmp::Ordering,
    hash::{DefaultHasher, Hash, Hasher},
};

use bytes::{Bytes, BytesMut};
use proptest::{collection::vec, prelude::*};
use trunkline_etf::{Atom, Export, Limits, Pid, Port, Record, Reference, Term, View};

proptest! {
    #[test]
    fn decoding_gives_what_was_encoded(term in term()) {
        let encoded: Bytes = term.to_vec().into();
        prop_assert_eq!(encoded.len(), term.encoded_len() + 1);
        let decoded = Term::decode(&encoded, &Limits::default()).unwrap();
        prop_assert_eq!(&decoded, &term);
        prop_assert_eq!(hash(&decoded), hash(&term));
        prop_assert_eq!(decoded.to_string(), term.to_string());
        prop_assert_eq!(decoded.to_vec(), encoded);
    }

    #[test]
    fn every_sink_gets_the_same(term in term(), before in vec(any::<u8>(), 0..300), room in 0..600_usize) {
        let alone = term.to_vec();
        let expected = [&before[..], &alone].concat();
        let mut buffer = Vec::with_capacity(before.len() + room);
        buffer.extend_from_slice(&before);
        term.encode(&mut buffer);
        prop_assert_eq!(&buffer, &expected);
        let mut bytes = BytesMut::from(&before[..]);
        term.encode(&mut bytes);
        prop_assert_eq!(bytes, expected);
        let mut length = before.len();
        term.encode(&mut length);
        prop_assert_eq!(length, before.len() + alone.len());
    }

    #[test]
    fn every_prefix_is_an_error(term in term()) {
        let encoded: Bytes = term.to_vec().into();
        for length in (0..encoded.len()).step_by(1 + encoded.len() / 100) {
            prop_assert!(Term::decode(&encoded.slice(..length), &Limits::default()).is_err());
        }
    }

    #[test]
    fn any_bytes_are_an_error_or_a_term(bytes in vec(any::<u8>(), 0..200)) {
        let bytes: Bytes = [vec![131], bytes].concat().into();
        if let Ok((term, used)) = Term::decode_prefix(&bytes, &Limits::default()) {
            prop_assert!(used <= bytes.len());
            prop_assert!(!term.to_string().is_empty());
        }
    }

    #[test]
    fn order_is_total_and_agrees_with_equality(one in term(), other in term(), third in term()) {
        prop_assert_eq!(one.cmp(&other), other.cmp(&one).reverse());
        prop_assert_eq!(one.cmp(&other) == Ordering::Equal, one == other);
        prop_assert_eq!(one.cmp(&one.clone()), Ordering::Equal);
        let mut terms = [one, other, third];
        terms.sort();
        prop_assert!(terms[0] <= terms[2]);
    }

    #[test]
    fn a_map_is_its_pairs_in_any_order(pairs in vec((term(), term()), 0..40)) {
        let map = Term::map(pairs.clone());
        let view = map.as_map().unwrap();
        for (key, value) in view.iter() {
            prop_assert_eq!(view.get(key), Some(value));
        }
        for (key, _) in &pairs {
            let last = pairs.iter().rev().find(|(other, _)| other == key).map(|(_, value)| value);
            prop_assert_eq!(view.get(key), last);
        }
        let turned: Vec<_> = view.iter().map(|(key, value)| (key.clone(), value.clone())).rev().collect();
        let turned = Term::map(turned);
        prop_assert_eq!(&turned, &map);
        prop_assert_eq!(hash(&turned), hash(&map));
        prop_assert_eq!(turned.cmp(&map), Ordering::Equal);
    }

    #[test]
    fn integers_have_one_form(value in any::<i128>(), small in any::<i64>()) {
        prop_assert_eq!(Term::from(value).to_string(), value.to_string());
        prop_assert_eq!(Term::from(i128::from(small)).as_i64(), Some(small));
        prop_assert_eq!(Term::from(i128::from(small)), Term::from(small));
        prop_assert_eq!(Term::from(value).cmp(&Term::from(small)), value.cmp(&i128::from(small)));
    }

    #[test]
    fn floats_print_as_what_reads_back(bits in any::<u64>()) {
        if let Some(term) = Term::float(f64::from_bits(bits)) {
            let text = term.to_string();
            prop_assert!(text.contains('.'));
            prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), bits);
        }
    }
}

fn term() -> impl Strategy<Value = Term> {
    leaf().prop_recursive(12, 60, 8, |inner| {
        let pairs = vec((inner.clone(), inner.clone()), 0..6);
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Term::tuple),
            vec(inner.clone(), 0..8).prop_map(Term::list),
            (vec(inner.clone(), 0..5), inner.clone())
                .prop_map(|(items, tail)| Term::list_with_tail(items, tail)),
            pairs.prop_map(Term::map),
            (atom(), atom(), any::<bool>(), vec((atom(), inner), 0..4)).prop_map(
                |(module, name, exported, fields)| Record::new(module, name, exported, fields)
                    .into()
            ),
        ]
    })
}

fn leaf() -> impl Strategy<Value = Term> {
    prop_oneof![
        atom().prop_map(Term::from),
        any::<i64>().prop_map(Term::from),
        (-300..300).prop_map(Term::from),
        any::<i128>().prop_map(Term::from),
        (any::<bool>(), vec(any::<u8>(), 0..300))
            .prop_map(|(negative, bytes)| Term::integer(negative, &bytes)),
        any::<f64>().prop_filter_map("finite", Term::float),
        ".{0,12}".prop_map(|text: String| Term::string(&text)),
        vec(any::<u8>(), 0..100).prop_map(Term::binary),
        vec(any::<i64>(), 0..100).prop_map(Term::list),
        (vec(any::<u8>(), 1..9), 0..9_usize).prop_filter_map("enough", |(bytes, less)| {
            Term::bitstring(&bytes.clone().into(), bytes.len() * 8 - less)
        }),
        (atom(), any::<u32>(), any::<u32>(), any::<u32>()).prop_map(
            |(node, id, serial, creation)| Pid {
                node,
                id,
                serial,
                creation
            }
            .into()
        ),
        (atom(), any::<u64>(), any::<u32>()).prop_map(|(node, id, creation)| Port {
            node,
            id,
            creation
        }
        .into()),
        (atom(), any::<u32>(), vec(any::<u32>(), 1..6)).prop_map(|(node, creation, words)| {
            Reference::new(node, creation, &words).unwrap().into()
        }),
        (atom(), atom(), any::<u8>()).prop_map(|(module, function, arity)| Export {
            module,
            function,
            arity
        }
        .into()),
    ]
}

fn atom() -> impl Strategy<Value = Atom> {
    let text = prop_oneof!["[a-z]{1,4}", ".{0,30}", Just("é".repeat(200))];
    text.prop_map(|text| Atom::new(&text).unwrap())
}

fn hash(term: &Term) -> u64 {
    let mut hasher = DefaultHasher::new();
    term.hash(&mut hasher);
    hasher.finish()
}

/// `to_vec` puts them to their place in the end, a buffer of somebody else gets them one by one.
#[test]
fn large_binaries_stand_where_they_belong() {
    let binary = |length: usize| Term::binary(vec![7; length]);
    let lists = [
        Term::list([binary(511), binary(512), binary(513)]),
        Term::tuple([binary(5_000)]),
        Term::tuple([
            1.into(),
            binary(5_000),
            Term::string("between"),
            binary(700),
            2.into(),
        ]),
        Term::bitstring(&Bytes::from(vec![255; 1_000]), 7_999).unwrap(),
        Term::list((0..300).map(|_| 7)),
        Term::list((0..300).map(|number| number % 257)),
        Term::list((0..150).map(|number| if number == 149 { 256 } else { 1 })),
    ];
    for term in lists.iter().cloned().chain([Term::list(lists.clone())]) {
        let mut one_by_one = Vec::new();
        term.encode(&mut one_by_one);
        assert_eq!(term.to_vec(), one_by_one);
        assert_eq!(
            Term::decode(&one_by_one.into(), &Limits::default()),
            Ok(term)
        );
    }
}

/// A closure says in its encoding how long it is; whoever changes what it says of itself need not know.
#[test]
fn a_changed_closure_has_the_size_that_it_has() {
    let pid = [88, 119, 1, b'a', 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
    let module = [119, 1, b'm', 97, 0, 97, 0];
    let rest = [
        &[1; 17][..],
        &[0, 0, 0, 1, 0, 0, 0, 1],
        &module,
        &pid,
        &[106],
    ]
    .concat();
    let size = u32::try_from(rest.len() + 4).unwrap().to_be_bytes();
    let bytes = [&[131, 112], &size[..], &rest].concat();
    let term = Term::decode(&bytes.into(), &Limits::default()).unwrap();
    let View::Fun(fun) = term.view() else {
        panic!("{term}")
    };
    let mut changed = fun.clone();
    changed.module = Atom::new("a_module_with_a_longer_name").unwrap();
    changed.old_index = i64::MAX;
    let changed = Term::tuple([Term::from(changed)]);
    let again = Term::decode(&changed.to_vec().into(), &Limits::default());
    assert_eq!(again, Ok(changed));
}
