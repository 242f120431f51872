//! The use cases, one per file: what happens to a file on its way into a store and back.

mod blocking;
mod bucket_kept;
mod byte_budget;
mod clock;
mod compared;
mod copied;
mod copy;
mod decode_memory;
mod delete;
mod delta;
mod draft_mode;
pub(crate) mod drafts;
mod error;
mod get;
mod get_delta;
mod get_options;
mod get_to_file;
mod head;
mod identity;
mod index;
mod input;
mod list;
mod locate;
mod older;
mod packing;
mod plan;
mod presign;
mod purge;
mod put;
mod put_report;
mod put_stream;
mod rebase;
mod reference;
mod remove_bucket;
mod repair;
mod restore;
mod set_aside;
mod sink;
mod spool;
mod stats;
mod sync;
mod turns;
mod verify;

use std::path::PathBuf;
use std::sync::Arc;

use crate::cache::ReferenceCache;
use crate::domain::policy::Policy;
use crate::storage::Store;

pub use bucket_kept::BucketKept;
pub use clock::{Clock, SystemClock};
pub use compared::{Compared, StatedChecksums};
pub use delete::{Deletion, ListedRemoval, ListedWrite, Moved};
pub use error::{ServiceError, chain};
pub use get_options::{GetOptions, GetReport};
pub use head::Head;
pub use input::Input;
pub use list::{Listed, ListedFile, ListedPage, Listing};
pub use plan::DirectReason;
pub use presign::PresignedUrl;
pub use purge::Purge;
pub use put::PutOptions;
pub use put_report::{PutReport, PutWarning, StoredAs};
pub use rebase::Rebased;
pub use reference::ReferenceWarning;

pub use repair::{Finding, Outcome, RepairOptions, RepairReport, Trouble};
pub use set_aside::{InTheWay, Removed};
pub use stats::{KeptStats, Stats, StatsMode};
pub(crate) use sync::is_behind_a_link;
pub use sync::{Compare, Filter, Folder, MayBeDelta, Passed, Phase, Select, Step, Steps, SyncOptions};

/// What holds for every operation.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which files are kept as deltas.
    pub policy: Policy,
    /// Where files without a name are made for what is too long for memory.
    pub spool_folder: PathBuf,
}

/// Stores files as deltas and gives them back.
#[derive(Debug, Clone)]
pub struct DeltaService {
    store: Arc<dyn Store>,
    cache: Arc<dyn ReferenceCache>,
    settings: Arc<Settings>,
    sketches: Arc<reference::Sketches>,
    turns: Arc<turns::Turns>,
    clock: Arc<dyn Clock>,
    drafts: Arc<drafts::Drafts>,
}

impl DeltaService {
    /// Puts the parts together.
    pub fn new(store: Arc<dyn Store>, cache: Arc<dyn ReferenceCache>, settings: Settings) -> Self {
        Self {
            store,
            cache,
            settings: Arc::new(settings),
            sketches: Arc::default(),
            turns: Arc::default(),
            clock: Arc::new(SystemClock),
            drafts: Arc::default(),
        }
    }

    /// The same service by another clock.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// The store, for what needs no delta: buckets and stored bytes.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }
}
