#![no_main]

#[path = "../../codec/tests/support/properties.rs"]
#[allow(dead_code)]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::decode_within_limits(input));
