//! Questions to a port mapper, one connection each. Every function takes the address of the mapper
//! (port [`super::DEFAULT_PORT`] unless `ERL_EPMD_PORT` says otherwise) and a limit for the whole
//! exchange.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use trunkline_proto::epmd::{
    AliveResponse, EpmdError, NameEntry, NamesResponse, PortResponse, Registration, Request,
};
use trunkline_proto::{Creation, Reason, Step};

use crate::socket::{self, DialError, Use};

/// More than any answer has: 64 KiB of registration, or the lines of some ten thousand nodes.
const MAX_ANSWER: usize = 1024 * 1024;

/// Where the node with this alive part listens.
///
/// # Errors
/// [`QueryError::NotRegistered`] when the mapper does not know it, else why there is no answer.
pub async fn port_please(
    addr: SocketAddr,
    alive: &str,
    limit: Duration,
) -> Result<Registration, QueryError> {
    Ok(ask_port(addr, alive, limit).await?.0)
}

/// The same, and the connection that is over: closing it takes its time, which whoever is in a hurry has later.
pub(crate) async fn ask_port(
    addr: SocketAddr,
    alive: &str,
    limit: Duration,
) -> Result<(Registration, TcpStream), QueryError> {
    let request = Request::PortPlease2 {
        alive: alive.to_owned(),
    };
    let (answer, over) = exchange(addr, &request, limit, PortResponse::decode_prefix).await?;
    match answer {
        PortResponse::Found(registration) => Ok((registration, over)),
        PortResponse::Unknown { .. } => Err(QueryError::NotRegistered),
    }
}

/// Who is registered, newest first.
///
/// # Errors
/// Why there is no answer.
pub async fn names(addr: SocketAddr, limit: Duration) -> Result<Vec<NameEntry>, QueryError> {
    let whole = within(limit, async {
        let mut stream = ask(addr, &Request::Names).await?;
        let mut bytes = Vec::new();
        let mut limited = (&mut stream).take(MAX_ANSWER as u64);
        limited.read_to_end(&mut bytes).await.map_err(broken)?;
        Ok(bytes)
    });
    let bytes = whole.await?;
    if bytes.is_empty() {
        return Err(QueryError::Closed);
    }
    Ok(NamesResponse::decode(&bytes)?.names)
}

/// A name held at a port mapper for as long as this lives.
#[derive(Debug)]
pub struct Held {
    /// The incarnation that the mapper gave to the node.
    pub creation: Creation,
    stream: TcpStream,
}

impl Held {
    /// Waits until the mapper is gone, and the registration with it. Cancel safe.
    pub async fn lost(&mut self) {
        let mut ignored = [0; 64];
        while !matches!(self.stream.read(&mut ignored).await, Ok(0) | Err(_)) {}
    }

    /// Gives the name back: the mapper hangs up once it is free. Without an error: it is free when the mapper is gone, too.
    pub async fn release(mut self) {
        if self.stream.shutdown().await.is_ok() {
            self.lost().await;
        }
    }
}

/// Registers a node.
///
/// # Errors
/// [`QueryError::NameTaken`] when another node has the name, else why there is no answer.
pub async fn register(
    addr: SocketAddr,
    registration: Registration,
    limit: Duration,
) -> Result<Held, QueryError> {
    let request = Request::Alive2(registration);
    let (answer, stream) = exchange(addr, &request, limit, AliveResponse::decode_prefix).await?;
    let creation = answer.registered().ok_or(QueryError::NameTaken)?;
    socket::keep_alive(&stream);
    Ok(Held { creation, stream })
}

/// Why a port mapper gave no (good) answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum QueryError {
    /// Nobody listens there: the host is up and refuses.
    #[error("the connection is refused")]
    Refused,
    /// No answer in time, or no way there.
    #[error("no answer")]
    Silent,
    /// It closed the connection without a (whole) answer.
    #[error("it closed the connection without an answer")]
    Closed,
    /// What answers is no port mapper.
    #[error("what answers is not epmd ({0})")]
    NotEpmd(#[from] EpmdError),
    /// It does not know the name.
    #[error("the name is not registered")]
    NotRegistered,
    /// Another node has the name.
    #[error("the name is taken")]
    NameTaken,
}

impl QueryError {
    /// The same in the words of a failed connection attempt, for a mapper at `addr`.
    /// `not_registered` gets no list of names: ask [`names`] for it.
    pub fn to_reason(self, addr: SocketAddr, alive: &str) -> Reason {
        match self {
            Self::Refused => Reason::EpmdUnreachable {
                addr,
                refused: true,
            },
            Self::Silent => Reason::EpmdUnreachable {
                addr,
                refused: false,
            },
            Self::Closed => Reason::Closed { step: Step::Epmd },
            Self::NotEpmd(why) => Reason::NotDist {
                detail: format!("what answers at {addr} is not epmd ({why})"),
            },
            Self::NotRegistered | Self::NameTaken => Reason::NotRegistered {
                alive: alive.to_owned(),
                registered: String::new(),
            },
        }
    }
}

type Decode<T> = fn(&[u8]) -> Result<Option<(T, usize)>, EpmdError>;

/// Sends one request and reads until `decode` has a whole answer. Gives the connection back: it may
/// be a registration.
async fn exchange<T>(
    addr: SocketAddr,
    request: &Request,
    limit: Duration,
    decode: Decode<T>,
) -> Result<(T, TcpStream), QueryError> {
    within(limit, async {
        let mut stream = ask(addr, request).await?;
        let mut bytes = Vec::with_capacity(64);
        loop {
            if let Some((answer, _)) = decode(&bytes)? {
                return Ok((answer, stream));
            }
            if stream.read_buf(&mut bytes).await.map_err(broken)? == 0 || bytes.len() > MAX_ANSWER {
                return Err(QueryError::Closed);
            }
        }
    })
    .await
}

async fn ask(addr: SocketAddr, request: &Request) -> Result<TcpStream, QueryError> {
    let bytes = request.encode()?;
    let asked = socket::connect(addr, &bytes, Use::Question).await;
    asked.map_err(|why| match why {
        DialError::Refused => QueryError::Refused,
        DialError::Silent => QueryError::Silent,
    })
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, QueryError>>,
) -> Result<T, QueryError> {
    timeout(limit, work)
        .await
        .unwrap_or(Err(QueryError::Silent))
}

/// An established connection that breaks was closed by somebody.
fn broken(why: io::Error) -> QueryError {
    tracing::debug!(%why, "epmd connection broke");
    QueryError::Closed
}
