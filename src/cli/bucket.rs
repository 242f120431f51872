//! The bucket argument of commands that work on a whole bucket.

use super::error::Failure;
use crate::domain::{BucketName, S3Uri};

/// Parses `bucket` or `s3://bucket`.
pub(super) fn whole(typed: &str) -> Result<BucketName, Failure> {
    match typed.parse::<S3Uri>() {
        Ok(uri) if uri.path.is_empty() => Ok(uri.bucket),
        Ok(uri) => Err(Failure::usage(format!(
            "{uri}: the command works on a whole bucket; pass s3://{}",
            uri.bucket
        ))),
        Err(error) if S3Uri::is_meant(typed) => Err(error.into()),
        Err(_) => BucketName::new(typed).map_err(Failure::usage),
    }
}
