//! `node_basename`: the three ways to the part of a node's name before the `@`.

use std::fmt;

use trunkline_proto::Basename;

use crate::config::nearest;

/// The word that is no basename.
const LEARN: &str = "learn";

/// How nodes are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Naming {
    /// All alike: `"app"`.
    Fixed(Basename),
    /// By what the source knows of each: `"{name}"`, `"app-{tags.role}"`.
    Template(Template),
    /// As the EPMD of each host says: `"learn"`.
    Learn,
}

/// A text with labels in braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Label(String),
}

impl Naming {
    /// Reads `node_basename`. `labels` are those that the source knows; `tags.*` stands for every one that
    /// begins with `tags.`.
    ///
    /// # Errors
    /// What is wrong, one clause.
    pub fn parse(text: &str, labels: &[&str]) -> Result<Self, String> {
        if text == LEARN {
            return Ok(Self::Learn);
        }
        if text.contains(['{', '}']) {
            return Template::parse(text, labels).map(Self::Template);
        }
        let basename = text.parse::<Basename>();
        basename.map(Self::Fixed).map_err(|why| why.to_string())
    }

    /// The template, when it is one.
    pub fn template(&self) -> Option<&Template> {
        match self {
            Self::Template(template) => Some(template),
            Self::Fixed(_) | Self::Learn => None,
        }
    }
}

impl Template {
    fn parse(text: &str, labels: &[&str]) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (before, label, after) = match rest.split_once('{') {
                Some((before, inside)) => {
                    let (label, after) = inside
                        .split_once('}')
                        .ok_or_else(|| "a brace is not closed".to_owned())?;
                    (before, Some(label), after)
                }
                None => (rest, None, ""),
            };
            if !before.is_empty() {
                let fits = before.parse::<Basename>().map_err(|why| why.to_string())?;
                parts.push(Part::Text(fits.to_string()));
            }
            if let Some(label) = label {
                check(label, labels)?;
                parts.push(Part::Label(label.to_owned()));
            }
            rest = after;
        }
        Ok(Self(parts))
    }

    /// The labels that it needs.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Label(label) => Some(label.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The basename of a node with these labels, made as every basename is made of a text.
    ///
    /// # Errors
    /// The label that it does not have, or that is empty.
    pub fn fill(&self, label: impl Fn(&str) -> Option<String>) -> Result<Basename, &str> {
        let mut text = String::new();
        let mut last = "";
        for part in &self.0 {
            match part {
                Part::Text(fixed) => text.push_str(fixed),
                Part::Label(name) => {
                    let value = label(name).filter(|value| !value.is_empty());
                    text.push_str(&value.ok_or(name.as_str())?);
                    last = name;
                }
            }
        }
        Basename::sanitize(&text).map_err(|_| last)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Label(label) => write!(f, "{{{label}}}"),
        })
    }
}

fn check(label: &str, labels: &[&str]) -> Result<(), String> {
    let known = |known: &&str| match known.strip_suffix('*') {
        Some(prefix) => label.len() > prefix.len() && label.starts_with(prefix),
        None => *known == label,
    };
    if labels.iter().any(known) {
        return Ok(());
    }
    let shown: String = label.chars().filter(|c| !c.is_control()).take(40).collect();
    if labels.is_empty() {
        return Err(format!("there is no label {{{shown}}}, nor any other"));
    }
    Err(match nearest(label, labels.iter().copied()) {
        Some(near) => format!("there is no label {{{shown}}}; did you mean {{{near}}}?"),
        None => {
            let labels: Vec<_> = labels.iter().map(|label| format!("{{{label}}}")).collect();
            format!(
                "there is no label {{{shown}}}, there are {}",
                labels.join(", ")
            )
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: &[&str] = &["name", "region", "tags.*"];

    fn parse(text: &str) -> Result<Naming, String> {
        Naming::parse(text, LABELS)
    }

    #[test]
    fn three_forms() {
        assert_eq!(parse("app"), Ok(Naming::Fixed("app".parse().unwrap())));
        assert_eq!(parse("learn"), Ok(Naming::Learn));
        let naming = parse("app-{tags.role}_{name}").unwrap();
        let template = naming.template().unwrap();
        assert_eq!(template.to_string(), "app-{tags.role}_{name}");
        assert_eq!(template.labels().collect::<Vec<_>>(), ["tags.role", "name"]);
        let label = |name: &str| (name != "region").then(|| format!("<{name}>"));
        assert_eq!(
            template.fill(label).unwrap().as_str(),
            "app--tags-role-_-name-"
        );
        let naming = parse("{region}").unwrap();
        assert_eq!(naming.template().unwrap().fill(label), Err("region"));
        let empty = |_: &str| Some(String::new());
        assert_eq!(naming.template().unwrap().fill(empty), Err("region"));
    }

    #[test]
    fn mistakes() {
        for (text, why) in [
            ("", "the part before the @ is empty"),
            ("a b", "' ' cannot be in the part before the @"),
            ("{name", "a brace is not closed"),
            ("name}", "'}' cannot be in the part before the @"),
            ("a.{name}", "'.' cannot be in the part before the @"),
            ("{nam}", "there is no label {nam}; did you mean {name}?"),
            (
                "{}",
                "there is no label {}, there are {name}, {region}, {tags.*}",
            ),
            (
                "{tags.}",
                "there is no label {tags.}; did you mean {tags.*}?",
            ),
            (
                "{size}",
                "there is no label {size}, there are {name}, {region}, {tags.*}",
            ),
        ] {
            assert_eq!(parse(text), Err(why.to_owned()), "{text}");
        }
        let none = Naming::parse("{name}", &[]);
        assert_eq!(none, Err("there is no label {name}, nor any other".into()));
    }
}
