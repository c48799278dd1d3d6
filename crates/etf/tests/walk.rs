//! A walk takes what decoding takes, and reads in it what decoding builds.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

#[path = "util/counting.rs"]
mod counting;
#[path = "util/mutate.rs"]
mod mutate;
mod util;

use std::{convert::Infallible, ops::ControlFlow};

use bytes::Bytes;
use mutate::Random;
use trunkline_etf::{
    Atom, AtomRef, DecodeError, Limits, PidRef, RawTerm, Record, ReferenceRef, Term, Token, Visit,
    Walk, atom,
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
        let tokens: Vec<String> = walk.tokens().map(|token| format!("{token:?}")).collect();
        let mut shown = Shown(Vec::new());
        assert!(walk.clone().visit(&mut shown).is_continue());
        assert_eq!(shown.0, tokens, "{}", vector.name);
        assert_eq!(each(&raw), tokens, "{}", vector.name);
        let mut builder = Builder::default();
        let ControlFlow::Continue(()) = raw.visit(&Limits::default(), &mut builder).unwrap();
        assert_eq!(builder.done(), term, "{}", vector.name);
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
    type Stop = Infallible;

    fn token(&mut self, token: Token<'a>) -> ControlFlow<Infallible> {
        self.0.push(format!("{token:?}"));
        ControlFlow::Continue(())
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
        assert_eq!(each(&raw), tokens);
    }
}

fn each(raw: &RawTerm) -> Vec<String> {
    let mut each = Each(Vec::new());
    let ControlFlow::Continue(()) = raw.visit(&Limits::default(), &mut each).unwrap();
    each.0
}

/// Has every method, so that `token` gets nothing for which there is one.
struct Each(Vec<String>);

impl Each {
    fn push(&mut self, token: Token<'_>) -> ControlFlow<Infallible> {
        self.0.push(format!("{token:?}"));
        ControlFlow::Continue(())
    }
}

impl<'a> Visit<'a> for Each {
    type Stop = Infallible;

    fn token(&mut self, token: Token<'a>) -> ControlFlow<Infallible> {
        let has_none = matches!(
            token,
            Token::Big(_)
                | Token::Bits(..)
                | Token::Port(_)
                | Token::Export(_)
                | Token::Fun(_)
                | Token::Record(..)
        );
        assert!(has_none, "{token:?}");
        self.push(token)
    }
    fn int(&mut self, value: i64) -> ControlFlow<Infallible> {
        self.push(Token::Int(value))
    }
    fn float(&mut self, value: f64) -> ControlFlow<Infallible> {
        self.push(Token::Float(value))
    }
    fn atom(&mut self, atom: AtomRef<'a>) -> ControlFlow<Infallible> {
        self.push(Token::Atom(atom))
    }
    fn binary(&mut self, bytes: &'a [u8]) -> ControlFlow<Infallible> {
        self.push(Token::Binary(bytes))
    }
    fn string(&mut self, bytes: &'a [u8]) -> ControlFlow<Infallible> {
        self.push(Token::String(bytes))
    }
    fn nil(&mut self) -> ControlFlow<Infallible> {
        self.push(Token::Nil)
    }
    fn pid(&mut self, pid: PidRef<'a>) -> ControlFlow<Infallible> {
        self.push(Token::Pid(pid))
    }
    fn reference(&mut self, reference: ReferenceRef<'a>) -> ControlFlow<Infallible> {
        self.push(Token::Reference(reference))
    }
    fn list(&mut self, length: usize) -> ControlFlow<Infallible> {
        self.push(Token::List(length))
    }
    fn tuple(&mut self, arity: usize) -> ControlFlow<Infallible> {
        self.push(Token::Tuple(arity))
    }
    fn map(&mut self, pairs: usize) -> ControlFlow<Infallible> {
        self.push(Token::Map(pairs))
    }
}

/// Builds what it is shown, by the ends of containers.
#[derive(Default)]
struct Builder {
    open: Vec<(Option<Kind>, Vec<Term>)>,
    /// Whether there was a record with flags that are not known.
    odd: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Tuple,
    /// And how many elements it has before its tail.
    List(usize),
    Map,
    /// And how many fields.
    Record(usize, u8),
}

impl Builder {
    fn done(mut self) -> Term {
        let (kind, mut terms) = self.open.pop().unwrap();
        assert!(kind.is_none() && self.open.is_empty() && terms.len() == 1);
        terms.pop().unwrap()
    }

    fn put(&mut self, term: Term) -> ControlFlow<Infallible> {
        match self.open.last_mut() {
            Some((_, terms)) => terms.push(term),
            None => self.open.push((None, vec![term])),
        }
        ControlFlow::Continue(())
    }

    fn open(&mut self, kind: Kind) -> ControlFlow<Infallible> {
        self.open.push((Some(kind), Vec::new()));
        ControlFlow::Continue(())
    }
}

impl<'a> Visit<'a> for Builder {
    type Stop = Infallible;

    fn token(&mut self, token: Token<'a>) -> ControlFlow<Infallible> {
        match token {
            Token::Tuple(_) => self.open(Kind::Tuple),
            Token::List(length) => match self.open.last_mut() {
                Some((Some(Kind::List(before)), terms)) if *before == terms.len() => {
                    *before += length;
                    ControlFlow::Continue(())
                }
                _ => self.open(Kind::List(length)),
            },
            Token::Map(_) => self.open(Kind::Map),
            Token::Record(fields, flags) => {
                self.odd |= flags > 1;
                self.open(Kind::Record(fields, flags))
            }
            token => {
                let term = leaf(token);
                self.put(term)
            }
        }
    }

    fn end(&mut self) -> ControlFlow<Infallible> {
        let (kind, mut terms) = self.open.pop().unwrap();
        let term = match kind.unwrap() {
            Kind::Tuple => Term::tuple(terms),
            Kind::List(length) => {
                assert_eq!(terms.len(), length + 1);
                let tail = terms.pop().unwrap();
                Term::list_with_tail(terms, tail)
            }
            Kind::Map => {
                let pairs = terms
                    .chunks(2)
                    .map(|pair| (pair[0].clone(), pair[1].clone()));
                Term::map(pairs)
            }
            Kind::Record(fields, flags) => {
                let values = terms.split_off(fields + 2);
                let mut names = terms
                    .into_iter()
                    .map(|name| name.as_atom().unwrap().clone());
                let (module, name) = (names.next().unwrap(), names.next().unwrap());
                Record::new(module, name, flags & 1 == 1, names.zip(values)).into()
            }
        };
        self.put(term)
    }
}

/// Stops at the value with this number, with what it was.
struct Until(usize);

impl<'a> Visit<'a> for Until {
    type Stop = String;

    fn token(&mut self, token: Token<'a>) -> ControlFlow<String> {
        if self.0 == 0 {
            return ControlFlow::Break(format!("{token:?}"));
        }
        self.0 -= 1;
        ControlFlow::Continue(())
    }
}

#[test]
fn stops_at_any_value() {
    let limits = Limits::default();
    let vectors = release("29").into_iter();
    for vector in vectors.filter(|vector| vector.hex.len() < 1_000) {
        let Some(raw) = bare(&vector.bytes()) else {
            continue;
        };
        let walk = raw.walk(&limits).unwrap();
        let tokens: Vec<String> = walk.tokens().map(|token| format!("{token:?}")).collect();
        for (index, token) in tokens.iter().enumerate() {
            let stopped = ControlFlow::Break(token.clone());
            let whole = raw.visit(&limits, &mut Until(index)).unwrap();
            assert_eq!(whole, stopped, "{}", vector.name);
            let mut cursor = walk;
            assert_eq!(cursor.visit(&mut Until(index)), stopped, "{}", vector.name);
            let rest: Vec<String> = cursor.tokens().map(|token| format!("{token:?}")).collect();
            assert_eq!(rest, tokens[index + 1..], "{}", vector.name);
        }
        let whole = raw.visit(&limits, &mut Until(tokens.len())).unwrap();
        assert_eq!(whole, ControlFlow::Continue(()), "{}", vector.name);
    }
}

#[test]
fn what_is_behind_the_place_where_a_visitor_stops_is_not_checked() {
    // {1, and a tag that does not exist.
    let raw = RawTerm::new(Bytes::from_static(&[104, 2, 97, 1, 0]));
    let limits = Limits::default();
    let stopped = raw.visit(&limits, &mut Until(1)).unwrap();
    assert_eq!(stopped, ControlFlow::Break("Int(1)".to_owned()));
    assert_eq!(raw.visit(&limits, &mut Until(2)), Err(DecodeError::Tag(0)));
}

#[test]
fn a_visitor_may_be_of_any_size() {
    let raw = RawTerm::from(&Term::tuple([1, 2]));
    let mut visitors: [Box<dyn Visit<'_, Stop = String>>; 2] =
        [Box::new(Until(1)), Box::new(Until(9))];
    let limits = Limits::default();
    let flows = visitors.each_mut().map(|visitor| {
        let by_term = raw.visit(&limits, &mut **visitor).unwrap();
        let mut walk = raw.walk(&limits).unwrap();
        (by_term, walk.visit(&mut **visitor), walk.is_done())
    });
    let stopped = |what: &str| ControlFlow::Break(what.to_owned());
    assert_eq!(flows[0], (stopped("Int(1)"), stopped("Tuple(2)"), false));
    let done = ControlFlow::Continue(());
    assert_eq!(flows[1], (done.clone(), done, true));
}

#[test]
fn shows_one_value_with_everything_in_it() {
    let message = Term::tuple([
        Term::list([1, 2000]),
        Term::tuple([Term::tuple::<Term>([])]),
        7.into(),
    ]);
    let raw = RawTerm::from(&message);
    let mut walk = raw.walk(&Limits::default()).unwrap();
    assert_eq!(walk.tuple(), Some(3));
    for part in message.as_tuple().unwrap() {
        let mut builder = Builder::default();
        assert!(walk.visit(&mut builder).is_continue());
        assert_eq!(builder.done(), *part);
    }
    assert!(walk.is_done() && walk.visit(&mut Until(0)).is_continue());
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
            .with_depth(random.below(12))
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
    let mut most = Most {
        left: raw.bytes().len(),
        claimed: 0,
    };
    let visited = raw.visit(limits, &mut most);
    assert_eq!(visited.err(), walked.as_ref().err().copied(), "{name}");
    match (&decoded, walked) {
        (Ok(term), Ok(mut walk)) => {
            assert_eq!(walk.term().as_ref(), Some(term), "{name}");
            assert!(walk.is_done(), "{name}");
            let mut builder = Builder::default();
            let ControlFlow::Continue(()) = raw.visit(limits, &mut builder).unwrap();
            // Nothing makes a record with other flags.
            if !builder.odd {
                assert_eq!(builder.done(), *term, "{name}");
            }
        }
        // What walking leaves to those who build.
        (Err(DecodeError::DuplicateKey), _) => {}
        (Err(_), Err(_)) => {}
        (_, walked) => panic!("{name}: {decoded:?}, but {walked:?} of {:?}", raw.bytes()),
    }
}

/// Never told of more parts, over all open containers together, than there are bytes.
struct Most {
    left: usize,
    claimed: usize,
}

impl<'a> Visit<'a> for Most {
    type Stop = Infallible;

    fn token(&mut self, token: Token<'a>) -> ControlFlow<Infallible> {
        let parts = match token {
            Token::Tuple(arity) => arity,
            Token::List(length) => length + 1,
            Token::Map(pairs) => pairs * 2,
            Token::Record(fields, _) => 2 + fields * 2,
            _ => 0,
        };
        self.claimed = self.claimed.saturating_sub(1) + parts;
        assert!(self.claimed <= self.left, "{}", self.claimed);
        ControlFlow::Continue(())
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
        Token::List(length) => {
            let items = parts(walk, length);
            Term::list_with_tail(items, build(walk))
        }
        Token::Tuple(arity) => Term::tuple(parts(walk, arity)),
        Token::Map(pairs) => Term::map((0..pairs).map(|_| (build(walk), build(walk)))),
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
        token => leaf(token),
    }
}

/// A value that is one token.
fn leaf(token: Token<'_>) -> Term {
    match token {
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
        Token::Pid(pid) => {
            let own = pid.to_pid().unwrap();
            assert!(pid.node() == own.node && pid.id() == own.id && pid.serial() == own.serial);
            assert_eq!(pid.creation(), own.creation);
            own.into()
        }
        Token::Port(port) => {
            let own = port.to_port().unwrap();
            assert!(port.node() == own.node && port.id() == own.id);
            assert_eq!(port.creation(), own.creation);
            own.into()
        }
        Token::Reference(reference) => {
            let own = reference.to_reference().unwrap();
            assert!(reference.node() == *own.node() && reference.creation() == own.creation());
            assert!(reference.words().eq(own.words().iter().copied()));
            own.into()
        }
        Token::Export(encoded) | Token::Fun(encoded) => encoded.decode().unwrap(),
        token => panic!("{token:?}"),
    }
}

fn parts(walk: &mut Walk<'_>, count: usize) -> Vec<Term> {
    (0..count).map(|_| build(walk)).collect()
}
