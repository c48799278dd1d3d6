//! How a node is to be, before it starts.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio_util::sync::CancellationToken;
use trunkline_proto::conn::Sending;
use trunkline_proto::{Cookie, Creation, Flags, NodeName};

use crate::accept;
use crate::epmd::client::QueryError;
use crate::handshake::initiator::OnAlive;
use crate::reach::Route;
use crate::registration::Claim;
use crate::shared::{Settings, Shared};
use crate::socket;
use crate::{Family, Node, Resolve, SystemResolver, epmd};

/// Settings of a node that is about to start. Only the cookie has no default: without it there is
/// no `start`.
#[derive(Clone, Debug)]
pub struct NodeBuilder<C = WantsCookie> {
    cookie: C,
    name: NodeName,
    listen: Option<(Vec<IpAddr>, u16)>,
    epmd: Option<IpAddr>,
    epmd_port: u16,
    family: Option<Family>,
    resolver: Arc<dyn Resolve>,
    tick_time: Duration,
    follow_tick_time: bool,
    on_alive: OnAlive,
    connect_timeout: Duration,
    flags: Flags,
    sending: Sending,
}

/// The cookie is not given yet.
#[derive(Clone, Copy, Debug)]
pub struct WantsCookie(());

impl NodeBuilder {
    pub(crate) fn new(name: NodeName) -> Self {
        Self {
            cookie: WantsCookie(()),
            name,
            listen: None,
            epmd: Some(Ipv4Addr::LOCALHOST.into()),
            epmd_port: epmd::DEFAULT_PORT,
            family: None,
            resolver: Arc::new(SystemResolver),
            tick_time: Duration::from_secs(60),
            follow_tick_time: true,
            on_alive: OnAlive::Replace,
            connect_timeout: Duration::from_secs(5),
            flags: Flags::hidden_default(),
            sending: Sending::default(),
        }
    }

    /// The cookie, shown to nobody: both ends prove that they know it.
    #[must_use]
    pub fn cookie(self, cookie: Cookie) -> NodeBuilder<Cookie> {
        NodeBuilder {
            cookie,
            name: self.name,
            listen: self.listen,
            epmd: self.epmd,
            epmd_port: self.epmd_port,
            family: self.family,
            resolver: self.resolver,
            tick_time: self.tick_time,
            follow_tick_time: self.follow_tick_time,
            on_alive: self.on_alive,
            connect_timeout: self.connect_timeout,
            flags: self.flags,
            sending: self.sending,
        }
    }
}

impl<C> NodeBuilder<C> {
    /// Listens on these addresses, all on one `port`; 0 takes a free one. Default: nowhere, the
    /// node only dials and registers nothing.
    #[must_use]
    pub fn listen(mut self, addrs: impl Into<Vec<IpAddr>>, port: u16) -> Self {
        self.listen = Some((addrs.into(), port));
        self
    }

    /// The port mapper that a listening node registers with. Default: that on 127.0.0.1. `None`:
    /// nowhere, whoever dials has to know the port.
    #[must_use]
    pub fn epmd(mut self, address: Option<IpAddr>) -> Self {
        self.epmd = address;
        self
    }

    /// Where port mappers listen, here and elsewhere. Default: 4369.
    #[must_use]
    pub const fn epmd_port(mut self, port: u16) -> Self {
        self.epmd_port = port;
        self
    }

    /// Dials this address family only. Default: both.
    #[must_use]
    pub const fn family(mut self, family: Family) -> Self {
        self.family = Some(family);
        self
    }

    /// Who resolves hosts. Default: [`SystemResolver`].
    #[must_use]
    pub fn resolver(mut self, resolver: Arc<dyn Resolve>) -> Self {
        self.resolver = resolver;
        self
    }

    /// OTP's `net_ticktime`: a peer that is silent for so long is gone, and one sends a sign of life
    /// four times in it. Default: 60 s, as OTP. Should be the same on all nodes.
    #[must_use]
    pub const fn tick_time(mut self, tick_time: Duration) -> Self {
        self.tick_time = tick_time;
        self
    }

    /// Whether each peer is asked for its `net_ticktime` and that is used with it. Default: yes.
    #[must_use]
    pub const fn follow_tick_time(mut self, follow: bool) -> Self {
        self.follow_tick_time = follow;
        self
    }

    /// Gives up with [`Reason::AlreadyConnected`](trunkline_proto::Reason::AlreadyConnected) where a
    /// peer still has a connection to our name. Default: that one is ours from before, and is
    /// replaced.
    #[must_use]
    pub const fn respect_existing(mut self) -> Self {
        self.on_alive = OnAlive::GiveUp;
        self
    }

    /// The limit for a whole connection attempt. Default: 5 s.
    #[must_use]
    pub const fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// What the node announces that it can do. Default: [`Flags::hidden_default`]. Less is of use
    /// to talk to a peer as an older node would; `PUBLISHED` is never announced.
    #[must_use]
    pub const fn flags(mut self, flags: Flags) -> Self {
        self.flags = flags;
        self
    }

    /// From which size on messages go in fragments, and whether atoms go through the cache. Default:
    /// [`Sending::default`].
    #[must_use]
    pub const fn sending(mut self, sending: Sending) -> Self {
        self.sending = sending;
        self
    }
}

impl NodeBuilder<Cookie> {
    /// Listens and registers, where that is asked for. A port mapper that is not there is no error:
    /// the node registers as soon as it comes.
    ///
    /// # Errors
    /// When an address cannot be listened on, or another node has the name.
    pub async fn start(self) -> Result<Node, StartError> {
        let builder = self;
        let stop = CancellationToken::new();
        // What was begun ends when a later step fails.
        let guard = stop.clone().drop_guard();
        let listeners = match &builder.listen {
            Some((addrs, port)) => {
                socket::listen_all(addrs, *port).map_err(|source| StartError::Listen {
                    addrs: addrs.clone(),
                    port: *port,
                    source,
                })?
            }
            None => Vec::new(),
        };
        let port = match listeners.first() {
            Some(listener) => Some(listener.local_addr().map_err(StartError::Io)?.port()),
            None => None,
        };
        let creation = match (port, builder.epmd) {
            (Some(port), Some(epmd)) => {
                let claim = Claim {
                    epmd: SocketAddr::new(epmd, builder.epmd_port),
                    alive: builder.name.alive().to_owned(),
                    port,
                };
                let taken = |_: QueryError| StartError::NameTaken(builder.name.clone());
                claim.start(stop.clone()).await.map_err(taken)?
            }
            _ => None,
        };
        let shared = Shared::new(
            Settings {
                route: Route {
                    me: builder.name,
                    epmd_port: builder.epmd_port,
                    family: builder.family,
                    resolver: builder.resolver,
                },
                cookie: builder.cookie,
                flags: builder.flags.without(Flags::PUBLISHED),
                creation: creation.unwrap_or_else(random_creation),
                port,
                tick_time: builder.tick_time,
                follow_tick_time: builder.follow_tick_time,
                on_alive: builder.on_alive,
                connect_timeout: builder.connect_timeout,
                sending: builder.sending,
            },
            stop,
        );
        for listener in listeners {
            accept::spawn(listener, Arc::clone(&shared));
        }
        Ok(Node::new(shared, guard))
    }
}

/// Without a port mapper nobody hands out incarnations. 0 means "any" and 1 to 3 are those of old
/// nodes.
fn random_creation() -> Creation {
    Creation(rand::random_range(4..=u32::MAX))
}

/// Why a node did not start. Nothing of it is left behind.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The operating system does not give the address.
    #[error("cannot listen on {addrs:?} port {port}: {source}")]
    Listen {
        /// Where it was to listen.
        addrs: Vec<IpAddr>,
        /// On which port.
        port: u16,
        /// What the operating system says.
        source: io::Error,
    },
    /// The operating system fails otherwise.
    #[error("cannot listen: {0}")]
    Io(io::Error),
    /// Another node holds the name at the port mapper.
    #[error("the port mapper has a node {0} already")]
    NameTaken(NodeName),
}
