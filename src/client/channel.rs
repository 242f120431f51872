//! Channels between a caller's asynchronous streams and the threads that read and write them.
//!
//! The writer of a get keeps its last piece until the get has ended well; the reader of a put never
//! takes an abandoned stream for one that ended.

use std::io::{self, Read, Write};

use bytes::{Buf as _, Bytes};
use futures::StreamExt as _;
use tokio::sync::mpsc;

use crate::storage::ByteStream;

/// The maximum number of bytes of a piece.
const PIECE: usize = 256 << 10;

/// The maximum number of pieces in flight, which bounds the memory of a stream.
const PIECES_IN_FLIGHT: usize = 4;

/// A writer that passes on pieces and holds the last one back.
#[derive(Debug)]
pub(super) struct HeldBack {
    pieces: mpsc::Sender<Bytes>,
    held: Vec<u8>,
}

impl HeldBack {
    /// Returns a writer, and the pieces that it passes on.
    pub(super) fn channel() -> (Self, mpsc::Receiver<Bytes>) {
        let (pieces, received) = mpsc::channel(PIECES_IN_FLIGHT);
        (Self { pieces, held: Vec::new() }, received)
    }

    /// Returns the last piece, which was not passed on: empty only if nothing was written.
    pub(super) fn into_last(self) -> Bytes {
        self.held.into()
    }
}

impl Write for HeldBack {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !bytes.is_empty() && self.held.len() >= PIECE {
            let piece = std::mem::replace(&mut self.held, Vec::with_capacity(PIECE));
            let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "the reader is gone");
            self.pieces.blocking_send(piece.into()).map_err(gone)?;
        }
        let taken = bytes.len().min(PIECE - self.held.len());
        self.held.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        Ok(taken)
    }

    /// Does nothing: a flush is no end.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A stream, read on a thread that may block.
#[derive(Debug)]
pub(super) struct StreamReader {
    pieces: mpsc::Receiver<Option<io::Result<Bytes>>>,
    piece: Bytes,
    has_ended: bool,
}

impl StreamReader {
    /// Returns a reader of the stream, and the future that feeds it.
    pub(super) fn of(mut stream: ByteStream) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, pieces) = mpsc::channel(PIECES_IN_FLIGHT);
        let feed = async move {
            while let Some(piece) = stream.next().await {
                if sender.send(Some(piece)).await.is_err() {
                    return;
                }
            }
            // A channel closed without this message means that the call was abandoned.
            let _ = sender.send(None).await;
        };
        (Self { pieces, piece: Bytes::new(), has_ended: false }, feed)
    }
}

impl Read for StreamReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() && !self.has_ended {
            match self.pieces.blocking_recv() {
                Some(Some(piece)) => self.piece = piece?,
                Some(None) => self.has_ended = true,
                None => return Err(io::Error::other("the stream was abandoned")),
            }
        }
        let len = self.piece.len().min(buf.len());
        self.piece.copy_to_slice(buf.get_mut(..len).unwrap_or_default());
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the lengths of the writes, the last byte stays until the end, and flushes pass
    /// nothing on.
    #[test]
    fn last_piece_is_held_back() {
        for len in [1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE] {
            for step in [1000, PIECE, 2 * PIECE] {
                let content: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
                let (mut writer, mut pieces) = HeldBack::channel();
                content.chunks(step).for_each(|part| writer.write_all(part).unwrap());
                writer.flush().unwrap();
                let mut passed = Vec::new();
                while let Ok(piece) = pieces.try_recv() {
                    passed.extend_from_slice(&piece);
                }
                assert!(passed.len() < len, "{len} in steps of {step}");
                passed.extend_from_slice(&writer.into_last());
                assert!(passed == content, "{len} in steps of {step}");
            }
        }
    }

    #[test]
    fn dropped_reader_fails_writes() {
        let (mut writer, pieces) = HeldBack::channel();
        drop(pieces);
        let error = writer.write_all(&vec![0; 2 * PIECE]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn abandoned_stream_is_no_end() {
        let pieces = vec![Ok(Bytes::from_static(b"ab"))];
        let (mut reader, feed) = StreamReader::of(
            futures::stream::iter(pieces).chain(futures::stream::pending()).boxed(),
        );
        let read = tokio::task::spawn_blocking(move || reader.read_to_end(&mut Vec::new()));
        let _ = tokio::time::timeout(std::time::Duration::from_millis(20), feed).await;
        assert!(read.await.unwrap().is_err());
        let pieces = vec![Ok(Bytes::from_static(b"ab")), Ok(Bytes::new()), Ok(Bytes::from("c"))];
        let (mut reader, feed) = StreamReader::of(futures::stream::iter(pieces).boxed());
        let read = tokio::task::spawn_blocking(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).map(|_| all)
        });
        feed.await;
        assert_eq!(read.await.unwrap().unwrap(), b"abc");
    }
}
