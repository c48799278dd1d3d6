//! A walk takes what decoding takes, and reads in it what decoding builds.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

#[path = "util/counting.rs"]
mod counting;
#[path = "util/mutate.rs"]
mod mutate;
mod util;

use bytes::Bytes;
use mutate::Random;
use trunkline_etf::{
    Atom, AtomRef, DecodeError, Limits, RawTerm, Record, Term, Token, Visit, Walk, atom,
};
use util::{malformed, release};

#[test]
fn reads_what_decoding_builds() {
    // Some vectors nest deep, and what builds here recurses.
    let thread = std::thread::Builder::new().stack_size(256 << 20);
    thread.spawn(all_vectors).unwrap().join().unwrap();
}

fn all_vectors() {
    for vector in ["25", "27", "29"].into_iter().flat_map(release) {
        let Some(raw) = bare(&vector.bytes()) else {
            continue;
        };
        let term = raw.decode(&Limits::default()).unwrap();
        let mut walk = raw.walk(&Limits::default()).unwrap();
        assert_eq!(build(&mut walk), term, "{}", vector.name);
        assert!(walk.is_done() && walk.token().is_none(), "{}", vector.name);
        let walk = raw.walk(&Limits::default()).unwrap();
        let mut shown = Shown(Vec::new());
        walk.visit(&mut shown);
        let tokens: Vec<String> = walk.tokens().map(|token| format!("{token:?}")).collect();
        assert_eq!(shown.0, tokens, "{}", vector.name);
        assert_eq!(each(&walk), tokens, "{}", vector.name);
        let mut walk = raw.walk(&Limits::default()).unwrap();
        let whole = walk.part().unwrap();
        assert!(walk.is_done(), "{}", vector.name);
        assert_eq!(whole.decode().as_ref(), Ok(&term), "{}", vector.name);
        let alone = whole.to_raw().decode(&Limits::default());
        assert_eq!(alone, Ok(term), "{}", vector.name);
    }
}

struct Shown(Vec<String>);

impl<'a> Visit<'a> for Shown {
    fn token(&mut self, token: Token<'a>) {
        self.0.push(format!("{token:?}"));
    }
}

#[test]
fn every_form_of_a_value_has_the_method_of_its_kind() {
    // A cached atom, an atom in Latin-1, an old float, a large tuple, a small integer as a bignum, an empty string.
    let forms: [&[u8]; 6] = [
        &[82, 0],
        &[115, 1, b'a'],
        b"c1.50000000000000000000e+00\0\0\0\0\0",
        &[105, 0, 0, 0, 1, 97, 7],
        &[110, 3, 0, 7, 0, 0],
        &[107, 0, 0],
    ];
    for form in forms {
        let raw = with_atoms(form.to_vec());
        let walk = raw.walk(&Limits::default()).unwrap();
        let tokens: Vec<String> = walk.tokens().map(|token| format!("{token:?}")).collect();
        assert_eq!(each(&walk), tokens);
    }
}

fn each(walk: &Walk<'_>) -> Vec<String> {
    let mut each = Each(Vec::new());
    walk.visit(&mut each);
    each.0
}

/// Has every method, so that `token` gets nothing for which there is one.
struct Each(Vec<String>);

impl Each {
    fn push(&mut self, token: Token<'_>) {
        self.0.push(format!("{token:?}"));
    }
}

impl<'a> Visit<'a> for Each {
    fn token(&mut self, token: Token<'a>) {
        let has_one = matches!(
            token,
            Token::Int(_)
                | Token::Float(_)
                | Token::Atom(_)
                | Token::Binary(_)
                | Token::String(_)
                | Token::Nil
                | Token::List(_)
                | Token::Tuple(_)
                | Token::Map(_)
        );
        assert!(!has_one, "{token:?}");
        self.push(token);
    }
    fn int(&mut self, value: i64) {
        self.push(Token::Int(value));
    }
    fn float(&mut self, value: f64) {
        self.push(Token::Float(value));
    }
    fn atom(&mut self, atom: AtomRef<'a>) {
        self.push(Token::Atom(atom));
    }
    fn binary(&mut self, bytes: &'a [u8]) {
        self.push(Token::Binary(bytes));
    }
    fn string(&mut self, bytes: &'a [u8]) {
        self.push(Token::String(bytes));
    }
    fn nil(&mut self) {
        self.push(Token::Nil);
    }
    fn list(&mut self, length: usize) {
        self.push(Token::List(length));
    }
    fn tuple(&mut self, arity: usize) {
        self.push(Token::Tuple(arity));
    }
    fn map(&mut self, pairs: usize) {
        self.push(Token::Map(pairs));
    }
}

#[test]
fn refuses_what_decoding_refuses() {
    for vector in malformed() {
        if let Some(raw) = bare(&vector.bytes()) {
            agrees(&raw, &Limits::default(), &vector.name);
        }
    }
    let mut random = Random::seeded();
    let pool: Vec<Vec<u8>> = ["25", "29"]
        .into_iter()
        .flat_map(release)
        .filter_map(|vector| bare(&vector.bytes()))
        .map(|raw| raw.bytes().to_vec())
        .filter(|bytes| bytes.len() < 2_000)
        .collect();
    for _ in 0..100_000 {
        let mut bytes = random.of(&pool).clone();
        let other = random.of(&pool).clone();
        random.damage(&mut bytes, &other);
        let limits = Limits::default()
            .with_depth(random.below(8))
            .with_size(random.below(4_000));
        let raw = with_atoms(bytes);
        agrees(&raw, &Limits::default(), "damaged");
        agrees(&raw, &limits, "damaged");
    }
}

#[test]
fn the_limits_are_those_of_decoding() {
    let vectors: Vec<RawTerm> = release("29")
        .iter()
        .filter(|vector| vector.hex.len() < 2_000)
        .filter_map(|vector| bare(&vector.bytes()))
        .collect();
    for raw in vectors {
        for size in (0..2_000).step_by(24) {
            agrees(&raw, &Limits::default().with_size(size), "size");
        }
        for depth in 0..4 {
            agrees(&raw, &Limits::default().with_depth(depth), "depth");
        }
    }
}

#[test]
fn asks_for_what_it_expects() {
    let pid = trunkline_etf::Pid {
        node: atom!("a@b"),
        id: 7,
        serial: 1,
        creation: 3,
    };
    let message = Term::tuple([
        Term::atom("$gen_call"),
        (&pid).into(),
        Term::list([1, -70_000]),
        Term::map([(atom!("k"), Term::float(0.5).unwrap())]),
        Term::string("text"),
        Term::from("binary"),
        Term::nil(),
    ]);
    let raw = RawTerm::from(&message);
    let mut walk = raw.walk(&Limits::default()).unwrap();
    assert_eq!((walk.int(), walk.list()), (None, None));
    assert_eq!(walk.tuple(), Some(7));
    assert!(!walk.is_atom("$gen_cast") && walk.is_atom("$gen_call"));
    assert_eq!(walk.pid().as_ref(), Some(&pid));
    assert_eq!(walk.list(), Some(2));
    assert_eq!((walk.int(), walk.int()), (Some(1), Some(-70_000)));
    assert!(walk.nil() && !walk.nil());
    let bookmark = walk;
    assert_eq!(walk.term(), Some(message.as_tuple().unwrap()[3].clone()));
    walk = bookmark;
    assert_eq!(walk.map(), Some(1));
    assert_eq!(walk.atom().unwrap().to_atom().unwrap(), atom!("k"));
    assert_eq!(walk.float(), Some(0.5));
    assert_eq!(walk.string(), Some(&b"text"[..]));
    assert_eq!(walk.binary(), Some(&b"binary"[..]));
    assert_eq!(walk.list(), Some(0));
    assert!(walk.is_done() && walk.part().is_none());
}

#[test]
fn builds_nothing() {
    let row = Term::map([
        (atom!("id"), Term::from(7)),
        (atom!("a.name.of.more.than.twenty.three"), Term::from("x")),
        (atom!("nested"), Term::tuple([Term::list([1, 2]), 3.into()])),
    ]);
    let raw = RawTerm::from(&Term::list(vec![row; 1_000]));
    let (tokens, peak) =
        counting::measured(|| raw.walk(&Limits::default()).unwrap().tokens().count());
    assert_eq!(tokens, 1_000 * 9 + 2);
    assert!(peak < 1_024, "{peak}");
}

/// Walks if and only if it decodes.
fn agrees(raw: &RawTerm, limits: &Limits, name: &str) {
    let (decoded, walked) = (raw.decode(limits), raw.walk(limits));
    match (&decoded, walked) {
        (Ok(term), Ok(mut walk)) => {
            assert_eq!(walk.term().as_ref(), Some(term), "{name}");
            assert!(walk.is_done(), "{name}");
        }
        // What walking leaves to those who build.
        (Err(DecodeError::DuplicateKey), _) => {}
        (Err(_), Err(_)) => {}
        (_, walked) => panic!("{name}: {decoded:?}, but {walked:?} of {:?}", raw.bytes()),
    }
}

/// Without the version byte; `None` for what exists only behind it.
fn bare(bytes: &Bytes) -> Option<RawTerm> {
    match bytes.get(..2)? {
        [131, 80 | 121] => None,
        [131, _] => Some(with_atoms(bytes[1..].to_vec())),
        _ => None,
    }
}

fn with_atoms(bytes: Vec<u8>) -> RawTerm {
    let atoms = [atom!("ok"), Atom::new(&"long".repeat(10)).unwrap()];
    RawTerm::with_atoms(bytes.into(), atoms.into())
}

fn build(walk: &mut Walk<'_>) -> Term {
    match walk.token().unwrap() {
        Token::Int(value) => value.into(),
        Token::Big(value) => Term::integer(value.is_negative(), value.magnitude()),
        Token::Float(value) => Term::float(value).unwrap(),
        Token::Atom(text) => text.to_atom().unwrap().into(),
        Token::Binary(bytes) => Term::binary(bytes.to_vec()),
        Token::Bits(bytes, bits) => {
            let length = (bytes.len() - 1) * 8 + usize::from(bits);
            Term::bitstring(&bytes.to_vec().into(), length).unwrap()
        }
        Token::String(bytes) => Term::list(bytes.iter().copied()),
        Token::Nil => Term::nil(),
        Token::List(length) => {
            let items = parts(walk, length);
            Term::list_with_tail(items, build(walk))
        }
        Token::Tuple(arity) => Term::tuple(parts(walk, arity)),
        Token::Map(pairs) => Term::map((0..pairs).map(|_| (build(walk), build(walk)))),
        Token::Pid(encoded) => encoded.pid().unwrap().into(),
        Token::Port(encoded) => encoded.port().unwrap().into(),
        Token::Reference(encoded) => encoded.reference().unwrap().into(),
        Token::Record(fields, flags) => {
            let mut name = || walk.atom().unwrap().to_atom().unwrap();
            let (module, record) = (name(), name());
            let names: Vec<Atom> = (0..fields).map(|_| name()).collect();
            let values = parts(walk, fields);
            Record::new(
                module,
                record,
                flags & 1 == 1,
                names.into_iter().zip(values),
            )
            .into()
        }
        Token::Export(encoded) | Token::Fun(encoded) => encoded.decode().unwrap(),
        token => panic!("{token:?}"),
    }
}

fn parts(walk: &mut Walk<'_>, count: usize) -> Vec<Term> {
    (0..count).map(|_| build(walk)).collect()
}
