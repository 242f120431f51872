//! Giving a file back: exact, verified, and under its name only when it is.

use std::io::Write;
use std::ops::Range;

use super::error::ServiceError;
use super::get_delta::Restoring;
use super::get_options::{GetOptions, GetReport};
use super::locate::{Found, Places};
use super::restore::{check, written};
use super::sink::{Cut, Sink};
use super::{DeltaService, blocking};
use crate::domain::metadata::Kind;
use crate::domain::policy::Compression;
use crate::domain::{ByteRange, FileStatus, ObjectName, Sha256Digest};
use crate::storage::{ByteStream, ETag, ObjectBody, ObjectHead, StorageError, StorageErrorKind};

/// An object can be replaced between our look and our read: more rounds than this are no race any more.
const ROUNDS: usize = 5;

/// The object to serve, and those of the same name that are older.
struct Chosen {
    stored: ObjectName,
    /// The bytes asked for of an object with this tag, where they are a part of the stored ones.
    part: Option<(Range<u64>, ETag)>,
    older: Vec<ObjectName>,
    /// Its bytes, where they came with the look.
    body: Option<ObjectBody>,
}

/// What became of a read.
enum Transferred<W> {
    /// The writer, the number of bytes, what they were verified against, and the compression of what could not be packed again.
    Done((W, u64, Option<Sha256Digest>, Option<Compression>)),
    /// The object was replaced before anything was written.
    Replaced(W),
}

impl DeltaService {
    /// Writes a file to `to`, which may be standard output: what was written is the file only if this succeeds.
    pub async fn get<W: Write + Send + 'static>(
        &self,
        object: &ObjectName,
        to: W,
        options: &GetOptions,
    ) -> Result<(W, GetReport), ServiceError> {
        let mut rounds = 0;
        let mut to = to;
        loop {
            rounds += 1;
            let Chosen { stored, part, older, body } = self.choose(object, options).await?;
            tracing::debug!(%object, %stored, "get");
            let range = part.as_ref().map(|(range, _)| range.clone());
            let body = match body {
                Some(body) => body,
                None => match self.store.get(&stored, range.clone()).await {
                    // It was removed, or replaced by another kind, since we looked.
                    Err(error) if error.kind == StorageErrorKind::NotFound && rounds < ROUNDS => continue,
                    body => body?,
                },
            };
            if part.is_some_and(|(_, etag)| etag != body.head.etag) {
                if rounds < ROUNDS {
                    continue;
                }
                return Err(StorageError::new(StorageErrorKind::Precondition, "GetObject", stored).into());
            }
            if let Some(range) = range {
                return self.give_part(stored, range, body, to, options, older).await;
            }
            let (etag, last_modified) = (body.head.etag.clone(), body.head.last_modified);
            let found = Found::new(stored, body.head.clone());
            let transferred = match self.transfer(object, &found, body, to, options).await? {
                Transferred::Replaced(unused) if rounds < ROUNDS => {
                    to = unused;
                    continue;
                }
                Transferred::Replaced(_) => return Err(ServiceError::Changed(object.to_string())),
                Transferred::Done(transferred) => transferred,
            };
            let (to, size, sha256, unpacked) = transferred;
            let attributes = if options.raw { found.head.attributes.clone() } else { found.user_attributes() };
            let status = match options.raw || options.range.is_some() {
                true => FileStatus::default(),
                false => FileStatus::read(&found.head.attributes.metadata),
            };
            let stored = found.name;
            let report = GetReport { stored, size, sha256, etag, last_modified, attributes, status, unpacked, older };
            return Ok((to, report));
        }
    }

    async fn choose(&self, object: &ObjectName, options: &GetOptions) -> Result<Chosen, ServiceError> {
        if options.raw {
            let part = match options.range {
                Some(range) => Some(part_of(object, range, &self.store.head(object).await?)?),
                None => None,
            };
            return Ok(Chosen { stored: object.clone(), part, older: Vec::new(), body: None });
        }
        let (places, body) = Places::open_for_file(self.store(), object).await?;
        let variants = places.variants(self.store(), object).await?;
        let Some((served, older)) = variants.split_first() else { return Err(ServiceError::absent(object)) };
        let part = match options.range {
            Some(range) if !served.is_delta() => Some(part_of(object, range, &served.head)?),
            _ => None,
        };
        let older = older.iter().map(|found| found.name.clone()).collect();
        let body = body.filter(|_| served.name != *object);
        Ok(Chosen { stored: served.name.clone(), part, older, body })
    }

    /// Writes a part of a file that is stored as it is.
    async fn give_part<W: Write + Send + 'static>(
        &self,
        stored: ObjectName,
        range: Range<u64>,
        body: ObjectBody,
        to: W,
        options: &GetOptions,
        older: Vec<ObjectName>,
    ) -> Result<(W, GetReport), ServiceError> {
        let found = Found::new(stored, body.head);
        let (to, size, actual) = copy_out(&found.name, body.stream, to).await?;
        check(&found.name, (range.end - range.start, actual), (size, actual))?;
        let (etag, last_modified) = (found.head.etag.clone(), found.head.last_modified);
        let attributes = if options.raw { found.head.attributes.clone() } else { found.user_attributes() };
        let stored = found.name;
        let (status, sha256, unpacked) = (FileStatus::default(), None, None);
        Ok((to, GetReport { stored, size, sha256, etag, last_modified, attributes, status, unpacked, older }))
    }

    async fn transfer<W: Write + Send + 'static>(
        &self,
        object: &ObjectName,
        found: &Found,
        body: ObjectBody,
        to: W,
        options: &GetOptions,
    ) -> Result<Transferred<W>, ServiceError> {
        match &found.kind {
            Kind::Delta(delta) if !options.raw && options.range.is_some() => {
                let range = options.range.and_then(|range| range.within(delta.file_size));
                let Some(range) = range else { return Err(outside(object)) };
                let cut = Cut::new(to, range);
                let exact = GetOptions { allow_recompressed: false, ..*options };
                let cut = match self.restore(object, found, delta, body, cut, &exact).await? {
                    Restoring::Done(cut, _, _) => cut,
                    Restoring::Replaced(cut) => return Ok(Transferred::Replaced(cut.into_inner())),
                };
                let (to, size) = cut.finish();
                Ok(Transferred::Done((to, size, Some(delta.file_sha256), None)))
            }
            Kind::Delta(delta) if !options.raw => {
                let (to, size, unpacked) = match self.restore(object, found, delta, body, to, options).await? {
                    Restoring::Done(to, size, unpacked) => (to, size, unpacked),
                    Restoring::Replaced(to) => return Ok(Transferred::Replaced(to)),
                };
                let verified = unpacked.is_none().then_some(delta.file_sha256);
                Ok(Transferred::Done((to, size, verified, unpacked)))
            }
            Kind::Damaged(field) if !options.raw => {
                Err(ServiceError::Metadata { object: found.name.clone(), field: *field })
            }
            kind => {
                let expected = match kind {
                    Kind::Direct(direct) => Some((direct.file_size, direct.file_sha256)),
                    _ => None,
                };
                let stored_len = body.head.size;
                let (to, len, actual) = copy_out(&found.name, body.stream, to).await?;
                match expected {
                    Some(expected) => check(object, expected, (len, actual))?,
                    None => check(object, (stored_len, actual), (len, actual))?,
                }
                Ok(Transferred::Done((to, len, expected.map(|_| actual), None)))
            }
        }
    }
}

/// Writes bytes as they come.
async fn copy_out<W: Write + Send + 'static>(
    stored: &ObjectName,
    stream: ByteStream,
    to: W,
) -> Result<(W, u64, Sha256Digest), ServiceError> {
    let stored = stored.clone();
    blocking::feed(stream, move |incoming| {
        let mut sink = Sink::new(to);
        while let Some(piece) = incoming.next().map_err(ServiceError::local(&stored))? {
            sink.write_all(&piece).map_err(written())?;
        }
        sink.finish().map_err(written())
    })
    .await
}

fn part_of(object: &ObjectName, range: ByteRange, head: &ObjectHead) -> Result<(Range<u64>, ETag), ServiceError> {
    let range = range.within(head.size).ok_or_else(|| outside(object))?;
    Ok((range, head.etag.clone()))
}

/// No byte of the file was asked for.
fn outside(object: &ObjectName) -> ServiceError {
    StorageError::new(StorageErrorKind::InvalidRange, "GetObject", object).into()
}
