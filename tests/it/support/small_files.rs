//! Small similar files in a bucket, stored and read by the service itself.

use std::sync::Arc;

use deltaglider::cache::WorkingCopies;
use deltaglider::domain::policy::Policy;
use deltaglider::domain::{BucketName, Key, ObjectName};
use deltaglider::service::{DeltaService, Payload, PutOptions, Settings};
use deltaglider::storage::{Call, Layer, Run, StorageError, StorageErrorKind, Store};

use super::{edited, noise};

pub(crate) fn object(key: &str) -> ObjectName {
    ObjectName::new(BucketName::new("bucket").unwrap(), Key::new(key).unwrap())
}

pub(crate) fn service(store: Arc<dyn Store>) -> DeltaService {
    let folder = std::env::temp_dir();
    let settings = Settings { policy: Policy::default(), spool_dir: folder.clone() };
    DeltaService::new(store, Arc::new(WorkingCopies::new(folder)), settings)
}

/// Returns a version of the file; all versions have most bytes in common.
pub(crate) fn content(number: u64) -> Vec<u8> {
    edited(&noise(1_000, 1), number)
}

/// Stores a version.
pub(crate) async fn put(service: &DeltaService, key: &str, number: u64, options: &PutOptions) {
    let file = Payload::spool(std::io::Cursor::new(content(number)), key, &std::env::temp_dir())
        .await
        .unwrap();
    service.put(&file, &object(key), options).await.unwrap();
}

/// Stores a version, as a delta only if `delta` is true.
pub(crate) async fn put_as(service: &DeltaService, key: &str, number: u64, delta: bool) {
    put(service, key, number, &PutOptions { delta, ..PutOptions::default() }).await;
}

/// A store that rejects writes to keys that contain a text.
#[derive(Debug)]
pub(crate) struct Rejecting(pub(crate) Arc<dyn Store>, pub(crate) String);

#[async_trait::async_trait]
impl Layer for Rejecting {
    fn inner(&self) -> &dyn Store {
        &*self.0
    }

    async fn around<'a, T: Send + 'a>(
        &'a self,
        call: Call<'a>,
        run: Run<'a, T>,
    ) -> Result<T, StorageError> {
        if call.operation == "PutObject" && call.key.contains(&self.1) {
            return Err(StorageError::new(StorageErrorKind::Denied, "PutObject", call.target));
        }
        run().await
    }
}
