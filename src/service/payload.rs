//! A file to store, read by position as often as a step needs and never loaded whole.

use std::fmt;
use std::io::{self, Read, Write as _};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use deltaglider_vcdiff::{FileSource, Source};
use futures::StreamExt as _;
use md5::{Digest as _, Md5};

use super::blocking;
use super::error::ServiceError;
use super::identity::Identity;
use super::spool::Spool;
use crate::domain::{
    Compression, FileStatus, MAGIC_BYTES, Sha256Digest, Sha256Hasher, Sketch, Sketcher,
};
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
    /// What a pass over all bytes saw.
    seen: Arc<OnceLock<Seen>>,
    /// The modification time and mode of a local file.
    status: FileStatus,
    /// The observer of passes over all bytes.
    watch: Option<ReadObserver>,
}

/// A function that is called when a pass over all bytes has come to a position, with that and the
/// length.
pub(crate) type ReadObserver = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// What a pass over all bytes saw: later passes compare their bytes with it, which is cheaper than
/// to compute the digest again.
struct Seen {
    digest: Sha256Digest,
    /// The CRC-64 of each [`CHUNK`].
    pieces: Vec<u64>,
}

fn checksum_of(piece: &[u8]) -> u64 {
    crc_fast::checksum(CrcAlgorithm::Crc64Nvme, piece)
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
                seen: Arc::default(),
                status,
                watch: None,
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
                seen: Arc::default(),
                status: FileStatus::default(),
                watch: None,
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
            seen: Arc::default(),
            status: FileStatus::default(),
            watch: None,
        }
    }

    /// Wraps bytes in memory; `name` is for messages.
    pub fn from_bytes(name: &str, bytes: Bytes) -> Self {
        Self::of(name, bytes.len() as u64, Arc::new(InMemory(bytes)))
    }

    /// Returns the same file with an observer of passes over all bytes.
    pub(crate) fn watched(self, watch: Option<ReadObserver>) -> Self {
        Self { watch, ..self }
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
            if let Some(watch) = &self.watch {
                watch(at, self.len);
            }
        }
        Ok(())
    }

    /// Begins a pass over all bytes. The checksums are computed if they are not known and will be
    /// needed.
    fn pass(&self) -> Pass {
        let needs_checksums = self.len < CHECKED_WHOLE && self.checksums.get().is_none();
        Pass {
            hasher: Sha256Hasher::default(),
            checksums: needs_checksums.then(ChecksumHasher::default),
            pieces: Vec::new(),
        }
    }

    /// Keeps what a pass over all bytes saw, and returns the digest.
    fn end(&self, pass: Pass) -> Sha256Digest {
        let digest = pass.hasher.finish();
        if let Some(checksums) = pass.checksums {
            self.checksums.get_or_init(|| checksums.finish());
        }
        self.seen.get_or_init(|| Seen { digest, pieces: pass.pieces });
        digest
    }

    /// Returns the SHA-256 of all bytes.
    pub(crate) async fn digest(&self) -> Result<Sha256Digest, ServiceError> {
        let input = self.clone();
        blocking::run(move |cancelled| {
            let mut pass = input.pass();
            input.read(cancelled, |piece| {
                pass.take(piece);
                Ok::<_, ServiceError>(())
            })?;
            Ok(input.end(pass))
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
        let (mut pass, mut sketcher) = (self.pass(), Sketcher::default());
        self.read(cancelled, |piece| {
            pass.take(piece);
            sketcher.update(piece);
            take(piece)
        })?;
        Ok((self.end(pass), sketcher.finish()))
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

    /// Returns the bytes as the body of a PUT. They are checked again while they are sent, piece by
    /// piece if a pass saw the content of digest `expected`; if they do not match it, the stream
    /// fails before its last piece, so that no object becomes visible.
    pub(crate) fn body(&self, expected: Sha256Digest) -> PutBody {
        let input = self.clone();
        PutBody::new(self.len, move || input.stream(expected))
            .with_checksums(self.checksums.clone())
    }

    fn stream(&self, expected: Sha256Digest) -> ByteStream {
        let is_seen = self.seen.get().is_some_and(|seen| seen.digest == expected);
        let state = (self.clone(), 0, (!is_seen).then(Sha256Hasher::default));
        futures::stream::try_unfold(state, move |(input, at, mut hasher)| async move {
            if at >= input.len {
                return Ok(None);
            }
            let want = usize::try_from(input.len - at).unwrap_or(CHUNK).min(CHUNK);
            let reader = input.clone();
            let (piece, is_same, hasher) = blocking::run(move |_| {
                let mut piece = vec![0; want];
                let n = reader.bytes.read_at(at, &mut piece)?;
                if n < want {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
                }
                let is_last = at + want as u64 >= reader.len;
                let is_same = match (&mut hasher, reader.seen.get()) {
                    (Some(hasher), _) => {
                        hasher.update(&piece);
                        !is_last || hasher.clone().finish() == expected
                    }
                    (None, Some(seen)) => {
                        let number = usize::try_from(at / CHUNK as u64).unwrap_or(usize::MAX);
                        seen.pieces.get(number) == Some(&checksum_of(&piece))
                    }
                    (None, None) => false,
                };
                Ok((piece, is_same, hasher))
            })
            .await
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", input.name)))?;
            if !is_same {
                return Err(io::Error::other(format!("{} changed while it was read", input.name)));
            }
            Ok(Some((Bytes::from(piece), (input, at + want as u64, hasher))))
        })
        .boxed()
    }
}

/// A pass over all bytes.
struct Pass {
    hasher: Sha256Hasher,
    checksums: Option<ChecksumHasher>,
    pieces: Vec<u64>,
}

impl Pass {
    /// Takes the next [`CHUNK`], or the shorter last one.
    fn take(&mut self, piece: &[u8]) {
        self.hasher.update(piece);
        if let Some(checksums) = &mut self.checksums {
            checksums.update(piece);
        }
        self.pieces.push(checksum_of(piece));
    }
}

/// Bytes in memory that are shared with the caller.
struct InMemory(Bytes);

impl Source for InMemory {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, buf)
    }

    fn len(&self) -> Option<u64> {
        Some(self.0.len() as u64)
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// A file of which one byte changes.
    struct Changing {
        bytes: Vec<u8>,
        at: usize,
        has_changed: AtomicBool,
    }

    impl Source for Changing {
        fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
            let n = self.bytes.read_at(offset, buf)?;
            let within = (self.at as u64).checked_sub(offset).filter(|&at| at < n as u64);
            if let Some(at) = within.filter(|_| self.has_changed.load(Ordering::Relaxed)) {
                buf[at as usize] ^= 0x10;
            }
            Ok(n)
        }

        fn len(&self) -> Option<u64> {
            Some(self.bytes.len() as u64)
        }
    }

    /// Returns the number of bytes that a body hands out, and the error that ends it.
    async fn sent(file: &Payload, expected: Sha256Digest) -> (usize, Option<String>) {
        let (mut stream, mut len) = (file.body(expected).open(), 0);
        while let Some(piece) = stream.next().await {
            match piece {
                Ok(piece) => len += piece.len(),
                Err(error) => return (len, Some(error.to_string())),
            }
        }
        (len, None)
    }

    /// A body of a file that changed is never whole, whichever piece changed, and whether a pass
    /// saw the file before.
    #[tokio::test]
    async fn changed_file_is_never_sent_whole() {
        let bytes: Vec<u8> = (0..2 * CHUNK + 5).map(|at| (at / 3) as u8).collect();
        let digest = Sha256Digest::of(&bytes);
        for at in [0, CHUNK - 1, CHUNK, 2 * CHUNK + 4] {
            for is_seen in [false, true] {
                let changing =
                    Changing { bytes: bytes.clone(), at, has_changed: AtomicBool::new(false) };
                let source = Arc::new(changing);
                let file = Payload::of("file", bytes.len() as u64, source.clone());
                if is_seen {
                    assert_eq!(file.digest().await.unwrap(), digest);
                }
                assert_eq!(sent(&file, digest).await, (bytes.len(), None));
                let (len, error) = sent(&file, Sha256Digest::of(b"other")).await;
                assert!(len < bytes.len() && error.is_some(), "of another digest");
                source.has_changed.store(true, Ordering::Relaxed);
                let (len, error) = sent(&file, digest).await;
                assert!(len < bytes.len(), "{at} {is_seen}");
                assert_eq!(error.as_deref(), Some("file changed while it was read"));
            }
        }
    }
}
