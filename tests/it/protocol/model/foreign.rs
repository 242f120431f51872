//! Operations of other tools, which know nothing of our references, or only of the classic one.

use std::io::Read as _;
use std::time::{Duration, SystemTime};

use deltaglider::domain::metadata::{DeltaMetadata, DirectMetadata, ReferenceMetadata};
use deltaglider::domain::policy::DeltaExtensions;
use deltaglider::domain::{Key, ObjectName, Sha256Digest, escaped};
use deltaglider::storage::{CopyOptions, ObjectStore as _};
use deltaglider_vcdiff::EncodeOptions;
use flate2::read::MultiGzDecoder;

use super::op::{self, Place};
use super::world::{World, object};

/// The time before a write of another tool: only its time distinguishes it from earlier objects.
const APART: Duration = Duration::from_secs(1);

impl World {
    async fn is_there(&self, key: &ObjectName) -> bool {
        self.store.head(key).await.is_ok()
    }

    /// Records that an object at `key` is about to be replaced or removed: its name has the content
    /// of its other object then.
    async fn lose(&mut self, key: &ObjectName) {
        if !self.stored.contains_key(key) {
            return;
        }
        if let Some(file) = escaped::file_at(&key.key) {
            return self.removed(&key.sibling(file));
        }
        let is_delta =
            self.store.head(key).await.unwrap().attributes.metadata.contains_key("dg-ref-key");
        let (name, twin) = match key.key.as_str().strip_suffix(".delta").filter(|_| is_delta) {
            Some(name) => (key.sibling(Key::new(name).unwrap()), name.to_owned()),
            None => (key.clone(), format!("{}.delta", key.key)),
        };
        let twin = key.sibling(Key::new(twin).unwrap());
        // The other object may be a file of that very name, or the delta of another one.
        let is_other_kind = match self.store.head(&twin).await {
            Ok(head) => head.attributes.metadata.contains_key("dg-ref-key") != is_delta,
            Err(_) => false,
        };
        let left = self.stored.get(&twin).filter(|_| is_other_kind).cloned();
        self.set(&name, left);
    }

    pub(crate) async fn foreign_put(&mut self, key: &ObjectName, content: Vec<u8>) {
        let hidden = self.escaped.get(key);
        let is_file = hidden.map_or(self.content(key).is_some(), Option::is_some);
        if op::RESERVED.contains(&key.key.as_str()) && self.is_there(key).await && !is_file {
            // A user who does that does not keep the files that need the reference.
            return;
        }
        if hidden.is_some() {
            self.put_raw(key, content.clone(), Default::default()).await;
            self.escaped.insert(key.clone(), Some(content));
            return;
        }
        self.pass(APART);
        self.lose(key).await;
        self.put_raw(key, content.clone(), Default::default()).await;
        self.set(key, Some(content));
    }

    pub(crate) async fn foreign_copy(&mut self, from: &ObjectName, to: &ObjectName) {
        let Some(content) = self.content(from) else { return };
        let stored = self.process(false).head(from).await.unwrap().stored;
        let is_delta = stored.key.as_str() == format!("{}.delta", from.key);
        let key = match is_delta {
            true => to.sibling(Key::new(format!("{}.delta", to.key)).unwrap()),
            false => to.clone(),
        };
        if key == stored {
            return;
        }
        self.pass(APART);
        self.lose(&key).await;
        self.store.copy(&stored, &key, &CopyOptions::default()).await.unwrap();
        self.set(to, Some(content));
        self.copied_blindly |= is_delta;
    }

    pub(crate) async fn foreign_delete(&mut self, (second, n): Place) {
        let of_bucket = object(second, "x").bucket;
        let keys: Vec<ObjectName> =
            self.stored.keys().filter(|key| key.bucket == of_bucket).cloned().collect();
        let Some(key) = keys.get(n % keys.len().max(1)) else { return };
        self.lose(key).await;
        self.store.delete(key, None).await.unwrap();
    }

    pub(crate) async fn python_put(&mut self, name: &ObjectName, content: Vec<u8>) {
        if !name.key.as_str().is_ascii() {
            return;
        }
        self.pass(APART);
        let (file_sha256, file_size) = (Sha256Digest::of(&content), content.len() as u64);
        let (original_name, created_at) =
            (name.key.base_name().to_owned(), Some(SystemTime::now().into()));
        if !DeltaExtensions::default().covers(&original_name) {
            self.lose(name).await;
            let metadata = DirectMetadata { original_name, file_sha256, file_size, created_at };
            self.put_raw(name, content.clone(), metadata.write()).await;
            self.set(name, Some(content));
            return;
        }
        let reference =
            name.sibling(Key::new(format!("{}reference.bin", name.key.folder())).unwrap());
        // The Python tool's xdelta3 would unpack such a file, and the tool divides by its size.
        if content.is_empty() || content.starts_with(b"\x1f\x8b") {
            return;
        }
        match self.store.head(&reference).await {
            Err(_) => {
                let source_name = original_name.clone();
                let metadata =
                    ReferenceMetadata { source_name, file_sha256, created_at, packing: None };
                self.put_raw(&reference, content.clone(), metadata.write()).await;
            }
            // The Python tool knows no reference without a digest.
            Ok(head) if !head.attributes.metadata.contains_key("dg-file-sha256") => return,
            Ok(_) => {}
        }
        let stored = self.bytes(&reference).await;
        // The Python tool's xdelta3 unpacks a packed reference and says so.
        let mut options = EncodeOptions::default();
        let source = match stored.starts_with(b"\x1f\x8b") {
            true => {
                options.application_header = Some(b"///G".to_vec());
                let mut content = Vec::new();
                MultiGzDecoder::new(stored.as_slice()).read_to_end(&mut content).unwrap();
                content
            }
            false => stored.clone(),
        };
        let delta = deltaglider_vcdiff::encode(Some(&source), &content, &options).unwrap();
        let (ref_key, ref_sha256, delta_size) =
            (reference.key, Sha256Digest::of(&stored), delta.len() as u64);
        let metadata = DeltaMetadata {
            original_name,
            file_sha256,
            file_size,
            created_at,
            ref_key,
            ref_sha256,
            delta_size,
            ref_packing: None,
        };
        let key = name.sibling(Key::new(format!("{}.delta", name.key)).unwrap());
        self.lose(&key).await;
        self.put_raw(&key, delta, metadata.write()).await;
        self.set(name, Some(content));
    }
}
