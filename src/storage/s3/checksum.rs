//! The checksum sent with every write: buckets with Object Lock reject writes without one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use crate::storage::{ChecksumKind, Checksums, StatedChecksum};

use super::error::{CHECKSUM_HEADERS, Failed, MD5_HEADER};

/// A header with a checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checksum {
    /// `Content-MD5`, which every store supports.
    Md5,
    /// `x-amz-checksum-crc32`, which AWS stores and verifies again.
    Crc32,
    /// The checksum that the SDK adds by its own settings.
    Sdk,
}

impl Checksum {
    const ALL: [Self; 3] = [Self::Md5, Self::Crc32, Self::Sdk];

    /// Returns the values of `Content-MD5` and `x-amz-checksum-crc32` for a part of an upload.
    pub(super) fn headers(self, part: &[u8]) -> (Option<String>, Option<String>) {
        let value = |kind| {
            let checksum = StatedChecksum::of(kind, part);
            Some(aws_smithy_types::base64::encode(checksum.value))
        };
        match self {
            Self::Md5 => (value(ChecksumKind::Md5), None),
            Self::Crc32 => (None, value(ChecksumKind::Crc32)),
            Self::Sdk => (None, None),
        }
    }

    /// Returns the value of `Content-MD5` if this is [`Md5`](Self::Md5).
    pub(super) fn md5(self, checksums: &Checksums) -> Option<String> {
        (self == Self::Md5).then(|| aws_smithy_types::base64::encode(checksums.md5))
    }

    /// Returns the value of `x-amz-checksum-crc32` if this is [`Crc32`](Self::Crc32).
    pub(super) fn crc32(self, checksums: &Checksums) -> Option<String> {
        (self == Self::Crc32)
            .then(|| aws_smithy_types::base64::encode(checksums.crc32.to_be_bytes()))
    }
}

/// The checksum that a store accepts, for the lifetime of the process.
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

    /// Switches to the other checksum if a write was rejected with a reason that names its header.
    /// Returns whether to send the write again.
    pub(super) fn refused(&self, used: Checksum, failed: &Failed) -> bool {
        let other = match used {
            Checksum::Md5 if failed.names(MD5_HEADER) => Checksum::Crc32,
            Checksum::Crc32 if CHECKSUM_HEADERS.iter().any(|header| failed.names(header)) => {
                Checksum::Md5
            }
            _ => return false,
        };
        // If a store rejects both, the write fails.
        if !self.changed.swap(true, Ordering::Relaxed) {
            tracing::debug!(?used, ?other, "the store refuses this checksum");
            self.now.store(other as u8, Ordering::Relaxed);
        }
        self.now() == other
    }
}
