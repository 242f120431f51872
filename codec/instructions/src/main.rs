//! Runs one small case of the codec once: `codec-instructions CASE`; without a case it lists them.
//! `scripts/count-instructions` counts the instructions of the run without the creation of inputs.
#![allow(clippy::panic, clippy::unwrap_used)]

#[path = "../../benches/support/mod.rs"]
mod support;
use support::cases::{Case, NAMES};

fn main() {
    match std::env::args().nth(1) {
        Some(name) => println!("{}", Case::new(&name).run().len()),
        None => NAMES.iter().for_each(|name| println!("{name}")),
    }
}
