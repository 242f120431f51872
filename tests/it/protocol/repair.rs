//! `repair` on buckets that were damaged by hand: it finds every damage, repairs what it can, and
//! loses nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use crate::support::small_files::{Rejecting, service};
use crate::support::{edited, noise};
use deltaglider::cache::WorkingCopies;
use deltaglider::domain::policy::Policy;
use deltaglider::domain::{BucketName, Deltaspace, Key, ObjectName, Sha256Digest};
use deltaglider::service::{
    Defect, DeltaService, DirectReason, GetOptions, Outcome, Payload, PutOptions, RepairOptions,
    RepairReport, Settings, StoredAs,
};
use deltaglider::storage::{
    Attributes, BucketAdmin as _, CopyOptions, ETag, ListRequest, MemoryStore, ObjectStore,
    PutBody, PutCondition,
};
use futures::TryStreamExt as _;

const DAY: u64 = 24 * 60 * 60;

/// A model store whose clock the test sets.
pub(super) struct Room {
    pub(super) store: Arc<MemoryStore>,
    pub(super) service: DeltaService,
    seconds: Arc<AtomicU64>,
    /// The expected contents of all files.
    pub(super) files: BTreeMap<String, Vec<u8>>,
}

fn bucket() -> BucketName {
    BucketName::new("bucket").unwrap()
}

pub(super) fn object(key: &str) -> ObjectName {
    ObjectName::new(bucket(), Key::new(key).unwrap())
}

/// The content-addressed key of a content in a folder.
pub(super) fn addressed(folder: &str, content: &[u8]) -> ObjectName {
    Deltaspace::of(&object(&format!("{folder}x"))).addressed(&Sha256Digest::of(content)).unwrap()
}

fn tombstone(folder: &str, content: &[u8]) -> ObjectName {
    Deltaspace::of(&object(&format!("{folder}x"))).tombstone(&Sha256Digest::of(content)).unwrap()
}

impl Room {
    pub(super) async fn new() -> Self {
        Self::with_conditions(true).await
    }

    /// Creates a store whose conditions are atomic or not.
    pub(super) async fn with_conditions(atomic: bool) -> Self {
        let seconds = Arc::new(AtomicU64::new(100 * DAY));
        let hand = seconds.clone();
        let clock = move || {
            SystemTime::UNIX_EPOCH + Duration::from_secs(hand.fetch_add(1, Ordering::Relaxed))
        };
        let store = MemoryStore::with_clock(clock);
        let store = Arc::new(if atomic { store } else { store.with_loose_conditions() });
        store.create_bucket(&bucket()).await.unwrap();
        let spool_dir = std::env::temp_dir();
        let cache = Arc::new(WorkingCopies::new(spool_dir.clone()));
        let service = DeltaService::new(
            store.clone(),
            cache,
            Settings { policy: Policy::default(), spool_dir },
        );
        Self { store, service, seconds, files: BTreeMap::new() }
    }

    pub(super) async fn put_as(&mut self, key: &str, content: &[u8], delta: bool) -> StoredAs {
        self.files.insert(key.to_owned(), content.to_vec());
        let file =
            Payload::spool(std::io::Cursor::new(content.to_vec()), key, &std::env::temp_dir())
                .await
                .unwrap();
        self.service
            .put(&file, &object(key), &PutOptions { delta, ..PutOptions::default() })
            .await
            .unwrap()
            .stored_as
    }

    pub(super) async fn put(&mut self, key: &str, content: &[u8]) -> StoredAs {
        self.put_as(key, content, true).await
    }

    pub(super) async fn delete(&mut self, key: &str) {
        self.files.remove(key);
        self.service.delete(&object(key)).await.unwrap();
    }

    pub(super) async fn remove(&self, name: &ObjectName) {
        self.store.head(name).await.unwrap();
        self.store.delete(name, None).await.unwrap();
    }

    pub(super) async fn bytes(&self, name: &ObjectName) -> Vec<u8> {
        let stream = self.store.get(name, None).await.unwrap().stream;
        stream.map_ok(|piece| piece.to_vec()).try_concat().await.unwrap()
    }

    /// Changes one bit of an object and keeps its metadata.
    pub(super) async fn rot(&self, name: &ObjectName) {
        let attributes = self.store.head(name).await.unwrap().attributes;
        let mut bytes = self.bytes(name).await;
        bytes[1000] ^= 1;
        self.put_raw(name, bytes, &attributes).await;
    }

    pub(super) async fn put_raw(
        &self,
        name: &ObjectName,
        bytes: Vec<u8>,
        attributes: &Attributes,
    ) -> ETag {
        self.store
            .put(name, PutBody::from_bytes(bytes), attributes, &PutCondition::None.into())
            .await
            .unwrap()
    }

    /// Copies an object to a key in any folder, as another tool would.
    pub(super) async fn copy(&self, from: &ObjectName, to: &ObjectName) {
        self.store.copy(from, to, &CopyOptions::default()).await.unwrap();
    }

    pub(super) fn pass(&self, days: u64) {
        self.seconds.fetch_add(days * DAY, Ordering::Relaxed);
    }

    pub(super) async fn repair(&self, mend: bool) -> RepairReport {
        let now =
            SystemTime::UNIX_EPOCH + Duration::from_secs(self.seconds.load(Ordering::Relaxed));
        let options = RepairOptions { fix: mend, grace: RepairOptions::GRACE, now };
        self.service.repair(&bucket(), &options).await.unwrap()
    }

    /// Looks for damage, repairs it, and looks again. Returns the findings of the first look; only
    /// damage beyond repair is found again.
    pub(super) async fn mends(&self) -> Vec<Defect> {
        let before = self.keys().await;
        let found = self.repair(false).await;
        assert_eq!(self.keys().await, before, "looking changed something");
        let repaired = self.repair(true).await;
        let troubles = |report: &RepairReport| {
            report.findings.iter().map(|f| f.trouble.clone()).collect::<Vec<_>>()
        };
        assert_eq!(troubles(&found), troubles(&repaired));
        for (found, repaired) in found.findings.iter().zip(&repaired.findings) {
            match (&found.outcome, &repaired.outcome) {
                (Outcome::Found, Outcome::Fixed)
                | (Outcome::Unfixable(_), Outcome::Unfixable(_)) => {}
                other => panic!("{other:?} of {:?}", found.trouble),
            }
        }
        let again = self.repair(true).await;
        for finding in again.findings {
            assert!(matches!(finding.outcome, Outcome::Unfixable(_)), "found again: {finding:?}");
        }
        troubles(&found)
    }

    pub(super) async fn keys(&self) -> Vec<(String, ETag)> {
        let page = self.store.list(&bucket(), &ListRequest::default()).await.unwrap();
        page.objects.into_iter().map(|object| (object.key.to_string(), object.etag)).collect()
    }

    pub(super) async fn exists(&self, name: &ObjectName) -> bool {
        self.store.head(name).await.is_ok()
    }

    pub(super) async fn names_of(&self, delta: &str) -> String {
        self.store.head(&object(delta)).await.unwrap().attributes.metadata["dg-ref-key"].clone()
    }

    /// Checks that every file but those of `lost` has the content that was put.
    pub(super) async fn gives_all_but(&self, lost: &[&str]) {
        for (key, content) in &self.files {
            let read = self.service.get(&object(key), Vec::new(), &GetOptions::default()).await;
            match lost.contains(&key.as_str()) {
                true => assert!(read.is_err(), "{key}"),
                false => assert!(read.unwrap().0 == *content, "{key}"),
            }
        }
    }
}

pub(super) fn versions() -> (Vec<u8>, Vec<u8>) {
    let first = noise(100_000, 1);
    let second = edited(&first, 2);
    (first, second)
}

#[tokio::test]
async fn sound_bucket_needs_no_repair() {
    let (mut room, (first, second)) = (Room::new().await, versions());
    room.put("a/app-1.zip", &first).await;
    room.put("a/app-2.zip", &second).await;
    room.put("notes.txt", b"text").await;
    room.pass(30);
    let report = room.repair(true).await;
    assert!(
        report.findings.is_empty() && report.waiting.is_empty() && report.unseen.is_empty(),
        "{report:?}"
    );
    assert_eq!((report.deltas, report.references), (2, 1));
    room.gives_all_but(&[]).await;
}

#[tokio::test]
async fn reference_restored_from_copy() {
    let (mut room, (first, second)) = (Room::new().await, versions());
    room.put("a/app-1.zip", &first).await;
    room.put("a/app-2.zip", &second).await;
    room.copy(&object("a/reference.bin"), &addressed("a/", &first)).await;
    room.remove(&object("a/reference.bin")).await;
    let troubles = room.mends().await;
    let [Defect::ReferenceMissing { reference, digest, files }] = troubles.as_slice() else {
        panic!("{troubles:?}")
    };
    assert_eq!((reference, *digest), (&object("a/reference.bin"), Sha256Digest::of(&first)));
    assert_eq!(*files, [object("a/app-1.zip"), object("a/app-2.zip")]);
    assert_eq!(room.bytes(&object("a/reference.bin")).await, first);
    room.gives_all_but(&[]).await;
}

/// A missing reference is restored from any file with its content, stored directly or as a delta.
#[tokio::test]
async fn reference_restored_from_file() {
    for direct in [true, false] {
        let (mut room, (first, second)) = (Room::new().await, versions());
        room.put("a/app-1.zip", &first).await;
        room.put("a/app-2.zip", &second).await;
        if direct {
            room.put_as("elsewhere/old.zip", &first, false).await;
        } else {
            // A delta against another reference.
            room.put("b/app-2.zip", &second).await;
            room.put("b/app-1.zip", &first).await;
        }
        room.remove(&object("a/reference.bin")).await;
        let troubles = room.mends().await;
        assert!(matches!(troubles.as_slice(), [Defect::ReferenceMissing { .. }]), "{troubles:?}");
        assert_eq!(room.bytes(&object("a/reference.bin")).await, first);
        room.gives_all_but(&[]).await;
    }
}

/// A lost reference is reported with its files, and nothing is deleted.
#[tokio::test]
async fn lost_reference_is_reported() {
    let (mut room, (first, second)) = (Room::new().await, versions());
    room.put("a/app-1.zip", &first).await;
    room.put("a/app-2.zip", &second).await;
    room.put("b/other.zip", &noise(100_000, 9)).await;
    room.remove(&object("a/reference.bin")).await;
    room.pass(30);
    let before = room.keys().await;
    let troubles = room.mends().await;
    assert!(
        matches!(troubles.as_slice(), [Defect::ReferenceMissing { files, .. }] if files.len() == 2)
    );
    assert_eq!(room.keys().await, before);
    room.gives_all_but(&["a/app-1.zip", "a/app-2.zip"]).await;
}

/// Deltas whose reference was replaced by another one name their own reference again.
#[tokio::test]
async fn deltas_regain_own_reference() {
    let (mut room, (first, second)) = (Room::new().await, versions());
    room.put("a/app-1.zip", &first).await;
    room.put("a/app-2.zip", &second).await;
    // Two concurrent writers of the Python tool leave this state: the later reference, with a delta
    // of its own.
    let (other, other_next) = (noise(100_000, 7), edited(&noise(100_000, 7), 8));
    room.copy(&object("a/reference.bin"), &addressed("a/", &first)).await;
    room.put("b/tool-1.zip", &other).await;
    room.put("b/tool-2.zip", &other_next).await;
    room.copy(&object("b/reference.bin"), &object("a/reference.bin")).await;
    for name in ["tool-1.zip.delta", "tool-2.zip.delta"] {
        let from = object(&format!("b/{name}"));
        let mut attributes = room.store.head(&from).await.unwrap().attributes;
        attributes.metadata.insert("dg-ref-key".into(), "a/reference.bin".into());
        room.put_raw(&object(&format!("a/{name}")), room.bytes(&from).await, &attributes).await;
    }
    room.files.insert("a/tool-2.zip".into(), other_next.clone());
    let troubles = room.mends().await;
    let [Defect::ReferenceDiffers { reference, digest, actual, files }] = troubles.as_slice()
    else {
        panic!("{troubles:?}")
    };
    assert_eq!(*reference, object("a/reference.bin"));
    assert_eq!((*digest, *actual), (Sha256Digest::of(&first), Sha256Digest::of(&other)));
    assert_eq!(files.len(), 2);
    assert_eq!(room.names_of("a/app-2.zip.delta").await, addressed("a/", &first).key.as_str());
    assert_eq!(room.names_of("a/tool-2.zip.delta").await, "a/reference.bin");
    room.gives_all_but(&[]).await;
}

#[tokio::test]
async fn corrupt_reference_is_replaced() {
    let (mut room, (first, second)) = (Room::new().await, versions());
    room.put("a/app-1.zip", &first).await;
    room.put("a/app-2.zip", &second).await;
    room.copy(&object("a/reference.bin"), &addressed("a/", &first)).await;
    room.rot(&object("a/reference.bin")).await;
    let troubles = room.mends().await;
    assert!(
        matches!(troubles.as_slice(), [Defect::ReferenceDiffers { files, .. }] if files.len() == 2)
    );
    assert_eq!(room.bytes(&object("a/reference.bin")).await, first);
    room.gives_all_but(&[]).await;
}

/// A corrupt reference does not overwrite its sound copy when it is deleted.
#[tokio::test]
async fn corrupt_reference_spares_copy() {
    let (mut room, (first, second)) = (Room::new().await, versions());
    room.put("a/app-1.zip", &first).await;
    room.put("a/app-2.zip", &second).await;
    room.copy(&object("a/reference.bin"), &addressed("a/", &first)).await;
    // One delta needs the copy. The last delta that needs the corrupt classic reference is deleted.
    let two = object("a/app-2.zip.delta");
    let mut attributes = room.store.head(&two).await.unwrap().attributes;
    attributes.metadata.insert("dg-ref-key".into(), addressed("a/", &first).key.to_string());
    room.put_raw(&two, room.bytes(&two).await, &attributes).await;
    room.rot(&object("a/reference.bin")).await;
    room.delete("a/app-1.zip").await;
    assert!(!room.exists(&object("a/reference.bin")).await);
    room.gives_all_but(&[]).await;
}

/// An unneeded reference is deleted in steps of one grace period each.
#[tokio::test]
async fn failed_tombstone_does_not_wait() {
    let (mut room, (first, _)) = (Room::new().await, versions());
    room.put("a/app-1.zip", &first).await;
    room.remove(&object("a/app-1.zip.delta")).await;
    room.files.clear();
    room.pass(8);
    room.mends().await;
    room.pass(8);
    let key = tombstone("a/", &first).key.to_string();
    let rejecting = service(Arc::new(Rejecting(room.store.clone(), key)));
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(room.seconds.load(Ordering::Relaxed));
    let options = RepairOptions { fix: true, grace: RepairOptions::GRACE, now };
    let report = rejecting.repair(&bucket(), &options).await.unwrap();
    let [finding] = report.findings.as_slice() else { panic!("{report:?}") };
    assert!(matches!(finding.trouble, Defect::ReferenceUnneeded { .. }), "{finding:?}");
    assert!(matches!(finding.outcome, Outcome::Left(_)), "{finding:?}");
    assert!(report.waiting.is_empty(), "{report:?}");
}

#[tokio::test]
async fn unneeded_reference_is_deleted() {
    let (mut room, (first, second)) = (Room::new().await, versions());
    room.put("a/app-1.zip", &first).await;
    let delta = object("a/app-1.zip.delta");
    // A crash, or the Python tool, leaves this state.
    room.remove(&delta).await;
    room.files.clear();
    assert_eq!(room.repair(true).await.findings.len(), 0, "it may be of a put that is under way");
    room.pass(8);
    let troubles = room.mends().await;
    assert!(matches!(troubles.as_slice(), [Defect::ReferenceUnneeded { .. }]), "{troubles:?}");
    assert!(!room.exists(&object("a/reference.bin")).await);
    // The copy can be used until it has a tombstone.
    room.put("a/app-2.zip", &second).await;
    assert_eq!(room.names_of("a/app-2.zip.delta").await, addressed("a/", &first).key.as_str());
    room.delete("a/app-2.zip").await;
    room.pass(8);
    let troubles = room.mends().await;
    assert!(matches!(troubles.as_slice(), [Defect::ReferenceUnneeded { .. }]), "{troubles:?}");
    assert!(
        room.exists(&addressed("a/", &first)).await && room.exists(&tombstone("a/", &first)).await
    );
    // With a tombstone it is no reference any more, and no other object can replace it.
    assert_eq!(room.put("a/app-2.zip", &second).await, StoredAs::Reference);
    assert_eq!(room.names_of("a/app-2.zip.delta").await, "a/reference.bin");
    room.pass(6);
    assert!(room.repair(true).await.findings.is_empty());
    assert_eq!(room.repair(true).await.waiting, [addressed("a/", &first)]);
    room.pass(2);
    let troubles = room.mends().await;
    assert!(matches!(troubles.as_slice(), [Defect::ReferenceUnneeded { .. }]), "{troubles:?}");
    let keys: Vec<String> = room.keys().await.into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["a/app-2.zip.delta", "a/reference.bin"]);
    room.gives_all_but(&[]).await;
}

/// An unneeded reference is deleted although its copy is as old.
#[tokio::test]
async fn unneeded_pair_is_deleted() {
    let (mut room, (first, second)) = (Room::new().await, versions());
    room.put("a/app-1.zip", &first).await;
    // A delete that ended between the copy and the deletion leaves this state.
    room.copy(&object("a/reference.bin"), &addressed("a/", &first)).await;
    room.remove(&object("a/app-1.zip.delta")).await;
    room.files.clear();
    room.pass(30);
    let troubles = room.mends().await;
    assert!(
        troubles.iter().all(|trouble| matches!(trouble, Defect::ReferenceUnneeded { .. })),
        "{troubles:?}"
    );
    assert_eq!(troubles.len(), 2);
    assert!(!room.exists(&object("a/reference.bin")).await);
    assert!(
        room.exists(&addressed("a/", &first)).await && room.exists(&tombstone("a/", &first)).await
    );
    room.put("a/app-2.zip", &second).await;
    room.gives_all_but(&[]).await;
}

#[tokio::test]
async fn needed_copy_loses_tombstone() {
    let (mut room, (first, second)) = (Room::new().await, versions());
    room.put("a/app-1.zip", &first).await;
    room.put("a/app-2.zip", &second).await;
    room.copy(&object("a/reference.bin"), &addressed("a/", &first)).await;
    room.put_raw(&tombstone("a/", &first), Vec::new(), &Attributes::default()).await;
    room.pass(30);
    assert!(matches!(room.mends().await.as_slice(), [Defect::ReferenceTombstoned { .. }]));
    assert!(
        !room.exists(&tombstone("a/", &first)).await && room.exists(&addressed("a/", &first)).await
    );
    room.gives_all_but(&[]).await;
}

/// A reference stays as long as a delta of any folder may need it.
#[tokio::test]
async fn distant_delta_keeps_reference() {
    let (mut room, (first, second)) = (Room::new().await, versions());
    room.put("a/app-1.zip", &first).await;
    room.put("a/app-2.zip", &second).await;
    // Another tool moved the deltas; the metadata of one is damaged.
    room.copy(&object("a/app-2.zip.delta"), &object("elsewhere/app-2.zip.delta")).await;
    room.remove(&object("a/app-1.zip.delta")).await;
    room.remove(&object("a/app-2.zip.delta")).await;
    room.files = BTreeMap::from([("elsewhere/app-2.zip".to_owned(), second.clone())]);
    room.pass(30);
    assert!(room.mends().await.is_empty());
    room.gives_all_but(&[]).await;

    let damaged = object("a/lost.zip.delta");
    let from = object("elsewhere/app-2.zip.delta");
    let bytes = room.bytes(&from).await;
    room.put_raw(&damaged, bytes.clone(), &Attributes::default()).await;
    room.remove(&from).await;
    room.files.clear();
    room.pass(30);
    let troubles = room.mends().await;
    assert!(
        matches!(troubles.as_slice(), [Defect::DeltaDamaged { field: None, .. }]),
        "{troubles:?}"
    );
    assert!(room.exists(&object("a/reference.bin")).await);
    room.remove(&damaged).await;
    assert!(matches!(room.mends().await.as_slice(), [Defect::ReferenceUnneeded { .. }]));
}

/// The older of two variants is deleted if the newer one can be read.
#[tokio::test]
async fn older_variant_is_deleted() {
    let (mut room, (first, second)) = (Room::new().await, versions());
    room.put("a/app-1.zip", &first).await;
    room.put("a/app.zip", &second).await;
    // An overwrite that ended halfway leaves this state.
    room.pass(1);
    room.put_raw(&object("a/app.zip"), first.clone(), &Attributes::default()).await;
    room.files.insert("a/app.zip".into(), first.clone());
    let troubles = room.mends().await;
    let [Defect::TwoVariants { served, older }] = troubles.as_slice() else {
        panic!("{troubles:?}")
    };
    assert_eq!((served, older), (&object("a/app.zip"), &object("a/app.zip.delta")));
    assert!(!room.exists(&object("a/app.zip.delta")).await);
    room.gives_all_but(&[]).await;

    // The newer object is damaged, so the older one is the last copy of the file.
    let delta = object("a/app-2.zip.delta");
    room.put("a/app-2.zip", &second).await;
    let attributes = room.store.head(&delta).await.unwrap().attributes;
    room.put_raw(&object("a/app-2.zip"), second.clone(), &Attributes::default()).await;
    room.pass(1);
    room.put_raw(&delta, b"no delta".to_vec(), &attributes).await;
    let report = room.repair(true).await;
    let [finding] = report.findings.as_slice() else { panic!("{report:?}") };
    assert!(matches!(finding.outcome, Outcome::Left(_)), "{finding:?}");
    assert!(room.exists(&object("a/app-2.zip")).await);
}

/// Sketches and tombstones of deleted references are deleted.
#[tokio::test]
async fn orphans_are_deleted() {
    let (mut room, (first, _)) = (Room::new().await, versions());
    room.put("a/app-1.zip", &first).await;
    let deleted = noise(1000, 3);
    let home = Deltaspace::of(&object("a/x"));
    let sketch = home.sketch(&Sha256Digest::of(&deleted)).unwrap();
    room.put_raw(&sketch, vec![1], &Attributes::default()).await;
    room.put_raw(&tombstone("a/", &deleted), Vec::new(), &Attributes::default()).await;
    room.pass(8);
    let troubles = room.mends().await;
    assert_eq!(troubles.len(), 2);
    assert!(
        troubles.iter().all(|trouble| matches!(trouble, Defect::LeftBehind { .. })),
        "{troubles:?}"
    );
    room.gives_all_but(&[]).await;
}

#[tokio::test]
async fn every_damage_is_repaired() {
    let (mut room, (first, second)) = (Room::new().await, versions());
    for folder in ["missing/", "differs/", "rotten/", "lost/", "variants/", "orphan/"] {
        // Each folder has contents of its own, so that none helps to repair another.
        let own = |content: &[u8]| [content, folder.as_bytes()].concat();
        let (first, second) = (own(&first), own(&second));
        room.put(&format!("{folder}app-1.zip"), &first).await;
        room.put(&format!("{folder}app-2.zip"), &second).await;
        let reference = object(&format!("{folder}reference.bin"));
        if !["lost/", "orphan/"].contains(&folder) {
            room.copy(&reference, &addressed(folder, &first)).await;
        }
        match folder {
            "missing/" | "lost/" => room.remove(&reference).await,
            "differs/" => room.copy(&object("missing/app-1.zip.delta"), &reference).await,
            "rotten/" => room.rot(&reference).await,
            "variants/" => {
                room.put_raw(&object("variants/app-2.zip"), first.clone(), &Attributes::default())
                    .await;
                room.files.insert("variants/app-2.zip".into(), first.clone());
            }
            _ => {
                room.remove(&object("orphan/app-1.zip.delta")).await;
                room.remove(&object("orphan/app-2.zip.delta")).await;
                room.files.retain(|key, _| !key.starts_with(folder));
            }
        }
    }
    room.pass(30);
    let troubles = room.mends().await;
    let count = |of: fn(&Defect) -> bool| troubles.iter().filter(|trouble| of(trouble)).count();
    assert_eq!(
        count(|trouble| matches!(trouble, Defect::ReferenceMissing { .. })),
        2,
        "{troubles:?}"
    );
    assert_eq!(
        count(|trouble| matches!(trouble, Defect::ReferenceDiffers { .. })),
        2,
        "{troubles:?}"
    );
    assert_eq!(count(|trouble| matches!(trouble, Defect::TwoVariants { .. })), 1, "{troubles:?}");
    assert_eq!(
        count(|trouble| matches!(trouble, Defect::ReferenceUnneeded { .. })),
        1,
        "{troubles:?}"
    );
    assert_eq!(troubles.len(), 6, "{troubles:?}");
    room.gives_all_but(&["lost/app-1.zip", "lost/app-2.zip"]).await;
}

#[tokio::test]
async fn tombstoned_content_is_direct() {
    let mut room = Room::new().await;
    let (base, other) = (noise(100_000, 5), noise(100_000, 6));
    room.put("a/base.zip", &base).await;
    room.put_raw(&addressed("a/", &other), other.clone(), &Attributes::default()).await;
    room.put_raw(&tombstone("a/", &other), Vec::new(), &Attributes::default()).await;
    // The file shares nothing with the reference and has an earlier version, so it would become
    // another reference.
    room.put_as("a/other-1.zip", &edited(&other, 1), false).await;
    assert_eq!(room.put("a/other-2.zip", &other).await, StoredAs::Direct(DirectReason::Tombstoned));
    room.gives_all_but(&[]).await;
}
