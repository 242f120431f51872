//! `put` and `upload`: store a file.

use std::fmt;
use std::path::Path;
use std::pin::pin;

use futures::StreamExt as _;
use futures::future::{Either, select};

use super::DeltaGlider;
use super::body::{Body, Content};
use super::channel::StreamReader;
use super::error::{Error, ErrorKind};
use super::location::Location;
use super::progress::{Meter, Progress};
use crate::domain::{ObjectName, Sha256Digest};
use crate::service::{Payload, PutOptions, PutReport, PutWarning, ServiceError, StoredAs};
use crate::storage::{Attributes, CannedAcl, Encryption};

const PUT: &str = "store";

impl DeltaGlider {
    /// Stores a file: as a delta, if that saves space, or as it is.
    ///
    /// The name has its new content when the call returns, and not before; it never has a part of
    /// it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AlreadyExists`] if the name has a file and the put is
    /// [`if_absent`](PutFile::if_absent); [`ErrorKind::Local`] if the body cannot be read.
    ///
    /// ```
    /// # use deltaglider::{DeltaGlider, ErrorKind};
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let dg = DeltaGlider::builder().embedded(folder.path()).build().await?;
    /// # dg.create_bucket("releases").await?;
    /// let stored = dg
    ///     .put("s3://releases/notes.txt", "what is new")
    ///     .content_type("text/plain")
    ///     .metadata("version", "1.0")
    ///     .tag("stage", "beta")
    ///     .if_absent()
    ///     .await?;
    /// assert_eq!((stored.size, stored.saved()), (11, 0));
    ///
    /// let again = dg.put("s3://releases/notes.txt", "other").if_absent().await;
    /// assert_eq!(again.unwrap_err().kind(), ErrorKind::AlreadyExists);
    /// # Ok(()) }
    /// ```
    pub fn put(&self, to: impl Into<Location>, body: impl Into<Body>) -> PutFile {
        PutFile {
            client: self.clone(),
            to: to.into(),
            body: body.into(),
            options: PutOptions::default(),
            meter: Meter::default(),
            error: None,
        }
    }

    /// Stores a local file, with its modification time and mode. A destination that is a bucket or
    /// ends with `/` is completed by the name of the file.
    ///
    /// ```
    /// # use deltaglider::DeltaGlider;
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let dg = DeltaGlider::builder().embedded(folder.path()).build().await?;
    /// # dg.create_bucket("releases").await?;
    /// # let path = folder.path().join("app-1.0.zip");
    /// # std::fs::write(&path, [7; 1000])?;
    /// let stored = dg.upload(&path, "s3://releases/app/").await?;
    /// assert_eq!(stored.object.to_string(), "s3://releases/app/app-1.0.zip");
    /// # Ok(()) }
    /// ```
    pub fn upload(&self, path: impl AsRef<Path>, to: impl Into<Location>) -> PutFile {
        let (path, to) = (path.as_ref(), to.into());
        let is_folder =
            to.prefix(PUT).is_ok_and(|uri| uri.path.is_empty() || uri.path.ends_with('/'));
        let name = path.file_name().and_then(|name| name.to_str());
        let to = match name {
            Some(name) if is_folder => {
                let slash = if to.as_str().ends_with('/') { "" } else { "/" };
                Location::from(format!("{to}{slash}{name}"))
            }
            _ => to,
        };
        self.put(to, Body::path(path))
    }
}

/// The result of a put.
#[derive(Debug)]
#[non_exhaustive]
pub struct Stored {
    /// The file.
    pub object: ObjectName,
    /// The form in which it was stored.
    pub stored_as: StoredAs,
    /// The size of the file in bytes.
    pub size: u64,
    /// Bytes added to the store: the delta, the file, or the file and its delta.
    pub stored: u64,
    /// SHA-256 of the file; `None` if the store copied an object that has none, or does not take
    /// the metadata of a stream that was sent as it came.
    pub sha256: Option<Sha256Digest>,
    /// Problems that did not prevent the put.
    pub warnings: Vec<PutWarning>,
}

impl Stored {
    pub(super) fn of(object: ObjectName, report: PutReport) -> Self {
        let PutReport { stored_as, size, stored, sha256, warnings } = report;
        Self { object, stored_as, size, stored, sha256, warnings }
    }

    /// Returns the bytes saved; 0 for a file that became a reference.
    pub fn saved(&self) -> u64 {
        self.size.saturating_sub(self.stored)
    }
}

/// A put with its options; see [`DeltaGlider::put`].
#[must_use = "nothing is stored before the put is awaited"]
pub struct PutFile {
    client: DeltaGlider,
    to: Location,
    body: Body,
    options: PutOptions,
    meter: Meter,
    error: Option<Error>,
}

verb!(PutFile => Stored);

impl fmt::Debug for PutFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutFile")
            .field("to", &self.to)
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

impl PutFile {
    /// Stores the file only if its name has none.
    ///
    /// On stores with atomic conditional writes, one of several concurrent puts succeeds, as long
    /// as all store the file in the same form: a delta and a file as it is have two keys.
    pub fn if_absent(mut self) -> Self {
        self.options.if_absent = true;
        self
    }

    /// Stores the file as it is, whatever its name.
    pub fn without_delta(mut self) -> Self {
        self.options.delta = false;
        self
    }

    /// Sets the `Content-Type`.
    pub fn content_type(mut self, value: impl Into<String>) -> Self {
        self.options.attributes.content_type = Some(value.into());
        self
    }

    /// Sets the `Cache-Control`.
    pub fn cache_control(mut self, value: impl Into<String>) -> Self {
        self.options.attributes.cache_control = Some(value.into());
        self
    }

    /// Sets the `Content-Disposition`.
    pub fn content_disposition(mut self, value: impl Into<String>) -> Self {
        self.options.attributes.content_disposition = Some(value.into());
        self
    }

    /// Sets the `Content-Encoding`.
    pub fn content_encoding(mut self, value: impl Into<String>) -> Self {
        self.options.attributes.content_encoding = Some(value.into());
        self
    }

    /// Adds a field of user metadata, without `x-amz-meta-`.
    pub fn metadata(mut self, name: &str, value: impl Into<String>) -> Self {
        self.options.attributes.metadata.insert(name.to_ascii_lowercase(), value.into());
        self
    }

    /// Adds a tag.
    pub fn tag(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.attributes.tags.insert(name.into(), value.into());
        self
    }

    /// Sets the storage class, such as `STANDARD_IA`.
    pub fn storage_class(mut self, name: &str) -> Self {
        match name.parse() {
            Ok(class) => self.options.attributes.storage_class = Some(class),
            Err(error) => {
                let error = || Error::new(ErrorKind::InvalidInput, PUT, &self.to, error);
                self.error.get_or_insert_with(error);
            }
        }
        self
    }

    /// Sets the server-side encryption.
    pub fn encryption(mut self, encryption: Encryption) -> Self {
        self.options.attributes.encryption = Some(encryption);
        self
    }

    /// Sets the canned ACL.
    pub fn acl(mut self, acl: CannedAcl) -> Self {
        self.options.attributes.acl = Some(acl);
        self
    }

    /// Sets all headers, metadata and tags at once.
    pub fn attributes(mut self, attributes: Attributes) -> Self {
        self.options.attributes = attributes;
        self
    }

    /// Calls `listener` whenever bytes were read or sent.
    pub fn progress(mut self, listener: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        self.meter = Meter::new(listener);
        self
    }

    async fn run(self) -> Result<Stored, Error> {
        let Self { client, to, body, mut options, meter, error } = self;
        if let Some(error) = error {
            return Err(error);
        }
        let object = to.object(PUT)?;
        let service = client.observed(&meter);
        let report = match body.0 {
            Content::Stream { stream, len } => {
                let name = object.to_string();
                let seen = meter.clone();
                let stream = stream.inspect(move |piece| {
                    seen.read(piece.as_ref().map_or(0, |piece| piece.len() as u64), len);
                });
                let (reader, feed) = StreamReader::of(stream.boxed());
                let put = service.put_stream(Box::new(reader), &name, &object, &options, len);
                fed(feed, put).await
            }
            content => {
                let file = held(&client, &object, content, &meter).await;
                match file {
                    Ok(file) => {
                        options.status = file.status();
                        service.put(&file, &object, &options).await
                    }
                    Err(error) => Err(error),
                }
            }
        };
        let report = report.map_err(Error::of(PUT, &object))?;
        Ok(Stored::of(object, report))
    }
}

/// Runs `call` while `feed` feeds the reader that it reads.
async fn fed<T>(feed: impl Future<Output = ()>, call: impl Future<Output = T>) -> T {
    match select(pin!(call), pin!(feed)).await {
        Either::Left((done, _)) => done,
        Either::Right(((), call)) => call.await,
    }
}

/// Returns a content that can be read as often as a step needs. `object` is for messages.
pub(super) async fn held(
    client: &DeltaGlider,
    object: &ObjectName,
    content: Content,
    meter: &Meter,
) -> Result<Payload, ServiceError> {
    let file = match content {
        Content::Bytes(bytes) => Payload::from_bytes(&object.to_string(), bytes),
        Content::Path(path) => Payload::open(&path).await?,
        Content::Stream { stream, .. } => {
            let (reader, feed) = StreamReader::of(stream);
            let folder = client.inner.connection.spool_dir();
            fed(feed, Payload::spool(reader, &object.to_string(), &folder)).await?
        }
    };
    Ok(file.watched(meter.watch().map(|watch| watch.of_read())))
}
