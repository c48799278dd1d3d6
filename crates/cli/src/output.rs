//! What verbs print on stdout: text for people, `--json` for scripts.

use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use serde::Serialize;
use trunkline_etf::Atom;

use crate::failure::Failure;

/// The flag of every verb that prints data.
#[derive(clap::Args, Debug, Clone, Copy)]
pub(crate) struct JsonFlag {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The flag of every verb that prints names of nodes.
#[derive(clap::Args, Debug, Clone, Copy)]
pub(crate) struct SyntaxFlag {
    /// Print names as Elixir terms, to be pasted into iex
    #[arg(long, conflicts_with = "json")]
    pub(crate) elixir: bool,
}

impl SyntaxFlag {
    /// A node's name: `app@10.0.0.5`, or `:"app@10.0.0.5"`.
    pub(crate) fn node(self, name: &str) -> String {
        match Atom::new(name) {
            Ok(atom) if self.elixir => atom.elixir().to_string(),
            _ => name.to_owned(),
        }
    }
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

/// Ends the process with success once nobody reads stdout any more: whoever prints only now and then
/// would find out at the next line only, and `| head -1` would hang until then.
pub(crate) fn end_with_reader() {
    std::thread::spawn(|| {
        let stdout = io::stdout();
        // Nothing is asked for, so that only an error or the other end's leaving wakes us.
        let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
        while poll(&mut fds, None) == Err(Errno::INTR) {}
        if fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP) {
            std::process::exit(0);
        }
    });
}

/// `Ok(ExitCode::SUCCESS)`, for the end of a verb.
pub(crate) fn done() -> Result<ExitCode, Failure> {
    Ok(ExitCode::SUCCESS)
}
