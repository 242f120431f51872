//! The client: one method a verb, with options before the `await`.
//!
//! ```
//! use deltaglider::DeltaGlider;
//! use futures::TryStreamExt as _;
//!
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! let dg = DeltaGlider::builder().embedded(folder.path()).build().await?;
//! dg.create_bucket("releases").await?;
//!
//! # let noise = |seed: u64| (0..20_000).map(move |at: u64| (at * at * seed >> 7) as u8);
//! # let first: Vec<u8> = noise(977).collect();
//! # let second = [&first[..], b"changed"].concat();
//! dg.put("s3://releases/app-1.0.zip", first).await?;
//! let stored = dg.put("s3://releases/app-1.1.zip", second.clone()).if_absent().await?;
//! assert!(stored.stored < stored.size / 10);
//!
//! let mut file = dg.get("s3://releases/app-1.1.zip").await?;
//! let mut bytes = Vec::new();
//! while let Some(piece) = file.try_next().await? {
//!     bytes.extend_from_slice(&piece);
//! }
//! assert_eq!(bytes, second);
//! # Ok(()) }
//! ```
//!
//! # Streams
//!
//! A get returns a stream of bytes that is also an `AsyncRead`. Its last piece, of at least one
//! byte, comes only once the SHA-256 of the whole file agrees; otherwise an error comes in its
//! place. So a reader that came to the end has the file.
//!
//! # Cancellation
//!
//! Every call may be dropped at any `await`. Each name then has its old or its new content, whole.
//! What may be left is a reference that no delta needs, or an upload that was begun, both of which
//! [`repair`](DeltaGlider::repair) names and removes. Before a process ends, [`DeltaGlider::close`]
//! waits until abandoned uploads are aborted.

/// Makes a verb with options a future.
macro_rules! verb {
    ($verb:ty => $output:ty) => {
        impl IntoFuture for $verb {
            type Output = Result<$output, crate::client::Error>;
            type IntoFuture = futures::future::BoxFuture<'static, Self::Output>;

            fn into_future(self) -> Self::IntoFuture {
                Box::pin(self.run())
            }
        }
    };
}

mod analyze;
mod body;
mod buckets;
mod builder;
mod channel;
mod copy;
mod delete;
mod download;
mod error;
mod get;
mod head;
mod list;
mod location;
mod maintain;
mod place;
mod progress;
mod put;
mod share;
mod sync;

use std::sync::{Arc, PoisonError, RwLock};

use progress::Meter;

use crate::service::DeltaService;
use crate::wiring::{Connection, upkeep};

pub use analyze::{Analyze, Similar};
pub use body::Body;
pub use builder::{Builder, Cache};
pub use copy::{CopyFile, RenameFile};
pub use delete::{DeleteFiles, Deleted};
pub use download::{DownloadFile, Downloaded};
pub use error::{Error, ErrorKind, FileAction, FileEvent, Summary};
pub use get::{FileStream, GetFile};
pub use head::{HeadFile, Info};
pub use list::{FileEntry, ListFiles, ListItem};
pub use location::Location;
pub use maintain::{CountStats, PurgeBucket, RepairBucket, Verification, VerifyFile};
pub use place::Place;
pub use progress::{Phase, Progress};
pub use put::{PutFile, Stored};
pub use share::{PresignFile, RehydrateFile};
pub use sync::SyncFolders;

/// A client of one store. Clones share its connections, its cache and its limits.
#[derive(Debug, Clone)]
pub struct DeltaGlider {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    service: RwLock<DeltaService>,
    connection: Connection,
    concurrency: usize,
}

impl DeltaGlider {
    /// Returns a builder with default settings; see [`Builder`].
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Returns a builder with the settings of the environment: besides those of every AWS SDK, the
    /// `DG_…` variables of the command line.
    ///
    /// ```
    /// # use deltaglider::DeltaGlider;
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// let dg = DeltaGlider::from_env().embedded(folder.path()).build().await?;
    /// assert!(dg.list_buckets().await?.is_empty());
    /// # Ok(()) }
    /// ```
    pub fn from_env() -> Builder {
        Builder::from_env()
    }

    /// Returns the service below the client, for what the client does not offer.
    pub fn service(&self) -> DeltaService {
        self.inner.service.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the service, observed by the listener of a call.
    fn observed(&self, meter: &Meter) -> DeltaService {
        meter.observe(self.service())
    }

    /// Returns an empty cache in place of the present one, which is deleted once no call in
    /// progress reads it. A persistent cache is emptied of what nobody reads.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Local`] if the new cache cannot be created.
    ///
    /// ```
    /// # use deltaglider::DeltaGlider;
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let dg = DeltaGlider::builder().embedded(folder.path()).build().await?;
    /// dg.clear_cache().await?;
    /// # Ok(()) }
    /// ```
    pub async fn clear_cache(&self) -> Result<(), Error> {
        let inner = self.inner.clone();
        let cleared = tokio::task::spawn_blocking(move || {
            let cleaned = upkeep(inner.connection.cache.clone()).clean(false);
            cleaned.map_err(Error::of("clear", "the cache"))?;
            let cache = inner.connection.reference_cache()?;
            let mut service = inner.service.write().unwrap_or_else(PoisonError::into_inner);
            *service = service.clone().with_cache(cache);
            Ok(())
        });
        cleared.await.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic()))
    }

    /// Waits until uploads that were begun and abandoned are aborted; for use before the process
    /// ends.
    ///
    /// ```
    /// # use deltaglider::DeltaGlider;
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let dg = DeltaGlider::builder().embedded(folder.path()).build().await?;
    /// dg.close().await;
    /// # Ok(()) }
    /// ```
    pub async fn close(&self) {
        self.service().store().settle().await;
    }
}
