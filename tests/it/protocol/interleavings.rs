//! References under every order of what two writers, a deleter and a reader do at once, with
//! crashes.

use std::time::Instant;

use crate::protocol::exploration::{Found, Judgement, Kind, Op, Scenario, search};
use crate::support::{edited, noise};

pub(super) fn version(n: u64) -> Vec<u8> {
    edited(&noise(1_000, 1), n)
}

/// One may crash, but for readers.
pub(super) fn scenario(before: &[Op], ops: Vec<Op>) -> Scenario {
    Scenario {
        before: before.to_vec(),
        twin: None,
        mortal: mortal(&ops),
        ops,
        later: Vec::new(),
        crashes: 1,
        steps: 0,
        kind: Kind::Atomic,
        judgement: Judgement::Readable,
    }
}

pub(super) fn mortal(ops: &[Op]) -> Vec<usize> {
    (0..ops.len()).filter(|&at| !matches!(ops[at], Op::Read(_))).collect()
}

/// Two writers, a deleter and a reader where something is deleted, and where nothing is yet.
fn scenarios() -> Vec<(&'static str, Scenario)> {
    let there = vec![Op::Put("x.zip", version(0))];
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

/// Two writers beside a repair that marks the copy of a reference that nobody needs, or removes one
/// that was marked long ago. Later repairs find the mark old: whoever was at work before is done or
/// dead.
fn repairs() -> Vec<(&'static str, Scenario)> {
    let unneeded = [Op::Put("x.zip", version(0)), Op::Delete("x.zip")];
    let marked = [unneeded.as_slice(), &[Op::Repair(0)]].concat();
    let beside = |before: &[Op], second: Vec<u8>| {
        let ops = vec![Op::Put("a.zip", version(1)), Op::Put("b.zip", second), Op::Repair(0)];
        Scenario { later: vec![Op::Repair(8), Op::Repair(16)], ..scenario(before, ops) }
    };
    vec![
        ("a copy is marked", beside(&unneeded, version(2))),
        // The second stores the very content of the reference that goes.
        ("a marked copy is removed", beside(&marked, version(0))),
    ]
}

pub(super) fn explore(name: &str, scenario: &Scenario, most: u64) -> Vec<bool> {
    let begun = Instant::now();
    let Found { executions, states, transitions, ends, runs, did, violations } =
        search(scenario, most);
    println!(
        "{name}, {:?}, crashes {}, steps of time {}: {executions} executions, {states} states, {transitions} steps, {ends} ends, \
         {runs} runs, {} violations, {:.1} s",
        scenario.kind,
        scenario.crashes,
        scenario.steps,
        violations.len(),
        begun.elapsed().as_secs_f64()
    );
    assert!(violations.is_empty(), "{name}: {}", violations.join("\n"));
    did
}

/// The same with fewer at once, each pair of them.
#[test]
fn pairs_under_every_order_lose_nothing() {
    for (name, scenario) in scenarios() {
        for kind in [Kind::Atomic, Kind::Loose] {
            for leave in 0..scenario.ops.len() {
                for other in leave + 1..scenario.ops.len() {
                    let kept = (0..scenario.ops.len()).filter(|&at| at != leave && at != other);
                    let ops: Vec<Op> = kept.map(|at| scenario.ops[at].clone()).collect();
                    explore(
                        name,
                        &Scenario { mortal: mortal(&ops), ops, kind, ..scenario.clone() },
                        u64::MAX,
                    );
                }
            }
        }
    }
}

#[test]
fn repairs_beside_writers_lose_nothing() {
    for (name, scenario) in repairs() {
        for kind in [Kind::Atomic, Kind::Loose] {
            for leave in 0..2 {
                let mut ops = scenario.ops.clone();
                ops.remove(leave);
                explore(
                    name,
                    &Scenario { mortal: mortal(&ops), ops, kind, ..scenario.clone() },
                    u64::MAX,
                );
            }
        }
    }
}

#[test]
#[ignore = "takes minutes: run by scripts/check-interleavings"]
fn a_repair_beside_two_writers_under_every_order_loses_nothing() {
    for (name, scenario) in repairs() {
        for kind in [Kind::Atomic, Kind::Loose] {
            explore(name, &Scenario { kind, ..scenario.clone() }, u64::MAX);
        }
    }
}

/// The copy of a reference makes up for what the other steps are there for. So these are seen at
/// work without it: where nobody dies and one writer is at work, its look at the reference before
/// it announces a delta keeps that readable. Fails with the planted bugs `copy` and `recheck`, not
/// with `copy`.
#[test]
fn without_copies_and_crashes_the_look_before_the_announcement_is_enough() {
    let ops = vec![Op::Put("a.zip", version(1)), Op::Delete("x.zip")];
    let undying = Scenario { crashes: 0, ..scenario(&[Op::Put("x.zip", version(0))], ops) };
    explore("no copies, nobody dies", &undying, u64::MAX);
}

/// And where a writer dies, what it was to replace is there until the reference of the new delta
/// was seen. Fails with the planted bugs `copy` and `order`, not with `copy`.
#[test]
fn without_copies_a_writer_that_dies_leaves_what_it_was_to_replace() {
    let before = [Op::Put("x.zip", version(0)), Op::PutDirect("b.zip", version(1))];
    let ops = vec![Op::Put("b.zip", version(2)), Op::Delete("x.zip")];
    let dying = Scenario { mortal: vec![0], judgement: Judgement::Kept, ..scenario(&before, ops) };
    explore("no copies, an overwrite", &dying, u64::MAX);
}

#[test]
#[ignore = "takes minutes: run by scripts/check-interleavings"]
fn four_under_every_order_lose_nothing() {
    for (name, scenario) in scenarios() {
        for kind in [Kind::Atomic, Kind::Loose] {
            explore(name, &Scenario { kind, ..scenario.clone() }, u64::MAX);
        }
    }
}
