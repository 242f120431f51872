//! `rm -r` and `rb`: delete everything of a prefix or bucket, and nothing else.

use crate::support::{Sandbox, edited, noise};

fn filled() -> (Sandbox, Vec<u8>) {
    let sandbox = Sandbox::new();
    let first = noise(100_000, 1);
    let second = edited(&first, 2);
    for folder in ["v1/", "v10/", "other/"] {
        sandbox.put(&format!("{folder}app-1.zip"), &first).succeeds();
        sandbox.put(&format!("{folder}app-2.zip"), &second).succeeds();
    }
    sandbox.put("v1/notes.txt", b"text").succeeds();
    (sandbox, second)
}

/// The references below the prefix are deleted with its files.
#[test]
fn rm_of_prefix_spares_others() {
    let (sandbox, second) = filled();
    let before = sandbox.store().keys();
    let dry = sandbox.run(["rm", "-r", "--dryrun", "s3://buc/v1"]).succeeds();
    assert_eq!(dry.out.lines().count(), 3, "{dry:?}");
    assert_eq!(sandbox.store().keys(), before);
    let run = sandbox.run(["rm", "-r", "s3://buc/v1"]).succeeds();
    assert_eq!(run.out, dry.out.replace("(dryrun) ", ""));
    let left: Vec<String> =
        sandbox.store().keys().into_iter().filter(|key| key.starts_with("v1/")).collect();
    // The copy of the reference is kept for its grace period.
    assert!(left.iter().all(|key| key.starts_with("v1/.deltaglider/references/")), "{left:?}");
    for folder in ["v10", "other"] {
        sandbox.run(["cp", &format!("s3://buc/{folder}/app-2.zip"), "back"]).succeeds();
        assert!(sandbox.read("back") == second);
    }
    sandbox.run(["rm", "-r", "s3://buc/v1"]).fails(1, &["nothing is stored under s3://buc/v1"]);
}

#[test]
fn rb_needs_an_empty_bucket() {
    let (sandbox, _) = filled();
    let before = sandbox.store().keys();
    sandbox.run(["rb", "s3://buc"]).fails(1, &["the bucket is not empty"]);
    assert_eq!(sandbox.store().keys(), before);
    sandbox.run(["rb", "s3://buc/v1"]).fails(255, &["names an object"]);
    sandbox.run(["rm", "-r", "-q", "s3://buc"]).succeeds();
    sandbox.run(["rb", "s3://buc"]).succeeds().says("remove_bucket: buc");
    sandbox.run(["ls", "s3://buc"]).fails(1, &["no such bucket"]);
    let (sandbox, _) = filled();
    sandbox.run(["rb", "--force", "s3://buc"]).succeeds().says("delete: s3://buc/v1/notes.txt");
    sandbox.run(["ls", "s3://buc"]).fails(1, &["no such bucket"]);
}
