//! `repair` of deltas that name a reference of another folder: it writes only to keys that can hold
//! nothing but that reference.

use crate::support::edited;
use deltaglider::domain::metadata::{DeltaMetadata, DirectMetadata};
use deltaglider::domain::{Key, Sha256Digest};
use deltaglider::storage::{Attributes, ListRequest, ObjectStore as _};
use deltaglider_vcdiff::EncodeOptions;
use std::collections::BTreeMap;
use std::time::SystemTime;

use super::repair::{Room, addressed, object, versions};

fn attributes(metadata: BTreeMap<String, String>) -> Attributes {
    Attributes { metadata, ..Attributes::default() }
}

impl Room {
    async fn plant_file(&self, key: &str, content: &[u8]) {
        let metadata = DirectMetadata {
            original_name: "n".into(),
            file_sha256: Sha256Digest::of(content),
            file_size: content.len() as u64,
            created_at: None,
        };
        self.put_raw(&object(key), content.to_vec(), &attributes(metadata.write())).await;
    }

    /// Stores a delta of a file against `content`, with metadata that names `reference`.
    async fn plant_delta(&self, key: &str, file: &[u8], reference: &str, content: &[u8]) {
        let delta =
            deltaglider_vcdiff::encode(Some(content), file, &EncodeOptions::default()).unwrap();
        let metadata = DeltaMetadata {
            original_name: "n".into(),
            file_sha256: Sha256Digest::of(file),
            file_size: file.len() as u64,
            created_at: Some(SystemTime::UNIX_EPOCH.into()),
            ref_key: Key::new(reference).unwrap(),
            ref_sha256: Sha256Digest::of(content),
            delta_size: delta.len() as u64,
            ref_packing: None,
        };
        self.put_raw(&object(&format!("{key}.delta")), delta, &attributes(metadata.write())).await;
    }

    /// Returns the objects below a folder with their contents.
    async fn below(&self, folder: &str) -> BTreeMap<String, Vec<u8>> {
        let request = ListRequest { prefix: folder.to_owned(), ..ListRequest::default() };
        let page = self.store.list(&object("x").bucket, &request).await.unwrap();
        let mut objects = BTreeMap::new();
        for listed in page.objects {
            objects.insert(listed.key.to_string(), self.bytes(&object(listed.key.as_str())).await);
        }
        objects
    }

    /// Moves every object of a folder to another one, as `aws s3 mv --recursive` does.
    async fn move_folder(&mut self, from: &str, to: &str) {
        for key in self.below(from).await.into_keys() {
            let moved = key.replacen(from, to, 1);
            self.copy(&object(&key), &object(&moved)).await;
            self.remove(&object(&key)).await;
        }
        let files = std::mem::take(&mut self.files).into_iter();
        self.files = files.map(|(key, content)| (key.replacen(from, to, 1), content)).collect();
    }
}

const EVIL: &[u8] =
    b"MALWARE MALWARE MALWARE MALWARE MALWARE MALWARE MALWARE MALWARE MALWARE MALWARE";

#[tokio::test]
async fn repair_plants_no_variant() {
    for atomic in [true, false] {
        let (mut room, (first, second)) = (Room::with_conditions(atomic).await, versions());
        room.put("v/v0.zip", &first).await;
        room.put("v/app.zip", &second).await;
        let before = room.below("v/").await;
        // Stored by a writer that may write to `a/` only.
        room.plant_file("a/payload.txt", EVIL).await;
        room.plant_delta("a/evil.zip", &[EVIL, b"x"].concat(), "v/app.zip", EVIL).await;
        for _ in 0..3 {
            room.pass(1);
            room.repair(true).await;
        }
        let mut after = room.below("v/").await;
        assert!(!after.contains_key("v/app.zip"), "atomic: {atomic}");
        after.retain(|key, _| *key != addressed("v/", EVIL).key.as_str());
        assert!(after == before, "{:?}", after.keys());
        room.files.insert("a/evil.zip".into(), [EVIL, b"x"].concat());
        room.gives_all_but(&[]).await;
    }
}

#[tokio::test]
async fn repair_plants_no_reference() {
    let (mut room, (first, second)) = (Room::new().await, versions());
    room.put_as("v/app.zip", &first, false).await;
    room.plant_file("a/payload.txt", EVIL).await;
    room.plant_delta("a/evil.zip", b"evil", "v/reference.bin", EVIL).await;
    room.plant_delta("a/root.zip", b"evil", "zzz", EVIL).await;
    room.mends().await;
    assert!(!room.exists(&object("v/reference.bin")).await);
    assert!(!room.exists(&object("zzz")).await);
    // The next file of the folder makes its own reference.
    room.put("v/next.zip", &second).await;
    assert_eq!(room.bytes(&object("v/reference.bin")).await, second);
}

#[tokio::test]
async fn key_with_variant_is_left_alone() {
    let (mut room, (first, second)) = (Room::new().await, versions());
    room.put("a/app-1.zip", &first).await;
    room.put("a/app-2.zip", &second).await;
    room.copy(&object("a/reference.bin"), &addressed("a/", &first)).await;
    room.remove(&object("a/reference.bin")).await;
    room.plant_delta("a/reference.bin", b"another file", "a/reference.bin", &first).await;
    room.repair(true).await;
    assert!(!room.exists(&object("a/reference.bin")).await);
    room.gives_all_but(&[]).await;
}

#[tokio::test]
async fn known_digest_copies_no_content() {
    let (room, (secret, _)) = (Room::new().await, versions());
    room.plant_file("v/secret.txt", &secret).await;
    room.plant_delta("a/x.zip", &edited(&secret, 3), "w/reference.bin", &secret).await;
    room.repair(true).await;
    let objects = room.below("a/").await;
    assert!(objects.values().all(|content| *content != secret), "{:?}", objects.keys());
}

#[tokio::test]
async fn moved_folder_is_repaired() {
    for atomic in [true, false] {
        let (mut room, (first, second)) = (Room::with_conditions(atomic).await, versions());
        room.put("old/app-1.zip", &first).await;
        room.put("old/app-2.zip", &second).await;
        room.put("old/sub/app-3.zip", &edited(&second, 5)).await;
        room.put("old/sub/app-4.zip", &edited(&second, 6)).await;
        room.move_folder("old/", "new/").await;
        let deltas = room.below("new/").await;
        let troubles = room.mends().await;
        assert!(!troubles.is_empty());
        room.gives_all_but(&[]).await;
        assert!(!room.exists(&object("old/reference.bin")).await);
        for (key, bytes) in &deltas {
            assert!(room.bytes(&object(key)).await == *bytes, "{key}");
            if atomic && key.ends_with(".delta") {
                assert!(room.names_of(key).await.starts_with("new/"), "{key}");
            }
        }
        if atomic {
            assert!(room.below("old/").await.is_empty(), "{:?}", room.below("old/").await.keys());
        }
    }
}
