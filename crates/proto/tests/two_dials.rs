//! Two nodes that dial each other at the same moment, over a network that delays and cuts as a seed
//! says: one connection comes of it, and both know which. The failing seed is printed;
//! `TRUNKLINE_SEED` runs it alone.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[allow(dead_code, reason = "nothing is damaged here")]
#[path = "../../etf/tests/util/mutate.rs"]
mod mutate;

use mutate::Random;
use trunkline_proto::handshake::acceptor::{AfterName, AwaitName, AwaitReply};
use trunkline_proto::handshake::initiator::{
    AfterStatus, AwaitAck, AwaitChallenge, AwaitStatus, Start,
};
use trunkline_proto::handshake::{
    Admission, Connected, HandshakeError, HandshakeFramer, Local, Prefix, Race, dynamic_name, race,
};
use trunkline_proto::{Cookie, Creation, Flags, NodeName};

fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

fn cookie(text: &str) -> Cookie {
    Cookie::new(text).unwrap()
}

/// One end of a connection.
enum End {
    AwaitStatus(AwaitStatus),
    AwaitChallenge(AwaitChallenge),
    AwaitAck(AwaitAck),
    AwaitName(AwaitName),
    AwaitReply(AwaitReply),
    Connected(Connected),
    /// Refused, or given up for the other connection.
    Over,
}

/// The connection that one node opened; its own end first.
struct Connection {
    ends: [End; 2],
    framers: [HandshakeFramer; 2],
    /// Bytes on their way to each end.
    under_way: [Vec<u8>; 2],
}

struct World {
    names: [NodeName; 2],
    admission: Admission,
    /// By who dialled.
    connections: [Connection; 2],
}

impl World {
    fn new(names: [NodeName; 2]) -> Self {
        let admission =
            Admission::new(cookie("other")).with_cookie_of(names[0].clone(), cookie("x"));
        let admission = admission.with_cookie_of(names[1].clone(), cookie("x"));
        let flags = Flags::hidden_default();
        let connections = [0, 1].map(|dialler: usize| {
            let (me, peer) = (names[dialler].clone(), names[1 - dialler].clone());
            let local = Local::new(me, flags, Creation(1));
            let (frame, state) = Start::new(local, Some(peer.clone())).send_name();
            let framers = [0, 1].map(|_| HandshakeFramer::new(Prefix::U16));
            let to_peer = framers[0].frame(&frame);
            let accepting = AwaitName::new(peer, flags, Creation(1));
            Connection {
                ends: [End::AwaitStatus(state), End::AwaitName(accepting)],
                framers,
                under_way: [Vec::new(), to_peer],
            }
        });
        Self {
            names,
            admission,
            connections,
        }
    }

    /// Some bytes arrive somewhere; false when none are under way.
    fn step(&mut self, random: &mut Random) -> bool {
        let places: Vec<_> = [(0, 0), (0, 1), (1, 0), (1, 1)]
            .into_iter()
            .filter(|(at, end)| !self.connections[*at].under_way[*end].is_empty())
            .collect();
        if places.is_empty() {
            return false;
        }
        let (at, end) = *random.of(&places);
        let connection = &mut self.connections[at];
        let some = 1 + random.below(connection.under_way[end].len());
        let bytes: Vec<u8> = connection.under_way[end].drain(..some).collect();
        connection.framers[end].push(&bytes);
        while let Some(frame) = self.connections[at].framers[end].next_frame().unwrap() {
            self.hear(at, end, &frame, random);
        }
        true
    }

    /// Node `at` dialled; its end is 0.
    fn hear(&mut self, at: usize, end: usize, frame: &[u8], random: &mut Random) {
        let node = if end == 0 { at } else { 1 - at };
        let cookie = self.admission.cookie_of(&self.names[1 - node]).clone();
        let challenge = u32::try_from(random.next() >> 32).unwrap();
        let state = std::mem::replace(&mut self.connections[at].ends[end], End::Over);
        let (answers, next) = match state {
            End::AwaitName(state) => self.called(at, node, state, frame, challenge),
            End::AwaitStatus(state) => match state.status(frame) {
                Ok(AfterStatus::Go(next)) => (vec![], End::AwaitChallenge(next)),
                Err(HandshakeError::Nok) => (vec![], End::Over),
                other => panic!("{other:?}"),
            },
            End::AwaitChallenge(state) => {
                let (frame, next) = state.challenge(frame).unwrap().reply(&cookie, challenge);
                (vec![frame], End::AwaitAck(next))
            }
            End::AwaitReply(state) => {
                let (ack, connected) = state.reply(frame, &cookie).unwrap();
                (vec![ack], End::Connected(connected))
            }
            End::AwaitAck(state) => (vec![], End::Connected(state.ack(frame).unwrap())),
            // Too late.
            over => (vec![], over),
        };
        let connection = &mut self.connections[at];
        for frame in answers {
            let bytes = connection.framers[end].frame(&frame);
            connection.under_way[1 - end].extend(bytes);
        }
        connection.ends[end] = next;
    }

    /// `node` is called while it dials.
    fn called(
        &mut self,
        at: usize,
        node: usize,
        state: AwaitName,
        frame: &[u8],
        challenge: u32,
    ) -> (Vec<Vec<u8>>, End) {
        let AfterName::Caller(caller) = state.name(frame).unwrap() else {
            panic!("it has a name");
        };
        assert!(self.admission.admits(&caller.greeting().name));
        assert_eq!(at, 1 - node);
        let own = &mut self.connections[node].ends[0];
        if matches!(own, End::Over) {
            // Refused already: the caller's is the only one.
            let (status, next) = caller.accept();
            let (frame, next) = next.challenge(challenge);
            return (vec![status, frame], End::AwaitReply(next));
        }
        match race(&self.names[node], &caller.greeting().name) {
            Race::Ours => (vec![caller.refuse_nok()], End::Over),
            Race::Theirs => {
                *own = End::Over;
                let (status, next) = caller.accept_simultaneous();
                let (frame, next) = next.challenge(challenge);
                (vec![status, frame], End::AwaitReply(next))
            }
        }
    }
}

#[test]
fn two_dials_that_meet_become_one_connection() {
    let mut random = Random::seeded();
    for _ in 0..3000 {
        let names = [0, 1].map(|node| {
            name(&format!(
                "{}{node}@10.0.0.{}",
                random.of(&["a", "b", "ü"]),
                random.below(3)
            ))
        });
        let greater = usize::from(names[1].as_str().as_bytes() > names[0].as_str().as_bytes());
        let mut world = World::new(names);
        while world.step(&mut random) {}
        // The greater name's dial is the one that is left, on both ends.
        for (dialler, connection) in world.connections.iter().enumerate() {
            let ends = connection.ends.each_ref().map(|end| match end {
                End::Connected(connected) => Some(connected.clone()),
                End::Over => None,
                _ => panic!("an end that still waits"),
            });
            match ends {
                [Some(a), Some(b)] => {
                    assert_eq!(dialler, greater);
                    assert_eq!((a.me, a.peer), (b.peer, b.me));
                }
                [None, None] => assert_ne!(dialler, greater),
                _ => panic!("one end has a connection, the other has none"),
            }
        }
    }
}

#[test]
fn given_names_are_as_otp_gives_them() {
    let given = dynamic_name("10.0.0.7", u128::MAX).unwrap();
    let (before, host) = given.as_str().split_once('@').unwrap();
    assert_eq!((before.len(), host), (13, "10.0.0.7"));
    assert!(
        before
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    );
    assert_eq!(dynamic_name("h", 0).unwrap(), name("0000000000000@h"));
    assert_ne!(
        dynamic_name("h", 1).unwrap(),
        dynamic_name("h", 36).unwrap()
    );
    assert!(dynamic_name("", 1).is_err());
    assert!(dynamic_name("a@b", 1).is_err());
}

#[test]
fn who_is_allowed() {
    let (a, b) = (name("a@10.0.0.1"), name("b@10.0.0.2"));
    let all = Admission::new(cookie("secret"));
    assert!(all.admits(&a) && all.admits(&b));
    let one = all.allow(a.clone());
    assert!(one.admits(&a) && !one.admits(&b));
    let host = one.allow_host("10.0.0.2");
    assert!(host.admits(&a) && host.admits(&b) && !host.admits(&name("b@10.0.0.3")));
    assert!(!format!("{host:?}").contains("secret"));
}
