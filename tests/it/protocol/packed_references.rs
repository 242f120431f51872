//! Reads deltas whose reference is stored compressed, whether or not they say so.

use std::io::Write as _;
use std::sync::Arc;
use std::time::SystemTime;

use deltaglider::cache::WorkingCopies;
use deltaglider::domain::Compression;
use deltaglider::domain::metadata::{DeltaMetadata, ReferenceMetadata};
use deltaglider::domain::packing::RefPacking;
use deltaglider::domain::policy::Policy;
use deltaglider::domain::{BucketName, ByteRange, Key, ObjectName, Sha256Digest};
use deltaglider::service::{DeltaService, GetOptions, Settings};
use deltaglider::storage::{Attributes, BucketAdmin as _, MemoryStore, ObjectStore as _, PutBody};
use deltaglider_vcdiff::EncodeOptions;
use flate2::write::GzEncoder;
use tempfile::TempDir;

/// A bucket with one delta and its reference.
struct Room {
    store: Arc<MemoryStore>,
    service: DeltaService,
    folder: TempDir,
}

fn object(key: &str) -> ObjectName {
    ObjectName::new(BucketName::new("bucket").unwrap(), Key::new(key).unwrap())
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    packer.write_all(content).unwrap();
    packer.finish().unwrap()
}

/// Returns two versions of a file, of several windows.
fn versions() -> [Vec<u8>; 2] {
    let line = |number: usize| format!("{number} {:x}\n", number.wrapping_mul(0x9e37_79b9_7f4a));
    let old: Vec<u8> = (0..60_000).flat_map(|number| line(number).into_bytes()).collect();
    let mut new = old.clone();
    new.splice(700_000..700_010, *b"another text");
    [old, new]
}

fn stated(content: &[u8]) -> RefPacking {
    RefPacking {
        form: Compression::Gzip,
        rule: 1,
        content_sha256: Sha256Digest::of(content),
        content_size: content.len() as u64,
    }
}

/// Encodes in windows of 256 KiB, so that a reader meets several.
fn delta(old: &[u8], new: &[u8], header: Option<&str>) -> Vec<u8> {
    let mut options = EncodeOptions::default().with_window(1 << 18);
    options.application_header = header.map(|header| header.as_bytes().to_vec());
    deltaglider_vcdiff::encode(Some(old), new, &options).unwrap()
}

impl Room {
    async fn new() -> Self {
        let (store, folder) = (Arc::new(MemoryStore::new()), tempfile::tempdir().unwrap());
        store.create_bucket(&object("x").bucket).await.unwrap();
        let spool_dir = folder.path().to_owned();
        let cache = Arc::new(WorkingCopies::new(spool_dir.clone()));
        let settings = Settings { policy: Policy::default(), spool_dir };
        Self { service: DeltaService::new(store.clone(), cache, settings), store, folder }
    }

    async fn plant(
        &self,
        key: &str,
        bytes: &[u8],
        metadata: deltaglider::domain::metadata::UserMetadata,
    ) {
        let attributes = Attributes { metadata, ..Attributes::default() };
        let body = PutBody::from_bytes(bytes.to_vec());
        self.store.put(&object(key), body, &attributes, &Default::default()).await.unwrap();
    }

    /// Stores `delta` of the file `new` against `reference`.
    async fn plant_pair(
        &self,
        reference: &[u8],
        new: &[u8],
        delta: &[u8],
        packing: Option<RefPacking>,
    ) {
        let file_sha256 = Sha256Digest::of(reference);
        let metadata = ReferenceMetadata {
            source_name: "n".into(),
            file_sha256,
            created_at: None,
            packing: None,
        };
        self.plant("reference.bin", reference, metadata.write()).await;
        let metadata = DeltaMetadata {
            original_name: "n".into(),
            file_sha256: Sha256Digest::of(new),
            file_size: new.len() as u64,
            created_at: Some(SystemTime::UNIX_EPOCH.into()),
            ref_key: Key::new("reference.bin").unwrap(),
            ref_sha256: file_sha256,
            delta_size: delta.len() as u64,
            ref_packing: packing,
        };
        self.plant("n.delta", delta, metadata.write()).await;
    }

    /// Returns the file or the error with its causes, and what had been written by then.
    async fn get(&self, range: Option<ByteRange>) -> (Result<(), String>, Vec<u8>) {
        let path = self.folder.path().join("out");
        let to = std::fs::File::create(&path).unwrap();
        let options = GetOptions { range, ..GetOptions::default() };
        let got = self.service.get(&object("n"), to, &options).await;
        let got = got.map(|_| ()).map_err(|error| {
            let mut text = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                text += &format!(": {error}");
                cause = error.source();
            }
            text
        });
        (got, std::fs::read(&path).unwrap())
    }
}

/// The header's letter, the metadata or, without both, the SHA-256 of the file says what a delta
/// was made against.
#[tokio::test]
async fn packed_reference_is_read() {
    let [old, new] = versions();
    let packed = gzip(&old);
    for (header, packing, against) in [
        (Some("///G"), None, &old),
        (Some("///G"), Some(stated(&old)), &old),
        (None, Some(stated(&old)), &old),
        (None, None, &old),
        (None, None, &packed),
    ] {
        let room = Room::new().await;
        room.plant_pair(&packed, &new, &delta(against, &new, header), packing).await;
        let (got, written) = room.get(None).await;
        assert_eq!(got, Ok(()), "{header:?} {packing:?}");
        assert!(written == new, "{header:?} {packing:?}");
        let range: ByteRange = "bytes=700000-700011".parse().unwrap();
        let (got, written) = room.get(Some(range)).await;
        assert_eq!((got, &written[..]), (Ok(()), &b"another text"[..]));
    }
}

/// A reference that is not what the delta states is refused by name, before all of it is unpacked.
#[tokio::test]
async fn misstated_packing_is_refused() {
    let [old, new] = versions();
    let (made, bomb) = (delta(&old, &new, None), gzip(&vec![0; 64 << 20]));
    let short = RefPacking { content_size: old.len() as u64 - 1, ..stated(&old) };
    let long = RefPacking { content_size: old.len() as u64 + 1, ..stated(&old) };
    let other = RefPacking { content_sha256: Sha256Digest::of(b"other"), ..stated(&old) };
    let endless = RefPacking { content_size: u64::MAX, ..stated(&old) };
    let xz = RefPacking { form: Compression::Xz, ..stated(&old) };
    let packed = gzip(&old);
    let cut = &packed[..packed.len() / 2];
    for (reference, packing, reason) in [
        (&packed[..], short, format!("more than {} bytes unpacked", old.len() - 1)),
        (&packed, long, format!("its content has {} bytes", old.len())),
        (&packed, endless, format!("its content has {} bytes", old.len())),
        (&packed, other, format!("where {} is stated", other.content_sha256)),
        (&packed, xz, "as xz".to_owned()),
        (&bomb, stated(&old), format!("more than {} bytes unpacked", old.len())),
        (cut, stated(&old), "the gzip data is cut short".to_owned()),
    ] {
        let room = Room::new().await;
        room.plant_pair(reference, &new, &made, Some(packing)).await;
        let (got, written) = room.get(None).await;
        let error = got.unwrap_err();
        assert!(error.contains("reference.bin") && error.contains(&reason), "{reason}: {error}");
        assert!(written.is_empty(), "{reason}");
    }
}

/// Where neither the packed bytes nor their content give the file, nothing is written.
#[tokio::test]
async fn wrong_packed_reference_writes_nothing() {
    let [old, new] = versions();
    let other: Vec<u8> = old.iter().map(|byte| byte ^ 1).collect();
    let room = Room::new().await;
    room.plant_pair(&gzip(&other), &new, &delta(&old, &new, None), None).await;
    let (got, written) = room.get(None).await;
    let error = got.unwrap_err();
    assert!(error.contains("n.delta") && written.is_empty(), "{error}");
}
