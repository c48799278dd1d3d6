//! What the harness and a peer say to each other: a word, then `key=value` fields, on one line.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::str::FromStr;

use anyhow::{Context as _, Result, anyhow};

/// A command, or an answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) word: String,
    fields: BTreeMap<String, String>,
}

impl Line {
    pub(crate) fn new(word: &str) -> Self {
        Self {
            word: word.to_owned(),
            fields: BTreeMap::new(),
        }
    }

    #[must_use]
    pub(crate) fn with(mut self, key: &str, value: impl Display) -> Self {
        self.fields.insert(key.to_owned(), value.to_string());
        self
    }

    /// The same fields behind another word.
    #[must_use]
    pub(crate) fn renamed(mut self, word: &str) -> Self {
        word.clone_into(&mut self.word);
        self
    }

    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut words = text.split_whitespace();
        let mut line = Self::new(words.next().context("an empty line")?);
        for field in words {
            let (key, value) = field
                .split_once('=')
                .ok_or_else(|| anyhow!("{field:?} in {text:?} is no field"))?;
            line = line.with(key, value);
        }
        Ok(line)
    }

    pub(crate) fn text(&self, key: &str) -> Result<&str> {
        let value = self.fields.get(key);
        Ok(value.with_context(|| format!("no {key} in {self}"))?)
    }

    pub(crate) fn number<T: FromStr>(&self, key: &str) -> Result<T> {
        let text = self.text(key)?;
        let number = text.parse().ok();
        number.with_context(|| format!("{key} is no number in {self}"))
    }
}

impl Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.word)?;
        for (key, value) in &self.fields {
            write!(f, " {key}={value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood() {
        let line = Line::new("take").with("count", 7).with("to", "a@b");
        assert_eq!(line.to_string(), "take count=7 to=a@b");
        let heard = Line::parse("take count=7 to=a@b\n").unwrap();
        assert_eq!(heard, line);
        assert_eq!(heard.number::<u64>("count").unwrap(), 7);
        assert!(heard.number::<u64>("to").is_err());
        assert!(heard.text("size").is_err());
        assert!(Line::parse("take 7").is_err());
    }
}
