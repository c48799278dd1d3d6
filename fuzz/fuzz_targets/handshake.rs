#![no_main]

#[path = "../../crates/proto/tests/fuzz/handshake.rs"]
mod handshake;

libfuzzer_sys::fuzz_target!(|input: &[u8]| handshake::run(input));
