//! `migrate`: copies a bucket into another, resuming where an earlier run ended; `--rebase`
//! re-encodes old deltas.

use std::collections::BTreeSet;

use serde_json::json;

use super::args::MigrateArgs;
use super::confirm::confirmed;
use super::context::Context;
use super::cp::in_bucket;
use super::error::{Exit, Failure, warn};
use super::output::{Output, human};
use super::transfer::{Transfer, policy};
use crate::domain::paths::folder;
use crate::domain::{ObjectName, S3Uri, Total};
use crate::service::{Compare, Folder, Listed, StatedChecksums, SyncOptions};

pub(super) async fn run(
    context: &Context,
    args: MigrateArgs,
    output: Output,
) -> Result<Exit, Failure> {
    let output = output.quieted(args.store.quiet).in_json(args.store.json);
    let source: S3Uri = args.source.parse()?;
    let Some(destination) = &args.destination else {
        return rebase(context, &args, &source, output).await;
    };
    let (from, to) =
        (in_bucket(&source), target(&source, &destination.parse()?, args.no_preserve_prefix));
    let service = context.service(policy(&args.store)).await?;
    advise(context, &output).await?;
    output.event(
        format!("{from} to {to}"),
        json!({
            "action": "migrate", "dryrun": args.store.dryrun, "source": from.to_string(),
            "target": to.to_string(),
        }),
    )?;
    if !args.yes && !args.store.dryrun && !confirmed("Go on?")? {
        return Err(Failure::usage("nothing was copied"));
    }
    let options = SyncOptions {
        compare: Compare::Content,
        remove: false,
        filter: args.filters.to_filter(),
        dryrun: args.store.dryrun,
    };
    let steps = service.sync(&from, &to, options).await?;
    let mut transfer = Transfer::new(service, output, &args.store, &Default::default())?;
    // Copies get a SHA-256, and later reads rely on it.
    transfer.options.get.stated = args.store.stated.or(StatedChecksums::Require);
    let done = transfer.all(steps, args.store.concurrency).await?;
    let (tally, there) = (&done.tally, done.unchanged);
    let copied = tally.changed();
    transfer.output.event(
        format!("{copied} copied, {there} already there, {} failed", tally.failed),
        json!({
            "action": "end", "dryrun": args.store.dryrun, "copied": copied, "there": there,
            "failed": tally.failed,
        }),
    )?;
    if tally.all() + there == 0 {
        warn(&format!("nothing is stored under {source}"));
        return Ok(Exit::Failed);
    }
    Ok(tally.end())
}

/// Returns the prefix to copy to, which keeps the last part of the source prefix.
fn target(source: &S3Uri, destination: &S3Uri, without_folder: bool) -> Folder {
    let own = source.path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let own = if without_folder { "" } else { own };
    Folder::in_bucket(&destination.bucket, &(folder(&destination.path) + own))
}

/// Prints what AWS charges for a copy from this machine, if that is known.
async fn advise(context: &Context, output: &Output) -> Result<(), Failure> {
    let Some(regions) = context.regions().await? else { return Ok(()) };
    let (requests, event) = (
        &regions.requests,
        json!({ "action": "regions", "requests": regions.requests, "instance": regions.instance }),
    );
    let text = match &regions.instance {
        None => format!(
            "requests go to {requests}; this is not an EC2 instance, so AWS charges for every byte \
             that is read"
        ),
        Some(instance) if instance == requests => {
            format!("requests go to {requests}, where this instance is")
        }
        Some(instance) => format!(
            "requests go to {requests} and this instance is in {instance}: AWS charges for \
             transfer between regions"
        ),
    };
    output.event(text, event)
}

async fn rebase(
    context: &Context,
    args: &MigrateArgs,
    uri: &S3Uri,
    output: Output,
) -> Result<Exit, Failure> {
    let service = context.service(policy(&args.store)).await?;
    let prefix = folder(&uri.path);
    let mut listing = service.list(&uri.bucket, &prefix, None).unresolved();
    let (mut looked, mut rebased, mut saved, mut failed) = (0u64, 0u64, Total::default(), 0u64);
    let mut packed = BTreeSet::new();
    while let Some(page) = listing.next().await? {
        for file in page.files.iter().filter(|file| file.listed == Listed::Delta) {
            if !args.filters.take(file.key.as_str().strip_prefix(&prefix).unwrap_or_default()) {
                continue;
            }
            looked += 1;
            let object = ObjectName::new(uri.bucket.clone(), file.key.clone());
            let name = object.to_string();
            let rebased_one = match service.rebase(&object, args.store.dryrun).await {
                // An ordinary file whose name looks like that of a delta.
                Err(error) if !file.is_resolved() && error.is_no_file() => {
                    looked -= 1;
                    continue;
                }
                done => done.map_err(Failure::from),
            };
            match rebased_one {
                Ok(Some(done)) => {
                    rebased += 1;
                    saved.add(done.before.saturating_sub(done.after));
                    // A dry run finds the same reference for each of its deltas.
                    let new = done.packed.filter(|(reference, _)| packed.insert(reference.clone()));
                    saved.add(new.as_ref().map_or(0, |(_, saved)| *saved));
                    let of_reference = new.map_or(String::new(), |(reference, saved)| {
                        format!("; {reference} packed, {} saved", human(saved))
                    });
                    let dry = if args.store.dryrun { "(dryrun) " } else { "" };
                    output.event(
                        format!(
                            "{dry}rebase: {name} ({} to {}){of_reference}",
                            human(done.before),
                            human(done.after)
                        ),
                        json!({
                            "action": "rebase", "dryrun": args.store.dryrun,
                            "target": object.to_string(),
                            "before": done.before, "after": done.after,
                        }),
                    )?;
                }
                Ok(None) => {}
                Err(failure) => {
                    failed += 1;
                    failure.tell_of(&format!("rebase failed: {name}"))?;
                }
            }
        }
    }
    output.event(
        format!("{rebased} of {looked} deltas, {} saved", human(saved.bytes())),
        json!({
            "action": "end", "dryrun": args.store.dryrun, "deltas": looked, "rebased": rebased,
            "saved": saved.bytes(), "failed": failed,
        }),
    )?;
    if looked == 0 {
        warn(&format!("no delta is stored under {uri}"));
    }
    Ok(if failed > 0 || looked == 0 { Exit::Failed } else { Exit::Done })
}
