//! A user of the library syncs one folder to another: the steps are carried out and reported, and
//! nothing is deleted after a failure.

use std::path::Path;
use std::sync::Arc;

use deltaglider::domain::BucketName;
use deltaglider::service::{
    Action, Compare, Completion, DeltaService, Folder, ServiceError, Source, StoredAs, SyncOptions,
    TransferOptions, Transferred,
};
use deltaglider::storage::{MemoryStore, Store};

use crate::support::small_files::{Rejecting, content, object, service};

async fn bucket(store: &dyn Store) -> BucketName {
    let bucket = object("x").bucket;
    store.create_bucket(&bucket).await.unwrap();
    bucket
}

/// Syncs `from` to `to`. Returns how it ended and the actions, sorted.
async fn sync(
    service: &DeltaService,
    from: &Folder,
    to: &Folder,
    options: &TransferOptions,
) -> (Completion, Vec<(Action, Result<Transferred, ServiceError>)>) {
    let sync = SyncOptions {
        compare: Compare::Content,
        remove: true,
        filter: Arc::new(|_: &str| true),
        dryrun: false,
    };
    let steps = service.sync(from, to, sync).await.unwrap();
    let mut done = Vec::new();
    let report = |action, outcome| {
        done.push((action, outcome));
        Ok::<_, ServiceError>(())
    };
    let completion = service.transfer(steps, options, 4, report).await.unwrap();
    done.sort_by_key(|(action, _)| format!("{action:?}"));
    (completion, done)
}

fn write(folder: &Path, names: &[&str]) {
    for (seed, name) in (1..).zip(names) {
        std::fs::write(folder.join(name), content(seed)).unwrap();
    }
}

#[tokio::test]
async fn folders_are_made_alike() {
    let store = Arc::new(MemoryStore::new());
    let bucket = bucket(&*store).await;
    let service = service(store);
    let (up, down) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(up.path(), &["a-1.zip", "a-2.zip", "a-3.txt"]);
    write(down.path(), &["old.txt"]);
    let (local, remote) = (Folder::Local(up.path().to_owned()), Folder::in_bucket(&bucket, "f/"));
    let (completion, done) = sync(&service, &local, &remote, &TransferOptions::default()).await;
    assert_eq!((completion, done.len()), (Completion::Complete, 3));
    let deltas = done.iter().filter(|(_, outcome)| match outcome {
        Ok(Transferred::Uploaded { report, source: Source::Copied, .. }) => {
            report.stored_as == StoredAs::Delta
        }
        _ => false,
    });
    assert_eq!(deltas.count(), 1);

    let options = TransferOptions { moving: true, ..TransferOptions::default() };
    let (completion, done) =
        sync(&service, &remote, &Folder::Local(down.path().to_owned()), &options).await;
    assert_eq!((completion, done.len()), (Completion::Complete, 4));
    let moved = |outcome: &Result<_, _>| {
        matches!(outcome, Ok(Transferred::Downloaded { source: Source::Deleted, .. }))
    };
    assert_eq!(done.iter().filter(|(_, outcome)| moved(outcome)).count(), 3);
    let deleted = |outcome: &Result<_, _>| matches!(outcome, Ok(Transferred::DeletedFile(_)));
    assert_eq!(done.iter().filter(|(_, outcome)| deleted(outcome)).count(), 1);
    for name in ["a-1.zip", "a-2.zip", "a-3.txt"] {
        assert!(
            std::fs::read(down.path().join(name)).unwrap()
                == std::fs::read(up.path().join(name)).unwrap()
        );
    }
    assert!(
        service
            .list(&bucket, "", None)
            .next()
            .await
            .unwrap()
            .unwrap()
            .files
            .iter()
            .all(|file| !file.is_shown())
    );
}

#[tokio::test]
async fn failure_keeps_surplus_files() {
    let memory = Arc::new(MemoryStore::new());
    let bucket = bucket(&*memory).await;
    let local = tempfile::tempdir().unwrap();
    write(local.path(), &["old.txt"]);
    let (from, to) = (Folder::Local(local.path().to_owned()), Folder::in_bucket(&bucket, ""));
    let before = sync(&service(memory.clone()), &from, &to, &TransferOptions::default()).await;
    assert_eq!((before.0, before.1.len()), (Completion::Complete, 1));
    std::fs::remove_file(local.path().join("old.txt")).unwrap();
    write(local.path(), &["bad.txt", "good.txt"]);
    let rejecting = service(Arc::new(Rejecting(memory, "bad".to_owned())));
    let (completion, done) = sync(&rejecting, &from, &to, &TransferOptions::default()).await;
    assert_eq!((completion, done.len()), (Completion::NothingDeleted, 2));
    assert!(matches!(
        &done[0],
        (Action::Upload(path), Err(ServiceError::Storage(_))) if path.ends_with("bad.txt")
    ));
    assert!(matches!(&done[1].1, Ok(Transferred::Uploaded { .. })));
    assert!(rejecting.head(&object("old.txt")).await.is_ok());
}
