//! Who may connect, and what each has to prove.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use crate::{Cookie, NameError, NodeName};

/// The cookie of each peer, and who is allowed at all.
///
/// ```
/// use trunkline_proto::Cookie;
/// use trunkline_proto::handshake::Admission;
///
/// let (ours, theirs) = (Cookie::new("ours")?, Cookie::new("theirs")?);
/// let admission = Admission::new(ours).with_cookie_of("old@10.0.0.9".parse()?, theirs.clone());
/// assert_eq!(*admission.cookie_of(&"old@10.0.0.9".parse()?), theirs);
/// assert!(admission.admits(&"anybody@10.0.0.3".parse()?));
/// let admission = admission.allow_host("10.0.0.9");
/// assert!(!admission.admits(&"anybody@10.0.0.3".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Admission {
    cookie: Cookie,
    cookies: BTreeMap<NodeName, Cookie>,
    allowed: Option<Allowed>,
}

#[derive(Clone, Debug, Default)]
struct Allowed {
    names: BTreeSet<NodeName>,
    hosts: BTreeSet<String>,
}

impl Admission {
    /// Everybody who knows this cookie.
    pub const fn new(cookie: Cookie) -> Self {
        Self {
            cookie,
            cookies: BTreeMap::new(),
            allowed: None,
        }
    }

    /// Another cookie between this node and one peer, in both directions
    /// (`erlang:set_cookie(Peer, Cookie)`).
    #[must_use]
    pub fn with_cookie_of(mut self, peer: NodeName, cookie: Cookie) -> Self {
        self.cookies.insert(peer, cookie);
        self
    }

    /// Allows a node; from the first on nobody else (`net_kernel:allow/1`).
    #[must_use]
    pub fn allow(mut self, peer: NodeName) -> Self {
        self.allowed.get_or_insert_default().names.insert(peer);
        self
    }

    /// Allows every node of a host, the part after the `@`; from the first on nobody else.
    #[must_use]
    pub fn allow_host(mut self, host: impl Into<String>) -> Self {
        self.allowed
            .get_or_insert_default()
            .hosts
            .insert(host.into());
        self
    }

    /// The cookie that both ends of a connection with `peer` have to know.
    pub fn cookie_of(&self, peer: &NodeName) -> &Cookie {
        self.cookies.get(peer).unwrap_or(&self.cookie)
    }

    /// The hosts of everybody who is allowed; empty when everybody is.
    pub fn allowed_hosts(&self) -> Vec<String> {
        let allowed = self.allowed.iter();
        let hosts: BTreeSet<&str> = allowed
            .flat_map(|allowed| {
                let names = allowed.names.iter().map(NodeName::host);
                names.chain(allowed.hosts.iter().map(String::as_str))
            })
            .collect();
        hosts.into_iter().map(String::from).collect()
    }

    /// Whether a connection with `peer` is allowed, whoever dials.
    pub fn admits(&self, peer: &NodeName) -> bool {
        self.allowed.as_ref().is_none_or(|allowed| {
            allowed.names.contains(peer) || allowed.hosts.contains(peer.host())
        })
    }
}

/// Letters of a given name, and how many: what OTP takes.
const LETTERS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LENGTH: usize = 13;

/// A name for a node that asks for one, from the host that it wants and a number that nobody can
/// guess: `XXXXXXXXXXXXX@host`.
///
/// # Errors
/// When the host can stand in no name.
pub fn dynamic_name(host: &str, random: u128) -> Result<NodeName, NameError> {
    let mut name = String::with_capacity(LENGTH.saturating_add(1).saturating_add(host.len()));
    let mut left = random;
    for _ in 0..LENGTH {
        let digit = usize::try_from(left % 36).unwrap_or(0);
        left /= 36;
        name.push(char::from(LETTERS.get(digit).copied().unwrap_or(b'0')));
    }
    name.push('@');
    name.push_str(host);
    name.parse()
}
