//! The files of a bucket: names and sizes of the originals, page by page.

use std::collections::VecDeque;

use futures::{StreamExt as _, TryStreamExt as _};

use super::DeltaService;
use super::error::ServiceError;
use super::locate::Found;
use crate::domain::metadata::{DELTA_SUFFIX, Field, Kind, REFERENCE_NAME};
use crate::domain::{Addressed, BucketName, Deltaspace, Key, ObjectName, deltaspace};
use crate::storage::{ListRequest, ListedObject};

/// HEAD requests in flight for one page.
const HEADS_AT_ONCE: usize = 32;

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
}

impl ListedFile {
    /// Whether a user knows of it: it is a file, or a delta none can be had from.
    pub fn is_shown(&self) -> bool {
        matches!(self.listed, Listed::Plain | Listed::Delta | Listed::Damaged(_))
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

/// A listing on its way.
#[derive(Debug)]
pub struct Listing {
    service: DeltaService,
    bucket: BucketName,
    request: Option<ListRequest>,
    /// From the first plain file on whose delta may still come.
    held: VecDeque<ListedFile>,
}

impl DeltaService {
    /// Lists the files whose name starts with `prefix`, a plain string; with a `delimiter` those behind it are rolled up.
    pub fn list(&self, bucket: &BucketName, prefix: &str, delimiter: Option<&str>) -> Listing {
        let (prefix, delimiter) = (prefix.to_owned(), delimiter.map(str::to_owned));
        let request = ListRequest { prefix, delimiter, ..ListRequest::default() };
        Listing { service: self.clone(), bucket: bucket.clone(), request: Some(request), held: VecDeque::new() }
    }
}

impl Listing {
    /// The next page; `None` after the last one. A page may have fewer files than the store's page has objects, even none.
    pub async fn next(&mut self) -> Result<Option<ListedPage>, ServiceError> {
        let Some(request) = self.request.take() else { return Ok(None) };
        let page = self.service.store.list(&self.bucket, &request).await?;
        let cursor = page.objects.last().map(|object| object.key.clone());
        let looks = page.objects.into_iter().map(|object| self.look(object));
        let looked: Vec<Option<ListedFile>> =
            futures::stream::iter(looks.collect::<Vec<_>>()).buffered(HEADS_AT_ONCE).try_collect().await?;
        let mut listed = ListedPage::default();
        for file in looked.into_iter().flatten() {
            self.hold(file, &mut listed.older).await?;
        }
        let more = page.continuation.is_some();
        self.release(cursor.filter(|_| more).as_ref(), more, &mut listed.files);
        listed.files.retain(|file| file.key.as_str().starts_with(&request.prefix));
        listed.folders = page.common_prefixes;
        let own = |folder: &String| folder.split('/').any(|name| name == deltaspace::INTERNAL_FOLDER);
        listed.folders.retain(|folder| !own(folder));
        if more {
            self.request = Some(ListRequest { continuation: page.continuation, ..request });
        }
        Ok(Some(listed))
    }

    /// What an object is; `None` when it was removed meanwhile.
    async fn look(&self, stored: ListedObject) -> Result<Option<ListedFile>, ServiceError> {
        let as_stored =
            |listed| ListedFile { key: stored.key.clone(), size: stored.size, listed, stored: stored.clone() };
        if deltaspace::is_internal(&stored.key) {
            let name = ObjectName::new(self.bucket.clone(), stored.key.clone());
            let addressed = Deltaspace::home_of(&name).addressed_at(&stored.key);
            let is_reference = matches!(addressed, Some(Addressed::Reference(_)));
            return Ok(Some(as_stored(if is_reference { Listed::Reference } else { Listed::Internal })));
        }
        let needs_head = stored.key.base_name() == REFERENCE_NAME || stored.key.as_str().ends_with(DELTA_SUFFIX);
        if !needs_head {
            return Ok(Some(as_stored(Listed::Plain)));
        }
        let name = ObjectName::new(self.bucket.clone(), stored.key.clone());
        let Some(found) = Found::look(self.service.store(), name).await? else { return Ok(None) };
        let file = match &found.kind {
            Kind::Delta(delta) => deltaspace::file_of(&stored.key).map(|key| ListedFile {
                key,
                size: delta.file_size,
                listed: Listed::Delta,
                stored: stored.clone(),
            }),
            Kind::Damaged(field) if found.is_delta() => Some(as_stored(Listed::Damaged(*field))),
            Kind::Damaged(_) | Kind::Reference(_) => Some(as_stored(Listed::Reference)),
            Kind::Direct(_) | Kind::Passthrough => Some(as_stored(Listed::Plain)),
        };
        Ok(file)
    }

    /// Takes a file; of two objects of one name the newer stays.
    async fn hold(&mut self, file: ListedFile, older: &mut Vec<ListedFile>) -> Result<(), ServiceError> {
        let twin = match file.listed {
            Listed::Delta => self.held.iter().position(|held| held.listed == Listed::Plain && held.key == file.key),
            _ => None,
        };
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

    async fn delta_is_newer(&self, plain: &ListedFile, delta: &ListedFile) -> Result<bool, ServiceError> {
        let (a, b) = (plain.stored.last_modified, delta.stored.last_modified);
        if a != b {
            return Ok(b > a);
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
