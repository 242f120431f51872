//! Buckets written by five versions of the Python tool, read by the real binary.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use std::sync::Arc;
use std::time::SystemTime;

use crate::support::{Sandbox, names_below};
use deltaglider::cache::WorkingCopies;
use deltaglider::domain::policy::Policy;
use deltaglider::domain::{BucketName, Key, ObjectName, Sha256Digest};
use deltaglider::service::{DeltaService, GetOptions, RepairOptions, Settings};
use deltaglider::storage::{
    Attributes, BucketAdmin as _, ListRequest, MemoryStore, ObjectStore, PutBody, PutCondition,
};

/// Keys of files whose delta is of the decompressed content.
const UNPACKED_TARGETS: [&str; 4] =
    ["bz2/pkg2.tar.bz2", "gz6n/dump2.sql.gz", "mix1/dump2.sql.gz", "xz/pkg2.tar.xz"];

#[derive(serde::Deserialize)]
struct Manifest {
    objects: Vec<Entry>,
}

#[derive(serde::Deserialize)]
struct Entry {
    key: String,
    file: PathBuf,
    stored_sha256: String,
    last_modified: String,
    content_type: Option<String>,
    metadata: BTreeMap<String, String>,
    kind: String,
    logical_key: Option<String>,
    expected_plaintext_sha256: Option<String>,
    python_read: Option<String>,
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/python-bucket")
}

fn entries() -> Vec<Entry> {
    let manifest = std::fs::read(data().join("manifest.json")).unwrap();
    let mut entries = serde_json::from_slice::<Manifest>(&manifest).unwrap().objects;
    // A store dates its own writes, so only the order of the times is kept.
    entries.sort_by(|a, b| (&a.last_modified, &a.key).cmp(&(&b.last_modified, &b.key)));
    entries
}

/// Creates a sandbox that contains the whole bucket.
#[tokio::main(flavor = "current_thread")]
async fn bucket() -> (Sandbox, Vec<Entry>) {
    let (sandbox, entries) = (Sandbox::new(), entries());
    fill(&sandbox.dir_store(), &entries, "").await;
    (sandbox, entries)
}

/// Stores the whole bucket below a prefix, with unchanged metadata.
async fn fill(store: &dyn ObjectStore, entries: &[Entry], prefix: &str) {
    for entry in entries {
        let bytes = std::fs::read(data().join(&entry.file)).unwrap();
        assert_eq!(Sha256Digest::of(&bytes).to_string(), entry.stored_sha256, "{}", entry.key);
        let attributes = Attributes {
            metadata: entry.metadata.clone(),
            content_type: entry.content_type.clone(),
            ..Attributes::default()
        };
        let object = object(&format!("{prefix}{}", entry.key));
        store
            .put(&object, PutBody::from_bytes(bytes), &attributes, &PutCondition::None.into())
            .await
            .unwrap();
    }
}

fn object(key: &str) -> ObjectName {
    ObjectName::new(BucketName::new("buc").unwrap(), Key::new(key).unwrap())
}

#[test]
fn files_read_by_python_are_read() {
    let (sandbox, entries) = bucket();
    let mut exact = 0;
    for entry in entries.iter().filter(|entry| entry.python_read.as_deref() == Some("ok")) {
        let key = entry.logical_key.as_deref().unwrap();
        let expected = entry.expected_plaintext_sha256.as_deref().unwrap();
        match (entry.key.as_str(), key) {
            ("broken/nometa/root-b.zip.delta", _) => {
                let uri = format!("s3://buc/{key}");
                sandbox
                    .run(["cp", &uri, "out"])
                    .fails(1, &["is a delta that lost its metadata", "--raw"]);
                sandbox
                    .run(["cp", "s3://buc/broken/nometa/root-b.zip", "out"])
                    .fails(1, &["lost its metadata"]);
                sandbox.run(["cp", "--raw", &uri, "out"]).succeeds();
            }
            // The older variant of a name.
            ("conflict/f.zip", _) => continue,
            (_, key) if UNPACKED_TARGETS.contains(&key) => continue,
            (_, key) => {
                sandbox.run(["cp", &format!("s3://buc/{key}"), "out"]).succeeds();
            }
        }
        assert_eq!(Sha256Digest::of(&sandbox.read("out")).to_string(), expected, "{}", entry.key);
        std::fs::remove_file(sandbox.path("out")).unwrap();
        exact += 1;
    }
    assert_eq!(
        exact,
        entries.iter().filter(|entry| entry.python_read.as_deref() == Some("ok")).count() - 5
    );
}

/// `verify` names the older variant.
#[test]
fn newer_variant_is_served() {
    let (sandbox, entries) = bucket();
    let newer = entries.iter().find(|entry| entry.key == "conflict/f.zip.delta").unwrap();
    let served = sandbox.run(["cp", "s3://buc/conflict/f.zip", "-"]).succeeds().stdout;
    assert_eq!(Some(Sha256Digest::of(&served).to_string()), newer.expected_plaintext_sha256);
    let messages = ["s3://buc/conflict/f.zip is an older file of the same name; \
         s3://buc/conflict/f.zip.delta is served"];
    sandbox
        .run(["verify", "s3://buc/conflict/f.zip"])
        .fails(2, &messages)
        .says("verified: s3://buc/conflict/f.zip");
    let listed = sandbox.run(["ls", "s3://buc/conflict/"]).succeeds().out;
    assert!(listed.ends_with("    250005 f.zip\n") && listed.lines().count() == 1, "{listed}");
}

/// Files decompressed before encoding are compressed again to the original bytes.
#[test]
fn unpacked_targets_are_repacked() {
    let (sandbox, entries) = bucket();
    for key in UNPACKED_TARGETS {
        let entry = entries.iter().find(|entry| entry.logical_key.as_deref() == Some(key)).unwrap();
        let got = sandbox.run(["cp", &format!("s3://buc/{key}"), "-"]).succeeds().stdout;
        assert_eq!(
            Some(Sha256Digest::of(&got).to_string()),
            entry.expected_plaintext_sha256,
            "{key}"
        );
    }
}

#[test]
fn broken_file_leaves_no_output() {
    let (sandbox, entries) = bucket();
    let broken: Vec<&Entry> = entries
        .iter()
        .filter(|entry| entry.python_read.as_deref().is_some_and(|read| read != "ok"))
        .collect();
    assert_eq!(broken.len(), 3);
    for entry in broken {
        let key = entry.logical_key.as_deref().unwrap();
        let message = match key {
            "broken/badsha/root-b.zip" => {
                "s3://buc/broken/badsha/root-b.zip: SHA-256 mismatch: expected 0000"
            }
            "broken/missingref/root-b.zip" => {
                "needs the reference s3://buc/broken/missingref/reference.bin, which does not exist"
            }
            _ => {
                "reference s3://buc/broken/replacedref/reference.bin is damaged or was replaced: \
                 expected SHA-256 8d8bf45e"
            }
        };
        let uri = format!("s3://buc/{key}");
        sandbox.run(["cp", &uri, "out"]).fails(1, &["fatal error: ", message]);
        sandbox.run(["cp", &uri, "-"]).fails(1, &["fatal error: ", message]);
        sandbox.run(["verify", &uri]).fails(1, &["fatal error: ", message]);
        assert!(
            names_below(&sandbox.work()).is_empty()
                && names_below(&sandbox.temporaries()).is_empty()
        );
    }
}

#[test]
fn cp_recursive_skips_broken() {
    let (sandbox, entries) = bucket();
    // The cache keeps references by content: with it, a file whose reference is lost would be
    // restored from an equal reference of another folder.
    let run = crate::support::Run::of(
        sandbox.command().env("DG_NO_CACHE", "true").args(["cp", "-r", "s3://buc", "out"]),
    );
    let failed: Vec<&str> =
        run.err.lines().filter_map(|line| line.strip_prefix("download failed: ")).collect();
    let failed: BTreeSet<&str> = failed.iter().filter_map(|line| line.split(": ").next()).collect();
    assert_eq!(
        failed,
        BTreeSet::from([
            "s3://buc/broken/badsha/root-b.zip",
            "s3://buc/broken/missingref/root-b.zip",
            "s3://buc/broken/nometa/root-b.zip.delta",
            "s3://buc/broken/replacedref/root-b.zip",
        ]),
        "{run:?}"
    );
    for entry in entries.iter().filter(|entry| entry.python_read.as_deref() == Some("ok")) {
        let key = entry.logical_key.as_deref().unwrap();
        if entry.key == "conflict/f.zip" || key.starts_with("broken/nometa") || key.ends_with('/') {
            continue;
        }
        let digest = Sha256Digest::of(&sandbox.read(&format!("out/{key}"))).to_string();
        assert_eq!(Some(digest), entry.expected_plaintext_sha256, "{key}");
    }
    assert!(sandbox.path("out/passthrough/dir").is_dir());
    // A cached reference does not prove that the store has it.
    let run = sandbox.run(["verify", "-r", "s3://buc"]);
    for name in ["badsha", "missingref", "replacedref"] {
        assert!(
            run.err.contains(&format!("verify failed: s3://buc/broken/{name}/root-b.zip")),
            "{run:?}"
        );
    }
}

/// Files named like references are stored beside them, and deleting the files keeps the references.
#[test]
fn own_files_beside_references() {
    let (sandbox, entries) = bucket();
    let references: Vec<&Entry> =
        entries.iter().filter(|entry| entry.kind == "reference").collect();
    let before: Vec<Vec<u8>> =
        references.iter().map(|entry| sandbox.store().read(&entry.key)).collect();
    for entry in &references {
        sandbox.put(&entry.key, entry.key.as_bytes()).succeeds();
    }
    let read = || {
        for entry in entries
            .iter()
            .filter(|entry| entry.kind == "delta" && entry.python_read.as_deref() == Some("ok"))
        {
            let key = entry.logical_key.as_deref().unwrap();
            let got = sandbox.run(["cp", &format!("s3://buc/{key}"), "-"]).succeeds().stdout;
            assert_eq!(
                Some(Sha256Digest::of(&got).to_string()),
                entry.expected_plaintext_sha256,
                "{key}"
            );
        }
    };
    read();
    for (entry, bytes) in references.iter().zip(&before) {
        let uri = format!("s3://buc/{}", entry.key);
        assert_eq!(sandbox.run(["cp", &uri, "-"]).succeeds().out, entry.key);
        assert!(sandbox.run(["ls", &uri]).succeeds().out.ends_with(" reference.bin\n"));
        assert!(sandbox.store().read(&entry.key) == *bytes);
        sandbox.run(["rm", &uri]).succeeds();
        sandbox.run(["ls", &uri]).fails(1, &[]);
        sandbox.run(["rm", &uri]).fails(1, &["is a reference that deltas need"]);
    }
    read();
}

/// Neither `ls` shows references and deltas, nor does `stats` count them as files.
#[test]
fn ls_hides_internal_objects() {
    let (sandbox, entries) = bucket();
    let listed = sandbox.run(["ls", "--recursive", "s3://buc"]).succeeds().out;
    for line in listed.lines() {
        let name = &line[31..];
        let own = name == "direct/user.delta"
            || name == "passthrough/foreign.delta"
            || name == "broken/nometa/root-b.zip.delta";
        assert!(own || !name.ends_with(".delta") && !name.ends_with("reference.bin"), "{line}");
        assert!(!name.starts_with(".deltaglider"), "{line}");
    }
    let stats: serde_json::Value =
        serde_json::from_str(&sandbox.run(["stats", "--json", "buc"]).succeeds().out).unwrap();
    let count = |kind: &str| entries.iter().filter(|entry| entry.kind == kind).count();
    assert_eq!(stats["reference_objects"], count("reference"));
    assert_eq!(stats["delta_objects"], count("delta"));
    assert_eq!(stats["internal_objects"], count("internal"));
    // Except for the older variant of conflict/f.zip.
    assert_eq!(stats["direct_objects"], count("direct") + count("passthrough") - 1);
    assert_eq!(stats["older_objects"], 1);
    let stored: u64 = entries
        .iter()
        .map(|entry| std::fs::metadata(data().join(&entry.file)).unwrap().len())
        .sum();
    assert_eq!(stats["compressed_size"], stored);
}

/// Repairs the bucket below a prefix twice, reads every file that the Python tool could read, and
/// returns the keys that the repair added.
async fn repair_below(prefix: &str, atomic: bool) -> Vec<String> {
    let store = MemoryStore::new();
    let store = Arc::new(if atomic { store } else { store.with_loose_conditions() });
    let spool_dir = std::env::temp_dir();
    let cache = Arc::new(WorkingCopies::new(spool_dir.clone()));
    let service =
        DeltaService::new(store.clone(), cache, Settings { policy: Policy::default(), spool_dir });
    let (bucket, entries) = (object("x").bucket, entries());
    store.create_bucket(&bucket).await.unwrap();
    fill(&*store, &entries, prefix).await;
    for _ in 0..2 {
        let options =
            RepairOptions { fix: true, grace: RepairOptions::GRACE, now: SystemTime::now() };
        service.repair(&bucket, &options).await.unwrap();
    }
    for entry in entries.iter().filter(|entry| entry.python_read.as_deref() == Some("ok")) {
        let key = entry.logical_key.as_deref().unwrap();
        if key.starts_with("broken/nometa") || entry.key == "conflict/f.zip" {
            continue;
        }
        let name = object(&format!("{prefix}{key}"));
        let (bytes, _) = service.get(&name, Vec::new(), &GetOptions::default()).await.unwrap();
        assert_eq!(
            Some(Sha256Digest::of(&bytes).to_string()),
            entry.expected_plaintext_sha256,
            "{key}"
        );
    }
    let page = store.list(&bucket, &ListRequest::default()).await.unwrap();
    assert!(page.continuation.is_none());
    let keys = page.objects.into_iter().map(|listed| listed.key.to_string());
    let were: BTreeSet<String> =
        entries.iter().map(|entry| format!("{prefix}{}", entry.key)).collect();
    keys.filter(|key| !were.contains(key)).collect()
}

#[tokio::test]
async fn bucket_is_repaired_in_place() {
    for atomic in [true, false] {
        for key in repair_below("", atomic).await {
            assert!(key.starts_with("broken/") && key.ends_with("/reference.bin"), "{key}");
        }
    }
}

#[tokio::test]
async fn copied_bucket_is_repaired() {
    for atomic in [true, false] {
        for key in repair_below("copied/", atomic).await {
            let addressed =
                key.contains(".deltaglider/references/") && key.ends_with("/reference.bin");
            // The deltas of the former root name a folder above them.
            let of_root = key == "reference.bin" && atomic;
            assert!(
                addressed || of_root || key.starts_with("copied/broken/"),
                "atomic {atomic}: {key}"
            );
        }
    }
}
