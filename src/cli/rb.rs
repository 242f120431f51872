//! `rb`: deletes a bucket.

use super::args::RbArgs;
use super::context::Context;
use super::error::{Exit, Failure};
use super::output::Output;
use super::rm::report_removal;
use crate::domain::{ObjectName, S3Uri};

pub(super) async fn run(context: &Context, args: RbArgs, output: Output) -> Result<Exit, Failure> {
    let uri: S3Uri = args.uri.parse()?;
    if !uri.path.is_empty() {
        return Err(Failure::usage(format!(
            "{uri} names an object; pass s3://{} to delete the bucket",
            uri.bucket
        )));
    }
    let service = context.service(Default::default()).await?;
    if args.force {
        let mut worst = Exit::Done;
        let report =
            |object: &ObjectName, outcome| report_removal(object, outcome, &output, &mut worst);
        service.delete_all::<Failure>(&uri.bucket, "", report).await?;
        if worst == Exit::Failed {
            return Ok(worst);
        }
    }
    service.remove_bucket(&uri.bucket, args.force).await?;
    output.line(format!("remove_bucket: {}", uri.bucket))?;
    Ok(Exit::Done)
}
