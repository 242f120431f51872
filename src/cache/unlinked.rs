//! The first form of the cache: an unlinked temporary for the operation that asked, nothing kept beyond it.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use deltaglider_vcdiff::FileSource;

use super::{CacheError, CachedReference, ReferenceCache, ReferenceWriter};
use crate::domain::{Sha256Digest, Sha256Hasher};

/// Keeps each reference in a file without a name (mode 0600) in a folder for temporaries, for as long as it is held.
#[derive(Debug)]
pub struct UnlinkedCache {
    folder: PathBuf,
}

impl UnlinkedCache {
    /// Uses `folder` for its files.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }
}

impl ReferenceCache for UnlinkedCache {
    fn get(&self, _digest: &Sha256Digest) -> Option<CachedReference> {
        None
    }

    fn begin(&self, digest: &Sha256Digest, _len: u64) -> Result<Box<dyn ReferenceWriter>, CacheError> {
        let place = self.folder.display().to_string();
        let file =
            tempfile::tempfile_in(&self.folder).map_err(|source| CacheError::Io { place: place.clone(), source })?;
        Ok(Box::new(UnlinkedWriter { file, place, hasher: Sha256Hasher::default(), expected: *digest }))
    }
}

#[derive(Debug)]
struct UnlinkedWriter {
    file: File,
    place: String,
    hasher: Sha256Hasher,
    expected: Sha256Digest,
}

impl UnlinkedWriter {
    fn failed(&self, source: io::Error) -> CacheError {
        CacheError::Io { place: self.place.clone(), source }
    }
}

impl ReferenceWriter for UnlinkedWriter {
    fn write(&mut self, bytes: &[u8]) -> Result<(), CacheError> {
        self.hasher.update(bytes);
        self.file.write_all(bytes).map_err(|error| self.failed(error))
    }

    fn publish(self: Box<Self>) -> Result<CachedReference, CacheError> {
        let actual = self.hasher.clone().finish();
        if actual != self.expected {
            return Err(CacheError::Mismatch { expected: self.expected, actual });
        }
        let place = self.place;
        Ok(Arc::new(FileSource::new(self.file).map_err(|source| CacheError::Io { place, source })?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bytes_of_the_digest_asked_for_are_handed_out() {
        let folder = tempfile::tempdir().unwrap();
        let cache = UnlinkedCache::new(folder.path().to_owned());
        let mut writer = cache.begin(&Sha256Digest::of(b"reference"), 9).unwrap();
        writer.write(b"refer").unwrap();
        writer.write(b"ence").unwrap();
        let reference = writer.publish().unwrap();
        let mut bytes = [0; 20];
        assert_eq!(reference.read_at(3, &mut bytes).unwrap(), 6);
        assert_eq!(&bytes[..6], b"erence");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);

        let mut writer = cache.begin(&Sha256Digest::of(b"reference"), 9).unwrap();
        writer.write(b"other").unwrap();
        assert!(matches!(writer.publish(), Err(CacheError::Mismatch { .. })));
    }
}
