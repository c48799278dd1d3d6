//! The laboratory itself: what it promises to the stories.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use trunkline_interop::netns::Lab;
use trunkline_interop::process::run;

const SOON: Duration = Duration::from_secs(30);

#[test]
fn hosts_reach_each_other_over_both_families() {
    let lab = Lab::new().unwrap();
    let (a, b) = (lab.host(1).unwrap(), lab.host(2).unwrap());
    for address in [
        SocketAddr::from((b.private(), 80)),
        SocketAddr::from((b.public(), 80)),
        SocketAddr::from((b.public6(), 80)),
        SocketAddr::from((b.fly6(), 80)),
    ] {
        let listener = b.listen(address).unwrap();
        a.inside(|| TcpStream::connect_timeout(&address, SOON))
            .unwrap()
            .unwrap_or_else(|error| panic!("{address}: {error}"));
        drop(listener);
    }
    assert!(a.run("cat", &["/etc/hosts"]).unwrap().contains("host-2"));
}

#[test]
fn a_firewall_drops_and_rejects() {
    let lab = Lab::new().unwrap();
    let (a, b) = (lab.host(1).unwrap(), lab.host(2).unwrap());
    let (open, dropped, rejected) = ((b.private(), 80), (b.private(), 81), (b.private(), 82));
    let _listeners = [open, dropped, rejected].map(|address| b.listen(address).unwrap());
    b.firewall(&["tcp dport 81 drop", "tcp dport 82 reject with tcp reset"])
        .unwrap();
    let connect = |address: (Ipv4Addr, u16), limit: Duration| {
        let connected = a.inside(|| TcpStream::connect_timeout(&address.into(), limit));
        connected.unwrap().map_err(|error| error.kind())
    };
    assert!(connect(open, SOON).is_ok());
    assert_eq!(
        connect(dropped, Duration::from_millis(300)).unwrap_err(),
        std::io::ErrorKind::TimedOut
    );
    assert_eq!(
        connect(rejected, SOON).unwrap_err(),
        std::io::ErrorKind::ConnectionRefused
    );
    b.open_firewall().unwrap();
    assert!(connect(dropped, SOON).is_ok());
}

#[test]
fn nothing_is_left_even_after_a_panic() {
    let mut seen = String::new();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let lab = Lab::new().unwrap();
        let host = lab.host(1).unwrap();
        let mut sleeper = host.command("sleep");
        sleeper.arg("1000");
        let mut process = host.start(sleeper, "sleep.log").unwrap();
        let mut daemon = host.command("sh");
        daemon.args(["-c", "sleep 1000 & sleep 1000"]);
        host.start(daemon, "daemon.log").unwrap();
        assert!(process.ended().is_none());
        seen = host.namespace().to_owned();
        assert!(list().contains(&seen));
        panic!("a story fails");
    }));
    assert!(result.is_err());
    assert!(!list().contains(&seen), "{seen} is still there");
    assert!(!std::path::Path::new("/etc/netns").join(&seen).exists());
}

#[test]
fn a_pulled_plug_is_silent() {
    let lab = Lab::new().unwrap();
    let (a, b) = (lab.host(1).unwrap(), lab.host(2).unwrap());
    let address = (b.private(), 80);
    let listener = b.listen(address).unwrap();
    let mut stream = a
        .inside(|| TcpStream::connect_timeout(&address.into(), SOON))
        .unwrap()
        .unwrap();
    let _accepted = listener.accept().unwrap();
    b.pull_the_plug().unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let error = stream.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
}

fn list() -> String {
    run(Command::new("ip").args(["netns", "list"])).expect("ip lists namespaces")
}
