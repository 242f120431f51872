//! The commands of the binary, one file a command or matter.

mod attributes;
mod bad_input;
mod cache;
mod copies;
mod copies_inside;
mod damage;
mod damaged_store;
mod interrupt;
mod lists;
mod log;
mod migrate;
mod moves;
mod nasty_keys;
mod presign;
mod ranges;
mod removes;
mod repair;
mod stats;
mod sync;
mod xdelta3;
