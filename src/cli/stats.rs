//! `stats`: counts what a bucket holds and saves.

use super::failure::{Exit, Failure};
use super::options::StatsArgs;
use super::output::{Output, human};
use super::session::Session;
use crate::domain::{BucketName, S3Uri};
use crate::service::Stats;

pub(super) async fn run(session: &Session, args: StatsArgs, output: Output) -> Result<Exit, Failure> {
    let (bucket, prefix) = match args.bucket.parse::<S3Uri>() {
        Ok(uri) => (uri.bucket, uri.path),
        Err(error) if S3Uri::is_meant(&args.bucket) => return Err(error.into()),
        Err(_) => (BucketName::new(args.bucket).map_err(Failure::usage)?, String::new()),
    };
    let service = session.service(Default::default()).await?;
    let stats = service.stats(&bucket, &prefix).await?;
    let text = if args.json { serde_json::to_string_pretty(&stats).map_err(Failure::usage)? } else { told(&stats) };
    output.line(text)?;
    Ok(Exit::Done)
}

fn told(stats: &Stats) -> String {
    let size = |bytes: u64| format!("{} ({bytes} bytes)", human(bytes));
    let saved = match u64::try_from(stats.space_saved) {
        Ok(saved) => size(saved),
        Err(_) => format!("-{}", size(stats.space_saved.unsigned_abs())),
    };
    let mut lines = vec![
        format!("Statistics of s3://{}/{}", stats.bucket, stats.prefix),
        format!("Files:              {}", stats.object_count),
        format!("  as deltas:        {}", stats.delta_objects),
        format!("  as they are:      {}", stats.direct_objects),
        format!("References:         {} ({})", stats.reference_objects, human(stats.reference_size)),
        format!("Original size:      {}", size(stats.total_size)),
        format!("Stored size:        {}", size(stats.compressed_size)),
        format!("Space saved:        {saved}"),
        format!("Saved share:        {:.1} %", stats.average_compression_ratio * 100.0),
    ];
    for (count, what) in [
        (stats.damaged_objects, "Damaged deltas:    "),
        (stats.older_objects, "Older variants:    "),
        (stats.internal_objects, "Internal objects:  "),
    ] {
        if count > 0 {
            lines.push(format!("{what} {count}"));
        }
    }
    lines.join("\n")
}
