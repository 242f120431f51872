//! Malicious objects of another writer of the bucket: times and sizes at the edges of their types,
//! and forged indexes.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::support::{Sandbox, edited, noise};
use deltaglider::domain::metadata::{DeltaMetadata, DirectMetadata, Kind};
use deltaglider::domain::{BucketName, Key, ObjectName, Sha256Digest};
use deltaglider::storage::{Attributes, ListRequest, ObjectStore as _, PutBody, PutCondition};
use serde_json::{Value, json};

/// The number of files below `d/`, enough for a listing to read an index.
const FILES: u64 = 20;

fn object(key: &str) -> ObjectName {
    ObjectName::new(BucketName::new("buc").unwrap(), Key::new(key).unwrap())
}

#[tokio::main(flavor = "current_thread")]
async fn plant(sandbox: &Sandbox, key: &str, bytes: &[u8], metadata: BTreeMap<String, String>) {
    let attributes = Attributes { metadata, ..Attributes::default() };
    let body = PutBody::from_bytes(bytes.to_vec());
    sandbox
        .dir_store()
        .put(&object(key), body, &attributes, &PutCondition::None.into())
        .await
        .unwrap();
}

fn direct(content: &[u8], created_at: &str) -> BTreeMap<String, String> {
    let metadata = DirectMetadata {
        original_name: "n".into(),
        file_sha256: Sha256Digest::of(content),
        file_size: content.len() as u64,
        created_at: None,
    };
    let mut metadata = metadata.write();
    metadata.insert("dg-created-at".into(), created_at.into());
    metadata
}

fn delta(
    file: &[u8],
    file_size: u64,
    reference: &[u8],
    delta_size: usize,
) -> BTreeMap<String, String> {
    let metadata = DeltaMetadata {
        original_name: "n".into(),
        file_sha256: Sha256Digest::of(file),
        file_size,
        created_at: Some(SystemTime::UNIX_EPOCH.into()),
        ref_key: Key::new("d/reference.bin").unwrap(),
        ref_sha256: Sha256Digest::of(reference),
        delta_size: delta_size as u64,
        ref_packing: None,
    };
    metadata.write()
}

#[test]
fn times_at_calendar_edges_work() {
    for time in [
        "9999-12-31T23:59:59-14:00",
        "9999-365T23:59:59.999999-23:59",
        "9999-12-31T23:59:59.999999999Z",
        "0000-01-01T00:00:00+14:00",
        "-9999-01-01T00:00:00+23:59",
        "2026-12-31T23:59:60Z",
    ] {
        let (sandbox, first) = (Sandbox::new(), noise(5_000, 1));
        plant(&sandbox, "d/b.zip", &first, direct(&first, time));
        let expiring =
            [("dg-rehydrated", "true"), ("dg-expires-at", time), ("dg-created-at", time)];
        let expiring = expiring.map(|(name, value)| (name.to_owned(), value.to_owned()));
        plant(&sandbox, ".deltaglider/tmp/00_b.zip", b"x", expiring.into());
        for arguments in [
            &["ls", "s3://buc/d/"][..],
            &["cp", "s3://buc/d/b.zip", "s3://buc/e/b.zip"],
            &["mv", "s3://buc/e/b.zip", "s3://buc/e/c.zip"],
            &["stats", "buc"],
            &["verify", "-r", "s3://buc"],
            &["repair", "buc"],
            &["purge", "buc"],
            &["sync", "s3://buc", "copy"],
        ] {
            let run = sandbox.run(arguments);
            assert!(run.code == Some(0), "{time} {arguments:?}: {run:?}");
        }
        for (n, name) in ["a", "b", "c"].iter().enumerate() {
            sandbox.write(&format!("in/{name}.zip"), edited(&first, n as u64));
        }
        // A file that replaces the one of this time gets a later one, and the next files are
        // uploaded too.
        let run = sandbox.run(["sync", "--concurrency", "1", "in", "s3://buc/d"]);
        assert!(run.code == Some(0) && run.out.contains("3 changed"), "{time}: {run:?}");
        sandbox.run(["cp", "s3://buc/d/b.zip", "back.zip"]).succeeds();
        assert!(sandbox.read("back.zip") == sandbox.read("in/b.zip"), "{time}");
    }
}

#[test]
fn sums_of_sizes_do_not_wrap() {
    let sandbox = Sandbox::new();
    for name in ["a", "b", "c"] {
        plant(&sandbox, &format!("d/{name}.zip.delta"), b"x", delta(b"", u64::MAX, b"", 1));
    }
    let listed = sandbox.run(["ls", "--summarize", "s3://buc/d/"]).succeeds();
    listed.says("Total Size: at least 18446744073709551615");
    let stats = sandbox.run(["stats", "buc", "--json", "--no-cache"]).succeeds();
    let stats: Value = serde_json::from_str(&stats.out).unwrap();
    assert_eq!(stats["total_size"], u64::MAX, "{stats}");
    assert_eq!(stats["space_saved"], i64::MAX, "{stats}");
    sandbox.run(["stats", "buc", "--sampled", "--no-cache"]).succeeds();
    sandbox.run(["stats", "buc"]).succeeds().says("at least");
}

/// Creates a bucket of [`FILES`] deltas below `d/`, and the same files below `in/`.
fn releases() -> Sandbox {
    let sandbox = Sandbox::new();
    let first = noise(5_000, 1);
    for n in 0..FILES {
        sandbox.write(&format!("in/d/f{n:02}.zip"), edited(&first, n));
    }
    sandbox.run(["sync", "in", "s3://buc", "--quiet"]).succeeds();
    assert_eq!(
        sandbox.store().keys().iter().filter(|key| key.ends_with(".delta")).count() as u64,
        FILES
    );
    sandbox
}

/// Writes an index with the entry that `says` returns for every key; a null omits the key.
#[tokio::main(flavor = "current_thread")]
async fn forge(sandbox: &Sandbox, says: impl Fn(&str) -> Value) {
    let store = sandbox.dir_store();
    let page = store.list(&object("x").bucket, &ListRequest::default()).await.unwrap();
    let entry = |listed: &deltaglider::storage::ListedObject| {
        let what = says(listed.key.as_str());
        let modified =
            listed.last_modified.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
        (!what.is_null()).then(
            || json!({ "k": listed.key.as_str(), "e": listed.etag.0, "m": modified, "w": what }),
        )
    };
    let entries: Vec<Value> = page.objects.iter().filter_map(entry).collect();
    assert!(!entries.is_empty());
    let leaf = Sha256Digest::of(b"").to_string();
    for (name, content) in [
        ("contents.json".to_owned(), json!({ "version": 1, "leaves": [""] })),
        (format!("{}.json", &leaf[..16]), json!({ "version": 1, "entries": entries })),
    ] {
        let body = PutBody::from_bytes(content.to_string());
        let name = object(&format!(".deltaglider/index/{name}"));
        store.put(&name, body, &Attributes::default(), &PutCondition::None.into()).await.unwrap();
    }
}

/// Writes an index that gives all deltas the wrong `kind`: reference or plain file.
fn forge_kinds(sandbox: &Sandbox, kind: &'static str) {
    forge(sandbox, |key| if key.ends_with(".delta") { json!(kind) } else { Value::Null });
}

#[track_caller]
fn has_all_files(sandbox: &Sandbox, folder: &str) {
    for n in 0..FILES {
        let name = format!("d/f{n:02}.zip");
        assert!(
            sandbox.read(&format!("{folder}/{name}")) == sandbox.read(&format!("in/{name}")),
            "{name}"
        );
    }
}

const KINDS: [&str; 2] = ["r", "p"];

#[test]
fn forged_index_hides_no_file() {
    for kind in KINDS {
        let sandbox = releases();
        forge_kinds(&sandbox, kind);
        let listed = sandbox.run(["ls", "--recursive", "s3://buc"]).succeeds().out;
        let names: Vec<&str> =
            listed.lines().filter_map(|line| line.split_whitespace().nth(3)).collect();
        assert_eq!(
            names,
            (0..FILES).map(|n| format!("d/f{n:02}.zip")).collect::<Vec<_>>(),
            "{kind}"
        );
    }
}

#[test]
fn forged_index_skips_no_copy() {
    for kind in KINDS {
        let sandbox = releases();
        forge_kinds(&sandbox, kind);
        sandbox.run(["cp", "-r", "s3://buc", "out", "--quiet"]).succeeds();
        has_all_files(&sandbox, "out");
        sandbox.run(["mb", "s3://other"]).succeeds();
        sandbox.run(["migrate", "--yes", "--quiet", "s3://buc", "s3://other"]).succeeds();
        sandbox.run(["cp", "-r", "s3://other", "again", "--quiet"]).succeeds();
        has_all_files(&sandbox, "again");
    }
}

#[test]
fn forged_index_verifies_no_file() {
    for kind in KINDS {
        let sandbox = releases();
        forge_kinds(&sandbox, kind);
        sandbox.run(["verify", "-r", "s3://buc"]).succeeds().says("20 verified, 0 failed");
    }
}

#[test]
fn forged_index_deletes_no_file() {
    for kind in KINDS {
        let sandbox = releases();
        sandbox.write("backup/old.txt", b"what the bucket has not");
        sandbox.run(["cp", "-r", "s3://buc", "backup", "--quiet"]).succeeds();
        forge_kinds(&sandbox, kind);
        sandbox.run(["sync", "--delete", "s3://buc", "backup"]);
        has_all_files(&sandbox, "backup");
        assert!(!sandbox.path("backup/old.txt").exists());
    }
}

#[test]
fn forged_index_deletes_no_bucket() {
    for kind in KINDS {
        let sandbox = releases();
        forge_kinds(&sandbox, kind);
        sandbox.run(["rb", "s3://buc"]).fails(1, &[]);
        sandbox.run(["cp", "-r", "s3://buc", "out", "--quiet"]).succeeds();
        has_all_files(&sandbox, "out");
    }
}

#[test]
fn forged_index_spares_no_file() {
    for kind in KINDS {
        let sandbox = releases();
        forge_kinds(&sandbox, kind);
        let run = sandbox.run(["rm", "-r", "s3://buc"]).succeeds();
        assert_eq!(run.out.lines().count() as u64, FILES, "{run:?}");
        assert!(sandbox.store().keys().iter().all(|key| key.contains(".deltaglider/")));
    }
}

/// Adds files of users with the names of deltas and references to [`releases`]; the index states
/// the wrong kinds for them.
fn own_names() -> Sandbox {
    let sandbox = releases();
    sandbox.run(["cp", "-r", "s3://buc", "in", "--quiet"]).succeeds();
    for name in ["d/notes.delta", "e/reference.bin"] {
        sandbox.store().foreign(name, b"a file of its own");
        sandbox.write(&format!("in/{name}"), b"a file of its own");
    }
    let delta = json!({ "d": [17, Sha256Digest::of(b"a file of its own").to_string()] });
    forge(&sandbox, |key| match key {
        "d/notes.delta" => delta.clone(),
        "e/reference.bin" => json!("r"),
        _ => Value::Null,
    });
    sandbox
}

#[test]
fn own_delta_names_are_copied() {
    let sandbox = own_names();
    sandbox.run(["cp", "-r", "s3://buc", "out", "--quiet"]).succeeds();
    has_all_files(&sandbox, "out");
    for name in ["d/notes.delta", "e/reference.bin"] {
        assert_eq!(sandbox.read(&format!("out/{name}")), b"a file of its own");
    }
    let run = sandbox.run(["verify", "-r", "s3://buc"]).succeeds();
    run.says("22 verified, 0 failed");
    sandbox.run(["rm", "-r", "s3://buc"]).succeeds();
    assert!(
        sandbox.store().keys().iter().all(|key| key.contains(".deltaglider/")),
        "{:?}",
        sandbox.store().keys()
    );
}

#[test]
fn sync_spares_own_delta_names() {
    let sandbox = own_names();
    // Twice, since the first run corrects the index for the second.
    for _ in 0..2 {
        sandbox.run(["sync", "--delete", "s3://buc", "in"]);
        for name in ["d/notes.delta", "e/reference.bin"] {
            assert_eq!(sandbox.read(&format!("in/{name}")), b"a file of its own", "{name}");
        }
    }
    has_all_files(&sandbox, "in");
    std::fs::remove_dir_all(sandbox.path("in/e")).unwrap();
    sandbox.run(["sync", "--delete", "--size-only", "in", "s3://buc"]).succeeds();
    assert_eq!(sandbox.store().read("d/notes.delta"), b"a file of its own");
}

#[test]
fn migrate_takes_own_delta_names() {
    let sandbox = own_names();
    sandbox.run(["mb", "s3://other"]).succeeds();
    sandbox.run(["migrate", "--yes", "--quiet", "s3://buc", "s3://other"]).succeeds();
    let stored = sandbox.store_of("other").read("e/.deltaglider/files/reference%2Ebin");
    assert_eq!(stored, b"a file of its own");
    assert_eq!(sandbox.store_of("other").read("d/notes.delta"), b"a file of its own");
    let kind = Kind::of(
        &Key::new("d/f01.zip.delta").unwrap(),
        &sandbox.store_of("other").metadata("d/f01.zip.delta"),
    );
    assert!(matches!(kind, Kind::Delta(_)));
}
