//! Which checksum goes with every write: buckets with Object Lock refuse those without one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use crate::storage::Checksums;

use super::error::{CHECKSUM_HEADERS, Failed, MD5_HEADER};

/// A header with a checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checksum {
    /// `Content-MD5`, which every store has known from the start.
    Md5,
    /// `x-amz-checksum-crc32`, which AWS keeps and checks again.
    Crc32,
    /// What the SDK adds by its own settings.
    Sdk,
}

impl Checksum {
    const ALL: [Self; 3] = [Self::Md5, Self::Crc32, Self::Sdk];

    /// The value of `Content-MD5`, if that is the one.
    pub(super) fn md5(self, checksums: &Checksums) -> Option<String> {
        (self == Self::Md5).then(|| aws_smithy_types::base64::encode(checksums.md5))
    }

    /// The value of `x-amz-checksum-crc32`, if that is the one.
    pub(super) fn crc32(self, checksums: &Checksums) -> Option<String> {
        (self == Self::Crc32)
            .then(|| aws_smithy_types::base64::encode(checksums.crc32.to_be_bytes()))
    }
}

/// The checksum that a store takes, for the life of the process.
#[derive(Debug, Clone)]
pub(super) struct Accepted {
    now: Arc<AtomicU8>,
    changed: Arc<AtomicBool>,
}

impl Accepted {
    pub(super) fn new(first: Checksum) -> Self {
        Self { now: Arc::new(AtomicU8::new(first as u8)), changed: Arc::default() }
    }

    pub(super) fn now(&self) -> Checksum {
        let now = self.now.load(Ordering::Relaxed);
        Checksum::ALL.into_iter().find(|one| *one as u8 == now).unwrap_or(Checksum::Md5)
    }

    /// Changes to the other one if a write was refused by naming the header that it had; whether it
    /// is to be sent again.
    pub(super) fn refused(&self, used: Checksum, failed: &Failed) -> bool {
        let other = match used {
            Checksum::Md5 if failed.names(MD5_HEADER) => Checksum::Crc32,
            Checksum::Crc32 if CHECKSUM_HEADERS.iter().any(|header| failed.names(header)) => {
                Checksum::Md5
            }
            _ => return false,
        };
        // A store that refuses both is believed.
        if !self.changed.swap(true, Ordering::Relaxed) {
            tracing::debug!(?used, ?other, "the store refuses this checksum");
            self.now.store(other as u8, Ordering::Relaxed);
        }
        self.now() == other
    }
}
