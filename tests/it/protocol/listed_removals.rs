//! An object is replaced between its listing and its deletion: the new file stays, even within the
//! same instant.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use deltaglider::domain::ObjectName;
use deltaglider::service::{
    Compare, DeltaService, Folder, GetOptions, ListedRemoval, ListedWrite, ServiceError, Step,
    SyncOptions,
};
use deltaglider::storage::{
    Attributes, BucketAdmin as _, Call, CopyOptions, DirStore, Layer, MemoryStore,
    ObjectStore as _, PutBody, PutCondition, Run, StorageError, Store,
};

use crate::support::small_files::{content, object, put_as, service};

/// Returns stores whose clock does not advance.
fn stores(folder: &std::path::Path) -> [Arc<dyn Store>; 2] {
    let clock = || SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    [
        Arc::new(DirStore::open_with_clock(folder, clock).unwrap()),
        Arc::new(MemoryStore::with_clock(clock)),
    ]
}

/// Returns the deletions that `sync --delete` plans: every file but the one in the local folder.
async fn removals(service: &DeltaService) -> Vec<(ObjectName, ListedWrite)> {
    let local = tempfile::tempdir().unwrap();
    std::fs::write(local.path().join("base.zip"), content(0)).unwrap();
    let options = SyncOptions {
        compare: Compare::Size,
        remove: true,
        filter: Arc::new(|_: &str| true),
        dryrun: false,
    };
    let to = Folder::in_bucket(&object("x").bucket, "");
    let mut steps =
        service.sync(&Folder::Local(local.path().to_owned()), &to, options).await.unwrap();
    let mut removals = Vec::new();
    while let Some(step) = steps.next().await.unwrap() {
        if let Step::RemoveObject(object, listed) = step {
            removals.push((object, listed));
        }
    }
    removals
}

#[tokio::test]
async fn replaced_file_stays() {
    for (before, after) in [(false, false), (false, true), (true, false), (true, true)] {
        let folder = tempfile::tempdir().unwrap();
        for store in stores(folder.path()) {
            store.create_bucket(&object("x").bucket).await.unwrap();
            let service = service(store);
            put_as(&service, "base.zip", 0, true).await;
            put_as(&service, "x.zip", 1, before).await;
            put_as(&service, "y.zip", 1, before).await;
            let removals = removals(&service).await;
            assert_eq!(
                removals.iter().map(|(object, _)| object.key.as_str()).collect::<Vec<_>>(),
                ["x.zip", "y.zip"]
            );
            put_as(&service, "x.zip", 2, after).await;
            let kinds = format!("delta {before}, then {after}");
            for (object, listed) in removals {
                let removed = service.delete_listed(&object, &listed).await.unwrap();
                assert_eq!(removed.is_some(), object.key.as_str() == "y.zip", "{object}, {kinds}");
            }
            let read =
                service.get(&object("x.zip"), Vec::new(), &GetOptions::default()).await.unwrap().0;
            assert!(read == content(2), "{kinds}");
        }
    }
}

/// A store on which another writer replaces a file right after the first listing.
#[derive(Debug)]
struct Replacing(Arc<MemoryStore>, AtomicBool);

#[async_trait::async_trait]
impl Layer for Replacing {
    fn inner(&self) -> &dyn Store {
        &*self.0
    }

    async fn around<'a, T: Send + 'a>(
        &'a self,
        call: Call<'a>,
        run: Run<'a, T>,
    ) -> Result<T, StorageError> {
        let done = run().await;
        if call.operation == "ListObjectsV2" && self.1.swap(false, Ordering::Relaxed) {
            put_as(&service(self.0.clone()), "x.zip", 2, false).await;
        }
        done
    }
}

#[tokio::test]
async fn folder_reports_kept_files() {
    let store = Arc::new(Replacing(Arc::new(MemoryStore::new()), AtomicBool::new(false)));
    store.create_bucket(&object("x").bucket).await.unwrap();
    let service = service(store.clone());
    for name in ["w.zip", "x.zip", "y.zip"] {
        put_as(&service, name, 1, false).await;
    }
    store.1.store(true, Ordering::Relaxed);
    let mut reported = Vec::new();
    let report = |name: &ObjectName, outcome: Result<_, ServiceError>| {
        reported.push((name.key.to_string(), outcome.unwrap()));
        Ok::<_, ServiceError>(())
    };
    let deletion = service.delete_all(&object("x").bucket, "", report).await.unwrap();
    let all = [
        ("w.zip", ListedRemoval::Removed),
        ("x.zip", ListedRemoval::Replaced),
        ("y.zip", ListedRemoval::Removed),
    ];
    assert_eq!(reported, all.map(|(name, became)| (name.to_owned(), became)));
    assert_eq!(deletion.removed.len(), 2);
    let read = service.get(&object("x.zip"), Vec::new(), &GetOptions::default()).await.unwrap().0;
    assert!(read == content(2));
}

/// Another tool left a plain object named as a delta, and copied a delta to the key of its delta.
/// Found by random sequences of operations.
#[tokio::test]
async fn both_variants_of_delta_name_go() {
    let store = Arc::new(MemoryStore::new());
    store.create_bucket(&object("x").bucket).await.unwrap();
    let service = service(store.clone());
    put_as(&service, "x.zip", 1, true).await;
    let body = PutBody::from_bytes(b"plain".to_vec());
    let plain = object("a.zip.delta");
    let condition = PutCondition::None.into();
    store.put(&plain, body, &Attributes::default(), &condition).await.unwrap();
    let (from, to) = (object("x.zip.delta"), object("a.zip.delta.delta"));
    store.copy(&from, &to, &CopyOptions::default()).await.unwrap();
    let mut reported = Vec::new();
    let report = |name: &ObjectName, outcome: Result<_, ServiceError>| {
        reported.push((name.key.to_string(), outcome.unwrap()));
        Ok::<_, ServiceError>(())
    };
    let deletion = service.delete_all(&plain.bucket, "", report).await.unwrap();
    let all = [("a.zip.delta", ListedRemoval::Removed), ("x.zip", ListedRemoval::Removed)];
    assert_eq!(reported, all.map(|(name, became)| (name.to_owned(), became)));
    assert!(deletion.removed.contains(&plain) && deletion.removed.contains(&to));
}
