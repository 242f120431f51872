//! The second half of the encoder: compresses the sections of a window and writes it, here or on a
//! thread of its own, beside the matching of the next window.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::error::EncodeError;
use super::section_writer::Sections;
use super::window_writer::WindowWriter;

/// A matched window.
#[derive(Debug)]
pub(super) struct Matched {
    pub(super) sections: Sections,
    /// The length of the target window in bytes.
    pub(super) target_len: u64,
    /// The Adler-32 of the target window, if the window has one.
    pub(super) checksum: Option<u32>,
}

impl Matched {
    fn write(&self, windows: &mut WindowWriter, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        windows.window(self.sections.parts(self.target_len, self.checksum), out)
    }
}

/// The writer of matched windows, in their order.
#[derive(Debug)]
pub(super) enum Pipeline {
    Here(WindowWriter),
    Thread(WriterThread),
}

/// A thread that writes one window while the next one is matched.
#[derive(Debug)]
pub(super) struct WriterThread {
    matched: SyncSender<Matched>,
    written: Receiver<Result<Vec<u8>, EncodeError>>,
    /// `true` if a window was passed on that has not come back.
    busy: bool,
}

impl Pipeline {
    /// Writes on a thread of its own if there is one to be had.
    pub(super) fn on_thread(windows: impl Fn() -> WindowWriter) -> Self {
        WriterThread::start(windows()).map_or_else(|| Self::Here(windows()), Self::Thread)
    }

    /// Takes the next window, and appends it to `out`, or the one before.
    pub(super) fn write(&mut self, matched: Matched, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            Self::Here(windows) => matched.write(windows, out),
            Self::Thread(thread) => {
                thread.collect(out)?;
                thread.busy = true;
                thread.matched.send(matched).map_err(|_| EncodeError::Aborted)
            }
        }
    }

    /// Appends the windows that are not written yet.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            Self::Here(_) => Ok(()),
            Self::Thread(thread) => thread.collect(out),
        }
    }
}

impl WriterThread {
    fn start(mut windows: WindowWriter) -> Option<Self> {
        let (matched, jobs) = sync_channel::<Matched>(1);
        let (results, written) = sync_channel(1);
        let run = move || {
            for matched in jobs {
                let mut out = Vec::new();
                let result = matched.write(&mut windows, &mut out);
                if results.send(result.map(|()| out)).is_err() {
                    break;
                }
            }
        };
        thread::Builder::new().name("vcdiff-writer".to_owned()).spawn(run).ok()?;
        Some(Self { matched, written, busy: false })
    }

    fn collect(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if std::mem::take(&mut self.busy) {
            let mut written = self.written.recv().map_err(|_| EncodeError::Aborted)??;
            if out.is_empty() {
                *out = written;
            } else {
                out.append(&mut written);
            }
        }
        Ok(())
    }
}
