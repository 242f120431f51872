//! The bytes of a put: in memory, in a file, or of a stream.

use std::fmt;
use std::io;
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::storage::ByteStream;

/// The number of bytes read from an [`AsyncRead`] at a time.
const READ_AT_ONCE: usize = 256 << 10;

/// The content of a file to store.
///
/// Bytes and files are read as often as a step needs. A stream is read once. If its name may become
/// a delta, it goes to a sealed temporary file first, so the directory for temporary files needs as
/// much free space as the stream has bytes (16 MiB stay in memory); any other stream is sent as it
/// comes.
///
/// ```
/// # use deltaglider::{Body, DeltaGlider};
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let dg = DeltaGlider::builder().embedded(folder.path()).build().await?;
/// # dg.create_bucket("releases").await?;
/// # let path = folder.path().join("app-1.0.zip");
/// # std::fs::write(&path, [7; 1000])?;
/// dg.put("s3://releases/bytes.txt", vec![1, 2, 3]).await?;
/// dg.put("s3://releases/app-1.0.zip", Body::path(&path)).await?;
/// let file = tokio::fs::File::open(&path).await?;
/// dg.put("s3://releases/app-1.1.zip", Body::reader(file)).await?;
/// let pieces = futures::stream::iter(["one", "two"].map(|piece| Ok(piece.into())));
/// dg.put("s3://releases/stream.txt", Body::stream(pieces)).await?;
/// # Ok(()) }
/// ```
pub struct Body(pub(super) Content);

pub(super) enum Content {
    Bytes(Bytes),
    Path(PathBuf),
    Stream {
        stream: ByteStream,
        /// The expected number of bytes.
        len: Option<u64>,
    },
}

impl Body {
    /// Returns the content of a local file, with its modification time and mode.
    pub fn path(path: impl Into<PathBuf>) -> Self {
        Self(Content::Path(path.into()))
    }

    /// Returns the bytes of a stream.
    pub fn stream(stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Self {
        Self(Content::Stream { stream: stream.boxed(), len: None })
    }

    /// Returns the bytes that a reader gives.
    pub fn reader(reader: impl AsyncRead + Send + 'static) -> Self {
        let reader = Box::pin(reader);
        Self::stream(futures::stream::try_unfold(reader, |mut reader| async move {
            let mut piece = BytesMut::with_capacity(READ_AT_ONCE);
            let len = reader.read_buf(&mut piece).await?;
            Ok((len > 0).then(|| (piece.freeze(), reader)))
        }))
    }

    /// States the expected length of a stream in bytes. S3 needs it only for streams above 156 GiB
    /// that are sent as they come; a wrong length does no harm.
    #[must_use]
    pub fn expected_len(self, bytes: u64) -> Self {
        Self(match self.0 {
            Content::Stream { stream, .. } => Content::Stream { stream, len: Some(bytes) },
            known => known,
        })
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Content::Bytes(bytes) => write!(f, "Body({} bytes)", bytes.len()),
            Content::Path(path) => write!(f, "Body({})", path.display()),
            Content::Stream { .. } => f.write_str("Body(stream)"),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(Content::Bytes(bytes))
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static [u8]> for Body {
    fn from(bytes: &'static [u8]) -> Self {
        Bytes::from_static(bytes).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        text.as_bytes().into()
    }
}
