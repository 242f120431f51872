//! The matcher of xdelta3 3.0.11. Every choice it makes shows in the bytes of the delta.

mod ahead;
mod checksum;
mod entry;
mod found;
mod instruction_buffer;
mod keyed_table;
mod match_len;
mod matcher;
#[cfg(test)]
mod naive;
mod profile;
mod scan;
mod source_index;
mod source_side;
mod source_window;
mod table;
mod target_index;
#[cfg(test)]
mod twin_tests;

pub(super) use matcher::Matcher;
pub use profile::MatcherProfile;
