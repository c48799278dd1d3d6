//! `trunkline exec` at a stop: what CMD gets, when, and that the agent's own part waits for nothing that
//! hangs around it.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

mod util;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use util::free_port;
use util::host::Host;

/// The shortest that any of what hangs here would last if somebody waited for it: an attempt of the agent's. (Promised are two
/// seconds, which a busy machine may need for less.)
const HANGS: Duration = Duration::from_secs(5);

/// Says when it gets the signal, goes on until it is let go, and says when it ends.
const DRAINS: &str = "trap 'echo term; while ! test -e go; do sleep 0.02; done; date +%s%N; exit 3' TERM; echo ready; \
                      while :; do sleep 0.02; done";

/// Stops `exec` once `around` has happened: CMD gets the signal while the agent is still there, and `exec` waits after CMD's end for
/// nothing that hangs.
fn stopped(what: &str, host: &Host, around: impl FnOnce(&Host)) {
    let running = host.started("", DRAINS);
    around(host);
    running.signal("TERM");
    assert_eq!(running.next_line(), "term", "{what}");
    let agent = UnixStream::connect(socket(host));
    assert!(agent.is_ok(), "{what}: CMD was told after the agent's end");
    drop(agent);
    fs::write(host.path("go"), "").unwrap();
    let (status, rest) = running.end();
    let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    assert_eq!(status.code(), Some(3), "{what}");
    let ended = Duration::from_nanos(rest.trim().parse().unwrap());
    let own = end.saturating_sub(ended);
    println!("{what}: our own part {own:?}");
    assert!(own < HANGS, "{what}: {own:?}");
}

fn socket(host: &Host) -> PathBuf {
    host.path(&format!("trunkline/{}.sock", host.node))
}

/// A server that takes connections and says nothing. How many it took is in the second.
fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    (listener, addr)
}

fn configure(host: &Host, text: &str) {
    fs::write(host.path("trunkline.toml"), text).unwrap();
}

/// Asks an API that accepts the request and never answers; the metadata service neither.
fn hung_api(addr: &str) -> String {
    format!(
        "[topologies.api]\nstrategy = \"digitalocean\"\ntoken = \"tok\"\ntag_name = \"web\"\n\
         api_url = \"http://{addr}\"\nmetadata_url = \"http://{addr}/metadata/v1\"\n"
    )
}

fn mute_dns(addr: &str) -> String {
    format!(
        "[topologies.dns]\nstrategy = \"dns\"\nquery = \"app.internal\"\nnode_basename = \"app\"\n\
         nameservers = [\"{addr}\"]\n"
    )
}

/// Half a request, a whole one whose answer nobody reads, and none at all, each held open.
fn held(host: &Host) -> Vec<UnixStream> {
    let path = socket(host);
    let connect = |request: &[u8]| {
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.write_all(request).unwrap();
        stream
    };
    let whole = b"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2000);
    let unread = UnixStream::connect(&path).unwrap();
    unread.set_nonblocking(true).unwrap();
    let mut sent = 0;
    // As many requests as are taken: the answers fill both buffers, and then nobody reads on.
    while let Ok(n) = (&unread).write(&whole[sent..]) {
        sent += n;
        if sent == whole.len() {
            break;
        }
    }
    vec![connect(b""), connect(b"GET /api/v1/sta"), unread]
}

#[test]
fn with_nothing_around_it() {
    let host = Host::new();
    stopped("nothing", &host, |_| {});
}

#[test]
fn with_an_api_that_hangs() {
    let host = Host::new();
    let (api, addr) = silent();
    configure(&host, &hung_api(&addr));
    let mut request = None;
    stopped("a hung API", &host, |_| request = Some(asked(&api)));
}

/// The request is there, and held.
fn asked(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
    stream
}

#[test]
fn with_dns_that_does_not_answer() {
    let host = Host::new();
    let dns = UdpSocket::bind("127.0.0.1:0").unwrap();
    configure(&host, &mute_dns(&dns.local_addr().unwrap().to_string()));
    stopped("mute DNS", &host, |_| {
        dns.recv(&mut [0; 512]).unwrap();
    });
}

#[test]
fn with_clients_that_hold_the_unix_socket() {
    let host = Host::new();
    let mut clients = Vec::new();
    stopped("held sockets", &host, |host| clients = held(host));
}

#[test]
fn with_all_of_it_at_once() {
    let host = Host::new();
    let (api, api_addr) = silent();
    let dns = UdpSocket::bind("127.0.0.1:0").unwrap();
    let admin = format!("127.0.0.1:{}", free_port());
    let mut text = format!("[admin]\nlisten = \"{admin}\"\n");
    text += &hung_api(&api_addr);
    text += &mute_dns(&dns.local_addr().unwrap().to_string());
    configure(&host, &text);
    let mut clients = Vec::new();
    let mut streams = Vec::new();
    stopped("all at once", &host, |host| {
        streams.push(asked(&api));
        dns.recv(&mut [0; 512]).unwrap();
        clients = held(host);
        let mut stream = TcpStream::connect(&admin).unwrap();
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
            .unwrap();
        streams.push(stream);
    });
}

/// Only a BEAM may have lost a signal to stop: what a program does for a second one is its own.
#[test]
fn what_is_no_beam_gets_it_once() {
    let host = Host::new();
    // Longer than a signal could come again: the node is never seen, and CMD is young.
    let script = "trap 'echo term' TERM; echo ready; sleep 0.2; \
                  for i in $(seq 60); do sleep 0.1; done; exit 4";
    let running = host.started("", script);
    running.signal("TERM");
    assert_eq!(running.next_line(), "term");
    let (status, rest) = running.end();
    assert_eq!((status.code(), rest.as_str()), (Some(4), ""));
}
