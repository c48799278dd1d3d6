//! Everything that is wrong with a configuration, not only the first thing.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use toml::{Table, Value};
use trunkline_discovery::Env;
use trunkline_discovery::config::{ConfigError as OptionError, Field, nearest};
use trunkline_discovery::strategies::{self, COMMON, Topology};

use super::document::Document;
use super::suspicious::suspicious;
use super::{
    ADMIN_FIELDS, AgentConfig, ConfigError, ENGINE_FIELDS, NODE_FIELDS, SECTIONS, Written,
};
use crate::identity;

/// What [`check`] found.
#[derive(Debug)]
pub struct Checked {
    /// What must be mended before an agent starts, in the order of their lines.
    pub mistakes: Vec<Finding>,
    /// What may be right, and should be looked at: secrets that are not to be had here, and what is
    /// rarely meant.
    pub warnings: Vec<Finding>,
    /// What an agent would do, when there is no mistake.
    pub understood: Option<(AgentConfig, Vec<Topology>)>,
}

/// One mistake, or one thing to look at. `Display` is the line that a person reads. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong, one clause.
    pub what: String,
    /// `trunkline.toml:7 [topologies.web]`, or the environment variable.
    pub place: String,
    /// What to do about it.
    pub cure: String,
    /// The line in the file.
    pub line: Option<usize>,
    /// The table, `topologies.web`.
    pub section: Option<String>,
    /// The key in it.
    pub key: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} · {} · {}", self.what, self.place, self.cure)
    }
}

/// Checks the text of a file, or with `None` what the environment alone says. Nothing is sent.
pub fn check(file: Option<(&Path, &str)>, env: &Env) -> Checked {
    let document = match file.map(|(path, text)| parse(path, text)).transpose() {
        Ok(document) => document,
        Err(mistakes) => {
            return Checked {
                mistakes,
                warnings: Vec::new(),
                understood: None,
            };
        }
    };
    let mut checker = Checker::new(document.as_ref(), env);
    let written = checker.examine();
    let Checker {
        mut mistakes,
        mut warnings,
        root,
        env: placeholders,
        ..
    } = checker;
    let path = file.map(|(path, _)| path);
    let mut doubts = suspicious(&root, document.as_ref(), path);
    // A section with a mistake is not what its author meant anyway.
    doubts.retain(|doubt| {
        mistakes
            .iter()
            .all(|mistake| mistake.section != doubt.section)
    });
    warnings.extend(doubts);
    let understood = match written {
        Some(written) if mistakes.is_empty() => {
            let cookie = identity::cookie(env, None, &written.node).err();
            warnings.extend(cookie.map(|error| {
                let error = OptionError::new("node", Some("cookie"), error.what, error.cure);
                Finding::option(document.as_ref(), &error)
            }));
            let tls = crate::tls::tls(env, &written.node).err();
            warnings.extend(tls.map(|error| {
                let error = OptionError::new("node.tls", None, error.what, error.cure);
                Finding::option(document.as_ref(), &error)
            }));
            understand(
                written,
                path,
                document,
                &placeholders,
                &mut mistakes,
                &mut warnings,
            )
        }
        _ => None,
    };
    mistakes.sort_by_key(|mistake| mistake.line);
    warnings.sort_by_key(|warning| warning.line);
    Checked {
        mistakes,
        warnings,
        understood,
    }
}

fn parse(path: &Path, text: &str) -> Result<Document, Vec<Finding>> {
    Document::parse(path, text).map_err(|first| {
        let mistakes = Document::syntax(text)
            .into_iter()
            .map(|(line, what)| Finding {
                what,
                place: format!("{}:{line}", path.display()),
                cure: first.cure.clone(),
                line: Some(line),
                section: None,
                key: None,
            });
        let mistakes: Vec<_> = mistakes.collect();
        if mistakes.is_empty() {
            return vec![Finding::whole(&first)];
        }
        mistakes
    })
}

/// What an agent would do. What is missing is chosen by the environment, which may be another one
/// where the agent will run.
fn understand(
    written: Written,
    path: Option<&Path>,
    document: Option<Document>,
    env: &Env,
    mistakes: &mut Vec<Finding>,
    warnings: &mut Vec<Finding>,
) -> Option<(AgentConfig, Vec<Topology>)> {
    let has_topology = !written.topologies.is_empty();
    let complete = AgentConfig::complete(written, path, document, env);
    let built = complete.and_then(|config| {
        let topologies = config.build(&identity::build_cx(env)?)?;
        Ok((config, topologies))
    });
    match built {
        Ok(built) => Some(built),
        Err(error) => {
            let of_file = has_topology || path.is_none();
            let list = if of_file { mistakes } else { warnings };
            list.push(Finding::whole(&error));
            None
        }
    }
}

/// Reads again and again, mending what was wrong, until nothing is.
struct Checker<'a> {
    document: Option<&'a Document>,
    root: Table,
    env: Env,
    mistakes: Vec<Finding>,
    warnings: Vec<Finding>,
    /// What was mended: section and key.
    mended: BTreeSet<(String, String)>,
    /// The same for secrets that are not to be had here.
    stood_in: BTreeSet<(String, String)>,
}

/// Stands for a secret that is not to be had here.
const PLACEHOLDER: &str = "TRUNKLINE_CONFIG_CHECK_PLACEHOLDER";

impl<'a> Checker<'a> {
    fn new(document: Option<&'a Document>, env: &Env) -> Self {
        let mut env = env.clone();
        env.set(PLACEHOLDER, "placeholder");
        Self {
            document,
            root: document.map(|d| d.root.clone()).unwrap_or_default(),
            env,
            mistakes: Vec::new(),
            warnings: Vec::new(),
            mended: BTreeSet::new(),
            stood_in: BTreeSet::new(),
        }
    }

    /// What the file says once all its mistakes are taken out.
    fn examine(&mut self) -> Option<Written> {
        loop {
            let error = match self.read() {
                Ok(written) => return Some(written),
                Err(Some(error)) => error,
                // Not the file's fault, and said by whoever builds.
                Err(None) => return None,
            };
            if !self.is_consequence(&error) {
                let finding = Finding::option(self.document, &error);
                if error.is_elsewhere() {
                    self.warnings.push(finding);
                } else {
                    self.mistakes.push(finding);
                }
            }
            if !self.mend(&error) {
                return None;
            }
        }
    }

    fn read(&mut self) -> Result<Written, Option<OptionError>> {
        let written = Written::read(&self.root, &self.env)?;
        let cx = match identity::build_cx(&self.env) {
            Ok(cx) => cx,
            Err(error) => {
                self.mistakes.push(Finding::whole(&error));
                return Err(None);
            }
        };
        for topology in &written.topologies {
            strategies::build(&topology.name, &topology.table, &cx)?;
        }
        Ok(written)
    }

    /// A key that was taken out is missed by one that was right beside it.
    fn is_consequence(&self, error: &OptionError) -> bool {
        let mended = self.mended.iter().filter(|(at, _)| *at == error.place);
        let own = error.key.as_deref();
        let others: BTreeSet<_> = mended
            .map(|(_, key)| key.as_str())
            .filter(|key| Some(*key) != own)
            .collect();
        let mut words = error
            .what()
            .split(|c: char| !c.is_alphanumeric() && c != '_');
        words.any(|word| others.contains(word))
    }

    /// Takes the mistake out, so that the next one shows. Whether anything changed.
    fn mend(&mut self, error: &OptionError) -> bool {
        let Some(key) = &error.key else {
            return drop_section(&mut self.root, &error.place);
        };
        let mended = if error.is_elsewhere() {
            &mut self.stood_in
        } else {
            &mut self.mended
        };
        let again = !mended.insert((error.place.clone(), key.clone()));
        let Some(table) = section(&mut self.root, &error.place).filter(|_| !again) else {
            return drop_section(&mut self.root, &error.place);
        };
        match replacement(error, key, table) {
            Some(value) => {
                table.insert(key.clone(), value);
                true
            }
            None => table.remove(key).is_some() || drop_section(&mut self.root, &error.place),
        }
    }
}

/// What stands in for a value that must be there.
fn replacement(error: &OptionError, key: &str, table: &Table) -> Option<Value> {
    if error.place.starts_with("topologies.") && key == "strategy" {
        let names = strategies::TABLE.iter().map(|row| row.name);
        return nearest(table.get(key)?.as_str()?, names).map(Into::into);
    }
    let field = fields(&error.place, table).find(|field| field.name == key)?;
    if error.is_elsewhere() || (field.required && field.secret) {
        return Some(Value::Table(Table::from_iter([(
            "env".to_owned(),
            PLACEHOLDER.into(),
        )])));
    }
    let example = field.example.filter(|_| field.required)?;
    let parsed: Table = format!("value = {example}").parse().ok()?;
    parsed.get("value").cloned()
}

fn fields(place: &str, table: &Table) -> impl Iterator<Item = &'static Field> {
    let of_strategy = |table: &Table| {
        let row = table.get("strategy").and_then(Value::as_str);
        row.and_then(strategies::find)
            .map_or(&[][..], |row| row.fields)
    };
    let (own, common) = match place {
        "" => (SECTIONS, &[][..]),
        "node" => (NODE_FIELDS, &[][..]),
        "engine" => (ENGINE_FIELDS, &[][..]),
        "admin" => (ADMIN_FIELDS, &[][..]),
        _ => (of_strategy(table), COMMON),
    };
    own.iter().chain(common)
}

/// The table at a dotted path; a topology's name may hold dots of its own.
fn section<'t>(root: &'t mut Table, path: &str) -> Option<&'t mut Table> {
    if path.is_empty() {
        return Some(root);
    }
    if let Some(Value::Table(_)) = root.get(path) {
        return root.get_mut(path)?.as_table_mut();
    }
    let dots = path.match_indices('.').map(|(at, _)| at);
    let (head, rest) = dots
        .map(|at| (&path[..at], &path[at + 1..]))
        .find(|(head, _)| root.get(*head).is_some_and(Value::is_table))?;
    section(root.get_mut(head)?.as_table_mut()?, rest)
}

/// The rest of a section that cannot be mended is passed over. Whether it was there.
fn drop_section(root: &mut Table, path: &str) -> bool {
    let Some(name) = path.strip_prefix("topologies.") else {
        let top = path.split('.').next().unwrap_or_default();
        return root.remove(top).is_some();
    };
    let Some(Value::Table(topologies)) = root.get_mut("topologies") else {
        return false;
    };
    let within = |key: &&String| {
        let rest = name.strip_prefix(key.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let found = topologies.keys().filter(within).max_by_key(|key| key.len());
    let found = found.cloned();
    found.is_some_and(|key| topologies.remove(&key).is_some())
}

impl Finding {
    /// At a key of the file.
    pub(super) fn option(document: Option<&Document>, error: &OptionError) -> Self {
        let key = error.key.as_deref().unwrap_or_default();
        Self {
            what: error.what().to_owned(),
            place: document.map_or_else(|| error.place.clone(), |d| d.place(&error.place, key)),
            cure: error.cure().to_owned(),
            line: document.and_then(|d| d.line(&error.place, key)),
            section: Some(error.place.clone()),
            key: error.key.clone(),
        }
    }

    /// At the file as a whole, or in the environment.
    pub(super) fn whole(error: &ConfigError) -> Self {
        Self {
            what: error.what.clone(),
            place: error.place.clone(),
            cure: error.cure.clone(),
            line: None,
            section: None,
            key: None,
        }
    }
}
