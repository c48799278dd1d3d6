//! The option `query`: one name or several, from the file or the environment.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::de::{Deserialize, Deserializer, Error as _};
use toml::{Table, Value};

use super::super::{Place, options};
use crate::config::{self, ConfigError};
use crate::platform::Env;

pub(super) const ALLOWED: &str = "a domain name, { env = \"NAME\" }, { basename = \"app\", query = … } \
     or a list of these; \"\" switches it off";

/// As it is written.
#[derive(Debug, Default)]
pub(super) struct Queries(Vec<Query>);

/// What dns_cluster writes as `"query"` or `{"basename", "query"}`.
#[derive(Debug)]
struct Query {
    basename: Option<String>,
    text: Text,
}

#[derive(Debug)]
enum Text {
    Plain(String),
    /// The name of a variable.
    Env(String),
}

// By hand: derived enums take a list of two texts for a table with two keys.
impl<'de> Deserialize<'de> for Queries {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let queries = match Value::deserialize(input)? {
            Value::Array(all) => all.iter().map(query).collect(),
            one => query(&one).map(|query| vec![query]),
        };
        queries.map(Self).ok_or_else(|| D::Error::custom(ALLOWED))
    }
}

fn query(value: &Value) -> Option<Query> {
    if let Some(text) = text(value) {
        return Some(Query {
            basename: None,
            text,
        });
    }
    let pair = value.as_table().filter(|table| table.len() == 2)?;
    Some(Query {
        basename: Some(pair.get("basename")?.as_str()?.to_owned()),
        text: text(pair.get("query")?)?,
    })
}

fn text(value: &Value) -> Option<Text> {
    match value {
        Value::String(text) => Some(Text::Plain(text.clone())),
        Value::Table(table) if table.len() == 1 => {
            Some(Text::Env(table.get("env")?.as_str()?.to_owned()))
        }
        _ => None,
    }
}

/// One name to look up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Before the `@`, where this query has one of its own.
    pub(super) basename: Option<String>,
    pub(super) query: String,
}

impl Queries {
    /// Each name once, or why all of them are switched off.
    pub(super) fn read(
        &self,
        place: &Place<'_>,
        table: &Table,
        env: &Env,
    ) -> Result<Result<Vec<Target>, String>, ConfigError> {
        let mut targets = Vec::new();
        let mut off = None;
        let mut seen = BTreeSet::new();
        for Query { basename, text } in &self.0 {
            let basename = basename.as_deref();
            if basename.is_some_and(|basename| options::basename("", Some(basename)).is_err()) {
                return Err(wrong(place, table));
            }
            let query = match text.read(env) {
                Ok(query) => query,
                Err(why) => {
                    off.get_or_insert(why);
                    continue;
                }
            };
            text.check(&query, place, table)?;
            if seen.insert((basename, query.to_lowercase())) {
                targets.push(Target {
                    basename: basename.map(Into::into),
                    query,
                });
            }
        }
        if targets.is_empty() {
            return Ok(Err(off.unwrap_or_else(|| "query is empty".into())));
        }
        Ok(Ok(targets))
    }
}

impl Text {
    /// The name, or why it is switched off. What dns_cluster takes as `:ignore` arrives as a text.
    fn read(&self, env: &Env) -> Result<String, String> {
        let (text, off) = match self {
            Self::Plain(text) => (text.as_str(), "query is empty".to_owned()),
            Self::Env(name) => {
                let off = format!("${name} is not set or empty");
                (env.text(name).unwrap_or_default(), off)
            }
        };
        match text.trim() {
            "" => Err(off),
            ":ignore" => Err("query is :ignore".into()),
            text => Ok(text.to_owned()),
        }
    }

    fn check(&self, query: &str, place: &Place<'_>, table: &Table) -> Result<(), ConfigError> {
        if crate::dns::is_name(query) && query.parse::<IpAddr>().is_err() {
            return Ok(());
        }
        match self {
            Self::Plain(_) => Err(wrong(place, table)),
            Self::Env(env) => Err(ConfigError::new(
                place.path,
                Some("query"),
                format!("query is to come from ${env}, and {query:?} is no domain name"),
                format!("set {env} to one domain name"),
            )
            .elsewhere()),
        }
    }
}

fn wrong(place: &Place<'_>, table: &Table) -> ConfigError {
    let shown = table.get("query").map(config::show).unwrap_or_default();
    ConfigError::bad_value(place.path, "query", &shown, ALLOWED)
}
