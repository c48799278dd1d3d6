//! A request to stop that a starting BEAM loses.
//!
//! From about 0.04 s after its start until `erl_signal_server` runs (0.15 to 0.3 s on an idle machine,
//! seconds on a slow one; some milliseconds after its registration with the port mapper) a BEAM
//! catches `SIGTERM` and does nothing: measured on OTP 25 without us, each of 30 such signals was lost.
//! A deploy that is taken back at once would wait for the platform's SIGKILL.
//!
//! So the first request to stop is sent again, unless the node was up when it came: then it is known
//! to act on it, and a second one could cut its draining short. What is no BEAM never gets a signal
//! twice.

use std::future::pending;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep_until};

use super::Child;

/// A BEAM whose node the agent does not see (another name, no distribution) is taken for a starting
/// one when it is younger than this, and then gets the signal again after as long.
const YOUNG: Duration = Duration::from_secs(5);

/// The first request to stop, while it may have been lost.
#[derive(Debug)]
pub(crate) struct Again {
    started: Instant,
    node_is_up: bool,
    lost: Option<Signal>,
    /// When it is sent again without knowing of the node.
    blind: Option<Instant>,
}

impl Again {
    /// For a child that starts now.
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            node_is_up: false,
            lost: None,
            blind: None,
        }
    }

    /// The child was asked to stop, with this signal.
    pub(crate) fn asked(&mut self, signal: Signal) {
        if self.node_is_up {
            return;
        }
        self.lost = Some(signal);
        let young = self.started.elapsed() < YOUNG;
        self.blind = young.then(|| Instant::now() + YOUNG);
    }

    /// Whether the node's coming up still matters.
    pub(crate) fn waits_for_node(&self) -> bool {
        !self.node_is_up
    }

    /// The node has been up for a moment: what is sent from now on is not lost.
    pub(crate) fn up(&mut self, child: &Child) {
        self.node_is_up = true;
        self.blind = None;
        if let Some(signal) = self.lost.take() {
            repeat(child, signal);
        }
    }

    /// Returns when it is time to send it without knowing of the node.
    pub(crate) async fn blind(&self) {
        match self.blind {
            Some(at) => sleep_until(at).await,
            None => pending().await,
        }
    }

    /// That time has come.
    pub(crate) fn blindly(&mut self, child: &Child) {
        self.blind = None;
        if let Some(signal) = self.lost {
            repeat(child, signal);
        }
    }
}

fn repeat(child: &Child, signal: Signal) {
    if child.is_beam() {
        tracing::info!(
            "sent the signal to stop again, the BEAM was still starting when it came · pid {}",
            child.pid()
        );
        child.signal(signal);
    }
}
