//! A port mapper that can stand in for OTP's: the registry of `trunkline-proto` behind sockets.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use trunkline_proto::epmd::{Access, NameEntry, Registered, Registry, Request, Then};

use crate::socket;

/// How long a client may take for its request, and for reading the answer; OTP's `-packet_timeout`.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// How many clients of a listener may be in the middle of a question at once; more wait to be
/// accepted. Registered nodes do not count.
const MAX_ASKING: usize = 512;

/// The pause after a failed accept (out of file descriptors), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A running port mapper; it ends, with all its registrations, when this is dropped.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    addrs: Vec<SocketAddr>,
    tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    registry: Mutex<Registry>,
    epmd_port: u16,
    relaxed: bool,
    killed: Notify,
}

impl Server {
    /// Listens on every one of `addrs`; port 0 in the first takes a free one, and 0 in another
    /// takes the first one's. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// What the operating system says when an address cannot be bound.
    pub fn bind(addrs: &[SocketAddr]) -> io::Result<Self> {
        let mut listeners: Vec<TcpListener> = Vec::with_capacity(addrs.len());
        let mut bound: Vec<SocketAddr> = Vec::with_capacity(addrs.len());
        for addr in addrs {
            let mut addr = *addr;
            if let (0, Some(first)) = (addr.port(), bound.first()) {
                addr.set_port(first.port());
            }
            let listener = socket::listen(addr)?;
            bound.push(listener.local_addr()?);
            listeners.push(listener);
        }
        let epmd_port = bound.first().map_or(super::DEFAULT_PORT, SocketAddr::port);
        let shared = Arc::new(Shared {
            registry: Mutex::new(Registry::new(seconds_since_1970())),
            epmd_port,
            relaxed: false,
            killed: Notify::new(),
        });
        let mut tasks = JoinSet::new();
        for listener in listeners {
            tasks.spawn(accept_loop(listener, Arc::clone(&shared)));
        }
        Ok(Self {
            shared,
            addrs: bound,
            tasks,
        })
    }

    /// Where it listens.
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// The port of the first address.
    pub fn port(&self) -> u16 {
        self.shared.epmd_port
    }

    /// Who is registered, newest first.
    pub fn names(&self) -> Vec<NameEntry> {
        self.shared.registry().names(self.port()).names
    }

    /// Waits until somebody on this host asks it to end (KILL_REQ with nobody registered).
    pub async fn killed(&self) {
        self.shared.killed.notified().await;
    }

    /// Ends it and every registration.
    pub async fn shut_down(mut self) {
        self.tasks.shutdown().await;
    }
}

impl Shared {
    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Low 32 bits of the clock: where creations begin, so that a restarted mapper gives new ones.
fn seconds_since_1970() -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(1, |d| u32::try_from(d.as_secs() & 0xffff_ffff).unwrap_or(1))
}

async fn accept_loop(listener: TcpListener, shared: Arc<Shared>) {
    let mut clients = JoinSet::new();
    let asking = Arc::new(Semaphore::new(MAX_ASKING));
    loop {
        let Ok(permit) = Arc::clone(&asking).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, from)) => {
                let shared = Arc::clone(&shared);
                clients.spawn(async move {
                    if let Err(why) = serve(stream, from, &shared, permit).await {
                        tracing::debug!(%from, %why, "epmd client");
                    }
                });
            }
            Err(why) => {
                tracing::warn!(%why, "epmd cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
        while clients.try_join_next().is_some() {}
    }
}

async fn serve(
    mut stream: TcpStream,
    from: SocketAddr,
    shared: &Shared,
    asking: OwnedSemaphorePermit,
) -> io::Result<()> {
    socket::keep_alive(&stream);
    let asked = timeout(REQUEST_TIMEOUT, read_request(&mut stream)).await;
    let Some(request) = asked.unwrap_or(Ok(None))? else {
        return Ok(());
    };
    let access = Access {
        epmd_port: shared.epmd_port,
        loopback: from.ip().to_canonical().is_loopback(),
        relaxed: shared.relaxed,
    };
    let answer = shared.registry().answer(request, access);
    // The name is given back however this ends, also when the task is cancelled.
    let _held = match answer.then {
        Then::Hold(registered) => Some(Holder { shared, registered }),
        Then::Close | Then::Exit => None,
    };
    timeout(REQUEST_TIMEOUT, stream.write_all(&answer.bytes)).await??;
    drop(asking);
    match answer.then {
        Then::Hold(_) => hold(&mut stream).await,
        Then::Exit => shared.killed.notify_one(),
        Then::Close => {}
    }
    Ok(())
}

struct Holder<'a> {
    shared: &'a Shared,
    registered: Registered,
}

impl Drop for Holder<'_> {
    fn drop(&mut self) {
        self.shared.registry().unregister(self.registered.id);
    }
}

/// The first request; `None` when the client leaves or sends what is none (closed without an
/// answer, as OTP's epmd does).
async fn read_request(stream: &mut TcpStream) -> io::Result<Option<Request>> {
    let mut bytes = BytesMut::with_capacity(256);
    loop {
        match Request::decode_prefix(&bytes) {
            Ok(Some((request, _))) => return Ok(Some(request)),
            Ok(None) => {}
            Err(why) => {
                tracing::debug!(%why, "no epmd request");
                return Ok(None);
            }
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
}

/// The connection is the registration: what comes over it is ignored until it ends.
async fn hold(stream: &mut TcpStream) {
    let mut ignored = [0; 64];
    while !matches!(stream.read(&mut ignored).await, Ok(0) | Err(_)) {}
}

#[cfg(test)]
mod tests {
    use trunkline_proto::epmd::{NodeType, Registration};

    use super::*;
    use crate::epmd::client::{self, QueryError};

    const LIMIT: Duration = Duration::from_secs(10);

    fn app() -> Registration {
        Registration::new("app", 9100, NodeType::HIDDEN)
    }

    #[tokio::test]
    async fn registers_answers_and_forgets() {
        let server = Server::bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
        let addr = server.addrs()[0];
        let held = client::register(addr, app(), LIMIT).await.unwrap();
        let again = client::register(addr, app(), LIMIT).await;
        assert_eq!(again.unwrap_err(), QueryError::NameTaken);
        let found = client::port_please(addr, "app", LIMIT).await.unwrap();
        assert_eq!((found.port, found.hidden()), (9100, true));
        assert_eq!(client::names(addr, LIMIT).await.unwrap()[0].alive, "app");
        drop(held);
        let gone = async {
            while client::port_please(addr, "app", LIMIT).await.is_ok() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(LIMIT, gone).await.expect("the name is given back");
    }

    #[tokio::test]
    async fn a_lost_mapper_is_noticed() {
        let server = Server::bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
        let addr = server.addrs()[0];
        let mut held = client::register(addr, app(), LIMIT).await.unwrap();
        server.shut_down().await;
        timeout(LIMIT, held.lost()).await.expect("noticed");
        let refused = client::port_please(addr, "app", LIMIT).await;
        assert_eq!(refused.unwrap_err(), QueryError::Refused);
    }
}
