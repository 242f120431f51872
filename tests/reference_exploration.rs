//! References under every order of what two writers, a deleter and a reader do at once, with crashes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed step of a test ends it")]

mod exploration;
mod support;

use std::sync::Arc;
use std::time::Instant;

use deltaglider::cache::WorkingCopies;
use exploration::{Op, Scenario, search};
use support::{edited, noise};

fn version(n: u64) -> Vec<u8> {
    edited(&noise(1_000, 1), n)
}

/// Two writers, a deleter and a reader where something is deleted, and where nothing is yet.
fn scenarios() -> Vec<(&'static str, Scenario)> {
    let there = vec![Op::Put("x.zip", version(0))];
    let scenario = |before: &[Op], ops: Vec<Op>| Scenario { before: before.to_vec(), ops, crashes: 1, atomic: true };
    vec![
        (
            "first puts",
            scenario(
                &[],
                vec![
                    Op::Put("a.zip", version(1)),
                    Op::Put("b.zip", noise(1_000, 7)),
                    Op::Delete("a.zip"),
                    Op::Read("b.zip"),
                ],
            ),
        ),
        (
            "the last delta goes",
            scenario(
                &there,
                vec![
                    Op::Put("a.zip", version(1)),
                    Op::Put("b.zip", version(2)),
                    Op::Delete("x.zip"),
                    Op::Read("a.zip"),
                ],
            ),
        ),
        (
            "an overwrite by another kind",
            scenario(
                &there,
                vec![
                    Op::PutDirect("x.zip", version(1)),
                    Op::Put("x.zip", version(2)),
                    Op::Delete("x.zip"),
                    Op::Read("x.zip"),
                ],
            ),
        ),
        (
            "an overwrite while the last delta goes",
            scenario(
                &there,
                vec![
                    Op::Put("a.zip", version(1)),
                    Op::PutDirect("x.zip", version(2)),
                    Op::Delete("x.zip"),
                    Op::Read("x.zip"),
                ],
            ),
        ),
    ]
}

fn explore(name: &str, scenario: &Scenario, most: u64) {
    let begun = Instant::now();
    let cache = || Arc::new(WorkingCopies::new(std::env::temp_dir())) as Arc<_>;
    let found = search(scenario, cache, most);
    let crashes = scenario.crashes;
    let conditions = if scenario.atomic { "atomic" } else { "loose" };
    println!(
        "{name}, conditions {conditions}, crashes {crashes}: {} executions, {} states, {} ends, {} violations, {:.1} s",
        found.executions,
        found.states,
        found.ends,
        found.violations.len(),
        begun.elapsed().as_secs_f64()
    );
    assert!(found.violations.is_empty(), "{name}: {}", found.violations.join("\n"));
}

/// The same with fewer at once, each pair of them.
#[test]
fn pairs_under_every_order_lose_nothing() {
    for (name, scenario) in scenarios() {
        for atomic in [true, false] {
            for leave in 0..scenario.ops.len() {
                for other in leave + 1..scenario.ops.len() {
                    let kept = (0..scenario.ops.len()).filter(|&at| at != leave && at != other);
                    let ops = kept.map(|at| scenario.ops[at].clone()).collect();
                    explore(name, &Scenario { ops, atomic, ..scenario.clone() }, u64::MAX);
                }
            }
        }
    }
}

#[test]
#[ignore = "takes an hour: run by scripts/explore"]
fn four_under_every_order_lose_nothing() {
    for (name, scenario) in scenarios() {
        for atomic in [true, false] {
            explore(name, &Scenario { atomic, ..scenario.clone() }, u64::MAX);
        }
    }
}
