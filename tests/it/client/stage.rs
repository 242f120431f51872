//! Clients on stores in memory, and versions of a file.

use std::sync::Arc;

use deltaglider::storage::{MemoryStore, Store};
use deltaglider::{Cache, DeltaGlider};

use crate::support::{edited, noise};

/// The size of a version in bytes: several pieces of a stream.
pub(crate) const LEN: usize = 700_000;

/// Returns a client of a store.
pub(crate) async fn client_of(store: Arc<dyn Store>) -> DeltaGlider {
    DeltaGlider::builder().store(store).cache(Cache::none(64 << 20)).build().await.unwrap()
}

/// Returns a client of an empty store in memory with a bucket `bucket`, and the store.
pub(crate) async fn client() -> (DeltaGlider, Arc<MemoryStore>) {
    let store = Arc::new(MemoryStore::new());
    let client = client_of(store.clone()).await;
    client.create_bucket("bucket").await.unwrap();
    (client, store)
}

/// Returns a version of a file; all versions have most bytes in common.
pub(crate) fn version(number: u64) -> Vec<u8> {
    match number {
        0 => noise(LEN, 1),
        number => edited(&noise(LEN, 1), number),
    }
}

/// Returns the URI of a key in the bucket.
pub(crate) fn uri(key: &str) -> String {
    format!("s3://bucket/{key}")
}

/// Returns the content of a file.
pub(crate) async fn content(client: &DeltaGlider, key: &str) -> Vec<u8> {
    client.get(uri(key)).await.unwrap().bytes().await.unwrap().to_vec()
}
