//! `cargo xtask VERB`: what a developer does with this repository beside `cargo build`.

mod bench;
mod dist;
mod interop;
mod lint;
mod rules;
mod run;
mod setup;
mod test;

use std::process::ExitCode;

use anyhow::Result;

const USAGE: &str = "\
usage: cargo xtask VERB
  setup   install with Debian packages what the tests need (elsewhere: say what is missing)
  test    setup, then every test
  lint    formatting, clippy, docs, and the house rules that no compiler knows
  ci      what a change must pass: lint, then test
  bench   measure, and write docs/performance.md (or one step: wire, agent, page)
  dist    build the static binary into dist/";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let verb = args.next();
    let rest: Vec<String> = args.collect();
    let result = match verb.as_deref() {
        Some("setup") => setup::run(),
        Some("test") => test::run(&rest),
        Some("lint") => lint::run(),
        Some("ci") => ci(),
        Some("bench") => bench::run(&rest),
        Some("dist") => dist::run().map(|path| println!("{}", path.display())),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn ci() -> Result<()> {
    lint::run()?;
    test::run(&[])
}
