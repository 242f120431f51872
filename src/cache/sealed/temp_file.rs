//! Encrypted temporary files: unnamed, each under a random key that is never stored.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use deltaglider_aead::{Cipher, KEY_LEN};
use deltaglider_vcdiff::Source;
use zeroize::Zeroizing;

use super::chunks::{ChunkCipher, PREFIX_LEN};
use super::sealer::Sealer;
use super::source::SealedSource;
use crate::cache::key::fill_random;

/// A writer into an encrypted temporary file. The file reveals nothing, neither through its
/// descriptor nor on the disk after a crash.
#[derive(Debug)]
pub(crate) struct EncryptedTempFile {
    folder: PathBuf,
    sealer: Sealer<File>,
}

impl EncryptedTempFile {
    /// Creates the file in the directory `folder` (mode 0600, unnamed).
    pub(crate) fn new(folder: &Path) -> io::Result<Self> {
        let mut key = Zeroizing::new([0; KEY_LEN]);
        fill_random(&mut *key)?;
        // The key seals this content alone, so the nonce prefix need not be random; there is no
        // header to bind the chunks to.
        let cipher = ChunkCipher::new(Cipher::new(&key), [0; PREFIX_LEN], [0; 32]);
        let file = tempfile::tempfile_in(folder).map_err(in_folder(folder))?;
        Ok(Self { folder: folder.to_owned(), sealer: Sealer::new(cipher, file) })
    }

    /// Returns everything written, readable by position.
    pub(crate) fn finish(self) -> io::Result<EncryptedTempSource> {
        let (file, layout, cipher) =
            self.sealer.finish_with_cipher().map_err(in_folder(&self.folder))?;
        Ok(EncryptedTempSource(SealedSource::new(file, 0, layout, cipher)))
    }
}

impl Write for EncryptedTempFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sealer.push(bytes).map_err(in_folder(&self.folder))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn in_folder(folder: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", folder.display()))
}

/// The content of an [`EncryptedTempFile`].
#[derive(Debug)]
pub(crate) struct EncryptedTempSource(SealedSource<File>);

impl Source for EncryptedTempSource {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, buf)
    }

    fn len(&self) -> Option<u64> {
        self.0.len()
    }
}
