//! `verify`: reads files back and compares their SHA-256.

use super::args::VerifyArgs;
use super::context::Context;
use super::error::{Exit, Failure, print_error, warn};
use super::output::Output;
use crate::domain::{ObjectName, S3Uri};
use crate::service::{Compared, DeltaService, GetReport, StatedChecksums};

pub(super) async fn run(
    context: &Context,
    args: VerifyArgs,
    output: Output,
) -> Result<Exit, Failure> {
    let output = output.quieted(args.quiet);
    let uri: S3Uri = args.uri.parse()?;
    if args.recursive {
        let service = context.service(Default::default()).await?;
        return folder(service, &uri, args.stated.or(StatedChecksums::Require), &output).await;
    }
    let object = uri.object()?;
    let service = context.service(Default::default()).await?;
    let report = service.verify(&object, args.stated.or(StatedChecksums::Require)).await?;
    print_outcome(&object, &report, &output)
}

async fn folder(
    service: &DeltaService,
    uri: &S3Uri,
    stated: StatedChecksums,
    output: &Output,
) -> Result<Exit, Failure> {
    let folder = crate::domain::paths::folder(&uri.path);
    let mut listing = service.list(&uri.bucket, &folder, None).unresolved();
    let (mut verified, mut unknown, mut failed, mut exit) = (0u64, 0u64, 0u64, Exit::Done);
    while let Some(page) = listing.next().await? {
        for file in page.files.iter().filter(|file| file.is_shown()) {
            let (object, report) = service.verify_listed(&uri.bucket, file, stated).await;
            match report {
                Ok(report) => {
                    let count = if report.compared == Compared::Nothing {
                        &mut unknown
                    } else {
                        &mut verified
                    };
                    *count += 1;
                    if print_outcome(&object, &report, output)? == Exit::Warned
                        && exit == Exit::Done
                    {
                        exit = Exit::Warned;
                    }
                }
                Err(error) => {
                    failed += 1;
                    exit = Exit::Failed;
                    print_error(&format!("verify failed: {object}"), &error);
                }
            }
        }
    }
    let unknown_too = if unknown > 0 {
        format!(", {unknown} with nothing to compare with")
    } else {
        String::new()
    };
    output.line(format!("{verified} verified{unknown_too}, {failed} failed"))?;
    if verified + unknown + failed == 0 && !uri.path.is_empty() {
        warn(&format!("nothing is stored under {uri}"));
        return Ok(Exit::Failed);
    }
    Ok(exit)
}

fn print_outcome(
    object: &ObjectName,
    report: &GetReport,
    output: &Output,
) -> Result<Exit, Failure> {
    let size = report.size;
    output.line(match report.compared {
        Compared::Sha256(digest) => format!("verified: {object} ({size} bytes, SHA-256 {digest})"),
        Compared::Stated(checksum) => {
            format!("verified: {object} ({size} bytes, {checksum} of the store)")
        }
        Compared::ChecksumMismatch(_) | Compared::Nothing => {
            format!("read: {object} ({size} bytes, nothing to compare with)")
        }
    })?;
    for older in &report.older {
        warn(&format!(
            "warning: {older} is an older file of the same name; {} is served",
            report.stored
        ));
    }
    Ok(if report.older.is_empty() { Exit::Done } else { Exit::Warned })
}
