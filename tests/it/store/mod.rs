//! Tests of the storage interface and its implementations: memory, directory, S3.

mod dir;
mod dir_conformance;
mod dir_damage;
mod dir_processes;
mod least_permissions;
mod memory;
mod s3;
mod s3_answers;
mod s3_attributes;
mod s3_buckets;
mod s3_checksums;
mod s3_conditions;
mod s3_conformance;
mod s3_listings;
mod s3_patience;
mod s3_ranges;
mod s3_reasons;
mod s3_refusals;
mod s3_settings;
