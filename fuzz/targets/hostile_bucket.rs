#![no_main]

#[path = "../../tests/it/protocol/hostile_bucket/forgery.rs"]
mod forgery;
#[path = "../../tests/it/protocol/hostile_bucket/property.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|input: &[u8]| property::hostile_bucket(input));
