//! Reasons for keeping a bucket that was to be removed.

use crate::domain::BucketName;

/// The reason why a bucket was not removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BucketKept {
    /// The bucket has no file, but objects that deltas may need.
    #[error(
        "cannot remove s3://{bucket}: it has no file, but {left} references or other \
         objects that are kept for files; `repair --fix` removes unneeded ones after the \
         grace period, `rb --force` at once"
    )]
    Left {
        /// The bucket.
        bucket: BucketName,
        /// The number of these objects.
        left: usize,
    },
    /// A file was stored in the bucket during its removal.
    #[error(
        "cannot remove s3://{bucket}: files were stored in it at the same time; \
         {restored} references they need were restored"
    )]
    Used {
        /// The bucket.
        bucket: BucketName,
        /// The number of references restored.
        restored: usize,
    },
}
