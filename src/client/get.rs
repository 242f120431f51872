//! `get`: the bytes of a file, as a stream whose end is a verdict.

use std::fmt;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use futures::future::{BoxFuture, FutureExt as _, poll_fn};
use futures::{Stream, StreamExt as _};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::mpsc;

use super::DeltaGlider;
use super::channel::HeldBack;
use super::error::{Error, ErrorKind};
use super::head::Info;
use super::location::Location;
use super::progress::{Meter, Progress};
use crate::domain::{ByteRange, ObjectName};
use crate::service::{
    Compared, GetOptions, GetReport, Head, ReadObserver, ServiceError, StatedChecksums, Watch,
};

const GET: &str = "read";

impl DeltaGlider {
    /// Reads a file. Returns once its first bytes are there, or it is known that there are none.
    ///
    /// The last piece comes only once the SHA-256 of the whole file agrees; see [`FileStream`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] if there is no file of this name; [`ErrorKind::Corrupt`] if it
    /// cannot be restored. Both may come from the stream, too.
    ///
    /// ```
    /// # use deltaglider::DeltaGlider;
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let dg = DeltaGlider::builder().embedded(folder.path()).build().await?;
    /// # dg.create_bucket("releases").await?;
    /// dg.put("s3://releases/notes.txt", "what is new").await?;
    /// assert_eq!(dg.get("s3://releases/notes.txt").await?.bytes().await?, "what is new");
    ///
    /// let mut part = dg.get("s3://releases/notes.txt").range(5..7).await?;
    /// assert_eq!((part.info().size, part.content_len()), (11, 2));
    /// let mut text = String::new();
    /// tokio::io::AsyncReadExt::read_to_string(&mut part, &mut text).await?;
    /// assert_eq!(text, "is");
    /// # Ok(()) }
    /// ```
    pub fn get(&self, from: impl Into<Location>) -> GetFile {
        GetFile {
            client: self.clone(),
            from: from.into(),
            options: GetOptions::default(),
            is_empty: false,
            meter: Meter::default(),
        }
    }
}

/// A get with its options; see [`DeltaGlider::get`].
#[derive(Debug)]
#[must_use = "nothing is read before the get is awaited"]
pub struct GetFile {
    client: DeltaGlider,
    from: Location,
    options: GetOptions,
    /// The range that was asked for has no bytes.
    is_empty: bool,
    meter: Meter,
}

verb!(GetFile => FileStream);

impl GetFile {
    /// Returns only these bytes of the file. Those of a delta are read after the whole file was
    /// decoded and verified; of any other file only these bytes are read, and not verified.
    pub fn range(mut self, range: impl RangeBounds<u64>) -> Self {
        let first = match range.start_bound() {
            Bound::Included(&first) => first,
            Bound::Excluded(&before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&last) => Some(last.saturating_add(1)),
            Bound::Excluded(&end) => Some(end),
            Bound::Unbounded => None,
        };
        self.is_empty = end.is_some_and(|end| end <= first);
        self.options.range = Some(match end {
            Some(end) => ByteRange::Between(first, end.saturating_sub(1)),
            None => ByteRange::From(first),
        });
        self
    }

    /// Returns only a range of the file, such as that of an HTTP request.
    pub fn byte_range(mut self, range: ByteRange) -> Self {
        self.options.range = Some(range);
        self
    }

    /// Returns the bytes stored at exactly this key, whatever they are.
    pub fn raw(mut self) -> Self {
        self.options.raw = true;
        self
    }

    /// Sets the treatment of checksums that the store states of files without a SHA-256.
    pub fn stated_checksums(mut self, stated: StatedChecksums) -> Self {
        self.options.stated = stated;
        self
    }

    /// Calls `listener` whenever bytes were received or written.
    pub fn progress(mut self, listener: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        self.meter = Meter::new(listener);
        self
    }

    async fn run(self) -> Result<FileStream, Error> {
        let Self { client, from, options, is_empty, meter } = self;
        let object = from.object(GET)?;
        if is_empty {
            return Err(Error::new(ErrorKind::InvalidRange, GET, &object, "the range is empty"));
        }
        let choice = Arc::new(Choice { meter: meter.clone(), head: Mutex::default() });
        let service = client.observed(&meter).watched(|store| store, choice.clone());
        let (writer, pieces) = HeldBack::channel();
        let name = object.clone();
        let call = async move { service.get(&name, writer, &options).await }.boxed();
        let mut state = State { object, call: Some(call), pieces, last: None, end: End::Ahead };
        let first = poll_fn(|cx| state.poll_piece(cx)).await.transpose()?;
        let head = choice.head.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(head) = head else {
            return Err(Error::new(ErrorKind::Other, GET, &state.object, "nothing was chosen"));
        };
        let range = options.range.and_then(|range| range.within(head.size));
        let len = range.map_or(head.size, |range| range.end - range.start);
        let info = Info::of(state.object.clone(), head);
        Ok(FileStream { info, len, first, state, rest: Bytes::new() })
    }
}

/// The object that a get reads.
#[derive(Debug)]
struct Choice {
    meter: Meter,
    head: Mutex<Option<Head>>,
}

impl Watch for Choice {
    fn chosen(&self, head: Head) {
        if let Some(watch) = self.meter.watch() {
            watch.chosen(head.clone());
        }
        *self.head.lock().unwrap_or_else(PoisonError::into_inner) = Some(head);
    }

    fn of_read(self: Arc<Self>) -> ReadObserver {
        match self.meter.watch() {
            Some(watch) => watch.of_read(),
            None => Arc::new(|_, _| {}),
        }
    }

    fn written(&self, more: u64) {
        if let Some(watch) = self.meter.watch() {
            watch.written(more);
        }
    }
}

type Call = BoxFuture<'static, Result<(HeldBack, GetReport), ServiceError>>;

/// The state of a get: the call, and the pieces that it has written.
struct State {
    object: ObjectName,
    call: Option<Call>,
    pieces: mpsc::Receiver<Bytes>,
    /// The last piece, once the call has ended well.
    last: Option<Bytes>,
    end: End,
}

/// The end of a get.
enum End {
    Ahead,
    Well(Box<GetReport>),
    Failed,
}

impl State {
    /// Returns the next piece. The last one is returned only after the call has ended well.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            if matches!(self.end, End::Failed) {
                return Poll::Ready(None);
            }
            if let Poll::Ready(Some(piece)) = self.pieces.poll_recv(cx) {
                return Poll::Ready(Some(Ok(piece)));
            }
            let Some(call) = &mut self.call else {
                return Poll::Ready(self.last.take().map(Ok));
            };
            let ended = ready!(call.poll_unpin(cx));
            self.call = None;
            match ended {
                Ok((writer, report)) => {
                    self.last = Some(writer.into_last()).filter(|last| !last.is_empty());
                    self.end = End::Well(Box::new(report));
                }
                Err(error) => {
                    self.end = End::Failed;
                    return Poll::Ready(Some(Err(Error::of(GET, &self.object)(error))));
                }
            }
        }
    }
}

/// The bytes of a file: a `Stream` of pieces, and an `AsyncRead`.
///
/// The last piece, of at least one byte, comes only once the SHA-256 of the whole file agrees. If
/// it does not, or if the reader of the file fails, an error comes in its place, through `Stream`
/// as through `AsyncRead`. So whoever reads to the end has the file, and an HTTP response with this
/// body and a `Content-Length` is never complete with wrong bytes.
///
/// Dropping the stream ends the call. While it is neither read nor dropped, it holds a connection
/// and, for a delta, its share of the decoders' memory; read streams one after the other.
#[must_use = "a file is verified only when it is read to its end"]
pub struct FileStream {
    info: Info,
    len: u64,
    first: Option<Bytes>,
    state: State,
    /// The bytes of a piece that an `AsyncRead` has not taken yet.
    rest: Bytes,
}

impl FileStream {
    /// Returns the properties of the file.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// Returns the number of bytes of the stream: the size of the file, or of its range.
    pub fn content_len(&self) -> u64 {
        self.len
    }

    /// Returns the checksum that the bytes were compared with, once the stream has ended well.
    pub fn compared(&self) -> Option<Compared> {
        match &self.state.end {
            End::Well(report) if self.is_read() => Some(report.compared),
            _ => None,
        }
    }

    fn is_read(&self) -> bool {
        self.first.is_none() && self.state.last.is_none() && self.rest.is_empty()
    }

    /// Reads the stream to its end and returns all bytes.
    pub async fn bytes(mut self) -> Result<Bytes, Error> {
        let mut all = BytesMut::new();
        while let Some(piece) = self.next().await {
            all.extend_from_slice(&piece?);
        }
        Ok(all.freeze())
    }
}

impl fmt::Debug for FileStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStream").field("info", &self.info).finish_non_exhaustive()
    }
}

impl Stream for FileStream {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut self.rest))));
        }
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(first))),
            None => self.state.poll_piece(cx),
        }
    }
}

impl AsyncRead for FileStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut rest = match ready!(self.as_mut().poll_next(cx)) {
            Some(piece) => piece?,
            None if matches!(self.state.end, End::Failed) => {
                return Poll::Ready(Err(io::Error::other("the file could not be read to its end")));
            }
            None => return Poll::Ready(Ok(())),
        };
        let len = rest.len().min(buf.remaining());
        buf.put_slice(rest.get(..len).unwrap_or_default());
        rest.advance(len);
        self.rest = rest;
        Poll::Ready(Ok(()))
    }
}
