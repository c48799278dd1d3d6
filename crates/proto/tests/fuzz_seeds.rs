//! The fuzz targets' bodies over the inputs that are kept in `fuzz/seeds`: taken from real nodes,
//! and what the fuzzer found.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod fuzz;
mod support;

use std::fs;
use std::path::{Path, PathBuf};

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/seeds")
        .join(target)
}

#[test]
fn every_seed_passes_its_target() {
    for (target, run) in fuzz::TARGETS {
        let mut seeds = 0;
        for entry in fs::read_dir(folder(target)).unwrap() {
            let path = entry.unwrap().path();
            // Shown when it fails.
            println!("{}", path.display());
            run(&fs::read(path).unwrap());
            seeds += 1;
        }
        assert!(seeds > 10, "{seeds} seeds of {target}");
    }
}

/// Writes the seeds from the recordings: `cargo test -p trunkline-proto --test fuzz_seeds --
/// --ignored`. What the fuzzer found stays.
#[test]
#[ignore = "writes files"]
fn write_the_seeds() {
    for target in ["epmd", "handshake", "inbound"] {
        for scenario in support::scenarios() {
            for (number, connection) in scenario.connections.iter().enumerate() {
                for (dir, choice) in [(support::Dir::C2s, 0_u8), (support::Dir::S2c, 10)] {
                    let frames = connection.frames.iter().filter(|frame| frame.dir == dir);
                    let bytes: Vec<u8> = match (target, connection.of.as_str()) {
                        ("epmd", "epmd") => frames.flat_map(support::Frame::wire).collect(),
                        ("handshake", "dist") => {
                            let frames = frames.filter(|frame| frame.is_handshake());
                            let wire = frames.flat_map(support::Frame::wire);
                            std::iter::once(choice).chain(wire).collect()
                        }
                        ("inbound", "dist") => {
                            let frames = frames
                                .filter(|frame| !frame.is_handshake())
                                .map(support::Frame::wire)
                                .filter(|wire| wire.len() < 500)
                                .take(12);
                            std::iter::once(12).chain(frames.flatten()).collect()
                        }
                        _ => continue,
                    };
                    let known = ["pg-", "hs-2", "remsh-iex", "wrong", "epmd-29", "25-29"];
                    let twin = target != "inbound"
                        && known.iter().any(|like| scenario.name.starts_with(like));
                    if bytes.len() > 8 && (number < 20 && !twin) {
                        let name = format!("{}-{number}-{dir:?}", scenario.name);
                        fs::write(folder(target).join(name), bytes).unwrap();
                    }
                }
            }
        }
    }
    write_terms();
}

fn write_terms() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../etf/tests/vectors/otp29.jsonl");
    for (number, line) in fs::read_to_string(vectors).unwrap().lines().enumerate() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let bytes = value
            .get("hex")
            .and_then(|hex| hex.as_str())
            .map(support::hex);
        if let Some(bytes) = bytes.filter(|bytes| number % 4 == 0 && bytes.len() < 300) {
            fs::write(folder("term").join(format!("otp29-{number}")), bytes).unwrap();
        }
    }
}
