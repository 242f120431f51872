//! The files of a bucket: names and sizes of the originals, page by page.
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

/// HEAD requests in flight for one page.
const HEADS_AT_ONCE: usize = 64;

/// What an object in a bucket is to a user.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Listed {
    /// A file that is stored as it is.
    Plain,
    /// A file that is stored as a delta.
    Delta,
    /// A delta whose metadata lacks this field: no file can be had from it.
    Damaged(Field),
    /// An object the store cannot read; nothing is known but its key.
    Unreadable,
    /// A reference.
    Reference,
    /// Something else DeltaGlider keeps for itself.
    Internal,
}

/// A file, or something DeltaGlider keeps beside the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedFile {
    /// The name of the file; of anything that is none, the stored key.
    pub key: Key,
    /// The size of the file in bytes; of anything that is none, the stored size.
    pub size: u64,
    /// What it is.
    pub listed: Listed,
    /// The stored object.
    pub stored: ListedObject,
    /// The SHA-256 of the file, where the listing knows it: of deltas.
    pub sha256: Option<Sha256Digest>,
    /// What its metadata says, where this listing asked for it.
    pub(crate) kind: Option<Box<Kind>>,
}

impl ListedFile {
    /// Whether its kind is certain: by its key, or by a HEAD. An index may lie, and so may a key
    /// that ends with `.delta`.
    pub(crate) fn is_decided(&self) -> bool {
        self.kind.is_some() || !needs_look(&self.stored.key)
    }

    /// Whether it is stored under an escaped key.
    pub(crate) fn is_escaped(&self) -> bool {
        self.key != self.stored.key && deltaspace::is_internal(&self.stored.key)
    }

    /// Whether it is the delta of a file, as far as its key tells.
    pub fn is_named_as_delta(&self) -> bool {
        self.key != self.stored.key && !self.is_escaped()
    }

    /// Whether a user knows of it: it is a file, or a delta none can be had from.
    pub fn is_shown(&self) -> bool {
        match self.listed {
            Listed::Unreadable => self.is_escaped() || !deltaspace::is_internal(&self.stored.key),
            _ => matches!(self.listed, Listed::Plain | Listed::Delta | Listed::Damaged(_)),
        }
    }
}

/// A page of a listing.
#[derive(Debug, Clone, Default)]
pub struct ListedPage {
    /// Files and what is kept beside them, in the byte order of the stored keys; of files with
    /// escaped keys, of the names.
    pub files: Vec<ListedFile>,
    /// Objects of a name that another, newer object has too; not served.
    pub older: Vec<ListedFile>,
    /// Common prefixes, when a delimiter was asked for.
    pub folders: Vec<String>,
}

/// How a listing comes to know what keys do not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looks {
    /// By a HEAD of every delta.
    Always,
    /// By the index, and by a HEAD of every delta that has changed since.
    WhereNeeded,
    /// By a HEAD of what is called as a reference is; whether a key that ends with `.delta` is that
    /// of a delta is left to a read.
    OfReferences,
    /// Not at all.
    Never,
}

/// A listing on its way.
#[derive(Debug)]
pub struct Listing {
    service: DeltaService,
    bucket: BucketName,
    /// What the names begin with that are asked for.
    prefix: String,
    request: Option<ListRequest>,
    /// Where files with escaped keys are that the request passes over, until they were asked for.
    beside: Option<Beside>,
    /// Files with escaped keys whose names have their place further on.
    early: BTreeMap<Key, ListedFile>,
    looks: Looks,
    index: Index,
    /// Of everything the store listed so far, if it is asked for.
    fingerprint: Option<Sha256Hasher>,
    /// From the first plain file on whose delta may still come.
    held: VecDeque<ListedFile>,
}

impl DeltaService {
    /// Lists the files whose name starts with `prefix`, a plain string; with a `delimiter` those
    /// behind it are rolled up. With one other than `/`, a file with an escaped key is shown by
    /// some listings only.
    pub fn list(&self, bucket: &BucketName, prefix: &str, delimiter: Option<&str>) -> Listing {
        let index = Index::new(self.objects.store().clone(), bucket, prefix, delimiter);
        // Below a folder of ours, all names have escaped keys.
        let within = escaped::prefix_within(prefix);
        let delimiter = delimiter
            .map(|text| if within.is_some() { escaped::encode(text) } else { text.to_owned() });
        // A listing without a delimiter passes the folder of ours, if what it asks for is not
        // already behind it.
        let beside =
            Beside::of(prefix).filter(|it| delimiter.is_some() || !it.internal.starts_with(prefix));
        let stored_prefix = within.unwrap_or_else(|| prefix.to_owned());
        // No key is longer.
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

/// What a look told of an object: its file, and its head if there was one.
type Looked = (ListedFile, Option<(Known, Option<ObjectHead>)>);

impl Listing {
    /// Keeps what it learns for the next listing, if the caller may write to the bucket.
    #[must_use]
    pub fn learning(mut self) -> Self {
        self.index.learn();
        self
    }

    /// Believes no index: what it says of an object, a HEAD has just said.
    #[must_use]
    pub fn afresh(self) -> Self {
        Self { looks: Looks::Always, ..self }
    }

    /// Believes no index, and leaves open which of two files a key that ends with `.delta` stands
    /// for: it is listed as the delta of a file, with the stored size, and may be a file of its
    /// own. For commands that read or look at each file anyway.
    #[must_use]
    pub fn undecided(self) -> Self {
        Self { looks: Looks::OfReferences, ..self }
    }

    /// Goes by keys and stored sizes alone, and sends no HEAD: what is called `NAME.delta` is taken
    /// for the delta of `NAME`, and `reference.bin` for a reference.
    #[must_use]
    pub fn by_stored_sizes(self) -> Self {
        Self { looks: Looks::Never, ..self }
    }

    /// Takes a fingerprint of what the store lists.
    pub(super) fn fingerprinted(mut self) -> Self {
        self.fingerprint = Some(Sha256Hasher::default());
        self
    }

    /// What tells this state of the bucket from every other, after the last page; what was only
    /// written to be faster has no part in it.
    pub(super) fn fingerprint(&mut self) -> Option<Sha256Digest> {
        self.fingerprint.take().map(Sha256Hasher::finish)
    }

    /// The next page; `None` after the last one. A page may have fewer files than the store's page
    /// has objects, even none.
    pub async fn next(&mut self) -> Result<Option<ListedPage>, ServiceError> {
        let Some(request) = self.request.take() else { return Ok(None) };
        let mut page = self.service.store().list(&self.bucket, &request).await?;
        self.look_beside(&mut page).await?;
        let (cursor, more) =
            (page.objects.last().map(|object| object.key.clone()), page.continuation.is_some());
        if let Some(hasher) = &mut self.fingerprint {
            page.objects
                .iter()
                .filter(|object| !deltaspace::is_memory(&object.key))
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
            tracing::debug!(key = %damaged.key, why = damaged.why, "the store cannot read an object");
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

    /// Takes files with escaped keys whose place is before `key`, or the rest of them.
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

    /// Puts the names of folders in place of the keys on a page, and asks for files with escaped
    /// keys that the request passes over.
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

    /// What was looked at and is on none of the pages so far.
    pub(super) fn held(&self) -> impl Iterator<Item = &ListedFile> {
        self.held.iter()
    }

    /// What an object is; `None` when it was removed meanwhile.
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
            let addressed = Deltaspace::home_of(&name).addressed_at(&stored.key);
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

    /// What an object is by a HEAD.
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
            // Who lists it shall hear of it every time.
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

    /// Takes a file; of two objects of one name the newer stays.
    async fn hold(
        &mut self,
        mut file: ListedFile,
        older: &mut Vec<ListedFile>,
    ) -> Result<(), ServiceError> {
        let mut twin = self.twin_of(&file);
        if twin.is_some()
            && file.listed == Listed::Delta
            && !file.is_decided()
            && self.looks != Looks::Never
        {
            // Only a delta is another object of the same name.
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

    /// Where another file of this name is held: a plain one, of a delta; one with an escaped key,
    /// of what another tool left at the name itself.
    fn twin_of(&self, file: &ListedFile) -> Option<usize> {
        let is_twin = |held: &ListedFile| match file.listed {
            Listed::Delta => held.listed == Listed::Plain,
            Listed::Plain | Listed::Unreadable => held.is_escaped(),
            _ => false,
        };
        self.held.iter().position(|held| held.key == file.key && is_twin(held))
    }

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

    /// Moves out what is settled: everything before the first plain file whose delta may stand
    /// behind `cursor`.
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

/// Returns what a damaged object may be: a file of its key and, if it may be a delta, that file
/// too. Either is possibly there, and must not be taken for absent.
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

/// The file of an object with an escaped key.
fn as_escaped(stored: &ListedObject) -> Option<ListedFile> {
    let (key, size, listed) = (escaped::file_at(&stored.key)?, stored.size, Listed::Plain);
    Some(ListedFile { key, size, listed, stored: stored.clone(), sha256: None, kind: None })
}

/// Whether the key does not tell what an object is.
fn needs_look(key: &Key) -> bool {
    let may_be_ours = key.base_name() == REFERENCE_NAME || key.as_str().ends_with(DELTA_SUFFIX);
    may_be_ours && !deltaspace::is_internal(key)
}

/// The file that the object at this key is the delta of, if it is one: not a folder.
fn file_beside(key: &Key) -> Option<Key> {
    deltaspace::file_of(key).filter(|file| !file.as_str().ends_with('/'))
}

/// Whether an index may say so of an object: it tells sizes, and a kind only where the key allows
/// for no other file of ours.
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
