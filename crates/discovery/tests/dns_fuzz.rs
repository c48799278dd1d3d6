//! What a broken or hostile name server may send never becomes a node, a panic or a wait without
//! end. Seeded: `TRUNKLINE_SEED=7 cargo test --test dns_fuzz` repeats what seed 7 did.

#![allow(clippy::unwrap_used)] // a test may panic

mod support;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use support::dns_server::{A, AAAA, Answer, Asked, CNAME, DnsServer, Message, Rr, SRV, encode};
use support::start_with;
use trunkline_discovery::config::BuildCx;
use trunkline_discovery::dns::{Family, Resolver};
use trunkline_proto::NodeName;

/// A fixed one, so that a run can be repeated; others come from outside.
fn seed() -> u64 {
    let seed = std::env::var("TRUNKLINE_SEED").map_or(1, |text| text.parse().expect("a number"));
    println!("TRUNKLINE_SEED={seed}");
    seed
}

/// A server that answers each question with what `script` makes of it and of chance.
async fn server(
    seed: u64,
    script: impl Fn(&Asked, &mut StdRng) -> Answer + Send + Sync + 'static,
) -> DnsServer {
    let chance = Arc::new(Mutex::new(StdRng::seed_from_u64(seed)));
    DnsServer::serve(move |asked| script(asked, &mut chance.lock().unwrap())).await
}

fn options(server: &DnsServer, srv_names: &str) -> String {
    format!(
        "strategy = 'dns'\nquery = 'app.internal'\nresource_types = ['a', 'aaaa', 'srv']
         srv_names = '{srv_names}'\nsrv_port = 'distribution'\nnameservers = ['{}']",
        server.address
    )
}

/// All sources of one topology, asked once. `Err` is as good as an answer.
async fn nodes(options: &str, timeout: Duration) -> Vec<NodeName> {
    let cx = BuildCx {
        timeout,
        ..support::cx()
    };
    let mut running = start_with(options, Some("app@web.internal"), &cx);
    let mut nodes = Vec::new();
    for _ in 0..running.handles.len() {
        if let Ok(answer) = running.next().await.answer {
            nodes.extend(answer.peers.into_iter().map(|peer| peer.node));
        }
    }
    nodes
}

/// What a name has to look like, whoever made it up.
fn assert_sane(nodes: &[NodeName]) {
    for node in nodes {
        let host = node.host();
        let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        assert!(node.ip().is_some() || host.bytes().all(is_name), "{node}");
        assert_eq!(node.alive(), "app");
        assert_eq!(*node, node.canonical());
        assert!(
            !host.starts_with('.') && !host.ends_with('.') && !host.contains(".."),
            "{node}"
        );
    }
}

/// Good records among others that belong to nobody who was asked for: the answer is exact.
#[tokio::test]
async fn only_what_belongs_to_the_name_counts() {
    let seed = seed();
    for round in 0..60 {
        let seed = seed.wrapping_mul(1000) + round;
        let mut chance = StdRng::seed_from_u64(seed);
        let good: BTreeSet<u8> = (0..chance.random_range(0..20))
            .map(|_| chance.random())
            .collect();
        let hops = chance.random_range(0..6);
        let listed = good.clone();
        let server = server(seed, move |asked, chance| {
            let name = |hop: usize| match hop {
                0 => asked.name.clone(),
                n => format!("hop{n}.internal"),
            };
            let owner = name(hops);
            let mut answers: Vec<_> = (0..hops)
                .map(|n| Rr::cname(&name(n), &name(n + 1)))
                .collect();
            if asked.kind == A {
                answers.extend(
                    listed
                        .iter()
                        .map(|n| Rr::address(&owner, &format!("10.1.0.{n}"))),
                );
            }
            let mut poison = |count| -> Vec<Rr> {
                let count = chance.random_range(0..count);
                (0..count)
                    .map(|_| foreign(&owner, asked.kind, chance))
                    .collect()
            };
            answers.extend(poison(10));
            let (authorities, additional) = (poison(4), poison(4));
            shuffle(&mut answers, chance);
            // An answer that holds nothing of ours says so, or it is none.
            let soa = Rr::soa("internal", 5);
            Answer::Message(Message {
                authorities: authorities.into_iter().chain([soa]).collect(),
                answers,
                additional,
                ..Message::default()
            })
        })
        .await;
        let resolver =
            Resolver::with_servers(vec![server.address]).with_deadline(support::DEADLINE);
        let found = resolver.lookup("app.internal", Family::V4).await;
        let found: Vec<_> = found
            .unwrap_or_default()
            .iter()
            .map(ToString::to_string)
            .collect();
        let mut expected: Vec<_> = good.iter().map(|n| format!("10.1.0.{n}")).collect();
        expected.sort_by_key(|text| text.parse::<std::net::IpAddr>().unwrap());
        assert_eq!(found, expected, "seed {seed}");
    }
}

/// A record that must not count, for one reason or another.
fn foreign(owner: &str, kind: u16, chance: &mut StdRng) -> Rr {
    let poison = Rr::address(owner, "10.66.6.6");
    match chance.random_range(0..6) {
        0 => Rr {
            class: pick(&[0, 3, 4, 254, 255], chance),
            ..poison
        },
        1 => Rr {
            kind: pick(&[10, 262, 65280], chance),
            data: random(chance, 3),
            ..poison
        },
        2 => Rr {
            name: format!("evil.{owner}"),
            kind,
            ..poison
        },
        3 => Rr::cname(&format!("x.{owner}"), "evil.internal"),
        4 => Rr {
            name: "evil.internal".into(),
            ..poison
        },
        _ => Rr {
            name: "internal".into(),
            ..poison
        },
    }
}

/// Labels of any bytes, in every place that a name can stand.
#[tokio::test]
async fn labels_that_are_no_host_names_never_become_nodes() {
    let seed = seed();
    let mut seen = 0;
    for round in 0..40 {
        let server = server(seed.wrapping_mul(1000) + round, |asked, chance| {
            let mut answers = Vec::new();
            for _ in 0..chance.random_range(1..30) {
                let mut record = Rr::srv(&asked.name, chance.random(), "");
                record.data.truncate(6);
                record.data.extend(odd_name(chance));
                answers.push(record);
            }
            answers.push(Rr::srv(&asked.name, 9000, "good.internal"));
            answers.into()
        })
        .await;
        let nodes = nodes(&options(&server, "host"), support::DEADLINE).await;
        assert_sane(&nodes);
        seen += nodes.len();
        assert!(
            nodes.iter().any(|node| node.host() == "good.internal"),
            "{nodes:?}"
        );
    }
    // Chance makes good names too; they are not thrown away with the others.
    assert!(seen > 40, "{seen}");
}

/// One to five labels: of any bytes, of bytes that matter to a parser, or good ones.
fn odd_name(chance: &mut StdRng) -> Vec<u8> {
    let mut name = Vec::new();
    for _ in 0..chance.random_range(1..6) {
        let len = chance.random_range(1..20);
        let label: Vec<u8> = match chance.random_range(0..3) {
            0 => random(chance, len),
            1 => (0..len)
                .map(|_| pick(b"@.:/\\ \0%\"'[]{}*?\n\r\x1b\x7f\xc3\xbc-_a0", chance))
                .collect(),
            _ => (0..len).map(|_| pick(b"abcxyz019-_", chance)).collect(),
        };
        name.push(len as u8);
        name.extend(label);
    }
    name.push(0);
    name
}

/// Bytes that claim to be an answer, over UDP and TCP.
#[tokio::test]
async fn whatever_comes_it_ends_and_makes_no_odd_names() {
    let seed = seed();
    for round in 0..150 {
        let server = server(seed.wrapping_mul(1000) + round, hostile).await;
        let names = if round % 2 == 0 { "address" } else { "host" };
        let nodes = nodes(&options(&server, names), Duration::from_millis(120)).await;
        assert_sane(&nodes);
        assert!(nodes.len() < 20_000, "{}", nodes.len());
    }
}

fn hostile(asked: &Asked, chance: &mut StdRng) -> Answer {
    let mut packet = asked.reply(&plausible(asked, chance));
    match chance.random_range(0..12) {
        // Bits are flipped anywhere behind the id.
        0 | 1 => {
            for _ in 0..chance.random_range(1..12) {
                let at = chance.random_range(2..packet.len());
                packet[at] ^= 1 << chance.random_range(0..8);
            }
        }
        2 => packet.truncate(chance.random_range(0..=packet.len())),
        3 => packet.extend(random(chance, 600)),
        // Sections are said to be longer, or shorter, than they are.
        4 => {
            let at = chance.random_range(4..12);
            packet[at] = chance.random();
        }
        5 => {
            let len = chance.random_range(0..800);
            let rest = random(chance, len);
            packet.truncate(asked.question.len());
            packet.extend(rest);
        }
        6 => packet = pointers(asked, chance),
        7 => packet[chance.random_range(0..2)] ^= 1 << chance.random_range(0..8),
        8 => packet[12 + chance.random_range(0..asked.question.len() - 12)] ^= 1,
        9 => packet = flood(asked, chance),
        10 => return Answer::Several(vec![packet, random(chance, 40), pointers(asked, chance)]),
        _ => return Answer::Silence,
    }
    Answer::Raw(packet)
}

/// Something of everything, of this name and of others.
fn plausible(asked: &Asked, chance: &mut StdRng) -> Message {
    let mut records = |most| -> Vec<Rr> {
        let count = chance.random_range(0..most);
        (0..count)
            .map(|n| match chance.random_range(0..7) {
                0 => Rr::address(&asked.name, &format!("10.1.0.{n}")),
                1 => Rr::address(&asked.name, &format!("fdaa::{n}")),
                2 => Rr::cname(
                    &asked.name,
                    pick(&["app.internal", "b.internal", ""], chance),
                ),
                3 => Rr::srv(
                    &asked.name,
                    chance.random(),
                    pick(&["a.internal", "b", ""], chance),
                ),
                4 => Rr::txt(&asked.name, &["text", ""]),
                5 => Rr::soa("internal", chance.random()),
                _ => foreign(&asked.name, asked.kind, chance),
            })
            .collect()
    };
    let (answers, authorities, additional) = (records(8), records(3), records(3));
    Message {
        code: pick(&[0, 0, 0, 0, 1, 2, 3, 4, 5, 9, 15], chance),
        not_authoritative: chance.random(),
        answers,
        authorities,
        additional,
    }
}

/// Names that point at themselves, at each other, ahead, into the header or the data.
fn pointers(asked: &Asked, chance: &mut StdRng) -> Vec<u8> {
    let mut packet = asked.question.clone();
    packet[2..4].copy_from_slice(&[0x84, 0]);
    let count: u16 = chance.random_range(1..60);
    packet[6..8].copy_from_slice(&count.to_be_bytes());
    packet[8..12].fill(0);
    for _ in 0..count {
        let here = packet.len() as u16;
        let target = match chance.random_range(0..4) {
            0 => here,
            1 => 12,
            2 => chance.random_range(0..here),
            _ => chance.random::<u16>() & 0x3fff,
        };
        let pointer = (0xc000 | target).to_be_bytes();
        if chance.random() {
            packet.extend([3, b'a', b'b', b'c']);
        }
        packet.extend(pointer);
        packet.extend(pick(&[A, AAAA, CNAME, SRV], chance).to_be_bytes());
        packet.extend([0, 1, 0, 0, 0, 1]);
        let data = match chance.random_range(0..3) {
            0 => pointer.to_vec(),
            1 => [&[0, 0, 0, 0, 9, 9][..], &pointer].concat(),
            _ => random(chance, 4),
        };
        packet.extend((data.len() as u16).to_be_bytes());
        packet.extend(data);
    }
    packet
}

/// 64 KiB of records; over UDP a hint to come back over TCP.
fn flood(asked: &Asked, chance: &mut StdRng) -> Vec<u8> {
    let mut packet = asked.question.clone();
    packet[2..4].copy_from_slice(&[if asked.tcp { 0x84 } else { 0x86 }, 0]);
    packet[6..12].fill(0);
    if !asked.tcp {
        return packet;
    }
    let mut count: u16 = 0;
    while packet.len() < 65_400 {
        packet.extend([0xc0, 12]);
        packet.extend(asked.kind.to_be_bytes());
        packet.extend([0, 1, 0, 0, 0, 1]);
        let data = match asked.kind {
            A => random(chance, 4),
            AAAA => random(chance, 16),
            _ => [&[0, 0, 0, 0, 9, 9][..], &encode(&format!("h{count}.x"))].concat(),
        };
        packet.extend((data.len() as u16).to_be_bytes());
        packet.extend(data);
        count += 1;
    }
    packet[6..8].copy_from_slice(&count.to_be_bytes());
    packet
}

/// The whole of such a flood is an answer, and no reason to stumble.
#[tokio::test]
async fn sixty_four_kibibytes_of_records() {
    let server = server(seed(), |asked, chance| Answer::Raw(flood(asked, chance))).await;
    let nodes = nodes(&options(&server, "host"), support::DEADLINE).await;
    assert_sane(&nodes);
    assert!((4000..12_000).contains(&nodes.len()), "{}", nodes.len());
}

fn random(chance: &mut StdRng, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    chance.fill_bytes(&mut bytes);
    bytes
}

fn pick<T: Copy>(all: &[T], chance: &mut StdRng) -> T {
    all[chance.random_range(0..all.len())]
}

fn shuffle<T>(all: &mut [T], chance: &mut StdRng) {
    for at in (1..all.len()).rev() {
        all.swap(at, chance.random_range(0..=at));
    }
}
