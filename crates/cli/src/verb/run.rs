//! `trunkline run`: the agent in the foreground.

use std::pin::pin;
use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use trunkline_agent::AgentConfig;

use crate::context::Context;
use crate::failure::Failure;
use crate::output;
use crate::runtime::block_on;

#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: Args, cx: &Context) -> Result<ExitCode, Failure> {
    block_on(async {
        let mut terminate = listen(SignalKind::terminate())?;
        let mut interrupt = listen(SignalKind::interrupt())?;
        // Before the configuration is read: a reload that comes early must not end us.
        let mut hangup = listen(SignalKind::hangup())?;
        let config = AgentConfig::load(cx.config_file()?, &cx.env)?;
        let (stop, reload) = (CancellationToken::new(), Notify::new());
        let mut running = pin!(trunkline_agent::run(config, &cx.env, &reload, stop.clone()));
        loop {
            tokio::select! {
                ran = &mut running => {
                    ran?;
                    return output::done();
                }
                _ = hangup.recv() => reload.notify_one(),
                _ = terminate.recv() => stop.cancel(),
                _ = interrupt.recv() => stop.cancel(),
            }
        }
    })
}

pub(super) fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| {
        let cure = "report this";
        Failure::operation(format!("cannot wait for signals: {error}"), "run", cure)
    })
}
