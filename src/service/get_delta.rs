//! Restoring a file from its delta, within the memory that is reserved for it.

use std::io::Write;
use std::sync::Arc;

use super::decode_memory::DecodeMemory;
use super::error::ServiceError;
use super::get_options::GetOptions;
use super::input::Input;
use super::locate::Found;
use super::reference::Keep;
use super::restore::{Outcome, Restoration, check, written};
use super::sink::Sink;
use super::{DeltaService, blocking};
use crate::domain::ObjectName;
use crate::domain::metadata::DeltaMetadata;
use crate::domain::policy::Compression;
use crate::storage::{ObjectBody, StorageErrorKind};

/// What became of a read.
pub(super) enum Restoring<W> {
    /// The writer, the number of bytes, and the compression that the file had and what was written has not.
    Done(W, u64, Option<Compression>),
    /// The object was replaced before anything was written.
    Replaced(W),
}

impl DeltaService {
    /// Decodes a stored delta to `to`.
    ///
    /// The memory is reserved at once, as an ordinary delta needs it. One that turns out to need more gives back what it has
    /// and is decoded from its beginning, alone or with its LZMA dictionaries reserved; what was written already is not written again.
    pub(super) async fn restore<W: Write + Send + 'static>(
        &self,
        object: &ObjectName,
        found: &Found,
        delta: &DeltaMetadata,
        body: ObjectBody,
        to: W,
        options: &GetOptions,
    ) -> Result<Restoring<W>, ServiceError> {
        let name = object.sibling(delta.ref_key.clone());
        let keep = if options.from_store { Keep::WhileHeld } else { Keep::InCache };
        let reference = match self.fetch_for(&name, delta.ref_sha256, keep).await {
            Err(ServiceError::Storage(source)) if source.is_absent() => {
                let source = Box::new(source);
                return Err(ServiceError::ReferenceMissing { delta: found.name.clone(), reference: name, source });
            }
            reference => reference?,
        };
        if delta.ref_sha256 == delta.file_sha256 {
            // The file is the reference. Older tools made deltas of such files that do not give them back.
            let bytes: Arc<_> = reference;
            let expected = (delta.file_size, delta.file_sha256);
            let input = Input::of(&name.to_string(), bytes.len().unwrap_or(delta.file_size), bytes);
            let (to, len, actual) = blocking::run(move |cancelled| {
                let mut sink = Sink::new(to);
                input.read(cancelled, |piece| sink.write_all(piece).map_err(written()))?;
                sink.finish().map_err(written())
            })
            .await?;
            check(object, expected, (len, actual))?;
            return Ok(Restoring::Done(to, len, None));
        }
        let mut memory = DecodeMemory::ordinary(delta, found.head.size, reference.len());
        let (mut body, mut sink) = (Some(body), Sink::new(to));
        loop {
            let reservation = match self.turns.memory().try_reserve(memory.bytes()) {
                Some(reservation) => Some(reservation),
                None => {
                    // A connection that nobody reads from is soon closed.
                    body = None;
                    self.turns.memory().reserve(memory.bytes()).await
                }
            };
            let stream = match body.take() {
                Some(body) => body.stream,
                None => match self.store.get(&found.name, None).await {
                    Ok(body) if body.head.etag == found.head.etag => body.stream,
                    Err(error) if error.kind != StorageErrorKind::NotFound => return Err(error.into()),
                    _ if sink.len() > 0 => return Err(ServiceError::Changed(object.to_string())),
                    _ => return Ok(Restoring::Replaced(sink.into_inner())),
                },
            };
            let restoration = Restoration {
                file: object.clone(),
                stored: found.name.clone(),
                reference_name: name.clone(),
                metadata: delta.clone(),
                reference: reference.clone(),
                spool_folder: self.settings.spool_folder.clone(),
                allow_recompressed: options.allow_recompressed,
                memory,
            };
            let outcome = blocking::feed(stream, move |incoming| {
                // Given back by the thread that uses the memory, even when nobody waits for it any more.
                let _reservation = reservation;
                restoration.run(incoming, sink)
            });
            match outcome.await? {
                Outcome::Restored(restored) => {
                    return Ok(Restoring::Done(restored.to, restored.len, restored.unpacked));
                }
                Outcome::NeedsMore(begun, more) => {
                    tracing::debug!(delta = %found.name, ?more, "it needs more memory");
                    (memory, sink) = (more, begun);
                }
            }
        }
    }
}
