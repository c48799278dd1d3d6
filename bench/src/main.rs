//! Trunkline measured side by side with OTP and others: `bench/README.md` says how it is run and by which rules.
//!
//! `cargo xtask bench` makes `docs/performance.md` of its report and that of `trunkline-bench-agent`.
//!
//! One program has both sides: the harness starts peers, each an OS process of its own, and itself
//! as one (`trunkline-bench peer rust …`).

mod bytes;
mod certificates;
mod codec_page;
mod counted;
mod counted_page;
mod figure;
mod goal;
mod line;
mod machine;
mod options;
mod page;
mod pair;
mod peer;
mod place;
mod process;
mod run;
mod stats;
mod syscalls;
mod turn;

use std::process::ExitCode;

use anyhow::Result;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.first().map(String::as_str) {
        Some("peer") => peer::run(args.get(1..).unwrap_or_default()),
        Some("page") => match args.get(1..) {
            Some([wire, agent]) => page::run(wire, agent),
            _ => Err(anyhow::anyhow!(
                "page wants the wire's report and the agent's"
            )),
        },
        Some("counted") => counted::run(args.get(1).map(String::as_str)),
        Some("counted-page") => match args.get(1..) {
            Some([report]) => counted_page::run(report),
            _ => Err(anyhow::anyhow!("counted-page wants the report of counted")),
        },
        Some("codec-page") => match args.get(1..) {
            Some([report]) => codec_page::run(report),
            _ => Err(anyhow::anyhow!("codec-page wants the codec's report")),
        },
        _ => measure(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("trunkline-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &[String]) -> Result<()> {
    let Some(options) = options::parse(args)? else {
        print!("{}", options::usage());
        return Ok(());
    };
    run::run(&options)?;
    Ok(())
}
