//! Printing in Elixir's syntax, as `inspect/2` without limits does.

mod atom;

use alloc::vec::Vec;
use core::{fmt, mem, slice, str};

use crate::{
    Atom, Term,
    fun::{Export, Fun},
    term::Repr,
};

impl Term {
    /// Prints in Elixir's syntax, on one line and whole: `{:ok, [1, 2], "a", %{a: 1}}`. Lists of printable
    /// ASCII are `~c"…"`. Structs show their fields, as where their module is not loaded; pids, ports,
    /// references and closures show what is on the wire.
    ///
    /// ```
    /// # use trunkline_etf::{Term, atom};
    /// let term = Term::tuple([Term::atom("ok"), Term::from("a"), Term::map([(atom!("n"), 1)])]);
    /// assert_eq!(term.elixir().to_string(), r#"{:ok, "a", %{n: 1}}"#);
    /// ```
    #[must_use]
    pub fn elixir(&self) -> Elixir<'_> {
        Elixir {
            term: self,
            charlists: true,
        }
    }
}

impl Atom {
    /// Prints in Elixir's syntax: `:ok`, `:"app@10.0.0.5"`, `Foo.Bar`, `nil`.
    #[must_use]
    pub fn elixir(&self) -> impl fmt::Display + '_ {
        ElixirAtom(self)
    }
}

/// A term as Elixir writes it; see [`Term::elixir`].
#[derive(Clone, Copy, Debug)]
pub struct Elixir<'a> {
    term: &'a Term,
    charlists: bool,
}

impl Elixir<'_> {
    /// Lists of numbers stay lists of numbers: `charlists: :as_lists`.
    #[must_use]
    pub fn charlists_as_lists(mut self) -> Self {
        self.charlists = false;
        self
    }

    /// Writes all of a term that has no parts to show, else what comes before them.
    fn head<'a>(
        &self,
        term: &'a Term,
        f: &mut fmt::Formatter<'_>,
    ) -> Result<Option<Open<'a>>, fmt::Error> {
        let (text, shape) = match &term.0 {
            Repr::Tuple(_) => ("{", Shape::Tuple),
            Repr::String(list) => return self.byte_list(f, list.bytes()).map(|()| None),
            Repr::List(items) if self.charlists && items.iter().all(is_ascii) => {
                return charlist(f, items.iter().filter_map(byte)).map(|()| None);
            }
            Repr::List(items) if items.iter().all(|item| pair(item).is_some()) => {
                ("[", Shape::Keyword)
            }
            Repr::List(_) => ("[", Shape::List),
            Repr::Improper(_) => ("[", Shape::Improper),
            Repr::Map(_) => {
                let is_key = |key: &Term| matches!(&key.0, Repr::Atom(key) if atom::is_key(key));
                let keys = term.parts().chunks(2).filter_map(<[Term]>::first);
                let keyed = keys.into_iter().all(is_key);
                (
                    "%{",
                    if keyed {
                        Shape::Keys
                    } else {
                        Shape::Map(false)
                    },
                )
            }
            Repr::Record(record) => {
                f.write_str("#")?;
                atom::literal(f, &record.module)?;
                f.write_str(":")?;
                f.write_str(record.name.as_str())?;
                ("{", Shape::Record(record.fields.iter()))
            }
            _ => return leaf(term, f).map(|()| None),
        };
        f.write_str(text)?;
        Ok(Some(Open {
            shape,
            rest: term.parts().iter(),
            first: true,
        }))
    }

    fn byte_list(&self, f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
        if self.charlists && bytes.iter().all(|byte| is_ascii(&Term::from(*byte))) {
            return charlist(f, bytes.iter().copied());
        }
        f.write_str("[")?;
        numbers(f, bytes)?;
        f.write_str("]")
    }
}

impl fmt::Display for Elixir<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(mut current) = self.head(self.term, f)? else {
            return Ok(());
        };
        let mut waiting = Vec::new();
        loop {
            if let Some(term) = current.next(f)? {
                if let Some(inner) = self.head(term, f)? {
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

/// A container of which parts are still to be written.
struct Open<'a> {
    shape: Shape<'a>,
    rest: slice::Iter<'a, Term>,
    first: bool,
}

enum Shape<'a> {
    Tuple,
    List,
    Improper,
    /// A list of pairs.
    Keyword,
    /// A map, and whether a value comes next.
    Map(bool),
    /// A map of atoms.
    Keys,
    Record(slice::Iter<'a, Atom>),
}

impl<'a> Open<'a> {
    /// Writes what comes before the next part, and gives the part.
    fn next(&mut self, f: &mut fmt::Formatter<'_>) -> Result<Option<&'a Term>, fmt::Error> {
        let Some(term) = self.rest.next() else {
            return Ok(None);
        };
        let comma = if mem::take(&mut self.first) { "" } else { ", " };
        match &mut self.shape {
            Shape::Improper if self.rest.len() == 0 => f.write_str(" | ")?,
            Shape::Map(value) => {
                let arrow = mem::replace(value, !*value);
                f.write_str(if arrow { " => " } else { comma })?;
            }
            Shape::Keyword => {
                f.write_str(comma)?;
                if let Some((key, value)) = pair(term) {
                    atom::key(f, key)?;
                    return Ok(Some(value));
                }
            }
            Shape::Keys => {
                f.write_str(comma)?;
                if let (Repr::Atom(key), Some(value)) = (&term.0, self.rest.next()) {
                    atom::key(f, key)?;
                    return Ok(Some(value));
                }
            }
            Shape::Record(names) => {
                f.write_str(comma)?;
                if let Some(name) = names.next() {
                    atom::key(f, name)?;
                }
            }
            Shape::Tuple | Shape::List | Shape::Improper => f.write_str(comma)?,
        }
        Ok(Some(term))
    }

    fn end(&self) -> &'static str {
        match self.shape {
            Shape::Tuple | Shape::Map(_) | Shape::Keys | Shape::Record(_) => "}",
            Shape::List | Shape::Improper | Shape::Keyword => "]",
        }
    }
}

/// `{key, value}` that a keyword list may hold.
fn pair(term: &Term) -> Option<(&Atom, &Term)> {
    let Repr::Tuple(_) = &term.0 else { return None };
    match term.parts() {
        [Term(Repr::Atom(key)), value] if atom::is_key(key) => Some((key, value)),
        _ => None,
    }
}

/// `List.ascii_printable?/1` of one element.
fn is_ascii(term: &Term) -> bool {
    matches!(&term.0, Repr::Int(0x07..=0x0d | 0x1b | 0x20..=0x7e))
}

fn byte(term: &Term) -> Option<u8> {
    u8::try_from(term.as_i64()?).ok()
}

fn charlist(f: &mut fmt::Formatter<'_>, bytes: impl Iterator<Item = u8>) -> fmt::Result {
    f.write_str("~c")?;
    let text: alloc::string::String = bytes.map(char::from).collect();
    atom::quoted(f, &text)
}

fn leaf(term: &Term, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match &term.0 {
        Repr::Atom(value) => atom::literal(f, value),
        Repr::Float(value) => float(f, *value),
        Repr::ShortBinary(binary) => bytes(f, binary.as_slice()),
        Repr::Binary(binary) => bytes(f, binary.as_slice()),
        Repr::Bits(value) => bits(f, value),
        Repr::Pid(pid) => {
            let (node, id, serial) = (&pid.node, pid.id, pid.serial);
            write!(f, "#PID<{node} {id}.{serial} c={}>", pid.creation)
        }
        Repr::Port(port) => write!(f, "{port}"),
        Repr::Reference(reference) => {
            write!(f, "#Reference<{}", reference.node())?;
            for (index, word) in reference.words().iter().enumerate() {
                write!(f, "{}{word}", if index == 0 { " " } else { "." })?;
            }
            write!(f, " c={}>", reference.creation())
        }
        Repr::Fun(value) => fun(f, value),
        Repr::Export(value) => export(f, value),
        Repr::Nil => f.write_str("[]"),
        // Numbers and what nobody else can read are as in Erlang; containers are written by their parts.
        _ => fmt::Display::fmt(term, f),
    }
}

/// Whole numbers below 10^16 are plain, as Elixir's own printer has it; all else is as in Erlang.
fn float(f: &mut fmt::Formatter<'_>, value: f64) -> fmt::Result {
    let plain = (1.0..1.0e16).contains(&value.abs());
    if plain && value % 1.0 == 0.0 {
        return write!(f, "{value:.1}");
    }
    super::float::float(f, value)
}

fn bytes(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    if let Ok(text) = str::from_utf8(bytes)
        && text.chars().all(atom::is_printable)
    {
        return atom::quoted(f, text);
    }
    f.write_str("<<")?;
    numbers(f, bytes)?;
    f.write_str(">>")
}

fn bits(f: &mut fmt::Formatter<'_>, bits: &crate::Bits) -> fmt::Result {
    let [whole @ .., last] = &**bits.bytes() else {
        return f.write_str("<<>>");
    };
    f.write_str("<<")?;
    numbers(f, whole)?;
    if !whole.is_empty() {
        f.write_str(", ")?;
    }
    let length = bits.bits_of_last();
    let value = last
        .checked_shr(8_u32.saturating_sub(length.into()))
        .unwrap_or(0);
    write!(f, "{value}::size({length})>>")
}

fn numbers(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for (index, byte) in bytes.iter().enumerate() {
        write!(f, "{}{byte}", if index == 0 { "" } else { ", " })?;
    }
    Ok(())
}

fn fun(f: &mut fmt::Formatter<'_>, fun: &Fun) -> fmt::Result {
    write!(
        f,
        "#Function<{}.{}/{} in ",
        fun.index, fun.old_uniq, fun.arity
    )?;
    atom::literal(f, &fun.module)?;
    f.write_str(">")
}

fn export(f: &mut fmt::Formatter<'_>, export: &Export) -> fmt::Result {
    f.write_str("&")?;
    atom::literal(f, &export.module)?;
    f.write_str(".")?;
    atom::function(f, &export.function)?;
    write!(f, "/{}", export.arity)
}

struct ElixirAtom<'a>(&'a Atom);

impl fmt::Display for ElixirAtom<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        atom::literal(f, self.0)
    }
}
