//! `trunkline completions SHELL`, from the definitions of the verbs themselves.

use std::process::ExitCode;

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;

use crate::failure::Failure;
use crate::{Cli, output};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The shell that reads it
    shell: Shell,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut shown(), "trunkline", &mut script);
    output::bytes(&script)?;
    output::done()
}

/// The command without the verbs that are not for people: the generator would offer them.
fn shown() -> Command {
    let all = Cli::command();
    let verbs = all.get_subcommands().filter(|verb| !verb.is_hide_set());
    Command::new("trunkline")
        .version(env!("CARGO_PKG_VERSION"))
        .propagate_version(false)
        .disable_help_subcommand(true)
        .args(all.get_arguments().cloned())
        .subcommands(verbs.cloned())
}
