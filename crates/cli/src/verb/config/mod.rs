//! `trunkline config example|check`: a commented file, and everything that is wrong with one.

mod check;
mod report;

use std::process::ExitCode;

use trunkline_agent::config::example;
use trunkline_discovery::strategies::Strategy;

use super::strategies::named;
use crate::context::Context;
use crate::failure::Failure;
use crate::output;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Print a commented file: every section, every key with its default
    Example(ExampleArgs),
    /// Say what an agent would understand, or every mistake; nothing is sent
    Check(check::Args),
}

#[derive(clap::Args)]
struct ExampleArgs {
    /// Make topologies of these [default: show all that are built in, switched off]
    #[arg(value_name = "STRATEGY")]
    strategies: Vec<String>,
}

pub(crate) fn run(args: Args, cx: &Context) -> Result<ExitCode, Failure> {
    match args.action {
        Action::Example(args) => {
            let mut rows: Vec<&'static Strategy> = Vec::new();
            for name in &args.strategies {
                let row = named(name)?;
                // One topology each: a second table of the same name is no TOML.
                if !rows.iter().any(|known| known.name == row.name) {
                    rows.push(row);
                }
            }
            output::text(&example(&rows))?;
            output::done()
        }
        Action::Check(args) => check::run(&args, cx),
    }
}
