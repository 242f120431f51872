//! Restores a file from its delta within a memory reservation.

use std::io::Write;

use super::Get;
use crate::domain::Compression;
use crate::domain::metadata::DeltaMetadata;
use crate::domain::packing::StoredForm;
use crate::service::blocking;
use crate::service::error::ServiceError;
use crate::service::objects::StoredObject;
use crate::service::references::{Content, Keep};
use crate::service::transcode::{Decode, DecodeMemory, Decoded, Rest, check, written};
use crate::service::writers::HashingWriter;
use crate::storage::{ObjectBody, StorageErrorKind};

/// The result of decoding a delta.
pub(super) enum Restoring<W> {
    /// The writer, the number of bytes, and the compression of the file if its unpacked content was
    /// written instead.
    Done(W, u64, Option<Compression>),
    /// The object was replaced before anything was written.
    Replaced(W),
}

impl Get {
    /// Decodes a stored delta to `to`.
    ///
    /// Reserves the memory of an ordinary delta first. A delta that needs more returns its
    /// reservation and is decoded again from its start, alone or with its LZMA dictionaries
    /// reserved. A delta that proves to be made against the content of a packed reference is
    /// decoded again against that. A delta whose cached reference is damaged is decoded again
    /// against a fetched one. Bytes already written are not written again.
    pub(super) async fn restore<W: Write + Send + 'static>(
        &self,
        found: &StoredObject,
        delta: &DeltaMetadata,
        body: ObjectBody,
        to: W,
    ) -> Result<Restoring<W>, ServiceError> {
        let references = &self.service.references;
        let reference_name = self.object.sibling(delta.ref_key.clone());
        let keep = if self.options.from_store { Keep::WhileHeld } else { Keep::InCache };
        let form = StoredForm { digest: delta.ref_sha256, packing: delta.ref_packing };
        let mut content = match references.fetch_for(&reference_name, &form, keep).await {
            Err(ServiceError::Storage(source)) if source.is_absent() => {
                let (delta, source) = (found.name.clone(), Box::new(source));
                return Err(ServiceError::ReferenceMissing {
                    delta,
                    reference: reference_name,
                    source,
                });
            }
            content => content?,
        };
        if form.content_digest() == delta.file_sha256 {
            // Some deltas that older tools made of such files do not decode to them.
            return self.write_reference(delta, content, to).await;
        }
        let mut job = Decode {
            file: self.object.clone(),
            stored: found.name.clone(),
            reference_name,
            metadata: delta.clone(),
            reference: content.source(),
            allow_recompressed: self.options.allow_recompressed && self.options.range.is_none(),
            memory: DecodeMemory::ordinary(delta, found.head.size, content.source().len()),
            packing: None,
        };
        let (transcoder, store) = (&self.service.transcoder, self.service.store());
        let (mut body, mut sink) = (Some(body), HashingWriter::new(to));
        loop {
            let reservation = match transcoder.try_reserve(&job) {
                Some(reservation) => Some(reservation),
                None => {
                    // A store soon closes a connection that is not read from.
                    body = None;
                    transcoder.reserve(&job).await
                }
            };
            let stream = match body.take() {
                Some(body) => body.stream,
                None => match store.get(&found.name, None).await {
                    Ok(body) if body.head.etag == found.head.etag => body.stream,
                    Err(error) if error.kind != StorageErrorKind::NotFound => {
                        return Err(error.into());
                    }
                    _ if sink.len() > 0 => {
                        return Err(ServiceError::Changed(self.object.to_string()));
                    }
                    _ => return Ok(Restoring::Replaced(sink.into_inner())),
                },
            };
            match transcoder.decode(job.clone(), reservation, stream, sink).await? {
                Decoded::Restored(restored) => {
                    return Ok(Restoring::Done(restored.to, restored.len, restored.unpacked));
                }
                Decoded::NeedsMore(begun, more) => {
                    tracing::debug!(delta = %found.name, ?more, "the delta needs more memory");
                    (job.memory, sink) = (more, begun);
                }
                Decoded::Packed(begun, compression) => {
                    tracing::debug!(delta = %found.name, %compression, "the reference is packed");
                    job.memory = DecodeMemory::ordinary(delta, found.head.size, None);
                    (job.packing, sink) = (Some(compression), begun);
                }
                Decoded::Failed(begun, error) => {
                    content = references.refetch(&content, error).await?;
                    (job.reference, sink) = (content.source(), begun);
                }
            }
        }
    }

    /// Writes a file whose content is that of the reference.
    async fn write_reference<W: Write + Send + 'static>(
        &self,
        delta: &DeltaMetadata,
        mut content: Content,
        to: W,
    ) -> Result<Restoring<W>, ServiceError> {
        let mut sink = HashingWriter::new(to);
        loop {
            let input = content.to_payload();
            let (begun, read) = blocking::run(move |cancelled| {
                let mut rest = Rest::after(&mut sink);
                let read = input.read(cancelled, |piece| rest.write_all(piece).map_err(written()));
                (sink, read)
            })
            .await;
            match read {
                Ok(_) => {
                    let (to, len, actual) = begun.finish().map_err(written())?;
                    check(&self.object, (delta.file_size, delta.file_sha256), (len, actual))?;
                    return Ok(Restoring::Done(to, len, None));
                }
                Err(error) => {
                    content = self.service.references.refetch(&content, error).await?;
                    sink = begun;
                }
            }
        }
    }
}
