//! How many dials a node makes for us at once.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use trunkline_interop::otp::Epmd;
use trunkline_interop::scripted::greeting;
use trunkline_proto::Flags;
use trunkline_proto::epmd::{NodeType, Registration, Request};
use trunkline_reconcile::Config;

use crate::site::{Agent, NO_MESH, name, start, until};

/// The default of `max_connects`.
const AT_ONCE: usize = 64;

const PEERS: std::ops::RangeInclusive<u8> = 2..=101;

/// Longer than the test: a dial ends when the test ends it.
const PATIENT: &[&str] = &["-kernel", "net_setuptime", "120"];

#[tokio::test(flavor = "multi_thread")]
async fn a_node_dials_64_peers_at_once_and_then_the_others() -> Result<()> {
    let epmd = Epmd::start()?;
    let _node = start(&epmd, 1, &[NO_MESH, PATIENT].concat())?;
    let crowd = Crowd::start(&epmd).await?;
    let agent = Agent::start(&epmd, 1, Config::default()).await?;
    agent.list((1..=1).chain(PEERS));
    until("all dials that may be are made", || crowd.open() == AT_ONCE).await;
    // The others pass their probes in that time, and wait.
    for _ in 0..150 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(crowd.open(), AT_ONCE);
    }
    assert_eq!(crowd.seen().dialled.len(), AT_ONCE);
    until("all were looked at", || {
        crowd.seen().probed.len() == PEERS.len()
    })
    .await;

    crowd.let_go();
    until("everybody was dialled", || {
        crowd.seen().dialled.len() == PEERS.len()
    })
    .await;
    assert_eq!(crowd.seen().most, AT_ONCE);
    Ok(())
}

/// Peers behind one port: they greet a probe, and keep a node waiting in its handshake.
struct Crowd {
    seen: Arc<Mutex<Seen>>,
    held: watch::Sender<bool>,
    _registrations: Vec<TcpStream>,
}

#[derive(Clone, Default)]
struct Seen {
    probed: BTreeSet<IpAddr>,
    dialled: BTreeSet<IpAddr>,
    /// Dials that have not ended.
    open: usize,
    /// The most at any time.
    most: usize,
}

impl Crowd {
    async fn start(epmd: &Epmd) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
        let port = listener.local_addr()?.port();
        let mut registrations = Vec::new();
        for i in PEERS {
            registrations.push(register(epmd.port, name(i).alive(), port).await?);
        }
        let seen = Arc::<Mutex<Seen>>::default();
        let (held, holds) = watch::channel(true);
        let all = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&all), holds.clone()));
            }
        });
        Ok(Self {
            seen,
            held,
            _registrations: registrations,
        })
    }

    fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    fn open(&self) -> usize {
        self.seen.lock().unwrap().open
    }

    /// From now on dials end soon.
    fn let_go(&self) {
        self.held.send_replace(false);
    }
}

async fn serve(mut stream: TcpStream, seen: Arc<Mutex<Seen>>, mut holds: watch::Receiver<bool>) {
    let ip = stream.local_addr().unwrap().ip();
    let mut said = [0; 1024];
    let length = stream.read(&mut said).await.unwrap_or_default();
    if length == 0 {
        return;
    }
    let probe = b"trunkline-probe-";
    if said[..length]
        .windows(probe.len())
        .any(|part| part == probe)
    {
        seen.lock().unwrap().probed.insert(ip);
        let IpAddr::V4(v4) = ip else { return };
        let me = name(v4.octets()[3] - 1);
        stream
            .write_all(&greeting(&me, Flags::hidden_default()))
            .await
            .ok();
        // Until the probe closes it.
        while stream.read(&mut said).await.is_ok_and(|n| n > 0) {}
        return;
    }
    {
        let mut seen = seen.lock().unwrap();
        seen.dialled.insert(ip);
        seen.open += 1;
        seen.most = seen.most.max(seen.open);
    }
    holds.wait_for(|held| !held).await.ok();
    // Counted out before the node can know of it, and dial the next.
    seen.lock().unwrap().open -= 1;
    drop(stream);
}

/// The name lasts as long as the connection.
async fn register(epmd: u16, alive: &str, port: u16) -> Result<TcpStream> {
    let registration = Registration::new(alive, port, NodeType::VISIBLE);
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, epmd)).await?;
    let request = Request::Alive2(registration).encode()?;
    stream.write_all(&request).await?;
    let mut answer = [0; 6];
    stream.read_exact(&mut answer).await?;
    ensure!(answer[..2] == [118, 0], "{alive}: {answer:?}");
    Ok(stream)
}
