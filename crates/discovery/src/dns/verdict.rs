//! What became of a lookup: every server that was asked, and what it said.

use std::fmt;
use std::net::SocketAddr;

use super::servers::PORT;

/// One server, and why it gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Where it was asked.
    pub server: SocketAddr,
    /// What came back.
    pub said: Said,
}

/// Why a server gave no answer. The texts are the same for the same fault, so that a fault that
/// lasts is one line in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Said {
    /// NXDOMAIN: the name does not exist. No other server is asked after that.
    NoSuchName,
    /// SERVFAIL: it could not find out.
    ServerFailure,
    /// REFUSED: it does not answer us.
    Refused,
    /// Any other response code, by its name or number.
    Code(String),
    /// Nothing came in time.
    Timeout,
    /// Nobody listens at the port.
    Closed,
    /// No packet gets there, and why.
    Unreachable(String),
    /// The answer does not fit into UDP, and what happened over TCP.
    NotOverTcp(Box<Self>),
    /// It sent something that is no answer to the question.
    NoAnswer(Flaw),
}

/// What is wrong with something that looks like an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flaw {
    /// It cannot be decoded.
    Malformed,
    /// It answers another question.
    OtherQuestion,
    /// It holds records, none of them of the name and type that were asked for.
    OtherNames,
    /// Its aliases (CNAME) lead nowhere within the hops that we follow.
    Aliases,
    /// It names other servers instead.
    Referral,
    /// It is cut off although it came over TCP.
    CutOff,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = Shown(self.server);
        match &self.said {
            Said::Closed => write!(f, "nothing answers at {server}"),
            said => write!(f, "{server} {said}"),
        }
    }
}

/// A clause whose subject is the server.
impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchName => f.write_str("knows no such name (NXDOMAIN)"),
            Self::ServerFailure => f.write_str("failed (SERVFAIL)"),
            Self::Refused => f.write_str("refused to answer (REFUSED)"),
            Self::Code(code) => write!(f, "answered {code}"),
            Self::Timeout => f.write_str("did not answer in time"),
            Self::Closed => f.write_str("does not listen there"),
            Self::Unreachable(why) => write!(f, "cannot be reached: {why}"),
            Self::NotOverTcp(said) => {
                write!(f, "has an answer too long for UDP, and over TCP it {said}")
            }
            Self::NoAnswer(flaw) => write!(f, "{flaw}"),
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "sent an answer that cannot be read",
            Self::OtherQuestion => "sent an answer to another question",
            Self::OtherNames => "sent only records of other names or types",
            Self::Aliases => "sent aliases (CNAME) that lead nowhere",
            Self::Referral => "knows only other servers (a referral)",
            Self::CutOff => "sent an answer that is cut off",
        })
    }
}

/// A server as it is written in `nameservers`: the port only where it is another than 53.
struct Shown(SocketAddr);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.port() == PORT {
            self.0.ip().fmt(f)
        } else {
            self.0.fmt(f)
        }
    }
}
