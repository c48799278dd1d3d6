//! Port mappers that send garbage, without end, slowly, or nothing.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use trunkline_discovery::Env;
use trunkline_discovery::port_mapper::Learner;
use trunkline_discovery::source::PollCx;
use trunkline_proto::epmd::{NameEntry, NamesResponse};
use trunkline_reconcile::is_helper;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Far more than the two seconds that a host is given.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is sent after a question.
#[derive(Clone, Debug)]
enum Says {
    Bytes(Vec<u8>),
    /// The same bytes for ever.
    Endless(Vec<u8>),
    /// One byte at a time.
    Drips(Vec<u8>),
    Nothing,
}

/// Answers every question with the next of `answers`, then with nothing. The port.
async fn mapper(answers: Vec<Says>) -> u16 {
    let listener = TcpListener::bind((HERE, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut answers = answers.into_iter();
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, answers.next().unwrap_or(Says::Nothing)));
        }
    });
    port
}

async fn answer(mut stream: TcpStream, says: Says) -> std::io::Result<()> {
    let mut request = [0; 3];
    stream.read_exact(&mut request).await?;
    match says {
        Says::Bytes(bytes) => stream.write_all(&bytes).await?,
        Says::Endless(bytes) => loop {
            stream.write_all(&bytes).await?;
        },
        Says::Drips(bytes) => {
            for byte in bytes {
                stream.write_all(&[byte]).await?;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        Says::Nothing => std::future::pending().await,
    }
    Ok(())
}

fn list(names: &[&str]) -> Vec<u8> {
    let names = names.iter().map(|name| NameEntry {
        alive: (*name).into(),
        port: 9000,
    });
    let answer = NamesResponse {
        epmd_port: 4369,
        names: names.collect(),
    };
    answer.encode()
}

fn learner(port: u16) -> Learner {
    let env = Env::from_iter([("ERL_EPMD_PORT", port.to_string())]);
    Learner::new(&trunkline::build_cx(env), "topologies.web").unwrap()
}

async fn learn(learner: &Learner) -> (Vec<String>, Vec<String>) {
    let (nobody, here) = (PollCx::new(None), [HERE]);
    let learning = learner.learn(&nobody, &here, |_| true);
    let learned = tokio::time::timeout(PATIENCE, learning).await.unwrap();
    let peers = learned.peers.iter();
    (
        peers.map(|peer| peer.node.to_string()).collect(),
        learned.notes,
    )
}

/// Something like a list, with a few bytes changed, cut or added.
fn mutated(random: &mut StdRng) -> Vec<u8> {
    let mut bytes = list(&["app", "web-2", "rem-1a2b-app", "trunkline-app", "été"]);
    for _ in 0..random.random_range(1..6) {
        let at = random.random_range(0..=bytes.len());
        match random.random_range(0..4) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, random.random()),
            2 => {
                let mut more = vec![0; random.random_range(0..200)];
                random.fill_bytes(&mut more);
                bytes.splice(at..at, more);
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.random();
                }
            }
        }
    }
    bytes
}

#[tokio::test]
async fn what_is_no_list_never_becomes_a_peer_and_shrinks_nothing() {
    let seed = std::env::var("TRUNKLINE_SEED").ok();
    let seed = seed
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(rand::random);
    println!("TRUNKLINE_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut answers = vec![Says::Bytes(list(&["app", "trunkline-app"]))];
    answers.extend((0..300).map(|_| Says::Bytes(mutated(&mut random))));
    let learner = learner(mapper(answers.clone()).await);
    let mut last = learn(&learner).await.0;
    assert_eq!(last, ["app@127.0.0.1"]);
    for says in &answers[1..] {
        let (names, notes) = learn(&learner).await;
        for name in &names {
            let node = name
                .parse()
                .unwrap_or_else(|why| panic!("{name}: {why}, {says:?}"));
            assert!(!is_helper(&node), "{name}: {says:?}");
        }
        let lines = notes.iter().all(|note| !note.contains(char::is_control));
        assert!(lines && notes.len() <= 1, "{notes:?}: {says:?}");
        if notes.len() == 1 {
            assert_eq!(names, last, "{says:?}");
        }
        last = names;
    }
}

#[tokio::test]
async fn answers_without_an_end_and_slow_ones_are_given_up() {
    let many: Vec<String> = (0..3000).map(|n| format!("n{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for says in [
        Says::Endless(vec![b'x'; 1 << 16]),
        Says::Endless(list(&["app"])),
        Says::Drips(list(&["app", "web"])),
        Says::Bytes(list(&many)),
        Says::Bytes(Vec::new()),
        Says::Nothing,
    ] {
        let learner = learner(mapper(vec![Says::Bytes(list(&["app"])), says.clone()]).await);
        assert_eq!(learn(&learner).await.0, ["app@127.0.0.1"]);
        let (names, _) = learn(&learner).await;
        assert_eq!(names, ["app@127.0.0.1"], "{says:?}");
    }
}
