//! `get-bucket-acl` and `put-bucket-acl`: pass access control lists through unchanged.

use super::args::{GetBucketAclArgs, PutBucketAclArgs};
use super::context::Context;
use super::error::{Exit, Failure};
use super::output::Output;
use crate::storage::{AccessControlPolicy, BucketAcl};

pub(super) async fn get(
    context: &Context,
    args: GetBucketAclArgs,
    output: Output,
) -> Result<Exit, Failure> {
    let bucket = super::bucket::whole(&args.bucket)?;
    let service = context.service(Default::default()).await?;
    let policy = service.store().bucket_acl(&bucket).await?;
    output.json(&policy)?;
    Ok(Exit::Done)
}

pub(super) async fn put(
    context: &Context,
    args: PutBucketAclArgs,
    output: Output,
) -> Result<Exit, Failure> {
    let bucket = super::bucket::whole(&args.bucket)?;
    let policy = args
        .access_control_policy
        .as_deref()
        .map(serde_json::from_str::<AccessControlPolicy>)
        .transpose();
    let acl = BucketAcl {
        canned: args.acl,
        grant_full_control: args.grant_full_control,
        grant_read: args.grant_read,
        grant_read_acp: args.grant_read_acp,
        grant_write: args.grant_write,
        grant_write_acp: args.grant_write_acp,
        policy: policy
            .map_err(|error| Failure::usage(format!("--access-control-policy: {error}")))?,
    };
    if acl == BucketAcl::default() {
        return Err(Failure::usage(
            "nothing to grant; pass --acl, --grant-… or --access-control-policy",
        ));
    }
    if args.dryrun {
        return output.line(format!("(dryrun) put_bucket_acl: {bucket}")).map(|()| Exit::Done);
    }
    let service = context.service(Default::default()).await?;
    service.store().set_bucket_acl(&bucket, &acl).await?;
    output.line(format!("put_bucket_acl: {bucket}"))?;
    Ok(Exit::Done)
}
