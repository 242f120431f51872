//! Checksums that a store reports for the content of an object.

use std::fmt;

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest as Crc};
use md5::{Digest as _, Md5};
use sha1::Sha1;
use sha2::Sha256;

/// The algorithm of a checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChecksumKind {
    /// MD5 (RFC 1321), which most stores use as the tag of an object that was uploaded in one
    /// piece.
    Md5,
    /// CRC-32 as in gzip (RFC 1952).
    Crc32,
    /// CRC-32C (RFC 9260, appendix A).
    Crc32c,
    /// CRC-64/NVME, which AWS adds to uploads without a checksum.
    Crc64Nvme,
    /// SHA-1 (FIPS 180-4).
    Sha1,
    /// SHA-256 (FIPS 180-4).
    Sha256,
}

impl fmt::Display for ChecksumKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Md5 => "MD5",
            Self::Crc32 => "CRC-32",
            Self::Crc32c => "CRC-32C",
            Self::Crc64Nvme => "CRC-64/NVME",
            Self::Sha1 => "SHA-1",
            Self::Sha256 => "SHA-256",
        })
    }
}

/// A checksum of all bytes of an object, as reported by the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatedChecksum {
    /// The algorithm.
    pub kind: ChecksumKind,
    /// The value, in the byte order in which it is printed.
    pub value: Bytes,
    /// Set if the store is known to report correct checksums, as AWS is. Some stores report tags
    /// that look like an MD5 and are none.
    pub is_reliable: bool,
}

impl StatedChecksum {
    /// Returns the checksum of `bytes`.
    pub fn of(kind: ChecksumKind, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(kind);
        hasher.update(bytes);
        Self { kind, value: hasher.finish(), is_reliable: false }
    }

    /// Returns a hasher that compares bytes with this checksum.
    pub fn comparison(&self) -> ChecksumComparison {
        ChecksumComparison { hasher: Hasher::new(self.kind), stated: self.clone() }
    }
}

/// Compares bytes with a checksum incrementally.
pub struct ChecksumComparison {
    stated: StatedChecksum,
    hasher: Hasher,
}

impl ChecksumComparison {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// Returns the checksum: in `Ok` if the bytes have it, in `Err` if they do not.
    pub fn finish(self) -> Result<StatedChecksum, StatedChecksum> {
        if self.hasher.finish() == self.stated.value { Ok(self.stated) } else { Err(self.stated) }
    }
}

impl fmt::Debug for ChecksumComparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChecksumComparison").field("stated", &self.stated).finish_non_exhaustive()
    }
}

enum Hasher {
    Md5(Md5),
    Sha1(Sha1),
    Sha256(Sha256),
    /// A CRC and the length of its value in bytes.
    Crc(Crc, usize),
}

impl Hasher {
    fn new(kind: ChecksumKind) -> Self {
        match kind {
            ChecksumKind::Md5 => Self::Md5(Md5::new()),
            ChecksumKind::Sha1 => Self::Sha1(Sha1::new()),
            ChecksumKind::Sha256 => Self::Sha256(Sha256::new()),
            ChecksumKind::Crc32 => Self::Crc(Crc::new(CrcAlgorithm::Crc32IsoHdlc), 4),
            ChecksumKind::Crc32c => Self::Crc(Crc::new(CrcAlgorithm::Crc32Iscsi), 4),
            ChecksumKind::Crc64Nvme => Self::Crc(Crc::new(CrcAlgorithm::Crc64Nvme), 8),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Md5(hasher) => hasher.update(bytes),
            Self::Sha1(hasher) => hasher.update(bytes),
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Crc(hasher, _) => hasher.update(bytes),
        }
    }

    fn finish(self) -> Bytes {
        match self {
            Self::Md5(hasher) => Bytes::copy_from_slice(&hasher.finalize()),
            Self::Sha1(hasher) => Bytes::copy_from_slice(&hasher.finalize()),
            Self::Sha256(hasher) => Bytes::copy_from_slice(&hasher.finalize()),
            Self::Crc(hasher, len) => {
                let value = hasher.finalize().to_be_bytes();
                Bytes::copy_from_slice(value.get(value.len() - len..).unwrap_or_default())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_checksums() {
        // "Check" values of the CRC catalogue (RevEng); RFC 1321, A.5; FIPS 180-4 examples of
        // "abc".
        for (kind, text, known) in [
            (ChecksumKind::Md5, "abc", "900150983cd24fb0d6963f7d28e17f72"),
            (ChecksumKind::Crc32, "123456789", "cbf43926"),
            (ChecksumKind::Crc32c, "123456789", "e3069283"),
            (ChecksumKind::Crc64Nvme, "123456789", "ae8b14860a799888"),
            (ChecksumKind::Sha1, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (
                ChecksumKind::Sha256,
                "abc",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
        ] {
            let stated = StatedChecksum::of(kind, text.as_bytes());
            let digits: String = stated.value.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(digits, known, "{kind}");
            for (bytes, same) in [(text, true), ("", false), ("abd", false)] {
                let mut comparison = stated.comparison();
                bytes.as_bytes().chunks(2).for_each(|piece| comparison.update(piece));
                assert_eq!(comparison.finish().is_ok(), same, "{kind} of {bytes:?}");
            }
        }
    }
}
