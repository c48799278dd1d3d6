//! What we print in Elixir's syntax is what `inspect/2` of a real Elixir prints, and reads back as the same term.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use trunkline_etf::{Atom, Limits, Term};
use trunkline_interop::terms::{Beam, Random, plain};

/// Terms that are printed on both sides.
const TERMS: usize = 50_000;
/// Terms that Elixir's compiler reads.
const READ: usize = 2_000;
/// Terms in a packet.
const BATCH: usize = 500;

/// Sends terms, and compares what comes back with our text of the same bytes. How many there were.
fn compare(elixir: &mut Beam, terms: &[Term]) {
    let encoded = terms.iter().map(|term| Term::binary(term.to_vec()));
    let question = Term::tuple([Term::atom("inspect"), Term::list(encoded)]);
    let answer = elixir.ask(&question);
    let answers = answer.as_list().unwrap();
    assert_eq!(answers.len(), terms.len());
    for pair in answers {
        let [encoded, text] = pair.as_list().unwrap() else {
            panic!("{pair}")
        };
        let term = Term::decode(&encoded.to_bytes().unwrap(), &Limits::default()).unwrap();
        let ours = term.elixir().charlists_as_lists().to_string();
        assert_eq!(ours, text.to_text().unwrap(), "{term}");
    }
}

/// Elixir evaluates what we print, character lists as `~c"…"`. What `inspect/2` itself prints of the
/// atoms U+0080 to U+009F (`:"\x80"`) cannot be read back: there `\x` is a byte; nor can
/// functions whose names need an escape.
fn read_back(elixir: &mut Beam, terms: &[Term]) {
    let texts = terms.iter().map(|term| (term, term.elixir().to_string()));
    let unreadable = |text: &str| ["\\x8", "\\x9", "&"].iter().any(|part| text.contains(part));
    let readable = texts.filter(|(_, text)| !unreadable(text));
    let pairs =
        readable.map(|(term, text)| Term::list([Term::binary(term.to_vec()), Term::from(&*text)]));
    let answer = elixir.ask(&Term::tuple([Term::atom("eval"), Term::list(pairs)]));
    assert!(answer.is_atom("ok"), "{}", answer.elixir());
}

#[test]
fn terms_print_as_inspect_prints_them() {
    let (mut random, mut elixir) = (Random::from_environment(), Beam::elixir("inspect_port.exs"));
    for _ in 0..TERMS / BATCH {
        let terms: Vec<_> = (0..BATCH).map(|_| plain(&random.term(4))).collect();
        compare(&mut elixir, &terms);
    }
}

#[test]
fn what_is_printed_can_be_read() {
    let (mut random, mut elixir) = (Random::from_environment(), Beam::elixir("inspect_port.exs"));
    for _ in 0..READ / BATCH {
        let terms: Vec<_> = (0..BATCH).map(|_| plain(&random.term(3))).collect();
        read_back(&mut elixir, &terms);
    }
}

/// Every text of up to three of the characters that decide, every operator, and words.
#[test]
fn atoms_print_as_inspect_prints_them() {
    let letters = [
        "a", "A", "1", "_", "@", "?", "!", ".", "é", "É", "я", "ª", "#", "{", "\"", " ",
    ];
    let signs = [
        "!", "@", ".", "^", "+", "-", "*", "/", "<", ">", "=", "~", "&", "|", "\\", "%", "{", "}",
        ":",
    ];
    let mut texts: Vec<String> = [
        "",
        "nil",
        "true",
        "false",
        "and",
        "or",
        "not",
        "in",
        "when",
        "fn",
        "do",
        "end",
        "else",
        "rescue",
        "catch",
        "after",
        "xor",
        "not in",
        "Elixir",
        "Elixir.",
        "Elixir.Foo",
        "Elixir.Elixir",
        "Elixir.Elixir.Foo",
        "Elixir.foo",
        "Elixir.Foo.Bar",
        "Elixir.Foo.bar",
        "Elixir.Foo.",
        "Elixir.É",
        "Elixir.Foo_1",
        "Elixir.Foo?",
        "Elixirs",
        "__struct__",
        "..//",
        "...",
        "<<>>",
        "app@10.0.0.1",
        "app@fdaa:0:1::2",
        "\0",
        "\u{80}",
        "\u{fffe}",
        "日本",
        "ａ",
        "😀",
        "ŉ",
        "ſ",
        "ά",
    ]
    .map(String::from)
    .into();
    for alphabet in [&letters[..], &signs[..]] {
        for one in alphabet {
            texts.push((*one).to_owned());
            for two in alphabet {
                texts.push(format!("{one}{two}"));
                texts.extend(alphabet.iter().map(|three| format!("{one}{two}{three}")));
            }
        }
    }
    let mut elixir = Beam::elixir("inspect_port.exs");
    let atoms: Vec<Atom> = texts.iter().map(|text| Atom::new(text).unwrap()).collect();
    for some in atoms.chunks(BATCH) {
        // Alone, as a key of a list and of a map, and as a function.
        let terms = some.iter().flat_map(|atom| {
            let alone = Term::from(atom);
            let pair = Term::tuple([alone.clone(), Term::from(1)]);
            let function = trunkline_etf::Export {
                module: atom.clone(),
                function: atom.clone(),
                arity: 1,
            };
            let map = Term::map([(alone.clone(), 1)]);
            [alone, Term::list([pair]), map, function.into()]
        });
        let terms: Vec<_> = terms.collect();
        compare(&mut elixir, &terms);
    }
    let readable: Vec<_> = atoms.iter().map(Term::from).collect();
    read_back(&mut elixir, &readable);
}

#[test]
fn strings_and_numbers_print_as_inspect_prints_them() {
    let mut terms = Vec::new();
    for c in (0..0x300).chain([
        0x200b, 0x2028, 0xd7ff, 0xe000, 0xfffd, 0xfffe, 0xffff, 0x1_0000, 0x1_fffe, 0x10_ffff,
    ]) {
        let text: String = char::from_u32(c).unwrap().into();
        terms.push(Term::from(&*text));
        terms.push(Term::from(&*format!("#{{{text}#")));
        if let Ok(byte) = u8::try_from(c) {
            terms.push(Term::binary(vec![byte]));
            terms.push(Term::list([byte, b'a']));
        }
    }
    let floats = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.1,
        1000.0,
        1e5,
        123_456.0,
        1e15,
        1e16,
        1e22,
        1e-5,
        0.0001,
        0.00015,
        5e-324,
        1.5e300,
        9_007_199_254_740_992.0,
        9_007_199_254_740_994.0,
        9_999_999_999_999_998.0,
        123_456_789.123,
        f64::MAX,
        f64::MIN_POSITIVE,
    ];
    terms.extend(floats.into_iter().filter_map(Term::float));
    let mut elixir = Beam::elixir("inspect_port.exs");
    compare(&mut elixir, &terms);
    read_back(&mut elixir, &terms);
}
