//! `rb`: removes a bucket.

use super::failure::{Exit, Failure, complain};
use super::options::RbArgs;
use super::output::Output;
use super::session::Session;
use crate::domain::{ObjectName, S3Uri};

pub(super) async fn run(session: &Session, args: RbArgs, output: Output) -> Result<Exit, Failure> {
    let uri: S3Uri = args.uri.parse()?;
    if !uri.path.is_empty() {
        return Err(Failure::usage(format!("{uri} names an object; a bucket is removed by s3://{}", uri.bucket)));
    }
    let service = session.service(Default::default()).await?;
    if args.force {
        let mut failed = false;
        let told = |object: &ObjectName, outcome: Result<(), _>| match outcome {
            Ok(()) => output.line(format!("delete: {object}")),
            Err(error) => {
                failed = true;
                complain(&format!("delete failed: {object}"), &error);
                Ok(())
            }
        };
        service.delete_all::<Failure>(&uri.bucket, "", told).await?;
        if failed {
            return Ok(Exit::Failed);
        }
    }
    service.remove_bucket(&uri.bucket, args.force).await?;
    output.line(format!("remove_bucket: {}", uri.bucket))?;
    Ok(Exit::Done)
}
