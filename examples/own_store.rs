//! A store of one's own: a layer over another store that refuses to grow beyond a number of bytes.
//!
//! A store can also be written from the ground up: implement `ObjectStore`, `BucketAdmin` and
//! `Presign`, and run `deltaglider::storage::conformance` on it.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use deltaglider::domain::ObjectName;
use deltaglider::storage::{
    Attributes, DirStore, ETag, Layer, PutBody, PutOptions, StorageError, StorageErrorKind, Store,
};
use deltaglider::{DeltaGlider, ErrorKind};

/// A store that takes a limited number of bytes.
#[derive(Debug)]
pub(crate) struct Limited {
    inner: Arc<dyn Store>,
    left: AtomicU64,
}

impl Limited {
    pub(crate) fn new(inner: Arc<dyn Store>, bytes: u64) -> Self {
        Self { inner, left: AtomicU64::new(bytes) }
    }
}

#[async_trait::async_trait]
impl Layer for Limited {
    fn inner(&self) -> &dyn Store {
        &*self.inner
    }

    async fn put<'a>(
        &'a self,
        object: &'a ObjectName,
        body: PutBody,
        attributes: &'a Attributes,
        options: &'a PutOptions,
    ) -> Result<ETag, StorageError> {
        let Some(len) = body.known_len() else {
            let refused = StorageError::new(StorageErrorKind::Invalid, "PutObject", object);
            return Err(refused.because("this store takes bodies of known length only"));
        };
        let take = |left: u64| left.checked_sub(len);
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
            return Err(StorageError::new(StorageErrorKind::NoSpace, "PutObject", object));
        }
        self.inner.put(object, body, attributes, options).await
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let directory = DirStore::open(folder.path())?;
    let dg = DeltaGlider::builder().store(Arc::new(Limited::new(Arc::new(directory), 30_000)));
    let dg = dg.build().await?;
    dg.create_bucket("releases").await?;
    for version in 1..=9 {
        let file = format!("version {version} ").repeat(2_000);
        match dg.put(format!("s3://releases/app-{version}.txt"), file).await {
            Ok(stored) => println!("{}: {} bytes", stored.object, stored.stored),
            Err(error) if error.kind() == ErrorKind::NoSpace => {
                println!("version {version}: {error}");
                break;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
