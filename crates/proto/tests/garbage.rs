//! No bytes make a decoder panic, and what decodes encodes to something that decodes alike.

use proptest::prelude::*;
use trunkline_proto::epmd::{AliveResponse, NamesResponse, PortResponse, Request};
use trunkline_proto::handshake::{
    Challenge, ChallengeAck, ChallengeReply, HandshakeFramer, Prefix, SendName, Status,
};

/// Bytes that begin as something known, so that more than the first byte is looked at.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let heads: &[&[u8]] = &[
        b"",
        b"N",
        b"s",
        b"snamed:",
        b"r",
        b"a",
        b"x",
        b"z",
        b"v",
        b"w\0",
        b"\0\0\x11\x11name ",
    ];
    (
        prop::sample::select(heads),
        prop::collection::vec(any::<u8>(), 0..80),
    )
        .prop_map(|(head, tail)| [head, &tail].concat())
}

proptest! {
    #[test]
    fn handshake(bytes in bytes()) {
        if let Ok(message) = SendName::decode(&bytes) {
            prop_assert_eq!(SendName::decode(&message.encode()), Ok(message));
        }
        if let Ok(message) = Status::decode(&bytes) {
            prop_assert_eq!(Status::decode(&message.encode()), Ok(message));
        }
        if let Ok(message) = Challenge::decode(&bytes) {
            prop_assert_eq!(Challenge::decode(&message.encode()), Ok(message));
        }
        if let Ok(message) = ChallengeReply::decode(&bytes) {
            prop_assert_eq!(message.encode(), bytes.clone());
        }
        if let Ok(message) = ChallengeAck::decode(&bytes) {
            prop_assert_eq!(message.encode(), bytes.clone());
        }
        for prefix in [Prefix::U16, Prefix::U32] {
            let mut framer = HandshakeFramer::new(prefix);
            framer.push(&bytes);
            while let Ok(Some(_)) = framer.next_frame() {}
        }
    }

    #[test]
    fn epmd(bytes in bytes()) {
        if let Ok(request) = Request::decode(&bytes) {
            let wire = request.encode().expect("it came in one request");
            prop_assert_eq!(&wire[2..], &bytes[..]);
        }
        if let Ok(Some((answer, used))) = AliveResponse::decode_prefix(&bytes) {
            prop_assert_eq!(answer.encode(), bytes[..used].to_vec());
        }
        if let Ok(Some((answer, used))) = PortResponse::decode_prefix(&bytes) {
            prop_assert_eq!(answer.encode(), Ok(bytes[..used].to_vec()));
        }
        if let Ok(answer) = NamesResponse::decode(&bytes) {
            prop_assert_eq!(NamesResponse::decode(&answer.encode()), Ok(answer));
        }
    }
}
