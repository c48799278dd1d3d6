//! Whom to reach, and what is known of where it lives.

use std::net::IpAddr;

use trunkline_proto::NodeName;

/// A node to reach. What is not given is found out: the address from the host part of the name,
/// the port from the port mapper there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Its name.
    pub name: NodeName,
    /// Where it lives, when somebody knows better than the name says.
    pub address: Option<IpAddr>,
    /// Its distribution port; EPMD is not asked then.
    pub port: Option<u16>,
}

impl Target {
    /// A node of which only the name is known.
    pub const fn new(name: NodeName) -> Self {
        Self {
            name,
            address: None,
            port: None,
        }
    }

    /// The same node at this address.
    #[must_use]
    pub const fn at(mut self, address: IpAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// The same node on this port, without a question to EPMD.
    #[must_use]
    pub const fn on_port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }
}

impl From<NodeName> for Target {
    fn from(name: NodeName) -> Self {
        Self::new(name)
    }
}
