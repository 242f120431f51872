//! Makes one folder like another and shows the progress: `mirror FROM TO`, each a directory or a
//! prefix such as `s3://bucket/prefix`. At most 100 files are deleted from the destination.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};

use deltaglider::{DeltaGlider, Progress, Summary};

/// The bytes between two lines of progress.
const STEP: u64 = 16 << 20;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, to] = arguments.as_slice() else { return Err("usage: mirror FROM TO".into()) };
    let dg = DeltaGlider::from_env().build().await?;
    match mirror(&dg, from, to).await {
        Ok(summary) => println!("{} changed, {} unchanged", summary.changed(), summary.unchanged),
        Err(error) => {
            for failure in error.summary().iter().flat_map(|summary| &summary.failures) {
                eprintln!("{failure}");
            }
            return Err(error.into());
        }
    }
    Ok(())
}

pub(crate) async fn mirror(
    dg: &DeltaGlider,
    from: &str,
    to: &str,
) -> Result<Summary, deltaglider::Error> {
    let shown = AtomicU64::new(0);
    let show = move |progress: &Progress| {
        let moved = progress.stored + progress.received;
        if moved / STEP > shown.fetch_max(moved, Ordering::Relaxed) / STEP {
            println!("{} files, {} MiB", progress.files, moved >> 20);
        }
    };
    let sync = dg.sync(from, to).delete_at_most(100).progress(show);
    sync.each(|event| {
        if event.error.is_none() {
            println!("{:?}: {}", event.action, event.name);
        }
    })
    .await
}
