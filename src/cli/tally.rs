//! Counts of the outcomes of many files.

use super::error::{Exit, warn};

/// The number of files with each outcome.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) done: u64,
    pub(super) warned: u64,
    /// The number of files that were skipped, with a warning.
    pub(super) skipped: u64,
    pub(super) failed: u64,
}

impl Tally {
    pub(super) fn add(&mut self, exit: Exit) {
        match exit {
            Exit::Done => self.done += 1,
            Exit::Warned => self.warned += 1,
            Exit::Skipped => self.skipped += 1,
            _ => self.failed += 1,
        }
    }

    pub(super) fn all(&self) -> u64 {
        self.done + self.warned + self.skipped + self.failed
    }

    /// Adds to the number of files that were done.
    pub(super) fn with_changed(mut self, more: u64) -> Self {
        self.done += more;
        self
    }

    /// Returns the number of files that were changed.
    pub(super) fn changed(&self) -> u64 {
        self.done + self.warned
    }

    /// Prints the number of failures and returns the exit code.
    pub(super) fn end(&self) -> Exit {
        if self.failed > 0 {
            warn(&format!("{} of {} failed", self.failed, self.all()));
            Exit::Failed
        } else if self.warned > 0 || self.skipped > 0 {
            Exit::Warned
        } else {
            Exit::Done
        }
    }
}
