//! The protocol of names and references: rules, interleavings, faults, crashes, races.

mod clock;
#[cfg(feature = "abort")]
mod crash_sweep;
mod decoder_memory;
mod exploration;
mod fault_sweep;
mod fault_sweep_http;
mod faults;
mod history;
mod history_copies;
mod hostile_bucket;
mod index;
mod interleavings;
mod interleavings_of_names;
mod large_bucket;
mod large_files;
mod listed_removals;
mod lists;
mod model;
mod races;
mod random_sequences;
mod reference_drift;
mod reference_rules;
mod regressions;
mod repair;
mod repair_elsewhere;
mod sync_requests;
