//! Why a source does not know.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use trunkline_reconcile::evidence::Unknown;

use crate::dns::{Said, Verdict};
use crate::port_mapper::MapperFailure;

/// Why a source could not answer. `Display` is one clause that says what failed and where;
/// [`cure`](Self::cure) says what to do. Neither holds a secret. The source's last good answer
/// stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoverError {
    /// The network or the DNS: a name could not be resolved.
    #[error("{name} cannot be resolved: {why}")]
    Dns {
        /// The name that was asked for.
        name: String,
        /// What the resolver said.
        why: DnsFailure,
    },
    /// The network: no connection came to be.
    #[error("cannot connect to {to}: {why}")]
    Connect {
        /// Host and port.
        to: String,
        /// Refused, unreachable, …
        why: String,
    },
    /// The peer or our trust in it: the TLS handshake failed.
    #[error("TLS with {to} failed: {why}")]
    Tls {
        /// Host and port.
        to: String,
        /// What rustls said.
        why: String,
    },
    /// The network or the peer: no answer in time.
    #[error("no answer from {from} in time")]
    Timeout {
        /// Who did not answer.
        from: String,
        /// How long we would have waited at most.
        after: Duration,
    },
    /// The peer refused: it answered with a status that is no answer.
    #[error("{what}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// Who said what, one clause.
        what: String,
        /// What to do about it.
        cure: String,
        /// When it allows the next request, from now.
        retry_after: Option<Duration>,
    },
    /// The peer: more bytes than any honest answer has.
    #[error("the answer of {from} is larger than {limit} bytes")]
    BodyTooLarge {
        /// Who sent it.
        from: String,
        /// The cap, in bytes.
        limit: usize,
    },
    /// The peer: the answer is not what its documentation says.
    #[error("the answer of {from} cannot be read: {why}")]
    BadBody {
        /// Who sent it.
        from: String,
        /// Where in it, and what is wrong.
        why: String,
    },
    /// The peer: it points to another origin, where our token must not go.
    #[error("{from} names {next} as its next page, which is another origin")]
    OtherOrigin {
        /// Who said so.
        from: String,
        /// The origin of the next page.
        next: String,
    },
    /// The network or the peer: the port mapper of a host gave no list.
    #[error("{host}: {why}")]
    PortMapper {
        /// Whose.
        host: String,
        /// What it did.
        why: MapperFailure,
    },
    /// This host: a file that the configuration means cannot be used.
    #[error("{path}: {why}")]
    File {
        /// Which.
        path: String,
        /// What is wrong, and where in it, one clause.
        why: String,
        /// What to do about it.
        cure: String,
    },
    /// We: something is not known yet, or not configured.
    #[error("{what}")]
    NotReady {
        /// What is missing, one clause.
        what: String,
        /// What to do about it.
        cure: String,
    },
}

/// How a DNS query failed. A name that exists without records of the asked type is no failure.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DnsFailure {
    /// No server gave an answer.
    Servers {
        /// Everyone who was asked for the last of `tried`, in the order of the configuration.
        verdicts: Vec<Verdict>,
        /// The name with what the search list made of it, in the order in which they were asked
        /// for; every one but the last does not exist.
        tried: Vec<String>,
    },
    /// The name is no domain name.
    BadName,
    /// The name exists and has neither A nor AAAA records.
    NoAddress,
    /// Anything else: the system's configuration cannot be read.
    Other(String),
}

impl fmt::Display for DnsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Servers { verdicts, tried } => {
                let said: Vec<_> = verdicts.iter().map(ToString::to_string).collect();
                f.write_str(&said.join(", "))?;
                if tried.len() > 1 {
                    write!(f, " (tried {})", tried.join(", "))?;
                }
                Ok(())
            }
            Self::BadName => f.write_str("not a domain name"),
            Self::NoAddress => f.write_str("the name has no address"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

impl Error for DnsFailure {}

impl DiscoverError {
    /// What to do about it, one clause.
    pub fn cure(&self) -> String {
        match self {
            Self::Dns { why, .. } => why.cure().into(),
            Self::Connect { .. } => {
                "check that the address is right and that no firewall is between".into()
            }
            Self::Tls { .. } => {
                "check the clock and the certificates of this host, or name the CA with api_ca_file"
                    .into()
            }
            Self::Timeout { .. } => {
                "wait, it is tried again; check that no firewall drops the packets".into()
            }
            Self::PortMapper { why, .. } => why.cure().into(),
            Self::Status { cure, .. } | Self::File { cure, .. } | Self::NotReady { cure, .. } => {
                cure.clone()
            }
            Self::BodyTooLarge { .. } | Self::BadBody { .. } => {
                "check that the address is that of the API and not of a proxy or portal".into()
            }
            Self::OtherOrigin { .. } => {
                "set api_url to the origin that the API itself uses in its links".into()
            }
        }
    }

    /// When the peer allows the next request, from now.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether only a change made by somebody cures it (a token, a configuration), so that trying
    /// again soon is of no use.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Status { status, .. } => {
                (400..500).contains(status) && !matches!(status, 408 | 425 | 429)
            }
            Self::OtherOrigin { .. } => true,
            _ => false,
        }
    }
}

impl DnsFailure {
    /// What the servers said, where any was asked.
    pub fn said(&self) -> impl Iterator<Item = &Said> {
        let verdicts = match self {
            Self::Servers { verdicts, .. } => verdicts.as_slice(),
            _ => &[],
        };
        verdicts.iter().map(|verdict| &verdict.said)
    }

    fn cure(&self) -> &'static str {
        let any = |wanted: fn(&Said) -> bool| self.said().any(wanted);
        match self {
            Self::BadName => "check the spelling of the name",
            Self::NoAddress => "give the name an A or AAAA record, or correct it",
            _ if any(|said| *said == Said::NoSuchName) => {
                "check the spelling of the name, and that somebody is registered under it"
            }
            _ if any(|said| matches!(said, Said::NotOverTcp(_))) => {
                "let TCP to port 53 of the name server through"
            }
            _ if any(|said| *said == Said::Refused) => {
                "ask a name server that serves this host: set nameservers"
            }
            _ => "wait, it is tried again; check /etc/resolv.conf or nameservers",
        }
    }
}

impl From<&DiscoverError> for Unknown {
    fn from(error: &DiscoverError) -> Self {
        Self {
            what: error.to_string(),
            cure: error.cure(),
        }
    }
}

impl From<DiscoverError> for Unknown {
    fn from(error: DiscoverError) -> Self {
        Self::from(&error)
    }
}
