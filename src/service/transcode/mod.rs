//! Encodes a file to a delta that is verified by decoding it, and restores a file from a delta.

mod byte_budget;
mod decode;
mod decode_memory;
mod encode;
mod permits;
mod sample;
mod source_order;

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use permits::Permits;

use super::blocking;
use super::error::ServiceError;
use super::payload::Payload;
use super::recompress::{Packed, Rule};
use super::spool::Spool;

pub(crate) use decode::{Decode, Decoded, Rest, check, check_len, written};
pub(crate) use decode_memory::DecodeMemory;
pub(crate) use encode::{Encode, OwnDelta};

/// Encodes and decodes within the shared memory and cores of this process.
#[derive(Debug, Clone)]
pub(crate) struct Transcoder {
    permits: Arc<Permits>,
    spool_dir: Arc<Path>,
}

impl Transcoder {
    pub(crate) fn new(spool_dir: &Path) -> Self {
        Self { permits: Arc::default(), spool_dir: Arc::from(spool_dir) }
    }

    /// Packs the content of a reference by a rule, within the limits of an encoder; returns `None`
    /// once that takes more than `limit` bytes.
    pub(crate) async fn pack(
        &self,
        content: &Payload,
        rule: Rule,
        limit: u64,
    ) -> Result<Option<Packed>, ServiceError> {
        let permit = self.permits.encoder().await;
        let (content, spool) = (content.clone(), Spool::new(&self.spool_dir));
        blocking::run(move |cancelled| {
            // Dropped by the thread that uses the memory, even after the future was cancelled.
            let permit = permit;
            rule.pack(&content, permit.threads(), limit, spool, cancelled)
        })
        .await
    }

    /// Encodes on at most this many threads.
    pub(crate) fn with_threads(self, threads: NonZeroUsize) -> Self {
        Self { permits: Arc::new(Permits::with_threads(threads.into())), ..self }
    }

    /// Encodes on at most this many threads, if a number is given, and shares this many bytes among
    /// all decoders and one encoder.
    pub(crate) fn with_memory(self, threads: Option<NonZeroUsize>, bytes: u64) -> Self {
        let permits =
            threads.map_or_else(Permits::default, |threads| Permits::with_threads(threads.into()));
        Self { permits: Arc::new(permits.with_memory(bytes)), ..self }
    }
}
