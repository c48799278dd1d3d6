//! Printing in Erlang's syntax, as `~tw` does.

pub(crate) mod elixir;
mod float;

use alloc::vec::Vec;
use core::{fmt, fmt::Write, mem, slice::Iter};

use crate::{
    Atom, Term,
    binary::Bits,
    fun::{Export, Fun},
    term::Repr,
};

/// As `io:format("~tw")`: `{ok,[1,2],<<97>>,#{a => 1}}`. Pids, ports and references show the node's name, ids and
/// creation instead of a number that only one runtime knows; an opaque term shows its bytes; a map has the order of the wire.
impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(mut current) = head(self, f)? else {
            return Ok(());
        };
        let mut waiting = Vec::new();
        loop {
            if let Some((separator, term)) = current.next() {
                separator.write(f)?;
                if let Some(inner) = head(term, f)? {
                    waiting.push(mem::replace(&mut current, inner));
                }
                continue;
            }
            f.write_str(current.end())?;
            match waiting.pop() {
                Some(outer) => current = outer,
                None => return Ok(()),
            }
        }
    }
}

/// As `Display`.
impl fmt::Debug for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A container of which parts are still to be written.
struct Open<'a> {
    shape: Shape<'a>,
    rest: Iter<'a, Term>,
    first: bool,
}

enum Shape<'a> {
    Tuple,
    List,
    Improper,
    /// And whether a value comes next.
    Map(bool),
    Record(Iter<'a, Atom>),
}

/// What comes before a part.
enum Separator<'a> {
    Text(&'static str),
    Field(&'static str, &'a Atom),
}

impl<'a> Open<'a> {
    fn next(&mut self) -> Option<(Separator<'a>, &'a Term)> {
        let term = self.rest.next()?;
        let comma = if mem::take(&mut self.first) { "" } else { "," };
        let separator = match &mut self.shape {
            Shape::Improper if self.rest.len() == 0 => Separator::Text("|"),
            Shape::Map(value) => {
                let arrow = mem::replace(value, !*value);
                Separator::Text(if arrow { " => " } else { comma })
            }
            Shape::Record(names) => Separator::Field(comma, names.next()?),
            _ => Separator::Text(comma),
        };
        Some((separator, term))
    }

    fn end(&self) -> &'static str {
        match self.shape {
            Shape::Tuple | Shape::Map(_) | Shape::Record(_) => "}",
            Shape::List | Shape::Improper => "]",
        }
    }
}

impl Separator<'_> {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Field(comma, name) => {
                f.write_str(comma)?;
                atom(f, name)?;
                f.write_str(" = ")
            }
        }
    }
}

/// Writes all of a term that has no parts to show, else what comes before them.
fn head<'a>(term: &'a Term, f: &mut fmt::Formatter<'_>) -> Result<Option<Open<'a>>, fmt::Error> {
    let shape = match &term.0 {
        Repr::Tuple(_) => (Shape::Tuple, f.write_str("{")),
        Repr::List(_) => (Shape::List, f.write_str("[")),
        Repr::Improper(_) => (Shape::Improper, f.write_str("[")),
        Repr::Map(_) => (Shape::Map(false), f.write_str("#{")),
        Repr::Record(record) => {
            f.write_str("#")?;
            atom(f, &record.module)?;
            f.write_str(":")?;
            atom(f, &record.name)?;
            (Shape::Record(record.fields.iter()), f.write_str("{"))
        }
        _ => return leaf(term, f).map(|()| None),
    };
    shape.1?;
    Ok(Some(Open {
        shape: shape.0,
        rest: term.parts().iter(),
        first: true,
    }))
}

fn binary_of(f: &mut fmt::Formatter<'_>, content: &[u8]) -> fmt::Result {
    f.write_str("<<")?;
    bytes(f, content)?;
    f.write_str(">>")
}

fn leaf(term: &Term, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match &term.0 {
        Repr::Atom(value) => atom(f, value),
        Repr::Int(value) => write!(f, "{value}"),
        Repr::ShortBig(value) => write!(f, "{}", value.view()),
        Repr::Big(value) => write!(f, "{}", value.view()),
        Repr::Float(value) => float::float(f, *value),
        Repr::ShortBinary(binary) => binary_of(f, binary.as_slice()),
        Repr::Binary(binary) => binary_of(f, binary.as_slice()),
        Repr::String(list) => {
            f.write_str("[")?;
            bytes(f, list.bytes())?;
            f.write_str("]")
        }
        Repr::Bits(value) => bits(f, value),
        Repr::Pid(value) => write!(f, "{value}"),
        Repr::Port(value) => write!(f, "{value}"),
        Repr::Reference(value) => write!(f, "{value}"),
        Repr::Fun(value) => fun(f, value),
        Repr::Export(value) => export(f, value),
        Repr::Opaque(value) => {
            f.write_str("#Local<")?;
            value.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
            f.write_str(">")
        }
        Repr::Nil => f.write_str("[]"),
        // Containers are written by their parts.
        Repr::Tuple(_) | Repr::List(_) | Repr::Improper(_) | Repr::Map(_) | Repr::Record(_) => {
            Ok(())
        }
    }
}

fn bytes(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    let mut bytes = bytes.iter();
    if let Some(first) = bytes.next() {
        write!(f, "{first}")?;
    }
    bytes.try_for_each(|byte| write!(f, ",{byte}"))
}

fn bits(f: &mut fmt::Formatter<'_>, bits: &Bits) -> fmt::Result {
    let [whole @ .., last] = &**bits.bytes() else {
        return f.write_str("<<>>");
    };
    f.write_str("<<")?;
    bytes(f, whole)?;
    if !whole.is_empty() {
        f.write_str(",")?;
    }
    let length = bits.bits_of_last();
    let value = last
        .checked_shr(8_u32.saturating_sub(length.into()))
        .unwrap_or(0);
    write!(f, "{value}:{length}>>")
}

pub(crate) fn fun(f: &mut fmt::Formatter<'_>, fun: &Fun) -> fmt::Result {
    f.write_str("#Fun<")?;
    atom(f, &fun.module)?;
    write!(f, ".{}.{}>", fun.old_index, fun.old_uniq)
}

fn export(f: &mut fmt::Formatter<'_>, export: &Export) -> fmt::Result {
    f.write_str("fun ")?;
    atom(f, &export.module)?;
    f.write_str(":")?;
    atom(f, &export.function)?;
    write!(f, "/{}", export.arity)
}

/// An atom, in quotes where Erlang needs them.
pub(crate) fn atom(f: &mut fmt::Formatter<'_>, atom: &Atom) -> fmt::Result {
    let text = atom.as_str();
    if is_bare(text) {
        return f.write_str(text);
    }
    f.write_str("'")?;
    text.chars().try_for_each(|c| quoted(f, c))?;
    f.write_str("'")
}

/// Starts small, goes on with letters, digits, `_` and `@` of Latin-1, and is no word of the language.
fn is_bare(text: &str) -> bool {
    let small = |c| matches!(c, 'a'..='z' | 'ß'..='ö' | 'ø'..='ÿ');
    let other = |c| matches!(c, 'A'..='Z' | 'À'..='Ö' | 'Ø'..='Þ' | '0'..='9' | '_' | '@');
    let mut chars = text.chars();
    chars.next().is_some_and(small)
        && chars.all(|c| small(c) || other(c))
        && !RESERVED.contains(&text)
}

fn quoted(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
    match c {
        '\'' | '\\' => write!(f, "\\{c}"),
        ' '..='~' | '\u{a0}'.. => f.write_char(c),
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        '\u{b}' => f.write_str("\\v"),
        '\u{8}' => f.write_str("\\b"),
        '\u{c}' => f.write_str("\\f"),
        '\u{1b}' => f.write_str("\\e"),
        '\u{7f}' => f.write_str("\\d"),
        control => write!(f, "\\{:03o}", u32::from(control)),
    }
}

/// `erl_scan:reserved_word/1`, with those that OTP 27 added (`else` and `maybe`).
const RESERVED: [&str; 29] = [
    "after", "and", "andalso", "band", "begin", "bnot", "bor", "bsl", "bsr", "bxor", "case",
    "catch", "cond", "div", "else", "end", "fun", "if", "let", "maybe", "not", "of", "or",
    "orelse", "receive", "rem", "try", "when", "xor",
];
