//! Erlang terms as text, as far as an option file of OTP holds them.
//!
//! OTP evaluates `-ssl_dist_optfile` as an expression. Terms are what such files hold in practice,
//! and nobody's code is run here: anything that computes is an error that says so.

use std::fmt;

use thiserror::Error;

/// How deep lists, tuples and maps may nest.
const MAX_DEPTH: usize = 32;

/// A term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// `name` or `'name'`.
    Atom(String),
    /// A whole number.
    Integer(i128),
    /// `"text"`, or a list or binary that is one.
    Text(String),
    /// `[…]`; the empty list is the empty text as well.
    List(Vec<Self>),
    /// `{…}`.
    Tuple(Vec<Self>),
    /// `#{…}`.
    Map(Vec<(Self, Self)>),
    /// `fun module:name/arity`.
    Fun {
        module: String,
        name: String,
        arity: i128,
    },
}

/// Why a text is no term, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {what}")]
pub(super) struct ParseError {
    line: usize,
    what: String,
}

/// The one term of `text`, which ends with a full stop.
pub(super) fn parse(text: &str) -> Result<Value, ParseError> {
    let mut parser = Parser {
        rest: text,
        line: 1,
        depth: 0,
    };
    let value = parser.value()?;
    parser.blanks();
    if !parser.eat(".") {
        return Err(parser.unexpected("a full stop at the end"));
    }
    parser.blanks();
    if !parser.rest.is_empty() {
        return Err(parser.unexpected("nothing after the full stop"));
    }
    Ok(value)
}

impl Value {
    /// The atom's name.
    pub(super) fn atom(&self) -> Option<&str> {
        match self {
            Self::Atom(name) => Some(name),
            _ => None,
        }
    }

    /// The elements of a list.
    pub(super) fn list(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) => Some(items),
            Self::Text(text) if text.is_empty() => Some(&[]),
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Atom(name) => f.write_str(name),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::List(items) => several(f, "[", items, "]"),
            Self::Tuple(items) => several(f, "{", items, "}"),
            Self::Map(_) => f.write_str("#{…}"),
            Self::Fun {
                module,
                name,
                arity,
            } => write!(f, "fun {module}:{name}/{arity}"),
        }
    }
}

fn several(f: &mut fmt::Formatter<'_>, open: &str, items: &[Value], close: &str) -> fmt::Result {
    f.write_str(open)?;
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            f.write_str(",")?;
        }
        write!(f, "{item}")?;
    }
    f.write_str(close)
}

struct Parser<'a> {
    rest: &'a str,
    line: usize,
    depth: usize,
}

impl Parser<'_> {
    fn value(&mut self) -> Result<Value, ParseError> {
        if self.depth == MAX_DEPTH {
            return Err(self.error("terms nest too deep"));
        }
        self.depth += 1;
        let value = self.any();
        self.depth -= 1;
        value
    }

    fn any(&mut self) -> Result<Value, ParseError> {
        self.blanks();
        if self.eat("<<") {
            return self.binary();
        }
        if self.eat("#{") {
            return self.map();
        }
        match self.peek() {
            Some('[') => Ok(Value::List(self.items('[', ']')?)),
            Some('{') => Ok(Value::Tuple(self.items('{', '}')?)),
            Some('"') => self.text(),
            Some('$') => self.character(),
            Some('0'..='9' | '-' | '+') => self.integer(),
            Some(c) if c.is_lowercase() || c == '\'' => self.atom_or_fun(),
            Some(c) if c.is_uppercase() || c == '_' => {
                Err(self.error("a variable: only terms are read here"))
            }
            _ => Err(self.unexpected("a term")),
        }
    }

    /// Everything between two brackets, comma separated.
    fn items(&mut self, open: char, close: char) -> Result<Vec<Value>, ParseError> {
        self.bump(open);
        let mut items = Vec::new();
        self.blanks();
        if self.bump(close) {
            return Ok(items);
        }
        loop {
            items.push(self.value()?);
            self.blanks();
            if self.bump(close) {
                return Ok(items);
            }
            if !self.bump(',') {
                return Err(self.unexpected(&format!("a comma or {close}")));
            }
        }
    }

    fn map(&mut self) -> Result<Value, ParseError> {
        let mut pairs = Vec::new();
        self.blanks();
        if self.bump('}') {
            return Ok(Value::Map(pairs));
        }
        loop {
            let key = self.value()?;
            self.blanks();
            if !self.eat("=>") {
                return Err(self.unexpected("=>"));
            }
            pairs.push((key, self.value()?));
            self.blanks();
            if self.bump('}') {
                return Ok(Value::Map(pairs));
            }
            if !self.bump(',') {
                return Err(self.unexpected("a comma or }"));
            }
        }
    }

    /// `<<"text">>`, `<<"text"/utf8>>` or `<<1,2,3>>` of ASCII.
    fn binary(&mut self) -> Result<Value, ParseError> {
        self.blanks();
        let mut text = String::new();
        while !self.eat(">>") {
            match self.value()? {
                Value::Text(part) => text.push_str(&part),
                Value::Integer(byte @ 0..=127) => text.push(byte as u8 as char),
                _ => return Err(self.error("a binary that is no text")),
            }
            self.blanks();
            if self.eat("/") && !self.eat("utf8") {
                return Err(self.unexpected("utf8"));
            }
            self.blanks();
            if !self.bump(',') && !self.rest.starts_with(">>") {
                return Err(self.unexpected("a comma or >>"));
            }
            self.blanks();
        }
        Ok(Value::Text(text))
    }

    /// `"text"`; texts that follow each other are one.
    fn text(&mut self) -> Result<Value, ParseError> {
        let mut text = String::new();
        while self.peek() == Some('"') {
            self.quoted('"', &mut text)?;
            self.blanks();
        }
        Ok(Value::Text(text))
    }

    fn quoted(&mut self, quote: char, into: &mut String) -> Result<(), ParseError> {
        self.bump(quote);
        loop {
            match self.take() {
                None => return Err(self.error("the quote is not closed")),
                Some(c) if c == quote => return Ok(()),
                Some('\\') => into.push(self.escape()?),
                Some(c) => into.push(c),
            }
        }
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Result<char, ParseError> {
        let Some(c) = self.take() else {
            return Err(self.error("the quote is not closed"));
        };
        Ok(match c {
            'b' => '\x08',
            'd' => '\x7f',
            'e' => '\x1b',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            's' => ' ',
            't' => '\t',
            'v' => '\x0b',
            '^' | 'x' | '0'..='7' => return Err(self.error("an escape that is not read here")),
            other => other,
        })
    }

    fn character(&mut self) -> Result<Value, ParseError> {
        self.bump('$');
        let c = match self.take() {
            Some('\\') => self.escape()?,
            Some(c) => c,
            None => return Err(self.unexpected("a character")),
        };
        Ok(Value::Integer(i128::from(u32::from(c))))
    }

    fn integer(&mut self) -> Result<Value, ParseError> {
        let negative = self.bump('-');
        if !negative {
            self.bump('+');
        }
        self.blanks();
        let digits: String = self
            .rest
            .chars()
            .take_while(|c| c.is_ascii_digit() || *c == '_')
            .collect();
        self.skip(digits.len());
        if self.rest.starts_with('#')
            || self.rest.starts_with('.')
                && self.rest[1..].starts_with(|c: char| c.is_ascii_digit())
        {
            return Err(self.error("a number that is not whole, or not decimal"));
        }
        let number: i128 = digits
            .replace('_', "")
            .parse()
            .map_err(|_| self.error("not a number"))?;
        Ok(Value::Integer(if negative { -number } else { number }))
    }

    fn atom_or_fun(&mut self) -> Result<Value, ParseError> {
        let quoted = self.peek() == Some('\'');
        let name = self.atom()?;
        self.blanks();
        if !quoted && name == "fun" {
            return self.fun();
        }
        if self.rest.starts_with([':', '(']) {
            return Err(self.error(&format!("{name} is called: only terms are read here")));
        }
        Ok(Value::Atom(name))
    }

    fn atom(&mut self) -> Result<String, ParseError> {
        self.blanks();
        let mut name = String::new();
        match self.peek() {
            Some('\'') => self.quoted('\'', &mut name)?,
            Some(c) if c.is_lowercase() => {
                let word = |c: &char| c.is_alphanumeric() || matches!(c, '_' | '@');
                name = self.rest.chars().take_while(word).collect();
                self.skip(name.len());
            }
            _ => return Err(self.unexpected("an atom")),
        }
        Ok(name)
    }

    /// `fun module:name/arity`, after its first word.
    fn fun(&mut self) -> Result<Value, ParseError> {
        if self.rest.starts_with('(') {
            return Err(self.error("code of a fun: only fun module:name/arity is read here"));
        }
        let module = self.atom()?;
        if !self.bump(':') {
            return Err(self.unexpected("fun module:name/arity"));
        }
        let name = self.atom()?;
        if !self.bump('/') {
            return Err(self.unexpected("fun module:name/arity"));
        }
        match self.integer()? {
            Value::Integer(arity) => Ok(Value::Fun {
                module,
                name,
                arity,
            }),
            _ => Err(self.unexpected("an arity")),
        }
    }

    /// Spaces and comments.
    fn blanks(&mut self) {
        while let Some(c) = self.peek() {
            if c == '%' {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                self.skip(end);
            } else if c.is_whitespace() {
                self.take();
            } else {
                return;
            }
        }
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.line += usize::from(c == '\n');
        self.skip(c.len_utf8());
        Some(c)
    }

    fn bump(&mut self, c: char) -> bool {
        let there = self.peek() == Some(c);
        if there {
            self.take();
        }
        there
    }

    fn eat(&mut self, word: &str) -> bool {
        let there = self.rest.starts_with(word);
        if there {
            self.skip(word.len());
        }
        there
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    fn error(&self, what: &str) -> ParseError {
        ParseError {
            line: self.line,
            what: what.to_owned(),
        }
    }

    fn unexpected(&self, wanted: &str) -> ParseError {
        match self.peek() {
            Some(c) => self.error(&format!("{c:?} where {wanted} should be")),
            None => self.error(&format!("the end where {wanted} should be")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn atom(name: &str) -> Value {
        Value::Atom(name.to_owned())
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn an_option_file_as_people_write_it() {
        let file = r#"%% -*- erlang -*-
            [{server, [{certfile, "/etc/ssl/" "app.pem"}, % chain
                       {'keyfile', <<"/etc/ssl/app\"key.pem">>},
                       {verify_fun, {fun inet_tls_dist:verify_client/3, []}},
                       {versions, ['tlsv1.2', 'tlsv1.3']}, {depth, 1_0}, {x, -3}, {c, $a},
                       {certs_keys, [#{certfile => "a", keyfile => "b"}, #{}]}]},
             {client, []}].
        "#;
        let Value::List(sections) = parse(file).unwrap() else {
            panic!("a list");
        };
        let Value::Tuple(server) = &sections[0] else {
            panic!("a tuple");
        };
        let options = server[1].list().unwrap();
        let pair = |key: &str, value| Value::Tuple(vec![atom(key), value]);
        assert_eq!(options[0], pair("certfile", text("/etc/ssl/app.pem")));
        assert_eq!(options[1], pair("keyfile", text("/etc/ssl/app\"key.pem")));
        let fun = "{verify_fun,{fun inet_tls_dist:verify_client/3,[]}}";
        assert_eq!(options[2].to_string(), fun);
        let versions = Value::List(vec![atom("tlsv1.2"), atom("tlsv1.3")]);
        assert_eq!(options[3], pair("versions", versions));
        assert_eq!(options[4], pair("depth", Value::Integer(10)));
        assert_eq!(options[5], pair("x", Value::Integer(-3)));
        assert_eq!(options[6], pair("c", Value::Integer(97)));
        let both = vec![(atom("certfile"), text("a")), (atom("keyfile"), text("b"))];
        let keys = Value::List(vec![Value::Map(both), Value::Map(Vec::new())]);
        assert_eq!(options[7], pair("certs_keys", keys));
        assert_eq!(
            sections[1],
            pair("client", Value::List(Vec::new())),
            "{}",
            sections[1]
        );
    }

    #[test]
    fn what_is_wrong_and_where() {
        for (file, wrong) in [
            (
                "[{server,\n []}",
                "line 2: the end where a comma or ] should be",
            ),
            (
                "[]",
                "line 1: the end where a full stop at the end should be",
            ),
            (
                "[]. x",
                "line 1: 'x' where nothing after the full stop should be",
            ),
            (
                "[{certfile,\n code:priv_dir(app) ++ \"/x\"}].",
                "line 2: code is called: only terms are read here",
            ),
            ("[File].", "line 1: a variable: only terms are read here"),
            (
                "fun(_) -> ok end.",
                "line 1: code of a fun: only fun module:name/arity is read here",
            ),
            ("\"open", "line 1: the quote is not closed"),
            (
                "16#ff.",
                "line 1: a number that is not whole, or not decimal",
            ),
            ("1.5.", "line 1: a number that is not whole, or not decimal"),
            ("<<200>>.", "line 1: a binary that is no text"),
            ("", "line 1: the end where a term should be"),
        ] {
            assert_eq!(parse(file).unwrap_err().to_string(), wrong, "{file}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(
            parse(&deep).unwrap_err().to_string(),
            "line 1: terms nest too deep"
        );
    }

    #[test]
    fn cut_anywhere_it_is_no_term_and_no_panic() {
        let file = "[{server,[{a,<<\"é\"/utf8,65>>},#{k=>'q s'},$\\n,-1,fun m:f/3,\"\\\"x\"]}] . ";
        parse(file).unwrap();
        for (end, _) in file.char_indices() {
            if end + 2 < file.len() {
                parse(&file[..end]).unwrap_err();
            }
        }
    }
}
