//! Calling functions on other nodes.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::time::{sleep, timeout};
use trunkline_etf::{Atom, Pid, Reference, Term, atom};
use trunkline_proto::control::{Control, PidOrName};
use trunkline_proto::{Flags, NodeName};

use crate::link::Link;
use crate::process::Outgoing;
use crate::process::send::atom_of;
use crate::shared::Shared;
use crate::slot::{Answer, Waiting};
use crate::{Node, SendError};

impl Node {
    /// Calls a function on another node and waits for its value, at most `limit`: `erpc:call/5`
    /// by way of SPAWN_REQUEST, or the old `rex` where that is not offered. What the function
    /// prints is dropped. After a timeout the call may still run there.
    ///
    /// # Errors
    /// How the call failed, told apart as `erpc` does.
    pub async fn erpc(
        &self,
        node: &NodeName,
        module: &str,
        function: &str,
        args: Vec<Term>,
        limit: Duration,
    ) -> Result<Term, RpcError> {
        call(&self.shared, node, module, function, args, limit).await
    }
}

async fn call(
    shared: &Arc<Shared>,
    node: &NodeName,
    module: &str,
    function: &str,
    args: Vec<Term>,
    limit: Duration,
) -> Result<Term, RpcError> {
    let call = Call::new(shared, module, function, args)?;
    let node = atom_of(node)?;
    let answer = async {
        let link = shared.connected_to(&node).await?;
        if link.info.flags.contains(Flags::SPAWN) {
            call.by_spawn(&link).await
        } else {
            call.by_rex(&link).await
        }
    };
    timeout(limit, answer)
        .await
        .unwrap_or(Err(RpcError::Timeout))
}

/// Asks a peer that has just been connected for its `net_ticktime` and uses that with it. Over this
/// connection only: a peer that has gone is not dialled for it.
pub(crate) async fn follow_tick_time(shared: Arc<Shared>, link: Arc<Link>) {
    let peer = &link.info.peer;
    // Ended meanwhile, it is not asked.
    let _ends_either_way = link.stop.run_until_cancelled(sleep(ASKED_AFTER)).await;
    let call = Call::new(&shared, "net_kernel", "get_net_ticktime", Vec::new());
    let answer = async { call?.by_spawn(&link).await };
    let answer = timeout(TICK_TIME_LIMIT, answer).await;
    match answer.unwrap_or(Err(RpcError::Timeout)) {
        Ok(answer) => {
            // `{ongoing_change_to, Seconds}` while it changes.
            let seconds = answer.as_tuple().and_then(|parts| parts.get(1));
            if let Some(seconds @ 1..) = seconds.unwrap_or(&answer).as_u64() {
                link.set_tick_time(Duration::from_secs(seconds));
            }
        }
        // A peer that is no BEAM: ours, in most cases. It has the time that both were started with.
        Err(why) => tracing::debug!(%peer, %why, "its tick time is not known"),
    }
}

/// Whoever has waited for the connection has more urgent questions. No silence is noticed so soon: the shortest tick time is a second.
const ASKED_AFTER: Duration = Duration::from_millis(100);

/// The peer has its tick time in memory.
const TICK_TIME_LIMIT: Duration = Duration::from_secs(10);

/// One call.
struct Call<'a> {
    shared: &'a Arc<Shared>,
    module: Atom,
    function: Atom,
    args: Vec<Term>,
}

impl<'a> Call<'a> {
    fn new(
        shared: &'a Arc<Shared>,
        module: &str,
        function: &str,
        args: Vec<Term>,
    ) -> Result<Self, SendError> {
        Ok(Self {
            shared,
            module: Atom::new(module).map_err(|_| SendError::BadName)?,
            function: Atom::new(function).map_err(|_| SendError::BadName)?,
            args,
        })
    }

    async fn by_spawn(self, link: &Link) -> Result<Term, RpcError> {
        let shared = self.shared;
        let from = shared.processes.caller();
        link.room(&from).await;
        let waiting = Waiting::new(&shared.processes, from.clone(), link.atom.clone());
        let id = waiting.reference.clone();
        let args = Term::list([
            Term::from(&id),
            self.module.into(),
            self.function.into(),
            Term::list(self.args),
        ]);
        let control = Control::SpawnRequest {
            request: id.clone(),
            from: from.clone(),
            group_leader: shared.processes.group_leader(),
            module: atom!("erpc"),
            function: atom!("execute_call"),
            arity: 4,
            options: Term::list([atom!("monitor")]),
            token: None,
        };
        link.message(control, &args)?;
        // Lost before it was told who waits.
        if link.stop.is_cancelled() {
            return Err(RpcError::Disconnected);
        }
        let pid = match waiting.next().await {
            Answer::Spawned(Ok(pid)) => pid,
            Answer::Spawned(Err(error)) if error == "notsup" => return Err(RpcError::NotSupported),
            Answer::Spawned(Err(error)) => return Err(RpcError::Refused(error)),
            Answer::Down(_) | Answer::Message(_) => return Err(RpcError::Disconnected),
        };
        let mut monitor = Monitor {
            shared,
            told: Some((link.atom.clone(), from, pid.into(), id.clone())),
        };
        loop {
            if let Answer::Down(reason) = waiting.next().await {
                monitor.told = None;
                return outcome(&id, reason.into_term());
            }
        }
    }

    /// `rpc:call/4` as before OTP 23: a call of the server `rex`.
    async fn by_rex(self, link: &Link) -> Result<Term, RpcError> {
        let shared = self.shared;
        let rex = atom!("rex");
        let request = Term::tuple([
            Term::atom("call"),
            self.module.into(),
            self.function.into(),
            Term::list(self.args),
            Term::from(shared.processes.group_leader()),
        ]);
        let from = shared.processes.caller();
        link.room(&from).await;
        let waiting = Waiting::new(&shared.processes, from.clone(), link.atom.clone());
        let id = waiting.reference.clone();
        link.signal(Control::MonitorP {
            from: from.clone(),
            to: rex.clone().into(),
            reference: id.clone(),
        })?;
        let mut monitor = Monitor {
            shared,
            told: Some((
                link.atom.clone(),
                from.clone(),
                rex.clone().into(),
                id.clone(),
            )),
        };
        let caller = Term::tuple([Term::from(&from), Term::from(&id)]);
        let call = Term::tuple([Term::atom("$gen_call"), caller, request]);
        let control = Control::RegSend {
            from,
            to: rex,
            token: None,
        };
        link.message(control, &call)?;
        if link.stop.is_cancelled() {
            return Err(RpcError::Disconnected);
        }
        loop {
            match waiting.next().await {
                Answer::Message(reply) => {
                    if let Some([_, value]) = reply.into_term().as_tuple() {
                        return rex_outcome(value);
                    }
                }
                Answer::Down(reason) => {
                    monitor.told = None;
                    return Err(ended(reason.into_term()));
                }
                Answer::Spawned(_) => {}
            }
        }
    }
}

/// Whoever monitored and no longer waits says so.
struct Monitor<'a> {
    shared: &'a Shared,
    told: Option<(Atom, Pid, PidOrName, Reference)>,
}

impl Drop for Monitor<'_> {
    fn drop(&mut self) {
        if let Some((node, from, to, reference)) = self.told.take() {
            let control = Control::DemonitorP {
                from,
                to,
                reference,
            };
            self.shared
                .carry_out(Outgoing::Signal(node, control).into());
        }
    }
}

/// What the reason of the called process's end says.
fn outcome(id: &Reference, reason: Term) -> Result<Term, RpcError> {
    match reason.as_tuple() {
        Some([own, kind, rest @ ..]) if own.as_reference() == Some(id) => {
            match (kind.as_atom().map(Atom::as_str), rest) {
                (Some("return"), [value]) => Ok(value.clone()),
                (Some("throw"), [value]) => Err(RpcError::Throw(value.clone())),
                (Some("exit"), [value]) => Err(RpcError::Exit(value.clone())),
                (Some("error"), [reason, stack]) => Err(RpcError::Error {
                    reason: reason.clone(),
                    stack: stack.clone(),
                }),
                (Some("error"), [reason]) => Err(RpcError::Error {
                    reason: reason.clone(),
                    stack: Term::nil(),
                }),
                _ => Err(RpcError::Exit(reason)),
            }
        }
        _ => Err(ended(reason)),
    }
}

fn rex_outcome(value: &Term) -> Result<Term, RpcError> {
    let Some([tag, reason]) = value.as_tuple().filter(|parts| parts.len() == 2) else {
        return Ok(value.clone());
    };
    if !tag.is_atom("badrpc") {
        return Ok(value.clone());
    }
    match reason.as_tuple() {
        Some([exit, why]) if exit.is_atom("EXIT") => Err(RpcError::Exit(why.clone())),
        _ => Err(RpcError::Exit(reason.clone())),
    }
}

/// The process that was to answer ended otherwise.
fn ended(reason: Term) -> RpcError {
    if reason.is_atom("noconnection") {
        RpcError::Disconnected
    } else {
        RpcError::Exit(reason)
    }
}

/// How a call failed.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum RpcError {
    /// The function threw this.
    #[error("it threw {0}")]
    Throw(Term),
    /// The function, or something that killed it, exited with this.
    #[error("it exited with {0}")]
    Exit(Term),
    /// The function failed.
    #[error("it failed with {reason}")]
    Error {
        /// The error: `undef`, `badarg`, `{badmatch, …}`.
        reason: Term,
        /// The stack trace.
        stack: Term,
    },
    /// The node takes no calls.
    #[error("the node takes no calls (notsup)")]
    NotSupported,
    /// The node cannot start a process for the call; its own word.
    #[error("the node refuses the call: {0}")]
    Refused(Atom),
    /// No answer in time. The call may still run.
    #[error("no answer in time")]
    Timeout,
    /// The node is not connected, or the connection was lost. The call may have run.
    #[error("the node is not connected")]
    Disconnected,
    /// Arguments that no frame can hold, or a name that is no atom. Nothing was sent.
    #[error("the call cannot be sent: {0}")]
    Unsendable(SendError),
}

impl From<SendError> for RpcError {
    fn from(why: SendError) -> Self {
        match why {
            SendError::NotConnected => Self::Disconnected,
            other => Self::Unsendable(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use trunkline_proto::Cookie;

    use super::*;
    use crate::{NodeKind, Target};

    /// A node, another one, and the connection to that, which ends after it was found.
    async fn lost() -> (Node, Node, Arc<Link>) {
        let builder = |name: &str| {
            let node = Node::builder(name.parse().unwrap()).epmd(None);
            node.cookie(Cookie::new("monster").unwrap())
        };
        let two = builder("two@127.0.0.1").listen([Ipv4Addr::LOCALHOST.into()], 0);
        let two = two.start().await.unwrap();
        let one = builder("one@127.0.0.1").peer_port(two.port().unwrap());
        let one = one.start().await.unwrap();
        one.connect(&Target::new(two.name().clone())).await.unwrap();
        let link = one.shared.link(two.name().as_str()).unwrap();
        one.disconnect(two.name());
        (one, two, link)
    }

    #[tokio::test]
    async fn a_peer_that_has_gone_is_not_dialled_for_its_tick_time() {
        let (one, _two, link) = lost().await;
        follow_tick_time(Arc::clone(&one.shared), link).await;
        assert_eq!(one.nodes(&[NodeKind::Known]), [one.name().clone()]);
    }

    /// Before anybody waits for what it brings: nobody is told of its end.
    #[tokio::test]
    async fn a_connection_that_has_just_ended_is_not_waited_for() {
        let (one, _two, link) = lost().await;
        let call = || Call::new(&one.shared, "m", "f", Vec::new()).unwrap();
        let limit = Duration::from_secs(10);
        let spawned = timeout(limit, call().by_spawn(&link)).await;
        assert_eq!(
            spawned.expect("nobody waits for it"),
            Err(RpcError::Disconnected)
        );
        let asked = timeout(limit, call().by_rex(&link)).await;
        assert_eq!(
            asked.expect("nobody waits for it"),
            Err(RpcError::Disconnected)
        );
    }
}
