//! Dialling: one attempt at a time for each node, and what becomes of it when the other side dials too.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use trunkline_proto::handshake::{Connected, Local};
use trunkline_proto::{NodeName, Reason, Step};

use crate::Target;
use crate::handshake::initiator::{self, Hello, OnAlive};
use crate::lifetime::Work;
use crate::probe::Steps;
use crate::reach::{deadline, left};
use crate::shared::{Begun, Settings, Shared, Visited};

/// A peer that dials us has said so (`nok`, or its call), and nothing has come of it yet: so long is waited
/// for its connection before it is dialled again, twice as long each time. Its attempt may fail, or we may
/// listen nowhere; a dial is welcome then. (OTP dials once and leaves the rest to whoever sends next.)
const NOK_PAUSE: Duration = Duration::from_millis(100);
const NOK_PAUSE_MAX: Duration = Duration::from_secs(1);

/// So often an attempt drops its dial for a call of the peer's. Anybody can call with the peer's name and
/// prove nothing, again and again.
const MAX_YIELDS: u32 = 5;

/// A dial that is under way.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    outcome: watch::Receiver<Option<Outcome>>,
    /// The other side dials too, and its attempt wins: this dial is dropped. Each has its own.
    pub(crate) yielded: CancellationToken,
}

/// What came of a dial.
pub(crate) type Outcome = Result<Connected, Reason>;

/// The task of an attempt. However it ends, the next one can begin from then on.
struct Dialling {
    shared: Arc<Shared>,
    target: Target,
    tries: Tries,
    result: Option<Outcome>,
    done: watch::Sender<Option<Outcome>>,
}

/// What has come of it so far.
#[derive(Default)]
struct Tries {
    /// How often it has dropped a dial for a call of the peer's.
    yields: u32,
    /// Its connection, as long as nothing of that runs.
    begun: Option<Begun>,
}

impl Shared {
    /// Dials, or joins the attempt that is under way. Goes on when the caller loses interest: what
    /// has been begun ends by itself, in time.
    pub(crate) async fn connect(self: &Arc<Self>, target: &Target) -> Outcome {
        let (mut outcome, begins) = {
            let mut state = self.state();
            if let Some(link) = state.links.get(&target.name) {
                return Ok(link.info.clone());
            }
            match state.dials.get(&target.name) {
                Some(attempt) => (attempt.outcome.clone(), None),
                None => {
                    let (attempt, dialling) = Dialling::new(Arc::clone(self), target.clone());
                    let outcome = attempt.outcome.clone();
                    state.dials.insert(target.name.clone(), attempt);
                    (outcome, Some(dialling))
                }
            }
        };
        if let Some(dialling) = begins {
            // Not under the lock: a runtime that ends drops it at once.
            let work = Work::Dialling(target.name.clone());
            self.life.spawn_opening(work, dialling.run());
        }
        match outcome.wait_for(Option::is_some).await {
            Ok(done) => done.clone().unwrap_or_else(|| Err(closed())),
            // The node stops.
            Err(_) => Err(closed()),
        }
    }

    async fn attempt(self: &Arc<Self>, target: &Target, tries: &mut Tries) -> Outcome {
        let deadline = deadline(self.settings.connect_timeout);
        let peer = &target.name;
        let mut result = self.reach(target, tries, deadline).await;
        let mut pause = NOK_PAUSE;
        while matches!(result, Err(Reason::LostRace)) && left(deadline) > pause {
            // All of it, whoever calls and comes to nothing meanwhile.
            self.await_link(peer, Instant::now() + pause).await;
            let again = self.reach(target, tries, deadline).await;
            // One that there was no time for changes nothing.
            if again.is_ok() || !left(deadline).is_zero() {
                result = again;
            }
            pause = (pause * 2).min(NOK_PAUSE_MAX);
        }
        match result {
            // The other side's dial won: its connection is on its way.
            Err(Reason::LostRace) => {
                self.await_call(peer, deadline).await;
                self.await_incoming(peer, deadline).await
            }
            // Perhaps by a connection that it has opened meanwhile.
            Err(Reason::AlreadyConnected) => {
                self.linked(peer).map_err(|_| Reason::AlreadyConnected)
            }
            // Whatever came of the dial: the peer's own call may have come to something.
            result => result.or_else(|why| self.linked(peer).map_err(|_| why)),
        }
    }

    /// Dials, unless the other side does: `lost_race` then, when nothing has come of that.
    async fn reach(
        self: &Arc<Self>,
        target: &Target,
        tries: &mut Tries,
        deadline: Instant,
    ) -> Outcome {
        let peer = &target.name;
        // It may have come since.
        if let Ok(there) = self.linked(peer) {
            return Ok(there);
        }
        // Before the wait: whoever calls during it counts.
        let yielded = self.yields_anew(peer);
        // Whoever is on the way to us needs no dial.
        if self.gives_way(tries.yields, deadline)
            && let Ok(there) = self.await_incoming(peer, deadline).await
        {
            return Ok(there);
        }
        // The wait took time, perhaps for somebody who is silent.
        let gives_way = self.gives_way(tries.yields, deadline);
        // Boxed: what is handed on and waited for in two ways would have its kilobytes three times.
        let dial = Box::pin(self.dial(target, &mut tries.begun, deadline));
        if !gives_way {
            return dial.await;
        }
        if let Some(result) = yielded.run_until_cancelled(dial).await {
            return result;
        }
        tries.yields += 1;
        self.await_incoming(peer, deadline).await
    }

    /// Whether a call of the peer's goes before a dial: not often, and in the first half of the time only. The
    /// other half is enough for a dial, whoever calls meanwhile and proves nothing.
    fn gives_way(&self, yields: u32, deadline: Instant) -> bool {
        yields < MAX_YIELDS && left(deadline) >= self.settings.connect_timeout / 2
    }

    /// What cancels the dial that is next.
    fn yields_anew(&self, peer: &NodeName) -> CancellationToken {
        let yielded = CancellationToken::new();
        if let Some(attempt) = self.state().dials.get_mut(peer) {
            attempt.yielded = yielded.clone();
        }
        yielded
    }

    async fn dial(
        self: &Arc<Self>,
        target: &Target,
        begun: &mut Option<Begun>,
        deadline: Instant,
    ) -> Outcome {
        let Settings {
            route,
            flags,
            creation,
            on_alive,
            ..
        } = &self.settings;
        let cookie = {
            let admission = self.admission();
            if !admission.admits(&target.name) {
                return Err(Reason::NotAllowed { here: true });
            }
            admission.cookie_of(&target.name).clone()
        };
        // A dial keeps no record of its steps: who wants them probes.
        let peer = &target.name;
        let number = self.state().dial_begins();
        let hello = Hello::new(Local::new(route.me.clone(), *flags, *creation), peer);
        let steps = &mut Steps::default();
        let there = route.walk(target, &hello.bytes(), deadline, steps).await?;
        let mut comes = false;
        let on_alive = || {
            let state = self.state();
            comes = state.has_proved(peer);
            if comes || state.links.contains_key(peer) {
                // The peer has dialled us meanwhile, and means that connection.
                OnAlive::GiveUp
            } else {
                *on_alive
            }
        };
        let connected = initiator::connect(there, hello, on_alive, &cookie, deadline).await;
        let (connected, framed, over) = match connected {
            // It is about to be ours too.
            Err(Reason::AlreadyConnected) if comes => return Err(Reason::LostRace),
            connected => connected?,
        };
        *begun = self.install(connected.clone(), framed, Visited::Dialled(number));
        match begun {
            Some(begun) => begun.over = over,
            None => return Err(closed()),
        }
        Ok(connected)
    }

    /// Waits until there is a connection.
    async fn await_link(&self, peer: &NodeName, until: Instant) {
        self.await_state(until, |state| state.links.contains_key(peer))
            .await;
    }

    /// Waits until somebody of this name calls.
    async fn await_call(&self, peer: &NodeName, until: Instant) {
        self.await_state(until, |state| {
            state.links.contains_key(peer) || state.is_calling(peer)
        })
        .await;
    }

    /// Waits until a caller of this name has come to an end. `lost_race` when there is none, or it
    /// failed. Anybody can give himself that name and then be silent: half of the time is kept.
    async fn await_incoming(&self, peer: &NodeName, deadline: Instant) -> Outcome {
        let patience = Instant::now() + left(deadline) / 2;
        self.await_state(patience, |state| {
            state.links.contains_key(peer) || !state.is_calling(peer)
        })
        .await;
        self.linked(peer)
    }

    fn linked(&self, peer: &NodeName) -> Outcome {
        self.link(peer.as_str())
            .map(|link| link.info.clone())
            .ok_or(Reason::LostRace)
    }
}

impl Dialling {
    fn new(shared: Arc<Shared>, target: Target) -> (Attempt, Self) {
        let (done, outcome) = watch::channel(None);
        let attempt = Attempt {
            outcome,
            yielded: CancellationToken::new(),
        };
        let dialling = Self {
            shared,
            target,
            tries: Tries::default(),
            result: None,
            done,
        };
        (attempt, dialling)
    }

    async fn run(mut self) {
        let attempt = self.shared.attempt(&self.target, &mut self.tries);
        self.result = Some(attempt.await);
    }
}

/// At its end, when the node closes, and when something in it panics (who resolves names is code of
/// others).
impl Drop for Dialling {
    fn drop(&mut self) {
        self.shared.state().dials.remove(&self.target.name);
        if let Some(result) = self.result.take() {
            self.done.send_replace(Some(result));
        }
        // The connection begins now: whoever waits for it is woken first.
    }
}

const fn closed() -> Reason {
    Reason::Closed {
        step: Step::Connect,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use trunkline_proto::Cookie;

    use super::*;
    use crate::Node;

    /// The moment between the acknowledgement to a caller, by which he has a connection, and our own:
    /// that one is not replaced by a dial, which the caller answers with `alive`.
    #[tokio::test]
    async fn a_connection_that_has_been_acknowledged_is_not_replaced() {
        let node = Node::builder("one@127.0.0.1".parse().unwrap());
        let node = node.cookie(Cookie::new("monster").unwrap()).epmd(None);
        let node = node.start().await.unwrap();
        let peer: NodeName = "two@127.0.0.1".parse().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let target = Target::new(peer.clone()).on_port(port);
        let answer = async {
            let (mut caller, _) = listener.accept().await.unwrap();
            let length = caller.read_u16().await.unwrap();
            caller
                .read_exact(&mut vec![0; length.into()])
                .await
                .unwrap();
            caller.write_all(b"\0\x06salive").await.unwrap();
            let length = caller.read_u16().await.unwrap();
            let mut answer = vec![0; length.into()];
            caller.read_exact(&mut answer).await.unwrap();
            answer
        };
        let shared = &node.shared;
        let number = shared.state().caller_begins(&peer);
        shared.state().caller_proved(&peer, number);
        let silent = shared.state().caller_begins(&peer);
        let mut begun = None;
        let limit = Instant::now() + Duration::from_secs(30);
        let (dialled, answer) = tokio::join!(shared.dial(&target, &mut begun, limit), answer);
        assert_eq!(answer, b"sfalse");
        assert_eq!(dialled.unwrap_err(), Reason::LostRace);
        // One that is over means nothing: what the peer thinks it has is gone.
        shared.state().caller_ended(&peer, number);
        assert!(!shared.state().has_proved(&peer) && shared.state().is_calling(&peer));
        shared.state().caller_ended(&peer, silent);
        assert!(!shared.state().is_calling(&peer));
    }
}
