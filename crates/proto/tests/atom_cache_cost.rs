//! What the atom cache costs and saves: the reason for [`Sending`]'s default. Prints a table:
//! `cargo test --release -p trunkline-proto --test atom_cache_cost -- --ignored --nocapture`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::hint::black_box;
use std::time::{Duration, Instant as Clock};

use trunkline_etf::{Limits as TermLimits, Pid, Reference, Term, atom};
use trunkline_proto::conn::{DEFAULT_TICK_TIME, Inbound, Limits, Outbound, Payload, Sending};
use trunkline_proto::control::Control;
use trunkline_proto::{Flags, Instant};

type Message = (Control, Option<Term>);

#[test]
#[ignore = "measures; needs an optimized build"]
fn bytes_and_time_with_and_without() {
    println!(
        "traffic              messages |  bytes/msg  plain  cache | send ns/msg plain cache | receive ns/msg plain cache"
    );
    for (name, messages) in [
        ("recorded (OTP 29)", recorded()),
        ("{word, 1}", vec![small()]),
        ("gen_server calls", calls()),
        ("rows of a table", rows()),
    ] {
        let [plain, cache] = [false, true].map(|cache| measure(&messages, cache));
        println!(
            "{name:20} {:8} | {:16} {:6} | {:17} {:5} | {:20} {:5}",
            messages.len(),
            plain.0 / messages.len(),
            cache.0 / messages.len(),
            plain.1,
            cache.1,
            plain.2,
            cache.2
        );
    }
}

/// Bytes of one round, nanoseconds to send and to receive a message: the best of many rounds.
fn measure(messages: &[Message], cache: bool) -> (usize, u128, u128) {
    let flags = Flags::hidden_default();
    let mut outbound = Outbound::new(Instant::ZERO, flags, flags, DEFAULT_TICK_TIME)
        .with_sending(Sending::default().with_atom_cache(cache));
    let mut inbound = Inbound::new(Instant::ZERO, flags, DEFAULT_TICK_TIME, Limits::default());
    let repeat = 2000_usize.div_ceil(messages.len());
    let mut best = [Duration::MAX; 2];
    let mut bytes = 0;
    for _ in 0..60 {
        let begun = Clock::now();
        for (control, payload) in (0..repeat).flat_map(|_| messages) {
            let payload = payload.as_ref().map_or(Payload::None, Payload::Term);
            outbound.push(Instant::ZERO, control, payload).unwrap();
        }
        best[0] = best[0].min(begun.elapsed());
        let wire = outbound.segments().collect::<Vec<_>>().concat();
        outbound.sent(wire.len());
        bytes = wire.len() / repeat;
        inbound.read_buf().extend_from_slice(&wire);
        let begun = Clock::now();
        for signal in inbound.by_ref() {
            let signal = signal.unwrap();
            let term = signal
                .payload
                .map(|raw| raw.decode(&TermLimits::default()).unwrap());
            black_box((signal.control, term));
        }
        best[1] = best[1].min(begun.elapsed());
    }
    let count = (repeat * messages.len()) as u128;
    (
        bytes,
        best[0].as_nanos() / count,
        best[1].as_nanos() / count,
    )
}

/// What two nodes said to each other.
fn recorded() -> Vec<Message> {
    let flags = Flags::hidden_default();
    let mut messages = Vec::new();
    for name in ["traffic-29-29", "pg-29-29", "remsh-iex-29-29"] {
        let scenario = support::scenario(name);
        let connection = scenario
            .connections
            .iter()
            .find(|one| one.of == "dist")
            .unwrap();
        let mut inbound = Inbound::new(Instant::ZERO, flags, DEFAULT_TICK_TIME, Limits::default());
        for frame in &connection.frames {
            if frame.dir == support::Dir::C2s && !frame.is_handshake() {
                inbound.read_buf().extend_from_slice(&frame.wire());
            }
        }
        messages.extend(inbound.map(|signal| {
            let signal = signal.unwrap();
            let term = signal
                .payload
                .map(|raw| raw.decode(&TermLimits::default()).unwrap());
            (signal.control, term)
        }));
    }
    messages.retain(|(_, term)| term.as_ref().is_none_or(|term| term.encoded_len() < 4096));
    messages
}

fn pid(id: u32) -> Pid {
    Pid {
        node: atom!("shop@app-7f9c.internal"),
        id,
        serial: 0,
        creation: 1_795_305_581,
    }
}

fn send(from: u32) -> Control {
    Control::SendSender {
        from: pid(from),
        to: Pid {
            node: atom!("shop@app-12ab.internal"),
            ..pid(200)
        },
        token: None,
    }
}

fn small() -> Message {
    (
        send(1),
        Some(Term::tuple([Term::atom("word"), Term::from(1)])),
    )
}

/// `{'$gen_call', {Pid, [alias|Ref]}, {get, Key}}` from many processes.
fn calls() -> Vec<Message> {
    (0..200)
        .map(|id| {
            let reference = Reference::new(pid(id).node, pid(id).creation, &[id, 7, 9]).unwrap();
            let tag = Term::list_with_tail([Term::atom("alias")], Term::from(reference));
            let from = Term::tuple([Term::from(pid(id)), tag]);
            let request = Term::tuple([Term::atom("get"), Term::from("user:1234")]);
            (
                send(id),
                Some(Term::tuple([Term::atom("$gen_call"), from, request])),
            )
        })
        .collect()
}

/// Structs of Elixir: many atoms, most of them keys.
fn rows() -> Vec<Message> {
    let row = |id: i64| {
        Term::map([
            (atom!("__struct__"), Term::atom("Elixir.Shop.Orders.Order")),
            (atom!("id"), Term::from(id)),
            (atom!("customer_id"), Term::from(id * 7)),
            (atom!("status"), Term::atom("awaiting_payment")),
            (atom!("currency"), Term::atom("EUR")),
            (atom!("inserted_at"), Term::from("2026-11-22T05:00:00Z")),
            (atom!("updated_at"), Term::from("2026-11-22T05:00:00Z")),
        ])
    };
    vec![(
        send(1),
        Some(Term::list((0..20).map(row).collect::<Vec<_>>())),
    )]
}
