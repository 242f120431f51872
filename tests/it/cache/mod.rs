//! Integration tests of the cache of references.

mod failures;
mod load;
mod origins;
mod requests;
