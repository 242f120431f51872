//! Objects that another writer of the bucket made to harm: times and sizes at the edge of their types.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::support::{Sandbox, edited, noise};
use deltaglider::domain::metadata::{DeltaMetadata, DirectMetadata};
use deltaglider::domain::{BucketName, Key, ObjectName, Sha256Digest};
use deltaglider::storage::{Attributes, ObjectStore as _, PutBody, PutCondition};
use serde_json::Value;

fn object(key: &str) -> ObjectName {
    ObjectName::new(BucketName::new("buc").unwrap(), Key::new(key).unwrap())
}

#[tokio::main(flavor = "current_thread")]
async fn plant(sandbox: &Sandbox, key: &str, bytes: &[u8], metadata: BTreeMap<String, String>) {
    let attributes = Attributes { metadata, ..Attributes::default() };
    let body = PutBody::from_bytes(bytes.to_vec());
    sandbox.dir_store().put(&object(key), body, &attributes, &PutCondition::None).await.unwrap();
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

fn delta(file: &[u8], file_size: u64, reference: &[u8], delta_size: usize) -> BTreeMap<String, String> {
    let metadata = DeltaMetadata {
        original_name: "n".into(),
        file_sha256: Sha256Digest::of(file),
        file_size,
        created_at: Some(SystemTime::UNIX_EPOCH.into()),
        ref_key: Key::new("d/reference.bin").unwrap(),
        ref_sha256: Sha256Digest::of(reference),
        delta_size: delta_size as u64,
    };
    metadata.write()
}

#[test]
fn times_at_calendar_edges_stop_nothing() {
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
        let expiring = [("dg-rehydrated", "true"), ("dg-expires-at", time), ("dg-created-at", time)];
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
        // A file that comes over the one of this time takes it into account, and those after it have their turn.
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
