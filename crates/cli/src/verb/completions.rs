//! `trunkline completions SHELL`, from the definitions of the verbs themselves.

use std::process::ExitCode;

use clap::CommandFactory as _;
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
    clap_complete::generate(args.shell, &mut Cli::command(), "trunkline", &mut script);
    output::bytes(&script)?;
    output::done()
}
