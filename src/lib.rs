//! Keeps many versions of large files in S3-compatible object storage at the cost of one.

pub mod cache;
pub mod domain;
mod service;
pub mod storage;
