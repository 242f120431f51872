//! The objects of a name, and buckets, under every order of the storage calls of two operations:
//! contents that are stored again, suspended operations, names with two objects, moves, deleted
//! buckets.

use crate::protocol::exploration::{KINDS, Kind, Op, Scenario};
use crate::protocol::interleavings::{explore, mortal, scenario, version};
use crate::support::noise;

/// Returns the content that is stored first; [`new`] returns its replacement.
fn old() -> Vec<u8> {
    version(1)
}

fn new() -> Vec<u8> {
    version(2)
}

fn reference() -> Op {
    Op::Put("f0.zip", version(0))
}

/// The number of time steps that may pass: the age at which an older object may be deleted.
const STEPS: u64 = 2;

fn beside(before: &[Op], ops: Vec<Op>) -> Scenario {
    Scenario { steps: STEPS, ..scenario(before, ops) }
}

fn explore_kinds(name: &str, scenario: &Scenario, kinds: &[Kind]) {
    for &kind in kinds {
        // Where entity tags identify writes, ages do not matter.
        let steps = if kind == Kind::Atomic { 0 } else { scenario.steps };
        explore(name, &Scenario { kind, steps, ..scenario.clone() }, u64::MAX);
    }
}

/// Returns scenarios of a name with two objects: the newer one a delta or not, the older one a day
/// older or not.
fn twins() -> Vec<(&'static str, Scenario)> {
    let mut twins = Vec::new();
    for is_old in [true, false] {
        let delta = scenario(&[reference(), Op::PutDirect("x.zip", old())], vec![]);
        let delta = Scenario { twin: Some((Op::Put("x.zip", new()), is_old)), ..delta };
        let plain = scenario(&[reference(), Op::Put("x.zip", old())], vec![]);
        let plain = Scenario { twin: Some((Op::PutDirect("x.zip", new()), is_old)), ..plain };
        twins.extend([
            ("a delta over a plain object", delta),
            ("a plain object over a delta", plain),
        ]);
    }
    twins
}

fn with_twins(name: &str, ops: &[Op], steps: u64, kinds: &[Kind]) {
    for (twin, scenario) in twins() {
        let scenario = Scenario { mortal: mortal(ops), ops: ops.to_vec(), steps, ..scenario };
        explore_kinds(&format!("{name}, {twin}"), &scenario, kinds);
    }
}

/// Kinds of stores on which a deletion spares objects stored after the lookup.
const HONEST: [Kind; 3] = [Kind::Atomic, Kind::ContentTags, Kind::Unknown];

/// Returns scenarios that store an earlier content again while the name changes its kind of object.
fn restored() -> [(&'static str, Scenario); 2] {
    let plain = [reference(), Op::PutDirect("x.zip", old())];
    let delta = [reference(), Op::Put("x.zip", old())];
    [
        (
            "plain content comes again",
            beside(&plain, vec![Op::Put("x.zip", new()), Op::PutDirect("x.zip", old())]),
        ),
        (
            "a delta comes again",
            beside(&delta, vec![Op::PutDirect("x.zip", new()), Op::Put("x.zip", old())]),
        ),
    ]
}

#[test]
fn restored_content_survives_put() {
    for (name, scenario) in restored() {
        explore_kinds(name, &scenario, &[Kind::Atomic, Kind::ContentTags]);
        explore_kinds(name, &Scenario { steps: 0, ..scenario }, &[Kind::Unknown, Kind::Loose]);
    }
}

/// Explores the same scenarios with more time, and with a third operation.
#[test]
#[ignore = "takes minutes: run by scripts/check-interleavings"]
fn restored_content_survives_two() {
    for (name, scenario) in restored() {
        explore_kinds(name, &Scenario { steps: STEPS + 1, ..scenario.clone() }, &KINDS);
        for third in [
            Op::Read("x.zip"),
            Op::Delete("x.zip"),
            Op::Repair(0),
            Op::PutDirect("x.zip", version(3)),
        ] {
            let ops = [scenario.ops.as_slice(), &[third]].concat();
            explore_kinds(
                name,
                &Scenario { steps: 0, mortal: mortal(&ops), ops, ..scenario.clone() },
                &KINDS,
            );
        }
    }
}

#[test]
fn puts_of_both_kinds_survive() {
    with_twins(
        "two puts",
        &[Op::Put("x.zip", old()), Op::PutDirect("x.zip", version(3))],
        0,
        &KINDS,
    );
    with_twins(
        "two puts",
        &[Op::Put("x.zip", version(3)), Op::PutDirect("x.zip", old())],
        0,
        &KINDS,
    );
}

#[test]
fn move_keeps_concurrent_put() {
    for content in [old(), version(3)] {
        for put in [Op::Put("x.zip", content.clone()), Op::PutDirect("x.zip", content.clone())] {
            with_twins(
                "a put beside a move",
                &[Op::Move("x.zip", "y.zip"), put.clone()],
                0,
                &HONEST,
            );
            let before = [reference(), Op::Put("x.zip", old())];
            let ops = vec![Op::Move("x.zip", "y.zip"), put];
            explore_kinds("a put beside a move", &scenario(&before, ops), &HONEST);
        }
    }
}

#[test]
fn repair_keeps_concurrent_put() {
    for content in [old(), version(3)] {
        for put in [Op::Put("x.zip", content.clone()), Op::PutDirect("x.zip", content.clone())] {
            with_twins("a put beside a repair", &[Op::Repair(0), put], 0, &KINDS);
        }
    }
}

#[test]
fn removed_bucket_takes_no_file() {
    let before = [Op::Put("x.zip", version(0)), Op::Delete("x.zip")];
    for force in [false, true] {
        let ops = vec![Op::Put("a.zip", version(1)), Op::RemoveBucket(force)];
        // `rb --force` also deletes the new file.
        let mortal = if force { vec![0] } else { vec![0, 1] };
        let name = if force { "a put beside rb --force" } else { "a put beside rb" };
        explore_kinds(name, &Scenario { mortal, ..scenario(&before, ops) }, &KINDS);
    }
}

#[test]
fn file_named_as_delta_survives() {
    let own = noise(300, 9);
    let before = [reference()];
    let ops = vec![Op::Put("x.zip", new()), Op::PutDirect("x.zip.delta", own)];
    explore_kinds("a file beside its delta's name", &scenario(&before, ops), &HONEST);
}

#[test]
fn rebase_keeps_concurrent_put() {
    // The second file shares more with the third one, which becomes a reference later.
    let (one, other) = (noise(20_000, 1), noise(20_000, 2));
    let mixed = |at: usize| [&one[..at], &other[..20_000 - at]].concat();
    let before = [
        Op::Put("app-1.zip", one.clone()),
        Op::Put("app-2.zip", mixed(10_400)),
        Op::Put("app-3.zip", mixed(6_000)),
    ];
    for put in [Op::Put("app-2.zip", version(3)), Op::PutDirect("app-2.zip", version(3))] {
        for kind in [Kind::Atomic, Kind::ContentTags] {
            let scenario = scenario(&before, vec![Op::Rebase("app-2.zip"), put.clone()]);
            let did = explore("a put beside a rebase", &Scenario { kind, ..scenario }, u64::MAX);
            assert!(did[0], "nothing was rebased");
        }
    }
}

#[test]
fn purge_keeps_concurrent_put() {
    let expired = [("dg-expires-at", "2026-01-01T00:00:00Z")];
    let expired: &'static [_] = Vec::leak(expired.to_vec());
    let before = [reference(), Op::Foreign(".deltaglider/tmp/0_x.zip", old(), expired)];
    let ops = vec![Op::Purge, Op::Put("x.zip", new()), Op::Delete("f0.zip")];
    explore_kinds("a put and a delete beside a purge", &scenario(&before, ops), &KINDS);
}

/// `repair` deletes neither object where entity tags identify contents. Fails with the planted bug
/// `exact`.
#[test]
fn older_stays_with_content_tags() {
    let ops = [Op::Repair(0), Op::PutDirect("x.zip", old())];
    with_twins("a put beside a repair", &ops, 0, &[Kind::ContentTags]);
}
