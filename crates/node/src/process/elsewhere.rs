//! Processes of other nodes that a process of this one starts.

use thiserror::Error;
use trunkline_etf::{Atom, Pid, Reference, Term, atom};
use trunkline_proto::control::Control;
use trunkline_proto::{Flags, NodeName};

use super::send::atom_of;
use super::state::{Inner, Life, Monitored};
use super::{Process, SendError};
use crate::link::Link;
use crate::slot::{Answer, Waiting};

impl Process {
    /// Starts a process on another node, linked to this one: `spawn_link(Node, M, F, Args)`. It ends
    /// when this one ends or the connection is lost, and its end is an exit signal here. What it
    /// prints is dropped.
    ///
    /// # Errors
    /// Why there is no new process. When this is cancelled the process may come to be; it
    /// ends with this one at the latest.
    pub async fn spawn_link_at(
        &self,
        node: &NodeName,
        module: &str,
        function: &str,
        args: Vec<Term>,
    ) -> Result<Pid, SpawnError> {
        let link = atom!("link").into();
        let (pid, _) = self.spawn_at(node, module, function, args, link).await?;
        Ok(pid)
    }

    /// Starts a process on another node and monitors it: `spawn_monitor(Node, M, F, Args)`.
    ///
    /// # Errors
    /// Why there is no new process.
    pub async fn spawn_monitor_at(
        &self,
        node: &NodeName,
        module: &str,
        function: &str,
        args: Vec<Term>,
    ) -> Result<(Pid, Reference), SpawnError> {
        let monitor = atom!("monitor").into();
        self.spawn_at(node, module, function, args, monitor).await
    }

    async fn spawn_at(
        &self,
        node: &NodeName,
        module: &str,
        function: &str,
        args: Vec<Term>,
        option: Term,
    ) -> Result<(Pid, Reference), SpawnError> {
        let link = self.link_to(&atom_of(node)?).await?;
        self.spawn_over(&link, module, function, args, option).await
    }

    async fn spawn_over(
        &self,
        link: &Link,
        module: &str,
        function: &str,
        args: Vec<Term>,
        option: Term,
    ) -> Result<(Pid, Reference), SpawnError> {
        let (shared, me) = (&self.shared, &self.inner.pid);
        if !link.info.flags.contains(Flags::SPAWN) {
            return Err(SpawnError::NotSupported);
        }
        // A peer that never answers must not cost an entry for each question.
        let waiting = Waiting::new(&shared.processes, me.clone(), link.atom.clone());
        let request = waiting.reference.clone();
        let control = Control::SpawnRequest {
            request: request.clone(),
            from: me.clone(),
            group_leader: shared.processes.group_leader(),
            module: Atom::new(module).map_err(|_| SendError::BadName)?,
            function: Atom::new(function).map_err(|_| SendError::BadName)?,
            arity: u32::try_from(args.len()).unwrap_or(u32::MAX),
            options: Term::list([option]),
            token: None,
        };
        link.message(control, &Term::list(args))?;
        // Lost before it was told who waits.
        if link.stop.is_cancelled() {
            return Err(SendError::NotConnected.into());
        }
        match waiting.next().await {
            Answer::Spawned(Ok(pid)) => Ok((pid, request)),
            Answer::Spawned(Err(error)) if error == "notsup" => Err(SpawnError::NotSupported),
            Answer::Spawned(Err(error)) => Err(SpawnError::Refused(error)),
            // The connection was lost meanwhile.
            Answer::Down(_) | Answer::Message(_) => Err(SendError::NotConnected.into()),
        }
    }
}

impl Inner {
    /// A process that this one has asked for is there; `false` when this one has gone.
    pub(crate) fn spawned(
        &self,
        request: &Reference,
        pid: &Pid,
        linked: bool,
        monitored: bool,
    ) -> bool {
        let mut state = self.state();
        if state.life == Life::Ended {
            return false;
        }
        if linked {
            state.links.insert(pid.clone());
        }
        if monitored {
            let watched = Monitored {
                node: pid.node.clone(),
                target: pid.clone().into(),
            };
            state.monitors.insert(request.clone(), watched);
        }
        true
    }
}

/// Why no process was started.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// The request did not leave, or the connection was lost before the answer came.
    #[error("{0}")]
    Send(#[from] SendError),
    /// The node starts no processes for others.
    #[error("the node starts no processes for others (notsup)")]
    NotSupported,
    /// The node refuses; its own word.
    #[error("the node starts no process: {0}")]
    Refused(Atom),
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use tokio::time::timeout;
    use trunkline_proto::Cookie;

    use super::*;
    use crate::{Node, Target};

    async fn node(name: &str) -> Node {
        let node = Node::builder(name.parse().unwrap()).cookie(Cookie::new("monster").unwrap());
        let node = node.listen([Ipv4Addr::LOCALHOST.into()], 0).epmd(None);
        node.start().await.unwrap()
    }

    /// The connection ends after it was found, and before anybody waits for what it brings.
    #[tokio::test]
    async fn a_connection_that_has_just_ended_answers_nobody_and_is_not_waited_for() {
        let (one, two) = (node("one@127.0.0.1").await, node("two@127.0.0.1").await);
        let there = Target::new(two.name().clone()).on_port(two.port().unwrap());
        one.connect(&there).await.unwrap();
        let link = one.shared.link(two.name().as_str()).unwrap();
        one.disconnect(two.name());
        let process = one.process();
        let link_option = atom!("link").into();
        let spawned = process.spawn_over(&link, "m", "f", Vec::new(), link_option);
        let spawned = timeout(Duration::from_secs(10), spawned).await;
        assert_eq!(
            spawned.expect("nobody waits for it"),
            Err(SendError::NotConnected.into())
        );
    }
}
