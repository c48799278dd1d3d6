//! What runs for a node, and what ends it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use trunkline_proto::NodeName;

/// Everything that runs for one node, and what ends it.
#[derive(Clone, Debug)]
pub(crate) struct Lifetime {
    /// Ends everything at once.
    pub(crate) stop: CancellationToken,
    /// Ends what makes new connections: listening, dialling, the registration.
    pub(crate) closing: CancellationToken,
    /// Every task of the node but its processes.
    pub(crate) tasks: TaskTracker,
    /// The tasks of its processes.
    pub(crate) processes: TaskTracker,
    /// Where the tasks run, from wherever they are begun.
    runtime: Handle,
    /// What the tasks do.
    running: Arc<Running>,
}

/// What one task of a node does.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    Listening,
    Registering,
    /// Somebody who called from there.
    Welcoming(SocketAddr),
    Dialling(NodeName),
    AskingTickTime(NodeName),
    Reading(NodeName),
    Writing(NodeName),
}

/// A task does this as long as this lives.
#[derive(Debug)]
pub(crate) struct Doing {
    running: Arc<Running>,
    number: u64,
}

#[derive(Debug, Default)]
struct Running(Mutex<Tasks>);

#[derive(Debug, Default)]
struct Tasks {
    begun: u64,
    work: BTreeMap<u64, Work>,
}

impl Lifetime {
    /// Of a node that is begun in this runtime.
    pub(crate) fn begin() -> Self {
        let stop = CancellationToken::new();
        Self {
            closing: stop.child_token(),
            stop,
            tasks: TaskTracker::new(),
            processes: TaskTracker::new(),
            runtime: Handle::current(),
            running: Arc::default(),
        }
    }

    /// Runs one of the node's tasks.
    pub(crate) fn begin_task(
        &self,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> AbortHandle {
        self.tasks.spawn_on(task, &self.runtime).abort_handle()
    }

    /// Runs `task` until it, or the node, ends.
    pub(crate) fn spawn(&self, work: Work, task: impl Future<Output = ()> + Send + 'static) {
        self.run(self.stop.clone(), work, task);
    }

    /// Runs `task` until it ends, or the node makes no new connections any more.
    pub(crate) fn spawn_opening(
        &self,
        work: Work,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        self.run(self.closing.clone(), work, task);
    }

    fn run(
        &self,
        end: CancellationToken,
        work: Work,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let doing = self.doing(work);
        // Boxed: on the way to its place it would be moved some times, and may be some kilobytes long.
        let task = end.run_until_cancelled_owned(Box::pin(task));
        self.begin_task(async move {
            task.await;
            drop(doing);
        });
    }

    /// A task does this from now on.
    pub(crate) fn doing(&self, work: Work) -> Doing {
        let mut tasks = self.running.tasks();
        let number = tasks.begun;
        tasks.begun += 1;
        tasks.work.insert(number, work);
        let running = Arc::clone(&self.running);
        Doing { running, number }
    }

    /// What has not ended, in words, each once: a dial and whoever waits for it do the same.
    pub(crate) fn unfinished(&self) -> Vec<String> {
        let tasks = self.running.tasks();
        let mut named: Vec<String> = Vec::with_capacity(tasks.work.len());
        for work in tasks.work.values() {
            let work = work.to_string();
            if !named.contains(&work) {
                named.push(work);
            }
        }
        named
    }
}

impl Running {
    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Doing {
    fn drop(&mut self) {
        self.running.tasks().work.remove(&self.number);
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listening => f.write_str("listening"),
            Self::Registering => f.write_str("the registration"),
            Self::Welcoming(from) => write!(f, "a caller from {from}"),
            Self::Dialling(peer) => write!(f, "dialling {peer}"),
            Self::AskingTickTime(peer) => write!(f, "asking {peer} for its tick time"),
            Self::Reading(peer) => write!(f, "reading from {peer}"),
            Self::Writing(peer) => write!(f, "writing to {peer}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dial_is_named_once() {
        let life = Lifetime::begin();
        let dialling = || Work::Dialling("app@10.0.0.1".parse().unwrap());
        let (_dial, _waits) = (life.doing(dialling()), life.doing(dialling()));
        let _listens = life.doing(Work::Listening);
        assert_eq!(life.unfinished(), ["dialling app@10.0.0.1", "listening"]);
    }
}
