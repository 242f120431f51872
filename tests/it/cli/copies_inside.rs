//! `cp` from one S3 URI to another: deltas stay deltas where possible, and a copy does not depend
//! on its source.

use crate::support::{Sandbox, edited, noise};

/// Stores two versions in `a/` and returns their contents.
fn with_versions() -> (Sandbox, Vec<u8>, Vec<u8>) {
    let sandbox = Sandbox::new();
    let first = noise(100_000, 1);
    let second = edited(&first, 2);
    sandbox.put("a/app-1.zip", &first).succeeds();
    sandbox.put("a/app-2.zip", &second).succeeds();
    (sandbox, first, second)
}

#[track_caller]
fn gives(sandbox: &Sandbox, uri: &str, content: &[u8]) {
    sandbox.run(["cp", uri, "back"]).succeeds();
    assert!(sandbox.read("back") == content, "{uri}");
}

#[test]
fn copy_below_reference_shares_it() {
    let (sandbox, _, second) = with_versions();
    sandbox
        .run(["cp", "s3://buc/a/app-2.zip", "s3://buc/a/kept/release.zip"])
        .succeeds()
        .says("(delta: ");
    let metadata = sandbox.store().metadata("a/kept/release.zip.delta");
    assert_eq!(metadata["dg-ref-key"], "a/reference.bin");
    assert_eq!(metadata["dg-original-name"], "release.zip");
    // Only the copy needs the reference then.
    sandbox.run(["rm", "s3://buc/a/app-1.zip"]).succeeds();
    sandbox.run(["rm", "s3://buc/a/app-2.zip"]).succeeds();
    gives(&sandbox, "s3://buc/a/kept/release.zip", &second);
    sandbox.run(["repair", "buc"]).succeeds();
}

#[test]
fn copy_elsewhere_has_reference() {
    let (sandbox, first, second) = with_versions();
    sandbox.run(["mb", "s3://other"]).succeeds();
    sandbox.run(["cp", "-r", "s3://buc/a/", "s3://buc/b/"]).succeeds();
    sandbox.run(["cp", "s3://buc/a/app-2.zip", "s3://other"]).succeeds().says("(delta: ");
    let keys = sandbox.store().keys();
    assert!(
        keys.contains(&"b/app-2.zip.delta".to_owned())
            && keys.contains(&"b/reference.bin".to_owned()),
        "{keys:?}"
    );
    sandbox.run(["rm", "s3://buc/a/app-1.zip"]).succeeds();
    sandbox.run(["rm", "s3://buc/a/app-2.zip"]).succeeds();
    gives(&sandbox, "s3://buc/b/app-1.zip", &first);
    gives(&sandbox, "s3://buc/b/app-2.zip", &second);
    gives(&sandbox, "s3://other/app-2.zip", &second);
}

/// A copy to a prefix with other references is encoded against these.
#[test]
fn copy_is_encoded_for_its_target() {
    let (sandbox, _, second) = with_versions();
    let third = edited(&second, 3);
    sandbox.put("b/app-3.zip", &third).succeeds();
    sandbox.run(["cp", "s3://buc/a/app-2.zip", "s3://buc/b/"]).succeeds().says("(delta: ");
    assert_eq!(sandbox.store().metadata("b/app-2.zip.delta")["dg-ref-key"], "b/reference.bin");
    gives(&sandbox, "s3://buc/b/app-2.zip", &second);
}

#[test]
fn store_copies_plain_objects() {
    let sandbox = Sandbox::new();
    sandbox.put("notes.txt", b"text").succeeds();
    sandbox.run(["cp", "s3://buc/notes.txt", "s3://buc/c/"]).succeeds().says("direct: 4 Bytes");
    gives(&sandbox, "s3://buc/c/notes.txt", b"text");
    // A plain file of another tool becomes a delta if it may.
    let first = noise(100_000, 1);
    sandbox.store().foreign("plain/app-1.zip", &first);
    sandbox.run(["cp", "s3://buc/plain/app-1.zip", "s3://buc/d/"]).succeeds().says("reference: ");
    gives(&sandbox, "s3://buc/d/app-1.zip", &first);
    sandbox
        .run(["cp", "--no-delta", "s3://buc/d/app-1.zip", "s3://buc/e/"])
        .succeeds()
        .says("as asked");
    gives(&sandbox, "s3://buc/e/app-1.zip", &first);
}

#[test]
fn copy_leaves_one_variant() {
    let (sandbox, _, second) = with_versions();
    sandbox.put("notes.zip.txt", b"text").succeeds();
    sandbox.run(["cp", "--no-delta", "s3://buc/a/app-1.zip", "s3://buc/x.zip"]).succeeds();
    sandbox.run(["cp", "s3://buc/a/app-2.zip", "s3://buc/x.zip"]).succeeds();
    let keys = sandbox.store().keys();
    assert!(
        !keys.contains(&"x.zip".to_owned()) && keys.contains(&"x.zip.delta".to_owned()),
        "{keys:?}"
    );
    gives(&sandbox, "s3://buc/x.zip", &second);
}

#[test]
fn copy_keeps_metadata() {
    let sandbox = Sandbox::new();
    let first = noise(100_000, 1);
    sandbox.write("app.zip", &first);
    let options = ["--metadata", "team=blue,dg-note=mine", "--cache-control", "no-store"];
    sandbox.run(["cp", "app.zip", "s3://buc/a/"].iter().chain(&options)).succeeds();
    sandbox.run(["cp", "s3://buc/a/app.zip", "s3://buc/a/b/"]).succeeds().says("(delta: ");
    sandbox
        .run(["cp", "--no-delta", "s3://buc/a/app.zip", "s3://buc/c/"])
        .succeeds()
        .says("as asked");
    for key in ["a/b/app.zip.delta", "c/app.zip"] {
        let metadata = sandbox.store().metadata(key);
        assert_eq!(metadata["team"], "blue", "{key}");
        assert_eq!(metadata["dg-user-dg-note"], "mine", "{key}");
    }
    let messages = ["has the headers, metadata and class of its source"];
    sandbox
        .run(["cp", "s3://buc/a/app.zip", "s3://buc/d/"].iter().chain(&options))
        .fails(255, &messages);
}

#[test]
fn senseless_copies_are_rejected() {
    let (sandbox, ..) = with_versions();
    let before = sandbox.store().keys();
    sandbox
        .run(["cp", "s3://buc/a/app-1.zip", "s3://buc/a/app-1.zip"])
        .fails(1, &["cannot be copied onto itself"]);
    sandbox
        .run(["cp", "-r", "s3://buc/a", "s3://buc/a/b"])
        .fails(255, &["one is inside the other"]);
    let long = format!("s3://buc/.deltaglider/{}", ".".repeat(400));
    sandbox.run(["cp", "s3://buc/a/app-1.zip", &long]).fails(1, &["needs an escaped key"]);
    sandbox.run(["cp", "s3://buc/a/absent.zip", "s3://buc/b.zip"]).fails(1, &["no such object"]);
    sandbox.run(["cp", "s3://buc/a/app-1.zip", "s3://absent/"]).fails(1, &["no such bucket"]);
    sandbox
        .run(["cp", "--dryrun", "s3://buc/a/app-1.zip", "s3://buc/b/"])
        .succeeds()
        .says("(dryrun) copy: ");
    assert_eq!(sandbox.store().keys(), before);
}
