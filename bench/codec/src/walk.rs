//! Our walk, as `peers/libei.c` does it.

use trunkline_etf::{AtomRef, Limits, RawTerm, Token, Visit};

/// Checks, then reads every value, as `peers/libei.c` does.
#[must_use]
pub fn walk(raw: &RawTerm, limits: &Limits) -> i64 {
    let mut sum = Sum(0);
    raw.walk(limits).expect("a shape is a term").visit(&mut sum);
    sum.0
}

struct Sum(i64);

impl Sum {
    fn add(&mut self, value: i64) {
        self.0 = self.0.wrapping_add(value);
    }
}

impl<'a> Visit<'a> for Sum {
    fn token(&mut self, token: Token<'a>) {
        self.add(match token {
            Token::Big(value) => i64::from(value.is_negative()),
            Token::Pid(encoded) => encoded.pid().map_or(0, |pid| pid.id.into()),
            Token::Reference(encoded) => {
                let reference = encoded.reference();
                reference.map_or(0, |reference| reference.words()[0].into())
            }
            _ => 0,
        });
    }

    fn int(&mut self, value: i64) {
        self.add(value);
    }

    fn float(&mut self, value: f64) {
        self.add(i64::from(value > 0.0));
    }

    fn atom(&mut self, atom: AtomRef<'a>) {
        self.add(first(atom.as_bytes().unwrap_or_default()));
    }

    fn binary(&mut self, bytes: &'a [u8]) {
        self.add(bytes.len() as i64);
    }

    fn string(&mut self, bytes: &'a [u8]) {
        self.add(first(bytes));
    }

    fn nil(&mut self) {}

    fn list(&mut self, _: usize) {}

    fn tuple(&mut self, _: usize) {}

    fn map(&mut self, _: usize) {}
}

fn first(bytes: &[u8]) -> i64 {
    bytes.first().copied().map_or(0, i64::from)
}
