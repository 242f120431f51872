//! Faults of systems of this design, one test each. The section numbers are those of the surveys
//! that found them: "facts" of the Python tool, "faults" of other systems. Faults that other files
//! test are not repeated here; docs/architecture.md lists them all.

use std::io::Write as _;

use crate::support::{Sandbox, edited, noise};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(3));
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// Facts, 1: packed files download byte for byte, whatever program packed them.
#[test]
fn packed_files_are_unchanged() {
    let sandbox = Sandbox::new();
    let (first, second) = (gzip(&vec![7; 300_000]), gzip(&noise(100_000, 2)));
    for (name, content) in [("p/a-1.tar.gz", &first), ("p/a-2.tgz", &second), ("p/a-3.gz", &first)]
    {
        sandbox.put(name, content).succeeds();
        assert!(
            sandbox.run(["cp", &format!("s3://buc/{name}"), "-"]).succeeds().stdout == *content,
            "{name}"
        );
    }
}

/// Facts, 3, for deletion; faults, 5.
#[test]
fn rm_folder_spares_siblings() {
    let sandbox = Sandbox::new();
    let base = noise(20_000, 1);
    for name in ["v1/a.zip", "v1/b.zip", "v10/a.zip", "v1.txt"] {
        sandbox.put(name, &base).succeeds();
    }
    let printed = sandbox.run(["rm", "-r", "--dryrun", "s3://buc/v1"]).succeeds().out;
    assert_eq!(printed, "(dryrun) delete: s3://buc/v1/a.zip\n(dryrun) delete: s3://buc/v1/b.zip\n");
    sandbox.run(["rm", "-r", "s3://buc/v1"]).succeeds();
    assert!(
        !sandbox.store().keys().iter().any(|key| key == "v1/reference.bin"),
        "{:?}",
        sandbox.store().keys()
    );
    for name in ["v10/a.zip", "v1.txt"] {
        assert!(
            sandbox.run(["cp", &format!("s3://buc/{name}"), "-"]).succeeds().stdout == base,
            "{name}"
        );
    }
}

/// Facts, 5: a file is stored in the given folder and under the given name.
#[test]
fn cp_uses_folder_and_name() {
    let sandbox = Sandbox::new();
    sandbox.write("file.zip", noise(5_000, 1));
    sandbox.run(["cp", "file.zip", "s3://buc/dir/"]).succeeds();
    sandbox.run(["cp", "file.zip", "s3://buc/dir/new.zip"]).succeeds();
    let listed = sandbox.run(["ls", "-r", "s3://buc"]).succeeds().out;
    let names: Vec<&str> =
        listed.lines().filter_map(|line| line.split_whitespace().last()).collect();
    assert_eq!(names, ["dir/file.zip", "dir/new.zip"]);
}

/// Facts, 6; faults, 7.
#[test]
fn delta_over_ratio_is_not_stored() {
    // Three tenths of the file are new.
    let mut next = noise(20_000, 1);
    next.splice(14_000.., noise(6_000, 2));
    for (options, is_delta) in [(["--max-ratio", "0.9"], true), (["--max-ratio", "0.1"], false)] {
        let sandbox = Sandbox::new();
        sandbox.put("a-1.zip", &noise(20_000, 1)).succeeds();
        let stored = || {
            sandbox.store().keys().iter().map(|key| sandbox.store().read(key).len()).sum::<usize>()
        };
        let before = stored();
        sandbox.write("a-2.zip", &next);
        let printed = sandbox
            .run(["cp"].iter().chain(&options).chain(&["a-2.zip", "s3://buc/"]))
            .succeeds()
            .out;
        assert_eq!(printed.contains("(delta: "), is_delta, "{printed}");
        assert_eq!(stored() - before < 10_000, is_delta, "{} bytes more", stored() - before);
        assert!(sandbox.run(["cp", "s3://buc/a-2.zip", "-"]).succeeds().stdout == next);
    }
}

/// Facts, 9, for stats: an earlier result is written and read, and a missing bucket is not an empty
/// one.
#[test]
fn stats_reject_absent_bucket() {
    let sandbox = Sandbox::new();
    sandbox.put("a-1.zip", &noise(20_000, 1)).succeeds();
    sandbox.run(["stats", "buc"]).succeeds();
    sandbox.run(["stats", "buc"]).succeeds().says("unchanged since they were counted");
    sandbox.run(["stats", "none-here"]).fails(1, &["no such bucket"]);
}

/// Facts, 10, for copies: deltas of a bucket that has them are copied.
#[test]
fn folder_of_deltas_is_copied() {
    let sandbox = Sandbox::new();
    let base = noise(20_000, 1);
    let versions = [base.clone(), edited(&base, 1), edited(&base, 2)];
    for (n, version) in versions.iter().enumerate() {
        sandbox.put(&format!("from/a-{n}.zip"), version).succeeds();
    }
    sandbox.run(["mb", "s3://other"]).succeeds();
    sandbox.run(["cp", "-r", "s3://buc/from/", "s3://other/to/"]).succeeds();
    sandbox.run(["rm", "-r", "s3://buc"]).succeeds();
    for (n, version) in versions.iter().enumerate() {
        assert!(
            sandbox.run(["cp", &format!("s3://other/to/a-{n}.zip"), "-"]).succeeds().stdout
                == *version,
            "{n}"
        );
    }
}

/// Facts, 13: a file is downloaded into an existing folder and to another file system.
#[test]
fn cp_writes_to_other_filesystem() {
    let sandbox = Sandbox::new();
    let content = noise(20_000, 1);
    sandbox.put("a-1.zip", &content).succeeds();
    sandbox.run(["cp", "s3://buc/a-1.zip", "./"]).succeeds();
    assert!(sandbox.read("a-1.zip") == content);
    let elsewhere = std::path::Path::new("/dev/shm");
    if elsewhere.is_dir() {
        let folder = tempfile::tempdir_in(elsewhere).unwrap();
        let path = folder.path().join("a-1.zip");
        crate::support::Run::of(sandbox.command().args(["cp", "s3://buc/a-1.zip"]).arg(&path))
            .succeeds();
        assert!(std::fs::read(path).unwrap() == content);
    }
}

/// Facts, 13, for folders.
#[test]
fn sync_writes_other_filesystem() {
    let sandbox = Sandbox::new();
    let (first, second) = (noise(20_000, 1), edited(&noise(20_000, 1), 2));
    sandbox.put("x/a-1.zip", &first).succeeds();
    sandbox.put("x/deep/a-2.zip", &second).succeeds();
    std::fs::create_dir(sandbox.path("there")).unwrap();
    let mut folders = vec![sandbox.path("there"), sandbox.path(".")];
    let elsewhere = std::path::Path::new("/dev/shm");
    let other = elsewhere.is_dir().then(|| tempfile::tempdir_in(elsewhere).unwrap());
    folders.extend(other.as_ref().map(|folder| folder.path().to_owned()));
    for folder in folders {
        let typed = if folder == sandbox.path(".") { "./".into() } else { folder.clone() };
        crate::support::Run::of(sandbox.command().args(["sync", "s3://buc/x"]).arg(typed))
            .succeeds()
            .says("2 changed");
        assert!(std::fs::read(folder.join("a-1.zip")).unwrap() == first, "{}", folder.display());
        assert!(
            std::fs::read(folder.join("deep/a-2.zip")).unwrap() == second,
            "{}",
            folder.display()
        );
    }
}

/// Faults, 3: a listing shows the size of the file, also when it uses the index.
#[test]
fn ls_shows_file_size() {
    let sandbox = Sandbox::new();
    let base = noise(20_000, 1);
    for n in 0..20 {
        sandbox.put(&format!("a-{n:02}.zip"), &base).succeeds();
    }
    for _ in 0..2 {
        let listed = sandbox.run(["ls", "s3://buc"]).succeeds().out;
        let sizes =
            listed.lines().filter(|line| line.split_whitespace().nth(2) == Some("20000")).count();
        assert_eq!((sizes, listed.lines().count()), (20, 20), "{listed}");
    }
    // The second listing used the index, which describes the deltas before this put.
    sandbox.put("a-07.zip", &noise(3_000, 2)).succeeds();
    let listed = sandbox.run(["ls", "s3://buc/a-07.zip"]).succeeds();
    listed.says("      3000 a-07.zip");
}
