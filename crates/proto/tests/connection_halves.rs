//! Frames that the recordings do not have: fragments in any mixture, limits, what is refused.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use bytes::Bytes;
use trunkline_etf::{Atom, Limits as TermLimits, Pid, Sink, Term};
use trunkline_proto::conn::{
    ConnectionError, DEFAULT_TICK_TIME, Inbound, Limits, Lost, Outbound, Payload, PushError, Signal,
};
use trunkline_proto::control::{Control, ControlError};
use trunkline_proto::{Flags, Instant};

fn inbound(limits: Limits) -> Inbound {
    Inbound::new(
        Instant::ZERO,
        Flags::hidden_default(),
        DEFAULT_TICK_TIME,
        limits,
    )
}

fn outbound() -> Outbound {
    let flags = Flags::hidden_default();
    Outbound::new(Instant::ZERO, flags, flags, DEFAULT_TICK_TIME)
}

fn feed(inbound: &mut Inbound, body: &[u8]) -> Result<Vec<Signal>, ConnectionError> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    inbound.read_buf().extend_from_slice(&length);
    inbound.read_buf().extend_from_slice(body);
    inbound.advance(Instant::ZERO);
    inbound.collect()
}

fn pid(id: u32) -> Pid {
    Pid {
        node: Atom::new("a@h").unwrap(),
        id,
        serial: 0,
        creation: 1,
    }
}

fn send(id: u32) -> Control {
    Control::SendSender {
        from: pid(id),
        to: pid(1),
        token: None,
    }
}

fn bare(term: &Term) -> Vec<u8> {
    let mut out = Vec::new();
    term.encode_bare(&mut out);
    out
}

fn whole(control: &Control, payload: &[u8]) -> Vec<u8> {
    [&[131, 68, 0][..], &bare(&control.to_term()), payload].concat()
}

fn first(sequence: u64, fragment: u64, control: &Control, part: &[u8]) -> Vec<u8> {
    let numbers = [sequence.to_be_bytes(), fragment.to_be_bytes()].concat();
    [
        &[131, 69][..],
        &numbers,
        &[0],
        &bare(&control.to_term()),
        part,
    ]
    .concat()
}

fn next(sequence: u64, fragment: u64, part: &[u8]) -> Vec<u8> {
    let numbers = [sequence.to_be_bytes(), fragment.to_be_bytes()].concat();
    [&[131, 70][..], &numbers, part].concat()
}

fn payload(signal: &Signal) -> Term {
    signal
        .payload
        .as_ref()
        .unwrap()
        .decode(&TermLimits::default())
        .unwrap()
}

#[test]
fn fragments_of_several_messages_mix_with_whole_ones_and_ticks() {
    let mut inbound = inbound(Limits::default());
    let long = Term::binary(vec![1; 100]);
    let other = Term::binary(vec![2; 50]);
    let (a, b) = (bare(&long), bare(&other));
    // One of them in fragments of one byte.
    let count = a.len() as u64;
    assert!(
        feed(&mut inbound, &first(7, count, &send(7), &a[..1]))
            .unwrap()
            .is_empty()
    );
    assert!(
        feed(&mut inbound, &first(8, 2, &send(8), &b[..20]))
            .unwrap()
            .is_empty()
    );
    for (at, byte) in a.iter().enumerate().skip(1).take(a.len() - 2) {
        assert!(
            feed(&mut inbound, &next(7, count - at as u64, &[*byte]))
                .unwrap()
                .is_empty()
        );
        assert!(feed(&mut inbound, &[]).unwrap().is_empty());
    }
    let between = feed(&mut inbound, &whole(&send(9), &bare(&Term::atom("x")))).unwrap();
    assert_eq!(
        (&between[0].control, payload(&between[0])),
        (&send(9), Term::atom("x"))
    );
    let done = feed(&mut inbound, &next(8, 1, &b[20..])).unwrap();
    assert_eq!((&done[0].control, payload(&done[0])), (&send(8), other));
    let done = feed(&mut inbound, &next(7, 1, &a[a.len() - 1..])).unwrap();
    assert_eq!(
        (&done[0].control, payload(&done[0])),
        (&send(7), long.clone())
    );
    let only = feed(&mut inbound, &first(7, 1, &send(7), &a)).unwrap();
    assert_eq!(payload(&only[0]), long);
}

#[test]
fn fragments_out_of_order_end_the_connection() {
    let part = bare(&Term::atom("x"));
    let start = || {
        let mut inbound = inbound(Limits::default());
        feed(&mut inbound, &first(7, 3, &send(7), &part)).unwrap();
        inbound
    };
    let error = |sequence, fragment| ConnectionError::FragmentOutOfOrder { sequence, fragment };
    assert_eq!(
        feed(&mut start(), &next(7, 1, &part)).unwrap_err(),
        error(7, 1)
    );
    assert_eq!(
        feed(&mut start(), &next(7, 3, &part)).unwrap_err(),
        error(7, 3)
    );
    assert_eq!(
        feed(&mut start(), &next(8, 2, &part)).unwrap_err(),
        error(8, 2)
    );
    assert_eq!(
        feed(&mut start(), &first(9, 0, &send(9), &part)).unwrap_err(),
        error(9, 0)
    );
    let mut failed = start();
    feed(&mut failed, &next(8, 2, &part)).unwrap_err();
    assert!(
        feed(&mut failed, &whole(&send(9), &part))
            .unwrap()
            .is_empty(),
        "nothing follows"
    );
    assert_eq!(failed.poll_timeout(), None);
}

#[test]
fn limits_end_the_connection() {
    let part = vec![0; 600];
    let mut small = inbound(Limits::default().with_sequences(1));
    feed(&mut small, &first(7, 9, &send(7), &part)).unwrap();
    feed(&mut small, &first(7, 9, &send(7), &part)).unwrap();
    assert_eq!(
        feed(&mut small, &first(8, 9, &send(7), &part)).unwrap_err(),
        ConnectionError::TooManySequences
    );
    let mut small = inbound(Limits::default().with_frame(100));
    assert_eq!(
        feed(&mut small, &part).unwrap_err(),
        ConnectionError::FrameTooLarge { len: 600 }
    );
}

/// What one message brings too much of fails that message: it comes without its payload, and the
/// connection goes on. However much of it follows takes no memory.
#[test]
fn limits_on_payloads_fail_the_message_only() {
    let part = vec![106; 600];
    let lost = |signals: Vec<Signal>| {
        let [signal] = &signals[..] else {
            panic!("one message");
        };
        assert_eq!(signal.control, send(7));
        assert!(signal.payload.is_none());
        signal.lost
    };
    let mut small = inbound(Limits::default().with_message(1000));
    feed(&mut small, &first(7, 4, &send(7), &part)).unwrap();
    for fragment in [3, 2] {
        assert!(
            feed(&mut small, &next(7, fragment, &part))
                .unwrap()
                .is_empty()
        );
    }
    let end = feed(&mut small, &next(7, 1, &part)).unwrap();
    assert_eq!(
        lost(end),
        Some(Lost {
            len: 2400,
            limit: 1000
        })
    );
    // A large fragment of it is not even gathered.
    feed(&mut small, &first(7, 2, &send(7), &part)).unwrap();
    let large = next(7, 1, &vec![106; 1 << 20]);
    let mut wire = u32::try_from(large.len()).unwrap().to_be_bytes().to_vec();
    wire.extend(large);
    let mut end = Vec::new();
    for part in wire.chunks(10_000) {
        small.read_buf().extend_from_slice(part);
        end.extend(small.by_ref().map(Result::unwrap));
    }
    assert_eq!(lost(end).map(|lost| lost.limit), Some(1000));
    assert_eq!(
        feed(&mut small, &whole(&send(9), &part[..1]))
            .unwrap()
            .len(),
        1
    );

    // The one that goes beyond what all may hold is lost, the others are not; and what it gave up is
    // free for those after it.
    let mut small = inbound(Limits::default().with_unfinished(3000));
    feed(&mut small, &first(1, 2, &send(1), &part[..500])).unwrap();
    feed(&mut small, &first(7, 2, &send(7), &part)).unwrap();
    let end = feed(&mut small, &next(7, 1, &part)).unwrap();
    assert_eq!(lost(end).map(|lost| lost.limit), Some(3000));
    let end = feed(&mut small, &next(1, 1, &part[..500])).unwrap();
    assert_eq!(end[0].payload.as_ref().unwrap().bytes().len(), 1000);
    feed(&mut small, &first(7, 2, &send(7), &part)).unwrap();
    let end = feed(&mut small, &next(7, 1, &part)).unwrap();
    assert!(end[0].payload.is_some());
}

/// The payload is not all that an unfinished message holds.
#[test]
fn control_messages_of_unfinished_messages_are_counted() {
    let limit = 100_000;
    let mut small = inbound(Limits::default().with_unfinished(limit));
    let large = Control::SendSender {
        from: pid(7),
        to: pid(1),
        token: Some(Term::list(vec![Term::nil(); 1000])),
    };
    let begin = |sequence| first(sequence, 2, &large, &[]);
    // Those that end, or are begun again, are held no longer.
    for _ in 0..20 {
        feed(&mut small, &begin(1)).unwrap();
        feed(&mut small, &begin(1)).unwrap();
        assert_eq!(feed(&mut small, &next(1, 1, &[106])).unwrap().len(), 1);
    }
    let refused = (1..20).find_map(|n| feed(&mut small, &begin(n)).err());
    assert_eq!(refused, Some(ConnectionError::UnfinishedTooLarge { limit }));
}

#[test]
fn a_claimed_length_takes_no_memory() {
    let mut inbound = inbound(Limits::default());
    let claim = u32::try_from(Limits::default().frame)
        .unwrap()
        .to_be_bytes();
    inbound.read_buf().extend_from_slice(&claim);
    assert!(inbound.next().is_none());
    assert!(inbound.read_buf().capacity() < 1 << 20);
    // A fragment's number promises nothing either.
    let promise = first(7, u64::MAX, &send(7), &[]);
    let mut inbound = self::inbound(Limits::default());
    assert!(feed(&mut inbound, &promise).unwrap().is_empty());
}

#[test]
fn what_is_not_a_frame_ends_the_connection() {
    let cases: [(&[u8], ConnectionError); 7] = [
        (&[112, 131, 106], ConnectionError::UnexpectedFrame(112)),
        (&[131, 71], ConnectionError::UnexpectedFrame(71)),
        (&[131], ConnectionError::Truncated),
        (&[131, 68], ConnectionError::Truncated),
        (&[131, 68, 1, 0, 5], ConnectionError::NoSuchAtom { slot: 5 }),
        (&[131, 68, 1, 8, 5, 1, 0xff], ConnectionError::BadAtom),
        (
            &[131, 68, 0, 106],
            ConnectionError::Control(ControlError::NoOperation),
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(
            feed(&mut inbound(Limits::default()), body).unwrap_err(),
            expected
        );
    }
    let link = Control::Link {
        from: pid(1),
        to: pid(2),
    };
    for (body, expected) in [
        (whole(&link, &[106]), ConnectionError::Trailing),
        (whole(&send(1), &[]), ConnectionError::NoPayload),
    ] {
        assert_eq!(
            feed(&mut inbound(Limits::default()), &body).unwrap_err(),
            expected
        );
    }
}

#[test]
fn a_payload_beyond_a_limit_fails_alone() {
    let mut deep = vec![106];
    for _ in 0..100_000 {
        deep = [&[104, 1], &deep[..]].concat();
    }
    let mut inbound = inbound(Limits::default());
    let signals = feed(&mut inbound, &whole(&send(1), &deep)).unwrap();
    let raw = signals[0].payload.as_ref().unwrap();
    assert!(raw.decode(&TermLimits::default()).unwrap_err().is_limit());
    assert_eq!(
        feed(&mut inbound, &whole(&send(2), &[106])).unwrap().len(),
        1
    );
}

#[test]
fn control_messages_that_are_none() {
    let parse = |items: Vec<Term>| Control::from_term(&Term::tuple(items)).unwrap_err();
    assert_eq!(parse(vec![]), ControlError::NoOperation);
    assert_eq!(parse(vec![Term::atom("ok")]), ControlError::NoOperation);
    for op in [-1, 0, 4, 5, 9, 10, 11, 14, 15, 17, 38, 99] {
        assert_eq!(
            parse(vec![op.into(), pid(1).into()]),
            ControlError::UnknownOperation(op)
        );
    }
    for op in [1, 2, 3, 6, 7, 8, 12, 13, 16].into_iter().chain(18..=37) {
        assert_eq!(parse(vec![op.into()]), ControlError::BadFields(op));
        assert_eq!(
            parse(vec![op.into(), 1.into(), 2.into(), 3.into()]),
            ControlError::BadFields(op)
        );
    }
}

/// A binary that knows whether it was copied.
#[test]
fn large_binaries_go_out_as_they_are() {
    let large = Bytes::from(vec![7; 5000]);
    let message = Term::tuple([
        Term::atom("data"),
        Term::binary(large.clone()),
        Term::atom("end"),
    ]);
    let mut outbound = outbound();
    let queued = outbound
        .push(Instant::ZERO, &send(1), Payload::Term(&message))
        .unwrap();
    let shared = outbound
        .segments()
        .any(|segment| segment.as_ptr() == large.as_ptr());
    assert!(shared, "the very same memory");
    let mut inbound = inbound(Limits::default());
    let mut seen = Vec::new();
    // A socket takes it in odd pieces.
    while !outbound.is_empty() {
        let piece = outbound.segments().next().unwrap();
        let piece = piece[..piece.len().min(333)].to_vec();
        inbound.read_buf().extend_from_slice(&piece);
        outbound.sent(piece.len());
        seen.extend(inbound.by_ref().map(Result::unwrap));
    }
    assert_eq!(outbound.queued(), 0);
    assert!(queued.bytes > 5000);
    assert_eq!(payload(&seen[0]), message);

    let mut encoded = Vec::new();
    encoded.put(&bare(&message));
    let encoded = Bytes::from(encoded);
    outbound
        .push(Instant::ZERO, &send(2), Payload::Encoded(&encoded))
        .unwrap();
    assert!(
        outbound
            .segments()
            .any(|segment| segment.as_ptr() == encoded.as_ptr())
    );
}

#[test]
fn control_message_and_payload_belong_together() {
    let mut outbound = outbound();
    let link = Control::Link {
        from: pid(1),
        to: pid(2),
    };
    let term = Term::atom("x");
    assert_eq!(
        outbound.push(Instant::ZERO, &link, Payload::Term(&term)),
        Err(PushError::Payload)
    );
    assert_eq!(
        outbound.push(Instant::ZERO, &send(1), Payload::None),
        Err(PushError::Payload)
    );
    assert!(outbound.is_empty());
}

#[test]
fn who_was_stopped_does_not_blame_the_peer_for_the_silence() {
    let at = |seconds| Instant::at(Duration::from_secs(seconds));
    let mut inbound = inbound(Limits::default());
    assert_eq!(inbound.poll_timeout(), Some(at(75)));
    // An hour later: nothing was read, for nobody was there to read.
    inbound.handle_timeout(at(3600));
    assert!(inbound.next().is_none());
    assert_eq!(inbound.poll_timeout(), Some(at(3675)));
    // A little late is late.
    inbound.handle_timeout(at(3680));
    assert_eq!(
        inbound.next().map(Result::unwrap_err),
        Some(ConnectionError::TickTimeout)
    );
}

#[test]
fn ticks_come_when_nothing_else_does() {
    let at = |seconds| Instant::at(Duration::from_secs(seconds));
    let flags = Flags::hidden_default();
    let visible = flags.with(Flags::PUBLISHED);
    let mut quiet = Outbound::new(Instant::ZERO, flags, visible, DEFAULT_TICK_TIME);
    assert_eq!(quiet.poll_timeout(), Some(at(15)));
    quiet.handle_timeout(at(14));
    assert!(quiet.is_empty());
    quiet.handle_timeout(at(15));
    assert_eq!(quiet.segments().collect::<Vec<_>>(), [[0; 4]]);
    quiet.handle_timeout(at(30));
    assert_eq!(quiet.queued(), 4, "no second one while the first waits");
    quiet.sent(4);
    let link = Control::Link {
        from: pid(1),
        to: pid(2),
    };
    quiet.push(at(40), &link, Payload::None).unwrap();
    assert_eq!(quiet.poll_timeout(), Some(at(55)));
    quiet.set_tick_time(Duration::from_secs(4));
    assert_eq!(quiet.poll_timeout(), Some(at(41)));

    // To a hidden peer at each interval.
    let mut hidden = Outbound::new(Instant::ZERO, flags, flags, DEFAULT_TICK_TIME);
    hidden.push(at(14), &link, Payload::None).unwrap();
    hidden.sent(hidden.queued());
    assert_eq!(hidden.poll_timeout(), Some(at(15)));
}

#[test]
fn what_waits_shows_as_sizes_only() {
    let word = Term::binary(Bytes::from_static(b"a word for one process"));
    let mut outbound = outbound();
    let queued = outbound
        .push(Instant::ZERO, &send(2), Payload::Term(&word))
        .unwrap();
    let shown = format!("{outbound:?}");
    assert!(
        shown.contains(&format!("bytes: {}", queued.bytes)),
        "{shown}"
    );

    // A whole message, a fragment of one, and half a frame.
    let mut inbound = inbound(Limits::default());
    let signals = feed(&mut inbound, &whole(&send(2), &bare(&word))).unwrap();
    feed(&mut inbound, &first(1, 2, &send(2), &bare(&word))).unwrap();
    inbound
        .read_buf()
        .extend_from_slice(b"\0\0\x01\0a word for one process");
    let other = format!("{inbound:?} {signals:?}");
    assert!(
        other.contains("bytes: 26") && other.contains("open: 1"),
        "{other}"
    );

    for shown in [shown, other] {
        // Neither as text nor as numbers.
        assert!(!shown.contains("word") && !shown.contains("119"), "{shown}");
    }
}

/// A busy connection reads more at once, a quiet one holds nothing.
#[test]
fn the_read_buffer_follows_the_traffic() {
    let room = |inbound: &mut Inbound| {
        let buffer = inbound.read_buf();
        buffer.capacity() - buffer.len()
    };
    let mut inbound = inbound(Limits::default());
    let small = room(&mut inbound);
    assert!((1 << 10..2 << 10).contains(&small), "{small}");
    let tick = [0; 4];
    for second in 0..10 {
        let now = Instant::at(Duration::from_millis(100 * second));
        let most = room(&mut inbound);
        let ticks = tick.repeat(most / 4);
        inbound.read_buf().extend_from_slice(&ticks);
        inbound.advance(now);
        assert!(inbound.next().is_none());
    }
    let large = room(&mut inbound);
    assert!(large >= 128 << 10, "{large}");
    let due = inbound.poll_timeout().unwrap();
    assert_eq!(due, Instant::at(Duration::from_millis(1900)));
    inbound.handle_timeout(due);
    assert_eq!(room(&mut inbound), small);
    // What is in it stays.
    inbound.read_buf().extend_from_slice(&[0, 0]);
    inbound.advance(due);
    inbound.handle_timeout(Instant::at(Duration::from_secs(5)));
    inbound.read_buf().extend_from_slice(&[0, 0]);
    assert!(inbound.next().is_none());
}
