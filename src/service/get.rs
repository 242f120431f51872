//! Giving a file back: exact, verified, and under its name only when it is.

use std::io::Write;
use std::ops::Range;

use super::compared::{Compared, Comparing, StatedChecksums};
use super::error::ServiceError;
use super::get_delta::Restoring;
use super::get_options::{GetOptions, GetReport};
use super::locate::{Found, Places};
use super::restore::{check, check_len, written};
use super::sink::{Cut, Sink};
use super::{DeltaService, blocking};
use crate::domain::metadata::Kind;
use crate::domain::policy::Compression;
use crate::domain::{ByteRange, FileStatus, ObjectName, Sha256Digest};
use crate::storage::{
    ByteStream, ChecksumKind, ETag, ObjectBody, ObjectHead, StatedChecksum, StorageError, StorageErrorKind,
};

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
    /// The writer, the number of bytes, what they were compared with, and the compression of what could not be packed again.
    Done((W, u64, Compared, Option<Compression>)),
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
            let (to, size, compared, unpacked) = transferred;
            let attributes = if options.raw { found.head.attributes.clone() } else { found.user_attributes() };
            let status = match options.raw || options.range.is_some() {
                true => FileStatus::default(),
                false => FileStatus::read(&found.head.attributes.metadata),
            };
            let stored = found.name;
            let report = GetReport { stored, size, compared, etag, last_modified, attributes, status, unpacked, older };
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
        let (to, (size, _)) = copy_out(&found.name, body.stream, to).await?;
        check_len(&found.name, range.end - range.start, size)?;
        let (etag, last_modified) = (found.head.etag.clone(), found.head.last_modified);
        let attributes = if options.raw { found.head.attributes.clone() } else { found.user_attributes() };
        let stored = found.name;
        let (status, compared, unpacked) = (FileStatus::default(), Compared::Nothing, None);
        Ok((to, GetReport { stored, size, compared, etag, last_modified, attributes, status, unpacked, older }))
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
                Ok(Transferred::Done((to, size, Compared::Sha256(delta.file_sha256), None)))
            }
            Kind::Delta(delta) if !options.raw => {
                let (to, size, unpacked) = match self.restore(object, found, delta, body, to, options).await? {
                    Restoring::Done(to, size, unpacked) => (to, size, unpacked),
                    Restoring::Replaced(to) => return Ok(Transferred::Replaced(to)),
                };
                let compared = match unpacked {
                    None => Compared::Sha256(delta.file_sha256),
                    Some(_) => Compared::Nothing,
                };
                Ok(Transferred::Done((to, size, compared, unpacked)))
            }
            Kind::Damaged(field) if !options.raw => {
                Err(ServiceError::Metadata { object: found.name.clone(), field: *field })
            }
            Kind::Direct(direct) => {
                let expected = (direct.file_size, direct.file_sha256);
                self.transfer_whole(object, &found.name, body, to, Expected::Digest(expected)).await
            }
            _ => {
                let expected = match body.head.sha256 {
                    Some(sha256) => Expected::Digest((body.head.size, sha256)),
                    None => Expected::Stated(options.stated),
                };
                self.transfer_whole(object, &found.name, body, to, expected).await
            }
        }
    }

    /// Writes a file that is stored as it is.
    async fn transfer_whole<W: Write + Send + 'static>(
        &self,
        object: &ObjectName,
        stored: &ObjectName,
        body: ObjectBody,
        to: W,
        expected: Expected,
    ) -> Result<Transferred<W>, ServiceError> {
        let ObjectBody { head, stream } = body;
        let options = match expected {
            Expected::Digest(expected) => {
                let (to, actual) = copy_out(stored, stream, to).await?;
                check(object, expected, actual)?;
                return Ok(Transferred::Done((to, actual.0, Compared::Sha256(actual.1), None)));
            }
            Expected::Stated(options) => options,
        };
        let stated = if options == StatedChecksums::Ignore { &[] } else { &*head.stated };
        let (to, (len, digest)) = copy_out(stored, stream, Comparing::new(to, stated)).await?;
        check_len(object, head.size, len)?;
        let (to, compared) = to.finish();
        let compared = match compared {
            Ok(None) => Compared::Nothing,
            Ok(Some(equal)) => Compared::Stated(equal.kind),
            Err(stated) => {
                let contradicted = self.read_again(object, stored, &head, (len, digest), &stated).await?;
                if options == StatedChecksums::Require {
                    return Err(ServiceError::Contradicted { object: object.clone(), checksum: contradicted });
                }
                Compared::Contradicted(contradicted)
            }
        };
        Ok(Transferred::Done((to, len, compared, None)))
    }

    /// Reads an object a second time whose bytes have another checksum than the one that the store states. Returns the algorithm if both
    /// reads gave the same bytes.
    async fn read_again(
        &self,
        object: &ObjectName,
        stored: &ObjectName,
        head: &ObjectHead,
        first: (u64, Sha256Digest),
        stated: &StatedChecksum,
    ) -> Result<ChecksumKind, ServiceError> {
        let (object, checksum) = (object.clone(), stated.kind);
        if stated.is_reliable {
            return Err(ServiceError::Damaged { object, checksum });
        }
        let again = self.store.get(stored, None).await?;
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

/// What a file that is stored as it is is compared with.
enum Expected {
    /// Length and SHA-256.
    Digest((u64, Sha256Digest)),
    /// What the store states.
    Stated(StatedChecksums),
}

/// Writes bytes as they come, and returns their length and digest.
async fn copy_out<W: Write + Send + 'static>(
    stored: &ObjectName,
    stream: ByteStream,
    to: W,
) -> Result<(W, (u64, Sha256Digest)), ServiceError> {
    let stored = stored.clone();
    blocking::feed(stream, move |incoming| {
        let mut sink = Sink::new(to);
        while let Some(piece) = incoming.next().map_err(ServiceError::local(&stored))? {
            sink.write_all(&piece).map_err(written())?;
        }
        let (to, len, digest) = sink.finish().map_err(written())?;
        Ok((to, (len, digest)))
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
