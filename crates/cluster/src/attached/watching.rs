//! How link changes there become known: a watcher process pushes them; where none may run, the
//! list is read every second.

use std::convert::Infallible;
use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use trunkline_etf::{Pid, Term};
use trunkline_node::{Message, Node, Process, SendError, SpawnError};
use trunkline_proto::NodeName;

use super::say;
use super::watcher::{self, Seen};
use crate::MemberEvent;

/// Watches the links of the node that we are attached to.
pub(super) struct Watching<'a> {
    pub(super) node: &'a Node,
    pub(super) target: &'a NodeName,
    pub(super) events: &'a mpsc::UnboundedSender<MemberEvent>,
    /// That the list is read was said, and nothing better since. It outlives the connection: it is
    /// not said again of a node that was restarted.
    pub(super) reading: &'a AtomicBool,
}

/// A watcher that has subscribed.
#[derive(Debug)]
pub(super) struct Watcher {
    process: Process,
    pid: Pid,
}

/// Why no watcher runs.
#[derive(Debug)]
pub(super) enum Refused {
    /// The connection is gone, and the question with it.
    Disconnected,
    /// The node starts no process for us; its word.
    NotStarted(String),
    /// It ended before it had subscribed. For which reason.
    Broke(String),
    /// It did not say in time that it runs.
    Silent,
    /// It ran, and something there ends it again and again. For which reason.
    Ended(String),
}

/// How often the links are read where no watcher runs.
const READ_INTERVAL: Duration = Duration::from_secs(1);

/// How long the watcher may take to say that it runs.
const START_LIMIT: Duration = Duration::from_secs(5);

/// A watcher that lived this long was not ended by what ends every one of them. Where none runs it
/// is also the time to the next attempt: it costs the node one process that ends at once.
const STEADY: Duration = Duration::from_secs(30);

/// How many watchers may be started one after the other that do not live so long: somebody at a
/// shell may kill one, and a second one.
const STARTS: u32 = 3;

impl Watching<'_> {
    /// Starts a watcher. From its return on no change is missed.
    pub(super) async fn start(&self) -> Result<Watcher, Refused> {
        timeout(START_LIMIT, self.start_now())
            .await
            .unwrap_or(Err(Refused::Silent))
    }

    async fn start_now(&self) -> Result<Watcher, Refused> {
        let mut process = self.node.process();
        process.trap_exit(true);
        let (module, function, args) = watcher::program(&process.pid());
        let pid = process
            .spawn_link_at(self.target, module, function, args)
            .await?;
        loop {
            match process.recv().await {
                Some(Message::Term(term)) if watcher::parse(&term) == Some(Seen::Watching) => {
                    return Ok(Watcher { process, pid });
                }
                Some(Message::Exit { from, reason }) if from == pid => {
                    return Err(refusal(&process.pid(), &reason));
                }
                Some(_) => {}
                None => return Err(Refused::Disconnected),
            }
        }
    }

    /// Makes link changes known, beginning with what was tried first; for as long as the
    /// connection lasts.
    pub(super) async fn run(&self, first: Result<Watcher, Refused>) -> Infallible {
        let mut watcher = first;
        let mut starts = 0;
        let mut told = false;
        loop {
            let refused = match watcher {
                Ok(running) => {
                    starts += 1;
                    let (lived, why) = self.push(running).await;
                    if lived {
                        starts = 0;
                    }
                    if starts < STARTS {
                        if !std::mem::replace(&mut told, true) {
                            self.ended(&why);
                        }
                        watcher = self.start().await;
                        say(self.events, MemberEvent::LinksUnseen);
                        continue;
                    }
                    Refused::Ended(why)
                }
                Err(refused) => refused,
            };
            watcher = Ok(self.read(&refused).await);
            say(self.events, MemberEvent::LinksUnseen);
        }
    }

    /// Forwards what the watcher sends until it ends: whether it lived long, and why it ended.
    async fn push(&self, watcher: Watcher) -> (bool, String) {
        let Watcher { mut process, pid } = watcher;
        let mut steady = pin!(sleep(STEADY));
        let mut lived = false;
        loop {
            let message = tokio::select! {
                () = &mut steady, if !lived => {
                    lived = true;
                    self.pushed_again();
                    continue;
                }
                message = process.recv() => message,
            };
            match message {
                Some(Message::Term(term)) => self.forward(&term),
                Some(Message::Exit { from, reason }) if from == pid => {
                    return (lived, brief(&process.pid(), &reason));
                }
                Some(_) => {}
                None => return (lived, NO_CONNECTION.to_owned()),
            }
        }
    }

    fn forward(&self, term: &Term) {
        let event = match watcher::parse(term) {
            Some(Seen::Up(peer)) => MemberEvent::LinkUp(peer),
            Some(Seen::Down(peer, why)) => MemberEvent::LinkDown(peer, why),
            Some(Seen::Watching) | None => return,
        };
        say(self.events, event);
    }

    /// Has the links read every second until a watcher runs.
    async fn read(&self, why: &Refused) -> Watcher {
        if !matches!(why, Refused::Disconnected) && !self.reading.swap(true, Ordering::Relaxed) {
            self.note(format!(
                "links are read every second, no process there forwards their changes: {why} · {} · {}",
                self.target,
                why.cure()
            ));
        }
        tokio::select! {
            watcher = self.start_later() => watcher,
            never = self.read_every_second() => match never {},
        }
    }

    async fn read_every_second(&self) -> Infallible {
        let mut ticks = interval(READ_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            say(self.events, MemberEvent::LinksUnseen);
        }
    }

    async fn start_later(&self) -> Watcher {
        loop {
            sleep(STEADY).await;
            if let Ok(watcher) = self.start().await {
                return watcher;
            }
        }
    }

    /// Something there ended a watcher that had run. That the connection ended is no news here.
    fn ended(&self, why: &str) {
        if why != NO_CONNECTION {
            self.note(format!(
                "the process that forwards link changes was ended there ({why}), it is started again · {} · look for what ends processes there",
                self.target
            ));
        }
    }

    fn pushed_again(&self) {
        if self.reading.swap(false, Ordering::Relaxed) {
            self.note(format!(
                "a process there forwards link changes again, they are no longer read every second · {}",
                self.target
            ));
        }
    }

    fn note(&self, text: String) {
        say(self.events, MemberEvent::Note(text));
    }
}

/// Why it ended before it ran.
fn refusal(agent: &Pid, reason: &Term) -> Refused {
    if reason.is_atom(NO_CONNECTION) {
        Refused::Disconnected
    } else {
        Refused::Broke(brief(agent, reason))
    }
}

/// What fits into a line.
fn brief(agent: &Pid, reason: &Term) -> String {
    let raised = watcher::raised(agent, reason).to_string();
    raised.chars().take(SHOWN).collect()
}

/// The reason of everything that was linked when the connection ended.
const NO_CONNECTION: &str = "noconnection";

/// So much of a reason fits into a line.
const SHOWN: usize = 120;

impl Refused {
    fn cure(&self) -> &'static str {
        match self {
            Self::Broke(why) if why == "undef" => {
                "keep stdlib's erl_eval in the release, and they are pushed"
            }
            Self::Ended(_) => "look for what ends processes there",
            _ => "it is tried again every half minute",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected => f.write_str("the connection is gone"),
            Self::NotStarted(why) => write!(f, "the node starts none ({why})"),
            Self::Broke(why) => write!(f, "erl_eval:exprs/2 gave {why}"),
            Self::Silent => write!(f, "it did not start within {START_LIMIT:?}"),
            Self::Ended(why) => write!(f, "it was ended {STARTS} times ({why})"),
        }
    }
}

impl From<SpawnError> for Refused {
    fn from(why: SpawnError) -> Self {
        match why {
            SpawnError::Send(SendError::NotConnected) => Self::Disconnected,
            other => Self::NotStarted(other.to_string()),
        }
    }
}
