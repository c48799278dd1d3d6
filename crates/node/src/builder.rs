//! How a node is to be, before it starts.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use trunkline_proto::conn::{Sending, TICK_INTENSITY};
use trunkline_proto::handshake::Admission;
use trunkline_proto::{Cookie, Flags, NodeName};

use crate::handshake::initiator::OnAlive;
use crate::{Family, Resolve, SystemResolver, Tls, epmd};

/// Settings of a node that is about to start. Only the cookie has no default: without it there is
/// no `start`.
#[derive(Clone, Debug)]
pub struct NodeBuilder<C = WantsCookie, N = NodeName> {
    pub(crate) cookie: C,
    pub(crate) name: N,
    pub(crate) options: Options,
}

/// The cookie is not given yet.
#[derive(Clone, Copy, Debug)]
pub struct WantsCookie(());

/// The node has no name of its own: the first node that it connects to gives it one.
#[derive(Clone, Debug)]
pub struct Nameless {
    /// The part after the `@` that the name shall have.
    pub(crate) host: String,
}

/// Everything else.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) listen: Option<Listen>,
    pub(crate) epmd: Option<IpAddr>,
    pub(crate) epmd_port: u16,
    pub(crate) peer_port: Option<u16>,
    pub(crate) family: Option<Family>,
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) tick_time: Duration,
    pub(crate) tick_intensity: u32,
    pub(crate) follow_tick_time: bool,
    pub(crate) on_alive: OnAlive,
    pub(crate) connect_timeout: Duration,
    pub(crate) flags: Flags,
    pub(crate) sending: Sending,
    pub(crate) auto_connect: bool,
    pub(crate) mailboxes: usize,
    pub(crate) cookies: Vec<(NodeName, Cookie)>,
    pub(crate) allowed: Vec<NodeName>,
    pub(crate) allowed_hosts: Vec<String>,
    pub(crate) tls: Option<Tls>,
}

/// Where a node listens: on every address, on the first port of the range that is free on all.
#[derive(Clone, Debug)]
pub(crate) struct Listen {
    pub(crate) addrs: Vec<IpAddr>,
    pub(crate) ports: RangeInclusive<u16>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: None,
            epmd: Some(Ipv4Addr::LOCALHOST.into()),
            epmd_port: epmd::DEFAULT_PORT,
            peer_port: None,
            family: None,
            resolver: Arc::new(SystemResolver),
            tick_time: Duration::from_secs(60),
            tick_intensity: TICK_INTENSITY,
            follow_tick_time: true,
            on_alive: OnAlive::Replace,
            connect_timeout: Duration::from_secs(5),
            flags: Flags::hidden_default(),
            sending: Sending::default(),
            cookies: Vec::new(),
            allowed: Vec::new(),
            allowed_hosts: Vec::new(),
            tls: None,
            auto_connect: true,
            mailboxes: 1 << 30,
        }
    }
}

impl Options {
    /// Who may connect, and what each has to prove.
    pub(crate) fn admission(&mut self, cookie: Cookie) -> Admission {
        let mut admission = Admission::new(cookie);
        for (peer, cookie) in self.cookies.drain(..) {
            admission = admission.with_cookie_of(peer, cookie);
        }
        for peer in self.allowed.drain(..) {
            admission = admission.allow(peer);
        }
        for host in self.allowed_hosts.drain(..) {
            admission = admission.allow_host(host);
        }
        admission
    }
}

impl NodeBuilder {
    pub(crate) fn new(name: NodeName) -> Self {
        Self {
            cookie: WantsCookie(()),
            name,
            options: Options::default(),
        }
    }
}

impl NodeBuilder<WantsCookie, Nameless> {
    pub(crate) fn nameless(host: String) -> Self {
        Self {
            cookie: WantsCookie(()),
            name: Nameless { host },
            options: Options::default(),
        }
    }
}

impl<N> NodeBuilder<WantsCookie, N> {
    /// The cookie, shown to nobody: both ends prove that they know it.
    #[must_use]
    pub fn cookie(self, cookie: Cookie) -> NodeBuilder<Cookie, N> {
        NodeBuilder {
            cookie,
            name: self.name,
            options: self.options,
        }
    }
}

impl<C> NodeBuilder<C> {
    /// Listens on these addresses, all on one `port`; 0 takes a free one. Default: nowhere, the
    /// node only dials and registers nothing.
    #[must_use]
    pub fn listen(self, addrs: impl Into<Vec<IpAddr>>, port: u16) -> Self {
        self.listen_range(addrs, port..=port)
    }

    /// Listens on these addresses, all on the first port of `ports` that is free on each of them:
    /// OTP's `inet_dist_listen_min` and `inet_dist_listen_max`, for hosts whose firewall opens only
    /// some.
    #[must_use]
    pub fn listen_range(
        mut self,
        addrs: impl Into<Vec<IpAddr>>,
        ports: RangeInclusive<u16>,
    ) -> Self {
        self.options.listen = Some(Listen {
            addrs: addrs.into(),
            ports,
        });
        self
    }

    /// The port mapper that a listening node registers with. Default: that on 127.0.0.1. `None`:
    /// nowhere, whoever dials has to know the port.
    #[must_use]
    pub fn epmd(mut self, address: Option<IpAddr>) -> Self {
        self.options.epmd = address;
        self
    }
}

impl<C, N> NodeBuilder<C, N> {
    /// Where port mappers listen, here and elsewhere. Default: 4369.
    #[must_use]
    pub const fn epmd_port(mut self, port: u16) -> Self {
        self.options.epmd_port = port;
        self
    }

    /// Every other node listens on this port, unless its [`Target`](crate::Target) names another;
    /// no port mapper is asked then. With `.listen(addrs, port).epmd(None)` this is OTP's
    /// `-start_epmd false -erl_epmd_port N`, a cluster without EPMD. Default: port mappers are asked.
    #[must_use]
    pub const fn peer_port(mut self, port: u16) -> Self {
        self.options.peer_port = Some(port);
        self
    }

    /// Dials this address family only. Default: both.
    #[must_use]
    pub const fn family(mut self, family: Family) -> Self {
        self.options.family = Some(family);
        self
    }

    /// Who resolves hosts. Default: [`SystemResolver`].
    #[must_use]
    pub fn resolver(mut self, resolver: Arc<dyn Resolve>) -> Self {
        self.options.resolver = resolver;
        self
    }

    /// OTP's `net_ticktime`: a peer that is silent for so long is gone, and one sends a sign of life
    /// four times in it. Default: 60 s, as OTP. Should be the same on all nodes.
    #[must_use]
    pub const fn tick_time(mut self, tick_time: Duration) -> Self {
        self.options.tick_time = tick_time;
        self
    }

    /// OTP's `net_tickintensity`: into how many parts the tick time is cut. A sign of life goes out
    /// once in each, and a peer is gone after that many without one. Default: 4. What is not within
    /// OTP's limits, 4 to 1,000, is moved there.
    #[must_use]
    pub fn tick_intensity(mut self, parts: u32) -> Self {
        self.options.tick_intensity = parts.clamp(4, 1000);
        self
    }

    /// Whether each peer is asked for its `net_ticktime` and that is used with it. Default: yes.
    #[must_use]
    pub const fn follow_tick_time(mut self, follow: bool) -> Self {
        self.options.follow_tick_time = follow;
        self
    }

    /// Gives up with [`Reason::AlreadyConnected`](trunkline_proto::Reason::AlreadyConnected) where a
    /// peer still has a connection to our name. Default: that one is ours from before, and is
    /// replaced.
    #[must_use]
    pub const fn respect_existing(mut self) -> Self {
        self.options.on_alive = OnAlive::GiveUp;
        self
    }

    /// The limit for a whole connection attempt of this node. Default: 5 s. Those of others may take
    /// 7 s for each step of the handshake, as with OTP, or this long where it is more.
    #[must_use]
    pub const fn connect_timeout(mut self, limit: Duration) -> Self {
        self.options.connect_timeout = limit;
        self
    }

    /// What the node announces that it can do. Default: [`Flags::hidden_default`]. Less is of use
    /// to talk to a peer as an older node would; `PUBLISHED` is never announced.
    #[must_use]
    pub const fn flags(mut self, flags: Flags) -> Self {
        self.options.flags = flags;
        self
    }

    /// From which size on messages go in fragments, and whether atoms go through the cache. Default:
    /// [`Sending::default`].
    #[must_use]
    pub const fn sending(mut self, sending: Sending) -> Self {
        self.options.sending = sending;
        self
    }

    /// Speaks TLS with everybody, as a node started with `-proto_dist inet_tls`. Default: plain TCP.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.options.tls = Some(tls);
        self
    }

    /// Another cookie between this node and one peer, whoever dials: `erlang:set_cookie(Peer,
    /// Cookie)`. [`Node::set_cookie`](crate::Node::set_cookie) does it later.
    #[must_use]
    pub fn cookie_of(mut self, peer: NodeName, cookie: Cookie) -> Self {
        self.options.cookies.push((peer, cookie));
        self
    }

    /// Allows connections with this node; from the first on with no other: `net_kernel:allow/1`.
    /// [`Node::allow`](crate::Node::allow) does it later. Default: everybody who has the cookie.
    #[must_use]
    pub fn allow(mut self, peer: NodeName) -> Self {
        self.options.allowed.push(peer);
        self
    }

    /// Allows connections with every node of a host, the part after the `@` of its name; from the
    /// first on with no other.
    #[must_use]
    pub fn allow_host(mut self, host: impl Into<String>) -> Self {
        self.options.allowed_hosts.push(host.into());
        self
    }

    /// Whether a node that is not connected is connected when something is sent there, or a process
    /// there is linked or monitored, or called. Default: yes, as OTP.
    #[must_use]
    pub const fn auto_connect(mut self, auto: bool) -> Self {
        self.options.auto_connect = auto;
        self
    }

    /// How many bytes of messages from other nodes may wait in this node, all together. While it is
    /// more, connections of which more waits than their part are read slowly: 1 MiB a second at first (25
    /// where somebody waits for an answer by it, or for room to send), half as much with each
    /// sixteenth of the limit that there is too much (with each quarter where somebody waits). Their other
    /// ends get busy, and the connections live. So a node has some twice as much, and never stands still
    /// for good: a program may wait for what lies behind the flood. Default: 1 GiB.
    #[must_use]
    pub const fn max_mailboxes(mut self, bytes: usize) -> Self {
        self.options.mailboxes = bytes;
        self
    }
}
