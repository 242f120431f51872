//! Tests of the promises of the README, which cites each by its name.

use std::process::Command;

use crate::support::{Run, Sandbox, edited, names_below, noise, text};

#[test]
fn download_is_exact_or_fails() {
    let sandbox = Sandbox::new();
    let mut version = noise(50_000, 1);
    for release in 0..6 {
        sandbox.put(&format!("app-{release}.zip"), &version).succeeds();
        assert!(
            sandbox.run(["cp", &format!("s3://buc/app-{release}.zip"), "-"]).succeeds().stdout
                == version
        );
        version = edited(&version, release);
    }
    let store = sandbox.store();
    let mut delta = store.read("app-3.zip.delta");
    let middle = delta.len() / 2;
    delta[middle] ^= 0x40;
    store.replace("app-3.zip.delta", delta);
    sandbox.run(["cp", "s3://buc/app-3.zip", "out.zip"]).fails(1, &["s3://buc/app-3.zip"]);
    assert!(names_below(&sandbox.work()).is_empty());
    sandbox
        .run(["verify", "-r", "s3://buc"])
        .fails(1, &["verify failed: s3://buc/app-3.zip"])
        .says("5 verified, 1 failed");
}

/// The content of the first file remains in the reference after `rm`.
#[test]
fn rm_keeps_content_in_reference() {
    let sandbox = Sandbox::new();
    let first = noise(30_000, 1);
    sandbox.put("rel/app-1.zip", &first).succeeds();
    sandbox.put("rel/app-2.zip", &edited(&first, 1)).succeeds();
    sandbox.run(["rm", "s3://buc/rel/app-1.zip"]).succeeds();
    sandbox.run(["cp", "s3://buc/rel/app-1.zip", "-"]).fails(1, &["404"]);
    sandbox.run(["cp", "--raw", "s3://buc/rel/reference.bin", "reference"]).succeeds();
    assert!(sandbox.read("reference") == first);
}

/// The classic reference is deleted with its last delta; its content-addressed copy stays and
/// serves later puts.
#[test]
fn reference_copy_outlives_deltas() {
    let sandbox = Sandbox::new();
    let first = noise(30_000, 1);
    sandbox.put("rel/app-1.zip", &first).succeeds();
    sandbox.put("rel/app-2.zip", &edited(&first, 1)).succeeds();
    sandbox.run(["rm", "s3://buc/rel/app-1.zip"]).succeeds();
    assert!(sandbox.store().read("rel/reference.bin") == first);
    sandbox.run(["rm", "s3://buc/rel/app-2.zip"]).succeeds();
    let copy = format!(
        "rel/.deltaglider/references/{}/reference.bin",
        deltaglider::domain::Sha256Digest::of(&first)
    );
    assert_eq!(sandbox.store().keys(), [copy]);
    // A put in progress, or a later one, can still use it.
    sandbox.put("rel/app-3.zip", &edited(&first, 2)).succeeds().says("(delta: ");
    assert!(
        sandbox.run(["cp", "s3://buc/rel/app-3.zip", "-"]).succeeds().stdout == edited(&first, 2)
    );
}

/// Every delta of the folder fails until the reference is restored; other files are unaffected.
#[test]
fn lost_reference_fails_folder() {
    let sandbox = Sandbox::new();
    let first = noise(30_000, 1);
    sandbox.put("rel/app-1.zip", &first).succeeds();
    sandbox.put("rel/app-2.zip", &edited(&first, 1)).succeeds();
    sandbox.put("rel/note.txt", b"note").succeeds();
    sandbox.put("other/app-1.zip", &noise(9_000, 2)).succeeds();
    // As a lifecycle rule or another tool may do.
    sandbox.store().remove("rel/reference.bin");
    for key in ["rel/app-1.zip", "rel/app-2.zip"] {
        let uri = format!("s3://buc/{key}");
        sandbox
            .run(["cp", &uri, "out"])
            .fails(1, &["needs the reference s3://buc/rel/reference.bin, which does not exist"]);
    }
    for key in ["rel/note.txt", "other/app-1.zip"] {
        sandbox.run(["verify", &format!("s3://buc/{key}")]).succeeds();
    }
    // The file it was made from restores it.
    sandbox.put("rel/app-1.zip", &first).succeeds().says("(reference: ");
    sandbox.run(["verify", "-r", "s3://buc"]).succeeds();
}

#[test]
fn a_reference_is_never_replaced() {
    let sandbox = Sandbox::new();
    let first = noise(30_000, 1);
    sandbox.put("app-0.zip", &first).succeeds();
    sandbox.put("app-1.zip", &edited(&first, 0)).succeeds();
    sandbox.put("app-1.zip", &noise(30_000, 2)).succeeds();
    sandbox.put("unlike.zip", &noise(30_000, 3)).succeeds();
    sandbox.put("app-2.zip", &edited(&first, 1)).succeeds().says("(delta: ");
    // A file of its name does not replace it either: it gets an escaped key.
    let own = noise(30_000, 4);
    sandbox.put("reference.bin", &own).succeeds();
    assert!(sandbox.store().read("reference.bin") == first);
    assert!(sandbox.run(["cp", "s3://buc/reference.bin", "-"]).succeeds().stdout == own);
    assert!(sandbox.run(["cp", "s3://buc/app-2.zip", "-"]).succeeds().stdout == edited(&first, 1));
}

#[test]
fn cp_recursive_restores_all() {
    let sandbox = Sandbox::new();
    let first = noise(30_000, 1);
    sandbox.write("in/a/app-1.zip", &first);
    sandbox.write("in/a/app-2.zip", edited(&first, 1));
    sandbox.write("in/note.txt", "note");
    sandbox.run(["cp", "-r", "in", "s3://buc"]).succeeds();
    sandbox.run(["cp", "-r", "s3://buc", "out"]).succeeds();
    assert_eq!(names_below(&sandbox.path("in")), names_below(&sandbox.path("out")));
    for name in ["a/app-1.zip", "a/app-2.zip", "note.txt"] {
        assert!(sandbox.read(&format!("in/{name}")) == sandbox.read(&format!("out/{name}")));
    }
}

#[test]
#[ignore = "needs xdelta3 on PATH: run by name in .ci/run"]
fn stock_xdelta3_decodes_deltas() {
    let first = noise(300_000, 1);
    let (sandbox, second) = with_stored_objects(&first);
    for (delta, content) in [("1.delta", &first), ("2.delta", &second)] {
        for arguments in [&["-d", "-D"][..], &["-d"]] {
            assert!(restored_by_xdelta3(&sandbox, arguments, "reference.bin", delta) == *content);
        }
    }
}

/// Stores a file and a version of it, and downloads the reference and both deltas as stored.
fn with_stored_objects(first: &[u8]) -> (Sandbox, Vec<u8>) {
    let (sandbox, second) = (Sandbox::new(), edited(first, 1));
    sandbox.put("app-1.zip", first).succeeds();
    sandbox.put("app-2.zip", &second).succeeds();
    for (object, file) in [
        ("reference.bin", "reference.bin"),
        ("app-1.zip.delta", "1.delta"),
        ("app-2.zip.delta", "2.delta"),
    ] {
        sandbox.run(["cp", "--raw", &format!("s3://buc/{object}"), file]).succeeds();
    }
    (sandbox, second)
}

/// xdelta3 3.0.11 unpacks a packed reference by itself; every version takes it unpacked by hand.
#[test]
#[ignore = "runs xdelta3 and gzip"]
fn stock_programs_restore_packed() {
    let first = text(300_000, 1);
    let (sandbox, second) = with_stored_objects(&first);
    let mut gzip = Command::new("gzip");
    let unpacked =
        Run::of(gzip.current_dir(sandbox.work()).args(["-dc", "reference.bin"])).succeeds();
    sandbox.write("reference", &unpacked.stdout);
    for (delta, content) in [("1.delta", &first), ("2.delta", &second)] {
        for (arguments, reference) in [(&["-d", "-D"][..], "reference"), (&["-d"], "reference.bin")]
        {
            assert!(restored_by_xdelta3(&sandbox, arguments, reference, delta) == *content);
        }
    }
}

fn restored_by_xdelta3(
    sandbox: &Sandbox,
    arguments: &[&str],
    reference: &str,
    delta: &str,
) -> Vec<u8> {
    let mut xdelta3 = Command::new("xdelta3");
    xdelta3.current_dir(sandbox.work()).args(arguments);
    Run::of(xdelta3.args(["-q", "-f", "-s", reference, delta, "out"])).succeeds();
    sandbox.read("out")
}

/// The exit codes match the table in the README.
#[test]
fn exit_codes_match_table() {
    let sandbox = Sandbox::new();
    sandbox.put("a.zip", &noise(3_000, 1)).succeeds();
    assert_eq!(sandbox.run(["ls", "s3://buc"]).code, Some(0));
    assert_eq!(sandbox.run(["ls", "s3://buc/none"]).code, Some(1));
    assert_eq!(sandbox.run(["cp", "s3://buc/none", "out"]).code, Some(1));
    sandbox.store().foreign("a.zip", b"newer");
    assert_eq!(sandbox.run(["verify", "s3://buc/a.zip"]).code, Some(2));
    assert_eq!(sandbox.run(["cp", "none", "s3://buc"]).code, Some(255));
    assert_eq!(sandbox.run(["cp"]).code, Some(255));
}
