//! A file to store, read by position as often as a step needs and never loaded whole.

use std::fmt;
use std::io::{self, Read, Write as _};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use deltaglider_vcdiff::{FileSource, Source};
use futures::StreamExt as _;
use md5::{Digest as _, Md5};

use super::blocking;
use super::error::ServiceError;
use super::identity::Identity;
use super::spool::Spool;
use crate::domain::policy::{Compression, MAGIC_BYTES};
use crate::domain::{FileStatus, Sha256Digest, Sha256Hasher, Sketch, Sketcher};
use crate::storage::{ByteStream, ChecksumHasher, Checksums, PutBody};

/// The number of bytes read at a time.
pub(crate) const CHUNK: usize = 1 << 20;

/// A file, or the content of standard input, of known length.
#[derive(Clone)]
pub struct Payload {
    name: String,
    len: u64,
    bytes: Arc<dyn Source>,
    /// The identity of a local file.
    identity: Option<Identity>,
    /// The checksums of all bytes, once they were read for their digest.
    checksums: Arc<OnceLock<Checksums>>,
    /// The modification time and mode of a local file.
    status: FileStatus,
}

/// The minimum length, in bytes, of a file that is sent in several parts and so needs no checksum
/// of the whole.
const CHECKED_WHOLE: u64 = crate::storage::MULTIPART_THRESHOLD;

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload")
            .field("name", &self.name)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

impl Payload {
    /// Opens a regular file.
    pub async fn open(path: &Path) -> Result<Self, ServiceError> {
        let path = path.to_owned();
        blocking::run(move |_| {
            let failed = || ServiceError::local(path.display());
            if !std::fs::metadata(&path).map_err(failed())?.is_file() {
                return Err(ServiceError::NotAFile(path));
            }
            let (file, identity) = Identity::open(&path).map_err(failed())?;
            let status = FileStatus::of(&file.metadata().map_err(failed())?);
            let file = FileSource::new(file).map_err(failed())?;
            let len = file.len().unwrap_or_default();
            let (name, bytes) = (path.display().to_string(), Arc::new(file));
            Ok(Self {
                name,
                len,
                bytes,
                identity: Some(identity),
                checksums: Arc::default(),
                status,
            })
        })
        .await
    }

    /// Reads a stream to its end, into memory or an unnamed file in the directory `folder`. `name`
    /// is for messages.
    pub async fn spool(
        mut stream: impl Read + Send + 'static,
        name: &str,
        folder: &Path,
    ) -> Result<Self, ServiceError> {
        let (name, folder) = (name.to_owned(), folder.to_owned());
        blocking::run(move |cancelled| {
            let failed = || ServiceError::local(&name);
            let mut spool = Spool::new(&folder);
            let mut chunk = vec![0; CHUNK];
            loop {
                cancelled.check().map_err(failed())?;
                let n = match stream.read(&mut chunk) {
                    Ok(0) => break,
                    Ok(n) => n,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(failed()(error)),
                };
                spool.write_all(chunk.get(..n).unwrap_or_default()).map_err(failed())?;
            }
            let len = spool.len();
            let bytes = Arc::new(spool.finish().map_err(failed())?);
            Ok(Self {
                name,
                len,
                bytes,
                identity: None,
                checksums: Arc::default(),
                status: FileStatus::default(),
            })
        })
        .await
    }

    /// Wraps bytes that are readable by position; `name` is for messages.
    pub(crate) fn of(name: &str, len: u64, bytes: Arc<dyn Source>) -> Self {
        Self {
            name: name.to_owned(),
            len,
            bytes,
            identity: None,
            checksums: Arc::default(),
            status: FileStatus::default(),
        }
    }

    /// Returns whether the path still leads to the file that was opened, unmodified.
    ///
    /// # Errors
    ///
    /// The path cannot be read; the file may be deleted.
    pub fn is_still_at(&self, path: &Path) -> io::Result<bool> {
        self.identity.as_ref().map_or(Ok(false), |identity| identity.is_still_at(path))
    }

    /// Returns the modification time and mode of a local file, as they were when it was opened.
    pub fn status(&self) -> FileStatus {
        self.status
    }

    /// Returns the name for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the length in bytes, as it was when the file was opened.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Returns whether the length is zero.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Passes all bytes to `take`, piece by piece.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Changed`] if the file is shorter than when it was opened.
    pub(crate) fn read<E>(
        &self,
        cancelled: &blocking::Cancelled,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E>
    where
        E: From<ServiceError>,
    {
        let mut chunk = vec![0; usize::try_from(self.len).unwrap_or(CHUNK).min(CHUNK)];
        let mut at = 0;
        while at < self.len {
            let failed = || ServiceError::local(&self.name);
            cancelled.check().map_err(failed())?;
            let want = usize::try_from(self.len - at).unwrap_or(CHUNK).min(CHUNK);
            let piece = chunk.get_mut(..want).unwrap_or_default();
            let n = self.bytes.read_at(at, piece).map_err(failed())?;
            if n < want {
                return Err(ServiceError::Changed(self.name.clone()).into());
            }
            take(piece)?;
            at += n as u64;
        }
        Ok(())
    }

    /// Returns a hasher for the checksums, if they are not known and will be needed.
    fn checksum_hasher(&self) -> Option<ChecksumHasher> {
        (self.len < CHECKED_WHOLE && self.checksums.get().is_none()).then(ChecksumHasher::default)
    }

    fn keep(&self, checksums: Option<ChecksumHasher>) {
        if let Some(checksums) = checksums {
            self.checksums.get_or_init(|| checksums.finish());
        }
    }

    /// Returns the SHA-256 of all bytes.
    pub(crate) async fn digest(&self) -> Result<Sha256Digest, ServiceError> {
        let input = self.clone();
        blocking::run(move |cancelled| {
            let (mut hasher, mut checksums) = (Sha256Hasher::default(), input.checksum_hasher());
            input.read(cancelled, |piece| {
                hasher.update(piece);
                if let Some(checksums) = &mut checksums {
                    checksums.update(piece);
                }
                Ok::<_, ServiceError>(())
            })?;
            input.keep(checksums);
            Ok(hasher.finish())
        })
        .await
    }

    /// Returns the MD5 in hexadecimal digits: most stores' tag of an object sent in one piece.
    pub(crate) async fn md5(&self) -> Result<String, ServiceError> {
        let input = self.clone();
        blocking::run(move |cancelled| {
            let mut md5 = Md5::new();
            input.read(cancelled, |piece| {
                md5.update(piece);
                Ok::<_, ServiceError>(())
            })?;
            Ok(md5.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
        })
        .await
    }

    /// Returns the SHA-256 of all bytes and their sketch.
    pub(crate) async fn sketch(&self) -> Result<(Sha256Digest, Sketch), ServiceError> {
        let input = self.clone();
        blocking::run(move |cancelled| input.sketch_and(cancelled, |_| Ok(()))).await
    }

    /// Returns the SHA-256 of all bytes and their sketch, and passes the bytes to `take`, piece by
    /// piece.
    pub(crate) fn sketch_and(
        &self,
        cancelled: &blocking::Cancelled,
        mut take: impl FnMut(&[u8]) -> Result<(), ServiceError>,
    ) -> Result<(Sha256Digest, Sketch), ServiceError> {
        let (mut hasher, mut sketcher) = (Sha256Hasher::default(), Sketcher::default());
        let mut checksums = self.checksum_hasher();
        self.read(cancelled, |piece| {
            hasher.update(piece);
            sketcher.update(piece);
            if let Some(checksums) = &mut checksums {
                checksums.update(piece);
            }
            take(piece)
        })?;
        self.keep(checksums);
        Ok((hasher.finish(), sketcher.finish()))
    }

    /// Returns the compression that the first bytes show.
    pub(crate) async fn compression(&self) -> Result<Option<Compression>, ServiceError> {
        let input = self.clone();
        blocking::run(move |_| {
            let mut beginning = [0; MAGIC_BYTES];
            let n =
                input.bytes.read_at(0, &mut beginning).map_err(ServiceError::local(&input.name))?;
            Ok(Compression::of(beginning.get(..n).unwrap_or_default()))
        })
        .await
    }

    /// Returns the bytes as the body of a PUT. They are hashed again while they are sent; if they
    /// do not match `expected`, the stream fails before its last piece, so that no object becomes
    /// visible.
    pub(crate) fn body(&self, expected: Sha256Digest) -> PutBody {
        let input = self.clone();
        PutBody::new(self.len, move || input.stream(expected))
            .with_checksums(self.checksums.clone())
    }

    fn stream(&self, expected: Sha256Digest) -> ByteStream {
        let state = (self.clone(), 0, Sha256Hasher::default());
        futures::stream::try_unfold(state, move |(input, at, mut hasher)| async move {
            if at >= input.len {
                return Ok(None);
            }
            let want = usize::try_from(input.len - at).unwrap_or(CHUNK).min(CHUNK);
            let bytes = input.bytes.clone();
            let (piece, hasher) = blocking::run(move |_| {
                let mut piece = vec![0; want];
                let n = bytes.read_at(at, &mut piece)?;
                hasher.update(&piece);
                if n < want {
                    Err(io::ErrorKind::UnexpectedEof.into())
                } else {
                    Ok((piece, hasher))
                }
            })
            .await
            .map_err(|error: io::Error| {
                io::Error::new(error.kind(), format!("{}: {error}", input.name))
            })?;
            let at = at + want as u64;
            if at >= input.len && hasher.clone().finish() != expected {
                return Err(io::Error::other(format!("{} changed while it was read", input.name)));
            }
            Ok(Some((Bytes::from(piece), (input, at, hasher))))
        })
        .boxed()
    }
}

impl Source for Payload {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.bytes.read_at(offset, buf)
    }

    fn len(&self) -> Option<u64> {
        Some(self.len)
    }
}
