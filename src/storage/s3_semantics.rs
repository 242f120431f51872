//! S3 rules for single calls, shared by the stores of this crate: byte ranges, self-copies, write
//! conditions and body lengths.

use std::io;
use std::ops::Range;

use crate::domain::ObjectName;

use super::{CopyOptions, ETag, PutBody, PutCondition, StorageError, StorageErrorKind};

/// Clamps `range` to an object of `size` bytes; `None` is the whole object.
pub(super) fn within(range: Option<Range<u64>>, size: u64) -> Result<Range<u64>, StorageErrorKind> {
    let Some(range) = range else { return Ok(0..size) };
    if range.start >= size {
        Err(StorageErrorKind::InvalidRange)
    } else if range.is_empty() {
        // A Range header cannot express an empty range.
        Err(StorageErrorKind::Invalid)
    } else {
        Ok(range.start..range.end.min(size))
    }
}

/// Rejects a copy that would change nothing (S3 API reference, CopyObject: `InvalidRequest`).
pub(super) fn check_copy(
    from: &ObjectName,
    to: &ObjectName,
    options: &CopyOptions,
) -> Result<(), StorageError> {
    if from == to && options.attributes.is_none() {
        let refused = StorageError::new(StorageErrorKind::Invalid, "CopyObject", from);
        return Err(refused.because("an object is not copied onto itself"));
    }
    Ok(())
}

impl PutCondition {
    /// Checks whether a PUT may replace the version tagged `current`.
    pub(super) fn check(&self, current: Option<&ETag>) -> Result<(), StorageErrorKind> {
        match (self, current) {
            (Self::IfAbsent, Some(_)) => Err(StorageErrorKind::AlreadyExists),
            (Self::IfMatch(wanted), current) if current != Some(wanted) => {
                Err(StorageErrorKind::Precondition)
            }
            _ => Ok(()),
        }
    }
}

impl PutBody {
    /// Rejects a body whose length differs from the declared one.
    pub(super) fn check_len(&self, read: u64) -> io::Result<()> {
        let Some(declared) = self.known_len() else { return Ok(()) };
        match read.cmp(&declared) {
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Less => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("the body ended after {read} of {declared} bytes"),
            )),
            std::cmp::Ordering::Greater => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the body has more than its {declared} bytes"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_is_clamped_to_the_object() {
        assert_eq!(within(None, 0), Ok(0..0));
        assert_eq!(within(Some(2..9), 5), Ok(2..5));
        assert_eq!(within(Some(4..u64::MAX), 5), Ok(4..5));
        assert_eq!(within(Some(5..6), 5), Err(StorageErrorKind::InvalidRange));
        assert_eq!(within(Some(0..1), 0), Err(StorageErrorKind::InvalidRange));
        assert_eq!(within(Some(3..3), 5), Err(StorageErrorKind::Invalid));
    }
}
