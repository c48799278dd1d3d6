//! Two nodes, a virtual clock, and a network that cuts and delays as a seed says: first the
//! handshake, then the connection. The failing seed is printed; `TRUNKLINE_SEED` runs it alone.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use trunkline_etf::{Atom, Limits as TermLimits, Pid, Reference, Term};
use trunkline_proto::conn::{ConnectionError, Inbound, Limits, Outbound, Payload};
use trunkline_proto::control::{Control, PidOrName};
use trunkline_proto::handshake::acceptor::{self, AfterName};
use trunkline_proto::handshake::initiator::{self, AfterStatus};
use trunkline_proto::handshake::{
    Connected, HandshakeError, HandshakeFramer, Local, Prefix, Race, race,
};
use trunkline_proto::{Cookie, Creation, Flags, Instant, NodeName};

const RUNS: u64 = 150;
const TICK_TIME: Duration = Duration::from_secs(4);

/// Runs a story with many seeds, or with the one that is asked for.
fn with_seeds(story: impl Fn(&mut Dice)) {
    let alone = std::env::var("TRUNKLINE_SEED")
        .ok()
        .map(|text| text.parse::<u64>().unwrap());
    let base = RandomState::new().hash_one("seed");
    let seeds = alone.map_or_else(
        || (0..RUNS).map(|run| base.wrapping_add(run)).collect(),
        |seed| vec![seed],
    );
    for seed in seeds {
        // Shown when the test fails.
        println!("TRUNKLINE_SEED={seed}");
        story(&mut Dice(seed));
    }
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn number(&mut self) -> u32 {
        u32::try_from(self.roll() >> 32).unwrap()
    }
}

/// One direction of a TCP connection: bytes arrive in pieces and late, but in order.
#[derive(Default)]
struct Pipe {
    sent: VecDeque<(Instant, Vec<u8>)>,
    /// Nothing arrives any more, and nobody says so.
    cut: bool,
}

impl Pipe {
    fn write(&mut self, now: Instant, mut bytes: &[u8], dice: &mut Dice) {
        let mut due = self.sent.back().map_or(now, |(due, _)| *due).max(now);
        while !bytes.is_empty() && !self.cut {
            let len = usize::try_from(dice.below(3000))
                .unwrap()
                .clamp(1, bytes.len());
            let (piece, rest) = bytes.split_at(len);
            due = due + Duration::from_millis(dice.below(20));
            self.sent.push_back((due, piece.to_vec()));
            bytes = rest;
        }
    }

    fn due(&self) -> Option<Instant> {
        self.sent.front().map(|(due, _)| *due)
    }

    fn read(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.due()? > now {
            return None;
        }
        self.sent.pop_front().map(|(_, bytes)| bytes)
    }
}

/// One end of a handshake: what it was told, frame by frame.
struct Talk {
    framer: HandshakeFramer,
    pipe: Pipe,
}

impl Talk {
    fn new(prefix: Prefix) -> Self {
        Self {
            framer: HandshakeFramer::new(prefix),
            pipe: Pipe::default(),
        }
    }

    fn say(&mut self, message: &[u8], dice: &mut Dice) {
        let frame = self.framer.frame(message);
        self.pipe.write(Instant::ZERO, &frame, dice);
    }

    /// The other end takes the next frame.
    fn hear(&mut self) -> Vec<u8> {
        loop {
            if let Some(frame) = self.framer.next_frame().unwrap() {
                return frame.to_vec();
            }
            let (_, piece) = self.pipe.sent.pop_front().expect("a frame was sent");
            self.framer.push(&piece);
        }
    }
}

fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

fn random_name(dice: &mut Dice) -> NodeName {
    name(&format!("n{}@10.0.0.{}", dice.below(50), dice.below(250)))
}

/// What both ends came to.
type Ends = (
    Result<Connected, HandshakeError>,
    Result<Connected, HandshakeError>,
);

fn handshake(dice: &mut Dice) -> Ends {
    let prefix = if dice.chance(50) {
        Prefix::U16
    } else {
        Prefix::U32
    };
    let (mut to_b, mut to_a) = (Talk::new(prefix), Talk::new(prefix));
    let (a_name, b_name) = (random_name(dice), random_name(dice));
    let cookie = |secret: bool| Cookie::new(if secret { "right" } else { "wrong" }).unwrap();
    let (a_cookie, b_cookie) = (cookie(dice.chance(80)), cookie(dice.chance(80)));
    let flags = Flags::hidden_default();
    let local = if dice.chance(20) {
        Local::dynamic(a_name.host(), flags)
    } else {
        Local::new(a_name.clone(), flags, Creation(dice.number()))
    };

    let peer = dice.chance(80).then(|| b_name.clone());
    let (frame, a) = initiator::Start::new(local, peer).send_name();
    to_b.say(&frame, dice);
    let b = acceptor::AwaitName::new(b_name.clone(), flags, Creation(dice.number()));
    let mut replaced = None;
    let challenger = match b.name(&to_b.hear()).unwrap() {
        AfterName::Nameless(caller) => {
            let given = name(&format!("given@{}", caller.host()));
            let (frame, next) = caller.accept(given, Creation(dice.number()));
            to_a.say(&frame, dice);
            next
        }
        AfterName::Caller(caller) if dice.chance(30) => match race(&b_name, &a_name) {
            Race::Ours => {
                to_a.say(&caller.refuse_nok(), dice);
                let error = a.status(&to_a.hear()).map(drop).unwrap_err();
                return (Err(error), Err(HandshakeError::Nok));
            }
            Race::Theirs => {
                let (frame, next) = caller.accept_simultaneous();
                to_a.say(&frame, dice);
                next
            }
        },
        AfterName::Caller(caller) if dice.chance(10) => {
            to_a.say(&caller.refuse(), dice);
            let error = a.status(&to_a.hear()).map(drop).unwrap_err();
            return (Err(error), Err(HandshakeError::NotAllowed));
        }
        AfterName::Caller(caller) if dice.chance(30) => {
            let (frame, alive) = caller.alive();
            to_a.say(&frame, dice);
            let AfterStatus::Alive(question) = a.clone().status(&to_a.hear()).unwrap() else {
                panic!("alive is a question");
            };
            if dice.chance(50) {
                let (frame, error) = question.give_up();
                to_b.say(&frame, dice);
                return (
                    Err(error),
                    Err(alive.status(&to_b.hear()).map(drop).unwrap_err()),
                );
            }
            let (frame, next) = question.replace();
            to_b.say(&frame, dice);
            replaced = Some(next);
            alive.status(&to_b.hear()).unwrap()
        }
        AfterName::Caller(caller) => {
            let (frame, next) = caller.accept();
            to_a.say(&frame, dice);
            next
        }
    };
    let (frame, b) = challenger.challenge(dice.number());
    to_a.say(&frame, dice);
    let a = replaced.unwrap_or_else(|| match a.status(&to_a.hear()).unwrap() {
        AfterStatus::Go(next) => next,
        AfterStatus::Alive(_) => panic!("nobody asked"),
    });
    let greeted = a.challenge(&to_a.hear()).unwrap();
    assert_eq!(greeted.greeting().name, b_name);
    let (frame, a) = greeted.reply(&a_cookie, dice.number());
    to_b.say(&frame, dice);
    match b.reply(&to_b.hear(), &b_cookie) {
        Err(error) => {
            assert_ne!(a_cookie, b_cookie);
            assert_eq!(a.closed().code(), "cookie_mismatch");
            (Err(error.clone()), Err(error))
        }
        Ok((frame, connected)) => {
            to_a.say(&frame, dice);
            (a.ack(&to_a.hear()), Ok(connected))
        }
    }
}

#[test]
fn both_ends_of_a_handshake_come_to_the_same() {
    with_seeds(|dice| match handshake(dice) {
        (Ok(a), Ok(b)) => {
            assert_eq!((&a.me, &a.peer), (&b.peer, &b.me));
            assert_eq!((a.my_creation, a.creation), (b.creation, b.my_creation));
            assert_eq!(a.flags, b.flags);
        }
        (a, b) => assert_eq!(a.unwrap_err(), b.unwrap_err()),
    });
}

/// One node of a connection.
struct End {
    inbound: Inbound,
    outbound: Outbound,
    received: Vec<(Control, Option<Term>)>,
    failed: Option<ConnectionError>,
}

impl End {
    fn new(flags: Flags, peer_flags: Flags, dice: &mut Dice) -> Self {
        let intensity = 4 + dice.number() % 8;
        Self {
            inbound: Inbound::new(Instant::ZERO, flags, TICK_TIME, Limits::default())
                .with_tick_intensity(intensity),
            outbound: Outbound::new(Instant::ZERO, flags, peer_flags, TICK_TIME)
                .with_tick_intensity(intensity),
            received: Vec::new(),
            failed: None,
        }
    }

    fn due(&self) -> Option<Instant> {
        self.inbound
            .poll_timeout()
            .into_iter()
            .chain(self.outbound.poll_timeout())
            .min()
    }

    fn step(&mut self, now: Instant, from: &mut Pipe, to: &mut Pipe, dice: &mut Dice) {
        while let Some(bytes) = from.read(now) {
            self.inbound.read_buf().extend_from_slice(&bytes);
            self.inbound.advance(now);
        }
        self.inbound.handle_timeout(now);
        for signal in &mut self.inbound {
            match signal {
                Ok(signal) => {
                    let payload = signal
                        .payload
                        .map(|raw| raw.decode(&TermLimits::default()).unwrap());
                    self.received.push((signal.control, payload));
                }
                Err(error) => self.failed = Some(error),
            }
        }
        self.outbound.handle_timeout(now);
        // A socket takes some of it, at times nothing.
        if dice.chance(80) {
            let all = self.outbound.segments().collect::<Vec<_>>().concat();
            let taken = usize::try_from(dice.below(2 * all.len() as u64 + 1)).unwrap();
            let taken = taken.min(all.len());
            to.write(now, &all[..taken], dice);
            self.outbound.sent(taken);
        }
    }
}

fn pid(id: u32) -> Pid {
    Pid {
        node: Atom::new("a@10.0.0.1").unwrap(),
        id,
        serial: 0,
        creation: 3,
    }
}

fn random_message(dice: &mut Dice) -> (Control, Option<Term>) {
    let (from, to) = (pid(dice.number()), pid(dice.number()));
    let reference =
        Reference::new(from.node.clone(), 3, &[dice.number(), dice.number(), 7]).unwrap();
    let token = dice.chance(10).then(|| Term::atom("token"));
    match dice.below(7) {
        0 => (Control::Link { from, to }, None),
        1 => (
            Control::UnlinkId {
                id: dice.roll(),
                from,
                to,
            },
            None,
        ),
        2 => (
            Control::MonitorP {
                from,
                to: PidOrName::Pid(to),
                reference,
            },
            None,
        ),
        3 => (
            Control::PayloadExit { from, to, token },
            Some(Term::atom("killed")),
        ),
        4 => {
            let module = Atom::new("erpc").unwrap();
            let control = Control::SpawnRequest {
                request: reference,
                from: from.clone(),
                group_leader: from,
                function: module.clone(),
                module,
                arity: 0,
                options: Term::list([Term::atom("monitor")]),
                token,
            };
            (control, Some(Term::list([1, 2, 3])))
        }
        _ => {
            let len = usize::try_from(dice.below(20_000)).unwrap();
            (
                Control::SendSender { from, to, token },
                Some(Term::binary(vec![7; len])),
            )
        }
    }
}

/// Runs both ends up to `until`, moving the clock to whatever is due next.
fn run(
    ends: &mut [End; 2],
    pipes: &mut [Pipe; 2],
    from: Instant,
    until: Instant,
    dice: &mut Dice,
) -> Instant {
    let mut now = from;
    loop {
        let [a, b] = ends;
        let [to_b, to_a] = pipes;
        a.step(now, to_a, to_b, dice);
        b.step(now, to_b, to_a, dice);
        let writes_left = !(a.outbound.is_empty() && b.outbound.is_empty());
        let retry = writes_left.then(|| now + Duration::from_millis(5));
        let next = [a.due(), b.due(), to_a.due(), to_b.due(), retry]
            .into_iter()
            .flatten()
            .min();
        match next {
            Some(next) if next <= until => now = next.max(now + Duration::from_micros(1)),
            _ => return until,
        }
    }
}

#[test]
fn messages_arrive_in_order_and_ticks_keep_a_quiet_link_up() {
    with_seeds(|dice| {
        let flags = Flags::hidden_default();
        let shared = if dice.chance(80) {
            flags
        } else {
            flags.without(Flags::DIST_HDR_ATOM_CACHE)
        };
        let visible = if dice.chance(50) {
            Flags::PUBLISHED
        } else {
            Flags::NONE
        };
        let mut ends = [
            End::new(shared, visible, dice),
            End::new(shared, flags, dice),
        ];
        let mut pipes = [Pipe::default(), Pipe::default()];
        let mut sent = [Vec::new(), Vec::new()];
        let mut now = Instant::ZERO;
        for _ in 0..dice.below(30) {
            let from = usize::from(dice.chance(50));
            let (control, payload) = random_message(dice);
            let with = payload.as_ref().map_or(Payload::None, Payload::Term);
            ends[from].outbound.push(now, &control, with).unwrap();
            sent[from].push((control, payload));
            let pause = Duration::from_millis(dice.below(6000));
            now = run(&mut ends, &mut pipes, now, now + pause, dice);
        }
        // Quiet for long: only ticks.
        now = run(&mut ends, &mut pipes, now, now + TICK_TIME * 20, dice);
        assert_eq!((ends[0].failed, ends[1].failed), (None, None));
        assert_eq!(ends[1].received, sent[0]);
        assert_eq!(ends[0].received, sent[1]);

        // The cable is pulled: both notice, not before the tick time and not long after.
        for pipe in &mut pipes {
            pipe.cut = true;
            pipe.sent.clear();
        }
        let early = now + TICK_TIME.mul_f32(0.7);
        run(&mut ends, &mut pipes, now, early, dice);
        assert_eq!((ends[0].failed, ends[1].failed), (None, None));
        run(
            &mut ends,
            &mut pipes,
            early,
            now + TICK_TIME.mul_f32(1.3),
            dice,
        );
        let expected = Some(ConnectionError::TickTimeout);
        assert_eq!((ends[0].failed, ends[1].failed), (expected, expected));
    });
}
