//! Every recorded exchange with EPMD, decoded, encoded again, and asked of our own registry.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::HashMap;

use support::{Dir, Frame, scenario, scenarios};
use trunkline_proto::Creation;
use trunkline_proto::epmd::{
    Access, AliveResponse, NamesResponse, PortResponse, Registry, Request, Then,
};

/// What OTP's EPMD refuses without an answer.
const REFUSED: [&str; 2] = ["unknown(0)", "zero length"];

#[test]
fn every_request_decodes_and_encodes_to_the_same_bytes() {
    let mut count = 0;
    for scenario in scenarios() {
        let frames = scenario
            .connections
            .iter()
            .flat_map(|connection| &connection.frames);
        for frame in frames.filter(|frame| frame.of == "epmd" && frame.dir == Dir::C2s) {
            let wire = frame.wire();
            let no_name = frame.name.as_deref() == Some("");
            if REFUSED.contains(&frame.kind.as_str()) || no_name {
                assert!(Request::decode_prefix(&wire).is_err(), "{frame:?}");
                continue;
            }
            let (request, used) = Request::decode_prefix(&wire).unwrap().unwrap();
            assert_eq!(used, wire.len());
            assert_eq!(request.encode().unwrap(), wire);
            check(&request, frame);
            for len in 0..wire.len() {
                assert_eq!(Request::decode_prefix(&wire[..len]), Ok(None));
            }
            for len in 2..wire.len() {
                truncated(&request, &wire[2..len]);
            }
            count += 1;
        }
    }
    assert_eq!(count, 86, "requests");
}

fn check(request: &Request, frame: &Frame) {
    match request {
        Request::Alive2(registration) => {
            assert_eq!(Some(&registration.alive), frame.name.as_ref());
            assert_eq!(Some(registration.port), frame.port);
            assert_eq!(Some(registration.node_type.0), frame.node_type);
        }
        Request::PortPlease2 { alive } | Request::Stop { alive } => {
            assert_eq!(Some(alive), frame.name.as_ref());
        }
        Request::Names | Request::Dump | Request::Kill => {}
    }
}

/// A shorter body is an error, or a request for a shorter name.
fn truncated(request: &Request, body: &[u8]) {
    match (request, Request::decode(body)) {
        (_, Err(_))
        | (Request::PortPlease2 { .. }, Ok(Request::PortPlease2 { .. }))
        | (Request::Stop { .. }, Ok(Request::Stop { .. })) => {}
        (_, Ok(other)) => panic!("{other:?} out of {body:?}"),
    }
}

#[test]
fn every_answer_decodes_and_encodes_to_the_same_bytes() {
    for scenario in scenarios() {
        let frames = scenario
            .connections
            .iter()
            .flat_map(|connection| &connection.frames);
        for frame in frames.filter(|frame| frame.of == "epmd" && frame.dir == Dir::S2c) {
            let wire = frame.wire();
            match frame.kind.as_str() {
                "ALIVE2_X_RESP" | "ALIVE2_RESP" => {
                    let (answer, used) = AliveResponse::decode_prefix(&wire).unwrap().unwrap();
                    assert_eq!((answer.encode(), used), (wire.clone(), wire.len()));
                    if frame.result == Some(0) {
                        assert_eq!(answer.registered(), frame.creation.map(Creation));
                    } else {
                        assert_eq!(answer.registered(), None);
                    }
                    for len in 0..wire.len() {
                        assert_eq!(AliveResponse::decode_prefix(&wire[..len]), Ok(None));
                    }
                }
                "PORT2_RESP" => {
                    let (answer, used) = PortResponse::decode_prefix(&wire).unwrap().unwrap();
                    assert_eq!((answer.encode().unwrap(), used), (wire.clone(), wire.len()));
                    for len in 0..wire.len() {
                        assert_eq!(PortResponse::decode_prefix(&wire[..len]), Ok(None));
                    }
                }
                "NAMES_RESP" => {
                    let answer = NamesResponse::decode(&wire).unwrap();
                    assert_eq!(answer.encode(), wire);
                    assert_eq!(Some(answer.epmd_port), frame.epmd_port);
                    for len in 0..wire.len() {
                        if len < 4 || wire[len - 1] != b'\n' {
                            assert!(NamesResponse::decode(&wire[..len]).is_err() || len == 4);
                        }
                    }
                }
                "DUMP_RESP" | "STOP_REQ reply" | "KILL_REQ reply" => {}
                other => panic!("{other}"),
            }
        }
    }
}

/// The exchanges of a scripted client with OTP's EPMD: ours answers the same bytes.
#[test]
fn our_registry_answers_as_otp_does() {
    for name in ["epmd-25", "epmd-29"] {
        let recorded = scenario(name);
        let mut access = Access {
            epmd_port: 4371,
            loopback: true,
            relaxed: true,
        };
        let mut registry = seeded(&recorded.connections[0].frames);
        // Until the zero length request the script keeps its registrations, then it closes node1.
        let mut held = HashMap::new();
        for connection in &recorded.connections {
            let request = &connection.frames[0];
            let expected = connection
                .frames
                .get(1)
                .map(Frame::wire)
                .unwrap_or_default();
            if request.kind == "zero length" {
                registry.unregister(held["node1"]);
            }
            let wire = request.wire();
            let Ok(decoded) = Request::decode_prefix(&wire) else {
                assert_eq!(expected, b"");
                continue;
            };
            let (question, _) = decoded.unwrap();
            let answer = registry.answer(question, access);
            assert_eq!(
                without_fds(&answer.bytes),
                without_fds(&expected),
                "{name} {request:?}"
            );
            match answer.then {
                Then::Hold(registered) => {
                    held.insert(request.name.clone().unwrap(), registered.id);
                }
                Then::Exit => {
                    // The script starts another EPMD, without the relaxed check.
                    access.relaxed = false;
                    registry = seeded(&next_run(&recorded.connections));
                }
                Then::Close => {}
            }
        }
    }
}

/// A registry that hands out the creation of this exchange first.
fn seeded(frames: &[Frame]) -> Registry {
    Registry::new(frames[1].creation.unwrap())
}

fn next_run(connections: &[support::Connection]) -> Vec<Frame> {
    let killed = connections
        .iter()
        .position(|c| c.frames[0].kind == "KILL_REQ")
        .unwrap();
    connections[killed + 1].frames.clone()
}

/// The number after `fd =` in a dump is EPMD's own affair.
fn without_fds(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.split(", fd = ")
        .map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit()))
        .collect()
}
