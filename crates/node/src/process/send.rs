//! Sending.

use std::borrow::Borrow;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;
use trunkline_etf::{Atom, Pid, Reference, Term};
use trunkline_proto::NodeName;
use trunkline_proto::control::{Control, PidOrName};

use super::{Dest, Process, Then};
use crate::Node;
use crate::link::Link;
use crate::mailbox::Body;
use crate::shared::Shared;

/// The connection that was used last, as long as connections are as they were, and what goes before a
/// message to the process that was sent to last.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<Option<Route>>);

#[derive(Debug)]
struct Route {
    epoch: u64,
    link: Arc<Link>,
    to: Option<(Pid, Vec<u8>)>,
}

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
            Dest::Pid(pid) => match self.send_again(pid, message) {
                Some(sent) => sent,
                None => self.send_away(pid, message).await,
            },
            Dest::Name(name) => self.shared.send_name_here(name, message),
            Dest::NameAt(name, node) if node.as_str() == self.shared.atom.as_str() => {
                self.shared.send_here(&PidOrName::Name(name), message);
                Ok(())
            }
            Dest::NameAt(name, node) => {
                let link = self.link_to(&atom_of(node)?).await?;
                let control = Control::RegSend {
                    from: self.inner.pid.clone(),
                    to: name,
                    token: None,
                };
                push(&link, &self.inner.pid, &control, message)
            }
            Dest::Alias(alias) => self.send_alias(alias, message).await,
        }
    }

    async fn send_away(&self, to: &Pid, message: &Term) -> Result<(), SendError> {
        let link = self.link_to(&to.node).await?;
        let control = link.send_control(self.inner.pid.clone(), to.clone());
        self.recent.sends(&link, to, &control);
        push(&link, &self.inner.pid, &control, message)
    }

    /// Sends to the process that was sent to last, if nothing has changed and nobody has to wait.
    fn send_again(&self, to: &Pid, message: &Term) -> Option<Result<(), SendError>> {
        let recent = self.recent.lock();
        let route = recent.as_ref()?;
        let (last, control) = route.to.as_ref()?;
        let same = last == to
            && route.epoch == self.shared.epoch.load(Ordering::Acquire)
            && !route.link.is_busy();
        same.then(|| {
            let sent = route.link.push_again(&self.inner.pid, control, message);
            sent.map_err(|_| SendError::TooLarge)
        })
    }

    async fn send_alias(&self, alias: &Reference, message: &Term) -> Result<(), SendError> {
        if *alias.node() == self.shared.atom {
            let mut then = Then::default();
            let message = Body::Term(message.clone());
            self.shared.to_alias(alias, message, &mut then);
            self.shared.carry_out(then);
            return Ok(());
        }
        let link = self.link_to(alias.node()).await?;
        let control = Control::AliasSend {
            from: self.inner.pid.clone(),
            alias: alias.clone(),
            token: None,
        };
        push(&link, &self.inner.pid, &control, message)
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
        let answer = Term::tuple([tag.clone(), reply.into()]);
        match crate::dispatch::alias_in(tag) {
            Some(alias) if self.shared.takes_aliases(&pid.node) => {
                self.send_alias(alias, &answer).await
            }
            _ => self.send(pid, answer).await,
        }
    }

    /// The connection to a node, as soon as this process may send there.
    pub(super) async fn link_to(&self, node: &Atom) -> Result<Arc<Link>, SendError> {
        let epoch = self.shared.epoch.load(Ordering::Acquire);
        let mut recent = self.recent.get(epoch, node);
        loop {
            let link = match recent.take() {
                Some(link) => link,
                None => {
                    let link = self.shared.connected_to(node).await?;
                    self.recent.set(epoch, &link);
                    link
                }
            };
            link.room(&self.inner.pid).await;
            // It may have been lost meanwhile.
            if self.shared.epoch.load(Ordering::Acquire) == epoch || !link.stop.is_cancelled() {
                return Ok(link);
            }
        }
    }
}

impl Recent {
    fn get(&self, epoch: u64, node: &Atom) -> Option<Arc<Link>> {
        match &*self.lock() {
            Some(route) if route.epoch == epoch && route.link.atom == *node => {
                Some(Arc::clone(&route.link))
            }
            _ => None,
        }
    }

    fn set(&self, epoch: u64, link: &Arc<Link>) {
        *self.lock() = Some(Route {
            epoch,
            link: Arc::clone(link),
            to: None,
        });
    }

    /// What goes before a message to this process, for the next one. (SEND says not who sends.)
    fn sends(&self, link: &Arc<Link>, to: &Pid, control: &Control) {
        if let Some(route) = &mut *self.lock()
            && Arc::ptr_eq(&route.link, link)
            && let Control::SendSender { .. } = control
        {
            route.to = Some((to.clone(), control.encoded()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Route>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    /// SEND_SENDER where the other node knows it.
    pub(crate) fn send_control(&self, from: Pid, to: Pid) -> Control {
        let token = None;
        if self
            .info
            .flags
            .contains(trunkline_proto::Flags::SEND_SENDER)
        {
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

fn push(link: &Link, from: &Pid, control: &Control, message: &Term) -> Result<(), SendError> {
    link.push(from, control, message)
        .map_err(|_| SendError::TooLarge)
}

pub(crate) fn atom_of(node: &NodeName) -> Result<Atom, SendError> {
    Atom::new(node.as_str()).map_err(|_| SendError::BadName)
}
