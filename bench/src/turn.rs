//! A pair that is running, and one run of each kind.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use trunkline_proto::NodeName;

use crate::bytes::{self, Script};
use crate::figure::{Better, Figure, Kind};
use crate::line::Line;
use crate::pair::{Pair, Peer};
use crate::place::{Place, Watched};
use crate::process::Process;

/// How long one run may take before it counts as stuck.
const LIMIT: Duration = Duration::from_secs(30);

/// A pair that is running.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) pair: Pair,
    number: usize,
    /// The sender's and the receiver's; also what nodes would be called where bare sockets are measured.
    names: [NodeName; 2],
    /// The receiver's node name, or port.
    to: String,
    pub(crate) receiver: Process,
    pub(crate) sender: Process,
    /// Messages of each sender, or rounds.
    pub(crate) count: u64,
}

/// One run's figure.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) value: f64,
    /// What else it gave.
    pub(crate) more: Vec<(&'static str, f64)>,
    took: Duration,
}

impl Turn {
    pub(crate) fn start(place: &Place, pair: Pair, number: usize) -> Result<Self> {
        Self::begin(place, pair, number, None)
    }

    /// With one side run by callgrind.
    pub(crate) fn start_watched(place: &Place, pair: Pair, watched: &Watched<'_>) -> Result<Self> {
        Self::begin(place, pair, 0, Some(watched))
    }

    fn begin(
        place: &Place,
        pair: Pair,
        number: usize,
        watched: Option<&Watched<'_>>,
    ) -> Result<Self> {
        let unique = unique(number);
        let name = |role| format!("{role}{unique}@127.0.0.1").parse::<NodeName>();
        let names = [name("s")?, name("r")?];
        let [from, to] = names.each_ref().map(NodeName::as_str);
        let watches = |sends| watched.filter(|watched| watched.sends == sends);
        let receiver = place.start(pair.receiver, to, &pair, watches(false))?;
        let sender = place.start(pair.sender, from, &pair, watches(true))?;
        Ok(Self {
            pair,
            number,
            to: to.to_owned(),
            names,
            receiver,
            sender,
            count: 0,
        })
    }

    /// Until both take commands.
    pub(crate) fn until_ready(&mut self) -> Result<()> {
        self.sender.until_ready()?;
        let ready = self.receiver.until_ready()?;
        if matches!(self.pair.receiver, Peer::Tokio | Peer::Ractor) {
            ready.text("port")?.clone_into(&mut self.to);
        }
        Ok(())
    }

    /// New processes in place of these.
    pub(crate) fn restart(&mut self, place: &Place) -> Result<()> {
        let mut fresh = Self::start(place, self.pair, self.number)?;
        fresh.until_ready()?;
        fresh.count = self.count;
        *self = fresh;
        Ok(())
    }

    /// Tells both to end.
    pub(crate) fn end(&mut self) {
        self.sender.end();
        self.receiver.end();
    }

    /// How many messages fill a run. Warms up, too.
    pub(crate) fn enough(&mut self, figure: Figure, run: Duration) -> Result<u64> {
        let (first, most) = figure.counts();
        if first == most {
            return Ok(first);
        }
        let mut count = first;
        // The second time everything is warm.
        for _ in 0..2 {
            self.count = count;
            let took = self.once(figure, 0)?.took;
            let factor = run.as_secs_f64() / took.as_secs_f64().max(1e-6);
            count = ((count as f64 * factor) as u64).clamp(first, most);
        }
        Ok(count)
    }

    /// One run; of bare tokio one with each strategy, of which the best counts.
    pub(crate) fn best(&mut self, figure: Figure) -> Result<Sample> {
        let strategies = match self.pair.receiver {
            Peer::Tokio => 0..3,
            _ => 0..1,
        };
        let mut best: Option<Sample> = None;
        let mut each = Vec::new();
        for strategy in strategies {
            let sample = self.once(figure, strategy)?;
            each.push(sample.value);
            let wins = best.as_ref().is_none_or(|best| match figure.better() {
                Better::Higher => sample.value > best.value,
                Better::Lower => sample.value < best.value,
            });
            if wins {
                best = Some(sample);
            }
        }
        let mut best = best.context("there is a strategy")?;
        // What it costs to have the bytes, and not only to have seen them.
        if let (Kind::Stream { size: 1.., .. }, [small, large, new]) = (figure.kind(), &each[..]) {
            let named = [
                ("into 64 KiB", small),
                ("into 1 MiB", large),
                ("into new buffers", new),
            ];
            best.more.extend(named.map(|(name, value)| (name, *value)));
        }
        if let (Kind::Transfer, [system, unsent, unread]) = (figure.kind(), &each[..]) {
            let named = [
                ("× the system's buffers", system),
                ("× little unsent", unsent),
                ("× little unread", unread),
            ];
            best.more.extend(named.map(|(name, value)| (name, *value)));
        }
        Ok(best)
    }

    pub(crate) fn once(&mut self, figure: Figure, strategy: u64) -> Result<Sample> {
        match figure.kind() {
            Kind::Stream { senders, size } => self.stream(senders, size, strategy),
            Kind::RoundTrip => {
                let [from, to] = &self.names;
                let script = bytes::ping(from, to)?;
                self.round_trips("ping", "pinged", 1, strategy, &[script])
            }
            Kind::Connect => {
                let [from, to] = &self.names;
                let scripts = bytes::connect(from, to)?;
                // Bare sockets stand for EPMD's connection, too.
                let each = match self.pair.receiver {
                    Peer::Tokio => scripts.len() as u64,
                    _ => 1,
                };
                let connections = each * self.count;
                self.round_trips("connect", "connected", connections, strategy, &scripts)
            }
            Kind::Call { callers } => self.calls(callers),
            Kind::Transfer => self.transfer(strategy),
            Kind::Idle => self.idle(),
        }
    }

    fn stream(&mut self, senders: u64, size: u64, strategy: u64) -> Result<Sample> {
        let [from, to] = &self.names;
        let bytes = bytes::message(from, to, usize::try_from(size)?)?;
        let take = Line::new("take")
            .with("bytes", bytes)
            .with("senders", senders)
            .with("count", self.count)
            .with("size", size)
            .with("strategy", strategy)
            .with("fresh", matches!(self.pair.receiver, Peer::Raw));
        self.receiver.ask(&take)?;
        self.receiver.answer("taking", LIMIT)?;
        self.sender
            .ask(&take.renamed("send").with("to", &self.to))?;
        let took = self.receiver.answer("took", LIMIT)?;
        self.sender.answer("sent", LIMIT)?;
        let expected = senders * (self.count * (self.count + 1) / 2);
        let sum: u64 = took.number("sum")?;
        ensure!(sum == expected, "the sum is {sum}, not {expected}");
        let nanos: u64 = took.number("ns")?;
        // The time begins with the first message, so that one does not count.
        let messages = (senders * self.count - 1) as f64;
        let value = match size {
            0 => messages / nanos as f64 * 1e3,
            _ => messages * size as f64 / nanos as f64,
        };
        Ok(Sample {
            value,
            more: Vec::new(),
            took: Duration::from_nanos(nanos),
        })
    }

    fn round_trips(
        &mut self,
        ask: &str,
        answer: &str,
        connections: u64,
        strategy: u64,
        scripts: &[Script],
    ) -> Result<Sample> {
        let scripts = bytes::scripts(scripts);
        let serve = Line::new("serve")
            .with("scripts", &scripts)
            .with("strategy", strategy)
            .with("connections", connections);
        self.receiver.ask(&serve)?;
        self.receiver.answer("serving", LIMIT)?;
        let ask = Line::new(ask)
            .with("to", &self.to)
            .with("count", self.count)
            .with("scripts", &scripts)
            .with("strategy", strategy);
        self.sender.ask(&ask)?;
        let answer = self.sender.answer(answer, LIMIT)?;
        Ok(Sample {
            value: answer.number::<f64>("p50")? / 1e3,
            more: vec![("p99", answer.number::<f64>("p99")? / 1e3)],
            took: Duration::from_nanos(answer.number("ns")?),
        })
    }

    fn calls(&mut self, callers: u64) -> Result<Sample> {
        let call = Line::new("call")
            .with("to", &self.to)
            .with("count", self.count)
            .with("callers", callers);
        self.sender.ask(&call)?;
        let called = self.sender.answer("called", LIMIT)?;
        // Each answer is the number that was asked with, and one.
        let expected = callers * (self.count * (self.count + 1) / 2 + self.count);
        let sum: u64 = called.number("sum")?;
        ensure!(sum == expected, "the sum is {sum}, not {expected}");
        let nanos: u64 = called.number("ns")?;
        Ok(Sample {
            value: (callers * self.count) as f64 / nanos as f64 * 1e6,
            more: Vec::new(),
            took: Duration::from_nanos(nanos),
        })
    }

    fn transfer(&mut self, strategy: u64) -> Result<Sample> {
        let [from, to] = &self.names;
        let script = bytes::scripts(&[bytes::ping(from, to)?]);
        if self.pair.receiver == Peer::Tokio {
            let store = Line::new("store")
                .with("size", TRANSFER)
                .with("strategy", strategy)
                .with("scripts", &script);
            self.receiver.ask(&store)?;
            self.receiver.answer("serving", LIMIT)?;
        }
        let transfer = Line::new("transfer")
            .with("to", &self.to)
            .with("count", self.count)
            .with("size", TRANSFER)
            .with("transfers", TRANSFERS)
            .with("strategy", strategy)
            .with("scripts", script);
        self.sender.ask(&transfer)?;
        let answer = self.sender.answer("transferred", LIMIT)?;
        let micros = |key| Ok::<_, anyhow::Error>(answer.number::<f64>(key)? / 1e3);
        let nanos: u64 = answer.number("ns")?;
        Ok(Sample {
            value: micros("p99")? / micros("idle99")?,
            more: vec![
                ("idle p99 µs", micros("idle99")?),
                ("p99 µs", micros("p99")?),
                ("p50 µs", micros("p50")?),
                ("pings", answer.number("pings")?),
                ("GB/s", (TRANSFERS * TRANSFER) as f64 / nanos as f64),
            ],
            took: Duration::from_nanos(nanos),
        })
    }

    fn idle(&mut self) -> Result<Sample> {
        // What the first connections cost once is no connection's.
        self.dial(20)?;
        let before = self.settled()?;
        self.dial(self.count)?;
        let after = self.settled()?;
        Ok(Sample {
            value: (after as f64 - before as f64) / self.count as f64,
            more: Vec::new(),
            took: Duration::ZERO,
        })
    }

    fn dial(&mut self, count: u64) -> Result<()> {
        let dial = Line::new("dial")
            .with("to", &self.to)
            .with("count", count)
            .with("prefix", unique(self.number));
        self.sender.ask(&dial)?;
        self.sender.answer("dialled", LIMIT)?;
        Ok(())
    }

    /// The receiver's memory in KiB, when it has been the same for half a second.
    fn settled(&self) -> Result<u64> {
        let deadline = Instant::now() + SETTLED;
        let mut last = self.receiver.resident()?;
        let mut since = Instant::now();
        while since.elapsed() < Duration::from_millis(500) && Instant::now() < deadline {
            sleep(Duration::from_millis(50));
            let now = self.receiver.resident()?;
            if now != last {
                (last, since) = (now, Instant::now());
            }
        }
        Ok(last)
    }
}

/// A part of a node's name that was never used: the time makes it so between runs, the count within one.
fn unique(number: usize) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{number}x{count}x{}", std::process::id())
}

/// One after another, so that there are enough round trips meanwhile for a 99th percentile.
const TRANSFERS: u64 = 10;

/// How many bytes each brings.
const TRANSFER: u64 = 100_000_000;

/// The longest wait for memory that does not change.
const SETTLED: Duration = Duration::from_secs(3);
