//! `take` and `tally`: what has been received.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use trunkline_etf::{Reference, Term, term};

use crate::puppet::Puppet;

/// The modulus of Adler-32.
const ADLER: u32 = 65521;

/// Both sums stay below 2³² for so many bytes without a division.
const ADLER_RUN: usize = 5552;

impl Puppet {
    /// The next `count` messages, as many as come within `limit`.
    pub(crate) async fn taken(&mut self, count: u64, limit: Duration) -> Term {
        let deadline = Instant::now() + limit;
        let mut taken = Vec::new();
        for _ in 0..count {
            match self.next(deadline).await {
                Some(message) => taken.push(message),
                None => break,
            }
        }
        Term::list(taken)
    }

    /// Of the next `count` `{Tag, Number, Binary}`: how many, the Adler-32 of all binaries, and whether each tag counted up.
    pub(crate) async fn tallied(&mut self, count: u64, limit: Duration) -> Term {
        let deadline = Instant::now() + limit;
        let (mut found, mut sum, mut in_order) = (0, 1, true);
        let mut last: HashMap<Term, i64> = HashMap::new();
        while found < count {
            let Some(message) = self.next(deadline).await else {
                break;
            };
            let Some([tag, number, binary]) = message.as_tuple() else {
                continue;
            };
            found += 1;
            sum = adler32(sum, binary.as_binary().unwrap_or_default());
            let Some(number) = number.as_i64() else {
                in_order = false;
                continue;
            };
            let before = last.insert(tag.clone(), number);
            in_order &= before.is_none_or(|before| before + 1 == number);
        }
        term!({(found), (sum), (in_order)})
    }

    /// Forgets a DOWN that has been taken out of the mailbox already.
    pub(crate) fn forget_down(&mut self, monitor: &Reference) {
        self.kept.retain(|message| match message.as_tuple() {
            Some([word, reference, ..]) if word.is_atom("DOWN") => {
                reference.as_reference() != Some(monitor)
            }
            _ => true,
        });
    }
}

/// As `erlang:adler32/2`.
fn adler32(sum: u32, bytes: &[u8]) -> u32 {
    let (mut low, mut high) = (sum & 0xffff, sum >> 16);
    for run in bytes.chunks(ADLER_RUN) {
        for byte in run {
            low += u32::from(*byte);
            high += low;
        }
        low %= ADLER;
        high %= ADLER;
    }
    high << 16 | low
}

#[cfg(test)]
mod tests {
    use super::adler32;

    #[test]
    fn adler32_is_that_of_erlang() {
        assert_eq!(adler32(1, b"Wikipedia"), 0x11e6_0398);
        assert_eq!(
            adler32(1, &[255; 100_000]),
            adler32(adler32(1, &[255; 40_000]), &[255; 60_000])
        );
    }
}
