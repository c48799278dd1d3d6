//! A process of this node.

use std::sync::Arc;

use thiserror::Error;
use tokio::sync::mpsc;
use trunkline_etf::{Atom, Limits, Pid, RawTerm, Reference, Term, atom};
use trunkline_proto::control::{Control, PidOrName};
use trunkline_proto::{Flags, NodeName};

use crate::process::Incoming;
use crate::shared::Shared;

/// What a process receives.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Message {
    /// Somebody sent this.
    Term(Term),
    /// A linked process ended, or `exit/2` was called: as for a process that traps exits.
    Exit {
        /// Who ended, or called.
        from: Pid,
        /// Why; `noconnection` when its node was lost.
        reason: Term,
    },
    /// A monitored process ended, or there is none.
    Down {
        /// Which monitor.
        reference: Reference,
        /// Who, as it was named in the monitor.
        from: PidOrName,
        /// Why; `noproc` when there is none, `noconnection` when its node was lost.
        reason: Term,
    },
}

/// A process: it has a pid, receives, links and monitors. It traps exits.
///
/// When it is dropped it ends for the reason `shutdown`: what is linked to it ends too, unless that
/// traps exits. [`Mailbox::end`] gives another reason.
#[derive(Debug)]
pub struct Mailbox {
    shared: Arc<Shared>,
    pid: Pid,
    received: mpsc::UnboundedReceiver<Incoming>,
}

impl Mailbox {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let (pid, received) = shared.processes.spawn();
        Self {
            shared,
            pid,
            received,
        }
    }

    /// The process's pid.
    pub fn pid(&self) -> Pid {
        self.pid.clone()
    }

    /// Gives the process a name for [`Mailbox::send_name`] from elsewhere. `false` when it has one
    /// already, or another process of this node has it.
    pub fn register(&self, name: &Atom) -> bool {
        self.shared.processes.register(name.clone(), &self.pid)
    }

    /// The next message, in the order of arrival. `None` never comes while the node lives. Cancel
    /// safe.
    pub async fn recv(&mut self) -> Option<Message> {
        loop {
            match self.received.recv().await? {
                Incoming::Message(term) => match term.decode(&Limits::default()) {
                    Ok(term) => return Some(Message::Term(term)),
                    // It fails alone: the next one may be good.
                    Err(why) => tracing::warn!(
                        "a message is dropped: {why} · to {} · look at what its sender sends",
                        self.pid
                    ),
                },
                Incoming::Exit { from, reason } => {
                    let reason = reason_of(&reason);
                    return Some(Message::Exit { from, reason });
                }
                Incoming::Down {
                    reference,
                    from,
                    reason,
                } => {
                    let reason = reason_of(&reason);
                    return Some(Message::Down {
                        reference,
                        from,
                        reason,
                    });
                }
            }
        }
    }

    /// Sends to a process. Waits while the connection is busy. Cancel safe.
    ///
    /// # Errors
    /// When its node is not connected. That the process is gone is no error, as in Erlang.
    pub async fn send(&self, to: &Pid, message: &Term) -> Result<(), SendError> {
        self.room(&to.node).await;
        let control = self
            .shared
            .send_control(&to.node, self.pid.clone(), to.clone());
        self.shared.send(&to.node, control, Some(message))
    }

    /// Sends to a registered process of another node. Waits while the connection is busy. Cancel
    /// safe.
    ///
    /// # Errors
    /// When the node is not connected. That nobody has the name is no error, as in Erlang.
    pub async fn send_name(
        &self,
        node: &NodeName,
        name: &Atom,
        message: &Term,
    ) -> Result<(), SendError> {
        let node = atom_of(node)?;
        self.room(&node).await;
        let control = Control::RegSend {
            from: self.pid.clone(),
            to: name.clone(),
            token: None,
        };
        self.shared.send(&node, control, Some(message))
    }

    /// Links to a process. When it ends, or has ended, an [`Message::Exit`] comes.
    pub fn link(&self, to: &Pid) {
        if self.shared.processes.link(&self.pid, to) {
            let control = Control::Link {
                from: self.pid.clone(),
                to: to.clone(),
            };
            if self.shared.send(&to.node, control, None).is_err() {
                let lost = RawTerm::from(&Term::from(atom!("noconnection")));
                self.shared.processes.exited(to.clone(), &self.pid, lost);
            }
        }
    }

    /// Ends a link. No [`Message::Exit`] of it comes any more, except one that has come already.
    pub fn unlink(&self, to: &Pid) {
        let signal = self.shared.processes.unlink(&self.pid, to);
        self.shared.send_all(signal);
    }

    /// Monitors a process. When it ends, or has ended, one [`Message::Down`] comes.
    pub fn monitor(&self, pid: &Pid) -> Reference {
        self.start_monitor(pid.node.clone(), PidOrName::Pid(pid.clone()))
    }

    /// Monitors a registered process of another node; the same.
    ///
    /// # Errors
    /// [`SendError::BadName`] only.
    pub fn monitor_name(&self, node: &NodeName, name: &Atom) -> Result<Reference, SendError> {
        Ok(self.start_monitor(atom_of(node)?, PidOrName::Name(name.clone())))
    }

    fn start_monitor(&self, node: Atom, target: PidOrName) -> Reference {
        let reference = self.shared.processes.reference();
        let processes = &self.shared.processes;
        processes.monitor(&self.pid, reference.clone(), node.clone(), target.clone());
        let control = Control::MonitorP {
            from: self.pid.clone(),
            to: target.clone(),
            reference: reference.clone(),
        };
        if self.shared.send(&node, control, None).is_err() {
            let lost = RawTerm::from(&Term::from(atom!("noconnection")));
            processes.down(target, &self.pid, reference.clone(), lost);
        }
        reference
    }

    /// Ends a monitor. No [`Message::Down`] of it comes any more, except one that has come already.
    pub fn demonitor(&self, reference: &Reference) {
        let signal = self.shared.processes.demonitor(&self.pid, reference);
        self.shared.send_all(signal);
    }

    /// Sends an exit signal, as `exit/2`.
    ///
    /// # Errors
    /// When its node is not connected.
    pub fn exit(&self, to: &Pid, reason: Term) -> Result<(), SendError> {
        let control = Control::Exit2 {
            from: self.pid.clone(),
            to: to.clone(),
            token: None,
            reason,
        };
        self.shared.send(&to.node, control, None)
    }

    /// Starts a process on another node, linked to this one: it ends when this one ends or the
    /// connection is lost, and its end comes as [`Message::Exit`]. What it prints is dropped.
    ///
    /// # Errors
    /// Why there is no new process. When this is cancelled the process may come to be; it
    /// ends with this one at the latest.
    pub async fn spawn_link(
        &self,
        node: &NodeName,
        module: &str,
        function: &str,
        args: Vec<Term>,
    ) -> Result<Pid, SpawnError> {
        let (pid, _) = self
            .spawn(node, module, function, args, &[atom!("link")])
            .await?;
        Ok(pid)
    }

    /// Starts a process on another node and monitors it. The same in all else.
    ///
    /// # Errors
    /// Why there is no new process.
    pub async fn spawn_monitor(
        &self,
        node: &NodeName,
        module: &str,
        function: &str,
        args: Vec<Term>,
    ) -> Result<(Pid, Reference), SpawnError> {
        self.spawn(node, module, function, args, &[atom!("monitor")])
            .await
    }

    async fn spawn(
        &self,
        node: &NodeName,
        module: &str,
        function: &str,
        args: Vec<Term>,
        options: &[Atom],
    ) -> Result<(Pid, Reference), SpawnError> {
        let shared = &self.shared;
        let node = atom_of(node)?;
        self.room(&node).await;
        if shared.link(node.as_str()).is_none() {
            return Err(SpawnError::Send(SendError::NotConnected));
        }
        if !shared.agreed(&node, Flags::SPAWN) {
            return Err(SpawnError::NotSupported);
        }
        let request = shared.processes.reference();
        let processes = &shared.processes;
        let answer = processes.spawning(request.clone(), node.clone(), self.pid.clone());
        // A peer that never answers must not cost an entry for each question.
        let _waiting = Waiting {
            shared,
            request: &request,
        };
        let control = Control::SpawnRequest {
            request: request.clone(),
            from: self.pid.clone(),
            group_leader: shared.processes.group_leader(),
            module: Atom::new(module).map_err(|_| SendError::BadName)?,
            function: Atom::new(function).map_err(|_| SendError::BadName)?,
            arity: u32::try_from(args.len()).unwrap_or(u32::MAX),
            options: Term::list(options.iter().cloned()),
            token: None,
        };
        shared.send(&node, control, Some(&Term::list(args)))?;
        match answer.await {
            Ok(Ok(pid)) => Ok((pid, request.clone())),
            Ok(Err(error)) if error == "notsup" => Err(SpawnError::NotSupported),
            Ok(Err(error)) => Err(SpawnError::Refused(error)),
            // The connection was lost meanwhile.
            Err(_) => Err(SpawnError::Send(SendError::NotConnected)),
        }
    }

    /// Ends the process for this reason; `normal` leaves what is linked to it alive.
    pub fn end(self, reason: &Term) {
        self.tell_end(reason);
    }

    /// The second call finds nobody to tell.
    fn tell_end(&self, reason: &Term) {
        let signals = self.shared.processes.end(&self.pid, reason);
        self.shared.send_all(signals);
    }

    async fn room(&self, node: &Atom) {
        if let Some(link) = self.shared.link(node.as_str()) {
            link.room(&self.pid).await;
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

/// Forgets a request that nobody waits for any more.
struct Waiting<'a> {
    shared: &'a Shared,
    request: &'a Reference,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.shared.processes.spawn_abandoned(self.request);
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.tell_end(&Term::atom("shutdown"));
    }
}

/// A reason that cannot be decoded is still an end.
fn reason_of(reason: &RawTerm) -> Term {
    reason.decode(&Limits::default()).unwrap_or_else(|why| {
        Term::tuple([Term::atom("undecodable"), Term::from(&*why.to_string())])
    })
}

pub(crate) fn atom_of(node: &NodeName) -> Result<Atom, SendError> {
    Atom::new(node.as_str()).map_err(|_| SendError::BadName)
}

/// Why a message did not leave. Nothing of it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SendError {
    /// There is no connection to that node.
    #[error("the node is not connected")]
    NotConnected,
    /// A name that is no atom: longer than 255 characters.
    #[error("a name is longer than 255 characters")]
    BadName,
    /// No frame can hold it.
    #[error("the message has 4 GiB or more")]
    TooLarge,
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
