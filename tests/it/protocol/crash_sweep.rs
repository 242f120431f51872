//! A command dies at each of its storage calls: before, during and after it. On the embedded store
//! every readable file stays readable, and the next start of the binary deletes the leftovers.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode};

use super::crashing_store::{CRASH_AT, crashing};
use crate::support::{Run, Sandbox, edited, names_below, noise};
use deltaglider::domain::{BucketName, Deltaspace, Key, ObjectName, Sha256Digest};
use deltaglider::wiring::StoreDecorator;

type Files = BTreeMap<String, Vec<u8>>;

/// A command line, and the contents of names afterwards in the order in which they may become
/// visible. `cp in/3` copies the third version.
type Step = (&'static [&'static str], &'static [(&'static str, Option<u64>)]);

struct Scenario {
    before: &'static [Step],
    /// Damages stored objects before the operation.
    damage: fn(&Sandbox),
    op: Step,
}

const A: Step = (&["cp", "in/1", "s3://buc/v/a.zip"], &[("v/a.zip", Some(1))]);
const B: Step = (&["cp", "in/2", "s3://buc/v/b.zip"], &[("v/b.zip", Some(2))]);
const B_AS_IT_IS: Step =
    (&["cp", "--no-delta", "in/2", "s3://buc/v/b.zip"], &[("v/b.zip", Some(2))]);
const REPAIR: Step = (&["repair", "--fix", "--grace-days", "0", "buc"], &[]);

const fn on(before: &'static [Step], op: Step) -> Scenario {
    Scenario { before, damage: |_| {}, op }
}

const fn repair(before: &'static [Step], damage: fn(&Sandbox)) -> Scenario {
    Scenario { before, damage, op: REPAIR }
}

const SCENARIOS: [Scenario; 20] = [
    on(&[], A),
    on(&[A], B),
    on(&[A], B_AS_IT_IS),
    on(&[A, B], (&["cp", "in/3", "s3://buc/v/b.zip"], &[("v/b.zip", Some(3))])),
    on(&[A, B], (&["cp", "--no-delta", "in/3", "s3://buc/v/b.zip"], &[("v/b.zip", Some(3))])),
    on(&[A], (&["cp", "--no-delta", "in/3", "s3://buc/v/a.zip"], &[("v/a.zip", Some(3))])),
    on(&[A, B_AS_IT_IS], (&["cp", "in/3", "s3://buc/v/b.zip"], &[("v/b.zip", Some(3))])),
    on(&[A, B], (&["rm", "s3://buc/v/b.zip"], &[("v/b.zip", None)])),
    on(&[A, B], (&["rm", "s3://buc/v/a.zip"], &[("v/a.zip", None)])),
    on(&[A], (&["rm", "s3://buc/v/a.zip"], &[("v/a.zip", None)])),
    on(&[A, B], (&["cp", "s3://buc/v/b.zip", "s3://buc/v/c.zip"], &[("v/c.zip", Some(2))])),
    // A folder without a reference, like another bucket.
    on(&[A, B], (&["cp", "s3://buc/v/b.zip", "s3://buc/w/b.zip"], &[("w/b.zip", Some(2))])),
    on(
        &[A, B_AS_IT_IS],
        (&["cp", "s3://buc/v/a.zip", "s3://buc/v/b.zip"], &[("v/b.zip", Some(1))]),
    ),
    on(&[A, B], (&["cp", "s3://buc/v/b.zip", "s3://buc/v/b.txt"], &[("v/b.txt", Some(2))])),
    on(
        &[A, B],
        (
            &["mv", "s3://buc/v/b.zip", "s3://buc/v/c.zip"],
            &[("v/c.zip", Some(2)), ("v/b.zip", None)],
        ),
    ),
    on(
        &[A],
        (
            &["mv", "s3://buc/v/a.zip", "s3://buc/w/a.zip"],
            &[("w/a.zip", Some(1)), ("v/a.zip", None)],
        ),
    ),
    repair(&[A, B], |sandbox| {
        copy_reference(sandbox);
        sandbox.store().remove("v/reference.bin");
    }),
    repair(&[A, B], |sandbox| {
        copy_reference(sandbox);
        sandbox.store().replace("v/reference.bin", b"rotten".to_vec());
    }),
    // Another reference is stored where the deltas expect theirs.
    repair(&[A, B], |sandbox| {
        copy_reference(sandbox);
        sandbox.store().replace_reference("v/reference.bin", noise(20_000, 4));
    }),
    // No delta needs the reference.
    repair(&[A, B], |sandbox| {
        let store = sandbox.store();
        store.remove("v/a.zip.delta");
        store.remove("v/b.zip.delta");
    }),
];

/// Copies the reference to its content-addressed key.
fn copy_reference(sandbox: &Sandbox) {
    let home = Deltaspace::of(&ObjectName::new(
        BucketName::new("buc").unwrap(),
        Key::new("v/a.zip").unwrap(),
    ));
    let copy = home.addressed(&Sha256Digest::of(&version(1))).unwrap();
    sandbox.store().copy("v/reference.bin", copy.key.as_str());
}

fn version(n: u64) -> Vec<u8> {
    edited(&noise(20_000, 1), n)
}

fn copy_folder(from: &Path, to: &Path) {
    if to.exists() {
        std::fs::remove_dir_all(to).unwrap();
    }
    for entry in walkdir::WalkDir::new(from).into_iter().map(Result::unwrap) {
        let path = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            std::fs::create_dir(path).unwrap();
        } else {
            std::fs::copy(entry.path(), path).unwrap();
        }
    }
}

/// Downloads every file and returns the contents by name. Fails if a download prints an error.
fn files(sandbox: &Sandbox) -> Files {
    let back = sandbox.path("back");
    if back.exists() {
        std::fs::remove_dir_all(&back).unwrap();
    }
    std::fs::create_dir(&back).unwrap();
    let run = sandbox.run(["ls", "-r", "s3://buc"]);
    if !run.out.is_empty() {
        // The log names the key that a reference was read from, which is not an error.
        Run::of(
            sandbox.command().args(["cp", "-r", "s3://buc", "back"]).env("DG_LOG_LEVEL", "error"),
        )
        .succeeds();
    }
    let names = names_below(&back).into_iter().filter(|name| back.join(name).is_file());
    names.map(|name| (name.clone(), std::fs::read(back.join(&name)).unwrap())).collect()
}

fn changed(before: &Files, changes: &[(&str, Option<u64>)]) -> Files {
    let mut after = before.clone();
    for (name, content) in changes {
        match content {
            Some(n) => drop(after.insert((*name).to_owned(), version(*n))),
            None => drop(after.remove(*name)),
        }
    }
    after
}

/// Checks that a dead command left each name old or new, and that later commands succeed.
fn check(sandbox: &Sandbox, there: &Files, (line, changes): Step, point: &str) {
    let after = changed(there, changes);
    let found = files(sandbox);
    let seen = (0..=changes.len()).any(|seen| found == changed(there, &changes[..seen]));
    assert!(seen, "{point}: {:?}", found.keys());
    let put = sandbox.run(["cp", "in/9", "s3://buc/v/next.zip"]);
    assert!(matches!(put.code, Some(0 | 2)), "{point}, and the next put: {put:?}");
    let next = changed(&found, &[("v/next.zip", Some(9))]);
    assert!(files(sandbox) == next, "{point}, and the next put");
    let left = |folder: &Path| names_below(folder).len();
    assert_eq!(left(&sandbox.store_path().join("tmp")), 0, "{point}");
    assert_eq!(left(&sandbox.temporaries()), 0, "{point}");
    sandbox.run(["rm", "s3://buc/v/next.zip"]).succeeds();
    assert!(files(sandbox) == found, "{point}, and a removal");
    let again = sandbox.run(line);
    let is_deleted = found == after && changes.iter().any(|(_, content)| content.is_none());
    assert!(again.code == Some(0) || is_deleted, "{point}, and the same again: {again:?}");
    assert!(files(sandbox) == after, "{point}, and the same again");
}

/// The variable that holds the command line of [`command_on_crashing_store`], its words separated
/// by line feeds.
const COMMAND_LINE: &str = "DGTEST_COMMAND_LINE";

/// Runs a command line on a store that aborts the process. The crash sweep starts this test as a
/// separate process: a separate program would link the whole AWS SDK again.
#[test]
#[ignore = "a process that the crash sweep starts"]
fn command_on_crashing_store() -> ExitCode {
    let line = std::env::var(COMMAND_LINE).unwrap();
    let words = ["deltaglider"].into_iter().chain(line.split('\n')).map(Into::into);
    deltaglider::cli::main_with(words, StoreDecorator::new(crashing))
}

/// Returns a command that runs [`command_on_crashing_store`] and aborts at the call `at`.
fn dying(sandbox: &Sandbox, line: &[&str], at: &str) -> Command {
    let mut command = sandbox.command_of(&std::env::current_exe().unwrap());
    command.args([
        "--ignored",
        "--exact",
        "--nocapture",
        "protocol::crash_sweep::command_on_crashing_store",
    ]);
    // The main thread of the binary has a stack of 8 MiB, a test's thread 2 MiB.
    command.env("RUST_MIN_STACK", (8 << 20).to_string());
    command.env(COMMAND_LINE, line.join("\n")).env(CRASH_AT, at);
    command
}

#[test]
fn command_dies_at_chosen_call() {
    let run = |at: &str| {
        let sandbox = Sandbox::new();
        sandbox.write("in/1", version(1));
        (Run::of(&mut dying(&sandbox, A.0, at)), sandbox)
    };
    for moment in ["", ":during", ":after"] {
        // Most calls send no bytes, so they have no middle to die in.
        assert!((1..20).any(|at| run(&format!("{at}{moment}")).0.code.is_none()), "{moment}");
    }
    let (whole, sandbox) = run("1000");
    assert_eq!(whole.code, Some(0), "{whole:?}");
    assert!(files(&sandbox) == changed(&Files::new(), A.1));
}

#[test]
#[ignore = "takes minutes: run by scripts/sweep-faults"]
fn dying_command_loses_nothing() {
    let sandbox = Sandbox::new();
    for n in 1..=9 {
        sandbox.write(&format!("in/{n}"), version(n));
    }
    let (kept, empty) = (sandbox.path("kept"), sandbox.path("empty"));
    copy_folder(&sandbox.store_path(), &empty);
    let mut points = BTreeMap::new();
    for Scenario { before, damage, op } in SCENARIOS {
        copy_folder(&empty, &sandbox.store_path());
        let mut there = Files::new();
        for (line, changes) in before {
            sandbox.run(*line).succeeds();
            there = changed(&there, changes);
        }
        damage(&sandbox);
        if op.0 == REPAIR.0 && sandbox.store().keys().iter().all(|key| !key.ends_with(".delta")) {
            there.clear();
        }
        assert!(files(&sandbox) == there);
        copy_folder(&sandbox.store_path(), &kept);
        let line = op.0;
        for moment in ["", ":during", ":after"] {
            let mut unharmed = 0;
            for at in 1.. {
                copy_folder(&kept, &sandbox.store_path());
                let point = format!("{line:?} at {at}{moment}");
                let run = Run::of(&mut dying(&sandbox, line, &format!("{at}{moment}")));
                let died = run.code.is_none();
                if !died {
                    assert_eq!(run.code, Some(0), "{point}: {run:?}");
                    // Calls that send no bytes cannot die in the middle.
                    unharmed += 1;
                    if moment != ":during" || unharmed > 30 {
                        break;
                    }
                    continue;
                }
                let between = line.iter().filter(|word| word.starts_with("s3://")).count() == 2;
                *points.entry(if between { "copy" } else { line[0] }).or_insert(0) += 1;
                check(&sandbox, &there, op, &point);
            }
        }
    }
    for (operation, points) in &points {
        println!("{operation}: {points} points, 0 losses");
    }
    let points: u64 = points.values().sum();
    println!("{points} points, 0 losses");
    assert!(points > 150, "{points}");
}
