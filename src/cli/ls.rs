//! `ls`: lists buckets, or files with the sizes of the originals. Times are UTC.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::args::{LsArgs, Sizes};
use super::context::Context;
use super::error::{Exit, Failure, warn};
use super::output::{Output, date, human};
use crate::domain::{S3Uri, Total};
use crate::service::{DeltaService, Listed, ListedPage};

pub(super) async fn run(context: &Context, args: LsArgs, output: Output) -> Result<Exit, Failure> {
    let uri =
        args.uri.as_deref().filter(|uri| *uri != "s3://").map(str::parse::<S3Uri>).transpose()?;
    let service = context.service(Default::default()).await?;
    match uri {
        None => buckets(service, &output).await,
        Some(uri) => files(service, &uri, &args, &output).await,
    }
}

async fn buckets(service: &DeltaService, output: &Output) -> Result<Exit, Failure> {
    for bucket in service.store().list_buckets().await? {
        let created = bucket.created.map_or_else(|| " ".repeat(19), date);
        output.line(format!("{created} {}", bucket.name))?;
    }
    Ok(Exit::Done)
}

async fn files(
    service: &DeltaService,
    uri: &S3Uri,
    args: &LsArgs,
    output: &Output,
) -> Result<Exit, Failure> {
    let delimiter = (!args.recursive).then_some("/");
    // As in `aws s3 ls`, only the part after the last `/` is shown; the whole key with
    // --recursive.
    let shown_from =
        if args.recursive { 0 } else { uri.path.rfind('/').map_or(0, |at| at.saturating_add(1)) };
    let listing = service.list(&uri.bucket, &uri.path, delimiter);
    let mut listing = match args.sizes {
        Sizes::Original => listing.learning(),
        Sizes::Stored => listing.by_key_only(),
    };
    let mut shown = Shown::default();
    while let Some(page) = listing.next().await? {
        shown.hides_undecided |=
            page.files.iter().any(|file| !file.is_shown() && !file.is_resolved());
        shown.page(&page, shown_from, args, output)?;
    }
    if !shown.found && shown.hides_undecided {
        // An empty result is reported only after unresolved objects have been looked at.
        let mut listing = service.list(&uri.bucket, &uri.path, delimiter).without_index();
        while let Some(page) = listing.next().await? {
            shown.page(&page, shown_from, args, output)?;
        }
    }
    let Shown { count, total, found, damaged, unreadable, .. } = shown;
    if args.summarize {
        let size = if args.human_readable {
            total.qualified(human(total.bytes()))
        } else {
            total.to_string()
        };
        for line in
            [String::new(), format!("Total Objects: {count}"), format!("   Total Size: {size}")]
        {
            output.line(line)?;
        }
    }
    Ok(match (found, damaged) {
        _ if unreadable > 0 => Exit::Failed,
        (false, _) if !uri.path.is_empty() => Exit::Failed,
        (_, 0) => Exit::Done,
        _ => Exit::Warned,
    })
}

/// The totals of the files listed so far.
#[derive(Default)]
struct Shown {
    count: Total,
    total: Total,
    found: bool,
    damaged: u64,
    /// The number of objects that the store cannot read.
    unreadable: u64,
    /// True if an object was taken for a reference without a look at it.
    hides_undecided: bool,
}

impl Shown {
    fn page(
        &mut self,
        page: &ListedPage,
        shown_from: usize,
        args: &LsArgs,
        output: &Output,
    ) -> Result<(), Failure> {
        for folder in &page.folders {
            self.found = true;
            output.line(format!("{:>30} {}", "PRE", folder.get(shown_from..).unwrap_or(folder)))?;
        }
        for file in page.files.iter().filter(|file| file.is_shown()) {
            self.found = true;
            if file.listed == Listed::Unreadable {
                // It is listed under both of its possible names; only one is printed.
                if !file.is_named_as_delta() {
                    self.unreadable = self.unreadable.saturating_add(1);
                    warn(&format!(
                        "damaged: {}: the store cannot read it; run `repair` to see why",
                        file.key
                    ));
                    let name = file.key.as_str().get(shown_from..).unwrap_or(file.key.as_str());
                    output.line(format!("{} {:>10} {name}", " ".repeat(19), "damaged"))?;
                }
                continue;
            }
            self.count.add(1);
            self.total.add(file.size);
            if let Listed::Damaged(field) = file.listed {
                self.damaged = self.damaged.saturating_add(1);
                warn(&format!(
                    "warning: {}: metadata {field} is absent or malformed",
                    file.key.as_str()
                ));
            }
            let size = if args.human_readable { human(file.size) } else { file.size.to_string() };
            let name = file.key.as_str();
            let name = name.get(shown_from..).unwrap_or(name);
            output.line(format!("{} {size:>10} {name}", date(file.stored.last_modified)))?;
        }
        Ok(())
    }
}
