//! From a TOML table to a strategy's config struct.

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::ConfigError;

/// One option, as documentation, error texts and `config example` need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The key.
    pub name: &'static str,
    /// What it does, one clause.
    pub summary: &'static str,
    /// What it may be set to, one clause.
    pub allowed: &'static str,
    /// Its default as TOML; `None`: there is none, it is required or simply absent.
    pub default: Option<&'static str>,
    /// A value as TOML, for options without a default.
    pub example: Option<&'static str>,
    /// Whether it must be set.
    pub required: bool,
    /// Whether its value is never shown.
    pub secret: bool,
}

impl Field {
    /// An option that may be absent.
    pub const fn new(name: &'static str, allowed: &'static str, summary: &'static str) -> Self {
        Self {
            name,
            summary,
            allowed,
            default: None,
            example: None,
            required: false,
            secret: false,
        }
    }

    /// With this default, written as TOML.
    pub const fn default(mut self, toml: &'static str) -> Self {
        self.default = Some(toml);
        self
    }

    /// With this value, written as TOML, where documentation needs one.
    pub const fn example(mut self, toml: &'static str) -> Self {
        self.example = Some(toml);
        self
    }

    /// What documentation shows as its value: the example, else the default.
    pub fn shown(&self) -> Option<&'static str> {
        self.example.or(self.default)
    }

    /// Must be set.
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Never shown.
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
}

/// Reads `table` into `T`, a struct with `#[serde(default, deny_unknown_fields)]`. The error names
/// the key that is to blame, its value (unless it is a secret) and what is allowed. Required keys
/// must be there.
pub fn read<T: DeserializeOwned>(
    place: &str,
    table: &Table,
    fields: &[Field],
) -> Result<T, ConfigError> {
    check_keys(place, table, fields)?;
    for field in fields {
        if let Some(value) = table.get(field.name) {
            read_one::<T>(place, field, value)?;
        } else if field.required {
            return Err(ConfigError::missing(place, field.name, field.allowed));
        }
    }
    T::deserialize(table.clone()).map_err(|_| {
        ConfigError::new(
            place,
            None,
            "these options do not fit together",
            "see the documentation of the strategy",
        )
    })
}

/// Whether every key of `table` is one of `fields`; the error names the nearest.
pub fn check_keys(place: &str, table: &Table, fields: &[Field]) -> Result<(), ConfigError> {
    let known = || fields.iter().map(|field| field.name);
    match table.keys().find(|key| !known().any(|name| name == *key)) {
        Some(key) => Err(ConfigError::unknown_key(place, key, known())),
        None => Ok(()),
    }
}

/// With every field optional, a table of one key fails exactly when that key is to blame.
fn read_one<T: DeserializeOwned>(
    place: &str,
    field: &Field,
    value: &Value,
) -> Result<(), ConfigError> {
    let mut alone = Table::new();
    alone.insert(field.name.into(), value.clone());
    match T::deserialize(alone) {
        Ok(_) => Ok(()),
        Err(_) => {
            let shown = if field.secret {
                "(hidden)".into()
            } else {
                show(value)
            };
            Err(ConfigError::bad_value(
                place,
                field.name,
                &shown,
                field.allowed,
            ))
        }
    }
}

/// A value as TOML on one line, cut when it is long.
pub(crate) fn show(value: &Value) -> String {
    const LONGEST: usize = 120;
    let text = value.to_string().replace('\n', " ");
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
