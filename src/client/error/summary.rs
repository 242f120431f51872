//! The result of a call on many files.

use super::Error;

/// The work on one of many files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileAction {
    /// A local file is stored.
    Upload,
    /// A file is written to a local path.
    Download,
    /// A file is copied inside the store.
    Copy,
    /// A file is deleted.
    Delete,
    /// A file or path is left out.
    Skip,
}

/// The end of the work on one of many files.
#[derive(Debug)]
#[non_exhaustive]
pub struct FileEvent<'a> {
    /// The work.
    pub action: FileAction,
    /// The file: a URI or a path.
    pub name: &'a str,
    /// The error, if it failed.
    pub error: Option<&'a Error>,
    /// True in a dry run: nothing was done.
    pub is_planned: bool,
}

/// The result of a call on many files.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Summary {
    /// The number of files that were stored, or would be.
    pub uploaded: u64,
    /// The number of files that were written to local paths, or would be.
    pub downloaded: u64,
    /// The number of files that were copied inside the store, or would be.
    pub copied: u64,
    /// The number of files that were deleted, or would be.
    pub deleted: u64,
    /// The number of files that were equal already.
    pub unchanged: u64,
    /// The number of files and paths that were left out.
    pub skipped: u64,
    /// Bytes of the files that were stored, written or copied.
    pub bytes: u64,
    /// Bytes that these files added to the store.
    pub stored: u64,
    /// True if nothing was deleted because a file before the deletions failed.
    pub kept_surplus: bool,
    /// The errors of the files that failed.
    pub failures: Vec<Error>,
}

impl Summary {
    /// Returns the number of files that were changed.
    pub fn changed(&self) -> u64 {
        self.uploaded + self.downloaded + self.copied + self.deleted
    }

    /// Counts the end of the work on a file.
    pub(in crate::client) fn count(&mut self, action: FileAction) {
        *match action {
            FileAction::Upload => &mut self.uploaded,
            FileAction::Download => &mut self.downloaded,
            FileAction::Copy => &mut self.copied,
            FileAction::Delete => &mut self.deleted,
            FileAction::Skip => &mut self.skipped,
        } += 1;
    }

    /// Returns the summary, or an error with it if a file failed.
    pub(in crate::client) fn concluded(
        self,
        operation: &'static str,
        object: impl std::fmt::Display,
    ) -> Result<Self, Error> {
        match self.failures.is_empty() {
            true => Ok(self),
            false => Err(Error::incomplete(operation, object, self)),
        }
    }
}
