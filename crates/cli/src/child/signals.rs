//! The signals that we get, and what the child gets for them.

use std::io::stdin;
use std::str::FromStr;

use rustix::process::{Signal, getpgrp};
use rustix::termios::{isatty, tcgetpgrp};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::failure::Failure;

/// What is passed on as it is.
const PASSED_ON: [Signal; 5] = [
    Signal::HUP,
    Signal::USR1,
    Signal::USR2,
    Signal::WINCH,
    Signal::QUIT,
];

/// Every signal that we handle, from one queue.
pub(crate) struct Signals {
    queue: mpsc::UnboundedReceiver<Signal>,
}

impl Signals {
    /// From now on these signals no longer end the process (nor are they lost on a PID 1, to which
    /// the kernel delivers only what is handled).
    pub(crate) fn listen() -> Result<Self, Failure> {
        let (sender, queue) = mpsc::unbounded_channel();
        let own = [Signal::CHILD, Signal::TERM, Signal::INT];
        let passed_on = PASSED_ON
            .into_iter()
            .filter(|kind| *kind != Signal::HUP || !ignores_hangups());
        for kind in own.into_iter().chain(passed_on) {
            let mut stream = signal(SignalKind::from_raw(kind.as_raw())).map_err(|error| {
                Failure::operation(
                    format!("cannot handle signals: {error}"),
                    "exec",
                    "report this",
                )
            })?;
            let sender = sender.clone();
            tokio::spawn(async move {
                while stream.recv().await.is_some() && sender.send(kind).is_ok() {}
            });
        }
        Ok(Self { queue })
    }

    /// The next signal.
    pub(crate) async fn next(&mut self) -> Signal {
        match self.queue.recv().await {
            Some(signal) => signal,
            // The runtime is going down; nobody waits for an answer.
            None => std::future::pending().await,
        }
    }

    /// Waits until we are asked to stop, before there is a child to pass it to.
    pub(crate) async fn stop(&mut self) -> Signal {
        loop {
            let signal = self.next().await;
            if matches!(
                signal,
                Signal::TERM | Signal::INT | Signal::QUIT | Signal::HUP
            ) {
                return signal;
            }
        }
    }
}

/// What to do for a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    /// A child has ended.
    Reap,
    /// The first request to stop: the child gets this.
    Stop(Signal),
    /// The child gets this.
    On(Signal),
    /// The child has it already.
    Nothing,
}

/// What the first request to stop becomes, and whether there was one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StopSignal {
    signal: Signal,
    asked: bool,
}

impl Default for StopSignal {
    fn default() -> Self {
        Self {
            signal: Signal::TERM,
            asked: false,
        }
    }
}

impl StopSignal {
    /// `SIGTERM` and `SIGINT` ask to stop, and become one signal: a BEAM drains on `SIGTERM` and
    /// dies of `SIGINT`, which some platforms send. A second one is passed as it is.
    pub(crate) fn pass(&mut self, signal: Signal) -> Passed {
        self.decide(signal, at_the_terminal())
    }

    fn decide(&mut self, signal: Signal, at_the_terminal: bool) -> Passed {
        match signal {
            Signal::CHILD => Passed::Reap,
            // ctrl-C: the terminal has sent it to the child as well, whose it is (the BEAM asks
            // what to do, `iex` goes back to its prompt).
            Signal::INT if at_the_terminal => Passed::Nothing,
            Signal::TERM | Signal::INT if !self.asked => {
                self.asked = true;
                Passed::Stop(self.signal)
            }
            signal => Passed::On(signal),
        }
    }
}

/// Whether we were started under `nohup`: CMD inherits that, and handling the signal would undo it.
fn ignores_hangups() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    let ignored = lines.find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (Signal::HUP.as_raw() - 1)) != 0)
}

/// Whether our process group has the terminal in the foreground.
fn at_the_terminal() -> bool {
    let stdin = stdin();
    isatty(&stdin) && tcgetpgrp(&stdin).is_ok_and(|group| group == getpgrp())
}

impl FromStr for StopSignal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = [
            ("TERM", Signal::TERM),
            ("INT", Signal::INT),
            ("QUIT", Signal::QUIT),
            ("HUP", Signal::HUP),
            ("USR1", Signal::USR1),
            ("USR2", Signal::USR2),
            ("KILL", Signal::KILL),
        ];
        let name = text.strip_prefix("SIG").unwrap_or(text);
        let found = known.into_iter().find(|(known, signal)| {
            known.eq_ignore_ascii_case(name) || signal.as_raw().to_string() == name
        });
        let (_, signal) = found.ok_or("the signals are TERM, INT, QUIT, HUP, USR1, USR2, KILL")?;
        Ok(Self {
            signal,
            asked: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_stop_is_translated() {
        let mut stop = StopSignal::default();
        assert_eq!(stop.decide(Signal::USR1, false), Passed::On(Signal::USR1));
        assert_eq!(stop.decide(Signal::INT, false), Passed::Stop(Signal::TERM));
        assert_eq!(stop.decide(Signal::INT, false), Passed::On(Signal::INT));
        assert_eq!(stop.decide(Signal::TERM, false), Passed::On(Signal::TERM));
    }

    #[test]
    fn a_terminal_has_sent_it_to_the_child_already() {
        let mut stop = StopSignal::default();
        assert_eq!(stop.decide(Signal::INT, true), Passed::Nothing);
        assert_eq!(stop.decide(Signal::TERM, true), Passed::Stop(Signal::TERM));
    }

    #[test]
    fn stop_signals_by_name() {
        for text in ["QUIT", "SIGQUIT", "quit", "3"] {
            let mut stop: StopSignal = text.parse().unwrap();
            assert_eq!(
                stop.decide(Signal::TERM, false),
                Passed::Stop(Signal::QUIT),
                "{text}"
            );
        }
        assert!("STOP".parse::<StopSignal>().is_err());
    }
}
