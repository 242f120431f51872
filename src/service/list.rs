//! The files of a bucket: names and sizes of the originals, page by page.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::VecDeque;
use std::time::SystemTime;

use futures::{StreamExt as _, TryStreamExt as _};

use super::DeltaService;
use super::error::ServiceError;
use super::index::{Index, Known};
use super::locate::Found;
use crate::domain::metadata::{DELTA_SUFFIX, Field, Kind, REFERENCE_NAME};
use crate::domain::{Addressed, BucketName, Deltaspace, Key, ObjectName, Sha256Digest, Sha256Hasher, deltaspace};
use crate::storage::{DamagedObject, ListRequest, ListedObject, ObjectHead};

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
    /// Whether its kind is certain: by its key, or by a HEAD. An index may lie, and so may a key that ends with `.delta`.
    pub(crate) fn is_decided(&self) -> bool {
        self.kind.is_some() || !needs_look(&self.stored.key)
    }

    /// Whether a user knows of it: it is a file, or a delta none can be had from.
    pub fn is_shown(&self) -> bool {
        match self.listed {
            Listed::Unreadable => !deltaspace::is_internal(&self.stored.key),
            _ => matches!(self.listed, Listed::Plain | Listed::Delta | Listed::Damaged(_)),
        }
    }
}

/// A page of a listing.
#[derive(Debug, Clone, Default)]
pub struct ListedPage {
    /// Files and what is kept beside them, in the byte order of the stored keys.
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
    /// By a HEAD of what is called as a reference is; whether a key that ends with `.delta` is that of a delta is left to a read.
    OfReferences,
    /// Not at all.
    Never,
}

/// A listing on its way.
#[derive(Debug)]
pub struct Listing {
    service: DeltaService,
    bucket: BucketName,
    request: Option<ListRequest>,
    looks: Looks,
    index: Index,
    /// Of everything the store listed so far, if it is asked for.
    fingerprint: Option<Sha256Hasher>,
    /// From the first plain file on whose delta may still come.
    held: VecDeque<ListedFile>,
}

impl DeltaService {
    /// Lists the files whose name starts with `prefix`, a plain string; with a `delimiter` those behind it are rolled up.
    pub fn list(&self, bucket: &BucketName, prefix: &str, delimiter: Option<&str>) -> Listing {
        let index = Index::new(self.store.clone(), bucket, prefix, delimiter);
        let (prefix, delimiter) = (prefix.to_owned(), delimiter.map(str::to_owned));
        let request = ListRequest { prefix, delimiter, ..ListRequest::default() };
        let looks = Looks::WhereNeeded;
        Listing {
            service: self.clone(),
            bucket: bucket.clone(),
            request: Some(request),
            looks,
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

    /// Believes no index, and leaves open which of two files a key that ends with `.delta` stands for: it is listed as the delta of a file,
    /// with the stored size, and may be a file of its own. For commands that read or look at each file anyway.
    #[must_use]
    pub fn undecided(self) -> Self {
        Self { looks: Looks::OfReferences, ..self }
    }

    /// Goes by keys and stored sizes alone, and sends no HEAD: what is called `NAME.delta` is taken for the delta of `NAME`, and
    /// `reference.bin` for a reference.
    #[must_use]
    pub fn by_stored_sizes(self) -> Self {
        Self { looks: Looks::Never, ..self }
    }

    /// Takes a fingerprint of what the store lists.
    pub(super) fn fingerprinted(mut self) -> Self {
        self.fingerprint = Some(Sha256Hasher::default());
        self
    }

    /// What tells this state of the bucket from every other, after the last page; what was only written to be faster has no part in it.
    pub(super) fn fingerprint(&mut self) -> Option<Sha256Digest> {
        self.fingerprint.take().map(Sha256Hasher::finish)
    }

    /// The next page; `None` after the last one. A page may have fewer files than the store's page has objects, even none.
    pub async fn next(&mut self) -> Result<Option<ListedPage>, ServiceError> {
        let Some(request) = self.request.take() else { return Ok(None) };
        let page = self.service.store.list(&self.bucket, &request).await?;
        let (cursor, more) = (page.objects.last().map(|object| object.key.clone()), page.continuation.is_some());
        if let Some(hasher) = &mut self.fingerprint {
            page.objects.iter().filter(|object| !deltaspace::is_memory(&object.key)).for_each(|it| mark(hasher, it));
        }
        if self.looks == Looks::WhereNeeded {
            let unknown: Vec<&ListedObject> = page.objects.iter().filter(|object| needs_look(&object.key)).collect();
            self.index.prepare(&unknown, more).await;
        }
        let looks: Vec<_> = page.objects.into_iter().map(|object| self.look(object)).collect();
        let looked: Vec<Option<Looked>> = futures::stream::iter(looks).buffered(HEADS_AT_ONCE).try_collect().await?;
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
            self.hold(file, &mut listed.older).await?;
        }
        self.release(cursor.filter(|_| more).as_ref(), more, &mut listed.files);
        listed.files.retain(|file| file.key.as_str().starts_with(&request.prefix));
        listed.folders = page.common_prefixes;
        let own = |folder: &String| folder.split('/').any(|name| name == deltaspace::INTERNAL_FOLDER);
        listed.folders.retain(|folder| !own(folder));
        if more {
            self.request = Some(ListRequest { continuation: page.continuation, ..request });
            self.index.flush().await;
        } else {
            self.index.finish().await;
        }
        Ok(Some(listed))
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
            Some(ListedFile { key, size, listed: Listed::Delta, stored: stored.clone(), sha256, kind })
        };
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
                None if stored.key.base_name() == REFERENCE_NAME => as_stored(Listed::Reference, None),
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
            Some(ListedFile { key, size, listed: Listed::Delta, stored: stored.clone(), sha256, kind })
        };
        let name = ObjectName::new(self.bucket.clone(), stored.key.clone());
        let Some(found) = Found::look(self.service.store(), name).await? else { return Ok(None) };
        let kind = Some(Box::new(found.kind.clone()));
        let (file, known) = match &found.kind {
            Kind::Delta(delta) => {
                let (size, sha256) = (delta.file_size, delta.file_sha256);
                (as_delta(size, Some(sha256), kind), Some(Known::Delta { size, sha256 }))
            }
            // Who lists it shall hear of it every time.
            Kind::Damaged(field) if found.is_delta() => (Some(as_stored(Listed::Damaged(*field), kind)), None),
            Kind::Damaged(_) => (Some(as_stored(Listed::Reference, kind)), None),
            Kind::Reference(_) => (Some(as_stored(Listed::Reference, kind)), Some(Known::Reference)),
            Kind::Direct(_) | Kind::Passthrough => (Some(as_stored(Listed::Plain, kind)), None),
        };
        Ok(file.map(|file| (file, known.map(|known| (known, Some(found.head))))))
    }

    /// Takes a file; of two objects of one name the newer stays.
    async fn hold(&mut self, mut file: ListedFile, older: &mut Vec<ListedFile>) -> Result<(), ServiceError> {
        let mut twin = self.twin_of(&file);
        if twin.is_some() && !file.is_decided() && self.looks != Looks::Never {
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

    /// Where the plain file is held that has the name of this delta.
    fn twin_of(&self, file: &ListedFile) -> Option<usize> {
        match file.listed {
            Listed::Delta => self.held.iter().position(|held| held.listed == Listed::Plain && held.key == file.key),
            _ => None,
        }
    }

    async fn delta_is_newer(&self, plain: &ListedFile, delta: &ListedFile) -> Result<bool, ServiceError> {
        let (a, b) = (plain.stored.last_modified, delta.stored.last_modified);
        if a != b || self.looks == Looks::Never {
            return Ok(b >= a);
        }
        let look = |file: &ListedFile| {
            Found::look(self.service.store(), ObjectName::new(self.bucket.clone(), file.stored.key.clone()))
        };
        let (plain, delta) = futures::try_join!(look(plain), look(delta))?;
        Ok(match (plain, delta) {
            (Some(plain), Some(delta)) => delta.newer_of_name(&plain).is_gt(),
            (plain, _) => plain.is_none(),
        })
    }

    /// Moves out what is settled: everything before the first plain file whose delta may stand behind `cursor`.
    fn release(&mut self, cursor: Option<&Key>, more: bool, files: &mut Vec<ListedFile>) {
        while let Some(file) = self.held.front() {
            let delta_may_come = file.listed == Listed::Plain
                && more
                && cursor.is_none_or(|cursor| *cursor.as_str() < *format!("{}{DELTA_SUFFIX}", file.key));
            if delta_may_come {
                break;
            }
            files.extend(self.held.pop_front());
        }
    }
}

/// Returns what a damaged object may be: a file of its key and, if it may be a delta, that file too.
/// Either is possibly there, and must not be taken for absent.
fn unreadable(damaged: &DamagedObject) -> impl Iterator<Item = ListedFile> {
    let last_modified = SystemTime::UNIX_EPOCH;
    let stored = ListedObject { key: damaged.key.clone(), size: 0, etag: damaged.etag.clone(), last_modified };
    let names = deltaspace::file_of(&damaged.key).into_iter().chain([damaged.key.clone()]);
    names.map(move |key| ListedFile {
        key,
        size: 0,
        listed: Listed::Unreadable,
        stored: stored.clone(),
        sha256: None,
        kind: None,
    })
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

/// Whether an index may say so of an object: it tells sizes, and a kind only where the key allows for no other file of ours.
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
