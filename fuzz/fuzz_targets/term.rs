#![no_main]

#[path = "../../crates/proto/tests/fuzz/term.rs"]
mod term;

libfuzzer_sys::fuzz_target!(|input: &[u8]| term::run(input));
