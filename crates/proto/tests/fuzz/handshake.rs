//! Bytes as the other end of a handshake, for both roles.

use trunkline_proto::handshake::acceptor::{AfterName, AwaitName, Challenger};
use trunkline_proto::handshake::initiator::{AfterStatus, Start};
use trunkline_proto::handshake::{
    Challenge, ChallengeAck, ChallengeReply, HandshakeError, HandshakeFramer, Local, Prefix,
    SendName, Status,
};
use trunkline_proto::{Cookie, Creation, Flags, NodeName};

/// The first byte says which role is ours and how long lengths are; the rest is what the other end
/// sends. Nobody who does not know the cookie comes to the end.
pub(crate) fn run(input: &[u8]) {
    let Some((&choice, rest)) = input.split_first() else {
        return;
    };
    let prefix = if choice & 1 == 0 {
        Prefix::U16
    } else {
        Prefix::U32
    };
    let mut framer = HandshakeFramer::new(prefix);
    framer.push(rest);
    let mut frames = Vec::new();
    while let Ok(Some(frame)) = framer.next_frame() {
        messages(&frame);
        frames.push(frame);
    }
    let mut frames = frames.iter().map(|frame| &frame[..]);
    let ended = if choice & 2 == 0 {
        acceptor(choice, &mut frames)
    } else {
        initiator(choice, &mut frames)
    };
    if let Some(Err(error)) = ended {
        // Every error can be told.
        assert!(!error.to_string().is_empty() && !error.reason().to_string().is_empty());
        let _farewell = error.farewell();
    }
}

fn me() -> NodeName {
    "me@10.0.0.1".parse().expect("a name")
}

fn cookie() -> Cookie {
    Cookie::new("a cookie that no input knows").expect("a cookie")
}

type Ended = Option<Result<(), HandshakeError>>;

fn acceptor<'a>(choice: u8, frames: &mut impl Iterator<Item = &'a [u8]>) -> Ended {
    let state = AwaitName::new(me(), Flags::hidden_default(), Creation(1));
    let challenger: Challenger = match state.name(frames.next()?) {
        Err(error) => return Some(Err(error)),
        Ok(AfterName::Nameless(nameless)) => {
            let name = format!("GIVEN@{}", nameless.host()).parse().ok()?;
            nameless.accept(name, Creation(5)).1
        }
        Ok(AfterName::Caller(caller)) => match choice >> 2 & 3 {
            0 => caller.accept().1,
            1 => caller.accept_simultaneous().1,
            2 => match caller.alive().1.status(frames.next()?) {
                Ok(next) => next,
                Err(error) => return Some(Err(error)),
            },
            _ => {
                assert_eq!(caller.clone().refuse(), Status::NotAllowed.encode());
                assert_eq!(caller.refuse_nok(), Status::Nok.encode());
                return None;
            }
        },
    };
    let (_, state) = challenger.challenge(7);
    let done = state.reply(frames.next()?, &cookie());
    assert!(done.is_err(), "a proof without the cookie");
    Some(done.map(drop))
}

fn initiator<'a>(choice: u8, frames: &mut impl Iterator<Item = &'a [u8]>) -> Ended {
    let flags = Flags::hidden_default();
    let local = if choice & 4 == 0 {
        Local::new(me(), flags, Creation(1))
    } else {
        Local::dynamic("10.0.0.1", flags)
    };
    let peer = (choice & 8 == 0).then(|| "peer@10.0.0.2".parse().expect("a name"));
    let (_, state) = Start::new(local, peer).send_name();
    let state = match state.status(frames.next()?) {
        Err(error) => return Some(Err(error)),
        Ok(AfterStatus::Go(state)) => state,
        Ok(AfterStatus::Alive(question)) => question.replace().1,
    };
    let greeted = match state.challenge(frames.next()?) {
        Err(error) => return Some(Err(error)),
        Ok(greeted) => greeted,
    };
    let (_, state) = greeted.reply(&cookie(), 9);
    let done = state.ack(frames.next()?);
    assert!(done.is_err(), "a proof without the cookie");
    Some(done.map(drop))
}

/// What decodes encodes to the beginning of the same bytes: what follows a name is ignored.
fn messages(frame: &[u8]) {
    let encoded = [
        SendName::decode(frame).map(|message| message.encode()),
        Challenge::decode(frame).map(|message| message.encode()),
        Status::decode(frame).map(|message| message.encode()),
        ChallengeReply::decode(frame).map(|message| message.encode()),
        ChallengeAck::decode(frame).map(|message| message.encode()),
    ];
    for encoded in encoded.into_iter().flatten() {
        assert!(frame.starts_with(&encoded));
    }
}
