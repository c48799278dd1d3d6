//! `trunkline run`: the agent in the foreground.

use std::pin::pin;
use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use trunkline_agent::AgentConfig;

use crate::context::Context;
use crate::failure::Failure;
use crate::output;
use crate::runtime::block_on;

#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: Args, cx: &Context) -> Result<ExitCode, Failure> {
    let config = AgentConfig::load(cx.config_file()?, &cx.env)?;
    block_on(async {
        let mut terminate = listen(SignalKind::terminate())?;
        let mut interrupt = listen(SignalKind::interrupt())?;
        let stop = CancellationToken::new();
        let mut running = pin!(trunkline_agent::run(config, &cx.env, stop.clone()));
        tokio::select! {
            ran = &mut running => ran?,
            _ = terminate.recv() => {
                stop.cancel();
                running.await?;
            }
            _ = interrupt.recv() => {
                stop.cancel();
                running.await?;
            }
        }
        output::done()
    })
}

pub(super) fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| {
        let cure = "report this";
        Failure::operation(format!("cannot wait for signals: {error}"), "run", cure)
    })
}
