//! Carries out the steps that make one folder like another, several at once.

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
use super::set_aside::{InTheWay, Removed};
use super::sync::{MayBeDelta, Passed, Phase, Step, Steps, is_behind_a_link};
use super::{Deletion, DeltaService, Moved};
use crate::domain::ObjectName;
use crate::storage::Attributes;

/// The attributes of a file of a given name.
pub type AttributesOf = Arc<dyn Fn(&str) -> Attributes + Send + Sync>;

/// How files are transferred.
#[derive(Clone)]
pub struct TransferOptions {
    /// Whether files may be kept as deltas.
    pub delta: bool,
    /// Returns what is kept beside an uploaded file, by its name.
    pub attributes: AttributesOf,
    /// How files are downloaded; its checksums hold for sources of copies too.
    pub get: GetOptions,
    /// Whether a source is deleted once it is at its destination.
    pub moving: bool,
    /// The local directory whose files are moved: those that only a symbolic link leads to stay.
    pub moved_from: Option<PathBuf>,
    /// Whether steps are only reported.
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

/// What became of the source of a transfer.
#[derive(Debug)]
#[non_exhaustive]
pub enum Source {
    /// It stays: it was copied, not moved.
    Copied,
    /// It was deleted.
    Deleted,
    /// It stays: it was replaced, or written to, while it was moved.
    Replaced,
    /// It stays: its name has an older object too, which cannot be deleted safely on this store.
    HasOlder,
    /// It stays: only a symbolic link leads to it.
    BehindALink,
    /// It stays: the store states another checksum of it than it has.
    Unverified,
    /// It stays: what was written is its unpacked content.
    Unpacked,
    /// It stays: it could not be deleted.
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

/// What a step did.
#[derive(Debug)]
#[non_exhaustive]
pub enum Transferred {
    /// Nothing, in a dry run: it would do this.
    Planned(Step),
    /// A file was stored.
    Uploaded {
        /// The file.
        path: PathBuf,
        /// Its new name.
        object: ObjectName,
        /// How it was stored.
        report: PutReport,
        /// Whether the file was deleted.
        source: Source,
    },
    /// A file was written.
    Downloaded {
        /// The file.
        object: ObjectName,
        /// Where it was written.
        path: PathBuf,
        /// What was read.
        report: Box<GetReport>,
        /// What was deleted since it was in the way.
        removed: Removed,
        /// Whether the object was deleted.
        source: Source,
    },
    /// A file was copied inside the store.
    Copied {
        /// The file.
        from: ObjectName,
        /// Its copy.
        to: ObjectName,
        /// How it was stored.
        report: PutReport,
        /// Whether the file was deleted.
        source: Source,
    },
    /// A directory was made, and what was in its way deleted.
    MadeFolder(PathBuf, Removed),
    /// A file was deleted from the store.
    DeletedObject(ObjectName, Deletion),
    /// A file of the store stays: it was replaced since it was listed.
    ReplacedObject(ObjectName),
    /// A local file was deleted.
    DeletedFile(PathBuf),
    /// A path was passed over.
    Passed(PathBuf, Passed),
    /// A file was left out, since it cannot be read.
    Unread(ServiceError),
    /// Nothing had to be done.
    Unchanged,
}

/// What a step that failed was to do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// To store a file.
    Upload(PathBuf),
    /// To write a file.
    Download(ObjectName),
    /// To copy a file inside the store.
    Copy(ObjectName),
    /// To make a directory.
    MakeFolder(PathBuf),
    /// To delete a file from the store.
    DeleteObject(ObjectName),
    /// To delete a local file.
    DeleteFile(PathBuf),
    /// To decide about this name.
    Decide(String),
}

/// What became of a step.
pub type StepOutcome = (Action, Result<Transferred, ServiceError>);

/// Whether all steps were taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completion {
    /// All were.
    Complete,
    /// Nothing was deleted, since not everything could be copied.
    NothingDeleted,
}

impl DeltaService {
    /// Carries out steps, at most `concurrency` at once, and calls `report` with what became of
    /// each; an error that it returns stops the rest. A step that fails does not.
    ///
    /// Files are deleted when all that was to be copied is there: what has only another name now is
    /// never gone under both. If a step failed until then, nothing is deleted.
    ///
    /// # Errors
    ///
    /// Those of `report`, and what keeps the steps from being decided; then those that were begun
    /// are carried out.
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
        // What was begun is worth ending, also when nothing new can be.
        running.finish().await?;
        Ok(completion?)
    }

    /// Carries out one step.
    pub async fn transfer_one(
        &self,
        step: Step,
        options: &TransferOptions,
    ) -> Result<Transferred, ServiceError> {
        Transfer { service: self.clone(), options: options.clone() }.step(step).await.1
    }
}

/// Steps under way.
struct Running<R> {
    concurrency: usize,
    steps: FuturesUnordered<BoxFuture<'static, StepOutcome>>,
    report: R,
    /// A step has failed.
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

    /// Begins a step as soon as fewer than the maximum are under way.
    async fn begin(&mut self, step: BoxFuture<'static, StepOutcome>) -> Result<(), E> {
        while self.steps.len() >= self.concurrency {
            if let Some(ended) = self.steps.next().await {
                self.ended(ended)?;
            }
        }
        self.steps.push(step);
        Ok(())
    }

    /// Waits for something else while the steps go on.
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

    /// Waits for all that was begun.
    async fn finish(&mut self) -> Result<(), E> {
        while let Some(ended) = self.steps.next().await {
            self.ended(ended)?;
        }
        Ok(())
    }
}

/// What holds for every step.
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
            // Neither exists: it was removed since it was listed.
            (_, Err(other)) if other.is_absent() => (action, outcome),
            second => second,
        }
    }

    async fn attempt(&self, step: Step) -> StepOutcome {
        let action = action(&step);
        let outcome = match step {
            Step::MakeFolder(path) if path.is_dir() => Ok(Transferred::Unchanged),
            Step::Unchanged => Ok(Transferred::Unchanged),
            Step::Passed(path, why) => Ok(Transferred::Passed(path, why)),
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
                file => self.upload(file?, path, object, may_be_delta).await,
            },
            Step::Download(object, path) => self.download(object, &path, None).await,
            Step::Copy(from, to, may_be_delta) => self.copy(from, to, may_be_delta).await,
            Step::MakeFolder(path) => match std::fs::create_dir_all(&path) {
                Ok(()) => Ok(Transferred::MadeFolder(path, Removed::default())),
                Err(source) => {
                    Err(ServiceError::Local { what: path.display().to_string(), source })
                }
            },
            Step::Replace(step, way) => match *step {
                Step::Download(object, path) => self.download(object, &path, Some(&way)).await,
                Step::MakeFolder(path) => {
                    let removed = self.service.make_folder_replacing(&path, &way).await?;
                    Ok(Transferred::MadeFolder(path, removed))
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
        MayBeDelta(may_be_delta): MayBeDelta,
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

    /// Deletes a file that was stored, if its path still leads to what was read. Between this look
    /// and the deletion a few microseconds remain in which a file that replaces it by rename is
    /// deleted in its place.
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
        way: Option<&InTheWay>,
    ) -> Result<Transferred, ServiceError> {
        let (service, options) = (&self.service, &self.options);
        // What replaces something in a local directory is never moved.
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
            Some(_) if matches!(report.compared, Compared::Contradicted(_)) => Source::Unverified,
            Some(_) if report.unpacked.is_some() => Source::Unpacked,
            Some(seen) => service.delete_moved(&object, &seen).await.into(),
        };
        Ok(Transferred::Downloaded { object, path, report: Box::new(report), removed, source })
    }

    async fn copy(
        &self,
        from: ObjectName,
        to: ObjectName,
        MayBeDelta(may_be_delta): MayBeDelta,
    ) -> Result<Transferred, ServiceError> {
        let options = &self.options;
        let seen = self.seen(&from, options.moving).await?;
        let delta = options.delta && may_be_delta;
        let report = self.service.copy_comparing(&from, &to, delta, options.get.stated).await?;
        let is_contradicted =
            report.warnings.iter().any(|warning| matches!(warning, PutWarning::Contradicted(_)));
        let source = match seen {
            None => Source::Copied,
            Some(_) if is_contradicted => Source::Unverified,
            Some(seen) => self.service.delete_moved(&from, &seen).await.into(),
        };
        Ok(Transferred::Copied { from, to, report, source })
    }

    /// Looks at what is to be moved, before it is.
    async fn seen(&self, object: &ObjectName, moving: bool) -> Result<Option<Head>, ServiceError> {
        Ok(if moving { Some(self.service.head(object).await?) } else { None })
    }
}

/// Reports a step of a dry run. A file that cannot be opened is left out there too.
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
        Step::Upload(path, ..) | Step::Passed(path, _) => Action::Upload(path.clone()),
        Step::Download(object, _) => Action::Download(object.clone()),
        Step::Copy(from, ..) => Action::Copy(from.clone()),
        Step::MakeFolder(path) => Action::MakeFolder(path.clone()),
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

    #[tokio::test]
    async fn no_more_steps_than_allowed_run_at_once() {
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
