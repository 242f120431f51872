//! Inputs and cases that the benchmarks and the counter of instructions share.
#![allow(dead_code, unreachable_pub)] // each program uses a part

pub mod cases;
pub mod inputs;
#[path = "../../tests/support/random.rs"]
pub mod random;
