//! `stats`: counts the files in a bucket and the space that deltas save.

use super::args::StatsArgs;
use super::context::Context;
use super::error::{Exit, Failure, warn};
use super::output::{Output, human};
use crate::domain::{BucketName, S3Uri, Total};
use crate::service::{Stats, StatsCache, StatsMode};

pub(super) async fn run(
    context: &Context,
    args: StatsArgs,
    output: Output,
) -> Result<Exit, Failure> {
    let (bucket, prefix) = match args.bucket.parse::<S3Uri>() {
        Ok(uri) => (uri.bucket, uri.path),
        Err(error) if S3Uri::is_meant(&args.bucket) => return Err(error.into()),
        Err(_) => (BucketName::new(args.bucket).map_err(Failure::usage)?, String::new()),
    };
    let service = context.service(Default::default()).await?;
    let mode = match () {
        () if args.quick => StatsMode::Quick,
        () if args.sampled => StatsMode::Sampled,
        () => StatsMode::Detailed,
    };
    let kept = match () {
        () if args.no_cache => StatsCache::Ignore,
        () if args.refresh => StatsCache::Refresh,
        () => StatsCache::Use,
    };
    let stats = service.stats(&bucket, &prefix, mode, kept).await?;
    if args.json {
        output.json(&stats)?;
    } else {
        for line in report_lines(&stats) {
            output.line(line)?;
        }
    }
    if stats.damaged_objects > 0 {
        warn(&format!(
            "damaged objects: {}; `repair {}` names them",
            stats.damaged_objects, stats.bucket
        ));
        return Ok(Exit::Failed);
    }
    Ok(Exit::Done)
}

fn report_lines(stats: &Stats) -> Vec<String> {
    let size = |bytes: u64| format!("{} ({bytes} bytes)", human(bytes));
    let signed =
        |bytes: i64| format!("{}{}", if bytes < 0 { "-" } else { "" }, size(bytes.unsigned_abs()));
    let unknown = || "unknown; pass --sampled or --detailed".to_owned();
    let original = match (stats.total_size, stats.mode) {
        (Some(bytes), StatsMode::Sampled) => {
            format!("about {}, give or take {}", size(bytes), human(stats.total_size_error))
        }
        (bytes, _) => bytes.map_or_else(unknown, |bytes| Total::of([bytes]).qualified(size(bytes))),
    };
    let share = stats.average_compression_ratio.map(|share| format!("{:.1} %", share * 100.0));
    let again = if stats.cached { ", unchanged since they were counted" } else { "" };
    let mut lines = vec![
        format!("Statistics of s3://{}/{}{again}", stats.bucket, stats.prefix),
        format!("Files:              {}", stats.object_count),
        format!("  as deltas:        {}", stats.delta_objects),
        format!("  as they are:      {}", stats.direct_objects),
        format!(
            "References:         {} ({})",
            stats.reference_objects,
            human(stats.reference_size)
        ),
        format!("Original size:      {original}"),
        format!("Stored size:        {}", size(stats.compressed_size)),
        format!("Space saved:        {}", stats.space_saved.map_or_else(unknown, signed)),
        format!("Saved share:        {}", share.unwrap_or_else(unknown)),
    ];
    for (count, what) in [
        (stats.damaged_objects, "Damaged objects:   "),
        (stats.older_objects, "Older variants:    "),
        (stats.internal_objects, "Internal objects:  "),
    ] {
        if count > 0 {
            lines.push(format!("{what} {count}"));
        }
    }
    lines
}
