//! Rules of single calls that every store made here shares: which bytes a range means, what is
//! copied where, when a condition holds, how long a body is.

use std::io;
use std::ops::Range;

use crate::domain::ObjectName;

use super::{CopyOptions, ETag, PutBody, PutCondition, StorageError, StorageErrorKind};

/// The bytes meant by `range` in an object of `size` bytes.
pub(super) fn within(range: Option<Range<u64>>, size: u64) -> Result<Range<u64>, StorageErrorKind> {
    let Some(range) = range else { return Ok(0..size) };
    if range.start >= size {
        Err(StorageErrorKind::InvalidRange)
    } else if range.is_empty() {
        // No Range header can say it.
        Err(StorageErrorKind::Invalid)
    } else {
        Ok(range.start..range.end.min(size))
    }
}

/// Refuses the copy that would change nothing (S3 API reference, CopyObject: `InvalidRequest`).
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
    /// Whether a PUT may replace the version tagged `current`.
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
    /// Refuses a body that did not have as many bytes as it said.
    pub(super) fn check_len(&self, read: u64) -> io::Result<()> {
        let Some(said) = self.known_len() else { return Ok(()) };
        match read.cmp(&said) {
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Less => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("the body ended after {read} of {said} bytes"),
            )),
            std::cmp::Ordering::Greater => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the body has more than its {said} bytes"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_at_the_end_and_must_start_before_it() {
        assert_eq!(within(None, 0), Ok(0..0));
        assert_eq!(within(Some(2..9), 5), Ok(2..5));
        assert_eq!(within(Some(4..u64::MAX), 5), Ok(4..5));
        assert_eq!(within(Some(5..6), 5), Err(StorageErrorKind::InvalidRange));
        assert_eq!(within(Some(0..1), 0), Err(StorageErrorKind::InvalidRange));
        assert_eq!(within(Some(3..3), 5), Err(StorageErrorKind::Invalid));
    }
}
