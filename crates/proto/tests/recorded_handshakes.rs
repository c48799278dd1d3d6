//! Every recorded handshake, frame by frame and replayed through the state machines of both sides.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use support::{Connection, Dir, Frame, hex, scenarios};
use trunkline_proto::handshake::acceptor::{AfterName, AwaitName, Challenger};
use trunkline_proto::handshake::initiator::{AfterStatus, AwaitAck, AwaitChallenge, Start};
use trunkline_proto::handshake::{
    Challenge, ChallengeAck, ChallengeReply, Connected, HandshakeError, HandshakeFramer, Local,
    Prefix, SendName, Status,
};
use trunkline_proto::{Cookie, Creation, Flags, NodeName, Reason};

/// Decodes a frame, compares it with what the recording says of it, and encodes it again.
fn again(frame: &Frame) -> Vec<u8> {
    let bytes = frame.handshake();
    match frame.kind.as_str() {
        "send_name" => {
            let message = SendName::decode(&bytes).unwrap();
            assert_eq!(message.flags.bits(), frame.flags());
            assert_eq!(Some(message.creation.0), frame.creation);
            assert_eq!(Some(&message.name), frame.name.as_ref());
            message.encode()
        }
        "status" => {
            let message = Status::decode(&bytes).unwrap();
            if let Status::Named { name, creation } = &message {
                assert_eq!(Some(name.as_str()), frame.name.as_deref());
                assert_eq!(Some(creation.0), frame.creation);
            }
            message.encode()
        }
        "send_challenge" => {
            let message = Challenge::decode(&bytes).unwrap();
            assert_eq!(message.flags.bits(), frame.flags());
            assert_eq!(Some(message.challenge), frame.challenge);
            assert_eq!(Some(message.creation.0), frame.creation);
            assert_eq!(Some(message.name.as_str()), frame.name.as_deref());
            message.encode()
        }
        "send_challenge_reply" => {
            let message = ChallengeReply::decode(&bytes).unwrap();
            assert_eq!(Some(message.challenge), frame.challenge);
            assert_eq!(message.digest.to_vec(), hex(frame.digest.as_ref().unwrap()));
            message.encode()
        }
        "send_challenge_ack" => {
            let message = ChallengeAck::decode(&bytes).unwrap();
            assert_eq!(message.digest.to_vec(), hex(frame.digest.as_ref().unwrap()));
            message.encode()
        }
        other => panic!("{other}"),
    }
}

#[test]
fn every_frame_decodes_and_encodes_to_the_same_bytes() {
    let mut count = 0;
    for scenario in scenarios() {
        let frames = scenario
            .connections
            .iter()
            .flat_map(|connection| &connection.frames);
        for frame in frames.filter(|frame| frame.is_handshake()) {
            assert_eq!(
                again(frame),
                frame.handshake(),
                "{} {frame:?}",
                scenario.name
            );
            count += 1;
        }
    }
    assert_eq!(count, 201, "frames of handshakes");
}

/// What a side did in a recorded handshake, and what came of it.
#[derive(Debug, PartialEq)]
enum End {
    Connected(Connected),
    Failed(HandshakeError),
    /// The recording ends while this side waits.
    Waiting(Option<Reason>),
}

/// The frames of one handshake, taken in order; a replay asks for what the other side sent and
/// checks what its own side sends.
struct Replay<'a> {
    frames: std::slice::Iter<'a, Frame>,
    own: Dir,
}

impl Replay<'_> {
    fn received(&mut self) -> Option<Vec<u8>> {
        let frame = self.frames.next()?;
        assert_ne!(frame.dir, self.own, "the recording has {frame:?} here");
        Some(frame.handshake())
    }

    fn sends(&mut self, message: &[u8]) -> &Frame {
        let frame = self
            .frames
            .next()
            .expect("the recorded side sent nothing more");
        assert_eq!(frame.dir, self.own);
        assert_eq!(message, frame.handshake());
        frame
    }

    fn next_status(&self) -> Status {
        Status::decode(&self.frames.as_slice()[0].handshake()).unwrap()
    }

    fn next_challenge(&self) -> Option<u32> {
        self.frames
            .as_slice()
            .first()
            .and_then(|frame| frame.challenge)
    }
}

fn handshake(connection: &Connection) -> Vec<Frame> {
    connection
        .frames
        .iter()
        .filter(|frame| frame.is_handshake())
        .cloned()
        .collect()
}

fn replay_initiator(frames: &[Frame], cookie: &Cookie) -> End {
    let mut replay = Replay {
        frames: frames.iter(),
        own: Dir::C2s,
    };
    let hello = SendName::decode(&frames[0].handshake()).unwrap();
    let me = if hello.flags.contains(Flags::NAME_ME) {
        Local::dynamic(hello.name, hello.flags)
    } else {
        Local::new(hello.name.parse().unwrap(), hello.flags, hello.creation)
    };
    let wanted = frames
        .iter()
        .find(|frame| frame.kind == "send_challenge")
        .map(|frame| frame.name.as_ref().unwrap().parse::<NodeName>().unwrap());
    let (send_name, state) = Start::new(me, wanted).send_name();
    replay.sends(&send_name);
    let Some(frame) = replay.received() else {
        return End::Waiting(Some(state.closed()));
    };
    let state = match state.status(&frame) {
        Ok(AfterStatus::Go(state)) => state,
        Ok(AfterStatus::Alive(question)) if replay.next_status() == Status::True => {
            let (frame, state) = question.replace();
            replay.sends(&frame);
            state
        }
        Ok(AfterStatus::Alive(question)) => {
            let (frame, error) = question.give_up();
            replay.sends(&frame);
            return End::Failed(error);
        }
        Err(error) => return End::Failed(error),
    };
    prove(replay, state, cookie)
}

fn prove(mut replay: Replay<'_>, state: AwaitChallenge, cookie: &Cookie) -> End {
    let frame = replay.received().unwrap();
    let greeted = state.challenge(&frame).unwrap();
    assert!(
        greeted
            .greeting()
            .flags
            .missing_from(Flags::MANDATORY_26)
            .is_empty()
    );
    let challenge = replay.next_challenge().unwrap();
    let (reply, state): (_, AwaitAck) = greeted.reply(cookie, challenge);
    replay.sends(&reply);
    match replay.received() {
        None => End::Waiting(Some(state.closed())),
        Some(frame) => match state.ack(&frame) {
            Ok(connected) => End::Connected(connected),
            Err(error) => End::Failed(error),
        },
    }
}

fn replay_acceptor(frames: &[Frame], cookie: &Cookie) -> End {
    let mut replay = Replay {
        frames: frames.iter(),
        own: Dir::S2c,
    };
    let me = acceptor_of(frames);
    let state = AwaitName::new(me.name, me.flags, me.creation);
    let after = state.name(&replay.received().unwrap()).unwrap();
    if replay.frames.as_slice().is_empty() {
        return End::Waiting(None);
    }
    let challenger = match (after, replay.next_status()) {
        (AfterName::Nameless(caller), Status::Named { name, creation }) => {
            let (frame, next) = caller.accept(name, creation);
            replay.sends(&frame);
            next
        }
        (AfterName::Caller(caller), Status::Ok) => {
            let (frame, next) = caller.accept();
            replay.sends(&frame);
            next
        }
        (AfterName::Caller(caller), Status::OkSimultaneous) => {
            let (frame, next) = caller.accept_simultaneous();
            replay.sends(&frame);
            next
        }
        (AfterName::Caller(caller), Status::Alive) => {
            let (frame, next) = caller.alive();
            replay.sends(&frame);
            match next.status(&replay.received().unwrap()) {
                Ok(next) => next,
                Err(error) => return End::Failed(error),
            }
        }
        (AfterName::Caller(caller), Status::Nok) => {
            replay.sends(&caller.refuse_nok());
            return End::Failed(HandshakeError::Nok);
        }
        (after, status) => panic!("{after:?} and {status:?}"),
    };
    verify(replay, challenger, cookie)
}

fn verify(mut replay: Replay<'_>, challenger: Challenger, cookie: &Cookie) -> End {
    let (frame, state) = challenger.challenge(replay.next_challenge().unwrap());
    replay.sends(&frame);
    match state.reply(&replay.received().unwrap(), cookie) {
        Ok((ack, connected)) => {
            replay.sends(&ack);
            End::Connected(connected)
        }
        Err(error) => End::Failed(error),
    }
}

/// What the recorded acceptor says of itself, as far as it got.
fn acceptor_of(frames: &[Frame]) -> Challenge {
    frames
        .iter()
        .find(|frame| frame.kind == "send_challenge")
        .map(|frame| {
            let mut challenge = Challenge::decode(&frame.handshake()).unwrap();
            // Set by the machine when the caller asked for a name.
            if challenge.flags.contains(Flags::NAME_ME) {
                challenge.flags = challenge
                    .flags
                    .without(Flags::NAME_ME)
                    .with(Flags::PUBLISHED);
            }
            challenge
        })
        .unwrap_or_else(|| Challenge {
            flags: Flags::hidden_default(),
            challenge: 0,
            creation: Creation(1),
            name: "mmm@127.0.0.1".parse().unwrap(),
        })
}

/// Which cookie a side had: the recorded digest fits to one.
fn cookie_of<'a>(
    cookies: &'a [Cookie],
    frames: &[Frame],
    challenge: &str,
    digest: &str,
) -> &'a Cookie {
    let challenge = frames.iter().find(|frame| frame.kind == challenge);
    let digest = frames.iter().find(|frame| frame.kind == digest);
    let (Some(challenge), Some(digest)) = (challenge, digest) else {
        return &cookies[0];
    };
    let (challenge, digest) = (
        challenge.challenge.unwrap(),
        digest.digest.as_ref().unwrap(),
    );
    let digest = hex(digest).try_into().unwrap();
    cookies
        .iter()
        .find(|cookie| cookie.verify(challenge, &digest))
        .expect("a cookie fits")
}

#[test]
fn both_machines_replay_every_recorded_handshake() {
    let mut connected = 0;
    let mut failed = Vec::new();
    for scenario in scenarios() {
        for connection in scenario
            .connections
            .iter()
            .filter(|connection| connection.of == "dist")
        {
            let frames = handshake(connection);
            let cookies = &scenario.cookies;
            let theirs = cookie_of(cookies, &frames, "send_challenge", "send_challenge_reply");
            let other = cookies
                .iter()
                .find(|cookie| *cookie != theirs)
                .unwrap_or(theirs);
            let initiator = replay_initiator(&frames, theirs);
            let acceptor = replay_acceptor(&frames, other);
            match (initiator, acceptor) {
                (End::Connected(a), End::Connected(b)) => {
                    assert_eq!((&a.me, &a.peer), (&b.peer, &b.me), "{}", scenario.name);
                    assert_eq!((a.my_creation, a.creation), (b.creation, b.my_creation));
                    assert_eq!(a.flags, b.flags, "{}", scenario.name);
                    connected += 1;
                }
                other => failed.push((scenario.name.clone(), other)),
            }
        }
    }
    assert_eq!(connected, 35);
    let failed: Vec<_> = failed
        .iter()
        .map(|(name, (a, b))| (name.as_str(), end(a), end(b)))
        .collect();
    let expected = [
        ("alive-false-25", "StillAlive", "StillAlive"),
        ("alive-false-29", "StillAlive", "StillAlive"),
        ("simultaneous-nok-25", "Nok", "Nok"),
        ("simultaneous-nok-29", "Nok", "Nok"),
        ("simultaneous-ok_simultaneous-25", "closed", "waiting"),
        ("simultaneous-ok_simultaneous-29", "closed", "waiting"),
        ("wrong-cookie-25-25", "cookie_mismatch", "CookieMismatch"),
        ("wrong-cookie-25-29", "cookie_mismatch", "CookieMismatch"),
        ("wrong-cookie-29-29", "cookie_mismatch", "CookieMismatch"),
    ];
    let failed: Vec<_> = failed
        .iter()
        .map(|(n, a, b)| (*n, a.as_str(), b.as_str()))
        .collect();
    assert_eq!(failed, expected);
}

fn end(end: &End) -> String {
    match end {
        End::Connected(_) => "connected".into(),
        End::Failed(error) => format!("{error:?}"),
        End::Waiting(Some(reason)) => reason.code().into(),
        End::Waiting(None) => "waiting".into(),
    }
}

#[test]
fn the_framer_cuts_recorded_streams_anywhere() {
    for scenario in scenarios() {
        for connection in scenario
            .connections
            .iter()
            .filter(|connection| connection.of == "dist")
        {
            for dir in [Dir::C2s, Dir::S2c] {
                let frames = handshake(connection);
                let sent: Vec<_> = frames.iter().filter(|frame| frame.dir == dir).collect();
                let stream: Vec<u8> = sent.iter().flat_map(|frame| frame.wire()).collect();
                for size in [1, 3, 7, stream.len().max(1)] {
                    let mut framer = HandshakeFramer::new(Prefix::U16);
                    let mut seen = Vec::new();
                    for piece in stream.chunks(size) {
                        framer.push(piece);
                        while let Some(frame) = framer.next_frame().unwrap() {
                            seen.push(frame.to_vec());
                        }
                    }
                    let sent: Vec<_> = sent.iter().map(|frame| frame.handshake()).collect();
                    assert_eq!(seen, sent);
                }
                for cut in 0..stream.len() {
                    let mut framer = HandshakeFramer::new(Prefix::U16);
                    let (mut seen, (before, after)) = (0, stream.split_at(cut));
                    for piece in [before, after] {
                        framer.push(piece);
                        while let Some(frame) = framer.next_frame().unwrap() {
                            assert_eq!(frame, sent[seen].handshake(), "cut at {cut}");
                            seen += 1;
                        }
                    }
                    assert_eq!(seen, sent.len(), "cut at {cut}");
                }
            }
        }
    }
}

#[test]
fn every_truncated_message_is_an_error() {
    for scenario in scenarios() {
        for connection in scenario
            .connections
            .iter()
            .filter(|connection| connection.of == "dist")
        {
            for frame in handshake(connection) {
                let bytes = frame.handshake();
                for len in 0..bytes.len() {
                    let cut = &bytes[..len];
                    match frame.kind.as_str() {
                        "send_name" => assert!(SendName::decode(cut).is_err()),
                        "status" => {
                            // `ok` is what is left of `ok_simultaneous`.
                            let kept = Status::decode(cut);
                            assert!(kept.is_err() || cut == b"sok" || cut == b"snok");
                        }
                        "send_challenge" => assert!(Challenge::decode(cut).is_err()),
                        "send_challenge_reply" => assert!(ChallengeReply::decode(cut).is_err()),
                        "send_challenge_ack" => assert!(ChallengeAck::decode(cut).is_err()),
                        other => panic!("{other}"),
                    }
                }
            }
        }
    }
}

#[test]
fn bytes_after_names_are_ignored() {
    for frame in scenarios()
        .iter()
        .flat_map(|s| &s.connections)
        .flat_map(handshake)
    {
        let mut longer = frame.handshake();
        longer.extend_from_slice(b"later releases");
        match frame.kind.as_str() {
            "send_name" => {
                assert_eq!(
                    SendName::decode(&longer),
                    SendName::decode(&frame.handshake())
                );
            }
            "send_challenge" => {
                assert_eq!(
                    Challenge::decode(&longer),
                    Challenge::decode(&frame.handshake())
                );
            }
            "send_challenge_reply" => assert!(ChallengeReply::decode(&longer).is_err()),
            "send_challenge_ack" => assert!(ChallengeAck::decode(&longer).is_err()),
            _ => {}
        }
    }
}
