//! Stores a stream of unknown length: a short one from memory, one that may become a delta from a
//! temporary file, any other in parts as it arrives.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::StreamExt as _;

use super::{
    Destination, Kept, PutOptions, PutReport, StoredAs, after, is_lost_race, may_be_delta,
    remove_older_delta,
};
use crate::domain::metadata::{DirectMetadata, Kind};
use crate::domain::{ObjectName, Sha256Digest, Sha256Hasher, escaped};
use crate::service::error::ServiceError;
use crate::service::objects::{StoredObject, whole};
use crate::service::payload::{CHUNK, Payload};
use crate::service::plan::DirectReason;
use crate::service::{DeltaService, blocking};
use crate::storage::{ByteStream, CopyOptions, ETag, PutBody, StorageErrorKind};

/// The maximum length in bytes of a stream that is stored like a file.
const SHORT: usize = 16 << 20;

/// A stream with the bytes already read from it in front.
type Source = io::Chain<io::Cursor<Vec<u8>>, Stream>;

/// The stream to store.
type Stream = Box<dyn Read + Send>;

/// The length and digest of a stream, set at its end.
type Summary = Arc<Mutex<Option<(u64, Sha256Digest)>>>;

impl DeltaService {
    /// Stores a stream. `name` is for messages; `expected` is a hint at its length in bytes.
    ///
    /// If a delta may be made, the stream goes to a temporary file first. Any other stream is
    /// stored in parts, without DeltaGlider's metadata, which a copy of the object onto itself
    /// adds. If the store rejects that copy, the object stays like a file of another tool, and the
    /// report has no SHA-256.
    pub async fn put_stream(
        &self,
        stream: Stream,
        name: &str,
        object: &ObjectName,
        options: &PutOptions,
        expected: Option<u64>,
    ) -> Result<PutReport, ServiceError> {
        whole(object)?;
        let may_be_delta = may_be_delta(&self.settings.policy, object, options);
        let kept = Kept::of(object, options, may_be_delta)?;
        if may_be_delta {
            let file = Payload::spool(stream, name, &self.settings.spool_dir).await?;
            return self.put(&file, object, options).await;
        }
        let what = name.to_owned();
        let (beginning, rest) = blocking::run(move |cancelled| beginning(stream, cancelled))
            .await
            .map_err(ServiceError::local(&what))?;
        match rest {
            None => {
                let file = Payload::of(name, beginning.len() as u64, Arc::new(beginning));
                self.put(&file, object, options).await
            }
            Some(rest) => {
                let source = (io::Cursor::new(beginning).chain(rest), expected);
                let destination = Destination::look(&self.objects, object, options).await?;
                let reason = match options.delta {
                    true if escaped::is_needed(&object.key) => DirectReason::Escaped,
                    true => DirectReason::Extension,
                    false => DirectReason::Asked,
                };
                PutInParts { service: self.clone(), destination, kept, reason }.run(source).await
            }
        }
    }
}

/// A put of a stream, in parts as it arrives.
struct PutInParts {
    service: DeltaService,
    destination: Destination,
    kept: Kept,
    reason: DirectReason,
}

impl PutInParts {
    async fn run(
        self,
        (source, expected): (Source, Option<u64>),
    ) -> Result<PutReport, ServiceError> {
        let Self { service, destination: Destination { object, places, .. }, kept, reason } = &self;
        tracing::debug!(%object, %reason, "put a stream as it comes");
        let summary = Summary::default();
        let body = PutBody::once(pieces(source, summary.clone()), expected.unwrap_or_default());
        let (attributes, begun) =
            (kept.with(Default::default()), service.objects.clock().running());
        let stored = whole(object)?;
        let options = places.put_options(places.plain.as_ref());
        let put = service.store().put(&stored, body, &attributes, &options).await;
        let tag = match put {
            Err(error) if is_lost_race(error.kind) => {
                return Err(ServiceError::NameContended(object.clone()));
            }
            put => put?,
        };
        let summary = summary.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((size, digest)) = summary else {
            return Err(ServiceError::Changed(object.to_string()));
        };
        let metadata = DirectMetadata {
            original_name: object.key.base_name().to_owned(),
            file_sha256: digest,
            file_size: size,
            created_at: Some(after(places.delta.as_ref())),
        };
        let sha256 = self.describe(&stored, tag, &metadata).await?.then_some(digest);
        let removed = remove_older_delta(&service.references, places, &stored, begun).await;
        let warning = removed.map_err(|_| ServiceError::NameContended(object.clone()))?;
        let warnings = warning.into_iter().collect();
        Ok(PutReport {
            stored_as: StoredAs::Direct(reason.clone()),
            size,
            stored: size,
            sha256,
            warnings,
        })
    }

    /// Adds DeltaGlider's metadata to the object that was stored with this tag, by a copy onto
    /// itself; returns false if the store rejects it.
    async fn describe(
        &self,
        object: &ObjectName,
        tag: ETag,
        metadata: &DirectMetadata,
    ) -> Result<bool, ServiceError> {
        let attributes = Some(self.kept.with(metadata.write()));
        let options = CopyOptions { if_match: Some(tag), attributes, newer_than: None };
        match self.service.store().copy(object, object, &options).await {
            Ok(_) => {}
            // A concurrent writer has replaced it, which is as good as a replacement before the
            // copy.
            Err(error)
                if matches!(
                    error.kind,
                    StorageErrorKind::NotFound | StorageErrorKind::Precondition
                ) =>
            {
                return Ok(true);
            }
            Err(error) => {
                tracing::info!(%object, %error, "the store cannot add metadata to an object");
                return Ok(false);
            }
        }
        let found = StoredObject::look(self.service.store(), object.clone()).await?;
        let digest = metadata.file_sha256;
        let is_this =
            |kind: &Kind| matches!(kind, Kind::Direct(found) if found.file_sha256 == digest);
        match found {
            Some(found) if is_this(&found.kind) && found.head.size != metadata.file_size => {
                let (expected, actual) = (metadata.file_size, found.head.size);
                Err(ServiceError::Length { object: object.clone(), expected, actual })
            }
            _ => Ok(true),
        }
    }
}

/// Reads the first bytes of a stream; returns the stream too unless it ended within them.
fn beginning(
    mut stream: Stream,
    cancelled: &blocking::Cancelled,
) -> io::Result<(Vec<u8>, Option<Stream>)> {
    let mut beginning = Vec::new();
    while beginning.len() <= SHORT {
        cancelled.check()?;
        if Read::by_ref(&mut stream).take(CHUNK as u64).read_to_end(&mut beginning)? == 0 {
            return Ok((beginning, None));
        }
    }
    Ok((beginning, Some(stream)))
}

/// Returns the pieces of a stream, read on threads that may block; sets `summary` at its end.
fn pieces(source: Source, summary: Summary) -> ByteStream {
    let state = (source, Sha256Hasher::default(), 0_u64, summary);
    futures::stream::try_unfold(state, |(mut source, mut hasher, len, summary)| async move {
        let (source, read) = blocking::run(move |_| {
            let mut piece = Vec::with_capacity(CHUNK);
            let read = Read::by_ref(&mut source).take(CHUNK as u64).read_to_end(&mut piece);
            (source, read.map(|_| piece))
        })
        .await;
        let piece = read?;
        if piece.is_empty() {
            *summary.lock().unwrap_or_else(PoisonError::into_inner) = Some((len, hasher.finish()));
            return Ok(None);
        }
        hasher.update(&piece);
        let len = len.saturating_add(piece.len() as u64);
        Ok(Some((Bytes::from(piece), (source, hasher, len, summary))))
    })
    .boxed()
}
