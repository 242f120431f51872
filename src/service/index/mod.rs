//! What listings learnt by a HEAD, kept in the bucket for the next one: best effort, and believed
//! only of an object that still has the tag and the time it was learnt of, by commands that neither
//! remove nor vouch: another writer of the folder may have forged it.
//!
//! The index of a folder that is listed, with all that is below it, stands at
//! `<folder>.deltaglider/index/`: `contents.json` says at which keys its leaves begin, and each
//! leaf has what is known of the objects up to the next one. So it has as many objects for a folder
//! with many deltas as for many folders with one each. Its writers need not know of each other:
//! whichever of two leaves stays, all it says is checked by its reader. Two deltas of the same
//! bytes are of files of the same size, since a delta says it.
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

/// Entries of a leaf at its most; one that would have more becomes two.
const MAX_ENTRIES: usize = 2048;

/// Fewer HEADs than this cost less than a PUT, and are done as fast as the reading of an index.
const FEW: usize = 16;

/// More bytes than this are no leaf: one has `MAX_ENTRIES` keys of at most 1024 bytes, any of which
/// JSON may write as six.
const MAX_OBJECT: u64 = 16 << 20;

/// Leaves that are read or written at once.
const AT_ONCE: usize = 8;

/// What a HEAD tells of an object whose key does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Known {
    /// A delta, with size and digest of its file.
    Delta { size: u64, sha256: Sha256Digest },
    /// A reference.
    Reference,
}

/// The index of a folder while it is listed.
#[derive(Debug)]
pub(super) struct Index {
    store: Arc<dyn Store>,
    bucket: BucketName,
    /// Empty, or with a `/` at its end.
    folder: String,
    /// Only keys that start with this text are listed.
    prefix: String,
    /// Those that have this text after the prefix are not.
    delimiter: Option<String>,
    writes: bool,
    /// Where the leaves begin; `None` before anybody asked.
    leaves: Option<BTreeSet<String>>,
    /// Leaves that were read, by where they begin.
    read: BTreeMap<String, BTreeMap<String, Entry>>,
    /// The leaf that the listing is at.
    open: Option<Open>,
    /// How many objects were looked at, since nobody knew of them.
    learnt: usize,
    /// Leaves that are to be written, by where they begin.
    pending: Vec<(String, Vec<Entry>)>,
    contents_changed: bool,
}

/// A leaf with what was listed of it so far.
#[derive(Debug)]
struct Open {
    begins: String,
    entries: Vec<Entry>,
    news: bool,
}

impl Index {
    /// The index that a listing may use; nothing is written unless it is told to
    /// [`learn`](Self::learn).
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

    /// Keeps what the listing learns.
    pub(super) fn learn(&mut self) {
        self.writes = true;
    }

    /// Reads what there is about these objects, which are in order. `more` says whether others
    /// follow.
    pub(super) async fn prepare(&mut self, objects: &[&ListedObject], more: bool) {
        if objects.is_empty() || (self.leaves.is_none() && !more && objects.len() < FEW) {
            return;
        }
        if self.leaves.is_none() {
            let contents = self.fetch(deltaspace::INDEX_CONTENTS).await;
            if let Err(error) = &contents {
                tracing::info!(error = chain(error), folder = self.folder, "the index is not read");
                // Who may not read it would not know what to keep of it.
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

    /// What is known of an object, without a look at it.
    pub(super) fn known(&self, stored: &ListedObject) -> Option<Known> {
        let key = self.relative(&stored.key)?;
        self.read.get(self.leaf_of(key)?)?.get(key)?.of(stored)
    }

    /// Takes what is known of an object; of all of them, in their order. `head` is that of a look
    /// that was needed.
    pub(super) fn take(&mut self, stored: &ListedObject, known: &Known, head: Option<&ObjectHead>) {
        if !self.writes {
            return;
        }
        // What was written between the page and the look is another object.
        if head.is_some_and(|head| !is_of(head, stored)) {
            return;
        }
        let Some(key) = self.relative(&stored.key).map(str::to_owned) else { return };
        let Some(entry) = Entry::new(&key, stored, known) else { return };
        let begins = self.leaf_of(&key).unwrap_or_default().to_owned();
        if let Some(open) = &self.open {
            if open.entries.last().is_some_and(|last| last.key >= key) {
                // A store that lists in another order: the leaves would have gaps.
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

    /// Nothing follows.
    pub(super) fn close(&mut self) {
        self.close_before(None);
    }

    fn close_before(&mut self, ends: Option<&str>) {
        let Some(Open { begins, mut entries, news }) = self.open.take() else { return };
        if news && self.learnt >= FEW {
            let unread = BTreeSet::new();
            let leaves = self.leaves.as_ref().unwrap_or(&unread);
            // What was read of a leaf that has become two belongs to the one it began with.
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
            // There is nothing to read of it that this listing does not know.
            self.read.entry(begins.clone()).or_default();
            self.pending.push((begins.clone(), entries));
        }
        self.read.retain(|leaf, _| ends.is_some() || *leaf > begins);
    }

    /// Whether an object of this key would have been listed.
    fn is_listed(&self, key: &str) -> bool {
        let key = format!("{}{key}", self.folder);
        key.strip_prefix(&self.prefix).is_some_and(|rest| {
            self.delimiter.as_ref().is_none_or(|delimiter| !rest.contains(delimiter))
        })
    }

    /// Writes the leaves that are complete.
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

    /// Writes what is left, after everything was listed.
    pub(super) async fn finish(&mut self) {
        if !self.writes {
            return;
        }
        self.close();
        self.flush().await;
        if !self.writes || !self.contents_changed {
            return;
        }
        // A leaf is where the contents say one begins: the first begins before everything.
        let mut leaves = self.leaves.clone().unwrap_or_default();
        leaves.insert(String::new());
        if let Some(bytes) = Contents::of(leaves.into_iter().collect()).write() {
            self.writes &= self.put(deltaspace::INDEX_CONTENTS, bytes).await;
        }
    }

    /// A key without the folder.
    fn relative<'k>(&self, key: &'k Key) -> Option<&'k str> {
        key.as_str().strip_prefix(&self.folder)
    }

    /// Where the leaf begins that has this key.
    fn leaf_of(&self, key: &str) -> Option<&str> {
        let leaves = self.leaves.as_ref()?;
        leaves
            .range::<str, _>((Bound::Unbounded, Bound::Included(key)))
            .next_back()
            .map(String::as_str)
    }

    fn name(&self, name: &str) -> Option<ObjectName> {
        deltaspace::index_object(&self.bucket, &self.folder, name).ok()
    }

    /// The bytes of an object of the index; `None` when there is none that could be one.
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

    /// Whether it was written.
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
            tracing::info!(error = chain(error), "what the listing learnt is not kept");
        }
        put.is_ok()
    }
}

/// Whether a look met the object that was listed. Its head may have the time without what is below
/// a second.
fn is_of(head: &ObjectHead, stored: &ListedObject) -> bool {
    let seconds = |at: SystemTime| {
        at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
    };
    head.etag == stored.etag && seconds(head.last_modified) == seconds(stored.last_modified)
}

/// Any text may be the key a leaf begins with, and names are short.
fn leaf_name(begins: &str) -> String {
    let digest = Sha256Digest::of(begins.as_bytes()).to_string();
    format!("{}.json", digest.get(..16).unwrap_or_default())
}
