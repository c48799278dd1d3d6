//! Sending.

use std::borrow::Borrow;
use std::sync::Arc;

use thiserror::Error;
use trunkline_etf::{Atom, Pid, Reference, Term};
use trunkline_proto::control::{Control, PidOrName};
use trunkline_proto::{Flags, NodeName};

use super::{Dest, Process, Then, recent};
use crate::Node;
use crate::link::Link;
use crate::mailbox::Body;
use crate::shared::Shared;

/// Why a message did not leave. Nothing of it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SendError {
    /// There is no connection to that node, and none came to be.
    #[error("the node is not connected")]
    NotConnected,
    /// A name that is no atom: longer than 255 characters.
    #[error("a name is longer than 255 characters")]
    BadName,
    /// No process of this node has the name.
    #[error("no process of this node has the name")]
    NotRegistered,
    /// No frame can hold it.
    #[error("the message has 4 GiB or more")]
    TooLarge,
}

impl Node {
    /// Sends a message from no process, as `Dest ! Message`: what one handle after the other sends so to
    /// one process arrives in that order. Otherwise as [`Process::send`].
    ///
    /// # Errors
    /// As those of [`Process::send`].
    ///
    /// ```no_run
    /// # async fn f(node: trunkline_node::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// use trunkline_etf::{atom, term};
    ///
    /// let app = "app@10.0.0.1".parse()?;
    /// node.send((atom!("logger"), &app), term!({hello, 42})).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn send<'a>(
        &self,
        to: impl Into<Dest<'a>>,
        message: impl Borrow<Term>,
    ) -> Result<(), SendError> {
        let shared = &self.shared;
        // One for all: the order is that of a sender.
        let from = shared.processes.first_caller();
        let token = None;
        let (node, control) = match to.into() {
            Dest::Name(name) => return shared.send_name_here(name, message.borrow()),
            Dest::Pid(pid) => {
                let (from, to) = (from.clone(), pid.clone());
                (pid.node.clone(), Control::SendSender { from, to, token })
            }
            Dest::NameAt(to, node) => {
                let from = from.clone();
                (atom_of(node)?, Control::RegSend { from, to, token })
            }
            Dest::Alias(alias) => {
                let (from, alias) = (from.clone(), alias.clone());
                let node = alias.node().clone();
                (node, Control::AliasSend { from, alias, token })
            }
        };
        if node == shared.atom {
            let mut then = Then::default();
            let message = Body::Term(message.borrow().clone());
            shared.deliver(control, Some(message), &mut then);
            shared.carry_out(then);
            return Ok(());
        }
        let link = shared.with_room(&node, &from).await?;
        link.message(control, message.borrow())
    }
}

impl Process {
    /// Sends a message, as `Dest ! Message`. To a node that is not connected it connects first
    /// (unless [`auto_connect`](crate::NodeBuilder::auto_connect) is off), and it waits while more than
    /// 1 MiB of this process waits for the connection. Between two processes messages arrive in the
    /// order in which they were sent. Cancel safe: what was cancelled was not sent.
    ///
    /// # Errors
    /// When the node is not connected, or a name of this node is nobody's. That a process is gone, or
    /// nobody has a name elsewhere, is no error, as in Erlang.
    pub async fn send<'a>(
        &self,
        to: impl Into<Dest<'a>>,
        message: impl Borrow<Term>,
    ) -> Result<(), SendError> {
        let message = message.borrow();
        match to.into() {
            Dest::Pid(pid) if pid.node == self.shared.atom => {
                self.shared.send_here(&pid.clone().into(), message);
                Ok(())
            }
            Dest::Pid(pid) => {
                let send = |link: &Link| link.send(&self.inner.pid, pid, message);
                match self.by_known(pid.node.as_bytes(), send) {
                    Some(sent) => sent,
                    None => self.send_away(pid, message).await,
                }
            }
            Dest::Name(name) => self.shared.send_name_here(name, message),
            Dest::NameAt(name, node) if node.as_str() == self.shared.atom.as_str() => {
                self.shared.send_here(&PidOrName::Name(name), message);
                Ok(())
            }
            Dest::NameAt(to, node) => {
                let (from, token) = (self.inner.pid.clone(), None);
                let control = Control::RegSend { from, to, token };
                let push = |link: &Link| link.push(&self.inner.pid, &control, message);
                match self.by_known(node.as_str().as_bytes(), push) {
                    Some(pushed) => pushed,
                    None => push(&*self.link_to(&atom_of(node)?).await?),
                }
            }
            Dest::Alias(alias) => self.send_alias(alias, message).await,
        }
    }

    async fn send_away(&self, to: &Pid, message: &Term) -> Result<(), SendError> {
        let link = self.link_to(&to.node).await?;
        link.send(&self.inner.pid, to, message)
    }

    /// Uses the connection to a node, if this thread knows it and the process need not wait.
    #[inline]
    fn by_known<T>(&self, node: &[u8], use_it: impl FnOnce(&Link) -> T) -> Option<T> {
        let epoch = self.shared.epoch.now();
        let use_it = |link: &Arc<Link>| (!link.is_busy()).then(|| use_it(link));
        recent::with(epoch, node, use_it).flatten()
    }

    async fn send_alias(&self, alias: &Reference, message: &Term) -> Result<(), SendError> {
        if *alias.node() == self.shared.atom {
            let mut then = Then::default();
            let message = Body::Term(message.clone());
            self.shared.to_alias(alias, message, &mut then);
            self.shared.carry_out(then);
            return Ok(());
        }
        let control = self.to_alias(alias);
        let push = |link: &Link| {
            // As in OTP: where the node knows no aliases there is nobody.
            if !link.takes_aliases() {
                return Ok(());
            }
            link.push(&self.inner.pid, &control, message)
        };
        match self.by_known(alias.node().as_bytes(), push) {
            Some(pushed) => pushed,
            None => push(&*self.link_to(alias.node()).await?),
        }
    }

    fn to_alias(&self, alias: &Reference) -> Control {
        Control::AliasSend {
            from: self.inner.pid.clone(),
            alias: alias.clone(),
            token: None,
        }
    }

    /// Answers a call of a `gen_server`'s client: `gen_server:reply(From, Reply)`, where a message
    /// `{'$gen_call', From, Request}` came.
    ///
    /// # Errors
    /// As [`send`](Self::send). A `From` that is none is answered by nobody.
    pub async fn reply(&self, from: &Term, reply: impl Into<Term>) -> Result<(), SendError> {
        let Some([caller, tag]) = from.as_tuple() else {
            return Ok(());
        };
        let Some(pid) = caller.as_pid() else {
            return Ok(());
        };
        let (alias, reply) = (crate::dispatch::alias_in(tag), reply.into());
        if let Some(alias) = alias.filter(|alias| *alias.node() == pid.node) {
            let answer = |link: &Link| {
                let (from, control) = (&self.inner.pid, self.to_alias(alias));
                let answers = || link.push_pair(from, &control, (tag, &reply));
                link.takes_aliases().then(answers)
            };
            if let Some(sent) = self.by_known(pid.node.as_bytes(), answer).flatten() {
                return sent;
            }
        }
        let answer = Term::tuple([tag.clone(), reply]);
        match alias {
            Some(alias) if self.shared.takes_aliases(&pid.node) => {
                self.send_alias(alias, &answer).await
            }
            _ => self.send(pid, answer).await,
        }
    }

    /// The connection to a node, as soon as this process may send there.
    pub(crate) async fn link_to(&self, node: &Atom) -> Result<Arc<Link>, SendError> {
        // Before the connection is looked for: what changes meanwhile is another epoch.
        let epoch = self.shared.epoch.now();
        if let Some(link) = recent::get(epoch, node) {
            link.room(&self.inner.pid).await;
            if !link.stop.is_cancelled() {
                return Ok(link);
            }
        }
        let link = self.shared.with_room(node, &self.inner.pid).await?;
        recent::set(epoch, &link);
        Ok(link)
    }
}

impl Link {
    /// SEND_SENDER where the other node knows it.
    pub(crate) fn send_control(&self, from: Pid, to: Pid) -> Control {
        let token = None;
        if self.info.flags.contains(Flags::SEND_SENDER) {
            Control::SendSender { from, to, token }
        } else {
            Control::Send { to, token }
        }
    }
}

impl Shared {
    /// The connection to a node, as soon as `from` may send there.
    async fn with_room(self: &Arc<Self>, node: &Atom, from: &Pid) -> Result<Arc<Link>, SendError> {
        let mut lost: Option<Arc<Link>> = None;
        loop {
            let link = self.connected_to(node).await?;
            link.room(from).await;
            if !link.stop.is_cancelled() {
                return Ok(link);
            }
            // It was lost meanwhile. Whoever ends it is about to take it off the list.
            if lost.is_some_and(|lost| Arc::ptr_eq(&lost, &link)) {
                return Err(SendError::NotConnected);
            }
            lost = Some(link);
            tokio::task::yield_now().await;
        }
    }

    fn send_name_here(&self, name: Atom, message: &Term) -> Result<(), SendError> {
        if self.send_here(&PidOrName::Name(name), message) {
            Ok(())
        } else {
            Err(SendError::NotRegistered)
        }
    }

    /// Puts a message into a mailbox of this node; `false` when nobody has the name.
    pub(crate) fn send_here(&self, to: &PidOrName, message: &Term) -> bool {
        let found = self.processes.find_any(to);
        let is_there = found.is_some();
        match found {
            Some(inner) => {
                let mut then = Then::default();
                inner.message(Body::Term(message.clone()), &mut then);
                self.carry_out(then);
            }
            None => {
                let mut then = Then::default();
                self.unclaimed(to, Body::Term(message.clone()), &mut then);
                self.carry_out(then);
            }
        }
        is_there || self.answers_for(to)
    }
}

pub(crate) fn atom_of(node: &NodeName) -> Result<Atom, SendError> {
    Atom::new(node.as_str()).map_err(|_| SendError::BadName)
}
