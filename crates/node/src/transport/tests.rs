//! The halves of a TLS connection against rustls' own blocking stream.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::poll;
use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    SupportedProtocolVersion, version,
};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{ReadHalf, Session, Transport, WriteHalf};

type Peer = StreamOwned<ServerConnection, std::net::TcpStream>;

const SOON: Duration = Duration::from_secs(30);

fn configs(version: &'static SupportedProtocolVersion) -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let cert = params.self_signed(&key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    (Arc::new(client), Arc::new(server))
}

/// Our end of a connection to a peer that plays `script`.
async fn connect<T: Send + 'static>(
    version: &'static SupportedProtocolVersion,
    script: impl FnOnce(Peer) -> T + Send + 'static,
) -> (ReadHalf, WriteHalf, JoinHandle<T>) {
    let (client, server) = configs(version);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let peer = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut connection = ServerConnection::new(server).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut stream).unwrap();
        }
        script(StreamOwned::new(connection, stream))
    });
    let stream = TcpStream::connect(addr).await.unwrap();
    let name = "localhost".try_into().unwrap();
    let connection = ClientConnection::new(client, name).unwrap();
    let session = Session::new(stream, connection.into());
    session.handshake(|| {}).await.unwrap();
    let (read, write) = Transport::Tls(Arc::new(session)).split();
    (read, write, peer)
}

async fn write_all(write: &WriteHalf, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        write.writable().await.unwrap();
        match write.try_write_vectored(&[IoSlice::new(bytes)]) {
            Ok(count) => bytes = &bytes[count..],
            Err(why) => assert_eq!(why.kind(), io::ErrorKind::WouldBlock),
        }
    }
    while !write.try_flush().unwrap() {
        write.writable().await.unwrap();
    }
}

/// Reads `len` bytes, in a buffer of which `room` is free at a time.
async fn read_exactly(read: &ReadHalf, len: usize, room: usize) -> BytesMut {
    let mut all = BytesMut::new();
    while all.len() < len {
        timeout(SOON, read.readable()).await.unwrap().unwrap();
        let mut buf = BytesMut::with_capacity(room);
        match read.try_read_buf(&mut buf) {
            Ok(0) => panic!("the end after {}", all.len()),
            Ok(count) => assert_eq!(count, buf.len()),
            Err(why) => assert_eq!(why.kind(), io::ErrorKind::WouldBlock),
        }
        assert!(buf.len() <= room.max(64));
        all.extend_from_slice(&buf);
    }
    all
}

fn noise(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * i / 7) as u8).collect()
}

#[tokio::test]
async fn keys_change_under_a_stream_in_both_directions() {
    let rounds = 20;
    let chunk = noise(50_000);
    let sent = chunk.clone();
    let (read, write, peer) = connect(&version::TLS13, move |mut peer| {
        let mut bytes = vec![0; sent.len()];
        for _ in 0..rounds {
            // Demands new keys of the other end as well.
            peer.conn.refresh_traffic_keys().unwrap();
            peer.write_all(&sent).unwrap();
            peer.read_exact(&mut bytes).unwrap();
            assert!(bytes == sent);
        }
    })
    .await;
    for round in 0..rounds {
        let room = [7, 4096, 100_000][round % 3];
        assert!(read_exactly(&read, chunk.len(), room).await == chunk);
        write_all(&write, &chunk).await;
    }
    peer.join().unwrap();
}

#[tokio::test]
async fn what_the_socket_does_not_take_is_flushed_later() {
    for version in [&version::TLS12, &version::TLS13] {
        let (go, wait) = std::sync::mpsc::channel();
        let (read, write, peer) = connect(version, move |mut peer| {
            peer.write_all(b"x").unwrap();
            wait.recv().unwrap();
            let mut all = Vec::new();
            peer.read_to_end(&mut all).unwrap();
            all
        })
        .await;
        let bytes = noise(300_000);
        let mut written = Vec::new();
        loop {
            match write.try_write_vectored(&[IoSlice::new(&bytes[..9]), IoSlice::new(&bytes)]) {
                Ok(count) => {
                    written.extend_from_slice(&[&bytes[..9], &bytes].concat()[..count]);
                }
                Err(why) => {
                    assert_eq!(why.kind(), io::ErrorKind::WouldBlock);
                    break;
                }
            }
        }
        assert!(!write.try_flush().unwrap());
        // Reading goes on meanwhile.
        assert_eq!(&*read_exactly(&read, 1, 10).await, b"x");
        go.send(()).unwrap();
        while !write.try_flush().unwrap() {
            timeout(SOON, write.writable()).await.unwrap().unwrap();
        }
        drop(write);
        // A clean end: `read_to_end` fails on any other.
        assert!(peer.join().unwrap() == written);
        drop(read);
    }
}

#[tokio::test]
async fn nothing_to_read_waits_and_the_end_does_not() {
    for clean in [true, false] {
        let (go, wait) = std::sync::mpsc::channel();
        let (read, _write, peer) = connect(&version::TLS13, move |mut peer| {
            peer.write_all(b"hello").unwrap();
            wait.recv().unwrap();
            if clean {
                peer.conn.send_close_notify();
                peer.flush().unwrap();
            }
        })
        .await;
        assert_eq!(&*read_exactly(&read, 5, 4096).await, b"hello");
        let mut buf = BytesMut::with_capacity(10);
        let none = read.try_read_buf(&mut buf).unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::WouldBlock);
        {
            let mut ready = std::pin::pin!(read.readable());
            assert!(poll!(&mut ready).is_pending(), "no busy loop");
            go.send(()).unwrap();
            timeout(SOON, ready).await.unwrap().unwrap();
        }
        peer.join().unwrap();
        for _ in 0..2 {
            let end = async {
                loop {
                    read.readable().await.unwrap();
                    match read.try_read_buf(&mut buf) {
                        Ok(count) => return count,
                        Err(why) => assert_eq!(why.kind(), io::ErrorKind::WouldBlock),
                    }
                }
            };
            assert_eq!(timeout(SOON, end).await.unwrap(), 0);
        }
    }
}

#[tokio::test]
async fn a_broken_record_ends_it_with_the_reason() {
    let (read, _write, peer) = connect(&version::TLS13, |mut peer| {
        let garbage = [0x17, 3, 3, 0, 32].into_iter().chain([7; 32]);
        let garbage: Vec<u8> = garbage.collect();
        peer.sock.write_all(&garbage).unwrap();
        // The alert.
        let mut bytes = [0; 1];
        peer.read(&mut bytes).unwrap_err().to_string()
    })
    .await;
    let mut buf = BytesMut::with_capacity(4096);
    let why = loop {
        read.readable().await.unwrap();
        match read.try_read_buf(&mut buf) {
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => {}
            Err(why) => break why,
            Ok(count) => panic!("{count} bytes of it"),
        }
    };
    assert_eq!(why.kind(), io::ErrorKind::InvalidData);
    let heard = peer.join().unwrap();
    assert!(heard.contains("BadRecordMac"), "{heard}");
}

/// What the peer's system has taken is known under TLS, too, as far as it goes in ciphertext.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn how_far_a_stream_has_come() {
    let (go, wait) = std::sync::mpsc::channel();
    let (read, write, peer) = connect(&version::TLS13, move |mut peer| {
        wait.recv().unwrap();
        let mut all = Vec::new();
        peer.read_to_end(&mut all).unwrap();
        all.len()
    })
    .await;
    let bytes = noise(300_000);
    let mut written = 0;
    let full = loop {
        match write.try_write_vectored(&[IoSlice::new(&bytes)]) {
            Ok(count) => written += count,
            Err(why) => break why,
        }
    };
    assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
    let progress = || write.progress(0).unwrap();
    let before = progress();
    assert!(before.written > before.acknowledged + 10_000, "{before:?}");
    go.send(()).unwrap();
    while !write.try_flush().unwrap() {
        timeout(SOON, write.writable()).await.unwrap().unwrap();
    }
    let begun = std::time::Instant::now();
    while progress().acknowledged < progress().written {
        assert!(begun.elapsed() < SOON, "{:?}", progress());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Records, and the handshake, are more than what is in them.
    let after = progress();
    let most = written as u64 * 11 / 10 + 10_000;
    assert!((written as u64..most).contains(&after.written), "{after:?}");
    drop((read, write));
    assert_eq!(peer.join().unwrap(), written);
}
