//! Random terms, and a real BEAM behind a pipe that says what it makes of them.

#![allow(clippy::unwrap_used, reason = "the laboratory fails as its tests do")]

use std::{
    env,
    io::{Read, Write},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use trunkline_etf::{Atom, Export, Limits, Pid, Port, Reference, Term, View};

/// What it means, for Erlang's parser: identifiers cannot be written, so both sides spell them out.
pub fn plain(term: &Term) -> Term {
    let all = |terms: &[Term]| terms.iter().map(plain).collect::<Vec<_>>();
    match term.view() {
        View::Tuple(items) => Term::tuple(all(items)),
        View::List(items) => Term::list(all(items)),
        View::Improper(items, tail) => Term::list_with_tail(all(items), plain(tail)),
        View::Map(map) => Term::map(map.iter().map(|(key, value)| (plain(key), plain(value)))),
        View::Pid(pid) => Term::tuple([
            Term::atom("$pid"),
            Term::from(&pid.node),
            pid.id.into(),
            pid.serial.into(),
            pid.creation.into(),
        ]),
        View::Port(port) => Term::tuple([
            Term::atom("$port"),
            Term::from(&port.node),
            port.id.into(),
            port.creation.into(),
        ]),
        View::Reference(reference) => Term::tuple([
            Term::atom("$ref"),
            Term::from(reference.node()),
            reference.creation().into(),
            Term::list(reference.words().iter().copied()),
        ]),
        _ => term.clone(),
    }
}

/// An Erlang or Elixir that answers packets of terms; it ends with its input.
pub struct Beam {
    child: Child,
    input: Option<ChildStdin>,
    output: ChildStdout,
}

impl Beam {
    /// A script of `interop/fixtures`, run by `escript`.
    pub fn escript(name: &str) -> Self {
        let mut command = Command::new("escript");
        command.arg(fixture(name));
        Self::start(command, "escript", "erlang-base")
    }

    /// A script of `interop/fixtures`, run by `elixir`.
    pub fn elixir(name: &str) -> Self {
        let mut command = Command::new("elixir");
        command
            .args(["--erl", "-noinput +pc unicode +fnu"])
            .arg(fixture(name));
        Self::start(command, "elixir", "elixir")
    }

    fn start(mut command: Command, program: &str, package: &str) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| {
            panic!(
                "{program}: {error}; install it: apt-get install -y --no-install-recommends {package}"
            )
        });
        let input = child.stdin.take();
        let output = child.stdout.take().expect("its output is a pipe");
        Self {
            child,
            input,
            output,
        }
    }

    /// The answer to a question.
    pub fn ask(&mut self, question: &Term) -> Term {
        let encoded = question.to_vec();
        let length = u32::try_from(encoded.len())
            .expect("a small packet")
            .to_be_bytes();
        let input = self.input.as_mut().expect("open until the end");
        input
            .write_all(&length)
            .and_then(|()| input.write_all(&encoded))
            .expect("Erlang reads");
        let mut length = [0; 4];
        self.output
            .read_exact(&mut length)
            .expect("Erlang answers; its error is above");
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        self.output.read_exact(&mut answer).expect("a whole packet");
        Term::decode(&answer.into(), &Limits::default()).expect("a term")
    }
}

impl Drop for Beam {
    fn drop(&mut self) {
        self.input = None;
        // It ends with its input; a failing test must not wait for that.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Small, and the same everywhere for a seed (`TRUNKLINE_SEED`), which is printed.
pub struct Random(u64);

impl Random {
    /// With the seed of the environment, or a new one.
    pub fn from_environment() -> Self {
        let given = env::var("TRUNKLINE_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok());
        let clock = || {
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .expect("after 1970")
                .subsec_nanos()
                .into()
        };
        let seed = given.unwrap_or_else(clock);
        println!("TRUNKLINE_SEED={seed}");
        Self(seed)
    }

    /// SplitMix64.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`.
    fn below(&mut self, end: usize) -> usize {
        (self.number() % end as u64) as usize
    }

    /// Any term, at most so deep.
    pub fn term(&mut self, depth: usize) -> Term {
        if depth == 0 {
            return self.leaf();
        }
        match self.below(10) {
            0 => Term::tuple(self.several(depth, 6)),
            1 => Term::list(self.several(depth, 6)),
            2 => {
                let tail = self.term(depth - 1);
                Term::list_with_tail(self.several(depth, 4), tail)
            }
            3 => {
                let most = if depth == 4 { 50 } else { 5 };
                let keys = self.several(depth.min(2), most);
                Term::map(
                    keys.into_iter()
                        .map(|key| (key, self.leaf()))
                        .collect::<Vec<_>>(),
                )
            }
            _ => self.leaf(),
        }
    }

    fn several(&mut self, depth: usize, most: usize) -> Vec<Term> {
        (0..self.below(most))
            .map(|_| self.term(depth - 1))
            .collect()
    }

    fn leaf(&mut self) -> Term {
        match self.below(16) {
            0 => Term::from(self.number() as u8),
            1 => Term::from(self.number() as i32),
            2 => Term::from(self.number() as i64),
            3 => Term::from(i128::from(self.number() as i64) << self.below(63)),
            4 => {
                let length = if self.below(8) == 0 {
                    self.below(400)
                } else {
                    self.below(20)
                };
                let negative = self.below(2) == 0;
                Term::integer(negative, &self.bytes(length))
            }
            5 | 6 => Term::float(f64::from_bits(self.number())).unwrap_or_default(),
            7 | 8 => self.atom().into(),
            9 => {
                let length = self.below(40);
                Term::binary(self.bytes(length))
            }
            10 => {
                let bits = self.below(72);
                Term::bitstring(&self.bytes(9).into(), bits).expect("enough bytes")
            }
            11 => {
                let length = self.below(20);
                Term::list(self.bytes(length))
            }
            12 => Pid {
                node: self.node(),
                id: self.number() as u32,
                serial: self.number() as u32,
                creation: self.number() as u32,
            }
            .into(),
            13 => Port {
                node: self.node(),
                id: self.number() >> self.below(60),
                creation: self.number() as u32,
            }
            .into(),
            14 => self.reference(),
            _ => Export {
                module: self.atom(),
                function: self.atom(),
                arity: self.number() as u8,
            }
            .into(),
        }
    }

    fn reference(&mut self) -> Term {
        let words: Vec<u32> = (0..=self.below(5)).map(|_| self.number() as u32).collect();
        let reference = Reference::new(self.node(), self.number() as u32, &words);
        reference.expect("one to five words").into()
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.number() as u8).collect()
    }

    fn node(&mut self) -> Atom {
        let nodes = [
            "a@127.0.0.1",
            "næme@host",
            "a-rather-long-name@some-host.example.com",
            "ok",
        ];
        Atom::new(nodes[self.below(nodes.len())]).expect("short")
    }

    /// Few characters and short, since atoms stay in the other runtime.
    pub fn atom(&mut self) -> Atom {
        let from = [
            "a", "z", "_", "A", "9", "@", "é", "÷", "α", "😀", "'", "\\", "\n", "\u{80}", " ",
        ];
        let long = self.below(20) == 0;
        let text: String = (0..self.below(4))
            .map(|_| from[self.below(from.len())])
            .collect();
        Atom::new(&if long { text.repeat(80) } else { text }).expect("at most 240 characters")
    }
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name)
}
