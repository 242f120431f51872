//! An object of the embedded store with a damaged head is named, and everything else works.

use std::fs;
use std::path::PathBuf;

use crate::support::{Sandbox, edited, noise};

struct Damaged {
    sandbox: Sandbox,
    files: Vec<Vec<u8>>,
}

/// Stores four deltas below d/ and a plain file, and flips a bit in the head of the third delta.
fn damaged() -> Damaged {
    let sandbox = Sandbox::new();
    let base = noise(4_000, 1);
    let files: Vec<Vec<u8>> = (0..4).map(|n| edited(&base, n)).collect();
    for (n, file) in files.iter().enumerate() {
        fs::write(sandbox.path("f"), file).unwrap();
        sandbox.run(["cp", "f", &format!("s3://buc/d/f{n}.zip")]).succeeds();
    }
    fs::write(sandbox.path("p.txt"), "plain").unwrap();
    sandbox.run(["cp", "p.txt", "s3://buc/other/p.txt"]).succeeds();
    let damaged = Damaged { sandbox, files };
    let path = damaged.object("=d,f2.zip.delta");
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, bytes).unwrap();
    damaged
}

impl Damaged {
    fn object(&self, name: &str) -> PathBuf {
        self.sandbox.store_path().join("buckets/=buc/leaves/=").join(name)
    }
}

#[test]
fn damaged_head_stops_only_itself() {
    let Damaged { sandbox, files } = damaged();
    sandbox
        .run(["ls", "--recursive", "s3://buc"])
        .fails(1, &["damaged: d/f2.zip.delta"])
        .says("d/f3.zip");
    sandbox.run(["ls", "s3://buc/other/"]).succeeds();
    sandbox.run(["cp", "-r", "s3://buc", "out"]).fails(1, &["d/f2.zip"]);
    for n in [0, 1, 3] {
        assert!(sandbox.read(&format!("out/d/f{n}.zip")) == files[n]);
    }
    assert!(!sandbox.path("out/d/f2.zip").exists());
    sandbox.run(["verify", "-r", "s3://buc"]).fails(1, &["d/f2.zip"]).says("4 verified");
    for _ in 0..2 {
        sandbox
            .run(["stats", "--detailed", "buc"])
            .fails(1, &["damaged objects: 1"])
            .says("Damaged objects:    1");
    }
    sandbox.run(["cp", "s3://buc/d/f1.zip", "x"]).succeeds();
}

#[test]
fn delete_spares_damaged_names() {
    let Damaged { sandbox, .. } = damaged();
    fs::create_dir_all(sandbox.path("backup/d")).unwrap();
    for name in ["f2.zip", "f2.zip.delta", "gone.zip"] {
        fs::write(sandbox.path("backup/d").join(name), "the only copy").unwrap();
    }
    let run = sandbox.run(["sync", "--delete", "s3://buc", "backup"]);
    assert_eq!(run.code, Some(1));
    for name in ["f2.zip", "f2.zip.delta"] {
        assert_eq!(sandbox.read(&format!("backup/d/{name}")), b"the only copy", "{name}");
    }
}

#[test]
fn sync_skips_damaged_objects() {
    let Damaged { sandbox, .. } = damaged();
    sandbox.write("release/new.zip", noise(4_000, 9));
    let run = sandbox.run(["sync", "--delete", "release", "s3://buc/d/"]).fails(1, &["d/f2.zip"]);
    assert!(!run.err.contains("fatal error"), "{}", run.err);
    let files = sandbox.run(["ls", "--recursive", "s3://buc/d/"]);
    let files = String::from_utf8_lossy(&files.stdout);
    assert!(
        files.contains("new.zip") && files.contains("damaged") && !files.contains("f3.zip"),
        "{files}"
    );
}

#[test]
fn damaged_delta_is_not_moved() {
    let Damaged { sandbox, files } = damaged();
    sandbox.run(["mb", "s3://other"]).succeeds();
    sandbox.run(["migrate", "--yes", "s3://buc", "s3://other"]).fails(1, &["d/f2.zip"]);
    sandbox.run(["mv", "--recursive", "s3://buc/d/", "s3://other/moved/"]).fails(1, &["d/f2.zip"]);
    for folder in ["d", "moved"] {
        sandbox.run(["cp", &format!("s3://other/{folder}/f3.zip"), "back"]).succeeds();
        assert!(sandbox.read("back") == files[3], "{folder}");
    }
    sandbox.run(["cp", "s3://buc/d/f0.zip", "back"]).fails(1, &[]);
    assert!(damaged_reference_exists(&sandbox), "the reference of a damaged delta was removed");
}

#[test]
fn damaged_delta_keeps_reference() {
    let Damaged { sandbox, files } = damaged();
    for n in [0, 1, 3] {
        sandbox.run(["rm", &format!("s3://buc/d/f{n}.zip")]).succeeds();
    }
    assert!(damaged_reference_exists(&sandbox), "the reference of a damaged delta was removed");
    sandbox.run(["repair", "--grace-days", "0", "buc"]).fails(1, &[]).says("d/f2.zip.delta");
    assert!(damaged_reference_exists(&sandbox));
    // Flip the bit back.
    let path = sandbox.store_path().join("buckets/=buc/leaves/=/=d,f2.zip.delta");
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, bytes).unwrap();
    sandbox.run(["cp", "s3://buc/d/f2.zip", "back"]).succeeds();
    assert!(sandbox.read("back") == files[2]);
}

fn damaged_reference_exists(sandbox: &Sandbox) -> bool {
    sandbox.store_path().join("buckets/=buc/leaves/=/=d,reference.bin").exists()
}

#[test]
fn cp_and_rm_replace_damage() {
    for plain in [false, true] {
        let Damaged { sandbox, files } = damaged();
        fs::write(sandbox.path("f2.zip"), &files[2]).unwrap();
        let flags: &[&str] = if plain { &["--no-delta"] } else { &[] };
        sandbox.run([&["cp"], flags, &["f2.zip", "s3://buc/d/f2.zip"]].concat()).succeeds();
        sandbox.run(["cp", "s3://buc/d/f2.zip", "back"]).succeeds();
        assert!(sandbox.read("back") == files[2]);
        sandbox.run(["ls", "--recursive", "s3://buc"]).succeeds();
        sandbox.run(["repair", "buc"]).succeeds();
    }
    for name in ["d/f2.zip", "d/f2.zip.delta"] {
        let damaged = damaged();
        damaged.sandbox.run(["rm", &format!("s3://buc/{name}")]).succeeds();
        assert!(!damaged.object("=d,f2.zip.delta").exists(), "{name}");
    }
    let Damaged { sandbox, .. } = damaged();
    sandbox.run(["rm", "-r", "s3://buc/d/"]).succeeds();
    sandbox.run(["rb", "--force", "s3://buc"]).succeeds();
}

#[test]
fn repair_sets_damage_aside() {
    let Damaged { sandbox, .. } = damaged();
    sandbox.run(["repair", "buc"]).fails(1, &[]).says("damaged: d/f2.zip.delta");
    let repaired = sandbox.run(["repair", "--fix", "buc"]).says("repaired");
    assert_eq!(repaired.code, Some(0));
    assert!(repaired.err.contains("moved aside"), "{}", repaired.err);
    sandbox.run(["ls", "--recursive", "s3://buc"]).succeeds();
    sandbox.run(["verify", "-r", "s3://buc"]).succeeds();
    let aside =
        fs::read_dir(sandbox.store_path().join("aside")).unwrap().next().unwrap().unwrap().path();
    assert!(aside.join("=d,f2.zip.delta").exists());
}
