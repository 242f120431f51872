//! Random sequences of operations, also by other tools, leave what a map of names and contents
//! predicts. Everything is compared after every step. `scripts/check-model` runs more sequences.

use deltaglider::service::Compare;

use crate::protocol::model::{Act, Op};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Returns a number from the environment, or `default`.
fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn any_sequence(atomic: bool) {
    let (seed, sequences) =
        (number("DGTEST_MODEL_SEED", 1), number("DGTEST_MODEL_SEQUENCES", 100) / 2);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: sequences.try_into().unwrap(),
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let (runtime, steps) = (runtime(), std::cell::Cell::new(0));
    let ran = runner.run(&super::model::acts(), |acts| {
        runtime.block_on(super::model::run(atomic, &acts));
        steps.set(steps.get() + acts.len());
        Ok(())
    });
    ran.unwrap_or_else(|failure| panic!("{failure}"));
    let kind = if atomic { "atomic" } else { "loose" };
    println!(
        "{sequences} sequences of {} steps with {kind} conditions, 0 differences; seed {seed}",
        steps.get()
    );
}

#[test]
fn any_sequence_matches_model() {
    any_sequence(true);
}

#[test]
fn any_sequence_matches_if_loose() {
    any_sequence(false);
}

/// Runs operations of one process and compares with the model after each.
fn matches_model(atomic: bool, ops: impl IntoIterator<Item = Op>) {
    let acts: Vec<Act> = ops.into_iter().map(|op| Act { by: false, op }).collect();
    runtime().block_on(super::model::run(atomic, &acts));
}

/// A file with the name of a delta does not keep a surplus file of that delta's name.
#[test]
fn delta_name_protects_no_file() {
    let local = Op::WriteLocal { name: 0, content: 0, days: 0 };
    let put = Op::Put { at: (true, 2), content: 0, delta: false };
    let sync = Op::SyncDown { from: (true, 0), compare: Compare::Never, remove: true };
    matches_model(true, [local, put, sync]);
}

#[test]
fn copy_is_newer_in_same_second() {
    // The copy is an object with the time of its source; the delta of its name is too young to be
    // deleted here.
    let put = |name, delta| Op::Put { at: (false, name), content: 7 + name, delta };
    for more in [0, 1, 2] {
        let puts =
            [put(1, false), put(0, true)].into_iter().chain((0..more).map(|_| put(2, false)));
        let copy = Op::Copy { from: (false, 1), to: (false, 0), delta: false };
        matches_model(false, puts.chain([copy]));
    }
}

/// An unneeded reference and its copy are deleted by the same repair.
#[test]
fn one_repair_deletes_both_copies() {
    // The first put stores the reference at its content-addressed key; the Python tool makes the
    // classic one of the same file.
    let at = (false, 0);
    let puts = [Op::Put { at, content: 3, delta: true }, Op::PythonPut { at, content: 3 }];
    matches_model(false, puts.into_iter().chain([Op::ForeignPut { at: (false, 2), content: 0 }]));
}

/// Deleting the delta of a name that is itself the key of a delta deletes nothing else.
#[test]
fn nested_delta_is_deleted_alone() {
    let put = Op::PythonPut { at: (false, 0), content: 3 };
    let copy = Op::ForeignCopy { from: (false, 0), to: 2 };
    matches_model(true, [put, copy, Op::ForeignDelete { at: (false, 1) }]);
}

/// A file with the name of a delta stays when another delta is stored at that key.
#[test]
fn file_named_as_delta_stays() {
    let put = |name, content| Op::PythonPut { at: (false, name), content };
    let copy = |name, to| Op::ForeignCopy { from: (false, name), to };
    matches_model(true, [put(0, 1), copy(0, 2), put(1, 3), copy(1, 0)]);
}
