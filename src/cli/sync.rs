//! `sync`: makes one directory or prefix like another, copying only what differs.

use serde_json::json;

use super::args::SyncArgs;
use super::context::Context;
use super::cp::{Route, in_bucket, is_folder_of_files};
use super::error::{Exit, Failure};
use super::output::Output;
use super::transfer::{Transfer, policy};
use crate::service::{Compare, Folder, SyncOptions};

pub(super) async fn run(
    context: &Context,
    args: SyncArgs,
    output: Output,
) -> Result<Exit, Failure> {
    let route = Route::of(&args.source, &args.destination)?;
    if !args.attributes.is_empty() {
        route.reject_object_options()?;
    }
    args.attributes.attributes("")?;
    let (from, to) = match &route {
        Route::Up(source, to) => {
            is_folder_of_files(source)?;
            (Folder::Local(source.clone()), in_bucket(to))
        }
        Route::Down(from, destination) => {
            if destination.exists() {
                is_folder_of_files(destination)?;
            }
            (in_bucket(from), Folder::Local(destination.clone()))
        }
        Route::Across(from, to) => (in_bucket(from), in_bucket(to)),
    };
    let service = context.service(policy(&args.store)).await?;
    let output = output.quieted(args.store.quiet).in_json(args.store.json);
    let transfer = Transfer::new(service, output, &args.store, &args.attributes)?;
    let compare = match (args.checksum, args.size_only) {
        (true, _) => Compare::Content,
        (_, true) => Compare::Size,
        _ => Compare::SizeAndTime,
    };
    let options = SyncOptions {
        compare,
        remove: args.delete,
        filter: args.filters.to_filter(),
        dryrun: args.store.dryrun,
    };
    let steps = service.sync(&from, &to, options).await?;
    let done = transfer.all(steps, args.store.concurrency).await?;
    let (tally, unchanged) = (&done.tally, done.unchanged);
    let text = format!("{} changed, {unchanged} unchanged", tally.changed());
    let event = json!({
        "action": "end", "dryrun": args.store.dryrun, "changed": tally.changed(),
        "unchanged": unchanged, "skipped": tally.skipped, "failed": tally.failed,
    });
    transfer.output.event(text, event)?;
    Ok(tally.end())
}
