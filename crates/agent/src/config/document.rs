//! A TOML file that knows the line of each key.

use std::collections::BTreeMap;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::ConfigError;

/// A parsed file: its values, and where each key stands.
/// Its values may be secret: absent from `Debug`.
pub(super) struct Document {
    file: String,
    lines: BTreeMap<String, usize>,
    pub(super) root: toml::Table,
}

impl Document {
    /// Parses `text`, which was read from `file`.
    pub(super) fn parse(file: &Path, text: &str) -> Result<Self, ConfigError> {
        let file = file.display().to_string();
        let refused = |error: toml::de::Error| {
            let line = error.span().map_or(1, |span| line_at(text, span.start));
            // The library's own message without its excerpt: a line of the file may hold a secret.
            let what = error.message().replace('\n', ", ");
            ConfigError::new(what, format!("{file}:{line}"), "correct the TOML syntax")
        };
        let spanned = DeTable::parse(text).map_err(refused)?;
        let root = text.parse().map_err(refused)?;
        let mut lines = BTreeMap::new();
        index(text, "", spanned.get_ref(), &mut lines);
        Ok(Self { file, lines, root })
    }

    /// Every place where `text` is no TOML, in its order; empty when all of it is.
    pub(super) fn syntax(text: &str) -> Vec<(usize, String)> {
        let (_, errors) = DeTable::parse_recoverable(text);
        let mut found: Vec<_> = errors
            .into_iter()
            .map(|error| {
                let line = error.span().map_or(1, |span| line_at(text, span.start));
                (line, error.message().replace('\n', ", "))
            })
            .collect();
        found.sort();
        // One slip can be seen in several ways; the first on its line tells enough.
        found.dedup_by_key(|(line, _)| *line);
        found
    }

    /// The line of the key `key` in the section at the dotted path `section`; the section's own
    /// line when the key is not in the file.
    pub(super) fn line(&self, section: &str, key: &str) -> Option<usize> {
        let line = self.lines.get(&join(section, key));
        line.or_else(|| self.lines.get(section)).copied()
    }

    /// `file:line [section]` of the key `key` in the section at the dotted path `section`; the
    /// section's own line when the key is not in the file.
    pub(super) fn place(&self, section: &str, key: &str) -> String {
        let head = match self.line(section, key) {
            Some(line) => format!("{}:{line}", self.file),
            None => self.file.clone(),
        };
        if section.is_empty() {
            head
        } else {
            format!("{head} [{section}]")
        }
    }
}

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Document")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

/// The dotted path of `key` in `section`.
pub(super) fn join(section: &str, key: &str) -> String {
    if section.is_empty() {
        key.to_owned()
    } else {
        format!("{section}.{key}")
    }
}

fn index(text: &str, path: &str, table: &DeTable<'_>, lines: &mut BTreeMap<String, usize>) {
    for (key, value) in table {
        let path = join(path, key.get_ref());
        lines.insert(path.clone(), line_at(text, key.span().start));
        if let DeValue::Table(inner) = value.get_ref() {
            index(text, &path, inner, lines);
        }
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    before.filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_line_of_nested_and_inline_keys() {
        let text = "a = 1\n\n[t.web]\nx = 2\nh = { port = 80,\n  rise = 1 }\n";
        let doc = Document::parse(Path::new("f.toml"), text).unwrap();
        assert_eq!(doc.place("", "a"), "f.toml:1");
        assert_eq!(doc.place("t.web", "x"), "f.toml:4 [t.web]");
        assert_eq!(doc.place("t.web.h", "rise"), "f.toml:6 [t.web.h]");
        assert_eq!(doc.place("t.web", "absent"), "f.toml:3 [t.web]");
    }

    #[test]
    fn a_syntax_error_shows_the_line_and_not_its_text() {
        let error = Document::parse(Path::new("f.toml"), "x = 1\ntoken = \"hush\n").unwrap_err();
        assert!(error.place.starts_with("f.toml:2"), "{error}");
        assert!(!error.to_string().contains("hush"), "{error}");
    }
}
