//! Checksums by which a store can verify a body.

use md5::{Digest as _, Md5};

/// The checksums of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checksums {
    /// MD5 (RFC 1321).
    pub md5: [u8; 16],
    /// CRC-32 as in gzip (RFC 1952).
    pub crc32: u32,
}

impl Checksums {
    /// Returns the checksums of bytes in memory.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = ChecksumHasher::default();
        hasher.update(bytes);
        hasher.finish()
    }
}

/// Computes [`Checksums`] incrementally.
#[derive(Clone, Default)]
pub struct ChecksumHasher {
    md5: Md5,
    crc32: crc32fast::Hasher,
}

impl ChecksumHasher {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        self.crc32.update(bytes);
    }

    /// Returns the checksums of everything added.
    pub fn finish(self) -> Checksums {
        Checksums { md5: self.md5.finalize().into(), crc32: self.crc32.finalize() }
    }
}

impl std::fmt::Debug for ChecksumHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChecksumHasher")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_checksums() {
        // RFC 1321, section A.5; the check value of CRC-32.
        let known = Checksums::of(b"abc").md5;
        assert_eq!(known[..4], [0x90, 0x01, 0x50, 0x98]);
        assert_eq!(Checksums::of(b"123456789").crc32, 0xcbf4_3926);
    }
}
