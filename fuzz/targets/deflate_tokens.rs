#![no_main]

#[path = "../../deflate/tests/support/properties.rs"]
#[allow(dead_code)]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::rebuild_any_token_form(input));
