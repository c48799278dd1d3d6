//! Secrets in a configuration.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use zeroize::Zeroizing;

use super::ConfigError;
use crate::platform::Env;
use crate::short_file;

/// Where a secret is: in the file itself (`"text"`), in the environment (`{ env = "NAME" }`), or in
/// a file (`{ file = "/path" }`).
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// Written into the configuration.
    Text(SecretText),
    /// The name of an environment variable.
    Env(String),
    /// A file whose content it is.
    File(PathBuf),
}

/// What a [`Secret`] takes, for error texts.
pub const ALLOWED: &str = "a text, { env = \"NAME\" } or { file = \"/path\" }";

/// A secret's text: wiped when dropped, absent from `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes the text as it is.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The secret itself, for the one place that must send it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl Secret {
    /// Fetches a token: what stands around it (spaces, a final newline) is no part of it, and it
    /// must be visible ASCII, as a header field is. `key` and `place` are for the error.
    pub fn token(&self, env: &Env, place: &str, key: &str) -> Result<SecretText, ConfigError> {
        let text = match self {
            Self::Text(text) => text.clone(),
            Self::Env(name) => SecretText::new(env.text(name).ok_or_else(|| {
                let shown = shown(name);
                let what = match env.get(name) {
                    Some(_) => format!("{key} is to come from ${shown}, which is not UTF-8"),
                    None => format!("{key} is to come from ${shown}, which is not set or empty"),
                };
                ConfigError::new(place, Some(key), what, format!("set {shown}")).elsewhere()
            })?),
            Self::File(path) => SecretText::new(short_text(path).map_err(|error| {
                ConfigError::new(
                    place,
                    Some(key),
                    format!("{key} is to come from {}: {error}", shown_path(path)),
                    "make it a file that this user can read",
                )
                .elsewhere()
            })?),
        };
        let token = text.expose().trim();
        if token.is_empty() {
            let what = format!("{key} is empty{}", self.origin());
            return Err(ConfigError::new(
                place,
                Some(key),
                what,
                "set it to the API token",
            ));
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let what = format!("{key} has a character that no token has{}", self.origin());
            let cure = "copy the token again, without spaces or quotes";
            return Err(ConfigError::new(place, Some(key), what, cure));
        }
        Ok(SecretText::new(token))
    }

    /// Where it comes from: `$NAME`, a path, or that it stands in the configuration.
    pub fn source(&self) -> String {
        match self {
            Self::Text(_) => "the configuration".into(),
            Self::Env(name) => format!("${}", shown(name)),
            Self::File(path) => shown_path(path).into_owned(),
        }
    }

    /// Where it comes from, as an addition to a clause.
    fn origin(&self) -> String {
        match self {
            Self::Text(_) => String::new(),
            _ => format!(" (from {})", self.source()),
        }
    }
}

/// The name of a variable, unless somebody put the secret itself in its place: names have no small
/// letters, or are short.
fn shown(name: &str) -> &str {
    const LONGEST: usize = 20;
    let is_name = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    if name.len() < LONGEST || (name.len() <= 64 && name.bytes().all(is_name)) {
        name
    } else {
        "(hidden, it may be a secret)"
    }
}

/// A path, unless somebody put the secret itself in its place.
fn shown_path(path: &Path) -> std::borrow::Cow<'_, str> {
    let text = path.to_string_lossy();
    if text.contains(['/', '.']) || shown(&text) == text {
        text
    } else {
        "(hidden, it may be a secret)".into()
    }
}

/// More than any token has; a wrong path (`/dev/zero`, a disk image) must not fill memory.
const MAX_FILE: u64 = 64 << 10;

fn short_text(path: &Path) -> io::Result<String> {
    let file = short_file::read(path, MAX_FILE + 1)?;
    if file.secret_bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::other("it is too large for a token"));
    }
    let text = std::str::from_utf8(&file.secret_bytes);
    text.map(str::to_owned)
        .map_err(|_| io::Error::other("it is not UTF-8"))
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => text.fmt(f),
            _ => write!(f, "(from {})", self.source()),
        }
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(SecretVisitor)
    }
}

struct SecretVisitor;

impl<'de> Visitor<'de> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ALLOWED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
        Ok(Secret::Text(SecretText::new(text)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Secret, A::Error> {
        // The texts of these errors hold no value: it may be the secret in the wrong place.
        let wrong = || de::Error::custom(ALLOWED);
        let key = map.next_key::<String>()?.ok_or_else(wrong)?;
        let place: String = map.next_value().map_err(|_: A::Error| wrong())?;
        let secret = match key.as_str() {
            _ if place.is_empty() => return Err(wrong()),
            "env" => Secret::Env(place),
            "file" => Secret::File(place.into()),
            _ => return Err(wrong()),
        };
        match map.next_key::<String>()? {
            Some(_) => Err(wrong()),
            None => Ok(secret),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Secret, toml::de::Error> {
        #[derive(serde::Deserialize)]
        struct Holder {
            token: Secret,
        }
        toml::from_str::<Holder>(text).map(|holder| holder.token)
    }

    #[test]
    fn three_forms() {
        let env: Env = [("TOKEN", "dop_v1_x\n"), ("EMPTY", " "), ("ODD", "a b")]
            .into_iter()
            .collect();
        let token = |text: &str| {
            read(text)
                .unwrap()
                .token(&env, "topologies.web", "token")
                .map(|token| token.expose().to_owned())
                .map_err(|error| error.to_string())
        };
        assert_eq!(token("token = 'abc'"), Ok("abc".into()));
        assert_eq!(token("token = { env = 'TOKEN' }"), Ok("dop_v1_x".into()));
        for (text, error) in [
            ("token = ''", "token is empty"),
            ("token = { env = 'EMPTY' }", "token is empty (from $EMPTY)"),
            (
                "token = { env = 'ODD' }",
                "token has a character that no token has (from $ODD)",
            ),
            (
                "token = { env = 'NONE' }",
                "token is to come from $NONE, which is not set or empty",
            ),
        ] {
            assert_eq!(
                token(text),
                Err(format!("topologies.web: {error}")),
                "{text}"
            );
        }
        // Somebody took the place for the secret.
        for text in [
            "env = 'dop_v1_0123456789abcdef01'",
            "file = 'dop_v1_0123456789abcdef01'",
        ] {
            let error = token(&format!("token = {{ {text} }}")).unwrap_err();
            assert!(!error.contains("0123456789abcdef"), "{error}");
        }
        let file = token("token = { file = '/nonexistent/token' }").unwrap_err();
        assert!(file.contains("/nonexistent/token: No such file"), "{file}");
        let endless = token("token = { file = '/dev/zero' }").unwrap_err();
        assert!(endless.contains("too large for a token"), "{endless}");
    }

    #[test]
    fn nothing_leaks() {
        let secret = read("token = 'hunter2'").unwrap();
        assert_eq!(format!("{secret:?}"), "(hidden)");
        for text in [
            "token = { evn = 'hunter2' }",
            "token = { env = 'A', x = 'hunter2' }",
            "token = { env = '' }",
            "token = { file = '' }",
            "token = { env = ['hunter2'] }",
            "token = {}",
        ] {
            let error = read(text).unwrap_err();
            assert!(error.message().contains("{ env ="), "{error:?}");
            assert!(!error.message().contains("hunter2"), "{error:?}");
        }
    }
}
