//! Terms of any shape cross a pipe to a real OTP, and mean there what was meant here; and the other way round.

use trunkline_etf::{Limits, Term, View};
use trunkline_interop::terms::{Beam, Random, plain};

/// Terms in each direction.
const TERMS: usize = 100_000;
/// Terms in a packet.
const BATCH: usize = 1_000;

#[test]
fn otp_reads_what_we_mean() {
    let mut random = Random::from_environment();
    let mut otp = Beam::escript("etf_port.escript");
    for batch in 0..TERMS / BATCH {
        let pairs: Vec<Term> = (0..BATCH)
            .map(|_| random.term(4))
            .map(|term| {
                Term::tuple([
                    Term::binary(term.to_vec()),
                    Term::from(&*plain(&term).to_string()),
                ])
            })
            .collect();
        let answer = otp.ask(&Term::tuple([Term::atom("judge"), Term::list(pairs)]));
        assert!(answer.is_atom("ok"), "batch {batch}: {}", readable(&answer));
    }
}

#[test]
fn we_read_what_otp_means() {
    let mut random = Random::from_environment();
    let mut otp = Beam::escript("etf_port.escript");
    let limits = Limits::default();
    let mut printed = 0;
    for batch in 0..TERMS / BATCH {
        let seed = Term::from(random.number() >> 8);
        let made = otp.ask(&Term::tuple([Term::atom("make"), Term::from(BATCH), seed]));
        let mut back = Vec::new();
        for pair in made.as_list().expect("a list of terms") {
            let [encoded, text] = pair.as_tuple().expect("a pair") else {
                panic!("{pair}")
            };
            let encoded = encoded.to_bytes().expect("a binary");
            let term = Term::decode(&encoded, &limits)
                .unwrap_or_else(|error| panic!("{error}: {encoded:?}"));
            if let Some(text) = text.as_binary() {
                assert_eq!(
                    term.to_string().as_bytes(),
                    text,
                    "{}",
                    String::from_utf8_lossy(text)
                );
                printed += 1;
            }
            back.push(Term::binary(term.to_vec()));
        }
        let answer = otp.ask(&Term::tuple([Term::atom("compare"), Term::list(back)]));
        assert!(answer.is_atom("ok"), "batch {batch}: {}", readable(&answer));
    }
    assert!(printed > TERMS / 4, "only {printed} terms were printed");
}

#[test]
fn we_sort_as_otp_does() {
    let mut random = Random::from_environment();
    let mut otp = Beam::escript("etf_port.escript");
    for batch in 0..5 {
        let mut terms: Vec<Term> = (0..BATCH * 2).map(|_| random.term(3)).collect();
        terms.retain(has_erlangs_order);
        assert!(terms.len() > BATCH / 4, "only {} to sort", terms.len());
        let question = Term::tuple([Term::atom("sort"), Term::list(terms.clone())]);
        let theirs = otp.ask(&question);
        terms.sort();
        let theirs = theirs.as_list().expect("a list of terms");
        assert_eq!(theirs.len(), terms.len());
        for (place, (their, our)) in theirs.iter().zip(&terms).enumerate() {
            assert_eq!(their, our, "place {place} of batch {batch}");
        }
    }
}

/// Among floats, identifiers and functions, and between floats and integers, ours is an order of its own (`impl Ord for Term`).
fn has_erlangs_order(term: &Term) -> bool {
    match term.view() {
        View::Atom(_) | View::Int(_) | View::Big(_) | View::Binary(_) | View::Bits(_) => true,
        View::Tuple(items) | View::List(items) => items.iter().all(has_erlangs_order),
        View::Improper(items, tail) => {
            items.iter().all(has_erlangs_order) && has_erlangs_order(tail)
        }
        View::Map(map) => map
            .iter()
            .all(|(key, value)| has_erlangs_order(key) && has_erlangs_order(value)),
        _ => false,
    }
}

fn readable(answer: &Term) -> String {
    let parts = answer.as_tuple().unwrap_or_default();
    parts
        .iter()
        .map(|part| part.to_text().unwrap_or_else(|| part.to_string()) + "\n")
        .collect()
}
