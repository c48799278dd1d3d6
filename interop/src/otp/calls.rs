//! Nodes that can do without `erl_eval`: no test process there evaluates expressions.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::{Epmd, Otp, Release};
use crate::process::run;
use crate::workspace;

/// Whether a node has `erl_eval`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evaluator {
    /// As OTP brings it.
    Whole,
    /// A release that was stripped of it.
    Absent,
}

impl Otp {
    /// A node like that of [`Otp::of_release`], but [`Otp::eval`] takes calls only: `mod:fun(args)`, whose arguments are terms or
    /// calls again. `calls:recorded()` are the links that came and went.
    ///
    /// # Errors
    /// As [`Otp::start`]; and when there is no `erlc`.
    pub fn of_calls(
        release: Release,
        evaluator: Evaluator,
        epmd: &Epmd,
        name: &str,
        cookie: &str,
        args: &[&str],
    ) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let without = dir.path().join(WITHOUT);
        std::fs::create_dir(&without)?;
        compile("calls", dir.path())?;
        compile("erl_eval", &without)?;
        let mut command = release.command("erl", &[std::env::temp_dir()])?;
        command.args(args).arg("-pa").arg(dir.path());
        if evaluator == Evaluator::Absent {
            // It comes before OTP's own.
            command.args(["-nostick", "-pa"]).arg(without);
        }
        command.args(["-s", "calls"]);
        Self::on_loopback(command, epmd, name, cookie, dir)
    }

    /// Takes the evaluator from a node of [`Otp::of_calls`] while it runs; processes that run it are killed.
    ///
    /// # Errors
    /// When the node does not answer.
    pub fn lose_evaluator(&self) -> Result<()> {
        let file = self.dir.path().join(WITHOUT).join("erl_eval");
        self.replace_evaluator(&format!("\"{}\"", file.display()))
    }

    /// Gives it back.
    ///
    /// # Errors
    /// When the node does not answer.
    pub fn regain_evaluator(&self) -> Result<()> {
        self.replace_evaluator("filename:join(code:lib_dir(stdlib), \"ebin/erl_eval\")")
    }

    fn replace_evaluator(&self, file: &str) -> Result<()> {
        self.eval("code:unstick_mod(erl_eval)")?;
        self.eval("code:purge(erl_eval)")?;
        self.eval(&format!("code:load_abs({file})"))?;
        self.eval("code:purge(erl_eval)")?;
        Ok(())
    }
}

/// The folder with an `erl_eval` that evaluates nothing.
const WITHOUT: &str = "without";

/// A module of `fixtures/erlang`, into `dir`.
fn compile(module: &str, dir: &Path) -> Result<()> {
    let source = workspace::root().join(format!("interop/fixtures/erlang/{module}.erl"));
    run(Command::new("erlc").arg("-o").arg(dir).arg(source))?;
    Ok(())
}
