//! The `trunkline` command: one file per verb in [`verb`], each a thin driver of the crates below.
//!
//! Exit codes are a contract: 0 done, 1 the operation failed, 2 usage or configuration error.
//! Data goes to stdout, everything else to stderr, one line for a failure: `trunkline: what ·
//! where · cure`. A reader that closes the pipe early is no failure.

mod beside;
mod child;
mod context;
mod cookies;
mod failure;
mod flags;
mod logging;
mod matrix;
mod output;
mod panics;
mod peer;
mod release;
mod runtime;
mod usage;
mod verb;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::context::{Context, Globals};
use crate::verb::Verb;

/// Makes the machines of a fleet one distributed-Erlang cluster, without a change to the
/// application: they find each other, check each other, connect, stay connected, and say why when
/// they can't.
#[derive(clap::Parser)]
#[command(name = "trunkline", version, propagate_version = false)]
#[command(disable_help_subcommand = true, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 the operation failed, 2 usage or configuration error."
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    globals: Globals,
}

fn main() -> ExitCode {
    panics::install();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::report(&error, &Cli::command()),
    };
    if let Err(failure) = logging::init(&cli.globals, cli.verb.default_log_level()) {
        return cli.verb.not_run(&failure);
    }
    match cli.verb.run(&Context::new(cli.globals)) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn definitions_hold_together() {
        super::Cli::command().debug_assert();
    }
}
