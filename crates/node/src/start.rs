//! How a node comes to live.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio_util::sync::DropGuard;
use trunkline_proto::handshake::{Admission, Local};
use trunkline_proto::{Cookie, Creation, Flags, NodeName, Reason};

use crate::builder::{Listen, Nameless, Options};
use crate::epmd::client::QueryError;
use crate::handshake::initiator::{self, Hello, OnAlive};
use crate::lifetime::Lifetime;
use crate::probe::Steps;
use crate::reach::{Route, deadline};
use crate::registration::Claim;
use crate::shared::{Settings, Shared, Visited};
use crate::{Node, NodeBuilder, Target, TlsError, accept, socket};

impl NodeBuilder<Cookie> {
    /// Listens and registers, where that is asked for. A port mapper that is not there is no error:
    /// the node registers as soon as it comes.
    ///
    /// # Errors
    /// When an address cannot be listened on, or another node has the name, or there is no
    /// certificate for callers over TLS.
    pub async fn start(self) -> Result<Node, StartError> {
        let Self {
            cookie,
            name,
            mut options,
        } = self;
        if let (Some(tls), Some(_)) = (&options.tls, &options.listen) {
            tls.usable_for_callers()?;
        }
        let (life, guard) = begin();
        let listeners = match &options.listen {
            Some(listen) => listen.open()?,
            None => Vec::new(),
        };
        let port = match listeners.first() {
            Some(listener) => Some(listener.local_addr().map_err(StartError::Io)?.port()),
            None => None,
        };
        let creation = match (port, options.epmd) {
            (Some(port), Some(epmd)) => {
                let claim = Claim {
                    epmd: SocketAddr::new(epmd, options.epmd_port),
                    alive: name.alive().to_owned(),
                    port,
                };
                let taken = |_: QueryError| StartError::NameTaken(name.clone());
                claim.start(&life).await.map_err(taken)?
            }
            _ => None,
        };
        let identity = Identity {
            me: name,
            creation: creation.unwrap_or_else(random_creation),
            port,
            name_giver: None,
        };
        let admission = options.admission(cookie);
        let shared = Shared::new(settings(identity, options), admission, life);
        for listener in listeners {
            accept::spawn(listener, Arc::clone(&shared));
        }
        Ok(Node::new(shared, guard))
    }
}

impl NodeBuilder<Cookie, Nameless> {
    /// Connects to `giver`, which gives the node its name and incarnation; the node is hidden and
    /// listens nowhere. The name is lent for as long as that connection lives: when it ends, so do
    /// all others, and the node connects to nobody any more. Start another then.
    ///
    /// # Errors
    /// When the node that is to give the name cannot be reached, or gives none.
    pub async fn start_through(self, giver: &Target) -> Result<Node, StartError> {
        let Self {
            cookie,
            name: Nameless { host },
            mut options,
        } = self;
        let (life, guard) = begin();
        let asker = format!("nameless@{host}");
        let asker = asker.parse().map_err(|why| StartError::Host {
            host: host.clone(),
            why,
        })?;
        let admission = options.admission(cookie);
        let given = ask(&options, &admission, asker, &host, giver).await;
        let (connected, framed) = given.map_err(StartError::NotNamed)?;
        let identity = Identity {
            me: connected.me.clone(),
            creation: connected.my_creation,
            port: None,
            name_giver: Some(connected.peer.clone()),
        };
        let shared = Shared::new(settings(identity, options), admission, life);
        drop(shared.install(connected, framed, Visited::Dialled(0)));
        Ok(Node::new(shared, guard))
    }
}

/// Dials the node that is to give the name.
async fn ask(
    options: &Options,
    admission: &Admission,
    asker: NodeName,
    host: &str,
    giver: &Target,
) -> Result<
    (
        trunkline_proto::handshake::Connected,
        crate::handshake::Framed,
    ),
    Reason,
> {
    let deadline = deadline(options.connect_timeout);
    let route = route(asker, options);
    let hello = Hello::new(Local::dynamic(host, options.flags), &giver.name);
    let steps = &mut Steps::default();
    let there = route.walk(giver, &hello.bytes(), deadline, steps).await?;
    let cookie = admission.cookie_of(&giver.name);
    let give_up = || OnAlive::GiveUp;
    let connected = initiator::connect(there, hello, give_up, cookie, deadline).await;
    connected.map(|(connected, framed, _)| (connected, framed))
}

/// What ends with the guard. What was begun ends when a later step fails.
fn begin() -> (Lifetime, DropGuard) {
    let life = Lifetime::begin();
    let guard = life.stop.clone().drop_guard();
    (life, guard)
}

/// Who the node turned out to be.
struct Identity {
    me: NodeName,
    creation: Creation,
    port: Option<u16>,
    name_giver: Option<NodeName>,
}

fn settings(identity: Identity, options: Options) -> Settings {
    let Identity {
        me,
        creation,
        port,
        name_giver,
    } = identity;
    Settings {
        route: route(me, &options),
        flags: options.flags.without(Flags::PUBLISHED),
        creation,
        port,
        name_giver,
        tick_time: options.tick_time,
        tick_intensity: options.tick_intensity,
        follow_tick_time: options.follow_tick_time,
        on_alive: options.on_alive,
        connect_timeout: options.connect_timeout,
        sending: options.sending,
        auto_connect: options.auto_connect,
        mailboxes: options.mailboxes,
    }
}

fn route(me: NodeName, options: &Options) -> Route {
    Route {
        me,
        epmd_port: options.epmd_port,
        peer_port: options.peer_port,
        family: options.family,
        resolver: Arc::clone(&options.resolver),
        tls: options.tls.clone(),
    }
}

impl Listen {
    fn open(&self) -> Result<Vec<TcpListener>, StartError> {
        let Self { addrs, ports } = self;
        socket::listen_all(addrs, ports).map_err(|source| StartError::Listen {
            addrs: addrs.clone(),
            ports: ports.clone(),
            source,
        })
    }
}

/// Without a port mapper nobody hands out incarnations. 0 means "any" and 1 to 3 are those of old
/// nodes.
pub(crate) fn random_creation() -> Creation {
    Creation(rand::random_range(4..=u32::MAX))
}

/// Why a node did not start. Nothing of it is left behind.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The operating system does not give the address, or no port of the range.
    #[error("cannot listen on {}: {source}", Place { addrs, ports })]
    Listen {
        /// Where it was to listen.
        addrs: Vec<IpAddr>,
        /// On one of which ports.
        ports: RangeInclusive<u16>,
        /// What the operating system says of the last port.
        source: io::Error,
    },
    /// The operating system fails otherwise.
    #[error("cannot listen: {0}")]
    Io(io::Error),
    /// The TLS options do not do for being called.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Another node holds the name at the port mapper.
    #[error("the port mapper has a node {0} already")]
    NameTaken(NodeName),
    /// The node that was to give the name cannot be reached, or gives none.
    #[error("no name was given: {0}")]
    NotNamed(Reason),
    /// No name can end with this host.
    #[error("{host:?} can be no host of a node: {why}")]
    Host {
        /// The host.
        host: String,
        /// Why not.
        why: trunkline_proto::NameError,
    },
}

/// `10.0.0.5, ::1, port 9100`, or `every port from 9100 to 9105`.
struct Place<'a> {
    addrs: &'a [IpAddr],
    ports: &'a RangeInclusive<u16>,
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for addr in self.addrs {
            write!(f, "{addr}, ")?;
        }
        match (self.ports.start(), self.ports.end()) {
            (min, max) if min == max => write!(f, "port {min}"),
            (min, max) => write!(f, "any port from {min} to {max}"),
        }
    }
}
