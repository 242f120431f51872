//! Decides, file by file, the steps that make one folder like another, each a local directory or a
//! bucket prefix. The caller carries the steps out.
//!
//! The destination is listed completely before the first step; the source is read page by page.
//! Nothing is deleted before the whole source was seen.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod compare;
mod decide;
mod entries;
mod entry;
mod filter;
mod replace;
mod shadowed;
mod steps;
mod walk;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::StreamExt as _;

use super::error::ServiceError;
use super::set_aside::Obstacle;
use super::{DeltaService, ListedWrite};
use crate::domain::metadata::DELTA_SUFFIX;
use crate::domain::{ObjectName, paths};
use decide::Extra;
use entries::Entries;
use entry::{At, Entry, Seen};
use replace::Deferred;
use shadowed::Shadowed;
use walk::Role;

pub use compare::Compare;
pub use entry::Folder;
pub use filter::{Filter, Select};
pub use steps::Steps;

/// The maximum number of concurrent comparisons, each of which may send a request or read a file.
const COMPARED_AT_ONCE: usize = 32;

/// Options of a sync.
#[derive(Clone)]
pub struct SyncOptions {
    /// The criteria by which two files of one name are equal.
    pub compare: Compare,
    /// True if files that the source lacks are deleted from the destination.
    pub remove: bool,
    /// The files of both folders that take part.
    pub filter: Filter,
    /// True for a dry run. Leftovers of killed downloads in a local destination are not restored
    /// then.
    pub dryrun: bool,
}

impl fmt::Debug for SyncOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { compare, remove, .. } = self;
        f.debug_struct("SyncOptions")
            .field("compare", compare)
            .field("remove", remove)
            .finish_non_exhaustive()
    }
}

/// A step of a sync.
#[derive(Debug)]
#[non_exhaustive]
pub enum Step {
    /// Uploads a file.
    Upload(PathBuf, ObjectName, AllowDelta),
    /// Downloads an object.
    Download(ObjectName, PathBuf),
    /// Copies an object inside the store.
    Copy(ObjectName, ObjectName, AllowDelta),
    /// Creates a directory, for an empty object with a trailing `/`.
    CreateDir(PathBuf),
    /// Downloads an object or creates a directory, and deletes the obstacle at its path afterwards.
    Replace(Box<Step>, Obstacle),
    /// Deletes an object, if it is still the listed write.
    RemoveObject(ObjectName, ListedWrite),
    /// Deletes a local file.
    RemoveFile(PathBuf),
    /// Carries out the first step, or the second if the first finds no file: whether an object with
    /// the name of a delta is one is only seen when it is read.
    Either(Box<Step>, Box<Step>),
    /// Does nothing: both files are equal.
    Unchanged,
    /// Skips a path that is no regular file or lies behind a symbolic link.
    Skip(PathBuf, SkipReason),
    /// Skips, with a warning, a path that cannot be read or whose name is no key.
    Unread(ServiceError),
    /// Reports a file that cannot be examined or has no name on the other side.
    Failed(String, ServiceError),
}

/// True if a file may be stored as a delta: the source has no other file with the name of the
/// delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllowDelta(pub bool);

impl Step {
    /// Returns whether the step deletes something.
    pub fn removes(&self) -> bool {
        self.phase() > Phase::Copy
    }

    /// Returns the phase of the step. Deletions belong to a later phase than copies, and run only
    /// if all copies succeeded.
    pub fn phase(&self) -> Phase {
        match self {
            Self::Replace(..) => Phase::Replace,
            Self::RemoveObject(..) | Self::RemoveFile(_) => Phase::Remove,
            _ => Phase::Copy,
        }
    }
}

/// The phases of a sync. Each begins when the one before it has ended without a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Copies that delete nothing.
    Copy,
    /// Copies to paths where an obstacle is deleted.
    Replace,
    /// Deletions.
    Remove,
}

/// The reason for skipping a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SkipReason {
    /// A device, a socket or a pipe.
    #[error("it is not a regular file")]
    NotAFile,
    /// A path behind a symbolic link, which may lead out of the folder.
    #[error("a link leads to it")]
    BehindALink,
    /// The temporary file of a download in progress or of a killed one.
    #[error("it is the draft of a download")]
    Draft,
}

impl DeltaService {
    /// Returns the steps that make `to` like `from`.
    ///
    /// # Errors
    ///
    /// Returns an error if one folder is within the other, or if the destination cannot be listed.
    pub async fn sync(
        &self,
        from: &Folder,
        to: &Folder,
        options: SyncOptions,
    ) -> Result<Steps, ServiceError> {
        refuse_nested(from, to, options.remove)?;
        let (mut there, mut left_out) = (BTreeMap::new(), Vec::new());
        if options.compare != Compare::Never || options.remove {
            let role = if options.dryrun { Role::DryDestination } else { Role::Destination };
            let mut entries = self.entries(to, &options.filter, role, false);
            while let Some(seen) = entries.next().await {
                match seen? {
                    Seen::File(entry) if options.filter.takes(&entry.relative) => {
                        there.insert(entry.relative.clone(), entry);
                    }
                    Seen::Failed(_, error) => return Err(error),
                    Seen::Skip(path, _, why @ SkipReason::Draft) => {
                        left_out.push(Ok(Step::Skip(path, why)))
                    }
                    Seen::Unread(_, error) if !is_absence(&error) => {
                        left_out.push(Ok(Step::Unread(error)))
                    }
                    _ => {}
                }
            }
        }
        let source =
            self.entries(from, &options.filter, Role::Source, options.compare == Compare::Never);
        let source = match to {
            Folder::Local(_) => without_shadowed(source, options.filter.clone()),
            Folder::InBucket(..) => source,
        };
        let sync = Arc::new(Comparison {
            service: self.clone(),
            from: from.clone(),
            to: to.clone(),
            options,
            there: Mutex::new(there),
            source: Mutex::default(),
            deferred: Mutex::default(),
        });
        let compared = {
            let sync = sync.clone();
            source
                .map(move |seen| {
                    let sync = sync.clone();
                    async move {
                        Ok(match sync.step(seen?).await? {
                            Some(step) => sync.defer(step).await,
                            None => None,
                        })
                    }
                })
                .buffered(COMPARED_AT_ONCE)
                .filter_map(async |step: Result<_, ServiceError>| step.transpose())
        };
        let removals = futures::stream::once(async move { sync.removals().await }).flat_map(
            |steps| match steps {
                Ok(steps) => futures::stream::iter(steps).map(Ok).boxed(),
                Err((steps, error)) => futures::stream::iter(
                    steps.into_iter().map(Ok).chain([Err(error)]).collect::<Vec<_>>(),
                )
                .boxed(),
            },
        );
        // Steps after an error would be decided without the files that were not seen.
        let mut failed = false;
        let until_failed = futures::stream::iter(left_out)
            .chain(compared)
            .chain(removals)
            .take_while(move |step| {
                let goes_on = !failed;
                failed |= step.is_err();
                std::future::ready(goes_on)
            });
        Ok(Steps::new(until_failed.boxed()))
    }
}

/// A sync in progress.
struct Comparison {
    service: DeltaService,
    from: Folder,
    to: Folder,
    options: SyncOptions,
    /// Files of the destination not yet seen in the source.
    there: Mutex<BTreeMap<String, Entry>>,
    source: Mutex<Source>,
    /// Steps to paths occupied by something else.
    deferred: Mutex<Vec<Deferred>>,
}

/// The facts known about the source so far.
#[derive(Default)]
struct Source {
    /// True once the source has shown a file.
    has_files: bool,
    /// True if a part of the source could not be examined.
    incomplete: bool,
    /// Names of source files that end in `.delta` and that the destination may have too.
    deltas: HashSet<String>,
    /// Objects, by relative name, that may be files the destination has, though the listing
    /// classifies them otherwise.
    unresolved: HashMap<String, ObjectName>,
}

impl Comparison {
    /// Returns the step for an item of the source; `None` if there is nothing to do for it yet.
    async fn step(&self, seen: Seen) -> Result<Option<Step>, ServiceError> {
        let mut entry = match seen {
            Seen::File(entry) => entry,
            Seen::Undecided(relative, stored) => match self.unresolved(relative, stored).await? {
                Some(entry) => entry,
                None => return Ok(None),
            },
            Seen::Marker(relative) => return Ok(self.marker(&relative)),
            Seen::Skip(path, relative, why) => {
                self.keep(&relative);
                return Ok(Some(Step::Skip(path, why)));
            }
            Seen::Unread(relative, error) => {
                self.keep(&relative);
                return Ok(Some(Step::Unread(error)));
            }
            Seen::Shadowed(relative, other) => {
                self.there.lock().unwrap_or_else(PoisonError::into_inner).remove(&relative);
                return Ok(Some(self.shadowed(&relative, &other)));
            }
            Seen::Hidden(relative) => {
                self.keep(&relative);
                return Ok(None);
            }
            Seen::Failed(what, error) => return Ok(Some(self.unseen(what, error))),
        };
        let own_name = format!("{}{DELTA_SUFFIX}", entry.relative);
        let is_filtered = |name: &str| !self.options.filter.takes(name);
        // Whether the file of that name in the destination is kept depends on what this object is.
        // If files are compared, an index has decided it.
        let is_compared = self.options.compare != Compare::Never;
        let decides_removal = self.options.remove && !is_compared && self.is_there(&entry.relative);
        if !entry.is_resolved()
            && (decides_removal || is_filtered(&own_name) != is_filtered(&entry.relative))
        {
            let stored = entry.to_string();
            match self.decided(entry).await {
                Ok(Some(decided)) => entry = decided,
                Ok(None) => return Ok(None),
                Err(error) => return Ok(Some(self.unseen(stored, error))),
            }
        }
        if !self.options.filter.takes(&entry.relative) {
            return Ok(None);
        }
        self.see(&entry);
        self.source.lock().unwrap_or_else(PoisonError::into_inner).has_files = true;
        let there =
            self.there.lock().unwrap_or_else(PoisonError::into_inner).remove(&entry.relative);
        let failed = |error| Step::Failed(entry.to_string(), error);
        if let Some(there) = there {
            match compare::are_same(&self.service, &entry, &there, self.options.compare).await {
                Ok(true) => return Ok(Some(Step::Unchanged)),
                Ok(false) => {}
                Err(error) if matches!(entry.at, At::File(_)) && error.is_unreadable_file() => {
                    return Ok(Some(Step::Unread(error)));
                }
                Err(error) => return Ok(Some(failed(error))),
            }
        }
        let may_be_delta = AllowDelta(!entry.has_namesake);
        Ok(Some(match (&entry.at, &self.to) {
            (At::File(path), Folder::InBucket(..)) => match self.to.object(&entry.relative) {
                Ok(object) => Step::Upload(path.clone(), object, may_be_delta),
                Err(error) => failed(error),
            },
            (At::Object(from), _) => {
                let first = self.fetch(&from.name, &entry.relative, may_be_delta);
                match from.decided {
                    true => first,
                    // A file with the name of a delta has no delta itself, and no other file has a
                    // delta of that name.
                    false => {
                        let second = self.fetch(&from.stored, &own_name, AllowDelta(true));
                        Step::Either(Box::new(first), Box::new(second))
                    }
                }
            }
            // Syncing two local directories is out of scope.
            (At::File(path), Folder::Local(_)) => failed(ServiceError::NotInAStore(path.clone())),
        }))
    }

    /// Returns whether the destination has a file of this name that the source has not shown yet.
    pub(super) fn is_there(&self, relative: &str) -> bool {
        self.there.lock().unwrap_or_else(PoisonError::into_inner).contains_key(relative)
    }

    /// Protects destination files of this name and below it from deletion, because their source
    /// cannot be read.
    fn keep(&self, relative: &str) {
        if self.options.remove && relative.ends_with(DELTA_SUFFIX) {
            self.source
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .deltas
                .insert(relative.to_owned());
        }
        let mut there = self.there.lock().unwrap_or_else(PoisonError::into_inner);
        there.remove(relative);
        let below = format!("{relative}/");
        let from_below = there.range(below.clone()..).map(|(name, _)| name);
        let names: Vec<String> =
            from_below.take_while(|name| name.starts_with(&below)).cloned().collect();
        for name in names {
            there.remove(&name);
        }
    }

    /// Records that a part of the source could not be examined, so that nothing is deleted.
    fn unseen(&self, what: String, error: ServiceError) -> Step {
        self.source.lock().unwrap_or_else(PoisonError::into_inner).incomplete = true;
        Step::Failed(what, error)
    }

    /// Returns the step that transfers an object to the destination under this name.
    fn fetch(&self, from: &ObjectName, relative: &str, may_be_delta: AllowDelta) -> Step {
        let failed = |error| Step::Failed(from.to_string(), error);
        match &self.to {
            Folder::InBucket(..) => match self.to.object(relative) {
                Ok(to) => Step::Copy(from.clone(), to, may_be_delta),
                Err(error) => failed(error),
            },
            Folder::Local(folder) => match paths::relative_path(relative) {
                Ok(path) => Step::Download(from.clone(), folder.join(path)),
                Err(source) => failed(ServiceError::NoPath { object: from.clone(), source }),
            },
        }
    }

    /// Returns the step for an empty object that represents a directory.
    fn marker(&self, relative: &str) -> Option<Step> {
        let Folder::Local(folder) = &self.to else {
            let (from, to) = (self.from.object(relative).ok()?, self.to.object(relative).ok()?);
            return (!relative.is_empty() && self.options.compare == Compare::Never)
                .then_some(Step::Copy(from, to, AllowDelta(true)));
        };
        let Some(marked) = relative.strip_suffix('/') else {
            return Some(Step::CreateDir(folder.clone()));
        };
        match paths::relative_path(marked) {
            Ok(path) => Some(Step::CreateDir(folder.join(path))),
            Err(source) => {
                let object = self.from.object(relative).ok()?;
                Some(Step::Failed(object.to_string(), ServiceError::NoPath { object, source }))
            }
        }
    }

    /// Returns the error for a file that cannot exist on a disk beside another one.
    fn shadowed(&self, relative: &str, other: &str) -> Step {
        self.source.lock().unwrap_or_else(PoisonError::into_inner).has_files = true;
        match (self.from.object(relative), self.from.object(other)) {
            (Ok(object), Ok(other)) => {
                Step::Failed(object.to_string(), ServiceError::AlsoDirectory { object, other })
            }
            (Err(error), _) | (_, Err(error)) => Step::Failed(relative.to_owned(), error),
        }
    }

    /// Returns the deletions, after the whole source was seen; or an error, with steps that report
    /// the copies it prevents.
    async fn removals(&self) -> Result<Vec<Step>, (Vec<Step>, ServiceError)> {
        if !self.options.remove {
            return Ok(Vec::new());
        }
        let there = std::mem::take(&mut *self.there.lock().unwrap_or_else(PoisonError::into_inner));
        let (has_files, incomplete) = {
            let source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
            (source.has_files, source.incomplete)
        };
        if there.is_empty() && incomplete {
            return Ok(self.refused());
        }
        if incomplete {
            let error = ServiceError::SourceIncomplete {
                from: self.from.to_string(),
                to: self.to.to_string(),
            };
            return Err((self.refused(), error));
        }
        if !there.is_empty() && !has_files {
            let error =
                ServiceError::SourceEmpty { from: self.from.to_string(), to: self.to.to_string() };
            return Err((self.refused(), error));
        }
        let Extra { mut absent, copies: mut steps, unseen } =
            self.absent_from_source(there.into_values().collect()).await;
        steps.extend(self.replacements(&mut absent).await);
        // Copies come first, so that their failures are known before anything is deleted.
        steps.sort_by_key(Step::phase);
        let mut own_folders = BTreeSet::new();
        let removal = |entry: Entry| match entry.at {
            At::Object(object) => Step::RemoveObject(
                object.name,
                ListedWrite { tag: object.tag, modified: entry.modified },
            ),
            At::File(path) => match &self.to {
                Folder::Local(folder) if is_behind_a_link(folder, &path, &mut own_folders) => {
                    Step::Skip(path, SkipReason::BehindALink)
                }
                _ => Step::RemoveFile(path),
            },
        };
        steps.extend(absent.into_iter().map(removal));
        // Failures come last: before the deletions, they would prevent them.
        steps.extend(unseen);
        Ok(steps)
    }
}

/// Removes files that cannot exist on a disk beside other files.
fn without_shadowed(source: Entries, filter: Filter) -> Entries {
    let state = (source, Some(Shadowed::default()));
    let passed = futures::stream::unfold(state, move |(mut source, mut shadowed)| {
        let filter = filter.clone();
        async move {
            let passed = match source.next().await {
                Some(Ok(seen)) => shadowed
                    .as_mut()?
                    .pass(seen, |name| filter.takes(name))
                    .into_iter()
                    .map(Ok)
                    .collect(),
                Some(Err(error)) => vec![Err(error)],
                None => shadowed.take()?.end().into_iter().map(Ok).collect(),
            };
            Some((futures::stream::iter(passed), (source, shadowed)))
        }
    });
    passed.flatten().boxed()
}

/// Returns whether an error reports an absent path, such as the target of a dangling link.
fn is_absence(error: &ServiceError) -> bool {
    matches!(
        error,
        ServiceError::Local { source, .. } if source.kind() == std::io::ErrorKind::NotFound
    )
}

/// Returns whether a directory between `folder` and `file` is a symbolic link. `known` caches real
/// directories.
pub(crate) fn is_behind_a_link(folder: &Path, file: &Path, known: &mut BTreeSet<PathBuf>) -> bool {
    for between in file.ancestors().skip(1).take_while(|between| *between != folder) {
        if known.contains(between) {
            continue;
        }
        match std::fs::symlink_metadata(between) {
            Ok(metadata) if metadata.is_dir() => known.insert(between.to_owned()),
            _ => return true,
        };
    }
    false
}

/// Rejects nested folders: one would be copied into itself without end, or its files deleted as
/// missing from the other.
fn refuse_nested(from: &Folder, to: &Folder, remove: bool) -> Result<(), ServiceError> {
    let (Folder::InBucket(a, from_prefix), Folder::InBucket(b, to_prefix)) = (from, to) else {
        return Ok(());
    };
    let nested = to_prefix.starts_with(from_prefix.as_str())
        || remove && from_prefix.starts_with(to_prefix.as_str());
    if a == b && nested {
        return Err(ServiceError::Nested { from: from.to_string(), to: to.to_string() });
    }
    Ok(())
}
