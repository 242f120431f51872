//! `presign`: creates a presigned URL.

use std::time::Duration;

use serde_json::json;

use super::args::{Method, PresignArgs};
use super::context::Context;
use super::error::{Exit, Failure};
use super::output::Output;
use crate::domain::S3Uri;

pub(super) async fn run(
    context: &Context,
    args: PresignArgs,
    output: Output,
) -> Result<Exit, Failure> {
    let object = args.uri.parse::<S3Uri>()?.object()?;
    let expires_in = Duration::from_secs(args.expires_in);
    let service = context.service(Default::default()).await?;
    let presigned = match args.method {
        Method::Get => service.presign_get(&object, expires_in, args.rehydrate).await?,
        Method::Put if args.rehydrate => {
            return Err(Failure::usage(
                "--rehydrate creates a copy to read; --method put reads nothing",
            ));
        }
        Method::Put => service.presign_put(&object, expires_in).await?,
    };
    let event = json!({
        "url": presigned.url, "method": args.method.as_str(), "expires_in": args.expires_in,
        "temporary": presigned.temporary.as_ref().map(ToString::to_string),
    });
    output.in_json(args.json).event(presigned.url, event)?;
    Ok(Exit::Done)
}
