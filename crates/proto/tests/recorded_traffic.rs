//! Every frame that OTP sent after a recorded handshake, through [`Inbound`].

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use bytes::Bytes;
use proptest::prelude::*;
use support::{Connection, Dir, Frame, scenario, scenarios, text::text};
use trunkline_etf::Limits as TermLimits;
use trunkline_proto::conn::{
    ConnectionError, DEFAULT_TICK_TIME, Inbound, Limits, Outbound, Payload, Signal,
};
use trunkline_proto::handshake::{Challenge, SendName};
use trunkline_proto::{Flags, Instant};

/// What holds on a recorded connection.
fn flags(connection: &Connection) -> Option<Flags> {
    let frame = |kind| connection.frames.iter().find(|frame| frame.kind == kind);
    let caller = SendName::decode(&frame("send_name")?.handshake())
        .unwrap()
        .flags;
    let acceptor = Challenge::decode(&frame("send_challenge")?.handshake())
        .unwrap()
        .flags;
    Some(caller.shared_with(acceptor))
}

fn inbound(flags: Flags) -> Inbound {
    Inbound::new(Instant::ZERO, flags, DEFAULT_TICK_TIME, Limits::default())
}

fn feed(inbound: &mut Inbound, bytes: &[u8]) -> Result<Vec<Signal>, ConnectionError> {
    inbound.read_buf().extend_from_slice(bytes);
    inbound.advance(Instant::ZERO);
    inbound.collect()
}

fn shown(signal: &Signal) -> (String, Option<String>) {
    let payload = signal
        .payload
        .as_ref()
        .map(|payload| text(&payload.decode(&TermLimits::default()).unwrap_or_else(|e| panic!("{e} {signal:?}"))));
    (text(&signal.control.to_term()), payload)
}

fn traffic(connection: &Connection, dir: Dir) -> impl Iterator<Item = &Frame> {
    connection
        .frames
        .iter()
        .filter(move |frame| frame.dir == dir && !frame.is_handshake())
}

#[test]
fn every_recorded_frame_gives_the_recorded_message() {
    let mut signals = 0;
    for scenario in scenarios() {
        for connection in scenario
            .connections
            .iter()
            .filter(|connection| connection.of == "dist")
        {
            for dir in [Dir::C2s, Dir::S2c] {
                let Some(flags) = flags(connection) else {
                    continue;
                };
                let mut inbound = inbound(flags);
                for frame in traffic(connection, dir) {
                    let seen = feed(&mut inbound, &frame.wire()).unwrap();
                    let seen: Vec<_> = seen.iter().map(shown).collect();
                    let expected: Vec<_> = frame
                        .control
                        .clone()
                        .map(|c| (c, frame.message.clone()))
                        .into_iter()
                        .collect();
                    assert_eq!(seen, expected, "{} {frame:?}", scenario.name);
                    signals += seen.len();
                }
            }
        }
    }
    assert_eq!(signals, 1, "messages");
}
