//! What verbs print on stdout: text for people, `--json` for scripts.

use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;

use serde::Serialize;

use crate::failure::Failure;

/// The flag of every verb that prints data.
#[derive(clap::Args, Debug, Clone, Copy)]
pub(crate) struct JsonFlag {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Prints `value` as one line of JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let mut line = serde_json::to_vec(value).map_err(|error| {
        Failure::operation(
            format!("cannot write JSON: {error}"),
            "stdout",
            "report this",
        )
    })?;
    line.push(b'\n');
    bytes(&line)
}

/// Prints a text that ends with its own newline.
pub(crate) fn text(text: &str) -> Result<(), Failure> {
    bytes(text.as_bytes())
}

/// Writes to stdout. A reader that has gone away (`| head -1`) has what it wanted: the process
/// ends at once with success.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(Failure::operation(
            format!("cannot write: {error}"),
            "stdout",
            "look at where the output goes",
        )),
    }
}

/// `Ok(ExitCode::SUCCESS)`, for the end of a verb.
pub(crate) fn done() -> Result<ExitCode, Failure> {
    Ok(ExitCode::SUCCESS)
}
