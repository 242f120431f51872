//! The source that COPY instructions read from: the older version of the file.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};

use crate::stream::read_some;

/// Bytes that can be read at any position, as often as needed.
///
/// The methods take `&self`, so that several threads can match windows against one source.
///
/// ```
/// use std::io;
/// use deltaglider_vcdiff::Source;
///
/// /// A file the program has mapped into memory.
/// struct Mapped(&'static [u8]);
///
/// impl Source for Mapped {
///     fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
///         self.0.read_at(offset, buf)
///     }
///     fn len(&self) -> Option<u64> {
///         Some(self.0.len() as u64)
///     }
///     fn bytes(&self) -> Option<&[u8]> {
///         Some(self.0)
///     }
/// }
/// # assert_eq!(Mapped(b"abc").bytes(), Some(&b"abc"[..]));
/// ```
pub trait Source: Send + Sync {
    /// Fills `buf` from `offset` (in bytes) on and returns the number of bytes read, which is less
    /// than `buf.len()` only at the end.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// Returns the length in bytes if it is known in advance. xdelta3 writes other bytes for a
    /// source of unknown length (a pipe).
    fn len(&self) -> Option<u64>;

    /// Returns the whole source if it is in memory or mapped: the bytes that
    /// [`read_at`](Self::read_at) reads, the same ones at every call. The encoder and the decoder
    /// then neither copy nor cache them.
    fn bytes(&self) -> Option<&[u8]> {
        None
    }

    /// Returns whether the source is known to be empty.
    fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }
}

impl Source for [u8] {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(<[u8]>::len(self));
        let rest = self.get(start..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..n), rest.get(..n)) {
            to.copy_from_slice(from);
        }
        Ok(n)
    }

    fn len(&self) -> Option<u64> {
        Some(<[u8]>::len(self) as u64)
    }

    fn bytes(&self) -> Option<&[u8]> {
        Some(self)
    }
}

impl Source for Vec<u8> {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.as_slice().read_at(offset, buf)
    }

    fn len(&self) -> Option<u64> {
        Source::len(self.as_slice())
    }

    fn bytes(&self) -> Option<&[u8]> {
        Some(self)
    }
}

impl<S: Source + ?Sized> Source for &S {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        (**self).read_at(offset, buf)
    }

    fn len(&self) -> Option<u64> {
        (**self).len()
    }

    fn bytes(&self) -> Option<&[u8]> {
        (**self).bytes()
    }
}

impl<S: Source + ?Sized> Source for Arc<S> {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        (**self).read_at(offset, buf)
    }

    fn len(&self) -> Option<u64> {
        (**self).len()
    }

    fn bytes(&self) -> Option<&[u8]> {
        (**self).bytes()
    }
}

impl<S: Source + ?Sized> Source for Box<S> {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        (**self).read_at(offset, buf)
    }

    fn len(&self) -> Option<u64> {
        (**self).len()
    }

    fn bytes(&self) -> Option<&[u8]> {
        (**self).bytes()
    }
}

/// An open file, read by position where the platform supports it. Its length is known if it is a
/// regular file; a device may be read too.
impl Source for File {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match read_once(self, rest, offset.saturating_add(filled as u64)) {
                Ok(0) => break,
                Ok(n) => filled = filled.saturating_add(n),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(filled)
    }

    fn len(&self) -> Option<u64> {
        self.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len())
    }
}

#[cfg(unix)]
fn read_once(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buf, offset)
}

#[cfg(windows)]
fn read_once(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buf, offset)
}

/// Reads from a position by moving the cursor, for platforms without a positional read. Only one
/// thread may read at a time.
#[cfg(not(any(unix, windows)))]
fn read_once(mut file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    static CURSOR: Mutex<()> = Mutex::new(());
    let _moved = CURSOR.lock().unwrap_or_else(PoisonError::into_inner);
    file.seek(SeekFrom::Start(offset))?;
    file.read(buf)
}

/// A regular file whose length is read once. On Unix and Windows its cursor is neither used nor
/// moved by reads.
#[derive(Debug)]
pub struct FileSource {
    file: File,
    len: u64,
}

impl FileSource {
    /// Reads the length from the open file.
    pub fn new(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self { file, len })
    }

    /// Returns the file.
    pub fn get_ref(&self) -> &File {
        &self.file
    }

    /// Returns the file.
    pub fn into_inner(self) -> File {
        self.file
    }
}

impl Source for FileSource {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buf)
    }

    fn len(&self) -> Option<u64> {
        Some(self.len)
    }
}

/// A source from anything that implements [`Read`] and [`Seek`]; one thread reads at a time.
///
/// ```
/// use std::io::Cursor;
/// use deltaglider_vcdiff::{SeekSource, Source};
///
/// let source = SeekSource::new(Cursor::new(b"abcdef"))?;
/// let mut two = [0; 2];
/// assert_eq!(source.read_at(3, &mut two)?, 2);
/// assert_eq!((&two, source.len()), (b"de", Some(6)));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct SeekSource<R> {
    inner: Mutex<R>,
    len: u64,
}

impl<R: Read + Seek> SeekSource<R> {
    /// Determines the length by seeking to the end.
    pub fn new(mut inner: R) -> io::Result<Self> {
        let len = inner.seek(SeekFrom::End(0))?;
        Ok(Self { inner: Mutex::new(inner), len })
    }

    /// Returns the inner reader. The position of its cursor is unspecified.
    pub fn into_inner(self) -> R {
        self.inner.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R: Read + Seek + Send> Source for SeekSource<R> {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.seek(SeekFrom::Start(offset))?;
        let mut filled = 0usize;
        while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match read_some(&mut *inner, rest)? {
                0 => break,
                n => filled = filled.saturating_add(n),
            }
        }
        Ok(filled)
    }

    fn len(&self) -> Option<u64> {
        Some(self.len)
    }
}
