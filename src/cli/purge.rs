//! `purge`: removes the temporary copies whose presigned URLs have expired.

use serde_json::json;

use super::args::PurgeArgs;
use super::context::Context;
use super::error::{Exit, Failure, print_error};
use super::output::{Output, human};
use crate::domain::deltaspace::TEMPORARIES;
use crate::service::chain;

pub(super) async fn run(
    context: &Context,
    args: PurgeArgs,
    output: Output,
) -> Result<Exit, Failure> {
    let bucket = super::bucket::whole(&args.bucket)?;
    let output = output.in_json(args.json);
    let service = context.service(Default::default()).await?;
    let purge = service.purge(&bucket, args.dryrun).await?;
    let removed = if args.dryrun { 0 } else { purge.removed.len() };
    if args.json {
        // The field names are those of the Python tool.
        let errors =
            purge.failed.iter().map(|(object, error)| format!("{object}: {}", chain(error)));
        output.event(
            String::new(),
            json!({
                "bucket": bucket.to_string(), "prefix": TEMPORARIES, "dryrun": args.dryrun,
                "expired_count": purge.expired, "deleted_count": removed,
                "error_count": purge.failed.len(), "total_size_freed": purge.freed.bytes(),
                "waiting_count": purge.waiting, "unknown_count": purge.unknown.len(),
                "duration_seconds": purge.took.as_secs_f64(), "errors": errors.collect::<Vec<_>>(),
            }),
        )?;
    } else {
        let dry = if args.dryrun { "(dryrun) " } else { "" };
        for object in &purge.removed {
            output.line(format!("{dry}delete: {object}"))?;
        }
        for object in &purge.unknown {
            output.line(format!("{object} has no valid expiry time; it stays"))?;
        }
        output.line(format!(
            "{removed} of {} expired copies removed, {} freed, {} whose URL still lasts",
            purge.expired,
            human(if args.dryrun { 0 } else { purge.freed.bytes() }),
            purge.waiting
        ))?;
    }
    for (object, error) in &purge.failed {
        print_error(&format!("purge failed: {object}"), error);
    }
    Ok(if purge.failed.is_empty() { Exit::Done } else { Exit::Failed })
}
