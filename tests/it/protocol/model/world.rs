//! Two buckets of one store and a folder, and their expected contents.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use deltaglider::cache::WorkingCopies;
use deltaglider::domain::policy::Policy;
use deltaglider::domain::{BucketName, Key, ObjectName};
use deltaglider::service::{Clock, DeltaService, Payload, RepairOptions, Settings};
use deltaglider::storage::{
    Attributes, BucketAdmin as _, MemoryStore, ObjectStore as _, PutBody, PutCondition,
};
use futures::TryStreamExt as _;

use super::op;

/// Names and contents of a bucket or folder.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

pub(crate) const BUCKETS: [&str; 2] = ["one", "two"];

/// The duration of one call: three of four calls have the time of another one, since stores report
/// whole seconds.
const CALL: Duration = Duration::from_millis(250);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The clock of the store, read without advancing it.
#[derive(Debug)]
struct Hand(Arc<AtomicU64>);

impl Clock for Hand {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.running()
    }

    fn running(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

pub(crate) struct World {
    pub(crate) store: Arc<MemoryStore>,
    /// Two processes; the knowledge that one has of the store can be old.
    pub(crate) processes: [DeltaService; 2],
    milliseconds: Arc<AtomicU64>,
    /// The expected content of every name, by bucket.
    pub(crate) files: [Files; 2],
    /// The content that each stored object of a file gives, or would give.
    pub(crate) stored: BTreeMap<ObjectName, Vec<u8>>,
    /// Names whose files have escaped keys, with what another tool left at the name itself.
    pub(crate) escaped: BTreeMap<ObjectName, Option<Vec<u8>>>,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) local: Files,
    /// True once a tool without knowledge of references has copied deltas: those references may be
    /// missing, and their copies must do.
    pub(crate) copied_blindly: bool,
}

pub(crate) fn bucket(second: bool) -> BucketName {
    BucketName::new(BUCKETS[usize::from(second)]).unwrap()
}

pub(crate) fn object(second: bool, key: &str) -> ObjectName {
    ObjectName::new(bucket(second), Key::new(key).unwrap())
}

impl World {
    pub(crate) async fn new(atomic: bool) -> Self {
        let milliseconds = Arc::new(AtomicU64::new(100 * DAY.as_millis() as u64));
        let hand = milliseconds.clone();
        let store = MemoryStore::with_clock(move || {
            let now = hand.fetch_add(CALL.as_millis() as u64, Ordering::Relaxed);
            SystemTime::UNIX_EPOCH + Duration::from_secs(now / 1000)
        });
        let store = Arc::new(if atomic { store } else { store.with_loose_conditions() });
        for second in [false, true] {
            store.create_bucket(&bucket(second)).await.unwrap();
        }
        let process = || {
            let spool_dir = std::env::temp_dir();
            let cache = Arc::new(WorkingCopies::new(spool_dir.clone()));
            let service = DeltaService::new(
                store.clone(),
                cache,
                Settings { policy: Policy::default(), spool_dir },
            );
            service.with_clock(Arc::new(Hand(milliseconds.clone())))
        };
        let processes = [process(), process()];
        Self {
            store,
            processes,
            milliseconds,
            files: Default::default(),
            stored: BTreeMap::new(),
            escaped: BTreeMap::new(),
            folder: tempfile::tempdir().unwrap(),
            local: Files::new(),
            copied_blindly: false,
        }
    }

    pub(crate) fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
            + Duration::from_secs(self.milliseconds.load(Ordering::Relaxed) / 1000)
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.milliseconds.fetch_add(time.as_millis() as u64, Ordering::Relaxed);
    }

    pub(crate) fn process(&self, by: bool) -> DeltaService {
        self.processes[usize::from(by)].clone()
    }

    pub(crate) fn files(&mut self, second: bool) -> &mut Files {
        &mut self.files[usize::from(second)]
    }

    /// Returns an existing name, or one of those that may exist.
    pub(crate) fn name(&self, (second, n): op::Place) -> String {
        let files = &self.files[usize::from(second)];
        let n = n % (files.len() + op::NAMES.len());
        files.keys().nth(n).cloned().unwrap_or_else(|| op::name(n - files.len()).to_owned())
    }

    pub(crate) fn object(&self, place: op::Place) -> ObjectName {
        object(place.0, &self.name(place))
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    pub(crate) fn repair_options(&self, mend: bool) -> RepairOptions {
        RepairOptions { fix: mend, grace: RepairOptions::GRACE, now: self.now() }
    }

    pub(crate) async fn bytes(&self, name: &ObjectName) -> Vec<u8> {
        let stream = self.store.get(name, None).await.unwrap().stream;
        stream.map_ok(|piece| piece.to_vec()).try_concat().await.unwrap()
    }

    pub(crate) async fn put_raw(
        &self,
        name: &ObjectName,
        bytes: Vec<u8>,
        metadata: BTreeMap<String, String>,
    ) {
        let attributes = Attributes { metadata, ..Attributes::default() };
        self.store
            .put(name, PutBody::from_bytes(bytes), &attributes, &PutCondition::None.into())
            .await
            .unwrap();
    }
}

pub(crate) async fn input(content: &[u8]) -> Payload {
    Payload::spool(std::io::Cursor::new(content.to_vec()), "content", &std::env::temp_dir())
        .await
        .unwrap()
}
