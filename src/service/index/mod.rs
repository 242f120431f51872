//! Caches in the bucket what listings learn by HEAD requests. The index is best effort. An entry is
//! valid only while its object has the same ETag and time, and only commands that neither delete
//! nor verify use it: another writer of the folder may have forged it.
//!
//! The index of a listed folder and all below it is stored at `<folder>.deltaglider/index/`:
//! `contents.json` lists the first keys of its leaves, and each leaf has the entries of the objects
//! up to the next one. So its number of objects depends on the number of deltas, not on that of
//! folders. Its writers need not coordinate: whichever of two leaves remains, its reader checks
//! every entry. Two deltas of the same bytes restore files of the same size, since the size is part
//! of the delta.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod format;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::SystemTime;

use futures::StreamExt as _;

use crate::domain::{BucketName, Key, ObjectName, Sha256Digest, deltaspace};
use crate::service::error::{ServiceError, chain};
use crate::storage::{
    Attributes, ListedObject, ObjectHead, PutBody, PutCondition, StorageErrorKind, Store,
};

use format::{Contents, Entry, Leaf};

/// The maximum number of entries of a leaf; a larger one is split in two.
const MAX_ENTRIES: usize = 2048;

/// The minimum number of HEAD requests an index is written for: fewer cost less than a PUT, and
/// take no longer than reading an index.
const FEW: usize = 16;

/// The maximum size of an index object, in bytes: a leaf has `MAX_ENTRIES` keys of at most 1024
/// bytes, each of which JSON may encode as six.
const MAX_OBJECT: u64 = 16 << 20;

/// The maximum number of leaves read or written concurrently.
const AT_ONCE: usize = 8;

/// The kind of an object whose key does not determine it, as a HEAD request returns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Known {
    /// A delta, with the size in bytes and the SHA-256 of its file.
    Delta { size: u64, sha256: Sha256Digest },
    /// A reference.
    Reference,
}

/// The index of a folder during a listing.
#[derive(Debug)]
pub(super) struct Index {
    store: Arc<dyn Store>,
    bucket: BucketName,
    /// The folder of the index: empty, or with a trailing `/`.
    folder: String,
    /// The prefix of the listed keys.
    prefix: String,
    /// The delimiter of the listing: keys that contain it after the prefix are not listed.
    delimiter: Option<String>,
    writes: bool,
    /// The first keys of the leaves; `None` before the index was read.
    leaves: Option<BTreeSet<String>>,
    /// The leaves read so far, by their first keys.
    read: BTreeMap<String, BTreeMap<String, Entry>>,
    /// The leaf at the current position of the listing.
    open: Option<Open>,
    /// The number of objects that needed a HEAD request.
    learnt: usize,
    /// Leaves to be written, by their first keys.
    pending: Vec<(String, Vec<Entry>)>,
    contents_changed: bool,
}

/// A leaf with the entries listed so far.
#[derive(Debug)]
struct Open {
    begins: String,
    entries: Vec<Entry>,
    news: bool,
}

impl Index {
    /// Creates the index of a listing. It is read only, unless [`learn`](Self::learn) is called.
    pub(super) fn new(
        store: Arc<dyn Store>,
        bucket: &BucketName,
        prefix: &str,
        delimiter: Option<&str>,
    ) -> Self {
        let folder =
            prefix.rfind('/').and_then(|at| prefix.get(..=at)).unwrap_or_default().to_owned();
        Self {
            store,
            bucket: bucket.clone(),
            writes: false,
            folder,
            prefix: prefix.to_owned(),
            delimiter: delimiter.map(str::to_owned),
            leaves: None,
            read: BTreeMap::new(),
            open: None,
            learnt: 0,
            pending: Vec::new(),
            contents_changed: false,
        }
    }

    /// Enables writing.
    pub(super) fn learn(&mut self) {
        self.writes = true;
    }

    /// Reads the leaves for these objects, which are in order. `more` is true if further pages
    /// follow.
    pub(super) async fn prepare(&mut self, objects: &[&ListedObject], more: bool) {
        if objects.is_empty() || (self.leaves.is_none() && !more && objects.len() < FEW) {
            return;
        }
        if self.leaves.is_none() {
            let contents = self.fetch(deltaspace::INDEX_CONTENTS).await;
            if let Err(error) = &contents {
                tracing::info!(
                    error = chain(error),
                    folder = self.folder,
                    "cannot read the listing index"
                );
                // A caller who may not read the index could not merge with it.
                self.writes = false;
            }
            let contents = contents.ok().flatten().as_deref().and_then(Contents::read);
            self.leaves = Some(
                contents.map(|contents| contents.leaves.into_iter().collect()).unwrap_or_default(),
            );
        }
        let begins: BTreeSet<String> = objects
            .iter()
            .filter_map(|stored| self.leaf_of(self.relative(&stored.key)?))
            .map(str::to_owned)
            .collect();
        let missing: Vec<String> =
            begins.into_iter().filter(|begins| !self.read.contains_key(begins)).collect();
        let this = &*self;
        let reads = missing.into_iter().map(|begins| async move {
            let bytes = this.fetch(&leaf_name(&begins)).await.ok().flatten();
            (begins, bytes.as_deref().and_then(Leaf::read).unwrap_or_default())
        });
        let read: Vec<_> = futures::stream::iter(reads).buffer_unordered(AT_ONCE).collect().await;
        self.read.extend(read);
    }

    /// Returns the cached kind of an object.
    pub(super) fn known(&self, stored: &ListedObject) -> Option<Known> {
        let key = self.relative(&stored.key)?;
        self.read.get(self.leaf_of(key)?)?.get(key)?.of(stored)
    }

    /// Adds an entry. To be called for all objects, in order. `head` is the result of a HEAD
    /// request, if one was needed.
    pub(super) fn take(&mut self, stored: &ListedObject, known: &Known, head: Option<&ObjectHead>) {
        if !self.writes {
            return;
        }
        // An object written between the page and the HEAD request is another one.
        if head.is_some_and(|head| !is_of(head, stored)) {
            return;
        }
        let Some(key) = self.relative(&stored.key).map(str::to_owned) else { return };
        let Some(entry) = Entry::new(&key, stored, known) else { return };
        let begins = self.leaf_of(&key).unwrap_or_default().to_owned();
        if let Some(open) = &self.open {
            if open.entries.last().is_some_and(|last| last.key >= key) {
                // The store lists in another order, so the leaves would have gaps.
                self.writes = false;
                return;
            }
            if begins > open.begins {
                self.close();
            }
        }
        let open =
            self.open.get_or_insert_with(|| Open { begins, entries: Vec::new(), news: false });
        open.entries.push(entry);
        if head.is_some() {
            open.news = true;
            self.learnt = self.learnt.saturating_add(1);
        }
        if open.entries.len() >= MAX_ENTRIES {
            let rest = open.entries.split_off(MAX_ENTRIES / 2);
            let next = rest.first().map(|entry| entry.key.clone()).unwrap_or_default();
            let news = open.news;
            self.close_before(Some(&next));
            self.open = Some(Open { begins: next, entries: rest, news });
        }
    }

    /// Completes the last leaf.
    pub(super) fn close(&mut self) {
        self.close_before(None);
    }

    /// Completes the open leaf, which ends before the key `ends`, and schedules it for writing if
    /// enough HEAD requests were needed.
    fn close_before(&mut self, ends: Option<&str>) {
        let Some(Open { begins, mut entries, news }) = self.open.take() else { return };
        if news && self.learnt >= FEW {
            let unread = BTreeSet::new();
            let leaves = self.leaves.as_ref().unwrap_or(&unread);
            // The old entries of a leaf that was split are found under its first key.
            let old =
                leaves.range(..=begins.clone()).next_back().and_then(|leaf| self.read.get(leaf));
            let next = leaves.range((Bound::Excluded(begins.clone()), Bound::Unbounded)).next();
            let ends = ends.or_else(|| next.map(String::as_str));
            let in_leaf = |key: &str| key >= begins.as_str() && ends.is_none_or(|ends| key < ends);
            let kept =
                old.into_iter().flatten().filter(|(key, _)| in_leaf(key) && !self.is_listed(key));
            entries.extend(kept.map(|(_, entry)| entry.clone()));
            entries.sort_by(|a, b| a.key.cmp(&b.key));
            self.contents_changed |= self.leaves.get_or_insert_default().insert(begins.clone());
            // This listing knows all of it, so it need not be read.
            self.read.entry(begins.clone()).or_default();
            self.pending.push((begins.clone(), entries));
        }
        self.read.retain(|leaf, _| ends.is_some() || *leaf > begins);
    }

    /// Returns whether an object with this key would have been listed.
    fn is_listed(&self, key: &str) -> bool {
        let key = format!("{}{key}", self.folder);
        key.strip_prefix(&self.prefix).is_some_and(|rest| {
            self.delimiter.as_ref().is_none_or(|delimiter| !rest.contains(delimiter))
        })
    }

    /// Writes the completed leaves.
    pub(super) async fn flush(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        let this = &*self;
        let writes = pending.into_iter().map(|(begins, entries)| async move {
            match Leaf::of(entries).write() {
                Some(bytes) => this.put(&leaf_name(&begins), bytes).await,
                None => false,
            }
        });
        let written: Vec<bool> =
            futures::stream::iter(writes).buffer_unordered(AT_ONCE).collect().await;
        self.writes &= written.into_iter().all(|written| written);
    }

    /// Writes the rest, after the last page.
    pub(super) async fn finish(&mut self) {
        if !self.writes {
            return;
        }
        self.close();
        self.flush().await;
        if !self.writes || !self.contents_changed {
            return;
        }
        // The contents define the leaves; the first one begins before every key.
        let mut leaves = self.leaves.clone().unwrap_or_default();
        leaves.insert(String::new());
        if let Some(bytes) = Contents::of(leaves.into_iter().collect()).write() {
            self.writes &= self.put(deltaspace::INDEX_CONTENTS, bytes).await;
        }
    }

    /// Returns a key relative to the folder.
    fn relative<'k>(&self, key: &'k Key) -> Option<&'k str> {
        key.as_str().strip_prefix(&self.folder)
    }

    /// Returns the first key of the leaf that covers this key.
    fn leaf_of(&self, key: &str) -> Option<&str> {
        let leaves = self.leaves.as_ref()?;
        leaves
            .range::<str, _>((Bound::Unbounded, Bound::Included(key)))
            .next_back()
            .map(String::as_str)
    }

    /// Returns the name of an object of the index.
    fn name(&self, name: &str) -> Option<ObjectName> {
        deltaspace::index_object(&self.bucket, &self.folder, name).ok()
    }

    /// Returns the bytes of an index object; `None` if it does not exist or is too large.
    async fn fetch(&self, name: &str) -> Result<Option<Vec<u8>>, ServiceError> {
        let Some(object) = self.name(name) else { return Ok(None) };
        let body = match self.store.get(&object, None).await {
            Err(error) if error.kind == StorageErrorKind::NotFound => return Ok(None),
            body => body?,
        };
        if body.head.size > MAX_OBJECT {
            return Ok(None);
        }
        let (mut bytes, mut stream) = (Vec::new(), body.stream);
        while let Some(piece) = stream.next().await {
            bytes.extend_from_slice(&piece.map_err(ServiceError::local(&object))?);
        }
        Ok(Some(bytes))
    }

    /// Writes an index object, and returns whether that succeeded.
    async fn put(&self, name: &str, bytes: Vec<u8>) -> bool {
        let Some(object) = self.name(name) else { return false };
        let attributes = Attributes {
            content_type: Some("application/json".to_owned()),
            ..Attributes::default()
        };
        let put = self
            .store
            .put(&object, PutBody::from_bytes(bytes), &attributes, &PutCondition::None.into())
            .await;
        if let Err(error) = &put {
            tracing::info!(error = chain(error), "cannot write the listing index");
        }
        put.is_ok()
    }
}

/// Returns whether a HEAD request met the listed object. Its head may have the time in whole
/// seconds.
fn is_of(head: &ObjectHead, stored: &ListedObject) -> bool {
    let seconds = |at: SystemTime| {
        at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
    };
    head.etag == stored.etag && seconds(head.last_modified) == seconds(stored.last_modified)
}

/// Returns the object name of a leaf: a hash, since its first key may be any text.
fn leaf_name(begins: &str) -> String {
    let digest = Sha256Digest::of(begins.as_bytes()).to_string();
    format!("{}.json", digest.get(..16).unwrap_or_default())
}
