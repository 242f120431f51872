//! Exit codes, and the messages of commands that fail.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use crate::domain::UriError;
use crate::service::{ServiceError, chain};
use crate::storage::{StorageError, StorageErrorKind};
use crate::wiring::{CacheError, WiringError};

use super::printable::one_line;

/// The outcome of a command; the exit codes are those of `aws s3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// 0: everything was done.
    Done,
    /// 1: something failed, or nothing was found.
    Failed,
    /// 2: everything was done, and there were warnings.
    Warned,
    /// 2: this was skipped, with a warning.
    Skipped,
    /// 255: the command line makes no sense, or a local file it names does not exist.
    Usage,
    /// 128 and the signal's number.
    Signal(i32),
}

/// The number of SIGPIPE.
const PIPE: i32 = 13;

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::Failed => Self::from(1),
            Exit::Warned | Exit::Skipped => Self::from(2),
            Exit::Usage => Self::from(255),
            Exit::Signal(number) => {
                Self::from(u8::try_from(number).unwrap_or_default().saturating_add(128))
            }
        }
    }
}

/// The error that ended a command.
#[derive(Debug)]
pub(super) struct Failure {
    exit: Exit,
    error: Box<dyn Error + Send + Sync>,
}

impl Failure {
    /// Creates a usage error: the command line makes no sense.
    pub(super) fn usage(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { exit: Exit::Usage, error: error.into() }
    }

    /// Creates the error for a system call, needed by every command, that failed.
    pub(super) fn system(error: io::Error) -> Self {
        Self { exit: Exit::Failed, error: error.into() }
    }

    /// Creates the error for standard output; if its reader is gone, it is not reported.
    pub(super) fn output(error: io::Error) -> Self {
        let exit = if error.kind() == io::ErrorKind::BrokenPipe {
            Exit::Signal(PIPE)
        } else {
            Exit::Failed
        };
        Self { exit, error: Box::new(ServiceError::Output(error)) }
    }

    /// Returns whether the credentials cannot be used.
    fn is_of_credentials(&self) -> bool {
        let mut next: Option<&(dyn Error + 'static)> = Some(&*self.error);
        while let Some(error) = next {
            let kind = match error.downcast_ref() {
                Some(ServiceError::Storage(error)) => Some(error.kind),
                _ => error.downcast_ref::<StorageError>().map(|error| error.kind),
            };
            if kind == Some(StorageErrorKind::Credentials) {
                return true;
            }
            next = error.source();
        }
        false
    }

    /// Prints the error of one file among many on standard error.
    ///
    /// # Errors
    ///
    /// Returns the failure instead if the other files would fail too.
    pub(super) fn tell_of(self, what: &str) -> Result<Exit, Self> {
        // Nothing else succeeds with these credentials.
        if self.exit == Exit::Signal(PIPE) || self.is_of_credentials() {
            return Err(self);
        }
        print_error(what, &*self.error);
        Ok(Exit::Failed)
    }

    /// Prints the error on standard error and returns the exit code.
    pub(super) fn tell(self) -> Exit {
        if self.exit == Exit::Signal(PIPE) {
            return self.exit;
        }
        let prefix = if self.exit == Exit::Usage { "usage error" } else { "fatal error" };
        print_error(prefix, &*self.error);
        self.exit
    }
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::Output(cause) => Self::output(cause),
            error => Self { exit: class(&error), error: error.into() },
        }
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        ServiceError::from(error).into()
    }
}

impl From<CacheError> for Failure {
    fn from(error: CacheError) -> Self {
        ServiceError::from(error).into()
    }
}

impl From<UriError> for Failure {
    fn from(error: UriError) -> Self {
        Self::usage(error)
    }
}

impl From<WiringError> for Failure {
    fn from(error: WiringError) -> Self {
        match error {
            error @ (WiringError::Endpoint(_)
            | WiringError::Variable { .. }
            | WiringError::Setting(_)) => Self::usage(error),
            WiringError::Storage(error) => error.into(),
            WiringError::Cache(error) => ServiceError::from(error).into(),
        }
    }
}

fn class(error: &ServiceError) -> Exit {
    match error {
        ServiceError::Local { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            Exit::Usage
        }
        ServiceError::Nested { .. } => Exit::Usage,
        _ => Exit::Failed,
    }
}

/// Prints an error with its causes, and what can be done about it if that is known.
pub(super) fn print_error(prefix: &str, error: &(dyn Error + 'static)) {
    warn(&format!("{prefix}: {}", chain(error)));
    if let Some(hint) = hint(error) {
        warn(&format!("  hint: {hint}"));
    }
}

/// Prints a line on standard error.
pub(super) fn warn(text: &str) {
    use io::Write as _;
    // A failure to print an error cannot be printed.
    let _ = writeln!(io::stderr().lock(), "{}", one_line(text));
}

fn hint(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let mut next = Some(error);
    while let Some(error) = next {
        let storage = match error.downcast_ref() {
            Some(ServiceError::Storage(storage)) => Some(storage),
            _ => error.downcast_ref::<StorageError>(),
        };
        if let Some(storage) = storage {
            return match storage.kind {
                StorageErrorKind::NoSuchBucket => {
                    Some("`deltaglider mb` creates a bucket, `deltaglider ls` lists buckets")
                }
                StorageErrorKind::Denied | StorageErrorKind::Credentials => Some(
                    "check the credentials (AWS_ACCESS_KEY_ID, --profile, --no-sign-request) and \
                     their permissions",
                ),
                StorageErrorKind::Archived => Some(
                    "restore it (`aws s3api restore-object`), wait until that is done, and try \
                     again",
                ),
                StorageErrorKind::KeyNeeded => Some("pass its key with --sse-c and --sse-c-key"),
                StorageErrorKind::Locked => Some(
                    "it can be deleted when its retention has ended or its legal hold is lifted",
                ),
                StorageErrorKind::Throttled => Some("try again later"),
                _ => None,
            };
        }
        if let Some(ServiceError::StoredAsDelta(_)) = error.downcast_ref() {
            return Some(
                "pass --rehydrate to store a temporary copy for the lifetime of the URL; \
                 `deltaglider purge` removes it afterwards",
            );
        }
        if let Some(ServiceError::ReferenceMissing { .. }) = error.downcast_ref() {
            return Some(
                "restore the reference from a backup or an older version of it: every delta beside \
                 it needs it",
            );
        }
        if let Some(io) = error.downcast_ref::<io::Error>()
            && io.kind() == io::ErrorKind::StorageFull
        {
            return Some("free space there, or set TMPDIR to a directory with more");
        }
        next = error.source();
    }
    None
}
