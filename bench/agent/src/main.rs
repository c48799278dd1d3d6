//! What the agent costs and how fast a cluster forms, as a page of Markdown on standard output.
//!
//! `cargo xtask bench` runs it on the static binary and writes `docs/performance.md`.

mod cost;
mod formation;
mod machine;
mod process;

use anyhow::Result;

fn main() -> Result<()> {
    let mut page = String::from(
        "# Performance\n\nMade by `cargo xtask bench`; the machine is shared, so figures vary from run to run.\n\n",
    );
    page.push_str(&machine::describe());
    page.push_str(&cost::measure()?);
    page.push_str(&formation::measure()?);
    print!("{page}");
    Ok(())
}
