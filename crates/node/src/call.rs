//! Calling servers: `gen_server:call/3`.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::time::timeout;
use trunkline_etf::{Limits, Pid, Term, atom};
use trunkline_proto::Flags;
use trunkline_proto::control::{Control, PidOrName};

use crate::link::Link;
use crate::mailbox::Body;
use crate::process::dest::Place;
use crate::process::{Dest, Outgoing};
use crate::shared::Shared;
use crate::slot::{Answer, Waiting};
use crate::{Node, Process, SendError};

impl Node {
    /// Calls a server (`gen_server` and all that speak like it) and waits for its reply, at most
    /// `limit`: `gen_server:call(Server, Request, Limit)`. The caller is the node, which lives as
    /// long as it does; [`Process::call`] calls for a process.
    ///
    /// # Errors
    /// How the call failed. After [`CallError::Timeout`] the server may still do what was asked; its
    /// reply vanishes.
    ///
    /// ```no_run
    /// # async fn f(node: trunkline_node::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use trunkline_etf::{atom, term};
    ///
    /// let app = "app@10.0.0.1".parse()?;
    /// let limit = Duration::from_secs(5);
    /// let stock = node.call((atom!("stock"), &app), term!({count, apples}), limit).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn call<'a>(
        &self,
        server: impl Into<Dest<'a>>,
        request: impl Into<Term>,
        limit: Duration,
    ) -> Result<Term, CallError> {
        let from = self.shared.processes.caller();
        call(&self.shared, from, server.into(), request.into(), limit).await
    }
}

impl Process {
    /// Calls a server for this process, as [`Node::call`]. The reply does not go through the mailbox.
    ///
    /// # Errors
    /// How the call failed.
    pub async fn call<'a>(
        &self,
        server: impl Into<Dest<'a>>,
        request: impl Into<Term>,
        limit: Duration,
    ) -> Result<Term, CallError> {
        call(
            self.shared(),
            self.pid(),
            server.into(),
            request.into(),
            limit,
        )
        .await
    }
}

async fn call(
    shared: &Arc<Shared>,
    from: Pid,
    server: Dest<'_>,
    request: Term,
    limit: Duration,
) -> Result<Term, CallError> {
    let Place { node, who } = shared.place(server).map_err(|_| CallError::NoProcess)?;
    let answered = async {
        if node == shared.atom {
            call_here(shared, from, who, request).await
        } else {
            call_there(shared, from, node, who, request).await
        }
    };
    timeout(limit, answered)
        .await
        .unwrap_or(Err(CallError::Timeout))
}

/// A call that is under way. When it is dropped nothing of it is left, here and there.
struct Under<'a> {
    waiting: Waiting<'a>,
    shared: &'a Arc<Shared>,
    node: trunkline_etf::Atom,
    from: Pid,
    who: PidOrName,
    /// The monitor has fired.
    fired: bool,
}

impl<'a> Under<'a> {
    fn new(shared: &'a Arc<Shared>, from: Pid, node: trunkline_etf::Atom, who: PidOrName) -> Self {
        Self {
            waiting: Waiting::new(&shared.processes, from.clone(), node.clone()),
            shared,
            node,
            from,
            who,
            fired: false,
        }
    }

    fn monitor(&self) -> Control {
        Control::MonitorP {
            from: self.from.clone(),
            to: self.who.clone(),
            reference: self.waiting.reference.clone(),
        }
    }

    /// `{'$gen_call', {From, [alias|Reference]}, Request}`.
    fn message(&self, request: Term, aliases: bool) -> Term {
        let reference = Term::from(&self.waiting.reference);
        let tag = if aliases {
            Term::list_with_tail([atom!("alias")], reference)
        } else {
            reference
        };
        let from = Term::tuple([Term::from(&self.from), tag]);
        Term::tuple([atom!("$gen_call").into(), from, request])
    }

    async fn reply(mut self) -> Result<Term, CallError> {
        loop {
            match self.waiting.next().await {
                Answer::Message(body) => {
                    let reply = match body {
                        Body::Term(term) => term,
                        Body::Raw(raw, _) => raw
                            .decode(&Limits::default())
                            .map_err(|why| CallError::Undecodable(why.to_string()))?,
                    };
                    if let Ok(Some(reply)) = reply.into_tuple().map(second) {
                        return Ok(reply);
                    }
                }
                Answer::Down(reason) => {
                    self.fired = true;
                    return Err(ended(reason.into_term()));
                }
                Answer::Spawned(_) => {}
            }
        }
    }
}

impl Drop for Under<'_> {
    fn drop(&mut self) {
        if !self.fired {
            let control = Control::DemonitorP {
                from: self.from.clone(),
                to: self.who.clone(),
                reference: self.waiting.reference.clone(),
            };
            let told = Outgoing::Signal(self.node.clone(), control);
            self.shared.carry_out(told.into());
        }
    }
}

async fn call_there(
    shared: &Arc<Shared>,
    from: Pid,
    node: trunkline_etf::Atom,
    who: PidOrName,
    request: Term,
) -> Result<Term, CallError> {
    let link = shared.connected_to(&node).await?;
    call_over(shared, &link, from, who, request).await
}

async fn call_over(
    shared: &Arc<Shared>,
    link: &Link,
    from: Pid,
    who: PidOrName,
    request: Term,
) -> Result<Term, CallError> {
    let aliases = link.info.flags.contains(Flags::ALIAS);
    // A reply to a pid alone would go into a mailbox.
    let from = if aliases {
        from
    } else {
        shared.processes.caller()
    };
    link.room(&from).await;
    let under = Under::new(shared, from, link.atom.clone(), who);
    let message = under.message(request, aliases);
    let control = match &under.who {
        PidOrName::Pid(pid) => Control::SendSender {
            from: under.from.clone(),
            to: pid.clone(),
            token: None,
        },
        PidOrName::Name(name) => Control::RegSend {
            from: under.from.clone(),
            to: name.clone(),
            token: None,
        },
    };
    link.message_after(&under.from, under.monitor(), control, &message)?;
    if link.stop.is_cancelled() {
        // Lost before it was told who waits.
        return Err(CallError::NodeDown);
    }
    under.reply().await
}

async fn call_here(
    shared: &Arc<Shared>,
    from: Pid,
    who: PidOrName,
    request: Term,
) -> Result<Term, CallError> {
    let under = Under::new(shared, from, shared.atom.clone(), who);
    shared.carry_out(Outgoing::Signal(shared.atom.clone(), under.monitor()).into());
    shared.send_here(&under.who, &under.message(request, true));
    under.reply().await
}

fn second(parts: Vec<Term>) -> Option<Term> {
    parts.into_iter().nth(1)
}

fn ended(reason: Term) -> CallError {
    match reason.as_atom().map(trunkline_etf::Atom::as_str) {
        Some("noproc") => CallError::NoProcess,
        Some("noconnection") => CallError::NodeDown,
        _ => CallError::Exit(reason),
    }
}

/// How a call of a server failed.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum CallError {
    /// There is no such process: `noproc`.
    #[error("there is no such process (noproc)")]
    NoProcess,
    /// Its node cannot be reached, or the connection was lost: `{nodedown, Node}`. The call may have
    /// been carried out.
    #[error("its node is not connected (nodedown)")]
    NodeDown,
    /// No reply in time. The call may still be carried out.
    #[error("no reply in time")]
    Timeout,
    /// The server ended before it replied, for this reason.
    #[error("the server ended: {0}")]
    Exit(Term),
    /// The reply is no term, or larger than the limits.
    #[error("the reply cannot be decoded: {0}")]
    Undecodable(String),
    /// A request that no frame can hold. Nothing was sent.
    #[error("the call cannot be sent: {0}")]
    Unsendable(SendError),
}

impl From<SendError> for CallError {
    fn from(why: SendError) -> Self {
        match why {
            SendError::NotConnected => Self::NodeDown,
            SendError::NotRegistered => Self::NoProcess,
            other => Self::Unsendable(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use trunkline_proto::Cookie;

    use super::*;
    use crate::Target;

    /// The connection ends after it was found, and before anybody waits for what it brings.
    #[tokio::test]
    async fn a_connection_that_has_just_ended_is_not_waited_for() {
        let node = async |name: &str| {
            let node = Node::builder(name.parse().unwrap()).cookie(Cookie::new("monster").unwrap());
            let node = node.listen([Ipv4Addr::LOCALHOST.into()], 0).epmd(None);
            node.start().await.unwrap()
        };
        let (one, two) = (node("one@127.0.0.1").await, node("two@127.0.0.1").await);
        let there = Target::new(two.name().clone()).on_port(two.port().unwrap());
        one.connect(&there).await.unwrap();
        let link = one.shared.link(two.name().as_str()).unwrap();
        one.disconnect(two.name());
        let from = one.shared.processes.caller();
        let who = PidOrName::Name(atom!("server"));
        let called = call_over(&one.shared, &link, from, who, Term::atom("hello"));
        let called = timeout(Duration::from_secs(10), called).await;
        assert_eq!(
            called.expect("nobody waits for it"),
            Err(CallError::NodeDown)
        );
    }
}
