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

/// Control message and payload as text.
type Shown = (String, Option<String>);

fn shown(signal: &Signal) -> Shown {
    let payload = signal.payload.as_ref().map(|payload| {
        text(
            &payload
                .decode(&TermLimits::default())
                .unwrap_or_else(|e| panic!("{e} {signal:?}")),
        )
    });
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
    assert_eq!(signals, 1395, "messages");
}

/// What OTP sent, sent again by [`Outbound`]: the other end sees the same.
#[test]
fn what_was_received_can_be_sent() {
    for headers in [true, false] {
        for scenario in scenarios() {
            for connection in scenario.connections.iter().filter(|c| c.of == "dist") {
                let Some(recorded) = flags(connection) else {
                    continue;
                };
                let ours = if headers {
                    recorded
                } else {
                    recorded.without(Flags::DIST_HDR_ATOM_CACHE)
                };
                let mut first = inbound(recorded);
                let mut out = Outbound::new(Instant::ZERO, ours, recorded, DEFAULT_TICK_TIME);
                let mut second = inbound(ours);
                for frame in traffic(connection, Dir::C2s) {
                    for signal in feed(&mut first, &frame.wire()).unwrap() {
                        let term = signal
                            .payload
                            .as_ref()
                            .map(|payload| payload.decode(&TermLimits::default()).unwrap());
                        let payload = term.as_ref().map_or(Payload::None, Payload::Term);
                        let queued = out.push(Instant::ZERO, &signal.control, payload).unwrap();
                        let bytes = out.segments().collect::<Vec<_>>().concat();
                        assert_eq!(queued.bytes, bytes.len());
                        out.sent(bytes.len());
                        let again = feed(&mut second, &bytes).unwrap();
                        assert_eq!(again.len(), 1);
                        assert_eq!(again[0].control, signal.control);
                        assert_eq!(shown(&again[0]), shown(&signal));
                    }
                }
            }
        }
    }
}

#[test]
fn every_truncated_frame_is_an_error_or_another_message() {
    let recorded = scenario("traffic-29-25");
    let connection = &recorded.connections[0];
    let flags = flags(connection).unwrap();
    let mut cuts = 0;
    for frame in traffic(connection, Dir::C2s) {
        let wire = frame.wire();
        if frame.kind == "dist_header" && wire.len() < 600 {
            for len in 1..wire.len() - 4 {
                // The same cache, so that only the cut can be what is wrong.
                let mut damaged = clone_of(connection, frame, flags);
                let length = u32::try_from(len).unwrap().to_be_bytes();
                let seen = feed(&mut damaged, &[&length, &wire[4..4 + len]].concat());
                if let Ok(signals) = seen {
                    // Cut inside the payload: the connection lives, the message is broken.
                    let payload = signals[0]
                        .payload
                        .as_ref()
                        .expect("only a payload can be cut");
                    assert!(
                        payload.decode(&TermLimits::default()).is_err(),
                        "{frame:?} at {len}"
                    );
                }
                cuts += 1;
            }
        }
        if cuts > 2000 {
            break;
        }
    }
}

/// An [`Inbound`] that has seen everything before `until`.
fn clone_of(connection: &Connection, until: &Frame, flags: Flags) -> Inbound {
    let mut fresh = inbound(flags);
    for frame in traffic(connection, Dir::C2s).take_while(|frame| !std::ptr::eq(*frame, until)) {
        feed(&mut fresh, &frame.wire()).unwrap();
    }
    fresh
}

fn stream(name: &str, dir: Dir) -> (Vec<u8>, Vec<Shown>, Flags) {
    let recorded = scenario(name);
    let connection = &recorded.connections[0];
    let flags = flags(connection).unwrap();
    let bytes: Vec<u8> = traffic(connection, dir).flat_map(Frame::wire).collect();
    let signals = feed(&mut inbound(flags), &bytes).unwrap();
    (bytes, signals.iter().map(shown).collect(), flags)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn cut_anywhere_a_stream_gives_the_same_messages(sizes in prop::collection::vec(1_usize..9000, 1..40)) {
        let (bytes, expected, flags) = stream("traffic-25-25", Dir::C2s);
        let mut inbound = inbound(flags);
        let mut seen = Vec::new();
        let mut rest = &bytes[..];
        for size in sizes.iter().cycle() {
            let (piece, later) = rest.split_at((*size).min(rest.len()));
            seen.extend(feed(&mut inbound, piece).unwrap().iter().map(shown));
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(seen, expected);
    }

    #[test]
    fn damage_is_an_error_and_nothing_worse(at in 0_usize..40_000, bit in 0_u8..8) {
        let (mut bytes, _, flags) = stream("pg-29-29", Dir::C2s);
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        let mut inbound = inbound(flags);
        let signals = feed(&mut inbound, &bytes).unwrap_or_default();
        for payload in signals.into_iter().filter_map(|signal| signal.payload) {
            drop(payload.decode(&TermLimits::default()));
        }
    }

    #[test]
    fn garbage_is_an_error_and_nothing_worse(body in prop::collection::vec(any::<u8>(), 0..200), head in 0_usize..6) {
        let heads: [&[u8]; 6] = [&[], &[112, 131], &[131, 68], &[131, 69], &[131, 70], &[131, 68, 0, 104]];
        let body = [heads[head], &body].concat();
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        for flags in [Flags::hidden_default(), Flags::NONE] {
            drop(feed(&mut inbound(flags), &[&length[..], &body].concat()));
        }
    }
}

#[test]
fn one_byte_at_a_time() {
    let (bytes, expected, flags) = stream("pg-27-25", Dir::S2c);
    let mut inbound = inbound(flags);
    let mut seen = Vec::new();
    for byte in Bytes::from(bytes) {
        seen.extend(feed(&mut inbound, &[byte]).unwrap().iter().map(shown));
    }
    assert_eq!(seen, expected);
}
