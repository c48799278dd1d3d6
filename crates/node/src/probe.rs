//! Why can that node not be reached? One function that walks the way step by step and stops at
//! the first step that explains.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
pub use trunkline_proto::handshake::Greeting;
use trunkline_proto::handshake::Local;
use trunkline_proto::{Cookie, Creation, Flags, NodeName, Reason, Step};

use crate::handshake::Framed;
use crate::handshake::initiator::{self, Hello, OnAlive};
use crate::reach::{Route, deadline, left};
use crate::{Family, Resolve, SystemResolver, Target, Tls, epmd};

/// How far a probe goes. Each depth includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Depth {
    /// The host has an address.
    Resolve,
    /// EPMD there knows the node (not asked when the port is known).
    Epmd,
    /// The node's port takes a connection. Leaves no trace at the node.
    Port,
    /// The node shows its name, flags and challenge. Needs no cookie; the name that we show
    /// becomes an atom there.
    Greeting,
    /// The whole handshake, closed at once: the one way to prove a wrong cookie. A peer whose cookie
    /// differs logs a line.
    Handshake,
}

/// How to probe.
#[derive(Clone, Debug)]
pub struct ProbeConfig {
    /// The name that is shown. It becomes an atom at the peer, never freed: use one stable name,
    /// one probe at a time to one peer.
    pub me: NodeName,
    /// The cookie, for [`Depth::Handshake`]. Without one the probe ends at the greeting.
    pub cookie: Option<Cookie>,
    /// How far to go. Default: [`Depth::Greeting`].
    pub depth: Depth,
    /// The limit for all steps together. Default: 5 s.
    pub timeout: Duration,
    /// Where port mappers listen. Default: 4369.
    pub epmd_port: u16,
    /// Every node listens here whose target names no port, and EPMD is not asked; as nodes of OTP with
    /// `-erl_epmd_port` do. Default: EPMD is asked.
    pub peer_port: Option<u16>,
    /// Dial this family only, as the node on whose behalf the question is asked does. Default: both.
    pub family: Option<Family>,
    /// Who resolves hosts. Default: [`SystemResolver`].
    pub resolver: Arc<dyn Resolve>,
    /// Speak TLS, as the node on whose behalf the question is asked does. Default: plain TCP.
    pub tls: Option<Tls>,
}

impl ProbeConfig {
    /// The defaults, under this name.
    pub fn new(me: NodeName) -> Self {
        Self {
            me,
            cookie: None,
            depth: Depth::Greeting,
            timeout: Duration::from_secs(5),
            epmd_port: epmd::DEFAULT_PORT,
            peer_port: None,
            family: None,
            resolver: Arc::new(SystemResolver),
            tls: None,
        }
    }
}

/// What a probe found.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The steps in order, the last one perhaps failed.
    pub steps: Vec<StepReport>,
    /// What is known of the node, as far as the depth went; or why it cannot be reached.
    pub result: Result<Found, Reason>,
    /// How long all took.
    pub elapsed: Duration,
}

/// One step of a probe.
#[derive(Clone, Debug)]
pub struct StepReport {
    /// Which.
    pub step: Step,
    /// How it went.
    pub outcome: Result<(), Reason>,
    /// How long it took.
    pub elapsed: Duration,
}

/// What a probe learned.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The node's port, from [`Depth::Epmd`] on.
    pub port: Option<u16>,
    /// Where it answered, from [`Depth::Port`] on.
    pub address: Option<std::net::SocketAddr>,
    /// What it said, from [`Depth::Greeting`] on.
    pub greeting: Option<Greeting>,
}

/// The steps so far.
#[derive(Debug, Default)]
pub(crate) struct Steps(Vec<StepReport>);

impl Steps {
    /// Records what `work` came to and how long it took.
    pub(crate) async fn watch<T>(
        &mut self,
        step: Step,
        work: impl Future<Output = Result<T, Reason>>,
    ) -> Result<T, Reason> {
        let begun = Instant::now();
        let result = work.await;
        self.0.push(StepReport {
            step,
            outcome: result.as_ref().map(|_| ()).map_err(Clone::clone),
            elapsed: begun.elapsed(),
        });
        result
    }

    /// The steps from `step` on are walked again.
    fn forget_from(&mut self, step: Step) {
        self.0.retain(|report| report.step < step);
    }
}

/// A probe that follows another closely can meet the peer while it still tears that one down, and
/// is told `nok` or `alive`. Nobody dials a probe's name, so it is no race; a moment later the peer
/// is done.
const RETRIES: u32 = 3;
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Pids of a probe never travel; any creation but 0 does.
const PROBE_CREATION: Creation = Creation(1);

/// Walks the way to `target` as far as `config.depth` says. Never fails itself: the reason is the
/// result.
pub async fn probe(config: &ProbeConfig, target: &Target) -> Probe {
    let begun = Instant::now();
    let mut steps = Steps::default();
    let result = walk(config, target, deadline(config.timeout), &mut steps).await;
    Probe {
        steps: steps.0,
        result,
        elapsed: begun.elapsed(),
    }
}

async fn walk(
    config: &ProbeConfig,
    target: &Target,
    deadline: Instant,
    steps: &mut Steps,
) -> Result<Found, Reason> {
    let route = Route {
        me: config.me.clone(),
        epmd_port: config.epmd_port,
        peer_port: config.peer_port,
        family: config.family,
        resolver: Arc::clone(&config.resolver),
        tls: config.tls.clone(),
    };
    let mut found = Found {
        port: target.port.or(config.peer_port),
        ..Found::default()
    };
    let addresses = route.resolve(target, deadline, steps).await?;
    if config.depth < Depth::Epmd {
        return Ok(found);
    }
    let location = route.locate(target, addresses, deadline, steps).await?;
    found.port = Some(location.port);
    if config.depth < Depth::Port {
        return Ok(found);
    }
    let mut attempt = 0;
    loop {
        let (stream, address) = route.open(&location, deadline, steps).await?;
        found.address = Some(address);
        if config.depth < Depth::Greeting {
            return Ok(found);
        }
        let transport = route.secure(stream, target, deadline, steps).await?;
        let mut framed = Framed::new(transport, deadline);
        match shake(config, target, &mut framed, steps).await {
            Ok(greeting) => {
                found.greeting = Some(greeting);
                return Ok(found);
            }
            Err(Reason::LostRace | Reason::AlreadyConnected)
                if attempt < RETRIES && left(deadline) > RETRY_PAUSE =>
            {
                attempt += 1;
                steps.forget_from(Step::Port);
                sleep(RETRY_PAUSE).await;
            }
            Err(why) => return Err(why),
        }
    }
}

/// The greeting, and the proof where it is asked for; the connection is closed either way.
async fn shake(
    config: &ProbeConfig,
    target: &Target,
    framed: &mut Framed,
    steps: &mut Steps,
) -> Result<Greeting, Reason> {
    let me = Local::new(config.me.clone(), Flags::hidden_default(), PROBE_CREATION);
    let hello = Hello::new(me, &target.name);
    let greet = initiator::greet(framed, hello, || OnAlive::GiveUp);
    let greeted = steps.watch(Step::Greeting, greet).await?;
    let greeting = greeted.greeting().clone();
    if let (Some(cookie), Depth::Handshake) = (&config.cookie, config.depth) {
        let prove = initiator::prove(framed, greeted, cookie);
        steps.watch(Step::Handshake, prove).await?;
    }
    Ok(greeting)
}
