//! `cargo xtask test`: every test there is.

use anyhow::Result;

use crate::{
    interop, rules,
    run::{cargo, shown},
    setup,
};

/// Installs what is missing, then runs the tests; `rest` goes to `cargo test` as it is.
pub(crate) fn run(rest: &[String]) -> Result<()> {
    setup::run()?;
    // The tests in interop/ run the real command: cargo builds another crate's binary only when
    // asked to.
    shown(cargo().args(["build", "--package", "trunkline-cli"]))?;
    if !rest.is_empty() {
        return shown(cargo().arg("test").args(rest));
    }
    rules::run()?;
    interop::run()
}
