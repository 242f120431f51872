//! Lists the files of a bucket page by page, with the names and sizes of the originals.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::{BTreeMap, VecDeque};
use std::time::SystemTime;

use futures::{StreamExt as _, TryStreamExt as _};

use super::DeltaService;
use super::error::ServiceError;
use super::index::{Index, Known};
use super::objects::StoredObject;
use crate::domain::escaped::{self, Beside};
use crate::domain::metadata::{DELTA_SUFFIX, Field, Kind, REFERENCE_NAME};
use crate::domain::{
    Addressed, BucketName, Deltaspace, Key, MAX_KEY_BYTES, ObjectName, Sha256Digest, Sha256Hasher,
    deltaspace,
};
use crate::storage::{DamagedObject, ListPage, ListRequest, ListedObject, ObjectHead};

/// The maximum number of concurrent HEAD requests for one page.
const HEADS_AT_ONCE: usize = 64;

/// The kind of a listed object.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Listed {
    /// A file stored without a delta.
    Plain,
    /// A file stored as a delta.
    Delta,
    /// A delta whose metadata lacks this field: its file cannot be restored.
    Damaged(Field),
    /// An object the store cannot read; only its key is known.
    Unreadable,
    /// A reference of a deltaspace.
    Reference,
    /// Another internal object of DeltaGlider.
    Internal,
}

/// A listed file or internal object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedFile {
    /// The name of the file; for other objects, the stored key.
    pub key: Key,
    /// The size of the file in bytes; for other objects, the stored size.
    pub size: u64,
    /// The kind of the object.
    pub listed: Listed,
    /// The stored object.
    pub stored: ListedObject,
    /// The SHA-256 of the file, if the listing has it: for deltas.
    pub sha256: Option<Sha256Digest>,
    /// The kind by its metadata, if this listing sent a HEAD request for it.
    pub(crate) kind: Option<Box<Kind>>,
}

impl ListedFile {
    /// Returns whether its kind is certain, by its key or by a HEAD request. An index may be wrong,
    /// and a key that ends in `.delta` may belong to a plain file.
    pub(crate) fn is_resolved(&self) -> bool {
        self.kind.is_some() || !needs_look(&self.stored.key)
    }

    /// Returns whether it is stored under an escaped key.
    pub(crate) fn is_escaped(&self) -> bool {
        self.key != self.stored.key && deltaspace::is_internal(&self.stored.key)
    }

    /// Returns whether its key is that of the delta of a file.
    pub fn is_named_as_delta(&self) -> bool {
        self.key != self.stored.key && !self.is_escaped()
    }

    /// Returns whether users see it: it is a file, or a delta whose file cannot be restored.
    pub fn is_shown(&self) -> bool {
        match self.listed {
            Listed::Unreadable => self.is_escaped() || !deltaspace::is_internal(&self.stored.key),
            _ => matches!(self.listed, Listed::Plain | Listed::Delta | Listed::Damaged(_)),
        }
    }
}

/// One page of a listing.
#[derive(Debug, Clone, Default)]
pub struct ListedPage {
    /// Files and internal objects, in the byte order of the stored keys; files with escaped keys
    /// are ordered by name.
    pub files: Vec<ListedFile>,
    /// Older variants of a name, which are not served.
    pub older: Vec<ListedFile>,
    /// Common prefixes, if the listing has a delimiter.
    pub folders: Vec<String>,
}

/// The means by which a listing resolves keys that do not determine the kind of their object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looks {
    /// A HEAD request for every delta.
    Always,
    /// The index, and a HEAD request for every delta changed since it was written.
    WhereNeeded,
    /// A HEAD request for every object with the name of a reference. Whether a key that ends in
    /// `.delta` is that of a delta is left to the reader.
    OfReferences,
    /// None.
    Never,
}

/// A listing in progress.
#[derive(Debug)]
pub struct Listing {
    service: DeltaService,
    bucket: BucketName,
    /// The prefix of the names to list.
    prefix: String,
    request: Option<ListRequest>,
    /// The prefix of files with escaped keys that the request skips; `None` once they were listed.
    beside: Option<Beside>,
    /// Files with escaped keys whose names sort after the current position.
    early: BTreeMap<Key, ListedFile>,
    looks: Looks,
    index: Index,
    /// The hash of everything the store has listed so far, if a fingerprint was requested.
    fingerprint: Option<Sha256Hasher>,
    /// Files not yet returned, from the first plain file whose delta may still follow.
    held: VecDeque<ListedFile>,
}

impl DeltaService {
    /// Lists the files whose name starts with `prefix`, a plain string. With a `delimiter`, the
    /// names that contain it after the prefix are rolled up into common prefixes. With a delimiter
    /// other than `/`, only some listings include a file with an escaped key.
    pub fn list(&self, bucket: &BucketName, prefix: &str, delimiter: Option<&str>) -> Listing {
        let index = Index::new(self.objects.store().clone(), bucket, prefix, delimiter);
        // Below an internal folder, all names have escaped keys.
        let within = escaped::prefix_within(prefix);
        let delimiter = delimiter
            .map(|text| if within.is_some() { escaped::encode(text) } else { text.to_owned() });
        // A listing without a delimiter includes the internal folder, unless its prefix is already
        // behind it.
        let beside =
            Beside::of(prefix).filter(|it| delimiter.is_some() || !it.internal.starts_with(prefix));
        let stored_prefix = within.unwrap_or_else(|| prefix.to_owned());
        // No key is longer than this.
        let request = (stored_prefix.len() <= MAX_KEY_BYTES).then(|| ListRequest {
            prefix: stored_prefix,
            delimiter,
            ..ListRequest::default()
        });
        Listing {
            service: self.clone(),
            bucket: bucket.clone(),
            prefix: prefix.to_owned(),
            request,
            beside,
            early: BTreeMap::new(),
            looks: Looks::WhereNeeded,
            index,
            fingerprint: None,
            held: VecDeque::new(),
        }
    }
}

/// An examined object: its file, and, if it was resolved, its kind and the head from a HEAD
/// request.
type Looked = (ListedFile, Option<(Known, Option<ObjectHead>)>);

impl Listing {
    /// Writes the sizes it learns to the index for the next listing, if the caller may write to the
    /// bucket.
    #[must_use]
    pub fn learning(mut self) -> Self {
        self.index.learn();
        self
    }

    /// Ignores the index: every delta and reference is resolved by a HEAD request.
    #[must_use]
    pub fn without_index(self) -> Self {
        Self { looks: Looks::Always, ..self }
    }

    /// Ignores the index, and leaves keys that end in `.delta` unresolved: each is listed as the
    /// delta of a file, with the stored size, and may be a file of its own. For commands that read
    /// or examine each file anyway.
    #[must_use]
    pub fn unresolved(self) -> Self {
        Self { looks: Looks::OfReferences, ..self }
    }

    /// Uses keys and stored sizes alone and sends no HEAD request: `NAME.delta` is listed as the
    /// delta of `NAME`, and `reference.bin` as a reference.
    #[must_use]
    pub fn by_key_only(self) -> Self {
        Self { looks: Looks::Never, ..self }
    }

    /// Computes a fingerprint of everything the store lists.
    pub(super) fn fingerprinted(mut self) -> Self {
        self.fingerprint = Some(Sha256Hasher::default());
        self
    }

    /// Returns the fingerprint of this state of the bucket, after the last page. Indexes and kept
    /// statistics are excluded.
    pub(super) fn fingerprint(&mut self) -> Option<Sha256Digest> {
        self.fingerprint.take().map(Sha256Hasher::finish)
    }

    /// Returns the next page; `None` after the last one. A page may have fewer files than the
    /// store's page has objects, even none.
    ///
    /// # Errors
    ///
    /// Returns an error if a LIST or HEAD request fails.
    pub async fn next(&mut self) -> Result<Option<ListedPage>, ServiceError> {
        let Some(request) = self.request.take() else { return Ok(None) };
        let mut page = self.service.store().list(&self.bucket, &request).await?;
        self.look_beside(&mut page).await?;
        let (cursor, more) =
            (page.objects.last().map(|object| object.key.clone()), page.continuation.is_some());
        if let Some(hasher) = &mut self.fingerprint {
            page.objects
                .iter()
                .filter(|object| !deltaspace::is_derived(&object.key))
                .for_each(|it| mark(hasher, it));
        }
        if self.looks == Looks::WhereNeeded {
            let unknown: Vec<&ListedObject> =
                page.objects.iter().filter(|object| needs_look(&object.key)).collect();
            self.index.prepare(&unknown, more).await;
        }
        let looks: Vec<_> = page.objects.into_iter().map(|object| self.look(object)).collect();
        let looked: Vec<Option<Looked>> =
            futures::stream::iter(looks).buffered(HEADS_AT_ONCE).try_collect().await?;
        let mut listed = ListedPage::default();
        let mut looked: Vec<Looked> = looked.into_iter().flatten().collect();
        for damaged in page.damaged {
            let (key, why) = (&damaged.key, damaged.why.as_str());
            tracing::debug!(%key, why, "the store cannot read an object");
            let place = looked.partition_point(|(file, _)| file.stored.key < damaged.key);
            let files = unreadable(&damaged).map(|file| (file, None));
            looked.splice(place..place, files);
        }
        for (file, learnt) in looked {
            if let Some((known, head)) = learnt {
                self.index.take(&file.stored, &known, head.as_ref());
            }
            if file.is_escaped() && !deltaspace::is_internal(&file.key) {
                self.early.insert(file.key.clone(), file);
                continue;
            }
            self.take_early(Some(&file.stored.key), &mut listed.older).await?;
            self.hold(file, &mut listed.older).await?;
        }
        if !more {
            self.take_early(None, &mut listed.older).await?;
        }
        self.release(cursor.filter(|_| more).as_ref(), more, &mut listed.files);
        listed.files.retain(|file| file.key.as_str().starts_with(&self.prefix));
        listed.folders = page.common_prefixes;
        if more {
            self.request = Some(ListRequest { continuation: page.continuation, ..request });
            self.index.flush().await;
        } else {
            self.index.finish().await;
        }
        Ok(Some(listed))
    }

    /// Holds the files with escaped keys that sort before `key`, or all of them if it is `None`.
    async fn take_early(
        &mut self,
        key: Option<&Key>,
        older: &mut Vec<ListedFile>,
    ) -> Result<(), ServiceError> {
        while let Some(first) = self.early.first_entry()
            && key.is_none_or(|key| first.key() <= key)
        {
            let file = first.remove();
            self.hold(file, older).await?;
        }
        Ok(())
    }

    /// Replaces common prefixes of escaped keys by the names they represent, and lists files with
    /// escaped keys that the request skips.
    async fn look_beside(&mut self, page: &mut ListPage) -> Result<(), ServiceError> {
        let is_near = |it: &mut Beside| {
            !it.internal.starts_with(&self.prefix) || page.common_prefixes.contains(&it.internal)
        };
        let mut shown = None;
        if let Some(beside) = self.beside.take_if(is_near) {
            let delimiter = Some("/".to_owned());
            let mut request =
                ListRequest { prefix: beside.prefix, delimiter, ..ListRequest::default() };
            loop {
                let page = self.service.store().list(&self.bucket, &request).await?;
                let files = page.objects.into_iter().filter_map(|stored| as_escaped(&stored));
                let files = files
                    .chain(page.damaged.iter().flat_map(unreadable).filter(ListedFile::is_escaped));
                self.early.extend(files.map(|file| (file.key.clone(), file)));
                shown = shown.or_else(|| {
                    page.common_prefixes.iter().find_map(|folder| escaped::names_from(folder))
                });
                match page.continuation {
                    Some(next) => request.continuation = Some(next),
                    None => break,
                }
            }
        }
        let folders = std::mem::take(&mut page.common_prefixes).into_iter();
        let is_own =
            |folder: &str| folder.split('/').any(|name| name == deltaspace::INTERNAL_FOLDER);
        page.common_prefixes = folders
            .filter_map(|folder| match escaped::names_from(&folder) {
                Some(names) => Some(names).filter(|names| names.starts_with(&self.prefix)),
                None => {
                    Some(folder).filter(|folder| !is_own(folder) || shown.as_ref() == Some(folder))
                }
            })
            .collect();
        Ok(())
    }

    /// Returns the examined files that are on no page yet.
    pub(super) fn held(&self) -> impl Iterator<Item = &ListedFile> {
        self.held.iter()
    }

    /// Determines the kind of an object; `None` if it was deleted after it was listed.
    async fn look(&self, stored: ListedObject) -> Result<Option<Looked>, ServiceError> {
        let as_stored = |listed, kind| {
            let (key, size) = (stored.key.clone(), stored.size);
            ListedFile { key, size, listed, stored: stored.clone(), sha256: None, kind }
        };
        let as_delta = |size, sha256, kind| {
            let key = deltaspace::file_of(&stored.key)?;
            Some(ListedFile {
                key,
                size,
                listed: Listed::Delta,
                stored: stored.clone(),
                sha256,
                kind,
            })
        };
        if let Some(file) = as_escaped(&stored) {
            return Ok(Some((file, None)));
        }
        if deltaspace::is_internal(&stored.key) {
            let name = ObjectName::new(self.bucket.clone(), stored.key.clone());
            let addressed = Deltaspace::of_reference(&name).addressed_at(&stored.key);
            let is_reference = matches!(addressed, Some(Addressed::Reference(_)));
            let listed = if is_reference { Listed::Reference } else { Listed::Internal };
            return Ok(Some((as_stored(listed, None), None)));
        }
        if !needs_look(&stored.key) {
            return Ok(Some((as_stored(Listed::Plain, None), None)));
        }
        if self.looks == Looks::Never {
            let file = match as_delta(stored.size, None, None) {
                Some(delta) => delta,
                None if stored.key.base_name() == REFERENCE_NAME => {
                    as_stored(Listed::Reference, None)
                }
                None => as_stored(Listed::Plain, None),
            };
            return Ok(Some((file, None)));
        }
        if self.looks == Looks::OfReferences && file_beside(&stored.key).is_some() {
            return Ok(as_delta(stored.size, None, None).map(|file| (file, None)));
        }
        let known = if self.looks == Looks::WhereNeeded { self.index.known(&stored) } else { None };
        let known = known.filter(|known| may_be(&stored, known));
        if let Some(known) = known {
            let file = match &known {
                Known::Delta { size, sha256 } => as_delta(*size, Some(*sha256), None),
                Known::Reference => Some(as_stored(Listed::Reference, None)),
            };
            return Ok(file.map(|file| (file, Some((known, None)))));
        }
        self.decide(stored).await
    }

    /// Determines the kind of an object by a HEAD request.
    async fn decide(&self, stored: ListedObject) -> Result<Option<Looked>, ServiceError> {
        let as_stored = |listed, kind| {
            let (key, size) = (stored.key.clone(), stored.size);
            ListedFile { key, size, listed, stored: stored.clone(), sha256: None, kind }
        };
        let as_delta = |size, sha256, kind| {
            let key = deltaspace::file_of(&stored.key)?;
            Some(ListedFile {
                key,
                size,
                listed: Listed::Delta,
                stored: stored.clone(),
                sha256,
                kind,
            })
        };
        let name = ObjectName::new(self.bucket.clone(), stored.key.clone());
        let Some(found) = StoredObject::look(self.service.store(), name).await? else {
            return Ok(None);
        };
        let kind = Some(Box::new(found.kind.clone()));
        let (file, known) = match &found.kind {
            Kind::Delta(delta) => {
                let (size, sha256) = (delta.file_size, delta.file_sha256);
                (as_delta(size, Some(sha256), kind), Some(Known::Delta { size, sha256 }))
            }
            // Not indexed, so that every listing reports it.
            Kind::Damaged(field) if found.is_delta() => {
                (Some(as_stored(Listed::Damaged(*field), kind)), None)
            }
            Kind::Damaged(_) => (Some(as_stored(Listed::Reference, kind)), None),
            Kind::Reference(_) => {
                (Some(as_stored(Listed::Reference, kind)), Some(Known::Reference))
            }
            Kind::Direct(_) | Kind::Passthrough => (Some(as_stored(Listed::Plain, kind)), None),
        };
        Ok(file.map(|file| (file, known.map(|known| (known, Some(found.head))))))
    }

    /// Holds a file; of two variants of one name, the newer one is kept.
    async fn hold(
        &mut self,
        mut file: ListedFile,
        older: &mut Vec<ListedFile>,
    ) -> Result<(), ServiceError> {
        let mut twin = self.twin_of(&file);
        if twin.is_some()
            && file.listed == Listed::Delta
            && !file.is_resolved()
            && self.looks != Looks::Never
        {
            // Only a delta is a second variant of the name.
            let Some((decided, _)) = self.decide(file.stored).await? else { return Ok(()) };
            file = decided;
            twin = self.twin_of(&file);
        }
        let Some((at, plain)) = twin.and_then(|at| Some((at, self.held.get(at)?.clone()))) else {
            self.held.push_back(file);
            return Ok(());
        };
        if self.delta_is_newer(&plain, &file).await? {
            self.held.remove(at);
            self.held.push_back(file);
            older.push(plain);
        } else {
            older.push(file);
        }
        Ok(())
    }

    /// Returns the position of a held variant of the same name: for a delta, a plain file; for an
    /// object that another tool stored under the name itself, a file with an escaped key.
    fn twin_of(&self, file: &ListedFile) -> Option<usize> {
        let is_twin = |held: &ListedFile| match file.listed {
            Listed::Delta => held.listed == Listed::Plain,
            Listed::Plain | Listed::Unreadable => held.is_escaped(),
            _ => false,
        };
        self.held.iter().position(|held| held.key == file.key && is_twin(held))
    }

    /// Returns whether the delta is the newer variant: by the store's times, and on a tie by the
    /// writers'.
    async fn delta_is_newer(
        &self,
        plain: &ListedFile,
        delta: &ListedFile,
    ) -> Result<bool, ServiceError> {
        if plain.is_escaped() {
            return Ok(false);
        }
        let (a, b) = (plain.stored.last_modified, delta.stored.last_modified);
        if a != b || self.looks == Looks::Never {
            return Ok(b >= a);
        }
        let look = |file: &ListedFile| {
            StoredObject::look(
                self.service.store(),
                ObjectName::new(self.bucket.clone(), file.stored.key.clone()),
            )
        };
        let (plain, delta) = futures::try_join!(look(plain), look(delta))?;
        Ok(match (plain, delta) {
            (Some(plain), Some(delta)) => delta.newer_of_name(&plain).is_gt(),
            (plain, _) => plain.is_none(),
        })
    }

    /// Moves to `files` every file before the first plain one whose delta may follow after
    /// `cursor`.
    fn release(&mut self, cursor: Option<&Key>, more: bool, files: &mut Vec<ListedFile>) {
        while let Some(file) = self.held.front() {
            let delta_may_come = file.listed == Listed::Plain
                && more
                && !deltaspace::is_internal(&file.key)
                && cursor
                    .is_none_or(|cursor| *cursor.as_str() < *format!("{}{DELTA_SUFFIX}", file.key));
            if delta_may_come {
                break;
            }
            files.extend(self.held.pop_front());
        }
    }
}

/// Returns the files that a damaged object may be: one with its key and, if the key may be that of
/// a delta, the file of that delta. Either may exist and must not be treated as absent.
fn unreadable(damaged: &DamagedObject) -> impl Iterator<Item = ListedFile> {
    let last_modified = SystemTime::UNIX_EPOCH;
    let stored = ListedObject {
        key: damaged.key.clone(),
        size: 0,
        etag: damaged.etag.clone(),
        last_modified,
    };
    let own = escaped::file_at(&damaged.key).unwrap_or_else(|| damaged.key.clone());
    let names = deltaspace::file_of(&damaged.key).into_iter().chain([own]);
    names.map(move |key| ListedFile {
        key,
        size: 0,
        listed: Listed::Unreadable,
        stored: stored.clone(),
        sha256: None,
        kind: None,
    })
}

/// Returns the file of an object with an escaped key.
fn as_escaped(stored: &ListedObject) -> Option<ListedFile> {
    let (key, size, listed) = (escaped::file_at(&stored.key)?, stored.size, Listed::Plain);
    Some(ListedFile { key, size, listed, stored: stored.clone(), sha256: None, kind: None })
}

/// Returns whether the key does not determine the kind of its object.
fn needs_look(key: &Key) -> bool {
    let may_be_ours = key.base_name() == REFERENCE_NAME || key.as_str().ends_with(DELTA_SUFFIX);
    may_be_ours && !deltaspace::is_internal(key)
}

/// Returns the name of the file whose delta this key would be; `None` for a directory.
fn file_beside(key: &Key) -> Option<Key> {
    deltaspace::file_of(key).filter(|file| !file.as_str().ends_with('/'))
}

/// Returns whether an index entry is admissible: an index provides sizes, and a kind only if the
/// key allows no other file of ours.
fn may_be(stored: &ListedObject, known: &Known) -> bool {
    match known {
        Known::Delta { .. } => file_beside(&stored.key).is_some(),
        Known::Reference => stored.key.base_name() == REFERENCE_NAME,
    }
}

/// Adds an object to a fingerprint.
fn mark(hasher: &mut Sha256Hasher, object: &ListedObject) {
    let modified = object.last_modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    for part in [object.key.as_str(), &object.etag.0] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.update(&object.size.to_le_bytes());
    hasher.update(&modified.as_nanos().to_le_bytes());
}
