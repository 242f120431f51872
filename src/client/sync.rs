//! `sync` and `migrate`: make one folder like another.

use std::fmt;
use std::sync::Arc;

use super::DeltaGlider;
use super::error::{Error, FileAction, FileEvent, Summary};
use super::place::Place;
use super::progress::{Meter, Progress};
use crate::service::{
    Action, Compare, Completion, ServiceError, Source, StatedChecksums, Step, SyncOptions,
    TransferOptions, Transferred,
};
use crate::storage::Attributes;

const SYNC: &str = "sync";

impl DeltaGlider {
    /// Makes one folder like another: a local directory like a prefix, a prefix like a directory,
    /// or a prefix like a prefix. Copies only what differs, several files at once.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Incomplete`], with a [summary](Error::summary), if files failed: the others
    /// were copied, and nothing was deleted. [`ErrorKind::Refused`] if a guard prevented the
    /// deletions.
    ///
    /// [`ErrorKind::Incomplete`]: super::ErrorKind::Incomplete
    /// [`ErrorKind::Refused`]: super::ErrorKind::Refused
    ///
    /// ```
    /// # use deltaglider::DeltaGlider;
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let build = folder.path().join("build");
    /// # std::fs::create_dir(&build)?;
    /// # std::fs::write(build.join("app.zip"), [7; 1000])?;
    /// # let dg = DeltaGlider::builder().embedded(folder.path().join("store")).build().await?;
    /// # dg.create_bucket("releases").await?;
    /// let summary = dg
    ///     .sync(build.as_path(), "s3://releases/app/")
    ///     .delete_at_most(10)
    ///     .filter(|name| !name.ends_with(".tmp"))
    ///     .await?;
    /// assert_eq!((summary.uploaded, summary.deleted), (1, 0));
    /// assert_eq!(dg.sync(build.as_path(), "s3://releases/app/").await?.unchanged, 1);
    /// # Ok(()) }
    /// ```
    pub fn sync(&self, from: impl Into<Place>, to: impl Into<Place>) -> SyncFolders {
        SyncFolders {
            client: self.clone(),
            from: from.into(),
            to: to.into(),
            options: SyncOptions {
                compare: Compare::SizeAndTime,
                remove: false,
                filter: Arc::new(|_: &str| true),
                dryrun: false,
            },
            transfer: TransferOptions::default(),
            most: None,
            concurrency: self.inner.concurrency,
            each: None,
            meter: Meter::default(),
        }
    }

    /// Copies the files of one prefix to another, and skips those whose content is there already,
    /// so that it can be run again. Objects of other tools are compared with the checksums that the
    /// store states, and get a SHA-256.
    ///
    /// ```
    /// # use deltaglider::DeltaGlider;
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let dg = DeltaGlider::builder().embedded(folder.path()).build().await?;
    /// # for bucket in ["old", "new"].map(|name| format!("{name}-releases")) {
    /// #     dg.create_bucket(bucket).await?;
    /// # }
    /// # dg.put("s3://old-releases/app.zip", vec![7; 10_000]).await?;
    /// assert_eq!(dg.migrate("s3://old-releases", "s3://new-releases").await?.copied, 1);
    /// assert_eq!(dg.migrate("s3://old-releases", "s3://new-releases").await?.unchanged, 1);
    /// # Ok(()) }
    /// ```
    pub fn migrate(&self, from: impl Into<Place>, to: impl Into<Place>) -> SyncFolders {
        let mut sync = self.sync(from, to).compare(Compare::Content);
        sync.transfer.get.stated = StatedChecksums::Require;
        sync
    }
}

type Each = Box<dyn FnMut(&FileEvent<'_>) + Send>;

/// A sync with its options; see [`DeltaGlider::sync`].
#[must_use = "nothing is copied before the sync is awaited"]
pub struct SyncFolders {
    client: DeltaGlider,
    from: Place,
    to: Place,
    options: SyncOptions,
    transfer: TransferOptions,
    /// The maximum number of deletions.
    most: Option<u64>,
    concurrency: usize,
    each: Option<Each>,
    meter: Meter,
}

verb!(SyncFolders => Summary);

impl fmt::Debug for SyncFolders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncFolders")
            .field("from", &self.from)
            .field("to", &self.to)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl SyncFolders {
    /// Deletes the files of the destination that the source lacks, after all copies succeeded. With
    /// an empty or unreadable source, nothing is deleted.
    pub fn delete(mut self) -> Self {
        self.options.remove = true;
        self
    }

    /// Deletes as [`delete`](Self::delete) does, if that are at most `files`; otherwise nothing is
    /// deleted and the sync fails.
    pub fn delete_at_most(mut self, files: u64) -> Self {
        self.most = Some(files);
        self.delete()
    }

    /// Sets the criteria by which two files of one name are equal; size and time by default.
    pub fn compare(mut self, compare: Compare) -> Self {
        self.options.compare = compare;
        self
    }

    /// Includes only the files for which `takes` returns true, by their names relative to the
    /// folder. Files that are left out are not deleted either.
    pub fn filter(mut self, takes: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.options.filter = Arc::new(takes);
        self
    }

    /// Changes nothing; the summary states what would be done.
    pub fn dry_run(mut self) -> Self {
        self.options.dryrun = true;
        self.transfer.dryrun = true;
        self
    }

    /// Sets the number of files that are transferred at once.
    pub fn concurrency(mut self, files: usize) -> Self {
        self.concurrency = files.max(1);
        self
    }

    /// Stores all files as they are, whatever their names.
    pub fn without_delta(mut self) -> Self {
        self.transfer.delta = false;
        self
    }

    /// Sets the headers, metadata and tags of an uploaded file, by its name.
    pub fn attributes(mut self, of: impl Fn(&str) -> Attributes + Send + Sync + 'static) -> Self {
        self.transfer.attributes = Arc::new(of);
        self
    }

    /// Calls `each` at the end of the work on a file.
    pub fn each(mut self, each: impl FnMut(&FileEvent<'_>) + Send + 'static) -> Self {
        self.each = Some(Box::new(each));
        self
    }

    /// Calls `listener` whenever bytes were received or sent, or a file is done.
    pub fn progress(mut self, listener: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        self.meter = Meter::of_many(listener);
        self
    }

    async fn run(self) -> Result<Summary, Error> {
        let Self { client, from, to, options, transfer, most, concurrency, each, meter } = self;
        let (from, to) = (from.folder(SYNC)?, to.folder(SYNC)?);
        let service = client.observed(&meter);
        let named = format!("{from} to {to}");
        let steps = service.sync(&from, &to, options).await.map_err(Error::of(SYNC, &named))?;
        let steps = match most {
            Some(most) => steps.limited(most),
            None => steps,
        };
        let mut tally = Tally { summary: Summary::default(), each, meter };
        let report = |action, outcome| {
            tally.take(&action, outcome);
            Ok::<_, ServiceError>(())
        };
        let completion = service.transfer(steps, &transfer, concurrency, report).await;
        let completion = completion.map_err(Error::of(SYNC, &named))?;
        tally.summary.kept_surplus = completion == Completion::NothingDeleted;
        tally.summary.concluded(SYNC, &named)
    }
}

/// The results so far.
struct Tally {
    summary: Summary,
    each: Option<Each>,
    meter: Meter,
}

impl Tally {
    fn take(&mut self, action: &Action, outcome: Result<Transferred, ServiceError>) {
        let (did, name) = named(action);
        match outcome {
            Ok(Transferred::Unchanged) => self.summary.unchanged += 1,
            Ok(Transferred::Uploaded { source: Source::Failed(error), .. })
            | Ok(Transferred::Downloaded { source: Source::Failed(error), .. })
            | Ok(Transferred::Copied { source: Source::Failed(error), .. })
            | Err(error) => self.fail(did, &name, Error::of(SYNC, &name)(error)),
            Ok(done) => self.count(did, &name, done),
        }
    }

    fn count(&mut self, did: FileAction, name: &str, done: Transferred) {
        let mut is_planned = false;
        let did = match done {
            Transferred::Uploaded { report, .. } | Transferred::Copied { report, .. } => {
                self.summary.bytes += report.size;
                self.summary.stored += report.stored;
                did
            }
            Transferred::Downloaded { report, removed, .. } => {
                self.summary.bytes += report.size;
                self.summary.deleted += removed.files.len() as u64;
                did
            }
            Transferred::CreatedDir(_, removed) => {
                self.summary.deleted += removed.files.len() as u64;
                return;
            }
            Transferred::Planned(Step::CreateDir(_)) => return,
            Transferred::Planned(_) => {
                is_planned = true;
                did
            }
            Transferred::DeletedObject(..) | Transferred::DeletedFile(_) => FileAction::Delete,
            _ => FileAction::Skip,
        };
        self.summary.count(did);
        self.tell(FileEvent { action: did, name, error: None, is_planned });
    }

    fn fail(&mut self, action: FileAction, name: &str, error: Error) {
        self.tell(FileEvent { action, name, error: Some(&error), is_planned: false });
        self.summary.failures.push(error);
    }

    fn tell(&mut self, event: FileEvent<'_>) {
        self.meter.file_done();
        if let Some(each) = &mut self.each {
            each(&event);
        }
    }
}

/// Returns the work and the name of its file.
fn named(action: &Action) -> (FileAction, String) {
    match action {
        Action::Upload(path) => (FileAction::Upload, path.display().to_string()),
        Action::Download(object) => (FileAction::Download, object.to_string()),
        Action::Copy(object) => (FileAction::Copy, object.to_string()),
        Action::DeleteObject(object) => (FileAction::Delete, object.to_string()),
        Action::DeleteFile(path) => (FileAction::Delete, path.display().to_string()),
        Action::CreateDir(path) => (FileAction::Skip, path.display().to_string()),
        Action::Decide(name) => (FileAction::Skip, name.clone()),
    }
}
