//! Why a bucket is left where it is.

use crate::domain::BucketName;

/// Why a bucket was not removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BucketKept {
    /// It has no file, but objects that deltas may need.
    #[error(
        "cannot remove s3://{bucket}: it has no file, but {left} references or other objects that are kept for files; \
         `repair --mend` removes unneeded ones after the grace period, `rb --force` at once"
    )]
    Left {
        /// The bucket.
        bucket: BucketName,
        /// How many.
        left: usize,
    },
    /// A file was stored in it at the same time.
    #[error(
        "cannot remove s3://{bucket}: files were stored in it at the same time; {restored} references they need were put back"
    )]
    Used {
        /// The bucket.
        bucket: BucketName,
        /// How many references were put back.
        restored: usize,
    },
}
