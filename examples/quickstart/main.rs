//! Stores eight consecutive releases of an archive at about the cost of one, and restores each
//! exactly: `cargo run --release --example quickstart`.
//!
//! Needs no network and no account: the store is a temporary folder, which is removed at the end.
//! The archives are made of files found on this machine; with a folder as argument, the archives in
//! it are stored instead.

mod edit;
mod gather;
mod order;
mod random;
mod releases;
mod storing;
mod table;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use deltaglider::domain::policy::{DEFAULT_DELTA_EXTENSIONS, DeltaExtensions, Policy};
use deltaglider::wiring::Connection;

use releases::Releases;
use storing::Archive;
use table::human;

type Failure = Box<dyn Error + Send + Sync>;

/// The number of releases made. Of only five, the reference alone would be a fifth.
const RELEASES: usize = 8;

/// Bytes of files to find, about a fifth of them for later releases; and the minimum, below which
/// the result shows nothing.
const WANTED: u64 = 80 << 20;
const NEEDED: u64 = 8 << 20;

/// The time that work on other threads may take to end after an interruption.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let folder = arguments.next().map(PathBuf::from);
    if arguments.next().is_some()
        || folder.as_ref().is_some_and(|folder| folder.to_string_lossy().starts_with('-'))
    {
        eprintln!("usage: quickstart [FOLDER OF ARCHIVES]");
        return ExitCode::from(2);
    }
    match run(folder.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprint!("quickstart: {failure}");
            let mut cause = failure.source();
            while let Some(error) = cause {
                eprint!(": {error}");
                cause = error.source();
            }
            eprintln!();
            ExitCode::FAILURE
        }
    }
}

/// Runs the example in a temporary folder, which is removed afterwards, even after a failure or
/// Ctrl-C.
fn run(archives: Option<&Path>) -> Result<(), Failure> {
    let started = Instant::now();
    let scratch = tempfile::Builder::new().prefix("deltaglider-quickstart-").tempdir()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let done = runtime.block_on(async {
        tokio::select! {
            done = show(archives, scratch.path()) => done,
            _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
        }
    });
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    let place = scratch.path().to_owned();
    scratch.close().map_err(at(&place))?;
    let count = done?;
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "\nAll {count} archives were restored with the SHA-256 they had before \
         ({seconds:.1} s in all)."
    );
    println!("{} was removed.", place.display());
    Ok(())
}

async fn show(folder: Option<&Path>, scratch: &Path) -> Result<usize, Failure> {
    let archives = match folder {
        Some(folder) => archives_in(folder)?,
        None => make(scratch).await?,
    };
    let store = format!("file:{}", scratch.join("store").display());
    println!("\nStoring them in the embedded store {store} and restoring each:\n");
    let connection = Connection { endpoint_url: Some(store), ..Connection::default() };
    let service = connection.service(Policy::default()).await?;
    let outcome = storing::store_and_restore(&service, archives, &scratch.join("restored")).await?;
    println!("{}", table::table(&outcome));
    Ok(outcome.kept.len())
}

/// Makes the releases from files of this machine.
async fn make(scratch: &Path) -> Result<Vec<Archive>, Failure> {
    let places = gather::well_known_places();
    let names =
        places.iter().map(|place| place.path.display().to_string()).collect::<Vec<_>>().join(", ");
    let folder = scratch.to_owned();
    let found = blocking(move || Ok(gather::gather(&places, WANTED))).await?;
    let bytes = found.iter().map(|file| file.len).sum();
    if bytes < NEEDED {
        return Err(format!(
            "only {} of world-readable files were found in {names}; {} are needed. \
             A folder of archives can be given as argument instead",
            human(bytes),
            human(NEEDED)
        )
        .into());
    }
    println!(
        "Making {RELEASES} releases of an archive from {} of files found in {names}:\n",
        human(bytes)
    );
    let mut releases = Releases::new(&folder, found);
    let mut archives = Vec::new();
    for _ in 0..RELEASES {
        let (archive, changes);
        (releases, archive, changes) = blocking(move || {
            let release = releases.make()?;
            Ok((releases, Archive::read(&release.path)?, release.changes))
        })
        .await?;
        println!("{}  {:>9}  {changes}", archive.name, human(archive.size));
        archives.push(archive);
    }
    Ok(archives)
}

/// Returns the archives directly in a folder, ordered by version.
fn archives_in(folder: &Path) -> Result<Vec<Archive>, Failure> {
    let extensions = DeltaExtensions::default();
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(at(folder))? {
        let entry = entry.map_err(at(folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().map_err(at(folder))?.is_file() && extensions.covers(&name) {
            found.push((order::by_version(&name, DEFAULT_DELTA_EXTENSIONS), entry.path()));
        }
    }
    if found.is_empty() {
        let extensions = DEFAULT_DELTA_EXTENSIONS.join(" ");
        return Err(format!(
            "there is no archive in {} (files that end in {extensions})",
            folder.display()
        )
        .into());
    }
    found.sort();
    println!("{} archives in {}", found.len(), folder.display());
    found.iter().map(|(_, path)| Archive::read(path)).collect()
}

/// Runs blocking work on a thread for it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await?
}

/// Adds the path of the file to an I/O error.
fn at(path: &Path) -> impl FnOnce(io::Error) -> Failure {
    let path = path.display().to_string();
    move |error| format!("{path}: {error}").into()
}
