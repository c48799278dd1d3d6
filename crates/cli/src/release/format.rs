//! The formats of `env`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use serde_json::{Map, Value};

use super::exports::Exports;
use super::shell;
use crate::failure::Failure;

/// How variables are written.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// For `eval "$(trunkline env)"`
    Sh,
    /// NAME=value lines, for systemd's EnvironmentFile and docker --env-file
    Dotenv,
    /// ENV lines: what every machine has in common, for --platform fly
    Dockerfile,
    /// One object
    Json,
}

impl Format {
    /// The whole text.
    pub(crate) fn render(self, exports: &Exports) -> Result<Vec<u8>, Failure> {
        if self == Self::Sh {
            return Ok(shell::exports(exports));
        }
        if exports.on_start.is_some() {
            return Err(no_fixed_port());
        }
        match self {
            Self::Sh | Self::Dotenv => lines(exports, |name, value| {
                Ok([name.as_bytes(), b"=", one_line(name, value)?, b"\n"].concat())
            }),
            Self::Dockerfile => lines(exports, |name, value| {
                let value = escaped(one_line(name, value)?);
                Ok([b"ENV ", name.as_bytes(), b"=\"", &value, b"\"\n"].concat())
            }),
            Self::Json => json(exports),
        }
    }
}

/// Only `sh` can say that something is for some commands only.
pub(super) fn no_fixed_port() -> Failure {
    Failure::usage(
        "a fixed port is for commands that start a node only, which this format cannot say",
        "--dist-port",
        "use --format sh in env.sh, or leave the flag out",
    )
}

fn lines(
    exports: &Exports,
    line: impl Fn(&str, &OsStr) -> Result<Vec<u8>, Failure>,
) -> Result<Vec<u8>, Failure> {
    let lines: Result<Vec<_>, _> = exports
        .always
        .iter()
        .map(|(name, value)| line(name, value))
        .collect();
    Ok(lines?.concat())
}

fn json(exports: &Exports) -> Result<Vec<u8>, Failure> {
    let mut object = Map::new();
    for (name, value) in &exports.always {
        let text = value
            .to_str()
            .ok_or_else(|| unwritable(name, "is no UTF-8"))?;
        object.insert((*name).to_owned(), Value::from(text));
    }
    let mut text = Value::from(object).to_string().into_bytes();
    text.push(b'\n');
    Ok(text)
}

/// Formats of lines cannot hold a line break, and readers differ in what they make of an escape.
fn one_line<'a>(name: &str, value: &'a OsStr) -> Result<&'a [u8], Failure> {
    let bytes = value.as_bytes();
    if bytes.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        return Err(unwritable(name, "holds a newline"));
    }
    Ok(bytes)
}

fn unwritable(name: &str, why: &str) -> Failure {
    Failure::operation(
        format!("{name} {why}, which this format cannot hold"),
        "--format",
        "set the variable without it, or use --format sh",
    )
}

/// For the double quotes of a Dockerfile.
fn escaped(value: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(value.len());
    for byte in value {
        if matches!(byte, b'"' | b'\\' | b'$') {
            text.push(b'\\');
        }
        text.push(*byte);
    }
    text
}
