//! The source that COPY instructions read from: the older version of the file.

use std::io;
use std::sync::Arc;

/// Bytes that can be read at any position, as often as needed.
///
/// `&self`, so that windows can be matched in parallel from one source.
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
    /// Fills `buf` from `offset` (in bytes) on and returns how many bytes it got; fewer than asked only at the end.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// The length in bytes if it is known beforehand. xdelta3 writes other bytes for a source of unknown length (a pipe).
    fn len(&self) -> Option<u64>;

    /// Lends the whole source, if it is in memory or mapped there: the bytes that [`read_at`](Self::read_at) gives, the same
    /// ones at every call. The encoder and the decoder then copy and cache none of them.
    fn bytes(&self) -> Option<&[u8]> {
        None
    }

    /// Whether the source is known to hold no byte.
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

/// A regular file of known length, read by position; its cursor is neither used nor moved.
#[derive(Debug)]
pub struct FileSource {
    file: std::fs::File,
    len: u64,
}

impl FileSource {
    /// Takes the length from the open file.
    pub fn new(file: std::fs::File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self { file, len })
    }
}

impl Source for FileSource {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            #[cfg(unix)]
            let read = std::os::unix::fs::FileExt::read_at(&self.file, rest, offset.saturating_add(filled as u64));
            #[cfg(windows)]
            let read = std::os::windows::fs::FileExt::seek_read(&self.file, rest, offset.saturating_add(filled as u64));
            match read {
                Ok(0) => break,
                Ok(n) => filled = filled.saturating_add(n),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(filled)
    }

    fn len(&self) -> Option<u64> {
        Some(self.len)
    }
}
