//! `sync`: what differs is copied, what is the same is not, and nothing is removed that should not
//! be.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use crate::support::{Run, Sandbox, edited, noise};
use s3_server::{ACCESS_KEY, Fault, SECRET_KEY, Server};

const HOUR: Duration = Duration::from_secs(3600);

/// Sets the time of a file to so many hours from now.
fn date(sandbox: &Sandbox, name: &str, hours: i32) {
    let now = SystemTime::now();
    let at = if hours < 0 {
        now - HOUR * hours.unsigned_abs()
    } else {
        now + HOUR * hours.unsigned_abs()
    };
    File::options().write(true).open(sandbox.path(name)).unwrap().set_modified(at).unwrap();
}

/// The same length, and one other byte.
fn changed(content: &[u8]) -> Vec<u8> {
    let mut changed = content.to_vec();
    changed[100] ^= 1;
    changed
}

/// `in/a/app-1.zip`, `in/a/app-2.zip` and `in/notes.txt`, an hour old.
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
fn what_is_newer_or_of_another_size_is_uploaded_and_nothing_else() {
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
fn what_has_another_size_or_time_is_downloaded_and_nothing_else() {
    let (sandbox, first) = with_files();
    sandbox.run(UP).succeeds();
    is(sandbox.run(DOWN), 3, 0);
    is(sandbox.run(DOWN), 0, 3);
    assert!(sandbox.read("out/a/app-1.zip") == first);
    // Stale, as an older tool or another clock may leave it: the same size, an older time.
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
fn what_another_tool_left_is_compared_by_its_tag() {
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
fn buckets_are_made_like_each_other_and_deltas_stay_deltas() {
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

#[test]
fn removing_what_the_source_has_not_touches_neither_references_nor_neighbours() {
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
fn what_a_pattern_leaves_out_is_neither_copied_nor_removed() {
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
fn files_of_a_disk_are_removed_but_for_those_a_link_leads_to() {
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
fn an_empty_source_removes_nothing() {
    let (sandbox, _) = with_files();
    sandbox.run(UP).succeeds();
    let keys = sandbox.store().keys();
    std::fs::create_dir(sandbox.path("empty")).unwrap();
    sandbox
        .run(["sync", "empty", "s3://buc/x", "--delete"])
        .fails(1, &["there is nothing in empty, so all in s3://buc/x/"]);
    sandbox
        .run(["sync", "s3://buc/typo", "in", "--delete"])
        .fails(1, &["there is nothing in s3://buc/typo/"]);
    assert_eq!(sandbox.store().keys(), keys);
    assert!(sandbox.path("in/notes.txt").exists());
    sandbox.run(["sync", "missing", "s3://buc/x", "--delete"]).fails(255, &["missing"]);
}

#[test]
fn no_key_is_written_outside_the_folder() {
    let (sandbox, _) = with_files();
    sandbox.store().foreign("x/../../escaped.txt", b"out");
    sandbox.store().foreign("x/fine.txt", b"fine");
    sandbox.run(DOWN).fails(1, &["x/../../escaped.txt", "1 of 2 failed"]);
    assert!(!sandbox.path("../escaped.txt").exists() && sandbox.path("out/fine.txt").exists());
}

#[test]
fn folders_that_hold_each_other_and_options_without_sense_are_refused() {
    let (sandbox, _) = with_files();
    sandbox.run(["sync", "s3://buc/x", "s3://buc/x/y"]).fails(255, &["is in the other"]);
    sandbox
        .run(["sync", "s3://buc/x/y", "s3://buc/x", "--delete"])
        .fails(255, &["is in the other"]);
    sandbox.run(["sync", "in", "out"]).fails(255, &["S3 URI"]);
    sandbox
        .run(["sync", "s3://buc", "out", "--metadata", "a=b"])
        .fails(255, &["keep attributes beside"]);
    sandbox.run([&UP[..], &["--checksum", "--size-only"]].concat()).fails(255, &["--size-only"]);
    sandbox.run([&UP[..], &["--exclude", "[a"]].concat()).fails(255, &["--exclude"]);
}

#[test]
fn one_file_that_fails_is_named_and_the_others_are_copied() {
    let (sandbox, _) = with_files();
    // The first becomes the reference, and comes back without its delta.
    sandbox.run([&UP[..], &["--concurrency", "1"]].concat()).succeeds();
    sandbox.store().replace("x/a/app-2.zip.delta", b"no delta".to_vec());
    let run =
        sandbox.run(DOWN).fails(1, &["download failed: s3://buc/x/a/app-2.zip", "1 of 3 failed"]);
    assert!(run.out.contains("2 changed, 0 unchanged"), "{run:?}");
    assert!(!sandbox.path("out/a/app-2.zip").exists());
}

#[test]
fn a_sync_that_was_killed_is_finished_by_the_next_one() {
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
fn what_happened_is_told_as_json() {
    let (sandbox, _) = with_files();
    let run = sandbox.run([&UP[..], &["--json"]].concat()).succeeds();
    let told: Vec<serde_json::Value> =
        run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((told.len(), told[3]["changed"].clone()), (4, 3.into()), "{}", run.out);
    let notes = told.iter().find(|told| told["source"] == "in/notes.txt").unwrap();
    assert_eq!((notes["stored_as"].as_str(), notes["size"].as_u64()), (Some("direct"), Some(5)));
}

#[test]
fn nothing_is_removed_before_all_is_copied_and_nothing_if_something_could_not_be() {
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
    // What has only another name now is not gone under both.
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
    let (told, noticed) = (stored.clone(), early.clone());
    server.script(move |call| match call.operation {
        "PutObject" => {
            let told = told.clone();
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(400));
                told.store(true, Ordering::SeqCst);
            });
            Some(Fault::Wait(Duration::from_millis(500)))
        }
        "DeleteObject" => {
            noticed.fetch_or(!told.load(Ordering::SeqCst), Ordering::SeqCst);
            None
        }
        _ => None,
    });
    let told = run(&up).succeeds().out;
    assert_eq!(told.lines().nth(1), Some("delete: s3://buc/x/app-1.txt"), "{told}");
    assert!(stored.load(Ordering::SeqCst) && !early.load(Ordering::SeqCst));
}
