//! `cp` on the real binary: destinations, stored kinds, and round trips.

use crate::support::{Run, Sandbox, edited, names_below, noise};

/// The first file becomes the reference, the next one a delta, and both are restored.
#[test]
fn versions_round_trip_as_deltas() {
    let sandbox = Sandbox::new();
    let (first, second) = (noise(100_000, 1), edited(&noise(100_000, 1), 2));
    sandbox.write("app-1.zip", &first);
    sandbox.write("app-2.zip", &second);
    sandbox
        .run(["cp", "app-1.zip", "s3://buc/rel/"])
        .succeeds()
        .says("s3://buc/rel/app-1.zip (reference: 97.7 KiB)");
    sandbox
        .run(["cp", "app-2.zip", "s3://buc/rel/"])
        .succeeds()
        .says("s3://buc/rel/app-2.zip (delta: ");
    assert_eq!(
        sandbox.store().keys(),
        ["rel/app-1.zip.delta", "rel/app-2.zip.delta", "rel/reference.bin"]
    );
    sandbox.run(["cp", "s3://buc/rel/app-2.zip", "back/"]).succeeds().says("SHA-256 verified");
    sandbox.run(["cp", "s3://buc/rel/app-1.zip", "one"]).succeeds();
    assert!(sandbox.read("back/app-2.zip") == second && sandbox.read("one") == first);
    assert!(names_below(&sandbox.temporaries()).is_empty());
}

/// A destination without a slash at its end is the new name.
#[test]
fn trailing_slash_keeps_the_name() {
    let sandbox = Sandbox::new();
    sandbox.write("a.txt", "a");
    for (destination, key) in [
        ("s3://buc", "a.txt"),
        ("s3://buc/", "a.txt"),
        ("s3://buc/dir/", "dir/a.txt"),
        ("s3://buc/dir", "dir"),
        ("s3://buc/dir/new.txt", "dir/new.txt"),
        ("s3://buc//", "/a.txt"),
    ] {
        sandbox
            .run(["cp", "a.txt", destination])
            .succeeds()
            .says(&format!("upload: a.txt to s3://buc/{key} "));
    }
    std::fs::create_dir(sandbox.path("there")).unwrap();
    for (destination, path) in [
        (".", "new.txt"),
        ("there", "there/new.txt"),
        ("made/", "made/new.txt"),
        ("deep/er/name", "deep/er/name"),
    ] {
        sandbox.run(["cp", "s3://buc/dir/new.txt", destination]).succeeds();
        assert_eq!(sandbox.read(path), b"a");
    }
}

#[test]
fn directory_round_trips() {
    let sandbox = Sandbox::new();
    let zip = noise(50_000, 3);
    for (name, content) in [
        ("src/a.zip", zip.clone()),
        ("src/b.zip", edited(&zip, 1)),
        ("src/deep/er/c.zip", zip.clone()),
        ("src/empty", Vec::new()),
        ("src/note.txt", b"note".to_vec()),
    ] {
        sandbox.write(name, content);
    }
    sandbox.run(["cp", "--recursive", "src", "s3://buc/v1"]).succeeds();
    sandbox.write("other.zip", noise(9, 9));
    sandbox.run(["cp", "other.zip", "s3://buc/v10/other.zip"]).succeeds();
    sandbox.run(["cp", "-r", "s3://buc/v1", "back"]).succeeds();
    assert_eq!(names_below(&sandbox.path("src")), names_below(&sandbox.path("back")));
    for name in names_below(&sandbox.path("src"))
        .iter()
        .filter(|name| sandbox.path("src").join(name).is_file())
    {
        assert!(
            sandbox.read(&format!("src/{name}")) == sandbox.read(&format!("back/{name}")),
            "{name}"
        );
    }
    sandbox.run(["ls", "--recursive", "s3://buc/v1/"]).succeeds().says(" 50000 v1/a.zip\n");
}

#[test]
fn minus_is_stdin_and_stdout() {
    let sandbox = Sandbox::new();
    let (first, second) = (noise(200_000, 4), edited(&noise(200_000, 4), 5));
    for (key, content) in [("x/1.zip", &first), ("x/2.zip", &second)] {
        let path = sandbox.write("pipe", content);
        let input = std::fs::File::open(path).unwrap();
        Run::of(sandbox.command().args(["cp", "-", &format!("s3://buc/{key}")]).stdin(input))
            .succeeds()
            .says("upload: standard input to s3://buc/x/");
        assert!(sandbox.run(["cp", &format!("s3://buc/{key}"), "-"]).succeeds().stdout == *content);
    }
    assert_eq!(sandbox.store().keys(), ["x/1.zip.delta", "x/2.zip.delta", "x/reference.bin"]);
    sandbox.run(["cp", "-", "s3://buc/x/"]).fails(255, &["standard input has no name"]);
    sandbox
        .run(["cp", "-r", "-", "s3://buc/x/"])
        .fails(255, &["standard input is not a directory"]);
    sandbox
        .run(["cp", "-r", "s3://buc/x/", "-"])
        .fails(255, &["a directory cannot be copied to standard output"]);
}

#[test]
fn ratio_limits_deltas() {
    let sandbox = Sandbox::new();
    sandbox.put("a.zip", &noise(60_000, 1)).succeeds();
    sandbox
        .put("b.zip", &noise(60_000, 2))
        .succeeds()
        .says("direct: 58.6 KiB, its delta would exceed 0.5 of it");
    let half = [&noise(60_000, 1)[..36_000], &noise(24_000, 3)].concat();
    sandbox.put("c.zip", &half).succeeds().says("delta: ");
    sandbox.write("half", &half);
    // A file with nothing in common with the reference is stored whole; one with something in
    // common becomes a new reference.
    let run = Run::of(sandbox.command().env("DG_MAX_RATIO", "0.39").args([
        "cp",
        "half",
        "s3://buc/d.zip",
    ]));
    run.succeeds().says("(reference: 58.6 KiB)");
    sandbox.write("e.zip", noise(60_000, 4));
    sandbox
        .run(["cp", "--max-ratio", "0.1", "e.zip", "s3://buc"])
        .succeeds()
        .says("its delta would exceed 0.1 of it");
    let keys = sandbox.store().keys();
    let (own, files): (Vec<&String>, Vec<&String>) =
        keys.iter().partition(|key| key.starts_with(".deltaglider/"));
    assert_eq!(
        files,
        ["a.zip.delta", "b.zip", "c.zip.delta", "d.zip.delta", "e.zip", "reference.bin"]
    );
    assert!(own.iter().any(|key| key.ends_with("/reference.bin")), "{own:?}");
    sandbox.write("d.zip", &half);
    for ratio in ["0", "1.1", "x", "-1", "nan"] {
        sandbox
            .run(["cp", &format!("--max-ratio={ratio}"), "d.zip", "s3://buc"])
            .fails(255, &["is not a ratio"]);
    }
}

/// A name has one object, whether its file was stored as a delta or whole.
#[test]
fn name_has_one_variant() {
    let sandbox = Sandbox::new();
    let base = noise(30_000, 1);
    sandbox.put("a.zip", &base).succeeds();
    let mut last = base.clone();
    for (round, no_delta) in [true, false, true, true, false, false].into_iter().enumerate() {
        last = edited(&last, round as u64);
        sandbox.write("a.zip", &last);
        let flag = if no_delta { "--no-delta" } else { "--quiet" };
        sandbox.run(["cp", flag, "a.zip", "s3://buc/"]).succeeds();
        assert!(sandbox.run(["cp", "s3://buc/a.zip", "-"]).succeeds().stdout == last);
        let keys = sandbox.store().keys();
        let files = keys.iter().filter(|key| key.starts_with("a.zip"));
        assert_eq!(files.count(), 1, "{keys:?}");
        let listed = sandbox.run(["ls", "s3://buc"]).succeeds().out;
        assert_eq!(listed.lines().count(), 1, "{listed}");
    }
}

#[test]
fn gzip_is_never_a_reference() {
    let sandbox = Sandbox::new();
    let packed = [b"\x1f\x8b\x08\0\0\0\0\0".to_vec(), noise(40_000, 1)].concat();
    sandbox.put("a.tgz", &packed).succeeds().says("gzip cannot be a reference");
    sandbox.put("b.zip", &noise(40_000, 2)).succeeds().says("(reference: ");
    sandbox.put("c.zip", &edited(&noise(40_000, 2), 1)).succeeds().says("(delta: ");
    let next = [b"\x1f\x8b\x08\0\0\0\0\0".to_vec(), noise(40_000, 2)].concat();
    sandbox.put("d.tgz", &next).succeeds().says("(delta: ");
    assert!(sandbox.run(["cp", "s3://buc/d.tgz", "-"]).succeeds().stdout == next);
    assert!(sandbox.run(["cp", "s3://buc/a.tgz", "-"]).succeeds().stdout == packed);
}

/// A compressed reference of an older tool is kept, but a new one is used.
#[test]
fn bzip2_reference_is_replaced() {
    let sandbox = Sandbox::new();
    sandbox.put("a.zip", &noise(40_000, 1)).succeeds();
    let packed = [b"BZh9".to_vec(), noise(40_000, 2)].concat();
    sandbox.store().replace_reference("reference.bin", packed.clone());
    sandbox.put("b.bz2", &packed).succeeds().says("bzip2 cannot be a reference");
    assert!(sandbox.run(["cp", "s3://buc/b.bz2", "-"]).succeeds().stdout == packed);
    sandbox.put("c.zip", &noise(40_000, 3)).succeeds().says("(reference: ");
    sandbox.put("d.zip", &edited(&noise(40_000, 3), 1)).succeeds().says("(delta: ");
    assert!(
        sandbox.run(["cp", "s3://buc/d.zip", "-"]).succeeds().stdout
            == edited(&noise(40_000, 3), 1)
    );
    assert!(sandbox.store().read("reference.bin") == packed);
}

#[test]
fn a_dry_run_changes_nothing() {
    let sandbox = Sandbox::new();
    sandbox.put("a.zip", &noise(3_000, 1)).succeeds();
    sandbox.write("src/x.zip", noise(3_000, 2));
    let before = (sandbox.store().keys(), sandbox.files());
    sandbox
        .run(["cp", "--dryrun", "src/x.zip", "s3://buc/"])
        .succeeds()
        .says("(dryrun) upload: src/x.zip to s3://buc/x.zip");
    sandbox
        .run(["cp", "--dryrun", "-r", "src", "s3://buc/d"])
        .succeeds()
        .says("(dryrun) upload: src/x.zip to s3://buc/d/x.zip");
    sandbox
        .run(["cp", "--dry-run", "s3://buc/a.zip", "y/"])
        .succeeds()
        .says("(dryrun) download: s3://buc/a.zip to y/a.zip");
    sandbox
        .run(["cp", "--dryrun", "-r", "s3://buc", "z"])
        .succeeds()
        .says("(dryrun) download: s3://buc/a.zip to z/a.zip");
    sandbox
        .run(["rm", "--dryrun", "s3://buc/a.zip"])
        .succeeds()
        .says("(dryrun) delete: s3://buc/a.zip");
    assert_eq!((sandbox.store().keys(), sandbox.files()), before);
}

#[test]
fn quiet_prints_errors_only() {
    let sandbox = Sandbox::new();
    sandbox.write("a.zip", noise(3_000, 1));
    assert_eq!(sandbox.run(["cp", "--quiet", "a.zip", "s3://buc/"]).succeeds().out, "");
    assert_eq!(sandbox.run(["cp", "-q", "s3://buc/a.zip", "b.zip"]).succeeds().out, "");
    assert_eq!(sandbox.run(["rm", "-q", "s3://buc/a.zip"]).succeeds().out, "");
    assert_eq!(sandbox.run(["cp", "-q", "s3://buc/a.zip", "b.zip"]).fails(1, &["404"]).out, "");
}

#[test]
fn failed_file_stops_no_other() {
    let sandbox = Sandbox::new();
    // Too long to be escaped.
    let long = format!("src/.deltaglider/{}", ".".repeat(250));
    sandbox.write(&format!("{long}/{}", ".".repeat(250)), "too long");
    sandbox.write("src/a.txt", "a");
    sandbox.write(&format!("{long}/{}", ".".repeat(251)), "too long as well");
    sandbox.write("src/z.txt", "z");
    let messages =
        [&format!("upload failed: {long}/")[..], "needs an escaped key", "2 of 4 failed"];
    sandbox.run(["cp", "-r", "src", "s3://buc/p"]).fails(1, &messages);
    assert_eq!(sandbox.store().keys(), ["p/a.txt", "p/z.txt"]);
    sandbox.put("p/m.zip", &noise(5_000, 1)).succeeds();
    sandbox.store().remove("p/reference.bin");
    let run = sandbox.run(["cp", "-r", "s3://buc/p", "back"]);
    run.fails(
        1,
        &[
            "download failed: s3://buc/p/m.zip: ",
            "needs the reference s3://buc/p/reference.bin",
            "1 of 3 failed",
        ],
    );
    assert_eq!(names_below(&sandbox.path("back")), ["a.txt", "z.txt"]);
}
