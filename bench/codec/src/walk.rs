//! Our ways to read every value without building a term, as `peers/libei.c` does it.

use std::convert::Infallible;
use std::ops::ControlFlow;

use trunkline_etf::{AtomRef, Limits, PidRef, RawTerm, ReferenceRef, Token, Visit, Walk};

/// Checks and reads every value, in one pass.
#[must_use]
pub fn visit(raw: &RawTerm, limits: &Limits) -> i64 {
    let mut sum = Sum(0);
    let ControlFlow::Continue(()) = raw.visit(limits, &mut sum).expect("a shape is a term");
    sum.0
}

/// Reads every value of a term that was checked before.
#[must_use]
pub fn walk(mut checked: Walk<'_>) -> i64 {
    let mut sum = Sum(0);
    let ControlFlow::Continue(()) = checked.visit(&mut sum);
    sum.0
}

/// What libei copies out is looked at here, where it stands.
struct Sum(i64);

type Flow = ControlFlow<Infallible>;

impl Sum {
    #[inline(always)]
    fn add(&mut self, value: i64) -> Flow {
        self.0 = self.0.wrapping_add(value);
        ControlFlow::Continue(())
    }
}

impl<'a> Visit<'a> for Sum {
    type Stop = Infallible;

    #[inline(always)]
    fn token(&mut self, token: Token<'a>) -> Flow {
        self.add(match token {
            Token::Big(value) => i64::from(value.is_negative()),
            _ => 0,
        })
    }

    #[inline(always)]
    fn int(&mut self, value: i64) -> Flow {
        self.add(value)
    }

    #[inline(always)]
    fn float(&mut self, value: f64) -> Flow {
        self.add(i64::from(value > 0.0))
    }

    #[inline(always)]
    fn atom(&mut self, atom: AtomRef<'a>) -> Flow {
        self.add(first(atom.as_bytes().unwrap_or_default()))
    }

    #[inline(always)]
    fn binary(&mut self, bytes: &'a [u8]) -> Flow {
        self.add(bytes.len() as i64)
    }

    #[inline(always)]
    fn string(&mut self, bytes: &'a [u8]) -> Flow {
        self.add(first(bytes))
    }

    #[inline(always)]
    fn pid(&mut self, pid: PidRef<'a>) -> Flow {
        let node = first(pid.node().as_bytes().unwrap_or_default());
        let numbers = [pid.id(), pid.serial(), pid.creation()];
        self.add(node + numbers.map(i64::from).iter().sum::<i64>())
    }

    #[inline(always)]
    fn reference(&mut self, reference: ReferenceRef<'a>) -> Flow {
        let node = first(reference.node().as_bytes().unwrap_or_default());
        let words = reference.words().map(i64::from).sum::<i64>();
        self.add(node + words + i64::from(reference.creation()))
    }

    #[inline(always)]
    fn nil(&mut self) -> Flow {
        self.add(0)
    }

    #[inline(always)]
    fn list(&mut self, _: usize) -> Flow {
        self.add(0)
    }

    #[inline(always)]
    fn tuple(&mut self, _: usize) -> Flow {
        self.add(0)
    }

    #[inline(always)]
    fn map(&mut self, _: usize) -> Flow {
        self.add(0)
    }
}

fn first(bytes: &[u8]) -> i64 {
    bytes.first().copied().map_or(0, i64::from)
}
