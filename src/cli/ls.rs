//! `ls`: lists buckets, or files with the sizes of the originals. Times are UTC.

use super::failure::{Exit, Failure, warn};
use super::options::{LsArgs, Sizes};
use super::output::{Output, date, human, on_one_line};
use super::session::Session;
use crate::domain::S3Uri;
use crate::service::{DeltaService, Listed};

pub(super) async fn run(session: &Session, args: LsArgs, output: Output) -> Result<Exit, Failure> {
    let uri = args.uri.as_deref().filter(|uri| *uri != "s3://").map(str::parse::<S3Uri>).transpose()?;
    let service = session.service(Default::default()).await?;
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

async fn files(service: &DeltaService, uri: &S3Uri, args: &LsArgs, output: &Output) -> Result<Exit, Failure> {
    let delimiter = (!args.recursive).then_some("/");
    // Only the part behind the last folder is shown, as `aws s3 ls` does; all of it with --recursive.
    let shown_from = if args.recursive { 0 } else { uri.path.rfind('/').map_or(0, |at| at + 1) };
    let listing = service.list(&uri.bucket, &uri.path, delimiter);
    let mut listing = match args.sizes {
        Sizes::Original => listing.learning(),
        Sizes::Stored => listing.by_stored_sizes(),
    };
    let (mut count, mut total, mut found, mut damaged, mut unreadable) = (0u64, 0u64, false, 0u64, 0u64);
    while let Some(page) = listing.next().await? {
        for folder in &page.folders {
            found = true;
            output.line(format!("{:>30} {}", "PRE", on_one_line(folder.get(shown_from..).unwrap_or(folder))))?;
        }
        for file in page.files.iter().filter(|file| file.is_shown()) {
            found = true;
            if file.listed == Listed::Unreadable {
                // Listed by both names that it may have.
                if file.key == file.stored.key {
                    unreadable += 1;
                    let name = on_one_line(file.key.as_str());
                    warn(&format!("damaged: {name}: the store cannot read it; repair says why"));
                    let name = on_one_line(file.key.as_str().get(shown_from..).unwrap_or(file.key.as_str()));
                    output.line(format!("{} {:>10} {name}", " ".repeat(19), "damaged"))?;
                }
                continue;
            }
            count += 1;
            total += file.size;
            if let Listed::Damaged(field) = file.listed {
                damaged += 1;
                warn(&format!("warning: {}: metadata {field} is absent or malformed", on_one_line(file.key.as_str())));
            }
            let size = if args.human_readable { human(file.size) } else { file.size.to_string() };
            let name = file.key.as_str();
            let name = on_one_line(name.get(shown_from..).unwrap_or(name));
            output.line(format!("{} {size:>10} {name}", date(file.stored.last_modified)))?;
        }
    }
    if args.summarize {
        let size = if args.human_readable { human(total) } else { total.to_string() };
        output.line(format!("\nTotal Objects: {count}\n   Total Size: {size}"))?;
    }
    Ok(match (found, damaged) {
        _ if unreadable > 0 => Exit::Failed,
        (false, _) if !uri.path.is_empty() => Exit::Failed,
        (_, 0) => Exit::Done,
        _ => Exit::Warned,
    })
}
