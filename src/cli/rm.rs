//! `rm`: deletes a file, or all files under a prefix.

use super::args::RmArgs;
use super::context::Context;
use super::error::{Exit, Failure, print_error, warn};
use super::output::Output;
use crate::domain::paths::folder;
use crate::domain::{ObjectName, S3Uri};
use crate::service::{Deletion, DeltaService, ListedRemoval, ServiceError};

pub(super) async fn run(context: &Context, args: RmArgs, output: Output) -> Result<Exit, Failure> {
    let output = output.quieted(args.quiet);
    let uri = args.uri.parse::<S3Uri>()?;
    if args.recursive {
        let service = context.service(Default::default()).await?;
        return all(service, &uri, args.dryrun, &output).await;
    }
    let object = uri.object()?;
    let service = context.service(Default::default()).await?;
    let name = object.to_string();
    if args.dryrun {
        service.deletion_of(&object).await?;
        output.line(format!("(dryrun) delete: {name}"))?;
        return Ok(Exit::Done);
    }
    let deletion = service.delete(&object).await?;
    output.line(format!("delete: {name}"))?;
    Ok(warnings(&deletion))
}

async fn all(
    service: &DeltaService,
    uri: &S3Uri,
    dryrun: bool,
    output: &Output,
) -> Result<Exit, Failure> {
    let prefix = folder(&uri.path);
    if dryrun {
        let mut listing = service.list(&uri.bucket, &prefix, None);
        while let Some(page) = listing.next().await? {
            for file in page.files.iter().filter(|file| file.is_shown()) {
                let object = ObjectName::new(uri.bucket.clone(), file.key.clone());
                output.line(format!("(dryrun) delete: {}", object))?;
            }
        }
        return Ok(Exit::Done);
    }
    let mut worst = Exit::Done;
    let report = |object: &ObjectName, outcome| report_removal(object, outcome, output, &mut worst);
    let deletion = service.delete_all::<Failure>(&uri.bucket, &prefix, report).await?;
    if worst == Exit::Done && deletion.removed.is_empty() && !uri.path.is_empty() {
        warn(&format!("nothing is stored under {uri}"));
        return Ok(Exit::Failed);
    }
    let warned = warnings(&deletion);
    Ok(if worst == Exit::Done { warned } else { worst })
}

/// Prints the outcome of one file among many and raises `worst` to its exit code.
pub(super) fn report_removal(
    object: &ObjectName,
    outcome: Result<ListedRemoval, ServiceError>,
    output: &Output,
    worst: &mut Exit,
) -> Result<(), Failure> {
    match outcome {
        Ok(ListedRemoval::Removed) => output.line(format!("delete: {object}"))?,
        Ok(ListedRemoval::Replaced) => {
            warn(&format!("warning: {object} stays: it was replaced since it was listed"));
            if *worst == Exit::Done {
                *worst = Exit::Warned;
            }
        }
        Err(error) => {
            print_error(&format!("delete failed: {object}"), &error);
            *worst = Exit::Failed;
        }
    }
    Ok(())
}

/// Prints a warning for each reference that was kept.
fn warnings(deletion: &Deletion) -> Exit {
    for warning in &deletion.warnings {
        print_error("warning", warning);
    }
    if deletion.warnings.is_empty() { Exit::Done } else { Exit::Warned }
}
