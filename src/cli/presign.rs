//! `presign`: a URL for somebody without keys of the store.

use std::time::Duration;

use serde_json::json;

use super::args::{Method, PresignArgs};
use super::context::Context;
use super::error::{Exit, Failure};
use super::output::Output;
use crate::domain::S3Uri;

pub(super) async fn run(
    session: &Context,
    args: PresignArgs,
    output: Output,
) -> Result<Exit, Failure> {
    let object = args.uri.parse::<S3Uri>()?.object()?;
    let expires_in = Duration::from_secs(args.expires_in);
    let service = session.service(Default::default()).await?;
    let presigned = match args.method {
        Method::Get => service.presign_get(&object, expires_in, args.rehydrate).await?,
        Method::Put if args.rehydrate => {
            return Err(Failure::usage(
                "--rehydrate makes a copy to read; with --method put nothing is read",
            ));
        }
        Method::Put => service.presign_put(&object, expires_in).await?,
    };
    let told = json!({
        "url": presigned.url, "method": args.method.as_str(), "expires_in": args.expires_in,
        "temporary": presigned.temporary.as_ref().map(ToString::to_string),
    });
    output.in_json(args.json).event(presigned.url, told)?;
    Ok(Exit::Done)
}
