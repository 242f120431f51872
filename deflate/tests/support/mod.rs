//! Inputs and checks that the tests and the fuzz targets share.
#![allow(dead_code, unreachable_pub)] // some are of the fuzz targets only

pub mod inputs;
pub mod naive;
pub mod naive_libdeflate;
pub mod naive_miniz;
pub mod properties;
