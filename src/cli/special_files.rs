//! Sources and destinations that are not regular files: standard streams, pipes and devices, named
//! by `-` or by path.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::error::Failure;
use crate::service::ServiceError;

/// A stream that is read or written once, from its beginning to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Special {
    /// Standard input or output.
    Standard,
    /// A pipe or a character device.
    Path(PathBuf),
}

impl Special {
    /// Returns the stream that a source names, if it names one.
    pub(super) fn source(path: &Path) -> Option<Self> {
        match path.as_os_str().as_encoded_bytes() {
            b"-" | b"/dev/stdin" | b"/dev/fd/0" | b"/proc/self/fd/0" => Some(Self::Standard),
            // Other devices may never end.
            b"/dev/null" | b"/dev/tty" => is_stream(path).then(|| Self::Path(path.to_owned())),
            _ => (is_stream(path) && !is_device(path)).then(|| Self::Path(path.to_owned())),
        }
    }

    /// Returns the stream that a destination names, if it names one. A file behind a descriptor is
    /// one: it has no directory to write a draft to.
    pub(super) fn destination(path: &Path) -> Option<Self> {
        match path.as_os_str().as_encoded_bytes() {
            b"-" | b"/dev/stdout" | b"/dev/fd/1" | b"/proc/self/fd/1" => Some(Self::Standard),
            _ => (is_descriptor(path) || is_stream(path)).then(|| Self::Path(path.to_owned())),
        }
    }

    /// Opens a pipe or device to read from; waits until a pipe has a writer.
    pub(super) async fn read(path: &Path) -> Result<File, Failure> {
        opened(path, |path| File::open(path)).await
    }

    /// Opens a pipe or device to write to; waits until a pipe has a reader.
    pub(super) async fn write(path: &Path) -> Result<File, Failure> {
        opened(path, |path| File::options().write(true).truncate(true).open(path)).await
    }
}

/// Returns whether a path names a descriptor, so that its last part is no name of a file.
pub(super) fn is_descriptor(path: &Path) -> bool {
    let directory = path.parent().unwrap_or(path);
    ["/dev/fd", "/proc/self/fd"].iter().any(|descriptors| directory == Path::new(descriptors))
        || ["/dev/stdin", "/dev/stdout", "/dev/stderr"]
            .iter()
            .any(|stream| path == Path::new(stream))
}

#[cfg(unix)]
fn is_stream(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    let is_stream = |metadata: &std::fs::Metadata| {
        let kind = metadata.file_type();
        kind.is_fifo() || kind.is_char_device()
    };
    std::fs::metadata(path).is_ok_and(|metadata| is_stream(&metadata))
}

/// Returns whether a path leads to a character device, other than by a descriptor of this process.
#[cfg(unix)]
fn is_device(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    !is_descriptor(path)
        && std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_char_device())
}

#[cfg(not(unix))]
fn is_device(_: &Path) -> bool {
    false
}

#[cfg(not(unix))]
fn is_stream(_: &Path) -> bool {
    false
}

async fn opened(path: &Path, open: fn(&Path) -> io::Result<File>) -> Result<File, Failure> {
    let to_open = path.to_owned();
    let opened = tokio::task::spawn_blocking(move || open(&to_open)).await;
    let opened = opened.unwrap_or_else(|error| Err(io::Error::other(error)));
    opened.map_err(|error| ServiceError::local(path.display())(error).into())
}
