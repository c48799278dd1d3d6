//! Our walk, as `peers/libei.c` does it.

use trunkline_etf::{Limits, RawTerm, Token};

/// Checks, then reads every value, as `peers/libei.c` does.
#[must_use]
pub fn walk(raw: &RawTerm, limits: &Limits) -> i64 {
    let mut walk = raw.walk(limits).expect("a shape is a term");
    let mut sum = 0_i64;
    while let Some(token) = walk.token() {
        sum = sum.wrapping_add(match token {
            Token::Int(value) => value,
            Token::Big(value) => i64::from(value.is_negative()),
            Token::Float(value) => i64::from(value > 0.0),
            Token::Atom(text) => first(text.as_bytes().unwrap_or_default()),
            Token::Binary(bytes) => bytes.len() as i64,
            Token::String(bytes) => first(bytes),
            Token::Pid(encoded) => encoded.pid().map_or(0, |pid| pid.id.into()),
            Token::Reference(encoded) => {
                let reference = encoded.reference();
                reference.map_or(0, |reference| reference.words()[0].into())
            }
            _ => 0,
        });
    }
    sum
}

fn first(bytes: &[u8]) -> i64 {
    bytes.first().copied().map_or(0, i64::from)
}
