//! Bytes as what comes on a connection.

use bytes::BufMut as _;
use trunkline_etf::Limits as TermLimits;
use trunkline_proto::conn::{
    DEFAULT_TICK_TIME, Inbound, Limits, Outbound, Payload, Sending, Signal,
};
use trunkline_proto::control::Control;
use trunkline_proto::{Flags, Instant};

/// The first byte says what was negotiated and how the rest comes. After an error nothing comes;
/// what comes can be sent again, in whatever form, and comes out the same.
pub(crate) fn run(input: &[u8]) {
    let Some((&choice, rest)) = input.split_first() else {
        return;
    };
    let flags = flags(choice);
    let limits = Limits::default()
        .with_frame(1 << 20)
        .with_message(1 << 20)
        .with_unfinished(2 << 20)
        .with_sequences(20);
    let mut inbound = Inbound::new(Instant::ZERO, flags, DEFAULT_TICK_TIME, limits);
    let mut again = Again::new(choice, flags);
    let step = [1, 7, 100, usize::MAX][usize::from(choice >> 2 & 3)];
    let mut rest = rest;
    while !rest.is_empty() {
        let buffer = inbound.read_buf();
        // As a socket does, or beyond what was asked for.
        let room = if choice & 16 == 0 {
            (buffer.capacity() - buffer.len()).max(1)
        } else {
            usize::MAX
        };
        let (part, later) = rest.split_at(step.min(room).min(rest.len()));
        rest = later;
        buffer.put_slice(part);
        inbound.advance(Instant::ZERO);
        while let Some(signal) = inbound.next() {
            let Ok(signal) = signal else {
                assert!(inbound.next().is_none() && inbound.poll_timeout().is_none());
                return;
            };
            again.check(&signal);
        }
    }
}

fn flags(choice: u8) -> Flags {
    let all = Flags::hidden_default();
    match choice & 3 {
        0 => all,
        1 => all.without(Flags::DIST_HDR_ATOM_CACHE),
        2 => all.without(Flags::FRAGMENTS),
        _ => Flags::NONE,
    }
}

/// The way back.
struct Again {
    outbound: Outbound,
    inbound: Inbound,
}

impl Again {
    fn new(choice: u8, flags: Flags) -> Self {
        let sending = Sending::default()
            .with_atom_cache(choice & 32 == 0)
            .with_whole(if choice & 64 == 0 { 10 } else { 1000 })
            .with_piece(if choice & 128 == 0 { 7 } else { 1000 });
        let time = DEFAULT_TICK_TIME;
        Self {
            outbound: Outbound::new(Instant::ZERO, flags, flags, time).with_sending(sending),
            inbound: Inbound::new(Instant::ZERO, flags, time, Limits::default()),
        }
    }

    fn check(&mut self, signal: &Signal) {
        let control = &signal.control;
        assert_eq!(control.has_payload(), signal.payload.is_some());
        assert_eq!(Control::from_term(&control.to_term()).as_ref(), Ok(control));
        let limits = TermLimits::default().with_inflated(1 << 20);
        let term = match signal.payload.as_ref().map(|raw| raw.decode(&limits)) {
            None => None,
            Some(Ok(term)) => Some(term),
            Some(Err(_)) => return,
        };
        let payload = term.as_ref().map_or(Payload::None, Payload::Term);
        let queued = self.outbound.push(Instant::ZERO, control, payload);
        assert!(queued.is_ok());
        while !self.outbound.is_empty() {
            let bytes = self.outbound.segments().collect::<Vec<_>>().concat();
            self.inbound.read_buf().extend_from_slice(&bytes);
            self.outbound.sent(bytes.len());
        }
        let seen = self.inbound.next().expect("it came").expect("it is sound");
        assert_eq!(seen.control, *control);
        let again = seen.payload.map(|raw| raw.decode(&limits));
        assert_eq!(again, term.map(Ok));
    }
}
