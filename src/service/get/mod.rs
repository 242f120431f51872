//! Reads a file back: exact, verified, and under its name only once verified.

mod compared;
mod delta;
mod draft_mode;
mod drafts;
mod options;
mod to_file;

use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use compared::Comparing;
use delta::Restoring;

use super::error::ServiceError;
use super::head::Head;
use super::objects::{StoredObject, Variants};
use super::payload::Payload;
use super::transcode::{check, check_len, written};
use super::watch::WatchedWriter;
use super::writers::{HashingWriter, RangeWriter};
use super::{DeltaService, blocking};
use crate::domain::Compression;
use crate::domain::metadata::Kind;
use crate::domain::{ByteRange, FileStatus, ObjectName, Sha256Digest};
use crate::storage::{
    ByteStream, ChecksumKind, ETag, ObjectBody, ObjectHead, StatedChecksum, StorageError,
    StorageErrorKind,
};

pub use compared::{Compared, StatedChecksums};
pub(crate) use drafts::Drafts;
pub use options::{GetOptions, GetReport};

/// The maximum number of attempts of a read whose object is replaced between the lookup and the
/// read.
const MAX_ATTEMPTS: usize = 5;

/// The object to serve, and the older ones of its name.
struct Chosen {
    stored: ObjectName,
    /// The range to read and the tag of the object it belongs to, if only a part of the stored
    /// bytes is needed.
    part: Option<(Range<u64>, ETag)>,
    older: Vec<ObjectName>,
    /// The bytes, if the lookup returned them.
    body: Option<ObjectBody>,
}

/// The result of a read.
enum Transferred<W> {
    /// The writer, the number of bytes, the checksum they were compared with, and the compression
    /// of content that could not be compressed again.
    Done((W, u64, Compared, Option<Compression>)),
    /// The object was replaced before anything was written.
    Replaced(W),
}

impl DeltaService {
    /// Writes a file to `to`, which may be standard output. The bytes are the file only if the call
    /// succeeds.
    pub async fn get<W: Write + Send + 'static>(
        &self,
        object: &ObjectName,
        to: W,
        options: &GetOptions,
    ) -> Result<(W, GetReport), ServiceError> {
        let get = Get { service: self.clone(), object: object.clone(), options: *options };
        let Some(watch) = &self.watch else { return get.run(to).await };
        let (to, report) = get.run(WatchedWriter::new(to, watch.clone())).await?;
        Ok((to.into_inner(), report))
    }

    /// Reads a file into a spool and verifies it.
    pub(crate) async fn restored(
        &self,
        object: &ObjectName,
        stated: StatedChecksums,
    ) -> Result<(Payload, GetReport), ServiceError> {
        let spool = self.objects.spool();
        let (spool, report) =
            self.get(object, spool, &GetOptions { stated, ..GetOptions::default() }).await?;
        let len = spool.len();
        let bytes = Arc::new(spool.finish().map_err(ServiceError::local(object))?);
        Ok((Payload::of(&object.to_string(), len, bytes), report))
    }
}

/// A get under way.
struct Get {
    service: DeltaService,
    object: ObjectName,
    options: GetOptions,
}

impl Get {
    async fn run<W: Write + Send + 'static>(
        &self,
        mut to: W,
    ) -> Result<(W, GetReport), ServiceError> {
        let (object, options) = (&self.object, &self.options);
        let mut rounds = 0;
        loop {
            rounds += 1;
            let Chosen { stored, part, older, body } = self.choose().await?;
            tracing::debug!(%object, %stored, "get");
            let range = part.as_ref().map(|(range, _)| range.clone());
            let body = match body {
                Some(body) => body,
                None => match self.service.store().get(&stored, range.clone()).await {
                    // It was deleted, or replaced by another kind, since the lookup.
                    Err(error)
                        if error.kind == StorageErrorKind::NotFound && rounds < MAX_ATTEMPTS =>
                    {
                        continue;
                    }
                    body => body?,
                },
            };
            if part.is_some_and(|(_, etag)| etag != body.head.etag) {
                if rounds < MAX_ATTEMPTS {
                    continue;
                }
                return Err(
                    StorageError::new(StorageErrorKind::Precondition, "GetObject", stored).into()
                );
            }
            let (etag, last_modified) = (body.head.etag.clone(), body.head.last_modified);
            let found = StoredObject::new(stored, body.head.clone());
            if let Some(watch) = &self.service.watch {
                watch.chosen(self.head_of(&found, &older));
            }
            let transferred = match range {
                Some(range) => write_part(&found, range, body, to).await?,
                None => self.transfer(&found, body, to).await?,
            };
            let (written, size, compared, unpacked) = match transferred {
                Transferred::Replaced(unused) if rounds < MAX_ATTEMPTS => {
                    to = unused;
                    continue;
                }
                Transferred::Replaced(_) => return Err(ServiceError::Changed(object.to_string())),
                Transferred::Done(transferred) => transferred,
            };
            let attributes =
                if options.raw { found.head.attributes.clone() } else { found.user_attributes() };
            let status = match options.raw || options.range.is_some() {
                true => FileStatus::default(),
                false => FileStatus::read(&found.head.attributes.metadata),
            };
            let stored = found.name;
            let report = GetReport {
                stored,
                size,
                compared,
                etag,
                last_modified,
                attributes,
                status,
                unpacked,
                older,
            };
            return Ok((written, report));
        }
    }

    /// Returns the properties of what is about to be read.
    fn head_of(&self, found: &StoredObject, older: &[ObjectName]) -> Head {
        let variants = [&found.name].into_iter().chain(older).cloned().collect();
        if !self.options.raw {
            return Head::of(found, variants);
        }
        let attributes = found.head.attributes.clone();
        Head { attributes, ..Head::as_stored(found, variants) }
    }

    async fn choose(&self) -> Result<Chosen, ServiceError> {
        let (store, object) = (self.service.store(), &self.object);
        if self.options.raw {
            let part = match self.options.range {
                Some(range) => Some(part_of(object, range, &store.head(object).await?)?),
                None => None,
            };
            return Ok(Chosen { stored: object.clone(), part, older: Vec::new(), body: None });
        }
        let (places, body) = Variants::open_for_file(store, object).await?;
        let variants = places.newest_first(store, object).await?;
        let Some((served, older)) = variants.split_first() else {
            return Err(ServiceError::absent(object));
        };
        let part = match self.options.range {
            Some(range) if !served.is_delta() => Some(part_of(object, range, &served.head)?),
            _ => None,
        };
        let older = older.iter().map(|found| found.name.clone()).collect();
        let body = body.filter(|_| served.name != *object);
        Ok(Chosen { stored: served.name.clone(), part, older, body })
    }

    async fn transfer<W: Write + Send + 'static>(
        &self,
        found: &StoredObject,
        body: ObjectBody,
        to: W,
    ) -> Result<Transferred<W>, ServiceError> {
        let expected = match &found.kind {
            Kind::Delta(delta) if !self.options.raw => {
                let Some(range) = self.options.range else {
                    return Ok(match self.restore(found, delta, body, to).await? {
                        Restoring::Done(to, size, None) => {
                            Transferred::Done((to, size, Compared::Sha256(delta.file_sha256), None))
                        }
                        Restoring::Done(to, size, unpacked) => {
                            Transferred::Done((to, size, Compared::Nothing, unpacked))
                        }
                        Restoring::Replaced(to) => Transferred::Replaced(to),
                    });
                };
                let range = range.within(delta.file_size).ok_or_else(|| outside(&self.object))?;
                return Ok(
                    match self.restore(found, delta, body, RangeWriter::new(to, range)).await? {
                        Restoring::Done(cut, _, _) => {
                            let (to, size) = cut.finish();
                            Transferred::Done((to, size, Compared::Sha256(delta.file_sha256), None))
                        }
                        Restoring::Replaced(cut) => Transferred::Replaced(cut.into_inner()),
                    },
                );
            }
            Kind::Damaged(field) if !self.options.raw => {
                return Err(ServiceError::Metadata { object: found.name.clone(), field: *field });
            }
            Kind::Direct(direct) => Some((direct.file_size, direct.file_sha256)),
            _ => body.head.sha256.map(|sha256| (body.head.size, sha256)),
        };
        match expected {
            Some(expected) => {
                let (to, actual) = copy_out(&found.name, body.stream, to).await?;
                check(&self.object, expected, actual)?;
                Ok(Transferred::Done((to, actual.0, Compared::Sha256(actual.1), None)))
            }
            None => self.transfer_stated(&found.name, body, to).await,
        }
    }

    /// Writes a file without a SHA-256, and compares it with the checksums that the store states.
    async fn transfer_stated<W: Write + Send + 'static>(
        &self,
        stored: &ObjectName,
        body: ObjectBody,
        to: W,
    ) -> Result<Transferred<W>, ServiceError> {
        let ObjectBody { head, stream } = body;
        let stated =
            if self.options.stated == StatedChecksums::Ignore { &[] } else { &*head.stated };
        let (to, (len, digest)) = copy_out(stored, stream, Comparing::new(to, stated)).await?;
        check_len(&self.object, head.size, len)?;
        let (to, compared) = to.finish();
        let compared = match compared {
            Ok(None) => Compared::Nothing,
            Ok(Some(equal)) => Compared::Stated(equal.kind),
            Err(stated) => {
                let checksum = self.read_again(stored, &head, (len, digest), &stated).await?;
                if self.options.stated == StatedChecksums::Require {
                    return Err(ServiceError::ChecksumMismatch {
                        object: self.object.clone(),
                        checksum,
                    });
                }
                Compared::ChecksumMismatch(checksum)
            }
        };
        Ok(Transferred::Done((to, len, compared, None)))
    }

    /// Reads an object a second time after its bytes did not match the store's checksum. Returns
    /// the algorithm if both reads gave the same bytes.
    async fn read_again(
        &self,
        stored: &ObjectName,
        head: &ObjectHead,
        first: (u64, Sha256Digest),
        stated: &StatedChecksum,
    ) -> Result<ChecksumKind, ServiceError> {
        let (object, checksum) = (self.object.clone(), stated.kind);
        if stated.is_reliable {
            return Err(ServiceError::Damaged { object, checksum });
        }
        let again = self.service.store().get(stored, None).await?;
        if again.head.etag != head.etag {
            return Err(ServiceError::Changed(object.to_string()));
        }
        let (_, second) = copy_out(stored, again.stream, std::io::sink()).await?;
        if second != first {
            return Err(ServiceError::Unstable { object, checksum });
        }
        Ok(checksum)
    }
}

/// Writes a part of a file that is stored as it is.
async fn write_part<W: Write + Send + 'static>(
    found: &StoredObject,
    range: Range<u64>,
    body: ObjectBody,
    to: W,
) -> Result<Transferred<W>, ServiceError> {
    let (to, (size, _)) = copy_out(&found.name, body.stream, to).await?;
    check_len(&found.name, range.end - range.start, size)?;
    Ok(Transferred::Done((to, size, Compared::Nothing, None)))
}

/// Writes bytes as they arrive, and returns their length and digest.
async fn copy_out<W: Write + Send + 'static>(
    stored: &ObjectName,
    stream: ByteStream,
    to: W,
) -> Result<(W, (u64, Sha256Digest)), ServiceError> {
    let stored = stored.clone();
    blocking::feed(stream, move |incoming| {
        let mut sink = HashingWriter::new(to);
        while let Some(piece) = incoming.next().map_err(ServiceError::local(&stored))? {
            sink.write_all(&piece).map_err(written())?;
        }
        let (to, len, digest) = sink.finish().map_err(written())?;
        Ok((to, (len, digest)))
    })
    .await
}

fn part_of(
    object: &ObjectName,
    range: ByteRange,
    head: &ObjectHead,
) -> Result<(Range<u64>, ETag), ServiceError> {
    let range = range.within(head.size).ok_or_else(|| outside(object))?;
    Ok((range, head.etag.clone()))
}

/// Returns the error for a range that has no byte of the file.
fn outside(object: &ObjectName) -> ServiceError {
    StorageError::new(StorageErrorKind::InvalidRange, "GetObject", object).into()
}
