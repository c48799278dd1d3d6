#![no_main]

#[path = "../../crates/proto/tests/fuzz/epmd.rs"]
mod epmd;

libfuzzer_sys::fuzz_target!(|input: &[u8]| epmd::run(input));
