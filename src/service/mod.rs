//! The use cases, one per file: storing a file, reading it back, and maintaining what is stored.

mod analyze;
mod blocking;
mod bucket_kept;
mod clock;
mod copy;
mod delete;
mod error;
mod get;
mod head;
mod identity;
mod index;
mod list;
mod objects;
mod payload;
mod plan;
mod presign;
mod purge;
mod put;
mod rebase;
mod recompress;
mod references;
mod remove_bucket;
mod repair;
mod set_aside;
mod spool;
mod stats;
mod sync;
mod transcode;
mod transfer;
mod verify;
mod watch;
mod writers;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use crate::cache::ReferenceCache;
use crate::domain::policy::Policy;
use crate::storage::Store;

pub use analyze::{Analysis, Candidate};
pub use bucket_kept::BucketKept;
pub use clock::{Clock, SystemClock};
pub use delete::{Deletion, ListedRemoval, ListedWrite, Moved};
pub use error::{ServiceError, chain};
pub(crate) use get::Drafts;
pub use get::{Compared, GetOptions, GetReport, StatedChecksums};
pub use head::{FileKind, Head};
pub use list::{Listed, ListedFile, ListedPage, Listing};
pub use payload::Payload;
pub(crate) use payload::ReadObserver;
pub use plan::DirectReason;
pub use presign::PresignedUrl;
pub use purge::Purge;
pub use put::{PutOptions, PutReport, PutWarning, StoredAs};
pub use rebase::Rebased;
pub use references::ReferenceWarning;
pub use repair::{Defect, Finding, Outcome, RepairOptions, RepairReport};
pub use set_aside::{Obstacle, Removed};
pub use stats::{Stats, StatsCache, StatsMode};
pub use sync::{
    AllowDelta, Compare, Filter, Folder, Phase, Select, SkipReason, Step, Steps, SyncOptions,
};
pub use transfer::{
    Action, AttributesOf, Completion, Source, StepOutcome, TransferOptions, Transferred,
};
pub(crate) use watch::Watch;

/// The settings of all operations.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The rules for which files are stored as deltas.
    pub policy: Policy,
    /// The directory for unnamed temporary files of data too long for memory.
    pub spool_dir: PathBuf,
}

/// Stores files as deltas and restores them.
#[derive(Debug, Clone)]
pub struct DeltaService {
    objects: objects::Objects,
    references: references::References,
    transcoder: transcode::Transcoder,
    settings: Arc<Settings>,
    drafts: Arc<Drafts>,
    /// The observer of the operations, if there is one.
    watch: Option<Arc<dyn Watch>>,
}

impl DeltaService {
    /// Creates a service on a store and a cache.
    pub fn new(store: Arc<dyn Store>, cache: Arc<dyn ReferenceCache>, settings: Settings) -> Self {
        let objects = objects::Objects::new(store, Arc::new(SystemClock), &settings.spool_dir);
        Self {
            references: references::References::new(objects.clone(), cache),
            objects,
            transcoder: transcode::Transcoder::new(&settings.spool_dir),
            settings: Arc::new(settings),
            drafts: Arc::default(),
            watch: None,
        }
    }

    /// Returns the same service with another clock.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        let objects = self.objects.with_clock(clock);
        let references = self.references.with_objects(objects.clone());
        Self { objects, references, ..self }
    }

    /// Returns the same service with another cache. Operations in progress keep theirs.
    pub(crate) fn with_cache(self, cache: Arc<dyn ReferenceCache>) -> Self {
        Self { references: self.references.with_cache(cache), ..self }
    }

    /// Returns the same service on its store wrapped by `layer`, with an observer.
    pub(crate) fn watched(
        self,
        layer: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>,
        watch: Arc<dyn Watch>,
    ) -> Self {
        let store = layer(self.objects.store().clone());
        let objects = self.objects.with_store(store);
        let references = self.references.with_objects(objects.clone());
        Self { objects, references, watch: Some(watch), ..self }
    }

    /// Returns the same service with at most this many threads that encode, in place of one for
    /// each core and four at most. Beside each encoder, the delta is decoded and the file is
    /// hashed.
    #[must_use]
    pub fn with_threads(self, threads: NonZeroUsize) -> Self {
        Self { transcoder: self.transcoder.with_threads(threads), ..self }
    }

    /// Returns the same service with other limits: at most this many threads that encode, if a
    /// number is given, and this many bytes for all decoders and one encoder together. One that
    /// needs more runs alone.
    #[must_use]
    pub fn with_memory(self, threads: Option<NonZeroUsize>, bytes: u64) -> Self {
        Self { transcoder: self.transcoder.with_memory(threads, bytes), ..self }
    }

    /// Returns the store, for operations that need no delta: buckets and stored bytes.
    pub fn store(&self) -> &dyn Store {
        &**self.objects.store()
    }
}
