//! The files of a folder, in a bucket or on a disk, under the names they have from the folder on.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use futures::stream::{BoxStream, StreamExt as _, TryStreamExt as _};

use super::Passed;
use crate::domain::metadata::DELTA_SUFFIX;
use crate::domain::{BucketName, Key, ObjectName, Sha256Digest, paths};
use crate::service::error::ServiceError;
use crate::service::list::{Listed, ListedFile, Listing};
use crate::service::{DeltaService, blocking};
use crate::storage::ETag;

/// Where files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Folder {
    /// On a disk.
    Local(PathBuf),
    /// In a bucket, below a prefix that is empty or ends with `/`.
    InBucket(BucketName, String),
}

impl Folder {
    /// A folder in a bucket; `v1` is what is in `v1/`.
    pub fn in_bucket(bucket: &BucketName, path: &str) -> Self {
        Self::InBucket(bucket.clone(), paths::folder(path))
    }

    /// The object of this name in the folder.
    pub(super) fn object(&self, relative: &str) -> Result<ObjectName, ServiceError> {
        let (bucket, prefix) = match self {
            Self::InBucket(bucket, prefix) => (bucket, prefix),
            Self::Local(path) => return Err(ServiceError::NotInAStore(path.join(relative))),
        };
        let key = format!("{prefix}{relative}");
        let named = |source| ServiceError::Name { object: format!("s3://{bucket}/{key}"), source };
        Ok(ObjectName::new(bucket.clone(), Key::new(key.as_str()).map_err(named)?))
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => write!(f, "{}", path.display()),
            Self::InBucket(bucket, prefix) => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

/// A file.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Its name from the folder on, with `/` between the parts.
    pub(super) relative: String,
    pub(super) size: u64,
    pub(super) modified: SystemTime,
    /// Whether there is another file, of the name that the delta of this one would have.
    pub(super) has_namesake: bool,
    pub(super) at: At,
}

#[derive(Debug, Clone)]
pub(super) enum At {
    File(PathBuf),
    Object(Box<Object>),
}

#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) name: ObjectName,
    /// The object that is served for it.
    pub(super) stored: ObjectName,
    /// The tag of that object.
    pub(super) tag: ETag,
    /// Whether its tag is that of the file.
    pub(super) plain: bool,
    /// Of the file, where the listing knew it.
    pub(super) digest: Option<Sha256Digest>,
    /// Whether the stored object is how this file is stored; else it may be a file of its own, called as a delta would be.
    pub(super) decided: bool,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            At::File(path) => write!(f, "{}", path.display()),
            At::Object(object) => object.name.fmt(f),
        }
    }
}

/// What there is in a folder.
#[derive(Debug)]
pub(super) enum Seen {
    File(Entry),
    /// An empty object that stands for a folder.
    Marker(String),
    /// What may be a file of this name, and is listed as something else.
    Undecided(String, ObjectName),
    Passed(PathBuf, Passed),
    Failed(String, ServiceError),
}

type Entries = BoxStream<'static, Result<Seen, ServiceError>>;

impl DeltaService {
    /// The files of a folder; none, where there is no such folder on a disk. With `to_read`, no size is needed, and what a file is
    /// will be seen when it is read.
    pub(super) fn entries(&self, folder: &Folder, to_read: bool) -> Entries {
        match folder {
            Folder::Local(path) => {
                let path = path.clone();
                let walked = async move { blocking::run(move |_| walk(&path)).await };
                futures::stream::once(walked).flat_map(|seen| futures::stream::iter(seen).map(Ok)).boxed()
            }
            Folder::InBucket(bucket, prefix) => {
                let listing = self.list(bucket, prefix, None);
                let listing = if to_read { listing.undecided() } else { listing.learning() };
                let pages = Pages { listing, read: VecDeque::new(), deltas: HashSet::new() };
                let (bucket, prefix) = (bucket.clone(), prefix.clone());
                let files = futures::stream::try_unfold(pages, async |mut pages: Pages| {
                    Ok::<_, ServiceError>(pages.next().await?.map(|file| (file, pages)))
                });
                let seen = move |(file, has_namesake)| {
                    futures::stream::iter(seen(&bucket, &prefix, file, has_namesake)).map(Ok::<_, ServiceError>)
                };
                files.map_ok(seen).try_flatten().boxed()
            }
        }
    }
}

/// A listing, file by file.
struct Pages {
    listing: Listing,
    read: VecDeque<ListedFile>,
    /// The names of files that end as those of deltas do; few, and a plain file comes after a look at that of its own delta.
    deltas: HashSet<String>,
}

impl Pages {
    /// The next file, and whether it has a namesake.
    async fn next(&mut self) -> Result<Option<(ListedFile, bool)>, ServiceError> {
        loop {
            if let Some(file) = self.read.pop_front() {
                let has_namesake = self.deltas.contains(&format!("{}{DELTA_SUFFIX}", file.key));
                return Ok(Some((file, has_namesake)));
            }
            let Some(page) = self.listing.next().await? else { return Ok(None) };
            let names = page.files.iter().chain(self.listing.held()).map(|file| file.key.as_str());
            self.deltas.extend(names.filter(|name| name.ends_with(DELTA_SUFFIX)).map(str::to_owned));
            self.read.extend(page.files.into_iter().filter(|file| file.is_shown() || !file.is_decided()));
        }
    }
}

/// A file, and what else its object may be.
fn seen(bucket: &BucketName, prefix: &str, file: ListedFile, has_namesake: bool) -> Vec<Seen> {
    let relative = |key: &Key| key.as_str().strip_prefix(prefix).unwrap_or_default().to_owned();
    let (decided, shown) = (file.is_decided(), file.is_shown());
    let (stored, tag) = (ObjectName::new(bucket.clone(), file.stored.key), file.stored.etag);
    let other = (!decided).then(|| Seen::Undecided(relative(&stored.key), stored.clone()));
    let own = relative(&file.key);
    if !shown {
        return other.into_iter().collect();
    }
    if file.size == 0 && (own.is_empty() || own.ends_with('/')) {
        return vec![Seen::Marker(own)];
    }
    let (plain, digest) = (file.listed == Listed::Plain, file.sha256);
    let object = Object { name: ObjectName::new(bucket.clone(), file.key), stored, tag, plain, digest, decided };
    let (size, modified) = (file.size, file.stored.last_modified);
    let entry = Entry { relative: own, size, modified, has_namesake, at: At::Object(Box::new(object)) };
    other.into_iter().chain([Seen::File(entry)]).collect()
}

/// In the order of the names, so that it does not depend on the file system which file becomes a reference.
fn walk(folder: &Path) -> Vec<Seen> {
    if !folder.exists() {
        return Vec::new();
    }
    let entries = walkdir::WalkDir::new(folder).follow_links(true).sort_by_file_name();
    let mut seen: Vec<Seen> = entries.into_iter().filter_map(|entry| of_disk(folder, entry)).collect();
    let name = |seen: &Seen| match seen {
        Seen::File(entry) if entry.relative.ends_with(DELTA_SUFFIX) => Some(entry.relative.clone()),
        _ => None,
    };
    let deltas: HashSet<String> = seen.iter().filter_map(name).collect();
    for seen in &mut seen {
        if let Seen::File(entry) = seen {
            entry.has_namesake = deltas.contains(&format!("{}{DELTA_SUFFIX}", entry.relative));
        }
    }
    seen
}

fn of_disk(folder: &Path, entry: walkdir::Result<walkdir::DirEntry>) -> Option<Seen> {
    let failed = |path: &Path, cause: std::io::Error| {
        let what = path.display().to_string();
        Some(Seen::Failed(what.clone(), ServiceError::Local { what, source: cause }))
    };
    let entry = match entry {
        Ok(entry) => entry,
        Err(error) => {
            let path = error.path().unwrap_or(folder).to_owned();
            return failed(&path, error.into());
        }
    };
    let path = entry.path();
    if entry.file_type().is_dir() {
        return None;
    }
    if paths::is_draft_name(entry.file_name()) {
        return Some(Seen::Passed(path.to_owned(), Passed::Draft));
    }
    if !entry.file_type().is_file() {
        return Some(Seen::Passed(path.to_owned(), Passed::NotAFile));
    }
    let Some(relative) = paths::relative_key(path.strip_prefix(folder).unwrap_or(path)) else {
        let source = ServiceError::NotUtf8(path.to_owned());
        return Some(Seen::Failed(path.display().to_string(), source));
    };
    let metadata = match entry.metadata() {
        Ok(metadata) => metadata,
        Err(error) => return failed(path, error.into()),
    };
    let modified = match metadata.modified() {
        Ok(modified) => modified,
        Err(error) => return failed(path, error),
    };
    let (size, at) = (metadata.len(), At::File(path.to_owned()));
    Some(Seen::File(Entry { relative, size, modified, has_namesake: false, at }))
}
