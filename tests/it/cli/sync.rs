//! `sync`: copies what differs, skips what is the same, and deletes only what it should.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use crate::support::{Run, Sandbox, edited, noise};
use s3_server::{ACCESS_KEY, Fault, SECRET_KEY, Server};

const HOUR: Duration = Duration::from_secs(3600);

/// Sets the modification time of a file, in hours from now.
fn date(sandbox: &Sandbox, name: &str, hours: i32) {
    let now = SystemTime::now();
    let at = if hours < 0 {
        now - HOUR * hours.unsigned_abs()
    } else {
        now + HOUR * hours.unsigned_abs()
    };
    File::options().write(true).open(sandbox.path(name)).unwrap().set_modified(at).unwrap();
}

/// Returns content of the same length with one byte changed.
fn changed(content: &[u8]) -> Vec<u8> {
    let mut changed = content.to_vec();
    changed[100] ^= 1;
    changed
}

/// Creates `in/a/app-1.zip`, `in/a/app-2.zip` and `in/notes.txt`, an hour old.
fn with_files() -> (Sandbox, Vec<u8>) {
    let sandbox = Sandbox::new();
    let first = noise(50_000, 1);
    sandbox.write("in/a/app-1.zip", &first);
    sandbox.write("in/a/app-2.zip", edited(&first, 2));
    sandbox.write("in/notes.txt", "notes");
    for name in ["in/a/app-1.zip", "in/a/app-2.zip", "in/notes.txt"] {
        date(&sandbox, name, -1);
    }
    (sandbox, first)
}

const UP: [&str; 3] = ["sync", "in", "s3://buc/x"];
const DOWN: [&str; 3] = ["sync", "s3://buc/x", "out"];

#[track_caller]
fn is(run: Run, changed: u64, unchanged: u64) {
    run.succeeds().says(&format!("{changed} changed, {unchanged} unchanged\n"));
}

#[test]
fn upload_compares_size_and_age() {
    let (sandbox, first) = with_files();
    is(sandbox.run(UP), 3, 0);
    is(sandbox.run(UP), 0, 3);
    // Newer, of the same size.
    sandbox.write("in/a/app-1.zip", changed(&first));
    date(&sandbox, "in/a/app-1.zip", 1);
    // Older, of another size.
    sandbox.write("in/notes.txt", "more notes");
    date(&sandbox, "in/notes.txt", -2);
    is(sandbox.run(UP), 2, 1);
    sandbox.run(["cp", "s3://buc/x/a/app-1.zip", "back"]).succeeds();
    assert!(sandbox.read("back") == changed(&first));
    // Older, of another content.
    sandbox.write("in/a/app-1.zip", &first);
    date(&sandbox, "in/a/app-1.zip", -2);
    is(sandbox.run([&UP[..], &["--size-only"]].concat()), 0, 3);
    is(sandbox.run([&UP[..], &["--dryrun"]].concat()), 1, 2);
    is(sandbox.run(UP), 1, 2);
    // Newer, of the same content.
    date(&sandbox, "in/a/app-1.zip", 1);
    is(sandbox.run([&UP[..], &["--checksum"]].concat()), 0, 3);
    is(sandbox.run([&UP[..], &["--dryrun"]].concat()), 0, 3);
    is(sandbox.run(UP), 0, 3);
}

#[test]
fn download_compares_time() {
    let (sandbox, first) = with_files();
    sandbox.run(UP).succeeds();
    is(sandbox.run(DOWN), 3, 0);
    is(sandbox.run(DOWN), 0, 3);
    assert!(sandbox.read("out/a/app-1.zip") == first);
    // Stale: the same size and an older time, as an older tool or another clock may leave it.
    sandbox.write("out/a/app-1.zip", changed(&first));
    date(&sandbox, "out/a/app-1.zip", -20);
    is(sandbox.run(DOWN), 1, 2);
    assert!(sandbox.read("out/a/app-1.zip") == first);
    date(&sandbox, "out/a/app-1.zip", 20);
    is(sandbox.run([&DOWN[..], &["--checksum"]].concat()), 0, 3);
    sandbox.write("out/notes.txt", "n0tes");
    is(sandbox.run([&DOWN[..], &["--checksum"]].concat()), 1, 2);
    assert_eq!(sandbox.read("out/notes.txt"), b"notes");
}

#[test]
fn foreign_file_compares_by_etag() {
    let (sandbox, folder) = (Sandbox::new(), tempfile::tempdir().unwrap());
    let server = Server::folder_at(folder.path(), 0).unwrap();
    std::fs::create_dir_all(folder.path().join("buc/x")).unwrap();
    std::fs::write(folder.path().join("buc/x/plain.txt"), "plain").unwrap();
    let up = || {
        let mut command = sandbox.command();
        command.env("AWS_ENDPOINT_URL_S3", server.url()).env("AWS_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        Run::of(command.args(UP).arg("--checksum"))
    };
    sandbox.write("in/plain.txt", "plain");
    date(&sandbox, "in/plain.txt", 1);
    is(up(), 0, 1);
    sandbox.write("in/plain.txt", "other");
    is(up(), 1, 0);
    is(up(), 0, 1);
}

#[test]
fn bucket_sync_keeps_deltas() {
    let (sandbox, first) = with_files();
    sandbox.run(UP).succeeds();
    sandbox.run(["mb", "s3://other"]).succeeds();
    let across = ["sync", "s3://buc/x", "s3://other"];
    is(sandbox.run(across), 3, 0);
    is(sandbox.run(across), 0, 3);
    is(sandbox.run([&across[..], &["--checksum"]].concat()), 0, 3);
    let keys = sandbox.store_of("other").keys();
    assert!(keys.contains(&"a/app-2.zip.delta".to_owned()), "{keys:?}");
    sandbox.put("x/a/app-1.zip", &edited(&first, 8)).succeeds();
    is(sandbox.run([&across[..], &["--checksum"]].concat()), 1, 2);
    sandbox.run(["rm", "s3://buc/x/notes.txt"]).succeeds();
    sandbox
        .run([&across[..], &["--delete"]].concat())
        .succeeds()
        .says("delete: s3://other/notes.txt\n");
    sandbox.run(["repair", "other"]).succeeds();
    for folder in ["s3://buc/x", "s3://other"] {
        sandbox.run(["cp", &format!("{folder}/a/app-1.zip"), "back"]).succeeds();
        assert!(sandbox.read("back") == edited(&first, 8));
    }
}

/// `--delete` touches neither references nor files outside the destination.
#[test]
fn delete_spares_references() {
    let (sandbox, first) = with_files();
    sandbox.put("app-0.zip", &first).succeeds();
    sandbox.put("x10/other.zip", &first).succeeds();
    sandbox.run(UP).succeeds();
    sandbox
        .run(["sync", "in/a", "s3://buc", "--delete", "--exclude", "x*"])
        .succeeds()
        .says("delete: s3://buc/app-0.zip");
    std::fs::remove_file(sandbox.path("in/a/app-1.zip")).unwrap();
    let run = sandbox.run([&UP[..], &["--delete"]].concat()).succeeds();
    assert_eq!(run.out.lines().next(), Some("delete: s3://buc/x/a/app-1.zip"), "{run:?}");
    is(run, 1, 2);
    sandbox.run(["verify", "-r", "s3://buc"]).succeeds();
    sandbox.run(["cp", "s3://buc/x10/other.zip", "back"]).succeeds();
    assert!(sandbox.read("back") == first);
    sandbox.run(["cp", "s3://buc/app-1.zip", "back"]).succeeds();
}

#[test]
fn excluded_files_are_untouched() {
    let (sandbox, _) = with_files();
    sandbox.put("x/kept.log", b"log").succeeds();
    is(
        sandbox.run(
            [
                &UP[..],
                &["--delete", "--exclude", "*.log", "--exclude", "a/*", "--include", "*-2.zip"],
            ]
            .concat(),
        ),
        2,
        0,
    );
    sandbox.run(["ls", "-r", "s3://buc/x/"]).succeeds().says("kept.log").says("app-2.zip");
    sandbox.write("out/mine.log", "mine");
    is(sandbox.run([&DOWN[..], &["--delete", "--exclude", "*.log"]].concat()), 2, 0);
    assert_eq!(
        sandbox.files().iter().filter(|name| name.starts_with("out/")).count(),
        4,
        "{:?}",
        sandbox.files()
    );
}

#[test]
fn delete_spares_linked_files() {
    let (sandbox, _) = with_files();
    sandbox.run(UP).succeeds();
    sandbox.run(DOWN).succeeds();
    sandbox.write("elsewhere/precious", "precious");
    std::os::unix::fs::symlink(sandbox.path("elsewhere"), sandbox.path("out/link")).unwrap();
    sandbox.write("out/a/old.zip", "old");
    let down = [&DOWN[..], &["--delete"]].concat();
    let run = sandbox.run([&down[..], &["--dryrun"]].concat());
    assert!(run.out.contains("(dryrun) delete: out/a/old.zip\n"), "{run:?}");
    assert!(sandbox.path("out/a/old.zip").exists());
    let run = sandbox.run(down).fails(2, &["out/link/precious stays: a link leads to it"]);
    assert!(run.out.contains("delete: out/a/old.zip\n"), "{run:?}");
    assert!(!sandbox.path("out/a/old.zip").exists() && sandbox.path("elsewhere/precious").exists());
}

#[test]
fn empty_source_deletes_nothing() {
    let (sandbox, _) = with_files();
    sandbox.run(UP).succeeds();
    let keys = sandbox.store().keys();
    std::fs::create_dir(sandbox.path("empty")).unwrap();
    sandbox
        .run(["sync", "empty", "s3://buc/x", "--delete"])
        .fails(1, &["empty has no files, so all files in s3://buc/x/ would be removed"]);
    sandbox
        .run(["sync", "s3://buc/typo", "in", "--delete"])
        .fails(1, &["s3://buc/typo/ has no files"]);
    assert_eq!(sandbox.store().keys(), keys);
    assert!(sandbox.path("in/notes.txt").exists());
    sandbox.run(["sync", "missing", "s3://buc/x", "--delete"]).fails(255, &["missing"]);
}

#[test]
fn no_key_escapes_the_directory() {
    let (sandbox, _) = with_files();
    sandbox.store().foreign("x/../../escaped.txt", b"out");
    sandbox.store().foreign("x/fine.txt", b"fine");
    sandbox.run(DOWN).fails(1, &["x/../../escaped.txt", "1 of 2 failed"]);
    assert!(!sandbox.path("../escaped.txt").exists() && sandbox.path("out/fine.txt").exists());
}

/// Nested source and destination, and invalid options.
#[test]
fn senseless_syncs_are_rejected() {
    let (sandbox, _) = with_files();
    sandbox.run(["sync", "s3://buc/x", "s3://buc/x/y"]).fails(255, &["one is inside the other"]);
    sandbox
        .run(["sync", "s3://buc/x/y", "s3://buc/x", "--delete"])
        .fails(255, &["one is inside the other"]);
    sandbox.run(["sync", "in", "out"]).fails(255, &["S3 URI"]);
    sandbox
        .run(["sync", "s3://buc", "out", "--metadata", "a=b"])
        .fails(255, &["object metadata is for uploads only"]);
    sandbox.run([&UP[..], &["--checksum", "--size-only"]].concat()).fails(255, &["--size-only"]);
    sandbox.run([&UP[..], &["--exclude", "[a"]].concat()).fails(255, &["--exclude"]);
}

#[test]
fn failed_file_is_named() {
    let (sandbox, _) = with_files();
    // The first file becomes the reference; only the delta of the second is damaged.
    sandbox.run([&UP[..], &["--concurrency", "1"]].concat()).succeeds();
    sandbox.store().replace("x/a/app-2.zip.delta", b"no delta".to_vec());
    let run =
        sandbox.run(DOWN).fails(1, &["download failed: s3://buc/x/a/app-2.zip", "1 of 3 failed"]);
    assert!(run.out.contains("2 changed, 0 unchanged"), "{run:?}");
    assert!(!sandbox.path("out/a/app-2.zip").exists());
}

#[test]
fn next_run_finishes_killed_sync() {
    let sandbox = Sandbox::new();
    let first = noise(200_000, 1);
    for n in 0..40 {
        sandbox.write(&format!("in/app-{n}.zip"), edited(&first, n));
    }
    let mut kills = 0;
    for wait in 1..40 {
        let mut child = sandbox
            .command()
            .args(["sync", "in", "s3://buc", "--quiet", "--checksum"])
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(wait * 7));
        child.kill().unwrap();
        if child.wait().unwrap().success() {
            break;
        }
        kills += 1;
    }
    assert!(kills > 0);
    sandbox.run(["sync", "in", "s3://buc", "--checksum"]).succeeds();
    is(sandbox.run(["sync", "in", "s3://buc", "--checksum"]), 0, 40);
    sandbox.run(["sync", "s3://buc", "out"]).succeeds();
    for n in 0..40 {
        assert!(sandbox.read(&format!("out/app-{n}.zip")) == edited(&first, n));
    }
}

#[test]
fn events_are_printed_as_json() {
    let (sandbox, _) = with_files();
    let run = sandbox.run([&UP[..], &["--json"]].concat()).succeeds();
    let events: Vec<serde_json::Value> =
        run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((events.len(), events[3]["changed"].clone()), (4, 3.into()), "{}", run.out);
    let notes = events.iter().find(|event| event["source"] == "in/notes.txt").unwrap();
    assert_eq!((notes["stored_as"].as_str(), notes["size"].as_u64()), (Some("direct"), Some(5)));
}

/// A copy that fails prevents every deletion.
#[test]
fn deletion_waits_for_all_copies() {
    let (sandbox, server) = (Sandbox::new(), Server::memory().unwrap());
    let run = |arguments: &[&str]| {
        let mut command = sandbox.command();
        command.env("AWS_ENDPOINT_URL_S3", server.url()).env("AWS_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        Run::of(command.args(arguments))
    };
    run(&["mb", "s3://buc"]).succeeds();
    sandbox.write("in/app-1.txt", noise(5_000, 1));
    run(&UP).succeeds();
    // A renamed file must not be missing under both names.
    std::fs::rename(sandbox.path("in/app-1.txt"), sandbox.path("in/app-2.txt")).unwrap();
    let up = [&UP[..], &["--delete"]].concat();
    server.script(|call| {
        (call.operation == "PutObject")
            .then_some(Fault::Refuse { status: 403, code: "AccessDenied" })
    });
    let failed =
        run(&up).fails(1, &["upload failed: in/app-2.txt", "nothing was removed", "1 of 1 failed"]);
    assert!(!failed.out.contains("delete:"), "{failed:?}");
    let (stored, early) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (done, noticed) = (stored.clone(), early.clone());
    server.script(move |call| match call.operation {
        "PutObject" => {
            let done = done.clone();
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(400));
                done.store(true, Ordering::SeqCst);
            });
            Some(Fault::Wait(Duration::from_millis(500)))
        }
        "DeleteObject" => {
            noticed.fetch_or(!done.load(Ordering::SeqCst), Ordering::SeqCst);
            None
        }
        _ => None,
    });
    let printed = run(&up).succeeds().out;
    assert_eq!(printed.lines().nth(1), Some("delete: s3://buc/x/app-1.txt"), "{printed}");
    assert!(stored.load(Ordering::SeqCst) && !early.load(Ordering::SeqCst));
}
