//! The commands of the binary, one file a command or matter.

mod attributes;
mod bad_input;
mod cache;
mod closed_streams;
mod copies;
mod copies_inside;
mod damage;
mod damaged_store;
mod drafts;
mod hostile;
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
mod secrets;
mod settings;
mod stats;
mod sync;
mod terminal;
mod xdelta3;
