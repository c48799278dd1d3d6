//! The hosts in a `.hosts.erlang`: Erlang terms, read as `file:consult/1` does. An atom (`'host.example.org'`, `host`)
//! or a string (`"host"`), a dot, and so on; `%` begins a comment. One mistake, and nothing counts.

use std::iter::Peekable;
use std::net::IpAddr;
use std::str::Chars;

use trunkline_proto::NodeName;

/// What is wrong in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    /// From 1.
    pub(super) line: usize,
    /// One clause.
    pub(super) what: String,
}

/// The hosts, addresses in canonical text, sorted, each once.
pub(super) fn hosts(text: &str) -> Result<Vec<String>, Mistake> {
    let mut reader = Reader {
        chars: text.chars().peekable(),
        line: 1,
    };
    let mut hosts = Vec::new();
    while let Some(host) = reader.term()? {
        hosts.push(host);
    }
    hosts.sort_unstable();
    hosts.dedup();
    Ok(hosts)
}

struct Reader<'a> {
    chars: Peekable<Chars<'a>>,
    line: usize,
}

impl Reader<'_> {
    /// The next host and its dot; `None` at the end.
    fn term(&mut self) -> Result<Option<String>, Mistake> {
        self.skip_blank();
        let line = self.line;
        let text = match self.chars.peek() {
            None => return Ok(None),
            Some('\'' | '"') => self.quoted()?,
            Some('a'..='z') => self.bare()?,
            Some(_) => {
                let what = format!("{} is neither an atom nor a string", self.word());
                return Err(Mistake { line, what });
            }
        };
        self.dot(line, &text)?;
        check(&text, line).map(Some)
    }

    /// `host`: letters, digits, `_` and `@`.
    fn bare(&mut self) -> Result<String, Mistake> {
        let line = self.line;
        let (mut rest, mut text) = (self.chars.clone(), String::new());
        while let Some(c) = rest.next_if(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '@')) {
            text.push(c);
        }
        // `host.example.org.` and `web-1.` are several terms to Erlang, and a mistake.
        let goes_on = match rest.next() {
            Some('.') => rest.peek().is_some_and(|c| !is_blank(*c) && *c != '%'),
            Some(c) => !is_blank(c) && c != '%',
            None => false,
        };
        if goes_on {
            let word = self.word();
            let what = format!("{word} needs quotes: '{}'.", word.trim_end_matches('.'));
            return Err(Mistake { line, what });
        }
        for _ in text.chars() {
            self.next();
        }
        Ok(text)
    }

    /// Between quotes, with Erlang's escapes.
    fn quoted(&mut self) -> Result<String, Mistake> {
        let line = self.line;
        let open = |line| Mistake {
            line,
            what: "a quote is not closed".into(),
        };
        let quote = self.next().ok_or_else(|| open(line))?;
        let mut text = String::new();
        loop {
            match self.next() {
                None => return Err(open(line)),
                Some(c) if c == quote => return Ok(text),
                Some('\\') => text.push(self.escaped().ok_or_else(|| open(line))?),
                Some(c) => text.push(c),
            }
        }
    }

    /// What follows a backslash. What no host can hold anyway is only told from the rest.
    fn escaped(&mut self) -> Option<char> {
        match self.next()? {
            'x' => {
                let braces = self.chars.next_if_eq(&'{').is_some();
                let code = self.digits(16, if braces { 6 } else { 2 }, None);
                if braces {
                    self.chars.next_if_eq(&'}');
                }
                Some(code)
            }
            c @ '0'..='7' => Some(self.digits(8, 2, c.to_digit(8))),
            'n' | 'r' | 't' | 'v' | 'b' | 'f' | 'e' | 's' | 'd' | '^' => Some(NONE),
            c => Some(c),
        }
    }

    /// At most `most` more digits of a character's code.
    fn digits(&mut self, radix: u32, most: usize, begun: Option<u32>) -> char {
        let mut code = begun;
        for _ in 0..most {
            let Some(c) = self.chars.next_if(|c| c.is_digit(radix)) else {
                break;
            };
            code = Some(code.unwrap_or(0) * radix + c.to_digit(radix).unwrap_or(0));
        }
        code.and_then(char::from_u32).unwrap_or(NONE)
    }

    /// The dot that ends a term, and the white space that ends the dot.
    fn dot(&mut self, line: usize, text: &str) -> Result<(), Mistake> {
        self.skip_blank();
        let ended = self.next() == Some('.');
        if ended && self.chars.peek().is_none_or(|c| is_blank(*c) || *c == '%') {
            return Ok(());
        }
        let what = format!("no dot ends {}", show(text));
        Err(Mistake { line, what })
    }

    fn skip_blank(&mut self) {
        while let Some(c) = self.chars.peek().copied() {
            if c == '%' {
                while self.chars.next_if(|c| *c != '\n').is_some() {}
            } else if is_blank(c) {
                self.next();
            } else {
                return;
            }
        }
    }

    /// Up to the next blank, for errors.
    fn word(&self) -> String {
        let word = self.chars.clone().take_while(|c| !is_blank(*c));
        word.filter(|c| !c.is_control()).take(SHOWN).collect()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.chars.next();
        self.line += usize::from(next == Some('\n'));
        next
    }
}

/// A host that could stand after an `@`.
fn check(text: &str, line: usize) -> Result<String, Mistake> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(ip.to_canonical().to_string());
    }
    match format!("a@{text}").parse::<NodeName>() {
        Ok(_) => Ok(text.to_owned()),
        Err(why) => {
            let what = format!("{} is no host: {why}", show(text));
            Err(Mistake { line, what })
        }
    }
}

fn show(text: &str) -> String {
    let short: String = text.chars().take(SHOWN).collect();
    format!("{short:?}")
}

/// As Erlang's scanner has it.
const fn is_blank(c: char) -> bool {
    matches!(c, '\0'..=' ' | '\u{80}'..='\u{a0}')
}

/// Of a text in an error.
const SHOWN: usize = 64;

/// Stands for an escape that no host can hold.
const NONE: char = '\u{fffd}';

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mistake(text: &str) -> String {
        let mistake = hosts(text).expect_err(text);
        format!("{}: {}", mistake.line, mistake.what)
    }

    #[test]
    fn what_erlang_reads() {
        let text = "%% the cluster\n'web-1.example.org'.\nhost.\n\n\"db.example.org\" .% a comment\r\n\
                    'fdaa:0:0:0:0:0:0:2'. '10.0.0.1'.\n'w\\x{65}\\142-2'.\nhost.";
        let found = hosts(text).unwrap();
        let expected = [
            "10.0.0.1",
            "db.example.org",
            "fdaa::2",
            "host",
            "web-1.example.org",
            "web-2",
        ];
        assert_eq!(found, expected);
        assert_eq!(hosts("").unwrap(), [""; 0]);
        assert_eq!(hosts("% nobody\n").unwrap(), [""; 0]);
    }

    #[test]
    fn mistakes_name_their_line() {
        assert_eq!(
            mistake("a.\nhost.example.org.\n"),
            "2: host.example.org. needs quotes: 'host.example.org'."
        );
        assert_eq!(mistake("web-1.\n"), "1: web-1. needs quotes: 'web-1'.");
        assert_eq!(
            mistake("10.0.0.1.\n"),
            "1: 10.0.0.1. is neither an atom nor a string"
        );
        assert_eq!(
            mistake("\n{a, b}."),
            "2: {a, is neither an atom nor a string"
        );
        assert_eq!(mistake("a.\n'b"), "2: a quote is not closed");
        assert_eq!(mistake("a.\n'b'\n'c'."), "2: no dot ends \"b\"");
        assert_eq!(mistake("a.\nb"), "2: no dot ends \"b\"");
        assert_eq!(mistake("'a'.'b'."), "1: no dot ends \"a\"");
        assert_eq!(
            mistake("''."),
            "1: \"\" is no host: the part after the @ is empty"
        );
        assert_eq!(
            mistake("'a b'."),
            "1: \"a b\" is no host: ' ' cannot be in the part after the @"
        );
        assert_eq!(
            mistake("'a\\n'."),
            "1: \"a\u{fffd}\" is no host: '\u{fffd}' cannot be in the part after the @"
        );
        assert_eq!(
            mistake("a@b."),
            "1: \"a@b\" is no host: '@' cannot be in the part after the @"
        );
    }

    proptest! {
        /// Whatever is in the file: hosts that can stand in a node's name, or a mistake on one line.
        #[test]
        fn garbage(parts in prop::collection::vec(part(), 0..12)) {
            let text = parts.concat();
            match hosts(&text) {
                Ok(found) => {
                    for host in &found {
                        prop_assert!(format!("a@{host}").parse::<NodeName>().is_ok(), "{host:?}");
                    }
                    let again: String = found.iter().map(|host| format!("'{host}'.\n")).collect();
                    prop_assert_eq!(hosts(&again), Ok(found));
                }
                Err(mistake) => {
                    prop_assert!((1..=text.lines().count().max(1) + 1).contains(&mistake.line));
                    prop_assert!(!mistake.what.contains(char::is_control), "{:?}", mistake.what);
                    prop_assert!(mistake.what.len() < 1000);
                }
            }
        }
    }

    fn part() -> impl Strategy<Value = String> {
        let known = [
            "a",
            "host",
            "'host.example.org'.",
            "\"b\".",
            ".",
            ". ",
            ".\n",
            "'",
            "\"",
            "\\",
            "\\x",
            "\\x{",
            "\\777",
            "%",
            "\n",
            "\0",
            "é",
            "'é'.",
            "{",
            "10.0.0.1",
            "'fdaa::2'.",
            "a@b",
        ];
        prop_oneof![
            4 => prop::sample::select(known.to_vec()).prop_map(str::to_owned),
            1 => any::<String>(),
        ]
    }
}
