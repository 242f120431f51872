//! Stores the releases and backups of a build server: `releases s3://BUCKET/PREFIX FILE...`, where
//! `-` is a dump on standard input. The store is that of the environment, as in every AWS SDK.

use std::error::Error;

use deltaglider::{Body, DeltaGlider, ErrorKind, ListItem, Stored};
use futures::TryStreamExt as _;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let to = arguments.next().ok_or("usage: releases s3://BUCKET/PREFIX FILE...")?;
    store(&DeltaGlider::from_env().build().await?, &to, arguments).await
}

/// Stores files that are not stored yet, verifies them, and prints what that saved.
pub(crate) async fn store(
    dg: &DeltaGlider,
    to: &str,
    files: impl IntoIterator<Item = String>,
) -> Result<(), Box<dyn Error>> {
    let build = std::env::var("BUILD_NUMBER").unwrap_or_else(|_| "local".to_owned());
    for file in files {
        let name = file.rsplit('/').next().unwrap_or_default();
        let put = match file.as_str() {
            "-" => {
                let dump = tokio::fs::File::open("/dev/stdin").await?;
                dg.put(format!("{to}/dump.tar"), Body::reader(dump))
            }
            // A release is never replaced; a dump is.
            _ => dg.upload(&file, format!("{to}/{name}")).if_absent(),
        };
        match put.metadata("build", build.as_str()).tag("kept", "forever").await {
            Ok(stored) => {
                dg.verify(&stored.object).await?;
                println!("{}", report(&stored));
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => println!("{name}: kept"),
            Err(error) => return Err(error.into()),
        }
    }
    let mut listing = dg.list(format!("{to}/"));
    let (mut size, mut count) = (0, 0);
    while let Some(item) = listing.try_next().await? {
        if let ListItem::File(file) = item {
            (size, count) = (size + file.size, count + 1);
        }
    }
    let stored = dg.stats(format!("{to}/")).await?.compressed_size;
    println!("{count} files of {size} bytes are stored in {stored} bytes");
    Ok(())
}

fn report(stored: &Stored) -> String {
    let percent = 100 * stored.saved() / stored.size.max(1);
    format!("{}: {} of {} bytes, {percent} % saved", stored.object, stored.stored, stored.size)
}
