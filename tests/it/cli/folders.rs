//! Real directories: dangling links, pipes, unreadable files, names that are not UTF-8, and filters
//! that leave them out.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::support::{Run, Sandbox};

/// The id of an unprivileged user.
const OTHER_USER: u32 = 65534;

/// Runs the binary without the rights of root, who can read everything.
fn run_unprivileged(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    if !rustix::process::geteuid().is_root() {
        return sandbox.run(arguments);
    }
    let root = sandbox.work().parent().unwrap().to_owned();
    // Other users may not have access to the build directory. Another process makes the copy, so
    // that no concurrent test that forks keeps it open for writing.
    let binary = root.join("deltaglider");
    if !binary.exists() {
        assert!(
            Command::new("cp")
                .arg(env!("CARGO_BIN_EXE_deltaglider"))
                .arg(&binary)
                .status()
                .unwrap()
                .success()
        );
    }
    for entry in walkdir::WalkDir::new(root).into_iter().map(Result::unwrap) {
        if !entry.path_is_symlink() {
            chown(entry.path(), Some(OTHER_USER), Some(OTHER_USER)).unwrap();
        }
    }
    let mut command = sandbox.command_of(&binary);
    Run::of(command.uid(OTHER_USER).gid(OTHER_USER).args(arguments))
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

fn pipe(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

/// Creates `in/ok`, unreadable files in `in/odd`, and the same names in the bucket beside `stale`.
fn with_odd_files() -> Sandbox {
    let sandbox = Sandbox::new();
    for name in ["in/ok", "in/odd/closed/f", "in/odd/secret"] {
        sandbox.write(name, "text");
    }
    let odd = sandbox.path("in/odd");
    symlink("nowhere", odd.join("dangling")).unwrap();
    symlink("..", odd.join("loop")).unwrap();
    symlink("itself", odd.join("itself")).unwrap();
    pipe(&odd.join("pipe"));
    std::fs::write(odd.join(OsStr::from_bytes(b"bad\xff")), "text").unwrap();
    std::fs::create_dir(odd.join(OsStr::from_bytes(b"dir\xff"))).unwrap();
    std::fs::write(odd.join(OsStr::from_bytes(b"dir\xff/f")), "text").unwrap();
    for key in ["stale", "odd/stale"].iter().chain(&BELOW_ODD) {
        sandbox.store().foreign(&format!("p/{key}"), b"stored");
    }
    set_mode(&odd.join("closed"), 0);
    set_mode(&odd.join("secret"), 0);
    sandbox
}

/// Keys with the names of the unreadable files, or below them.
const BELOW_ODD: [&str; 8] = [
    "odd/bad\u{fffd}",
    "odd/closed/f",
    "odd/closed/g/h",
    "odd/dangling",
    "odd/dangling/f",
    "odd/loop/ok",
    "odd/pipe",
    "odd/secret",
];

const UP: [&str; 4] = ["sync", "--delete", "in", "s3://buc/p/"];

fn keys(sandbox: &Sandbox) -> Vec<String> {
    sandbox.store().keys()
}

#[test]
fn excluded_names_are_not_read() {
    let sandbox = with_odd_files();
    set_mode(&sandbox.path("in/odd"), 0);
    let run = run_unprivileged(&sandbox, &[&UP[..], &["--exclude", "odd/*"]].concat()).succeeds();
    assert!(run.out.contains("delete: s3://buc/p/stale\n"), "{run:?}");
    assert_eq!(keys(&sandbox).len(), 2 + BELOW_ODD.len());
    for command in ["sync", "cp -r"] {
        for rules in [
            "--exclude odd/*",
            "--exclude * --include ok",
            "--include odd/* --exclude o*/* --include ok",
        ] {
            let words = [command, "in", "s3://buc/q/", rules].join(" ");
            run_unprivileged(&sandbox, &words.split(' ').collect::<Vec<_>>()).succeeds();
        }
    }
    // Each file is excluded by its own name.
    set_mode(&sandbox.path("in/odd"), 0o700);
    let mut words = vec!["sync", "in", "s3://buc/r/"];
    for name in ["dangling", "loop", "itself", "pipe", "bad*", "dir*", "closed/*", "secret"] {
        words.extend(["--exclude", Box::leak(format!("odd/{name}").into_boxed_str())]);
    }
    run_unprivileged(&sandbox, &words).succeeds();
    assert_eq!(
        keys(&sandbox).iter().filter(|key| key.starts_with("r/")).collect::<Vec<_>>(),
        ["r/ok"]
    );
}

#[test]
fn unreadable_files_are_skipped() {
    let sandbox = with_odd_files();
    let run = run_unprivileged(&sandbox, &UP);
    let warnings = [
        "warning: skipped: in/odd/bad\u{fffd} is not UTF-8",
        "warning: skipped: in/odd/closed: Permission denied",
        "warning: skipped: in/odd/dangling: symbolic link to a path that does not exist",
        "warning: skipped: in/odd/dir\u{fffd} is not UTF-8",
        "warning: skipped: in/odd/itself: ",
        "warning: skipped: in/odd/loop: symbolic link to a directory that it is in",
        "warning: skipped in/odd/pipe: it is not a regular file",
        "warning: skipped: in/odd/secret: Permission denied",
    ];
    let run = run.fails(2, &warnings);
    assert_eq!(run.err.lines().count(), warnings.len(), "{run:?}");
    assert!(run.out.ends_with("3 changed, 0 unchanged\n"), "{run:?}");
    // Objects with those names, or below them, are kept.
    let mut left: Vec<String> = BELOW_ODD.iter().map(|key| format!("p/{key}")).collect();
    left.push("p/ok".into());
    left.sort();
    assert_eq!(keys(&sandbox), left);
    run_unprivileged(&sandbox, &["cp", "-r", "in", "s3://buc/p/"]).fails(2, &warnings);
    run_unprivileged(&sandbox, &["sync", "--checksum", "in", "s3://buc/p/"]).fails(2, &warnings);
}

#[test]
fn skipped_files_count_as_skipped() {
    let sandbox = with_odd_files();
    run_unprivileged(&sandbox, &["sync", "in", "s3://buc/p/"]);
    let run = run_unprivileged(&sandbox, &["sync", "--size-only", "--json", "in", "s3://buc/p/"]);
    assert_eq!(run.code, Some(2), "{run:?}");
    let end: serde_json::Value = serde_json::from_str(run.out.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&end["changed"], &end["unchanged"], &end["failed"]),
        (&0.into(), &1.into(), &0.into()),
        "{end}"
    );
    assert!(end["skipped"].as_u64() >= Some(7), "{end}");
    // An existing directory does not count as changed.
    sandbox.store().foreign("m/d/", b"");
    for changed in [1, 0] {
        let run = sandbox.run(["sync", "s3://buc/m", "out"]).succeeds();
        assert_eq!(run.out, format!("{changed} changed, {} unchanged\n", 1 - changed));
    }
}

#[test]
fn unreadable_source_keeps_all() {
    let sandbox = with_odd_files();
    set_mode(&sandbox.path("in"), 0o311);
    let before = keys(&sandbox);
    run_unprivileged(&sandbox, &UP)
        .fails(1, &["in: Permission denied", "nothing was removed from s3://buc/p/"]);
    assert_eq!(keys(&sandbox), before);
}

#[test]
fn odd_destination_files_are_kept() {
    let sandbox = with_odd_files();
    for key in ["ok", "new"] {
        sandbox.put(&format!("d/{key}"), b"stored").succeeds();
    }
    let run = run_unprivileged(&sandbox, &["sync", "--delete", "s3://buc/d", "in"]);
    run.fails(2, &["warning: skipped: in/odd/closed: Permission denied"])
        .says("delete: in/odd/secret\n");
    let left = ["bad\u{fffd}", "closed", "dangling", "dir\u{fffd}", "itself", "loop", "pipe"];
    set_mode(&sandbox.path("in/odd/closed"), 0o700);
    let files = sandbox.files();
    for name in left {
        assert!(files.contains(&format!("in/odd/{name}")), "{name}: {files:?}");
    }
    run_unprivileged(&sandbox, &["sync", "--delete", "s3://buc/d", "in", "--exclude", "odd/*"])
        .succeeds();
}
