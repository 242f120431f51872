//! Encodes a file to a delta that is verified by decoding it, and restores a file from a delta.

mod byte_budget;
mod decode;
mod decode_memory;
mod encode;
mod permits;
mod recompress;
mod sample;

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use permits::Permits;

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

    /// Encodes on at most this many threads.
    pub(crate) fn with_threads(self, threads: NonZeroUsize) -> Self {
        Self { permits: Arc::new(Permits::with_threads(threads.into())), ..self }
    }
}
