#![no_main]

#[path = "../../crates/proto/tests/fuzz/inbound.rs"]
mod inbound;

libfuzzer_sys::fuzz_target!(|input: &[u8]| inbound::run(input));
