//! Packed references as they are written, restored, shared and replaced.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use deltaglider::cache::{Limits, MemoryCache};
use deltaglider::domain::metadata::Kind;
use deltaglider::domain::packing::{PackingChoice, RefPacking, ReferencePacking};
use deltaglider::domain::policy::Policy;
use deltaglider::domain::{
    BucketName, Compression, Deltaspace, Key, ObjectName, Sha256Digest, deltaspace,
};
use deltaglider::service::{
    DeltaService, GetOptions, Payload, PutOptions, PutReport, RepairOptions, Settings, StoredAs,
};
use deltaglider::storage::{
    Attributes, BucketAdmin as _, ListRequest, MemoryStore, ObjectStore as _, PutBody, Store,
};
use tempfile::TempDir;

use crate::scripted_store::ScriptedStore;
use crate::support::{edited, noise, text};

const LIMITS: Limits = Limits { bytes: 1 << 24, ttl: Duration::from_secs(3600) };

/// A bucket, and the directory for temporary files.
struct Room {
    store: Arc<MemoryStore>,
    folder: TempDir,
}

fn object(key: &str) -> ObjectName {
    ObjectName::new(BucketName::new("bucket").unwrap(), Key::new(key).unwrap())
}

fn choice(packing: ReferencePacking) -> PackingChoice {
    PackingChoice::all(packing)
}

impl Room {
    async fn new() -> Self {
        Self::of(MemoryStore::new()).await
    }

    async fn of(store: MemoryStore) -> Self {
        store.create_bucket(&object("x").bucket).await.unwrap();
        Self { store: Arc::new(store), folder: tempfile::tempdir().unwrap() }
    }

    fn service(&self, packing: ReferencePacking) -> DeltaService {
        self.service_on(self.store.clone(), choice(packing))
    }

    fn service_on(&self, store: Arc<dyn Store>, packing: PackingChoice) -> DeltaService {
        let spool_dir = self.folder.path().to_owned();
        let cache = Arc::new(MemoryCache::new(LIMITS, &spool_dir).unwrap());
        let policy = Policy { packing, ..Policy::default() };
        DeltaService::new(store, cache, Settings { policy, spool_dir })
    }

    async fn put(&self, packing: ReferencePacking, key: &str, content: &[u8]) -> PutReport {
        put(&self.service(packing), key, content).await
    }

    async fn get(&self, key: &str) -> Result<Vec<u8>, String> {
        let service = self.service(ReferencePacking::Auto);
        let got = service.get(&object(key), Vec::new(), &GetOptions::default()).await;
        got.map(|got| got.0).map_err(|error| deltaglider::service::chain(&error))
    }

    async fn bytes(&self, key: &str) -> Vec<u8> {
        let options = GetOptions { raw: true, ..GetOptions::default() };
        let service = self.service(ReferencePacking::None);
        service.get(&object(key), Vec::new(), &options).await.unwrap().0
    }

    /// Returns the SHA-256 and the packing that a reference states.
    async fn reference(&self, key: &str) -> (Sha256Digest, Option<RefPacking>) {
        let head = self.store.head(&object(key)).await.unwrap();
        match Kind::of(&object(key).key, &head.attributes.metadata) {
            Kind::Reference(reference) => (reference.file_sha256, reference.packing),
            other => panic!("{key}: {other:?}"),
        }
    }

    /// Returns the key and the packing of the reference that a file's delta names.
    async fn base(&self, key: &str) -> (String, Option<RefPacking>) {
        let name = deltaspace::delta_of(&object(key)).unwrap();
        let head = self.store.head(&name).await.unwrap();
        match Kind::of(&name.key, &head.attributes.metadata) {
            Kind::Delta(delta) => (delta.ref_key.as_str().to_owned(), delta.ref_packing),
            other => panic!("{key}: {other:?}"),
        }
    }

    async fn keys(&self) -> Vec<String> {
        let page = self.store.list(&object("x").bucket, &ListRequest::default()).await.unwrap();
        page.objects.into_iter().map(|object| object.key.as_str().to_owned()).collect()
    }

    async fn remove(&self, key: &str) {
        self.store.delete(&object(key), None).await.unwrap();
    }
}

async fn put(service: &DeltaService, key: &str, content: &[u8]) -> PutReport {
    let file = std::io::Cursor::new(content.to_vec());
    let file = Payload::spool(file, key, std::path::Path::new("/nowhere")).await.unwrap();
    service.put(&file, &object(key), &PutOptions::default()).await.unwrap()
}

fn versions() -> [Vec<u8>; 3] {
    let first = text(60_000, 1);
    let (second, third) = (edited(&first, 2), edited(&first, 3));
    [first, second, third]
}

fn addressed(stored: &[u8]) -> String {
    let name = Deltaspace::of(&object("a.zip")).addressed(&Sha256Digest::of(stored)).unwrap();
    name.key.as_str().to_owned()
}

/// The key, the metadata of reference and deltas, and the header of the deltas say the packing.
#[tokio::test]
async fn first_file_is_packed() {
    let [first, second, _] = versions();
    for (packing, form, letter) in [
        (ReferencePacking::Auto, Compression::Gzip, &b"///G"[..]),
        (ReferencePacking::Gzip, Compression::Gzip, b"///G"),
        #[cfg(feature = "xz")]
        (ReferencePacking::Xz, Compression::Xz, b"///Y"),
    ] {
        let room = Room::new().await;
        let report = room.put(packing, "a.zip", &first).await;
        assert_eq!(report.stored_as, StoredAs::Reference);
        assert_eq!(room.put(packing, "b.zip", &second).await.stored_as, StoredAs::Delta);
        let stored = room.bytes("reference.bin").await;
        assert_eq!(Compression::of(&stored), Some(form));
        let (digest, packing) = room.reference("reference.bin").await;
        let packing = packing.unwrap();
        assert_eq!((digest, packing.form), (Sha256Digest::of(&stored), form));
        assert_eq!(packing.content_sha256, Sha256Digest::of(&first));
        assert!(stored.len() < first.len() * 7 / 10, "{}", stored.len());
        let own = room.bytes("a.zip.delta").await;
        assert_eq!(report.stored, (stored.len() + own.len()) as u64);
        for (key, content) in [("a.zip", &first), ("b.zip", &second)] {
            let delta = room.bytes(&format!("{key}.delta")).await;
            assert!(delta.windows(4).take(16).any(|bytes| bytes == letter), "{key}");
            assert_eq!(room.base(key).await, ("reference.bin".to_owned(), Some(packing)));
            assert_eq!(room.get(key).await.as_ref(), Ok(content));
        }
    }
}

#[tokio::test]
async fn useless_packing_is_left_out() {
    let [first, ..] = versions();
    for (packing, content) in [
        (ReferencePacking::Auto, noise(60_000, 1)),
        (ReferencePacking::Auto, noise(3 << 20, 1)),
        (ReferencePacking::None, first),
    ] {
        let room = Room::new().await;
        room.put(packing, "a.zip", &content).await;
        assert!(room.bytes("reference.bin").await == content);
        let stated = room.reference("reference.bin").await;
        assert_eq!(stated, (Sha256Digest::of(&content), None));
        assert_eq!(room.base("a.zip").await.1, None);
    }
}

#[tokio::test]
async fn packing_differs_by_prefix() {
    let [first, ..] = versions();
    let room = Room::new().await;
    let packing = "auto,s3://bucket/raw/=none".parse().unwrap();
    let service = room.service_on(room.store.clone(), packing);
    for (key, reference, is_packed) in
        [("raw/a.zip", "raw/reference.bin", false), ("b/a.zip", "b/reference.bin", true)]
    {
        put(&service, key, &first).await;
        assert_eq!(room.reference(reference).await.1.is_some(), is_packed, "{key}");
    }
}

/// Writers with different settings share a folder, and each uses the reference that is there.
#[tokio::test]
async fn settings_share_a_folder() {
    let [first, second, third] = versions();
    let other = text(50_000, 9);
    for (one, another) in [
        (ReferencePacking::None, ReferencePacking::Auto),
        (ReferencePacking::Auto, ReferencePacking::None),
    ] {
        for room in [
            Room::new().await,
            Room::of(MemoryStore::new().with_loose_conditions().with_content_tags()).await,
        ] {
            room.put(one, "a.zip", &first).await;
            room.put(another, "b.zip", &second).await;
            room.put(another, "other.zip", &other).await;
            room.put(one, "c.zip", &third).await;
            assert_eq!(room.base("a.zip").await, room.base("b.zip").await);
            assert_eq!(room.base("a.zip").await, room.base("c.zip").await);
            let files =
                [("a.zip", &first), ("b.zip", &second), ("c.zip", &third), ("other.zip", &other)];
            for (key, content) in files {
                assert_eq!(room.get(key).await.as_ref(), Ok(content), "{key}");
            }
        }
    }
}

/// Two writers make the same object, on a store where both may write.
#[tokio::test]
async fn racing_writers_make_one_object() {
    let [first, second, _] = versions();
    let room = Room::of(MemoryStore::new().with_loose_conditions().with_content_tags()).await;
    let services = [room.service(ReferencePacking::Auto), room.service(ReferencePacking::Auto)];
    futures::join!(put(&services[0], "a.zip", &first), put(&services[1], "b.zip", &first));
    room.put(ReferencePacking::Auto, "c.zip", &second).await;
    let references = room.keys().await.into_iter().filter(|key| key.ends_with("reference.bin"));
    assert_eq!(references.count(), 1);
    for (key, content) in [("a.zip", &first), ("b.zip", &first), ("c.zip", &second)] {
        assert_eq!(room.get(key).await.as_ref(), Ok(content));
    }
}

#[tokio::test]
async fn same_file_restores_reference() {
    let [first, second, _] = versions();
    let room = Room::new().await;
    room.put(ReferencePacking::Auto, "a.zip", &first).await;
    room.put(ReferencePacking::Auto, "b.zip", &second).await;
    room.remove("reference.bin").await;
    assert!(room.get("b.zip").await.unwrap_err().contains("reference.bin"));
    room.put(ReferencePacking::Auto, "again.zip", &first).await;
    for (key, content) in [("a.zip", &first), ("b.zip", &second)] {
        assert_eq!(room.get(key).await.as_ref(), Ok(content), "{key}");
    }
}

/// A reference that vanishes while a delta is made against its cached content is packed again.
#[tokio::test]
async fn vanished_reference_is_packed_again() {
    let [first, second, _] = versions();
    let room = Room::new().await;
    room.put(ReferencePacking::Auto, "a.zip", &first).await;
    let (stored, before) = (room.bytes("reference.bin").await, room.base("a.zip").await);
    let inner = room.store.clone();
    let scripted =
        ScriptedStore::at(&room.store, |_, call| call == "put b.zip.delta", async move {
            inner.delete(&object("reference.bin"), None).await.unwrap()
        });
    put(&room.service_on(scripted.clone(), PackingChoice::default()), "b.zip", &second).await;
    assert!(scripted.happened());
    assert!(room.bytes("reference.bin").await == stored);
    assert_eq!(room.base("b.zip").await, before);
    for (key, content) in [("a.zip", &first), ("b.zip", &second)] {
        assert_eq!(room.get(key).await.as_ref(), Ok(content), "{key}");
    }
}

/// A lost packed reference is made again from a plain reference or file of its content, and the
/// reverse.
#[tokio::test]
async fn repair_packs_and_unpacks() {
    let [first, second, _] = versions();
    for packing in [ReferencePacking::Auto, ReferencePacking::None] {
        let other = match packing {
            ReferencePacking::None => ReferencePacking::Auto,
            _ => ReferencePacking::None,
        };
        for is_file in [true, false] {
            let room = Room::new().await;
            room.put(packing, "a/a.zip", &first).await;
            room.put(packing, "a/b.zip", &second).await;
            let stored = room.bytes("a/reference.bin").await;
            if is_file {
                let options = PutOptions { delta: false, ..PutOptions::default() };
                let file = std::io::Cursor::new(first.clone());
                let file = Payload::spool(file, "x", room.folder.path()).await.unwrap();
                room.service(other).put(&file, &object("x/a.zip"), &options).await.unwrap();
            } else {
                room.put(other, "b/a.zip", &first).await;
            }
            room.remove("a/reference.bin").await;
            let (grace, now) = (RepairOptions::GRACE, SystemTime::now());
            let options = RepairOptions { fix: true, grace, now };
            room.service(other).repair(&object("x").bucket, &options).await.unwrap();
            assert!(room.bytes("a/reference.bin").await == stored, "{packing:?} {is_file}");
            for (key, content) in [("a/a.zip", &first), ("a/b.zip", &second)] {
                assert_eq!(room.get(key).await.as_ref(), Ok(content), "{key}");
            }
        }
    }
}

/// Deltas against a plain reference move to a packed one beside it, and the plain one goes.
#[tokio::test]
async fn rebase_packs_the_reference() {
    let [first, second, third] = versions();
    let files = [("a.zip", &first), ("b.zip", &second), ("c.zip", &third)];
    let room = Room::new().await;
    for (key, content) in files {
        room.put(ReferencePacking::None, key, content).await;
    }
    let service = room.service(ReferencePacking::Auto);
    let foreseen = service.rebase(&object("a.zip"), true).await.unwrap().unwrap();
    assert_eq!(room.base("a.zip").await.1, None);
    for (n, (key, _)) in files.iter().enumerate() {
        let rebased = service.rebase(&object(key), false).await.unwrap().unwrap();
        assert_eq!(rebased.packed.is_some(), n == 0, "{key}");
        assert!(n > 0 || rebased.packed == foreseen.packed);
        assert!(rebased.after < rebased.before + 10);
    }
    let (packed, packing) = room.base("a.zip").await;
    assert_eq!(packed, addressed(&room.bytes(&packed).await));
    assert_eq!(packing.unwrap().content_sha256, Sha256Digest::of(&first));
    let keys = room.keys().await;
    assert!(!keys.contains(&"reference.bin".to_owned()), "{keys:?}");
    for (key, content) in files {
        assert_eq!(room.base(key).await, (packed.clone(), packing), "{key}");
        assert_eq!(room.get(key).await.as_ref(), Ok(content), "{key}");
        assert_eq!(service.rebase(&object(key), false).await.unwrap(), None, "{key}");
    }
}

/// A reference of an unknown rule is read, but no new delta relies on it, since it could not be
/// restored.
#[tokio::test]
async fn unknown_rule_is_not_relied_on() {
    let [first, second, _] = versions();
    let room = Room::new().await;
    room.put(ReferencePacking::Auto, "a.zip", &first).await;
    for key in ["reference.bin", "a.zip.delta"] {
        let mut attributes = room.store.head(&object(key)).await.unwrap().attributes;
        let field = attributes.metadata.get_mut("dg-ref-packing").unwrap();
        *field = field.replace("gzip/1", "gzip/7");
        let body = PutBody::from_bytes(room.bytes(key).await);
        room.store.put(&object(key), body, &attributes, &Default::default()).await.unwrap();
    }
    assert_eq!(room.get("a.zip").await.as_ref(), Ok(&first));
    let report = room.put(ReferencePacking::Auto, "b.zip", &second).await;
    assert_eq!(report.stored_as, StoredAs::Reference);
    assert_eq!(room.base("b.zip").await.1.unwrap().rule, 1);
    assert_eq!(room.get("b.zip").await.as_ref(), Ok(&second));
}

/// A copied delta takes its packed reference along, byte for byte.
#[tokio::test]
async fn copy_takes_packed_reference_along() {
    let [first, second, _] = versions();
    let room = Room::new().await;
    room.put(ReferencePacking::Auto, "a/a.zip", &first).await;
    room.put(ReferencePacking::Auto, "a/b.zip", &second).await;
    let service = room.service(ReferencePacking::None);
    let copied = service.copy(&object("a/b.zip"), &object("c/b.zip"), true).await.unwrap();
    assert_eq!(copied.stored_as, StoredAs::Delta);
    assert!(room.bytes("c/reference.bin").await == room.bytes("a/reference.bin").await);
    assert_eq!(room.reference("c/reference.bin").await, room.reference("a/reference.bin").await);
    room.remove("a/reference.bin").await;
    assert_eq!(room.get("c/b.zip").await.as_ref(), Ok(&second));
}

/// A file that is packed itself is neither a reference nor packed once more.
#[tokio::test]
async fn packed_file_is_no_reference() {
    let room = Room::new().await;
    for magic in [&b"\x1f\x8b\x08"[..], b"BZh9", b"\xfd7zXZ", b"\x1f\x9d"] {
        let content = [magic, &text(5_000, 1)].concat();
        let report = room.put(ReferencePacking::Auto, "a.zip", &content).await;
        assert!(matches!(report.stored_as, StoredAs::Direct(_)), "{magic:?}");
        assert_eq!(room.get("a.zip").await.as_ref(), Ok(&content));
    }
    assert_eq!(room.keys().await, ["a.zip"]);
}

/// Bytes that differ from what the metadata states are found before anything is unpacked from them
/// that could be used.
#[tokio::test]
async fn damaged_packed_reference_is_named() {
    let [first, second, _] = versions();
    let room = Room::new().await;
    room.put(ReferencePacking::Auto, "a.zip", &first).await;
    let stored = room.bytes("reference.bin").await;
    let attributes: Attributes =
        room.store.head(&object("reference.bin")).await.unwrap().attributes;
    for at in [12, stored.len() / 2, stored.len() - 1] {
        let mut damaged = stored.clone();
        damaged[at] ^= 4;
        let body = PutBody::from_bytes(damaged);
        let name = object("reference.bin");
        room.store.put(&name, body, &attributes, &Default::default()).await.unwrap();
        let error = room.get("a.zip").await.unwrap_err();
        assert!(error.contains("reference.bin") && error.contains("SHA-256"), "{at}: {error}");
    }
    let report = room.put(ReferencePacking::Auto, "b.zip", &second).await;
    assert_eq!((report.stored_as, report.warnings.len()), (StoredAs::Reference, 1));
    assert_eq!(room.get("b.zip").await.as_ref(), Ok(&second));
}
