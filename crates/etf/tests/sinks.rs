//! Sinks of every behaviour get the same bytes.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use trunkline_etf::{Atom, Limits, Sink, Term};

/// Where a closure ends, the sink is asked for atoms without having been given everything.
#[test]
fn atoms_after_a_closure_cost_as_those_before() {
    for closure in [fun(0), fun(3), fun(200), Term::list([fun(40)])] {
        for atoms in [20, 1_000] {
            let atoms = (0..atoms).map(|_| Term::atom("ok"));
            let term = Term::tuple([closure.clone(), Term::list(atoms)]);
            let (mut plain, mut straight) = (Asked::default(), Asked::default());
            straight.buffer = Some(Vec::with_capacity(1 << 16));
            term.encode_bare(&mut plain);
            term.encode_bare(&mut straight);
            for sink in [&plain, &straight] {
                let told = format!(
                    "{} after {} of {}",
                    sink.waiting,
                    sink.all,
                    sink.buffer.is_some()
                );
                assert!(sink.waiting >= sink.all / 2, "{told}");
            }
            assert_eq!(plain.early + straight.early, 0);
            assert_eq!(plain.put, term.encoded_len());
            assert_eq!(straight.buffer.unwrap(), term.to_vec()[1..]);
        }
    }
}

/// Counts how often it is asked for an atom that comes after what was measured.
#[derive(Default)]
struct Asked {
    buffer: Option<Vec<u8>>,
    put: usize,
    /// Where what was measured ends.
    end: usize,
    /// Without `put` of what came before the atom, or with zeros behind it.
    waiting: usize,
    all: usize,
    /// What had come when it was asked last.
    seen: usize,
    /// Asked with what waits, inside of what was measured.
    early: usize,
}

impl Sink for Asked {
    fn put(&mut self, bytes: &[u8]) {
        self.put += bytes.len();
        if let Some(buffer) = &mut self.buffer {
            buffer.extend_from_slice(bytes);
        }
    }

    fn buffer(&mut self) -> Option<&mut Vec<u8>> {
        self.buffer.as_mut()
    }

    fn place_of(&mut self, _: &Atom) -> Option<u8> {
        let come = self.buffer.as_ref().map_or(self.put, Vec::len);
        let waits = come == self.seen
            || self
                .buffer
                .as_ref()
                .is_some_and(|all| all.ends_with(&[0; 2]));
        if come < self.end {
            self.early += usize::from(come == self.seen);
        } else {
            self.all += 1;
            self.waiting += usize::from(waits);
        }
        self.seen = come;
        None
    }

    fn measured(&mut self, len: usize) {
        let come = self.buffer.as_ref().map_or(self.put, Vec::len);
        self.end = self.end.max(come + len);
    }
}

/// A closure with so many variables.
fn fun(variables: usize) -> Term {
    let fun = [&[131, 112, 0, 0, 0, 0, 1][..], &[1; 16], &[0, 0, 0, 1]].concat();
    let count = u32::try_from(variables).unwrap().to_be_bytes();
    let pid = [88, 119, 1, b'a', 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
    let mut bytes = [&fun[..], &count, &[119, 1, b'm', 97, 0, 97, 0], &pid].concat();
    bytes.extend([119, 2, b'o', b'k'].repeat(variables));
    let size = u32::try_from(bytes.len() - 2).unwrap().to_be_bytes();
    bytes[2..6].copy_from_slice(&size);
    Term::decode(&bytes.into(), &Limits::default()).unwrap()
}
