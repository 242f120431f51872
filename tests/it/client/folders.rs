//! `sync` and `migrate`: summaries, guards, failures and dry runs.

use std::path::Path;
use std::sync::{Arc, Mutex};

use deltaglider::client::FileAction;
use deltaglider::{ErrorKind, Summary};

use super::stage::{client, client_of, content, uri, version};
use crate::support::small_files::Rejecting;

fn write(folder: &Path, names: &[&str]) {
    for (number, name) in (0..).zip(names) {
        std::fs::write(folder.join(name), version(number)).unwrap();
    }
}

#[tokio::test]
async fn folders_are_made_alike() {
    let (client, _) = client().await;
    let (up, down) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(up.path(), &["a-1.zip", "a-2.zip", "b.txt", "c.tmp"]);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let each = seen.clone();
    let to = "s3://bucket/app/";
    let summary = client
        .sync(up.path(), to)
        .filter(|name| !name.ends_with(".tmp"))
        .each(move |event| each.lock().unwrap().push((event.action, event.name.to_owned())))
        .await
        .unwrap();
    assert_eq!((summary.uploaded, summary.changed(), summary.skipped), (3, 3, 0));
    let bytes = [0, 1, 2].map(|number| version(number).len() as u64).iter().sum::<u64>();
    assert_eq!(summary.bytes, bytes);
    assert!(summary.stored < summary.bytes - version(1).len() as u64 / 2);
    assert_eq!(seen.lock().unwrap().len(), 3);
    assert!(seen.lock().unwrap().iter().all(|(action, _)| *action == FileAction::Upload));

    write(down.path(), &["old.txt"]);
    let planned = client.sync(to, down.path()).delete().dry_run().await.unwrap();
    assert_eq!((planned.downloaded, planned.deleted), (3, 1));
    assert_eq!(std::fs::read_dir(down.path()).unwrap().count(), 1);
    let done = client.sync(to, down.path()).delete().await.unwrap();
    assert_eq!((done.downloaded, done.deleted), (3, 1));
    assert!(std::fs::read(down.path().join("a-2.zip")).unwrap() == version(1));
    assert_eq!(client.sync(to, down.path()).delete().await.unwrap().unchanged, 3);
}

async fn refused(summary: impl IntoFuture<Output = Result<Summary, deltaglider::Error>>) {
    assert_eq!(summary.await.unwrap_err().kind(), ErrorKind::Refused);
}

/// Too many deletions, or an empty source, delete nothing; the copies are made all the same.
#[tokio::test]
async fn guards_delete_nothing() {
    let (client, _) = client().await;
    for name in ["d/1.txt", "d/2.txt", "d/3.txt"] {
        client.put(uri(name), name.to_owned()).await.unwrap();
    }
    let local = tempfile::tempdir().unwrap();
    refused(client.sync(local.path(), "s3://bucket/d").delete()).await;
    write(local.path(), &["new.txt"]);
    refused(client.sync(local.path(), "s3://bucket/d").delete_at_most(2)).await;
    assert!(content(&client, "d/new.txt").await == version(0));
    assert_eq!(content(&client, "d/3.txt").await, b"d/3.txt");
    let done = client.sync(local.path(), "s3://bucket/d").delete_at_most(3).await.unwrap();
    assert_eq!((done.deleted, done.unchanged), (3, 1));
}

#[tokio::test]
async fn failed_file_is_an_error() {
    let (client, store) = client().await;
    client.put(uri("old.txt"), "old").await.unwrap();
    let local = tempfile::tempdir().unwrap();
    write(local.path(), &["bad.txt", "good.txt"]);
    let rejecting = client_of(Arc::new(Rejecting(store, "bad".to_owned()))).await;
    let error = rejecting.sync(local.path(), "s3://bucket").delete().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incomplete);
    let summary = error.summary().unwrap();
    assert_eq!((summary.uploaded, summary.deleted, summary.failures.len()), (1, 0, 1));
    assert!(summary.kept_surplus);
    assert_eq!(summary.failures[0].kind(), ErrorKind::PermissionDenied);
    assert!(summary.failures[0].object().ends_with("bad.txt"));
    assert_eq!(content(&client, "old.txt").await, b"old");
}

#[tokio::test]
async fn migration_can_be_run_again() {
    let (client, _) = client().await;
    client.create_bucket("other-bucket").await.unwrap();
    for (number, name) in (0..).zip(["a-1.zip", "a-2.zip", "b.bin"]) {
        client.put(uri(name), version(number)).metadata("k", name).await.unwrap();
    }
    let migrate = || client.migrate("s3://bucket", "s3://other-bucket/from/");
    assert_eq!(migrate().await.unwrap().copied, 3);
    client.put(uri("b.bin"), "new").await.unwrap();
    let again = migrate().await.unwrap();
    assert_eq!((again.copied, again.unchanged), (1, 2));
    let info = client.head("s3://other-bucket/from/a-2.zip").await.unwrap();
    assert_eq!(info.attributes.metadata["k"], "a-2.zip");
    let nested = client.migrate("s3://bucket", "s3://bucket/below/").await.unwrap_err();
    assert_eq!(nested.kind(), ErrorKind::InvalidInput);
}
