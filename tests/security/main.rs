//! Attacks on the cache of references. Each is a test that passes if the attack fails;
//! `scripts/attack-cache` runs them all. `scripts/check-planted` runs each on a copy of the tree
//! without the defence against it, where the attack must succeed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed step of a test ends it")]

#[path = "../it/support/mod.rs"]
mod support;

mod crashes;
mod entries;
mod folders;
mod logs;
mod memory;
mod monitor;
mod racing;
mod stage;
mod users;
