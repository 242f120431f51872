//! `repair`: finds what is wrong in a bucket, and repairs it on request.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::args::RepairArgs;
use super::context::Context;
use super::error::{Exit, Failure, print_error};
use super::output::Output;
use crate::domain::{BucketName, ObjectName};
use crate::service::{Defect, Finding, Outcome, RepairOptions, RepairReport, chain};
use crate::storage::LifecycleAction;

/// The maximum number of files named for one finding; the rest is counted.
const FILES_NAMED: usize = 10;

pub(super) async fn run(
    context: &Context,
    args: RepairArgs,
    output: Output,
) -> Result<Exit, Failure> {
    let bucket = super::bucket::whole(&args.bucket)?;
    let grace = Duration::from_secs(args.grace_days.saturating_mul(24 * 60 * 60));
    let options = RepairOptions { fix: args.fix, grace, now: SystemTime::now() };
    let report = context.service(Default::default()).await?.repair(&bucket, &options).await?;
    if args.json {
        output.json(&as_json(&bucket, &report))?;
    } else {
        print_report(&report, &output)?;
    }
    for error in &report.unseen {
        print_error("not looked at", error);
    }
    let is_repaired = |finding: &Finding| matches!(finding.outcome, Outcome::Fixed);
    Ok(match report.findings.iter().all(is_repaired) {
        false => Exit::Failed,
        true if report.unseen.is_empty() => Exit::Done,
        true => Exit::Warned,
    })
}

fn print_report(report: &RepairReport, output: &Output) -> Result<(), Failure> {
    for Finding { trouble, outcome } in &report.findings {
        let outcome = match outcome {
            Outcome::Found => "pass --fix to repair it".to_owned(),
            Outcome::Fixed => "repaired".to_owned(),
            Outcome::Left(error) => format!("could not be repaired: {}", chain(error)),
            Outcome::Unfixable(way) => format!("cannot be repaired here: {way}"),
        };
        output.line(format!("{}: {}: {outcome}", name(trouble), details(trouble)))?;
    }
    for reference in &report.waiting {
        output.line(format!(
            "waiting: {reference} is deleted by a later --fix, when its grace period is over"
        ))?;
    }
    let RepairReport { findings, deltas, references, .. } = report;
    let repaired =
        findings.iter().filter(|finding| matches!(finding.outcome, Outcome::Fixed)).count();
    let (found, left) = (findings.len(), findings.len() - repaired);
    output.line(format!(
        "{deltas} deltas and {references} references: \
         {found} found, {repaired} repaired, {left} left"
    ))
}

/// Returns the name of a trouble, in texts and in JSON.
fn name(trouble: &Defect) -> &'static str {
    match trouble {
        Defect::ReferenceMissing { .. } => "missing reference",
        Defect::ReferenceDiffers { .. } => "wrong reference",
        Defect::ReferenceUnneeded { .. } => "unneeded reference",
        Defect::ReferenceTombstoned { .. } => "condemned reference",
        Defect::LeftBehind { .. } => "left behind",
        Defect::TwoVariants { .. } => "two variants",
        Defect::DeltaDamaged { .. } => "damaged delta",
        Defect::Debris(_) => "damaged",
        Defect::UploadOpen(_) => "open upload",
        Defect::LifecycleRule { .. } => "lifecycle rule",
    }
}

fn needed_by(files: &[ObjectName]) -> String {
    let named: Vec<String> =
        files.iter().take(FILES_NAMED).map(|file| file.key.to_string()).collect();
    let more = files.len().saturating_sub(FILES_NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("needed by {}{more}", named.join(", "))
}

fn details(trouble: &Defect) -> String {
    match trouble {
        Defect::ReferenceMissing { reference, digest, files } => {
            format!("{reference} (SHA-256 {digest}), {}", needed_by(files))
        }
        Defect::ReferenceDiffers { reference, digest, actual, files } => {
            format!(
                "{reference} has SHA-256 {actual} and should have {digest}, {}",
                needed_by(files)
            )
        }
        Defect::ReferenceUnneeded { reference, size } => format!("{reference} ({size} bytes)"),
        Defect::ReferenceTombstoned { mark } => {
            format!("{mark} is on a reference that a delta needs")
        }
        Defect::LeftBehind { object } => object.to_string(),
        Defect::TwoVariants { served, older } => {
            format!("{older} is older than {served}, which is served")
        }
        Defect::DeltaDamaged { delta, field: Some(field) } => {
            format!("{delta} has no valid {field}")
        }
        Defect::DeltaDamaged { delta, field: None } => format!("{delta} has no metadata"),
        Defect::Debris(debris) => match &debris.key {
            Some(key) => format!("{key}: {}", debris.why),
            None => format!("{}: {}", debris.path.display(), debris.why),
        },
        Defect::UploadOpen(upload) => format!("{} (upload {})", upload.object, upload.id),
        Defect::LifecycleRule { rule, reference } => {
            let what = match &rule.action {
                LifecycleAction::Expire => "remove".to_owned(),
                LifecycleAction::Transition(class) => format!("move to {class}"),
            };
            format!("{:?} (prefix {:?}) will {what} {reference}", rule.id, rule.prefix)
        }
    }
}

fn as_json(bucket: &BucketName, report: &RepairReport) -> Value {
    let findings: Vec<Value> = report.findings.iter().map(finding_as_json).collect();
    let texts = |names: &[ObjectName]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    json!({
        "bucket": bucket.to_string(),
        "deltas": report.deltas,
        "references": report.references,
        "findings": findings,
        "waiting": texts(&report.waiting),
        "unseen": report.unseen.iter().map(|error| chain(error)).collect::<Vec<_>>(),
    })
}

fn finding_as_json(finding: &Finding) -> Value {
    let (outcome, cause) = match &finding.outcome {
        Outcome::Found => ("found", None),
        Outcome::Fixed => ("mended", None),
        Outcome::Left(error) => ("left", Some(chain(error))),
        Outcome::Unfixable(way) => ("beyond", Some((*way).to_owned())),
    };
    let mut value = json!({ "trouble": name(&finding.trouble), "outcome": outcome, "told": cause });
    let more = match &finding.trouble {
        Defect::ReferenceMissing { reference, digest, files } => {
            let files: Vec<String> = files.iter().map(ToString::to_string).collect();
            json!({ "object": reference.to_string(), "sha256": digest.to_string(), "files": files })
        }
        Defect::ReferenceDiffers { reference, digest, actual, files } => {
            let files: Vec<String> = files.iter().map(ToString::to_string).collect();
            let (sha256, actual) = (digest.to_string(), actual.to_string());
            json!({
                "object": reference.to_string(), "sha256": sha256, "actual_sha256": actual,
                "files": files,
            })
        }
        Defect::ReferenceUnneeded { reference, size } => {
            json!({ "object": reference.to_string(), "size": size })
        }
        Defect::ReferenceTombstoned { mark } => json!({ "object": mark.to_string() }),
        Defect::LeftBehind { object } => json!({ "object": object.to_string() }),
        Defect::TwoVariants { served, older } => {
            json!({ "object": older.to_string(), "served": served.to_string() })
        }
        Defect::DeltaDamaged { delta, field } => {
            json!({ "object": delta.to_string(), "field": field.map(|field| field.to_string()) })
        }
        Defect::Debris(debris) => {
            let key = debris.key.as_ref().map(ToString::to_string);
            json!({ "object": key, "path": debris.path.display().to_string(), "why": debris.why })
        }
        Defect::UploadOpen(upload) => {
            json!({ "object": upload.object.to_string(), "upload": upload.id })
        }
        Defect::LifecycleRule { rule, reference } => {
            let action = match &rule.action {
                LifecycleAction::Expire => "expire",
                LifecycleAction::Transition(class) => class,
            };
            json!({
                "object": reference.to_string(), "rule": rule.id, "prefix": rule.prefix,
                "action": action,
            })
        }
    };
    if let (Value::Object(value), Value::Object(more)) = (&mut value, more) {
        value.extend(more);
    }
    value
}
