//! `trunkline discover` on a Fly Machine that is made up: its environment, and a name server that
//! answers as Fly's does.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

mod util;

use std::fs;
use std::net::{Ipv6Addr, UdpSocket};

use insta::assert_snapshot;
use util::{seen, trunkline};

/// What the name server says to a question.
enum Says {
    Addresses(&'static [&'static str]),
    Text(&'static str),
    /// An error by its number: 2 SERVFAIL, 3 NXDOMAIN.
    Code(u8),
}

const TXT: u8 = 16;

/// `host:port` of a name server. It lives as long as the test.
fn name_server(script: fn(name: &str, kind: u8) -> Says) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let mut packet = [0; 1500];
        loop {
            let (len, from) = socket.recv_from(&mut packet).unwrap();
            socket
                .send_to(&reply(&packet[..len], script), from)
                .unwrap();
        }
    });
    address
}

/// RFC 1035 section 4: a header of 12 bytes, the question, and records that point to its name.
fn reply(packet: &[u8], script: fn(&str, u8) -> Says) -> Vec<u8> {
    let mut labels = Vec::new();
    let mut at = 12;
    while packet[at] != 0 {
        let end = at + 1 + usize::from(packet[at]);
        labels.push(String::from_utf8_lossy(&packet[at + 1..end]).to_lowercase());
        at = end;
    }
    let kind = packet[at + 2];
    let (code, records) = match script(&labels.join("."), kind) {
        Says::Code(code) => (code, Vec::new()),
        Says::Text(text) => (0, vec![[&[text.len() as u8][..], text.as_bytes()].concat()]),
        Says::Addresses(ips) => {
            let octets = |ip: &&str| ip.parse::<Ipv6Addr>().unwrap().octets().to_vec();
            (0, ips.iter().map(octets).collect())
        }
    };
    let mut reply = packet[..at + 5].to_vec();
    reply[2..4].copy_from_slice(&[0x85, 0x80 | code]);
    reply[6..12].copy_from_slice(&[0, records.len() as u8, 0, 0, 0, 0]);
    for data in records {
        reply.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 5, 0, data.len() as u8]);
        reply.extend(data);
    }
    reply
}

/// `discover` on machine `6e82dd00f75687`, with a topology that asks this name server.
fn discover(args: &str, server: &str, options: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let text = format!("[topologies.fly]\nstrategy = 'fly'\nnameservers = ['{server}']\n{options}");
    fs::write(dir.path().join("trunkline.toml"), text).unwrap();
    let mut command = trunkline(&format!("discover {args}"));
    command.current_dir(dir.path()).envs(MACHINE);
    seen(&mut command).replace(server, "SERVER")
}

const MACHINE: [(&str, &str); 5] = [
    ("FLY_APP_NAME", "hello"),
    ("FLY_PRIVATE_IP", "fdaa:0:1da8:a7b:ac4:b204:7e29:2"),
    (
        "FLY_IMAGE_REF",
        "registry.fly.io/hello:deployment-01H9RK9EYO9",
    ),
    ("FLY_MACHINE_ID", "6e82dd00f75687"),
    ("FLY_REGION", "sea"),
];

fn two_machines(name: &str, kind: u8) -> Says {
    match (name, kind) {
        ("hello.internal", kind) if kind != TXT => Says::Addresses(&[
            "fdaa:0:1da8:a7b:ac4:b204:7e29:2",
            "fdaa:0:1da8:a7b:ab2:a8e:6666:2",
        ]),
        ("_instances.internal", TXT) => Says::Text(
            "instance=6e82dd00f75687,app=hello,ip=fdaa:0:1da8:a7b:ac4:b204:7e29:2,region=sea;\
             instance=0e2869ea63d486,app=hello,ip=fdaa:0:1da8:a7b:ab2:a8e:6666:2,region=ewr",
        ),
        _ => Says::Code(3),
    }
}

#[test]
fn the_machines_of_the_app() {
    let server = name_server(two_machines);
    assert_snapshot!(discover("--json", &server, ""), @r#"
    exit 0
    stdout: {"topologies":[{"name":"fly","strategy":"fly","error":null,"peers":[{"node":"hello-01H9RK9EYO9@fdaa:0:1da8:a7b:ab2:a8e:6666:2","address":"fdaa:0:1da8:a7b:ab2:a8e:6666:2","port":null,"health":"unchecked","reason":null,"labels":{"app":"hello","machine_id":"0e2869ea63d486","region":"ewr"},"self":false},{"node":"hello-01H9RK9EYO9@fdaa:0:1da8:a7b:ac4:b204:7e29:2","address":"fdaa:0:1da8:a7b:ac4:b204:7e29:2","port":null,"health":"unchecked","reason":null,"labels":{"app":"hello","machine_id":"6e82dd00f75687","region":"sea"},"self":true}],"notes":[]}]}
    "#);
    assert_snapshot!(discover("", &server, ""), @r"
    exit 0
    stdout: fly (fly): 2 nodes
    stdout:   hello-01H9RK9EYO9@fdaa:0:1da8:a7b:ab2:a8e:6666:2  app=hello machine_id=0e2869ea63d486 region=ewr
    stdout:   hello-01H9RK9EYO9@fdaa:0:1da8:a7b:ac4:b204:7e29:2  (this node)  app=hello machine_id=6e82dd00f75687 region=sea
    ");
}

#[test]
fn only_this_machine() {
    let server = name_server(|name, kind| match (name, kind) {
        ("hello.internal", kind) if kind != TXT => {
            Says::Addresses(&["fdaa:0:1da8:a7b:ac4:b204:7e29:2"])
        }
        _ => Says::Code(3),
    });
    assert_snapshot!(discover("--json", &server, ""), @r#"
    exit 0
    stdout: {"topologies":[{"name":"fly","strategy":"fly","error":null,"peers":[{"node":"hello-01H9RK9EYO9@fdaa:0:1da8:a7b:ac4:b204:7e29:2","address":"fdaa:0:1da8:a7b:ac4:b204:7e29:2","port":null,"health":"unchecked","reason":null,"labels":{},"self":true}],"notes":[]}]}
    "#);
}

#[test]
fn a_name_server_in_trouble() {
    let server = name_server(|_, _| Says::Code(2));
    assert_snapshot!(discover("--json", &server, ""), @r#"
    exit 1
    stdout: {"topologies":[{"name":"fly","strategy":"fly","error":"hello.internal cannot be resolved: SERVER failed (SERVFAIL)","peers":[],"notes":[]}]}
    stderr: trunkline: hello.internal cannot be resolved: SERVER failed (SERVFAIL) · fly/hello.internal · wait, it is tried again; check /etc/resolv.conf or nameservers
    "#);
    assert_snapshot!(discover("", &server, "regions = ['sea', 'ewr']"), @r"
    exit 1
    stdout: fly (fly): not known
    stdout:   error: ewr.hello.internal cannot be resolved: SERVER failed (SERVFAIL) · fly/ewr.hello.internal · wait, it is tried again; check /etc/resolv.conf or nameservers
    stdout:   error: sea.hello.internal cannot be resolved: SERVER failed (SERVFAIL) · fly/sea.hello.internal · wait, it is tried again; check /etc/resolv.conf or nameservers
    stderr: trunkline: ewr.hello.internal cannot be resolved: SERVER failed (SERVFAIL) (and 1 more) · fly/ewr.hello.internal · wait, it is tried again; check /etc/resolv.conf or nameservers
    ");
}

/// An emptied variable switches it off, and nothing is asked.
#[test]
fn switched_off_in_fly_toml() {
    let mut command = trunkline("discover");
    command.envs(MACHINE).env("DNS_CLUSTER_QUERY", "");
    assert_snapshot!(seen(&mut command), @r"
    exit 0
    stdout: fly (fly): off, DNS_CLUSTER_QUERY is empty
    ");
}

#[test]
fn another_app_has_other_names() {
    assert_snapshot!(discover("", "127.0.0.1:53", "app = 'db'"), @r#"
    exit 2
    stderr: trunkline: app = "db" is another app, whose nodes are not named as the own one · trunkline.toml:4 [topologies.fly] · set node_basename to their name, or to "learn"
    "#);
}
