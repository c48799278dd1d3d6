//! Connections that come in.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use trunkline_proto::handshake::{Greeting, Race, dynamic_name, race};
use trunkline_proto::{Cookie, Creation, NodeName};

use crate::handshake::Framed;
use crate::handshake::acceptor::{self, Host, Me, Verdict};
use crate::lifetime::Work;
use crate::reach::deadline;
use crate::shared::{Shared, Visited};
use crate::socket;
use crate::start::random_creation;
use crate::tls::Names;

/// Per step of the handshake; OTP's `net_setuptime`. Longer where our own attempts may take longer.
const STEP_LIMIT: Duration = Duration::from_secs(7);

/// The pause after a failed accept (out of file descriptors), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts until the node stops.
pub(crate) fn spawn(listener: TcpListener, shared: Arc<Shared>) {
    let life = shared.life.clone();
    life.spawn_opening(Work::Listening, async move {
        loop {
            match listener.accept().await {
                Ok((stream, from)) => {
                    socket::set_up_accepted(&stream, from);
                    let shared = Arc::clone(&shared);
                    let stranger = shared.strangers.admit(from.ip());
                    let work = Work::Welcoming(from);
                    shared.life.clone().spawn_opening(work, async move {
                        tracing::debug!(%from, "incoming connection");
                        let evicted = stranger.evicted.clone();
                        let welcome = Box::pin(welcome(shared, stream, from));
                        let welcome = evicted.run_until_cancelled(welcome);
                        if welcome.await.is_none() {
                            tracing::debug!(%from, "too many are in their handshake: hung up");
                        }
                        drop(stranger);
                    });
                }
                Err(why) => {
                    tracing::warn!(
                        "cannot accept a connection: {why} · distribution port · raise the file limit"
                    );
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    });
}

async fn welcome(shared: Arc<Shared>, stream: TcpStream, from: SocketAddr) {
    let settings = &shared.settings;
    let step_limit = settings.connect_timeout.max(STEP_LIMIT);
    let deadline = deadline(step_limit);
    let transport = match &settings.route.tls {
        None => stream.into(),
        Some(tls) => {
            let allowed = shared.admission().allowed_hosts();
            match Box::pin(tls.accept(stream, deadline, &allowed)).await {
                Ok(transport) => transport,
                Err(why) => {
                    tracing::info!("an incoming connection failed: {why} · from {from}");
                    return;
                }
            }
        }
    };
    let proved = transport.peer_names();
    let mut framed = Framed::new(transport, deadline);
    let me = Me {
        name: settings.route.me.clone(),
        flags: settings.flags,
        creation: settings.creation,
    };
    let visit = Visit {
        shared: Arc::clone(&shared),
        caller: Mutex::default(),
        proved,
    };
    let done = acceptor::accept(&mut framed, me, &visit, step_limit).await;
    match done {
        Ok(connected) => {
            drop(shared.install(connected, framed, Visited::Called(visit.number())));
        }
        Err(why) => tracing::info!("an incoming connection failed: {why} · from {from}"),
    }
}

/// A connection attempt of somebody else, as far as this node must know of it.
struct Visit {
    shared: Arc<Shared>,
    /// Who it is and the how many-th, once it was told to go on.
    caller: Mutex<Option<(NodeName, u64)>>,
    /// For whom its certificate is, when it has shown one.
    proved: Option<Names>,
}

impl Host for Visit {
    fn verdict(&self, caller: &Greeting) -> Verdict {
        let me = &self.shared.settings.route.me;
        if caller.name == *me || !self.admits(&caller.name) {
            return Verdict::NotAllowed;
        }
        let mut state = self.shared.state();
        // Who has proved itself has its acknowledgement, and calls that connection up: so do we.
        let is_up = state.links.contains_key(&caller.name) || state.has_proved(&caller.name);
        let verdict = if is_up {
            Verdict::Alive
        } else if let Some(attempt) = state.dials.get(&caller.name) {
            match race(me, &caller.name) {
                Race::Ours => return Verdict::Nok,
                Race::Theirs => {
                    attempt.yielded.cancel();
                    Verdict::Simultaneous
                }
            }
        } else {
            Verdict::Accept
        };
        let number = state.caller_begins(&caller.name);
        *self.caller() = Some((caller.name.clone(), number));
        verdict
    }

    fn name_for(&self, host: &str) -> Option<(NodeName, Creation)> {
        // Thirteen letters: that one is in use is no more than a thought.
        let name = dynamic_name(host, rand::random()).ok()?;
        let mut state = self.shared.state();
        if !self.admits(&name) || state.knows(&name) {
            return None;
        }
        let number = state.caller_begins(&name);
        *self.caller() = Some((name.clone(), number));
        Some((name, random_creation()))
    }

    fn cookie(&self, peer: &NodeName) -> Cookie {
        self.shared.admission().cookie_of(peer).clone()
    }

    fn proved(&self, peer: &NodeName) -> bool {
        let number = self.number();
        let state = self.shared.state_without(peer, Visited::Called(number));
        // Under the same lock: from now on there is a connection, here or on its way.
        state.is_some_and(|mut state| state.caller_proved(peer, number))
    }
}

impl Visit {
    /// Whether the allow-list lets it in. As with OTP, whoever has shown a certificate is then
    /// nobody from another host than the certificate names.
    fn admits(&self, caller: &NodeName) -> bool {
        let admission = self.shared.admission();
        let vouched = || {
            let names = self.proved.as_ref();
            names.is_none_or(|names| names.include(caller.host()))
        };
        admission.admits(caller) && (admission.allowed_hosts().is_empty() || vouched())
    }

    fn number(&self) -> u64 {
        let number = self.caller().as_ref().map(|(_, number)| *number);
        number.unwrap_or_default()
    }

    fn caller(&self) -> MutexGuard<'_, Option<(NodeName, u64)>> {
        self.caller.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if let Some((caller, number)) = self.caller().take() {
            self.shared.state().caller_ended(&caller, number);
            self.shared.state_changed();
        }
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::time::Instant;
    use trunkline_proto::Flags;
    use trunkline_proto::handshake::Connected;

    use super::*;
    use crate::{Node, Target};

    /// Between the acknowledgement and the moment in which this side has the connection, the peer may call again.
    #[tokio::test]
    async fn a_connection_that_has_been_acknowledged_is_alive() {
        let node = Node::builder("one@127.0.0.1".parse().unwrap());
        let node = node.cookie(Cookie::new("monster").unwrap()).epmd(None);
        let node = node.start().await.unwrap();
        let caller = caller();
        let visit = || visit(&node);
        let first = visit();
        assert_eq!(first.verdict(&caller), Verdict::Accept);
        // Who has shown no cookie keeps nobody out.
        assert_eq!(visit().verdict(&caller), Verdict::Accept);
        assert!(first.proved(&caller.name));
        assert_eq!(visit().verdict(&caller), Verdict::Alive);
        drop(first);
        assert_eq!(visit().verdict(&caller), Verdict::Accept);
    }

    /// A peer that died in its handshake, or gave its first dial up, has called twice.
    #[tokio::test]
    async fn an_older_call_has_no_connection_behind_a_later_one() {
        let node = Node::builder("one@127.0.0.1".parse().unwrap());
        let node = node.cookie(Cookie::new("monster").unwrap()).epmd(None);
        let node = node.start().await.unwrap();
        let caller = caller();
        let (older, later) = (visit(&node), visit(&node));
        assert_eq!(older.verdict(&caller), Verdict::Accept);
        assert_eq!(later.verdict(&caller), Verdict::Accept);
        assert!(later.proved(&caller.name));
        assert!(!older.proved(&caller.name), "the dead call is acknowledged");
        // One that was acknowledged first, and whose connection comes last.
        let (older, later) = (visit(&node), visit(&node));
        assert_eq!(older.verdict(&caller), Verdict::Alive);
        assert_eq!(later.verdict(&caller), Verdict::Alive);
        // It takes connections, and says nothing.
        let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let there = silent.local_addr().unwrap();
        let install = async |visit: &Visit| {
            let stream = TcpStream::connect(there).await.unwrap();
            let framed = Framed::new(stream, deadline(STEP_LIMIT));
            let connected = Connected {
                me: node.name().clone(),
                my_creation: node.creation(),
                peer: caller.name.clone(),
                peer_flags: caller.flags,
                flags: caller.flags,
                creation: caller.creation,
            };
            let shared = &node.shared;
            shared.install(connected, framed, Visited::Called(visit.number()))
        };
        assert!(older.proved(&caller.name) && later.proved(&caller.name));
        assert!(install(&older).await.is_none(), "the dead one is installed");
        assert!(install(&later).await.is_some());
        // What has come to nothing is in nobody's way.
        drop(later);
        assert!(install(&older).await.is_none(), "the later one is there");
        node.disconnect(&caller.name);
        assert!(install(&older).await.is_some());
    }

    /// A call that was accepted is silent; then a dial of ours is taken, and the peer drops the call.
    #[tokio::test]
    async fn a_call_that_a_dial_has_overtaken_ends_nothing() {
        let node = async |name: &str| {
            let node = Node::builder(name.parse().unwrap()).epmd(None);
            let node = node.cookie(Cookie::new("monster").unwrap());
            let node = node.listen([Ipv4Addr::LOCALHOST.into()], 0);
            node.connect_timeout(Duration::from_secs(4)).start().await
        };
        let one = node("one@127.0.0.1").await.unwrap();
        let two = node("two@127.0.0.1").await.unwrap();
        let dead = visit(&one);
        assert_eq!(dead.verdict(&caller()), Verdict::Accept);
        let there = Target::new(two.name().clone()).on_port(two.port().unwrap());
        let begun = Instant::now();
        // A stall in the second half of its time may leave too little of it.
        while let Err(why) = one.connect(&there).await {
            assert!(begun.elapsed() < Duration::from_secs(60), "{why}");
        }
        assert!(!dead.proved(two.name()), "the dead call goes on");
        assert_eq!(one.connected(), [two.name().clone()]);
        // A peer that has forgotten that connection, and calls anew, means the new one.
        let later = visit(&one);
        assert_eq!(later.verdict(&caller()), Verdict::Alive);
        assert!(later.proved(two.name()), "the later call counts");
        assert!(one.connected().is_empty());
    }

    fn caller() -> Greeting {
        Greeting {
            name: "two@127.0.0.1".parse().unwrap(),
            flags: Flags::hidden_default(),
            creation: Creation(7),
        }
    }

    fn visit(node: &Node) -> Visit {
        Visit {
            shared: Arc::clone(&node.shared),
            caller: Mutex::default(),
            proved: None,
        }
    }
}
