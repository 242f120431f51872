//! Damaged objects on the real binary: a clear error, exit code 1 and no file.

use crate::support::{Sandbox, edited, names_below, noise};

/// Stores a reference, its delta, and the delta of a second version.
fn two_versions() -> (Sandbox, Vec<u8>) {
    let sandbox = Sandbox::new();
    let base = noise(3_000, 1);
    let second = edited(&base, 2);
    sandbox.put("a-1.zip", &base).succeeds();
    sandbox.put("a-2.zip", &second).succeeds().says("(delta: ");
    (sandbox, second)
}

/// Requires that reads of the second version fail and leave nothing behind.
fn refused(sandbox: &Sandbox, messages: &[&str]) {
    for destination in ["out/a-2.zip", "there/"] {
        sandbox.run(["cp", "s3://buc/a-2.zip", destination]).fails(1, messages);
    }
    sandbox.run(["cp", "s3://buc/a-2.zip", "-"]).fails(1, messages);
    sandbox.run(["verify", "s3://buc/a-2.zip"]).fails(1, messages);
    let left = names_below(&sandbox.work());
    assert!(left.iter().all(|name| sandbox.path(name).is_dir()), "{left:?}");
    assert!(names_below(&sandbox.temporaries()).is_empty());
}

#[test]
fn truncated_delta_is_rejected() {
    let (sandbox, _) = two_versions();
    let store = sandbox.store();
    let delta = store.read("a-2.zip.delta");
    for len in [0, 1, 3, 5, 20, delta.len() / 2, delta.len() - 1] {
        store.replace("a-2.zip.delta", delta[..len].to_vec());
        refused(&sandbox, &["fatal error: delta s3://buc/a-2.zip.delta cannot be decoded: "]);
    }
    store.replace("a-2.zip.delta", [delta.clone(), delta.clone()].concat());
    refused(&sandbox, &["s3://buc/a-2.zip.delta cannot be decoded"]);
    store.replace("a-2.zip.delta", delta);
    sandbox.run(["verify", "s3://buc/a-2.zip"]).succeeds();
}

#[test]
fn flipped_bit_gives_no_file() {
    let (sandbox, second) = two_versions();
    let store = sandbox.store();
    let delta = store.read("a-2.zip.delta");
    let mut refusals = 0;
    for at in (0..delta.len()).step_by(3) {
        let mut flipped = delta.clone();
        flipped[at] ^= 1 << (at % 8);
        store.replace("a-2.zip.delta", flipped);
        let run = sandbox.run(["cp", "s3://buc/a-2.zip", "out.zip"]);
        if run.code == Some(0) {
            // Some bits have no effect, such as one of the size of a dictionary.
            assert!(sandbox.read("out.zip") == second, "bit {} of byte {at}", at % 8);
            std::fs::remove_file(sandbox.path("out.zip")).unwrap();
        } else {
            run.fails(1, &["fatal error: ", "s3://buc/a-2.zip"]);
            assert!(names_below(&sandbox.work()).is_empty(), "bit {} of byte {at}", at % 8);
            refusals += 1;
        }
    }
    assert!(refusals > delta.len() / 4, "{refusals} of {}", delta.len().div_ceil(3));
}

#[test]
fn damaged_reference_is_named() {
    let (sandbox, _) = two_versions();
    let store = sandbox.store();
    let reference = store.read("reference.bin");
    let mut flipped = reference.clone();
    flipped[1_500] ^= 0x10;
    for damaged in
        [flipped, reference[..1_000].to_vec(), Vec::new(), [reference.clone(), vec![0]].concat()]
    {
        store.replace("reference.bin", damaged);
        refused(
            &sandbox,
            &["fatal error: reference s3://buc/reference.bin is damaged or was replaced: \
                 expected SHA-256 "],
        );
    }
    store.replace("reference.bin", reference);
    sandbox.run(["verify", "-r", "s3://buc"]).succeeds();
}

#[test]
fn a_missing_reference_is_named() {
    let (sandbox, _) = two_versions();
    sandbox.store().remove("reference.bin");
    refused(
        &sandbox,
        &[
            "fatal error: s3://buc/a-2.zip.delta needs the reference s3://buc/reference.bin, \
             which does not exist",
            "hint: ",
        ],
    );
}

#[test]
fn damaged_plain_file_is_rejected() {
    let sandbox = Sandbox::new();
    sandbox.put("note.txt", b"what was stored").succeeds();
    sandbox.store().replace("note.txt", b"what was st0red".to_vec());
    let messages = ["fatal error: s3://buc/note.txt: SHA-256 mismatch: expected ", ", got "];
    sandbox.run(["cp", "s3://buc/note.txt", "out.txt"]).fails(1, &messages);
    sandbox.run(["cp", "s3://buc/note.txt", "-"]).fails(1, &messages);
    sandbox.store().replace("note.txt", b"what was".to_vec());
    sandbox
        .run(["cp", "s3://buc/note.txt", "out.txt"])
        .fails(1, &["s3://buc/note.txt: expected 15 bytes, got 8"]);
    assert!(names_below(&sandbox.work()).is_empty());
}

#[test]
fn failed_download_keeps_old_file() {
    let (sandbox, _) = two_versions();
    sandbox.write("a-2.zip", "mine");
    sandbox.store().remove("reference.bin");
    sandbox.run(["cp", "s3://buc/a-2.zip", "."]).fails(1, &["does not exist"]);
    assert_eq!(sandbox.read("a-2.zip"), b"mine");
    assert_eq!(names_below(&sandbox.work()), ["a-2.zip"]);
}

/// A delta that lost its metadata is never returned as a file.
#[test]
fn bare_delta_is_no_file() {
    let (sandbox, _) = two_versions();
    let delta = sandbox.store().read("a-2.zip.delta");
    sandbox.store().foreign("a-2.zip.delta", &delta);
    refused(&sandbox, &["s3://buc/a-2.zip.delta is a delta that lost its metadata", "--raw"]);
    sandbox
        .run(["cp", "s3://buc/a-2.zip.delta", "file"])
        .fails(1, &["is a delta that lost its metadata"]);
    sandbox.run(["cp", "--raw", "s3://buc/a-2.zip.delta", "stored"]).succeeds();
    assert!(sandbox.read("stored") == delta);
    // It can be removed by its key, and no other file replaces it without that.
    sandbox
        .put("a-2.zip.delta", b"x")
        .fails(1, &["is where the delta of s3://buc/a-2.zip is stored"]);
    sandbox.run(["rm", "s3://buc/a-2.zip.delta"]).succeeds();
}

#[test]
fn missing_field_is_named() {
    let (sandbox, _) = two_versions();
    sandbox.store().change_metadata("a-2.zip.delta", |metadata| {
        metadata.remove("dg-file-size");
    });
    refused(
        &sandbox,
        &["fatal error: s3://buc/a-2.zip.delta: metadata dg-file-size is absent or malformed"],
    );
    sandbox.run(["ls", "s3://buc/"]).fails(2, &["warning: a-2.zip.delta: metadata dg-file-size"]);
    sandbox.run(["verify", "-r", "s3://buc/"]).fails(1, &["verify failed: s3://buc/a-2.zip.delta"]);
    sandbox.run(["rm", "s3://buc/a-2.zip"]).succeeds();
}
