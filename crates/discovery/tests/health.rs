//! The health check: side by side, both families, each failure with its reason.

#![allow(clippy::unwrap_used)] // a test may panic

mod support;

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use trunkline_discovery::HealthCheck;
use trunkline_discovery::health::Verdict;

fn check(port: u16, timeout: &str) -> HealthCheck {
    let text = format!("type = 'tcp'\nport = {port}\ntimeout = '{timeout}'\n");
    toml::from_str(&text).unwrap()
}

#[tokio::test]
async fn who_accepts_passes_in_both_families() {
    for ip in ["127.0.0.1", "::1"] {
        let ip: IpAddr = ip.parse().unwrap();
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(check(port, "5s").check(ip).await, Verdict::Pass);
        drop(listener);
        let refused = check(port, "5s").check(ip).await;
        let address = SocketAddr::new(ip, port);
        assert_eq!(
            refused,
            Verdict::Fail(format!("tcp {address}: Connection refused (os error 111)"))
        );
    }
}

/// Forty dead peers cost one timeout, not forty.
#[tokio::test]
async fn checks_run_side_by_side() {
    // A full backlog: the kernel drops what asks further.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let short = Duration::from_millis(200);
    let mut fill = Vec::new();
    while let Ok(connected) = tokio::time::timeout(short, TcpStream::connect(address)).await {
        fill.push(connected.unwrap());
    }
    let check = check(address.port(), "500ms");
    let begin = Instant::now();
    let checks = (0..40).map(|_| check.check(address.ip()));
    for verdict in futures_util::future::join_all(checks).await {
        assert_eq!(
            verdict,
            Verdict::Fail(format!("tcp {address}: no answer within 500 ms"))
        );
    }
    assert!(
        begin.elapsed() < 40 * Duration::from_millis(500),
        "one after another"
    );
}

#[test]
fn defaults_and_what_is_refused() {
    let check: HealthCheck = toml::from_str("type = 'tcp'\nport = 80\n").unwrap();
    let (rise, fall) = (check.rise.get(), check.fall.get());
    assert_eq!(
        (check.timeout.get(), rise, fall),
        (Duration::from_millis(500), 1, 3)
    );
    for text in [
        "port = 80",
        "type = 'tcp'",
        "type = 'udp'\nport = 80",
        "type = 'tcp'\nport = 0",
        "type = 'tcp'\nport = 80\nrise = 0",
        "type = 'tcp'\nport = 80\nprot = 1",
    ] {
        assert!(toml::from_str::<HealthCheck>(text).is_err(), "{text}");
    }
}
