//! The protocol of names and references: rules, interleavings, faults, crashes, races.

#[cfg(feature = "abort")]
mod crash_sweep;
mod exploration;
mod fault_sweep;
mod fault_sweep_http;
mod faults;
mod hostile_bucket;
mod index;
mod interleavings;
mod large_bucket;
mod large_files;
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
