//! The vectors.
#![allow(dead_code, reason = "each test program uses a part")]

pub(crate) mod modern;

use bytes::Bytes;
use serde::Deserialize;

/// What each file's README explains.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) hex: String,
    pub(crate) term: Option<String>,
    pub(crate) decoded: Option<String>,
    /// Of malformed ones.
    #[serde(default)]
    pub(crate) accepted: Vec<String>,
    pub(crate) used: Option<usize>,
    /// Of large ones.
    #[serde(default)]
    pub(crate) otp: Vec<String>,
}

impl Vector {
    pub(crate) fn bytes(&self) -> Bytes {
        let digits = self.hex.as_bytes().as_chunks::<2>().0;
        let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.iter().map(byte).collect()
    }
}

/// All terms that this release was seen to encode.
pub(crate) fn release(otp: &str) -> Vec<Vector> {
    let mut vectors = match otp {
        "25" => parse(include_str!("../vectors/otp25.jsonl")),
        "27" => parse(include_str!("../vectors/otp27.jsonl")),
        _ => parse(include_str!("../vectors/otp29.jsonl")),
    };
    let large = parse(include_str!("../vectors/large.jsonl"));
    vectors.extend(
        large
            .into_iter()
            .filter(|vector| vector.otp.iter().any(|other| other == otp)),
    );
    vectors
}

pub(crate) fn malformed() -> Vec<Vector> {
    parse(include_str!("../vectors/malformed.jsonl"))
}

fn parse(text: &str) -> Vec<Vector> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
