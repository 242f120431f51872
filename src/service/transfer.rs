//! Carries out the steps of a sync or a recursive copy, several at once.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;

use futures::future::{BoxFuture, Either, select};
use futures::stream::{FuturesUnordered, StreamExt as _};

use super::error::ServiceError;
use super::get::{Compared, GetOptions, GetReport};
use super::head::Head;
use super::payload::Payload;
use super::put::{PutOptions, PutReport, PutWarning};
use super::set_aside::{Obstacle, Removed};
use super::sync::{AllowDelta, Phase, SkipReason, Step, Steps, is_behind_a_link};
use super::{Deletion, DeltaService, Moved};
use crate::domain::ObjectName;
use crate::storage::Attributes;

/// A function from the name of a file to its object attributes.
pub type AttributesOf = Arc<dyn Fn(&str) -> Attributes + Send + Sync>;

/// Options of a transfer.
#[derive(Clone)]
pub struct TransferOptions {
    /// True if files may be stored as deltas.
    pub delta: bool,
    /// The attributes of an uploaded file, by its name.
    pub attributes: AttributesOf,
    /// Options of downloads; the checksum options apply to sources of copies too.
    pub get: GetOptions,
    /// True if a source is deleted after it was transferred.
    pub moving: bool,
    /// The local directory whose files are moved. Files behind a symbolic link are kept.
    pub moved_from: Option<PathBuf>,
    /// True for a dry run: steps are reported and not carried out.
    pub dryrun: bool,
}

impl Default for TransferOptions {
    fn default() -> Self {
        Self {
            delta: true,
            attributes: Arc::new(|_| Attributes::default()),
            get: GetOptions::default(),
            moving: false,
            moved_from: None,
            dryrun: false,
        }
    }
}

impl fmt::Debug for TransferOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransferOptions")
            .field("delta", &self.delta)
            .field("moving", &self.moving)
            .finish_non_exhaustive()
    }
}

/// The fate of the source of a transfer.
#[derive(Debug)]
#[non_exhaustive]
pub enum Source {
    /// Kept: it was copied, not moved.
    Copied,
    /// Deleted.
    Deleted,
    /// Kept: it was replaced or written to during the move.
    Replaced,
    /// Kept: its name has an older variant too, which cannot be deleted safely on this store.
    HasOlder,
    /// Kept: it is reached only through a symbolic link.
    BehindALink,
    /// Kept: the checksum stated by the store differs from that of its bytes.
    Unverified,
    /// Kept: the destination holds its unpacked content.
    Unpacked,
    /// Kept: the deletion failed.
    Failed(ServiceError),
}

impl From<Result<Moved, ServiceError>> for Source {
    fn from(moved: Result<Moved, ServiceError>) -> Self {
        match moved {
            Ok(Moved::Removed) => Self::Deleted,
            Ok(Moved::Replaced) => Self::Replaced,
            Ok(Moved::HasOlder) => Self::HasOlder,
            Err(error) => Self::Failed(error),
        }
    }
}

/// The effect of a successful step.
#[derive(Debug)]
#[non_exhaustive]
pub enum Transferred {
    /// The step of a dry run that would be carried out.
    Planned(Step),
    /// A file was uploaded.
    Uploaded {
        /// The local file.
        path: PathBuf,
        /// The name it is stored under.
        object: ObjectName,
        /// The representation chosen for it, and its sizes.
        report: PutReport,
        /// The fate of the source file.
        source: Source,
    },
    /// A file was downloaded.
    Downloaded {
        /// The source object.
        object: ObjectName,
        /// The path that was written.
        path: PathBuf,
        /// Details of the read.
        report: Box<GetReport>,
        /// Obstacles at the path that were deleted.
        removed: Removed,
        /// The fate of the source object.
        source: Source,
    },
    /// A file was copied inside the store.
    Copied {
        /// The source object.
        from: ObjectName,
        /// The copy.
        to: ObjectName,
        /// The representation chosen for it, and its sizes.
        report: PutReport,
        /// The fate of the source file.
        source: Source,
    },
    /// A directory was created, and obstacles at its path were deleted.
    CreatedDir(PathBuf, Removed),
    /// A file was deleted from the store.
    DeletedObject(ObjectName, Deletion),
    /// An object was kept: it was replaced after it was listed.
    ReplacedObject(ObjectName),
    /// A local file was deleted.
    DeletedFile(PathBuf),
    /// A path was skipped.
    Skipped(PathBuf, SkipReason),
    /// A file was skipped because it cannot be read.
    Unread(ServiceError),
    /// Nothing was to be done.
    Unchanged,
}

/// The operation of a step, for its error message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Upload of a local file.
    Upload(PathBuf),
    /// Download of an object.
    Download(ObjectName),
    /// Copy of an object inside the store.
    Copy(ObjectName),
    /// Creation of a local directory.
    CreateDir(PathBuf),
    /// Deletion of an object.
    DeleteObject(ObjectName),
    /// Deletion of a local file.
    DeleteFile(PathBuf),
    /// Decision about the file of this name.
    Decide(String),
}

/// The operation of a step, with its result.
pub type StepOutcome = (Action, Result<Transferred, ServiceError>);

/// The extent to which the steps were carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completion {
    /// All steps were carried out.
    Complete,
    /// Nothing was deleted because a step before the deletions failed.
    NothingDeleted,
}

impl DeltaService {
    /// Carries out `steps`, at most `concurrency` at once, and calls `report` with the result of
    /// each. A failed step does not stop the rest; an error returned by `report` does.
    ///
    /// Deletions run after all copies, so that a renamed file never disappears under both names. If
    /// a copy fails, nothing is deleted.
    ///
    /// # Errors
    ///
    /// Returns the error of `report`, or the one that prevents steps from being decided. Steps
    /// already begun are finished first.
    pub async fn transfer<E: From<ServiceError>>(
        &self,
        mut steps: Steps,
        options: &TransferOptions,
        concurrency: usize,
        report: impl FnMut(Action, Result<Transferred, ServiceError>) -> Result<(), E>,
    ) -> Result<Completion, E> {
        let job = Arc::new(Transfer { service: self.clone(), options: options.clone() });
        let mut running = Running {
            concurrency: concurrency.max(1),
            steps: FuturesUnordered::new(),
            report,
            failed: false,
        };
        let mut phase = Phase::Copy;
        let completion = loop {
            match running.during(steps.next()).await? {
                Ok(Some(step)) => {
                    if step.phase() > phase {
                        phase = step.phase();
                        running.finish().await?;
                        if running.failed {
                            break Ok(Completion::NothingDeleted);
                        }
                    }
                    let job = job.clone();
                    running.begin(Box::pin(async move { job.step(step).await })).await?;
                }
                Ok(None) => break Ok(Completion::Complete),
                Err(error) => break Err(error),
            }
        };
        // Steps already begun are finished even after an error.
        running.finish().await?;
        Ok(completion?)
    }

    /// Carries out one step.
    ///
    /// # Errors
    ///
    /// Returns the error of the step.
    pub async fn transfer_one(
        &self,
        step: Step,
        options: &TransferOptions,
    ) -> Result<Transferred, ServiceError> {
        Transfer { service: self.clone(), options: options.clone() }.step(step).await.1
    }
}

/// The steps in progress, and the callback that receives their results.
struct Running<R> {
    concurrency: usize,
    steps: FuturesUnordered<BoxFuture<'static, StepOutcome>>,
    report: R,
    /// True once a step has failed.
    failed: bool,
}

impl<E, R: FnMut(Action, Result<Transferred, ServiceError>) -> Result<(), E>> Running<R> {
    fn ended(&mut self, (action, outcome): StepOutcome) -> Result<(), E> {
        let failed = match &outcome {
            Ok(
                Transferred::Uploaded { source, .. }
                | Transferred::Downloaded { source, .. }
                | Transferred::Copied { source, .. },
            ) => matches!(source, Source::Failed(_)),
            outcome => outcome.is_err(),
        };
        self.failed |= failed;
        (self.report)(action, outcome)
    }

    /// Begins a step once fewer than the maximum are in progress.
    async fn begin(&mut self, step: BoxFuture<'static, StepOutcome>) -> Result<(), E> {
        while self.steps.len() >= self.concurrency {
            if let Some(ended) = self.steps.next().await {
                self.ended(ended)?;
            }
        }
        self.steps.push(step);
        Ok(())
    }

    /// Waits for `other` while the steps in progress advance.
    async fn during<T>(&mut self, other: impl Future<Output = T>) -> Result<T, E> {
        let mut other = pin!(other);
        loop {
            if self.steps.is_empty() {
                return Ok(other.await);
            }
            match select(other, self.steps.next()).await {
                Either::Left((done, _)) => return Ok(done),
                Either::Right((ended, waiting)) => {
                    other = waiting;
                    if let Some(ended) = ended {
                        self.ended(ended)?;
                    }
                }
            }
        }
    }

    /// Waits for all steps in progress.
    async fn finish(&mut self) -> Result<(), E> {
        while let Some(ended) = self.steps.next().await {
            self.ended(ended)?;
        }
        Ok(())
    }
}

/// The service and the options shared by all steps.
struct Transfer {
    service: DeltaService,
    options: TransferOptions,
}

impl Transfer {
    async fn step(&self, step: Step) -> StepOutcome {
        let Step::Either(first, second) = step else { return self.attempt(step).await };
        let (action, outcome) = self.attempt(*first).await;
        if !outcome.as_ref().is_err_and(ServiceError::is_no_file) {
            return (action, outcome);
        }
        match self.attempt(*second).await {
            // Neither exists: the file was deleted after it was listed.
            (_, Err(other)) if other.is_absent() => (action, outcome),
            second => second,
        }
    }

    async fn attempt(&self, step: Step) -> StepOutcome {
        let action = action(&step);
        let outcome = match step {
            Step::CreateDir(path) if path.is_dir() => Ok(Transferred::Unchanged),
            Step::Unchanged => Ok(Transferred::Unchanged),
            Step::Skip(path, why) => Ok(Transferred::Skipped(path, why)),
            Step::Unread(error) => Ok(Transferred::Unread(error)),
            Step::Failed(_, error) => Err(error),
            step if self.options.dryrun => plan(step).await,
            step => self.carry_out(step).await,
        };
        (action, outcome)
    }

    async fn carry_out(&self, step: Step) -> Result<Transferred, ServiceError> {
        match step {
            Step::Upload(path, object, may_be_delta) => match Payload::open(&path).await {
                Err(error) if error.is_unreadable_file() => Ok(Transferred::Unread(error)),
                file => {
                    let watch = self.service.watch.clone();
                    let watch = watch.map(|watch| watch.of_read());
                    let file = file?.watched(watch);
                    self.upload(file, path, object, may_be_delta).await
                }
            },
            Step::Download(object, path) => self.download(object, &path, None).await,
            Step::Copy(from, to, may_be_delta) => self.copy(from, to, may_be_delta).await,
            Step::CreateDir(path) => match std::fs::create_dir_all(&path) {
                Ok(()) => Ok(Transferred::CreatedDir(path, Removed::default())),
                Err(source) => {
                    Err(ServiceError::Local { what: path.display().to_string(), source })
                }
            },
            Step::Replace(step, way) => match *step {
                Step::Download(object, path) => self.download(object, &path, Some(&way)).await,
                Step::CreateDir(path) => {
                    let removed = self.service.make_folder_replacing(&path, &way).await?;
                    Ok(Transferred::CreatedDir(path, removed))
                }
                _ => Ok(Transferred::Unchanged),
            },
            Step::RemoveObject(object, listed) => {
                Ok(match self.service.delete_listed(&object, &listed).await? {
                    Some(deletion) => Transferred::DeletedObject(object, deletion),
                    None => Transferred::ReplacedObject(object),
                })
            }
            Step::RemoveFile(path) => {
                std::fs::remove_file(&path).map_err(ServiceError::local(path.display()))?;
                Ok(Transferred::DeletedFile(path))
            }
            _ => Ok(Transferred::Unchanged),
        }
    }

    async fn upload(
        &self,
        file: Payload,
        path: PathBuf,
        object: ObjectName,
        AllowDelta(may_be_delta): AllowDelta,
    ) -> Result<Transferred, ServiceError> {
        let name =
            path.file_name().and_then(std::ffi::OsStr::to_str).unwrap_or(object.key.base_name());
        let (attributes, delta) =
            ((self.options.attributes)(name), self.options.delta && may_be_delta);
        let options =
            PutOptions { delta, attributes, status: file.status(), ..PutOptions::default() };
        let report = self.service.put(&file, &object, &options).await?;
        let source =
            if self.options.moving { self.delete_uploaded(&file, &path) } else { Source::Copied };
        Ok(Transferred::Uploaded { path, object, report, source })
    }

    /// Deletes an uploaded file if its path still leads to the file that was read. Between this
    /// check and the deletion remain a few microseconds in which a file renamed over it would be
    /// deleted instead.
    fn delete_uploaded(&self, file: &Payload, path: &Path) -> Source {
        let mut known = BTreeSet::new();
        if self
            .options
            .moved_from
            .as_ref()
            .is_some_and(|folder| is_behind_a_link(folder, path, &mut known))
        {
            return Source::BehindALink;
        }
        let removed = match file.is_still_at(path) {
            Ok(true) => std::fs::remove_file(path),
            Ok(false) => return Source::Replaced,
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Source::Failed(ServiceError::local(path.display())(error))
            }
            _ => Source::Deleted,
        }
    }

    async fn download(
        &self,
        object: ObjectName,
        path: &Path,
        way: Option<&Obstacle>,
    ) -> Result<Transferred, ServiceError> {
        let (service, options) = (&self.service, &self.options);
        // A download that replaces something in a local directory is never a move.
        let seen = self.seen(&object, options.moving && way.is_none()).await?;
        let (path, report, removed) = match way {
            Some(way) => service.get_to_file_replacing(&object, path, &options.get, way).await?,
            None => {
                let (path, report) = service.get_to_file(&object, path, &options.get).await?;
                (path, report, Removed::default())
            }
        };
        let source = match seen {
            None => Source::Copied,
            Some(_) if matches!(report.compared, Compared::ChecksumMismatch(_)) => {
                Source::Unverified
            }
            Some(_) if report.unpacked.is_some() => Source::Unpacked,
            Some(seen) => service.delete_moved(&object, &seen).await.into(),
        };
        Ok(Transferred::Downloaded { object, path, report: Box::new(report), removed, source })
    }

    async fn copy(
        &self,
        from: ObjectName,
        to: ObjectName,
        AllowDelta(may_be_delta): AllowDelta,
    ) -> Result<Transferred, ServiceError> {
        let options = &self.options;
        let seen = self.seen(&from, options.moving).await?;
        let delta = options.delta && may_be_delta;
        let report = self.service.copy_comparing(&from, &to, delta, options.get.stated).await?;
        let is_contradicted = report
            .warnings
            .iter()
            .any(|warning| matches!(warning, PutWarning::ChecksumMismatch(_)));
        let source = match seen {
            None => Source::Copied,
            Some(_) if is_contradicted => Source::Unverified,
            Some(seen) => self.service.delete_moved(&from, &seen).await.into(),
        };
        Ok(Transferred::Copied { from, to, report, source })
    }

    /// Returns the head of the source before it is moved; `None` for a copy.
    async fn seen(&self, object: &ObjectName, moving: bool) -> Result<Option<Head>, ServiceError> {
        Ok(if moving { Some(self.service.head(object).await?) } else { None })
    }
}

/// Returns the planned step of a dry run. A file that cannot be opened is skipped as in a real run.
async fn plan(step: Step) -> Result<Transferred, ServiceError> {
    if let Step::Upload(path, ..) = &step {
        match Payload::open(path).await {
            Err(error) if error.is_unreadable_file() => return Ok(Transferred::Unread(error)),
            file => file.map(drop)?,
        }
    }
    Ok(Transferred::Planned(step))
}

fn action(step: &Step) -> Action {
    match step {
        Step::Upload(path, ..) | Step::Skip(path, _) => Action::Upload(path.clone()),
        Step::Download(object, _) => Action::Download(object.clone()),
        Step::Copy(from, ..) => Action::Copy(from.clone()),
        Step::CreateDir(path) => Action::CreateDir(path.clone()),
        Step::Replace(step, _) | Step::Either(step, _) => action(step),
        Step::RemoveObject(object, _) => Action::DeleteObject(object.clone()),
        Step::RemoveFile(path) => Action::DeleteFile(path.clone()),
        Step::Failed(name, _) => Action::Decide(name.clone()),
        Step::Unread(_) | Step::Unchanged => Action::Decide(String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A failed step neither raises the limit nor stops the rest, and every step is reported.
    #[tokio::test]
    async fn concurrency_limit_holds() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut reported = 0;
        let report =
            |_: Action, _: Result<Transferred, ServiceError>| -> Result<(), ServiceError> {
                reported += 1;
                Ok(())
            };
        let mut steps =
            Running { concurrency: 3, steps: FuturesUnordered::new(), report, failed: false };
        for n in 0..10 {
            let (running, most) = (running.clone(), most.clone());
            let step = async move {
                most.fetch_max(running.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                running.fetch_sub(1, Ordering::Relaxed);
                let failed = Err(ServiceError::Changed("x".to_owned()));
                (
                    Action::Decide(String::new()),
                    if n == 4 { failed } else { Ok(Transferred::Unchanged) },
                )
            };
            steps.begin(Box::pin(step)).await.unwrap();
            steps.during(tokio::task::yield_now()).await.unwrap();
        }
        steps.finish().await.unwrap();
        assert!(steps.failed);
        assert!(most.load(Ordering::Relaxed) <= 3);
        assert_eq!(reported, 10);
    }
}
