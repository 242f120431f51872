//! Inputs, cases and properties of the codec's tests.
#![allow(dead_code, unreachable_pub)] // some are of the fuzz targets and benches only

pub mod case;
pub mod decode_inputs;
pub mod delta_by_hand;
pub mod golden;
pub mod inputs;
pub mod properties;
pub mod random;
