//! Streams the files of a local directory or a bucket prefix.

use std::collections::{HashSet, VecDeque};

use futures::stream::{BoxStream, StreamExt as _, TryStreamExt as _};

use super::entry::{At, Entry, Folder, Object, Seen};
use super::filter::Filter;
use super::walk::{Role, walk};
use crate::domain::metadata::DELTA_SUFFIX;
use crate::domain::{BucketName, Key, ObjectName};
use crate::service::error::ServiceError;
use crate::service::list::{Listed, ListedFile, Listing};
use crate::service::{DeltaService, blocking};

/// A stream of the items of a folder. After an error, nothing more of the folder is known.
pub(super) type Entries = BoxStream<'static, Result<Seen, ServiceError>>;

impl DeltaService {
    /// Returns the files of a folder; none if the local directory does not exist. With `to_read`,
    /// sizes are not needed, and the kind of an object is left to be resolved when it is read.
    pub(super) fn entries(
        &self,
        folder: &Folder,
        filter: &Filter,
        role: Role,
        to_read: bool,
    ) -> Entries {
        match folder {
            Folder::Local(path) => {
                let (path, filter) = (path.clone(), filter.clone());
                let walked =
                    async move { blocking::run(move |_| walk(&path, &filter, role)).await };
                futures::stream::once(walked)
                    .flat_map(|seen| futures::stream::iter(seen).map(Ok))
                    .boxed()
            }
            Folder::InBucket(bucket, prefix) => {
                let listing = self.list(bucket, prefix, None);
                let listing = if to_read { listing.unresolved() } else { listing.learning() };
                let pages = Pages { listing, read: VecDeque::new(), deltas: HashSet::new() };
                let (bucket, prefix) = (bucket.clone(), prefix.clone());
                let files = futures::stream::try_unfold(pages, async |mut pages: Pages| {
                    Ok::<_, ServiceError>(pages.next().await?.map(|file| (file, pages)))
                });
                let seen = move |(file, has_namesake)| {
                    futures::stream::iter(seen(&bucket, &prefix, file, has_namesake))
                        .map(Ok::<_, ServiceError>)
                };
                files.map_ok(seen).try_flatten().boxed()
            }
        }
    }
}

/// Iterates over a listing file by file.
struct Pages {
    listing: Listing,
    read: VecDeque<ListedFile>,
    /// Names of files that end in `.delta`. They are few, and a plain file is listed after its own
    /// delta was examined.
    deltas: HashSet<String>,
}

impl Pages {
    /// Returns the next file, and whether another file has the name of its delta.
    async fn next(&mut self) -> Result<Option<(ListedFile, bool)>, ServiceError> {
        loop {
            if let Some(file) = self.read.pop_front() {
                let has_namesake = self.deltas.contains(&format!("{}{DELTA_SUFFIX}", file.key));
                return Ok(Some((file, has_namesake)));
            }
            let Some(page) = self.listing.next().await? else { return Ok(None) };
            let names = page.files.iter().chain(self.listing.held()).map(|file| file.key.as_str());
            self.deltas
                .extend(names.filter(|name| name.ends_with(DELTA_SUFFIX)).map(str::to_owned));
            self.read.extend(
                page.files.into_iter().filter(|file| file.is_shown() || !file.is_resolved()),
            );
        }
    }
}

/// Returns the items of a listed file: the file, and the other file that its object may be.
fn seen(bucket: &BucketName, prefix: &str, file: ListedFile, has_namesake: bool) -> Vec<Seen> {
    let relative = |key: &Key| key.as_str().strip_prefix(prefix).unwrap_or_default().to_owned();
    let (decided, shown) = (file.is_resolved(), file.is_shown());
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
    let object = Object {
        name: ObjectName::new(bucket.clone(), file.key),
        stored,
        tag,
        plain,
        digest,
        decided,
    };
    let (size, modified) = (file.size, file.stored.last_modified);
    let entry = Entry {
        relative: own,
        size,
        modified,
        changed: modified,
        has_namesake,
        at: At::Object(Box::new(object)),
    };
    other.into_iter().chain([Seen::File(entry)]).collect()
}
