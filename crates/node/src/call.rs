//! Calling servers: `gen_server:call/3`.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::time::timeout;
use trunkline_etf::{Atom, Limits, Pid, Term};
use trunkline_proto::control::{Control, PidOrName};

use crate::link::{Called, Link};
use crate::mailbox::{Body, SMALL};
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
        let (shared, from) = (&self.shared, self.shared.processes.caller());
        let link = async |node: &Atom| Ok(shared.connected_to(node).await?);
        call(shared, from, link, server.into(), request.into(), limit).await
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
        let (shared, from) = (self.shared(), self.pid());
        let link = async |node: &Atom| Ok(self.link_to(node).await?);
        call(shared, from, link, server.into(), request.into(), limit).await
    }
}

/// `link` gives the connection to a node.
async fn call(
    shared: &Arc<Shared>,
    from: Pid,
    link: impl AsyncFnOnce(&Atom) -> Result<Arc<Link>, CallError>,
    server: Dest<'_>,
    request: Term,
    limit: Duration,
) -> Result<Term, CallError> {
    let Place { node, who } = shared.place(server).map_err(|_| CallError::NoProcess)?;
    let answered = async {
        if node == shared.atom {
            call_here(shared, from, who, request).await
        } else {
            call_over(shared, &*link(&node).await?, from, who, &request).await
        }
    };
    timeout(limit, answered)
        .await
        .unwrap_or(Err(CallError::Timeout))
}

/// A call that is under way. When it is dropped nothing of it is left, here and there.
struct Under<'a> {
    waiting: Waiting<'a>,
    shared: &'a Shared,
    /// `None`: the server is of this node.
    link: Option<&'a Link>,
    from: Pid,
    who: PidOrName,
    aliases: bool,
    /// The monitor has fired.
    fired: bool,
}

impl<'a> Under<'a> {
    fn new(shared: &'a Shared, link: Option<&'a Link>, from: Pid, who: PidOrName) -> Self {
        let node = link.map_or(&shared.atom, |link| &link.atom);
        Self {
            waiting: Waiting::new(&shared.processes, from.clone(), node.clone()),
            shared,
            aliases: link.is_none_or(Link::takes_aliases),
            link,
            from,
            who,
            fired: false,
        }
    }

    fn called(&self) -> Called<'_> {
        Called {
            from: &self.from,
            server: &self.who,
            reference: &self.waiting.reference,
            aliases: self.aliases,
            monitors: self.link.is_none_or(Link::takes_monitors),
        }
    }

    async fn reply(mut self) -> Result<Term, CallError> {
        loop {
            match self.waiting.next().await {
                Answer::Message(body) => {
                    if let Some(reply) = reply_in(body)? {
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
        if self.fired {
            return;
        }
        match self.link {
            Some(link) if !link.takes_monitors() => {}
            Some(link) => {
                if let Err(why) = link.call_ends(self.called()) {
                    tracing::debug!(node = %link.atom, %why, "a signal is not sent");
                }
            }
            None => {
                let control = Control::DemonitorP {
                    from: self.from.clone(),
                    to: self.who.clone(),
                    reference: self.waiting.reference.clone(),
                };
                let told = Outgoing::Signal(self.shared.atom.clone(), control);
                self.shared.carry_out(told.into());
            }
        }
    }
}

async fn call_over(
    shared: &Shared,
    link: &Link,
    from: Pid,
    who: PidOrName,
    request: &Term,
) -> Result<Term, CallError> {
    // A reply to a pid alone would go into a mailbox.
    let from = if link.takes_aliases() {
        from
    } else {
        shared.processes.caller()
    };
    link.room(&from).await;
    let under = Under::new(shared, Some(link), from, who);
    link.call(under.called(), request)?;
    if link.stop.is_cancelled() {
        // Lost before it was told who waits.
        return Err(CallError::NodeDown);
    }
    under.reply().await
}

async fn call_here(
    shared: &Shared,
    from: Pid,
    who: PidOrName,
    request: Term,
) -> Result<Term, CallError> {
    let under = Under::new(shared, None, from, who);
    let monitor = Control::MonitorP {
        from: under.from.clone(),
        to: under.who.clone(),
        reference: under.waiting.reference.clone(),
    };
    shared.carry_out(Outgoing::Signal(shared.atom.clone(), monitor).into());
    shared.send_here(&under.who, &under.called().message(request));
    under.reply().await
}

/// The reply in `{Tag, Reply}`; `None` in anything else.
fn reply_in(body: Body) -> Result<Option<Term>, CallError> {
    let undecodable = |why: trunkline_etf::DecodeError| CallError::Undecodable(why.to_string());
    let answer = match body {
        Body::Term(term) => term,
        Body::Raw(raw, _) => match behind_tag(raw.bytes()) {
            // The tag is our own.
            Some(reply) if reply.len() < SMALL => {
                let reply = Term::decode_lent(reply, raw.atoms(), &Limits::default());
                return reply.map(Some).map_err(undecodable);
            }
            _ => raw.decode(&Limits::default()).map_err(undecodable)?,
        },
    };
    Ok(answer.into_tuple().ok().and_then(second))
}

/// What comes behind `[alias|Reference]`, or the reference alone, in a tuple of two. `None` where that is written
/// otherwise than we, and OTP, do.
fn behind_tag(answer: &[u8]) -> Option<&[u8]> {
    let tag = answer.strip_prefix(&[SMALL_TUPLE, 2])?;
    let reference = tag.strip_prefix(ALIAS).unwrap_or(tag);
    let &[NEWER_REFERENCE, 0, words @ 1..=5, SMALL_ATOM_UTF8, node, ..] = reference else {
        return None;
    };
    // The node's name, the creation, the words.
    reference.get(5 + usize::from(node) + 4 + 4 * usize::from(words)..)
}

/// `[alias|`: a list of one element and a tail.
const ALIAS: &[u8] = b"\x6c\0\0\0\x01\x77\x05alias";

// `erl_ext_dist`.
const SMALL_TUPLE: u8 = 104;
const NEWER_REFERENCE: u8 = 90;
const SMALL_ATOM_UTF8: u8 = 119;

fn second(parts: Vec<Term>) -> Option<Term> {
    parts.into_iter().nth(1)
}

fn ended(reason: Term) -> CallError {
    match reason.as_atom().map(Atom::as_str) {
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

    use trunkline_etf::{Reference, atom};
    use trunkline_proto::Cookie;

    use super::*;
    use crate::Target;

    /// As it is decoded, too.
    #[test]
    fn the_reply_stands_behind_the_tag() {
        let reference = Reference::new(atom!("me@10.0.0.1"), 7, &[1, 2, 3]).unwrap();
        let long = Atom::new(&"x".repeat(200)).unwrap();
        let other = Reference::new(long, 7, &[1, 2, 3, 4, 5]).unwrap();
        let alias = Term::list_with_tail([atom!("alias")], Term::from(&reference));
        let small = Term::tuple([Term::from(1), Term::from("a word")]);
        let large = Term::binary(vec![7; 10_000]);
        let tags = [
            alias,
            Term::from(&reference),
            Term::from(&other),
            Term::from(9),
        ];
        for (tag, reply) in tags.iter().flat_map(|tag| [(tag, &small), (tag, &large)]) {
            let raw = trunkline_etf::RawTerm::from(&Term::tuple([tag.clone(), reply.clone()]));
            let expected = tag.as_u64().is_none();
            let behind = behind_tag(raw.bytes());
            assert_eq!(behind.is_some(), expected, "{tag}");
            assert!(behind.is_none_or(|behind| behind.len() == reply.encoded_len()));
            for cut in 0..raw.bytes().len().min(60) {
                behind_tag(&raw.bytes()[..cut]);
            }
            let account = crate::budget::Budget::new(1 << 20).account(&atom!("you@h"));
            let body = Body::came(raw, &account);
            assert_eq!(reply_in(body), Ok(Some(reply.clone())));
        }
        let three = Body::Term(Term::tuple([Term::from(&reference)]));
        assert_eq!(reply_in(three), Ok(None));
    }

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
        let (who, hello) = (PidOrName::Name(atom!("server")), Term::atom("hello"));
        let called = call_over(&one.shared, &link, from, who, &hello);
        let called = timeout(Duration::from_secs(10), called).await;
        assert_eq!(
            called.expect("nobody waits for it"),
            Err(CallError::NodeDown)
        );
    }
}
