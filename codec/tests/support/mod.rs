//! Generated input for the codec's tests.
#![allow(dead_code, unreachable_pub)] // each test program uses its part

pub mod case;
pub mod golden;
pub mod inputs;
pub mod random;
