//! Observation of an operation: the object it chose, and the bytes it read and wrote.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use super::head::Head;
use super::payload::ReadObserver;

/// An observer of the operations of a [`DeltaService`](super::DeltaService). Calls come from
/// several threads and must return soon.
pub(crate) trait Watch: fmt::Debug + Send + Sync {
    /// Reports the object that a get reads. If that is replaced before any byte was written, the
    /// next one is reported too.
    fn chosen(&self, head: Head);

    /// Returns the observer of a file to store.
    fn of_read(self: Arc<Self>) -> ReadObserver;

    /// Reports that a get has written this many more bytes.
    fn written(&self, more: u64);
}

/// A writer that reports the bytes it passes on.
pub(super) struct WatchedWriter<W> {
    to: W,
    watch: Arc<dyn Watch>,
}

impl<W> WatchedWriter<W> {
    pub(super) fn new(to: W, watch: Arc<dyn Watch>) -> Self {
        Self { to, watch }
    }

    pub(super) fn into_inner(self) -> W {
        self.to
    }
}

impl<W: Write> Write for WatchedWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.to.write(bytes)?;
        self.watch.written(n as u64);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
