//! Everybody's codec on the same bytes: see README.md.
//!
//! `trunkline-bench-codec` measures all and prints the figures as JSON; `--json FILE` writes them there. `spin OPERATION SHAPE TIMES` does one
//! thing only, for a profiler.

mod peers;

use std::hint::black_box;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use trunkline_bench_codec::{shapes, visit, walk};
use trunkline_etf::{Limits, RawTerm, Term};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        [] => println!("{}", serde_json::to_string_pretty(&peers::measure()?)?),
        ["--json", file] => {
            let report = peers::measure()?;
            std::fs::write(file, serde_json::to_string_pretty(&report)?)?;
        }
        ["spin", operation, shape, times] => spin(operation, shape, times.parse()?)?,
        _ => bail!("usage: trunkline-bench-codec [--json FILE | spin OPERATION SHAPE TIMES]"),
    }
    Ok(())
}

fn spin(operation: &str, shape: &str, times: usize) -> Result<()> {
    let shape = shapes().into_iter().find(|known| known.name == shape);
    let bytes = Bytes::from(shape.context("no such shape")?.bytes);
    let limits = Limits::default();
    let raw = RawTerm::new(bytes.slice(1..));
    let term = Term::decode(&bytes, &limits)?;
    let checked = raw.walk(&limits)?;
    let theirs = eetf::Term::decode(&*bytes)?;
    let mut buffer = Vec::with_capacity(1 << 20);
    for _ in 0..times {
        match operation {
            "check" => drop(black_box(black_box(&raw).walk(&limits)?)),
            "visit" => drop(black_box(visit(black_box(&raw), &limits))),
            "walk" => drop(black_box(walk(black_box(checked)))),
            "decode" => drop(black_box(Term::decode(black_box(&bytes), &limits)?)),
            "encode" => {
                buffer.clear();
                black_box(&term).encode(black_box(&mut buffer));
            }
            "vec" => drop(black_box(black_box(&term).to_vec())),
            "eetf-decode" => drop(black_box(eetf::Term::decode(black_box(&*bytes))?)),
            "eetf-encode" => {
                buffer.clear();
                black_box(&theirs).encode(black_box(&mut buffer))?;
            }
            "eetf-vec" => {
                let mut out = Vec::with_capacity(128);
                black_box(&theirs).encode(&mut out)?;
                drop(black_box(out));
            }
            other => bail!(
                "no operation {other}: check, visit, walk, decode, encode, vec, eetf-decode, eetf-encode, eetf-vec"
            ),
        }
    }
    Ok(())
}
