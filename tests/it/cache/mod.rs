//! The cache of references, seen from outside.

mod failures;
mod load;
mod origins;
mod requests;
