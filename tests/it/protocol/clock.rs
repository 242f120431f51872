//! The store's clock goes back while a name is replaced and the older object is kept: the newer one
//! is served.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use deltaglider::domain::BucketName;
use deltaglider::service::GetOptions;
use deltaglider::storage::{BucketAdmin as _, DirStore};
use tokio::sync::Notify;

use crate::scripted_store::ScriptedStore;
use crate::support::small_files::{content, object, put_as, service};

const HOUR: u64 = 3600;

async fn read(store: &Arc<DirStore>, key: &str) -> Vec<u8> {
    service(store.clone()).get(&object(key), Vec::new(), &GetOptions::default()).await.unwrap().0
}

/// Stores `x.zip` as a delta or directly, and sources of copies beside it. Then sets the clock back
/// by one hour.
async fn stage(folder: &Path, is_delta: bool) -> Arc<DirStore> {
    let seconds = Arc::new(AtomicU64::new(500_000 * HOUR));
    let hand = seconds.clone();
    let clock = move || SystemTime::UNIX_EPOCH + Duration::from_secs(hand.load(Ordering::Relaxed));
    let store = Arc::new(DirStore::open_with_clock(folder, clock).unwrap());
    store.create_bucket(&BucketName::new("bucket").unwrap()).await.unwrap();
    let service = service(store.clone());
    put_as(&service, "base.zip", 9, true).await;
    put_as(&service, "plain.zip", 2, false).await;
    put_as(&service, "delta.zip", 2, true).await;
    put_as(&service, "x.zip", 1, is_delta).await;
    seconds.fetch_sub(HOUR, Ordering::Relaxed);
    store
}

/// Runs a put or a copy of content 2 over `x.zip` and stops it before it deletes the older object.
async fn killed(store: &Arc<DirStore>, copies: bool, delta: bool) {
    let removes = Arc::new(Notify::new());
    let reached = removes.clone();
    let stop = async move {
        reached.notify_one();
        std::future::pending().await
    };
    let scripted = ScriptedStore::at(store, |_, call| call.starts_with("delete x.zip"), stop);
    let service = service(scripted.clone());
    let work = async {
        if copies {
            let source = if delta { "delta.zip" } else { "plain.zip" };
            service.copy(&object(source), &object("x.zip"), delta).await.unwrap();
        } else {
            put_as(&service, "x.zip", 2, delta).await;
        }
    };
    tokio::select! {
        () = removes.notified() => {}
        () = work => panic!("nothing was removed: {:?}", scripted.calls()),
    }
}

#[tokio::test]
async fn newest_wins_if_clock_goes_back() {
    for (copies, delta) in [(false, false), (false, true), (true, false), (true, true)] {
        let folder = tempfile::tempdir().unwrap();
        let store = stage(folder.path(), !delta).await;
        killed(&store, copies, delta).await;
        assert!(read(&store, "x.zip").await == content(2), "copies: {copies}, delta: {delta}");
    }
}
