//! Every term that OTP 25, 27 and 29 were seen to encode decodes, prints as it should, and encodes back.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod util;

use trunkline_etf::{Limits, Term, View};
use util::{Vector, modern::modern, release};

const RELEASES: [&str; 3] = ["25", "27", "29"];

#[test]
fn every_term_decodes_and_prints_as_given() {
    for (otp, vector, term) in all() {
        let name = format!("OTP {otp} {}", vector.name);
        if let Some(decoded) = &vector.decoded {
            assert_eq!(&explain(&term), decoded, "{name}");
        }
        // The text of pids, ports and references has numbers that mean something in one runtime only.
        let local = vector.decoded.is_some()
            && !vector.name.starts_with("fun/")
            && !vector.name.starts_with("record/");
        let Some(text) = vector.term.as_ref().filter(|_| !local) else {
            continue;
        };
        match &*vector.name {
            // `~tw` of OTP prints the bytes of these atoms.
            "fun/external-utf8" => assert_eq!(term.to_string(), "fun 'α':'β'/3"),
            name if name.starts_with("local/") => assert!(matches!(term.view(), View::Opaque(_))),
            // Without an order of keys, OTP prints another one than it sends.
            _ if term.as_map().is_some() => {
                assert_eq!(pairs(&term.to_string()), pairs(text), "{name}")
            }
            _ => assert_eq!(&term.to_string(), text, "{name}"),
        }
    }
}

#[test]
fn every_term_encodes_back_to_the_same_bytes_or_the_canonical_form() {
    for (otp, vector, term) in all() {
        let name = format!("OTP {otp} {}", vector.name);
        let encoded = term.to_vec();
        assert_eq!(encoded, modern(&vector.bytes()), "{name}");
        assert_eq!(encoded.len(), term.encoded_len() + 1, "{name}");
        assert_eq!(
            Term::decode(&encoded.into(), &Limits::default()).unwrap(),
            term,
            "{name}"
        );
    }
}

fn all() -> impl Iterator<Item = (&'static str, Vector, Term)> {
    let vectors = RELEASES
        .into_iter()
        .flat_map(|otp| release(otp).into_iter().map(move |vector| (otp, vector)));
    vectors.map(|(otp, vector)| {
        let term = Term::decode(&vector.bytes(), &Limits::default());
        (
            otp,
            vector.clone(),
            term.unwrap_or_else(|error| panic!("OTP {otp} {}: {error}", vector.name)),
        )
    })
}

/// As the independent decoder writes it that made the vectors.
fn explain(term: &Term) -> String {
    let list = |terms: &[Term]| terms.iter().map(explain).collect::<Vec<_>>().join(",");
    match term.view() {
        View::Tuple(items) => format!("{{{}}}", list(items)),
        View::List(items) => format!("[{}]", list(items)),
        View::Improper(items, tail) => format!("[{}|{}]", list(items), explain(tail)),
        View::Map(map) => {
            let pairs = map
                .iter()
                .map(|(key, value)| format!("{}=>{}", explain(key), explain(value)));
            format!("#{{{}}}", pairs.collect::<Vec<_>>().join(","))
        }
        View::Binary(bytes) => format!("<<{:?}>>", str::from_utf8(bytes).unwrap()),
        View::Record(record) => {
            let fields = record
                .fields()
                .map(|(name, value)| format!("{name}={}", explain(value)));
            let (module, name, flags) = (&record.module, &record.name, record.flags);
            format!(
                "#{module}:{name}{{{}}} flags={flags}",
                fields.collect::<Vec<_>>().join(",")
            )
        }
        View::Fun(fun) => {
            let uniq: String = fun.uniq.iter().map(|byte| format!("{byte:02x}")).collect();
            let (module, index, arity, pid) = (&fun.module, fun.index, fun.arity, &fun.pid);
            let (old, hash, free) = (fun.old_index, fun.old_uniq, list(fun.free()));
            format!(
                "#Fun<{module}.{old}.{hash}/{arity} uniq={uniq} idx={index} pid={pid} free=[{free}]>"
            )
        }
        _ => term.to_string(),
    }
}

/// The pairs of a map of plain terms, in any order.
fn pairs(map: &str) -> Vec<&str> {
    let inner = map
        .strip_prefix("#{")
        .and_then(|map| map.strip_suffix('}'))
        .unwrap();
    let mut pairs: Vec<_> = inner.split(',').collect();
    pairs.sort_unstable();
    pairs
}
