//! The BLAKE3 digest of a whole file, which xdelta3 3.2.0 writes into the application header.
//!
//! A build without the feature `blake3` verifies no such digest.

/// A hasher for the bytes of a file.
pub(crate) struct FileHasher(#[cfg(feature = "blake3")] Box<blake3::Hasher>);

#[cfg(feature = "blake3")]
impl FileHasher {
    /// Returns a hasher, or `None` in a build without the feature.
    pub(crate) fn new() -> Option<Self> {
        Some(Self(Box::default()))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(&self) -> [u8; 32] {
        *self.0.finalize().as_bytes()
    }
}

#[cfg(not(feature = "blake3"))]
impl FileHasher {
    /// Returns a hasher, or `None` in a build without the feature.
    pub(crate) fn new() -> Option<Self> {
        None
    }

    pub(crate) fn update(&mut self, _bytes: &[u8]) {}

    pub(crate) fn finish(&self) -> [u8; 32] {
        [0; 32]
    }
}
