//! What a listing showed is replaced before it is removed: the new file stays, also within the same instant.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use deltaglider::domain::ObjectName;
use deltaglider::service::{Compare, DeltaService, Folder, GetOptions, ListedWrite, Step, SyncOptions};
use deltaglider::storage::{DirStore, MemoryStore, Store};

use crate::support::small_files::{content, object, put_as, service};

/// Stores whose clock stands still.
fn stores(folder: &std::path::Path) -> [Arc<dyn Store>; 2] {
    let clock = || SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    [Arc::new(DirStore::open_with_clock(folder, clock).unwrap()), Arc::new(MemoryStore::with_clock(clock))]
}

/// Returns what `sync --delete` is about to remove: all but one file, which is in the local folder.
async fn removals(service: &DeltaService) -> Vec<(ObjectName, ListedWrite)> {
    let local = tempfile::tempdir().unwrap();
    std::fs::write(local.path().join("base.zip"), content(0)).unwrap();
    let options = SyncOptions { compare: Compare::Size, remove: true, filter: Arc::new(|_| true) };
    let to = Folder::in_bucket(&object("x").bucket, "");
    let mut steps = service.sync(&Folder::Local(local.path().to_owned()), &to, options).await.unwrap();
    let mut removals = Vec::new();
    while let Some(step) = steps.next().await.unwrap() {
        if let Step::RemoveObject(object, listed) = step {
            removals.push((object, listed));
        }
    }
    removals
}

#[tokio::test]
async fn replaced_within_an_instant_stays() {
    for (before, after) in [(false, false), (false, true), (true, false), (true, true)] {
        let folder = tempfile::tempdir().unwrap();
        for store in stores(folder.path()) {
            store.create_bucket(&object("x").bucket).await.unwrap();
            let service = service(store);
            put_as(&service, "base.zip", 0, true).await;
            put_as(&service, "x.zip", 1, before).await;
            put_as(&service, "y.zip", 1, before).await;
            let removals = removals(&service).await;
            assert_eq!(removals.iter().map(|(object, _)| object.key.as_str()).collect::<Vec<_>>(), ["x.zip", "y.zip"]);
            put_as(&service, "x.zip", 2, after).await;
            let kinds = format!("delta {before}, then {after}");
            for (object, listed) in removals {
                let removed = service.delete_listed(&object, &listed).await.unwrap();
                assert_eq!(removed.is_some(), object.key.as_str() == "y.zip", "{object}, {kinds}");
            }
            let read = service.get(&object("x.zip"), Vec::new(), &GetOptions::default()).await.unwrap().0;
            assert!(read == content(2), "{kinds}");
        }
    }
}
