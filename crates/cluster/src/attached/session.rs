//! Staying attached: connect, watch, notice the end, begin again.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::pending;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep, sleep_until};
use trunkline_node::probe::{Depth, ProbeConfig, probe};
use trunkline_node::{Family, Node, NodeEvent, NodeEvents, NodeType, Target};
use trunkline_proto::{Creation, Reason, Step};

use super::beam::Beam;
use super::watching::{Refused, Watching};
use super::{Session, say};
use crate::{MemberError, MemberEvent};

/// The task behind an attached node.
pub(super) struct Keeper {
    pub(super) node: Node,
    pub(super) target: Target,
    pub(super) probing: ProbeConfig,
    pub(super) session: Arc<RwLock<Option<Session>>>,
    pub(super) events: mpsc::UnboundedSender<MemberEvent>,
    /// That link changes there cannot be pushed was said.
    pub(super) reading: AtomicBool,
    /// Tools in the application that were said.
    pub(super) noticed: Mutex<BTreeSet<&'static str>>,
    /// One for each dial that the node may make at once.
    pub(super) dials: Arc<Semaphore>,
}

/// A node that is not up yet costs a question to the EPMD on its host, which is our own.
const RETRY: Duration = Duration::from_secs(1);

/// A BEAM that is being started beside us takes seconds: until then its absence is no news.
const STARTING: Duration = Duration::from_secs(20);

/// How often it is looked for meanwhile: a question to the EPMD on our own host.
const START_LOOK: Duration = Duration::from_millis(250);

/// A refused handshake is a line in the node's log: those are made ever more rarely.
const LASTING_RETRY: Duration = Duration::from_secs(20);
const LASTING_RETRY_MAX: Duration = Duration::from_secs(600);

/// How often a node that refuses us is looked at, to see whether it was restarted.
const LOOK: Duration = Duration::from_secs(5);

/// When the application of the node is looked at for tools like ours, counted from when we attached:
/// it may still be starting.
const NOTICE: [Duration; 3] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(300),
];

/// Nothing says that the node runs. Where no port mapper is asked its port alone says that.
const fn is_absent(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::EpmdUnreachable { .. }
            | Reason::NotRegistered { .. }
            | Reason::PortUnreachable { .. }
    )
}

impl Keeper {
    /// Runs until dropped.
    pub(super) async fn run(mut self) {
        let mut told: Option<Reason> = None;
        let mut pause = LASTING_RETRY;
        self.wait_for_start().await;
        loop {
            let mut links = self.node.monitor_nodes_of(NodeType::All);
            let reason = match self.node.connect(&self.target).await {
                Ok(_) => {
                    (told, pause) = (None, LASTING_RETRY);
                    self.attached(&mut links).await
                }
                Err(error) => error.into_reason(),
            };
            if self.is_respelt(&reason) {
                continue;
            }
            let lasting = reason.is_lasting();
            self.detached(&mut told, reason);
            if lasting {
                self.wait_for_change(pause).await;
                pause = LASTING_RETRY_MAX.min(pause * 2);
            } else {
                sleep(RETRY).await;
            }
        }
    }

    /// Waits while the node is not there yet, for as long as a start may take.
    async fn wait_for_start(&self) {
        let end = Instant::now() + STARTING;
        let config = ProbeConfig {
            depth: match self.target.port {
                Some(_) => Depth::Port,
                None => Depth::Epmd,
            },
            ..self.probing.clone()
        };
        let mut said = false;
        while Instant::now() < end {
            match probe(&config, &self.target).await.result {
                Err(reason) if is_absent(&reason) => {}
                _ => return,
            }
            if !said {
                let name = &self.target.name;
                let text = format!("waiting for the node to start · {name}");
                say(&self.events, MemberEvent::Note(text));
                said = true;
            }
            sleep(START_LOOK).await;
        }
    }

    /// Whether the node only writes the address in its name in another way (capitals, zeros), as scripts that copy it from a
    /// metadata service do; then that spelling is used from now on.
    fn is_respelt(&mut self, reason: &Reason) -> bool {
        match reason {
            Reason::NameMismatch { actual }
                if actual.canonical() == self.target.name.canonical() =>
            {
                self.target.name = actual.clone();
                true
            }
            _ => false,
        }
    }

    /// Waits for `pause`, or until the node was restarted: its greeting, which it does not log,
    /// shows that.
    async fn wait_for_change(&self, pause: Duration) {
        let end = Instant::now() + pause;
        let before = self.creation().await;
        while Instant::now() + LOOK < end {
            sleep(LOOK).await;
            if self.creation().await != before {
                return;
            }
        }
        sleep_until(end).await;
    }

    /// The incarnation of the node that answers; `None` when none does.
    async fn creation(&self) -> Option<Creation> {
        let seen = probe(&self.probing, &self.target).await;
        Some(seen.result.ok()?.greeting?.creation)
    }

    /// Serves one connection; why it ended.
    async fn attached(&self, links: &mut NodeEvents) -> Reason {
        let beam = Beam {
            node: self.node.clone(),
            name: self.target.name.clone(),
            dials: Arc::clone(&self.dials),
        };
        let ended = Reason::Closed {
            step: Step::Connect,
        };
        let Ok(probing) = self.follow(&beam).await else {
            return ended;
        };
        let watching = Watching {
            node: &self.node,
            target: &beam.name,
            events: &self.events,
            reading: &self.reading,
        };
        let watcher = watching.start().await;
        if matches!(watcher, Err(Refused::Disconnected)) {
            return ended;
        }
        self.set(Some(Session {
            beam: beam.clone(),
            probing,
        }));
        say(
            &self.events,
            MemberEvent::Attached {
                node: beam.name.clone(),
            },
        );
        tokio::select! {
            reason = self.link_down(links) => reason,
            never = watching.run(watcher) => match never {},
            never = self.notice_others(&beam) => match never {},
        }
    }

    /// Says why we are not attached, once for each reason.
    fn detached(&self, told: &mut Option<Reason>, reason: Reason) {
        self.set(None);
        if told.as_ref() != Some(&reason) {
            say(
                &self.events,
                MemberEvent::Detached {
                    reason: reason.clone(),
                },
            );
        }
        *told = Some(reason);
    }

    /// Probes go over the address family that the node dials, to the port where it looks for peers.
    async fn follow(&self, beam: &Beam) -> Result<ProbeConfig, MemberError> {
        let family = match beam.uses_ipv6().await {
            Ok(true) => Some(Family::V6),
            Ok(false) => Some(Family::V4),
            Err(MemberError::Failed(_)) => None,
            Err(gone) => return Err(gone),
        };
        let peer_port = match beam.peer_port().await {
            Ok(port) => port,
            Err(MemberError::Failed(_)) => self.probing.peer_port,
            Err(gone) => return Err(gone),
        };
        Ok(ProbeConfig {
            family,
            peer_port,
            ..self.probing.clone()
        })
    }

    async fn link_down(&self, links: &mut NodeEvents) -> Reason {
        loop {
            match links.next().await {
                Some(NodeEvent::Down { peer, reason, .. }) if peer == self.target.name => {
                    return reason.to_reason();
                }
                Some(_) => {}
                None => {
                    return Reason::Closed {
                        step: Step::Connect,
                    };
                }
            }
        }
    }

    /// Other tools that connect nodes: said once; what they connect is theirs, and is left alone.
    async fn notice_others(&self, beam: &Beam) -> Infallible {
        for wait in NOTICE {
            sleep(wait).await;
            // A node that does not answer now is asked again.
            let tools = beam.cluster_tools().await.unwrap_or_default();
            for tool in tools {
                if self
                    .noticed
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(tool)
                {
                    let note = format!(
                        "{tool} runs in the application too, what it connects is left alone · {}",
                        beam.name
                    );
                    say(&self.events, MemberEvent::Note(note));
                }
            }
        }
        pending().await
    }

    fn set(&self, session: Option<Session>) {
        *self.session.write().unwrap_or_else(PoisonError::into_inner) = session;
    }
}
