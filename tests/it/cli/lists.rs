//! `ls`, `stats`, `verify` and `rm` on the real binary.

use crate::support::{Sandbox, edited, noise};

fn releases() -> Sandbox {
    let sandbox = Sandbox::new();
    let base = noise(20_000, 1);
    sandbox.put("rel/a-1.zip", &base).succeeds();
    sandbox.put("rel/a-2.zip", &edited(&base, 1)).succeeds();
    sandbox.put("rel/sub/b.zip", &noise(2_000, 3)).succeeds();
    sandbox.put("note.txt", b"note").succeeds();
    sandbox
}

/// Returns lines without their dates.
fn names(listed: &str) -> Vec<&str> {
    listed.lines().map(|line| line.get(20..).unwrap_or(line)).collect()
}

#[test]
fn ls_shows_original_files_only() {
    let sandbox = releases();
    sandbox.store().foreign(".deltaglider/stats_quick.json", b"{}");
    let second = edited(&noise(20_000, 1), 1).len();
    let line = |size: usize, name: &str| format!("{size:>10} {name}");
    assert_eq!(
        names(&sandbox.run(["ls", "s3://buc"]).succeeds().out),
        ["       PRE rel/", &line(4, "note.txt")]
    );
    let expected = ["       PRE sub/".to_owned(), line(20_000, "a-1.zip"), line(second, "a-2.zip")];
    assert_eq!(names(&sandbox.run(["ls", "s3://buc/rel/"]).succeeds().out), expected);
    let all = sandbox.run(["ls", "--recursive", "--summarize", "s3://buc/"]).succeeds().out;
    let expected = [
        line(4, "note.txt"),
        line(20_000, "rel/a-1.zip"),
        line(second, "rel/a-2.zip"),
        line(2_000, "rel/sub/b.zip"),
    ];
    assert_eq!(names(&all)[..4], expected);
    assert!(
        all.ends_with(&format!("\n\nTotal Objects: 4\n   Total Size: {}\n", 22_004 + second)),
        "{all}"
    );
    let human = sandbox.run(["ls", "--human-readable", "s3://buc/rel/a-1"]).succeeds().out;
    assert_eq!(names(&human), ["  19.5 KiB a-1.zip"]);
    // A stored key is not a prefix of a name.
    sandbox.run(["ls", "s3://buc/rel/a-1.zip.d"]).fails(1, &[]);
    sandbox.run(["ls", "s3://buc/nothing"]).fails(1, &[]);
    assert_eq!(names(&sandbox.run(["ls"]).succeeds().out), ["buc"]);
}

#[test]
fn stats_count_every_stored_byte() {
    let sandbox = releases();
    let store = sandbox.store();
    let stored: usize = store.keys().iter().map(|key| store.read(key).len()).sum();
    let stats = sandbox.run(["stats", "buc", "--json"]).succeeds().out;
    let stats: serde_json::Value = serde_json::from_str(&stats).unwrap();
    let original = 20_000 + edited(&noise(20_000, 1), 1).len() + 2_000 + 4;
    for (field, expected) in [
        ("object_count", 4),
        ("delta_objects", 3),
        ("direct_objects", 1),
        ("reference_objects", 2),
        ("reference_size", 22_000),
        ("total_size", original),
        ("compressed_size", stored),
    ] {
        assert_eq!(stats[field], expected, "{field}: {stats}");
    }
    assert_eq!(stats["space_saved"], original as i64 - stored as i64);
    let report = sandbox.run(["stats", "s3://buc/rel/"]).succeeds();
    report
        .says("Statistics of s3://buc/rel/")
        .says("as deltas:        3")
        .says("as they are:      0");
    sandbox.run(["stats", "nothing-here"]).fails(1, &["no such bucket"]);
}

#[test]
fn rm_spares_other_files() {
    let sandbox = releases();
    sandbox.run(["rm", "s3://buc/rel/a-1.zip"]).succeeds().says("delete: s3://buc/rel/a-1.zip");
    sandbox.run(["cp", "s3://buc/rel/a-1.zip", "-"]).fails(1, &["s3://buc/rel/a-1.zip", "404"]);
    sandbox.run(["verify", "s3://buc/rel/a-2.zip"]).succeeds();
    sandbox
        .run(["rm", "s3://buc/rel/a-1.zip"])
        .fails(1, &["s3://buc/rel/a-1.zip: no such object (404)"]);
    sandbox
        .run(["rm", "s3://buc/rel/reference.bin"])
        .fails(1, &["is a reference that deltas need"]);
    sandbox
        .run(["rm", "s3://buc/rel/a-2.zip.delta"])
        .fails(1, &["is the delta of s3://buc/rel/a-2.zip"]);
    sandbox.run(["rm", "s3://buc/rel/"]).fails(1, &["404"]);
    sandbox.run(["rm", "s3://buc"]).fails(255, &["the key is empty"]);
    sandbox.run(["verify", "-r", "s3://buc"]).succeeds().says("3 verified, 0 failed");
}

#[test]
fn rm_removes_every_variant() {
    let sandbox = releases();
    sandbox.store().foreign("rel/a-2.zip", b"newer, by another tool");
    sandbox
        .run(["verify", "s3://buc/rel/a-2.zip"])
        .fails(2, &["rel/a-2.zip.delta is an older file of the same name"]);
    assert_eq!(
        sandbox.run(["cp", "s3://buc/rel/a-2.zip", "-"]).succeeds().out,
        "newer, by another tool"
    );
    sandbox.run(["rm", "s3://buc/rel/a-2.zip"]).succeeds();
    sandbox.run(["ls", "s3://buc/rel/a-2.zip"]).fails(1, &[]);
    assert!(!sandbox.store().keys().iter().any(|key| key.contains("a-2")));
}

#[test]
fn foreign_object_is_plain_file() {
    let sandbox = releases();
    sandbox.store().foreign("rel/foreign.delta", b"no delta");
    sandbox.store().foreign("elsewhere/reference.bin", b"no reference");
    assert_eq!(sandbox.run(["cp", "s3://buc/rel/foreign.delta", "-"]).succeeds().out, "no delta");
    assert_eq!(
        sandbox.run(["cp", "s3://buc/elsewhere/reference.bin", "-"]).succeeds().out,
        "no reference"
    );
    let all = sandbox.run(["ls", "-r", "s3://buc"]).succeeds().out;
    assert!(
        all.contains(" rel/foreign.delta\n") && all.contains(" elsewhere/reference.bin\n"),
        "{all}"
    );
    // It is neither used as a reference nor replaced.
    sandbox.put("elsewhere/a.zip", &noise(1_000, 1)).succeeds().says("(reference: ");
    assert_eq!(
        sandbox.run(["cp", "s3://buc/elsewhere/reference.bin", "-"]).succeeds().out,
        "no reference"
    );
    // A file with the name of a delta is not replaced either.
    sandbox.put("rel/foreign", &noise(1_000, 1)).succeeds();
    sandbox.store().foreign("rel/c.zip.delta", b"a file of its own");
    sandbox
        .put("rel/c.zip", &noise(20_000, 1))
        .succeeds()
        .says("s3://buc/rel/c.zip.delta has the key of its delta");
    assert_eq!(
        sandbox.run(["cp", "s3://buc/rel/c.zip.delta", "-"]).succeeds().out,
        "a file of its own"
    );
    sandbox.run(["verify", "-r", "s3://buc"]).succeeds();
}
