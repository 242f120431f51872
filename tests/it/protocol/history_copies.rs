//! A fault that `scripts/check-history` found: a copy had the content of one write and the metadata
//! of another.

use std::sync::Arc;

use deltaglider::domain::BucketName;
use deltaglider::service::{DeltaService, GetOptions, PutOptions};
use deltaglider::storage::{Attributes, BucketAdmin as _, MemoryStore};

use crate::scripted_store::ScriptedStore;
use crate::support::small_files::{self, content, object, service};

/// Stores the content numbered `number`, with the number in its metadata.
async fn put(service: &DeltaService, key: &str, number: u64, delta: bool) {
    let metadata = [("n".to_owned(), number.to_string())].into();
    let attributes = Attributes { metadata, ..Attributes::default() };
    small_files::put(
        service,
        key,
        number,
        &PutOptions { delta, attributes, ..PutOptions::default() },
    )
    .await;
}

#[tokio::test]
async fn copy_mixes_no_two_writes() {
    for delta in [false, true] {
        let store = Arc::new(MemoryStore::new());
        store.create_bucket(&BucketName::new("bucket").unwrap()).await.unwrap();
        put(&service(store.clone()), "other/x.zip", 7, true).await;
        put(&service(store.clone()), "a.zip", 1, delta).await;
        let other = service(store.clone());
        // Another writer replaces the source between its lookup and its read, which comes after the
        // lookup of the target.
        let read = if delta { "get a.zip.delta" } else { "get a.zip" };
        let moment = move |calls: &[String], call: &str| {
            call == read && calls.iter().any(|made| made.contains("other/b.zip"))
        };
        let scripted =
            ScriptedStore::at(&store, moment, async move { put(&other, "a.zip", 2, delta).await });
        service(scripted.clone())
            .copy(&object("a.zip"), &object("other/b.zip"), true)
            .await
            .unwrap();
        assert!(scripted.happened(), "{:?}", scripted.calls());
        let (bytes, report) = service(store)
            .get(&object("other/b.zip"), Vec::new(), &GetOptions::default())
            .await
            .unwrap();
        let number: u64 = report.attributes.metadata["n"].parse().unwrap();
        assert!(bytes == content(number), "the metadata is of write {number}");
    }
}
