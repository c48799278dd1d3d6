//! The verbs: one file each with `Args`, `run` and its output types, one variant here.

mod completions;
mod config;
mod cookie;
mod demo;
mod discover;
pub(crate) mod env;
mod exec;
mod man;
mod nodes;
mod ping;
mod run;
mod strategies;

use std::process::ExitCode;

use crate::context::Context;
use crate::failure::Failure;

/// What trunkline can do.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Make a strong cookie, or say what is wrong with the one that is used here
    Cookie(cookie::Args),
    /// Print what a release needs in its environment: eval "$(trunkline env)" in env.sh
    Env(env::Args),
    /// See it work: nodes on this host find each other, one is killed and comes back
    Demo(demo::Args),
    /// One node of the demo
    #[command(hide = true)]
    DemoNode,
    /// Look once through every topology: peers, health, errors
    Discover(discover::Args),
    /// Say whether a node can be reached with this cookie, and if not, why
    Ping(ping::Args),
    /// Show who is connected to a node, or with --matrix who sees whom
    Nodes(nodes::Args),
    /// Be the agent in the foreground: discover, connect, keep connected
    Run(run::Args),
    /// Name the node, start CMD in the environment that it needs, and be the agent beside it
    Exec(exec::Args),
    /// Print a commented configuration, or check one without running it
    Config(config::Args),
    /// Show what is built in to find peers, and with NAME every option of one
    Strategies(strategies::Args),
    /// Print what a shell needs to complete trunkline's verbs and flags
    Completions(completions::Args),
    /// Print the manual page, or write one page per verb
    Man(man::Args),
}

impl Verb {
    /// Long-running verbs tell what they do; the others speak only of trouble.
    pub(crate) fn default_log_level(&self) -> &'static str {
        match self {
            Self::Completions(_)
            | Self::Config(_)
            | Self::Cookie(_)
            | Self::Demo(_)
            | Self::DemoNode
            | Self::Env(_)
            | Self::Discover(_)
            | Self::Man(_)
            | Self::Ping(_)
            | Self::Nodes(_)
            | Self::Strategies(_) => "warn",
            Self::Exec(_) | Self::Run(_) => "info",
        }
    }

    /// Reports what was wrong before the verb could run; the shell that evaluates `env` stops too.
    pub(crate) fn not_run(&self, failure: &Failure) -> ExitCode {
        if let Self::Env(args) = self {
            args.stop_shell().ok();
        }
        failure.report()
    }

    pub(crate) fn run(self, cx: &Context) -> Result<ExitCode, Failure> {
        match self {
            Self::Cookie(args) => cookie::run(args, cx),
            Self::Env(args) => env::run(args, cx),
            Self::Demo(args) => demo::run(args, cx),
            Self::DemoNode => demo::node::run(),
            Self::Discover(args) => discover::run(args, cx),
            Self::Ping(args) => ping::run(args, cx),
            Self::Nodes(args) => nodes::run(args, cx),
            Self::Run(args) => run::run(args, cx),
            Self::Exec(args) => exec::run(args, cx),
            Self::Config(args) => config::run(args, cx),
            Self::Completions(args) => completions::run(&args),
            Self::Man(args) => man::run(&args),
            Self::Strategies(args) => strategies::run(&args),
        }
    }
}
