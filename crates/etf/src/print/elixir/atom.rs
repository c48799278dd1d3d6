//! Atoms and quoted text as Elixir writes them.

use core::fmt::{self, Write as _};

use crate::Atom;

/// `:ok`, `:"weird one"`, `nil`, `true`, `Foo.Bar`.
pub(super) fn literal(f: &mut fmt::Formatter<'_>, atom: &Atom) -> fmt::Result {
    let text = atom.as_str();
    match kind(text) {
        Kind::Word => f.write_str(text),
        Kind::Alias => f.write_str(alias(text)),
        Kind::Operator | Kind::Punctuation | Kind::Identifier | Kind::Name => write!(f, ":{text}"),
        Kind::Other => {
            f.write_str(":")?;
            quoted(f, text)
        }
    }
}

/// As a key, with the space after it: `ok: `, `"weird one": `.
pub(super) fn key(f: &mut fmt::Formatter<'_>, atom: &Atom) -> fmt::Result {
    let text = atom.as_str();
    match kind(text) {
        Kind::Alias | Kind::Other => quoted(f, text)?,
        _ => f.write_str(text)?,
    }
    f.write_str(": ")
}

/// As a function's name: `map`, `+`, `"weird one"`.
pub(super) fn function(f: &mut fmt::Formatter<'_>, atom: &Atom) -> fmt::Result {
    let text = atom.as_str();
    match kind(text) {
        Kind::Word | Kind::Operator | Kind::Identifier => f.write_str(text),
        _ if RETIRED.contains(&text) => f.write_str(text),
        _ => quoted(f, text),
    }
}

/// Whether a pair with this key is written `key: value`.
pub(super) fn is_key(atom: &Atom) -> bool {
    !atom.as_str().starts_with("Elixir.")
}

/// In double quotes.
pub(super) fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            '#' if chars.peek() == Some(&'{') => f.write_str("\\#")?,
            '\0' => f.write_str("\\0")?,
            '\u{7}' => f.write_str("\\a")?,
            '\u{8}' => f.write_str("\\b")?,
            '\t' => f.write_str("\\t")?,
            '\n' => f.write_str("\\n")?,
            '\u{b}' => f.write_str("\\v")?,
            '\u{c}' => f.write_str("\\f")?,
            '\r' => f.write_str("\\r")?,
            '\u{1b}' => f.write_str("\\e")?,
            '\u{7f}' => f.write_str("\\d")?,
            _ if is_printable(c) => f.write_char(c)?,
            _ if u32::from(c) < 0x100 => write!(f, "\\x{:02X}", u32::from(c))?,
            _ => write!(f, "\\x{{{:X}}}", u32::from(c))?,
        }
    }
    f.write_str("\"")
}

/// `String.printable?/1` of one character.
pub(super) fn is_printable(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..)
        || matches!(c, '\u{7}'..='\r' | '\u{1b}' | '\u{7f}')
}

/// What decides how an atom is written.
enum Kind {
    /// `nil`, `true`, `false`.
    Word,
    /// The name of a module.
    Alias,
    /// It can be called without quotes.
    Operator,
    /// It needs no quotes, and cannot be called.
    Punctuation,
    /// Starts small: it can be called.
    Identifier,
    /// `:Foo`, `:a@b`.
    Name,
    /// It needs quotes.
    Other,
}

fn kind(text: &str) -> Kind {
    match text {
        "nil" | "true" | "false" => Kind::Word,
        _ if is_alias(text) => Kind::Alias,
        _ if PUNCTUATION.contains(&text) => Kind::Punctuation,
        _ if OPERATORS.contains(&text) => Kind::Operator,
        _ => identifier(text),
    }
}

fn identifier(text: &str) -> Kind {
    let body = text.strip_suffix(['?', '!']).unwrap_or(text);
    let mut chars = body.chars();
    let starts = |c: char| c == '_' || script(c).is_some();
    let Some(first) = chars.next().filter(|c| starts(*c)) else {
        return Kind::Other;
    };
    let goes_on = |c: char| starts(c) || c == '@' || c.is_ascii_digit();
    if !chars.all(goes_on) || is_mixed(body) {
        Kind::Other
    } else if first.is_uppercase() || body.contains('@') {
        Kind::Name
    } else {
        Kind::Identifier
    }
}

/// `Elixir`, `Elixir.Foo`, `Elixir.Foo.Bar_1`.
fn is_alias(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("Elixir") else {
        return false;
    };
    let segment = |segment: &str| {
        segment.starts_with(|c: char| c.is_ascii_uppercase())
            && segment
                .chars()
                .all(|c| c == '_' || c.is_ascii_alphanumeric())
    };
    rest.is_empty()
        || rest
            .strip_prefix('.')
            .is_some_and(|rest| rest.split('.').all(segment))
}

/// How the name of a module is written: without `Elixir.`, where that would not be another one.
fn alias(text: &str) -> &str {
    match text.strip_prefix("Elixir.") {
        Some(rest) if rest != "Elixir" && !rest.starts_with("Elixir.") => rest,
        _ => text,
    }
}

/// Whose letters a name has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Script {
    Latin,
    Greek,
    Cyrillic,
    Japanese,
}

/// The script of a letter that Elixir takes in a name as it is. Others (those of rarer scripts, and
/// those that have another normal form) are put into quotes, which names the same atom.
fn script(c: char) -> Option<Script> {
    match c {
        'a'..='z' | 'A'..='Z' => Some(Script::Latin),
        '×' | '÷' | 'Ĳ' | 'ĳ' | 'Ŀ' | 'ŀ' | 'ŉ' | 'ſ' => None,
        'À'..='ſ' => Some(Script::Latin),
        'Α'..='Ρ' | 'Σ'..='Ω' | 'ά'..='ώ' => Some(Script::Greek),
        'Ѐ'..='ҁ' | 'Ҋ'..='ӿ' => Some(Script::Cyrillic),
        'ぁ'..='ゖ' | 'ァ'..='ヺ' | '一'..='龥' => Some(Script::Japanese),
        _ => None,
    }
}

/// Letters that look alike must not stand side by side; only Japanese is written with Latin ones.
fn is_mixed(name: &str) -> bool {
    let mut scripts = name.chars().filter_map(script);
    let Some(first) = scripts.next() else {
        return false;
    };
    let with_latin = |script| matches!(script, Script::Latin | Script::Japanese);
    scripts.any(|other| other != first && !(with_latin(first) && with_latin(other)))
}

/// Of these nothing can be called.
const PUNCTUATION: [&str; 9] = ["%", "%{}", "{}", "<<>>", "...", "..", ".", "..//", "->"];

/// Operators that are quoted where they are called nothing.
const RETIRED: [&str; 4] = ["^^^", "~~~", "<|>", "::"];

/// Of Elixir 1.14 and newer.
const OPERATORS: [&str; 44] = [
    "!", "@", "^", "+", "++", "+++", "-", "--", "---", "*", "**", "/", "<", ">", "<=", ">=", "==",
    "!=", "=~", "===", "!==", "&&", "&&&", "||", "|||", "<>", "<-", "\\\\", "|", "|>", "<<<",
    ">>>", "<<~", "~>>", "<~", "~>", "<~>", "=", "&", "and", "or", "not", "in", "when",
];
