//! `list`: the files under a prefix, as a stream.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::SystemTime;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _, TryStreamExt as _};

use super::DeltaGlider;
use super::error::Error;
use super::location::Location;
use crate::domain::{BucketName, ObjectName, Sha256Digest};
use crate::service::{Listed, ListedFile, ListedPage, Listing};
use crate::storage::ETag;

const LIST: &str = "list";

impl DeltaGlider {
    /// Lists the files whose names begin with a prefix, a plain string, with their original sizes.
    /// The stream is in the order of the stored keys: a delta of `NAME` is listed where
    /// `NAME.delta` is.
    ///
    /// ```
    /// # use deltaglider::{DeltaGlider, ListItem};
    /// # use futures::TryStreamExt as _;
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let dg = DeltaGlider::builder().embedded(folder.path()).build().await?;
    /// # dg.create_bucket("releases").await?;
    /// for name in ["app/1.0.txt", "app/1.1.txt", "notes.txt"] {
    ///     dg.put(format!("s3://releases/{name}"), "what is new").await?;
    /// }
    /// let mut files = dg.list("s3://releases/app/").start_after("app/1.0.txt");
    /// while let Some(item) = files.try_next().await? {
    ///     let ListItem::File(file) = item else { continue };
    ///     assert_eq!((file.object.key.as_str(), file.size), ("app/1.1.txt", 11));
    /// }
    /// let top: Vec<_> = dg.list("s3://releases").delimiter("/").try_collect().await?;
    /// assert_eq!(top.len(), 2);
    /// # Ok(()) }
    /// ```
    pub fn list(&self, prefix: impl Into<Location>) -> ListFiles {
        ListFiles {
            client: self.clone(),
            prefix: prefix.into(),
            delimiter: None,
            start_after: String::new(),
            limit: None,
            items: None,
        }
    }
}

/// A file of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileEntry {
    /// The file.
    pub object: ObjectName,
    /// The size of the file in bytes.
    pub size: u64,
    /// The size of the stored object in bytes.
    pub stored_size: u64,
    /// True if it is stored as a delta.
    pub is_delta: bool,
    /// True if it cannot be restored, since its metadata or its stored object is damaged.
    pub is_damaged: bool,
    /// The SHA-256 of the file, if the listing has it.
    pub sha256: Option<Sha256Digest>,
    /// The tag of the stored object.
    pub etag: ETag,
    /// The store's time of the stored object.
    pub last_modified: SystemTime,
}

impl FileEntry {
    fn of(bucket: &BucketName, file: ListedFile) -> Self {
        Self {
            object: ObjectName::new(bucket.clone(), file.key),
            size: file.size,
            stored_size: file.stored.size,
            is_delta: file.listed == Listed::Delta,
            is_damaged: !matches!(file.listed, Listed::Plain | Listed::Delta),
            sha256: file.sha256,
            etag: file.stored.etag,
            last_modified: file.stored.last_modified,
        }
    }
}

/// An item of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListItem {
    /// A file.
    File(FileEntry),
    /// The common prefix of several files, up to the delimiter.
    Prefix(String),
}

/// A listing with its options, which count if they are set before the first item is read; see
/// [`DeltaGlider::list`].
#[must_use = "nothing is listed before the stream is read"]
pub struct ListFiles {
    client: DeltaGlider,
    prefix: Location,
    delimiter: Option<String>,
    start_after: String,
    limit: Option<usize>,
    items: Option<BoxStream<'static, Result<ListItem, Error>>>,
}

impl ListFiles {
    /// Rolls up the names that contain this text after the prefix into common prefixes.
    pub fn delimiter(mut self, text: impl Into<String>) -> Self {
        self.delimiter = Some(text.into());
        self
    }

    /// Lists only the names and common prefixes after this name in byte order. The listing is read
    /// from the start of its prefix all the same, since names have another order than their stored
    /// keys.
    pub fn start_after(mut self, name: impl Into<String>) -> Self {
        self.start_after = name.into();
        self
    }

    /// Ends the listing after this number of items.
    pub fn limit(mut self, items: usize) -> Self {
        self.limit = Some(items);
        self
    }

    fn open(&self) -> BoxStream<'static, Result<ListItem, Error>> {
        let uri = match self.prefix.prefix(LIST) {
            Ok(uri) => uri,
            Err(error) => return futures::stream::once(async { Err(error) }).boxed(),
        };
        let delimiter = self.delimiter.as_deref();
        let listing = self.client.service().list(&uri.bucket, &uri.path, delimiter);
        let (bucket, after) = (uri.bucket.clone(), self.start_after.clone());
        let items = pages(listing, uri.to_string());
        let items = items.map_ok(move |page| items_of(&bucket, &after, page)).try_flatten();
        items.take(self.limit.unwrap_or(usize::MAX)).boxed()
    }
}

/// Returns the pages of a listing.
fn pages(
    listing: Listing,
    of: String,
) -> impl Stream<Item = Result<ListedPage, Error>> + Send + 'static {
    futures::stream::try_unfold((listing, of), |(mut listing, of)| async move {
        let page = listing.next().await.map_err(Error::of(LIST, &of))?;
        Ok(page.map(|page| (page, (listing, of))))
    })
}

fn items_of(
    bucket: &BucketName,
    after: &str,
    page: ListedPage,
) -> impl Stream<Item = Result<ListItem, Error>> + Send + use<> {
    let is_listed = |file: &ListedFile| file.is_shown() && file.key.as_str() > after;
    let files = page.files.into_iter().filter(is_listed);
    let files: Vec<_> = files.map(|file| ListItem::File(FileEntry::of(bucket, file))).collect();
    let is_after = |folder: &String| after.is_empty() || folder.as_str() > after;
    let folders: Vec<_> = page.folders.into_iter().filter(is_after).map(ListItem::Prefix).collect();
    futures::stream::iter(files.into_iter().chain(folders).map(Ok))
}

impl Stream for ListFiles {
    type Item = Result<ListItem, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let items = match self.items.take() {
            Some(items) => items,
            None => self.open(),
        };
        self.items.insert(items).poll_next_unpin(cx)
    }
}

impl fmt::Debug for ListFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListFiles").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
