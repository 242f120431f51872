//! `mb`: creates a bucket.

use super::args::BucketArgs;
use super::context::Context;
use super::error::{Exit, Failure};
use super::output::Output;
use crate::domain::S3Uri;

pub(super) async fn run(
    context: &Context,
    args: BucketArgs,
    output: Output,
) -> Result<Exit, Failure> {
    let uri: S3Uri = args.uri.parse()?;
    if !uri.path.is_empty() {
        return Err(Failure::usage(format!(
            "{uri} names an object; pass s3://{} to create the bucket",
            uri.bucket
        )));
    }
    let service = context.service(Default::default()).await?;
    service.store().create_bucket(&uri.bucket).await?;
    output.line(format!("make_bucket: {}", uri.bucket))?;
    Ok(Exit::Done)
}
