//! What the engine's driver sees of a strategy: sources that run, report and stop.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use trunkline_proto::NodeName;
use trunkline_reconcile::evidence::{Answer, Kind, SourceId};

use crate::DiscoverError;

/// What most strategies implement: one question, asked on a schedule that the crate owns
/// ([`Polling`](crate::Polling)). `Err` means "I don't know": this source's last good answer stands. There
/// is no partial `Ok`: an answer of which one page failed is an `Err`.
///
/// `Debug` must show no secret; the contract suite looks.
pub trait Poll: fmt::Debug + Send + Sync {
    /// Asks once. Dropping the future abandons the question.
    fn poll<'a>(&'a self, cx: &'a PollCx) -> BoxFuture<'a, Result<Answer, DiscoverError>>;
}

/// What a poll may know, and what it tells its schedule.
#[derive(Debug, Default)]
pub struct PollCx {
    me: Option<NodeName>,
    spent: Mutex<Spent>,
}

/// What one poll cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    pub(crate) quota: Option<Quota>,
}

/// What an API says of the requests that it still allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Requests allowed in a window.
    pub limit: u64,
    /// Requests left in this window, for everybody who uses the token.
    pub remaining: u64,
    /// Time until the window ends or its oldest request expires.
    pub reset: Duration,
}

impl PollCx {
    /// A context for one poll by hand.
    pub fn new(me: Option<NodeName>) -> Self {
        Self {
            me,
            spent: Mutex::default(),
        }
    }

    /// The node that we serve, when its name is known.
    pub fn me(&self) -> Option<&NodeName> {
        self.me.as_ref()
    }

    /// Tells the schedule what the API's reply said of our quota. The last one counts.
    pub fn note_quota(&self, quota: Quota) {
        self.lock().quota = Some(quota);
    }

    pub(crate) fn spent(&self) -> Spent {
        *self.lock()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Spent> {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the engine's driver sees: runs until cancelled, reports each answer.
/// [`Polling`](crate::Polling) is one; a watch, gossip, a registry that announces is another.
pub trait Source: fmt::Debug + Send {
    /// How much absence from an answer means.
    fn kind(&self) -> Kind;
    /// Runs until [`SourceCx::cancelled`], then ends within the grace that it is given.
    fn run(self: Box<Self>, cx: SourceCx) -> BoxFuture<'static, ()>;
}

/// A source as a strategy built it, ready to [`start`](Self::start).
#[derive(Debug)]
pub struct BuiltSource {
    /// Stable over restarts: `topology/what`, for example `web/droplets`.
    pub id: SourceId,
    /// How much absence from an answer means.
    pub kind: Kind,
    /// What runs.
    pub source: Box<dyn Source>,
}

impl BuiltSource {
    /// Names `source`.
    pub fn new(id: impl Into<String>, source: impl Source + 'static) -> Self {
        Self {
            id: SourceId(id.into()),
            kind: source.kind(),
            source: Box::new(source),
        }
    }

    /// Starts the source as a task. `me` is the node that we serve, `None` until its name is known.
    pub fn start(
        self,
        reports: mpsc::Sender<Report>,
        me: watch::Receiver<Option<NodeName>>,
    ) -> SourceHandle {
        let cancel = CancellationToken::new();
        let poke = Arc::new(Notify::new());
        let cx = SourceCx {
            id: self.id.clone(),
            reports,
            me,
            cancel: cancel.clone(),
            poke: Arc::clone(&poke),
        };
        SourceHandle {
            id: self.id,
            kind: self.kind,
            cancel,
            poke,
            task: Some(tokio::spawn(self.source.run(cx))),
        }
    }
}

/// One answer, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Whose.
    pub source: SourceId,
    /// `Err` leaves the last good answer standing.
    pub answer: Result<Answer, DiscoverError>,
}

/// What a running source is given.
#[derive(Debug)]
pub struct SourceCx {
    id: SourceId,
    reports: mpsc::Sender<Report>,
    me: watch::Receiver<Option<NodeName>>,
    cancel: CancellationToken,
    poke: Arc<Notify>,
}

impl SourceCx {
    /// Reports an answer. Waits while the driver is behind; returns at once when it is gone.
    pub async fn report(&self, answer: Result<Answer, DiscoverError>) {
        let report = Report {
            source: self.id.clone(),
            answer,
        };
        tokio::select! {
            sent = self.reports.send(report) => if sent.is_err() { self.cancel.cancel() },
            () = self.cancel.cancelled() => {}
        }
    }

    /// The name to announce and to recognise ourselves by, when it is known.
    pub fn me(&self) -> Option<NodeName> {
        self.me.borrow().clone()
    }

    /// Returns when [`me`](Self::me) is something else than `last`; never, when it cannot change.
    pub async fn me_changed_from(&self, last: Option<&NodeName>) {
        let mut me = self.me.clone();
        if me.wait_for(|now| now.as_ref() != last).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Returns when somebody wants a fresh answer now.
    pub async fn poked(&self) {
        self.poke.notified().await;
    }

    /// Returns when the source must end: withdraw what was announced, within the grace that the
    /// driver gives.
    pub async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }

    /// What [`cancelled`](Self::cancelled) waits for, to be held beside the context.
    pub(crate) fn cancellation(&self) -> CancellationToken {
        self.cancel.clone()
    }

    /// Whether the source must end.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }
}

/// A running source. Dropping the handle cancels it and does not wait.
#[derive(Debug)]
pub struct SourceHandle {
    id: SourceId,
    kind: Kind,
    cancel: CancellationToken,
    poke: Arc<Notify>,
    task: Option<JoinHandle<()>>,
}

impl SourceHandle {
    /// Its name.
    pub fn id(&self) -> &SourceId {
        &self.id
    }

    /// How much absence from its answers means.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Asks for a fresh answer now. A source still obeys `Retry-After` and its quota.
    pub fn poke(&self) {
        self.poke.notify_one();
    }

    /// Tells it to end, and does not wait.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Tells it to end and waits at most `grace` for it to withdraw what it announced; then it is
    /// cut off.
    pub async fn stop(mut self, grace: Duration) {
        self.cancel.cancel();
        let Some(mut task) = self.task.take() else {
            return;
        };
        // A panic of the task was printed by the panic hook; here it only means "ended".
        if tokio::time::timeout(grace, &mut task).await.is_err() {
            task.abort();
        }
    }
}

impl Drop for SourceHandle {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}
