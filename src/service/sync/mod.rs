//! What makes one folder like another, in a bucket or on a disk, decided file by file; whoever
//! asked carries it out.
//!
//! A destination is looked at whole before the first step, the source is followed page by page.
//! Nothing is removed before all of the source was seen.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod compare;
mod decide;
mod entries;
mod entry;
mod filter;
mod replace;
mod shadowed;
mod walk;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::{BoxStream, StreamExt as _};

use super::error::ServiceError;
use super::set_aside::InTheWay;
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

/// Comparisons at once, each of which may ask the store or read a file.
const COMPARED_AT_ONCE: usize = 32;

/// How two folders are compared, and what is done.
#[derive(Clone)]
pub struct SyncOptions {
    /// When two files of one name are the same.
    pub compare: Compare,
    /// Whether files that the source has not are removed.
    pub remove: bool,
    /// Which files take part, of both folders.
    pub filter: Filter,
    /// Whether the steps are only shown. What a killed download left in a local destination is not
    /// mended then.
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

/// One thing to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum Step {
    /// To store a file.
    Upload(PathBuf, ObjectName, MayBeDelta),
    /// To write a file.
    Download(ObjectName, PathBuf),
    /// To copy a file inside the store.
    Copy(ObjectName, ObjectName, MayBeDelta),
    /// To make a folder, which an empty object with a `/` at its end stands for.
    MakeFolder(PathBuf),
    /// To write a file or make a folder, and delete what is in the way when that is done.
    Replace(Box<Step>, InTheWay),
    /// To remove a file from the store, of which this write was listed.
    RemoveObject(ObjectName, ListedWrite),
    /// To remove a file.
    RemoveFile(PathBuf),
    /// To do the first or, where that finds no file, the second: whether an object called as a
    /// delta is one is seen when it is read.
    Either(Box<Step>, Box<Step>),
    /// Nothing: it is there.
    Unchanged,
    /// Nothing, though something is there that is no regular file, or that only a link leads to.
    Passed(PathBuf, Passed),
    /// Nothing: it is there and cannot be read, or its name is no key. It is left out with a
    /// warning.
    Unread(ServiceError),
    /// Nothing: it cannot be looked at, or has no name on the other side.
    Failed(String, ServiceError),
}

/// Whether a file may be kept as a delta: not where the source has another file of the name that
/// the delta would have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MayBeDelta(pub bool);

impl Step {
    /// Whether something is removed.
    pub fn removes(&self) -> bool {
        self.phase() > Phase::Copy
    }

    /// The phase of a step. What is removed goes in a later phase than what is copied, and only if
    /// all of that was.
    pub fn phase(&self) -> Phase {
        match self {
            Self::Replace(..) => Phase::Replace,
            Self::RemoveObject(..) | Self::RemoveFile(_) => Phase::Remove,
            _ => Phase::Copy,
        }
    }
}

/// When a step is carried out: each phase begins when the one before it has ended without a
/// failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Nothing is removed.
    Copy,
    /// Files are copied to where others are removed.
    Replace,
    /// Files are removed.
    Remove,
}

/// Why something is passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Passed {
    /// A device, a socket, a pipe.
    #[error("it is not a regular file")]
    NotAFile,
    /// Outside the folder, maybe.
    #[error("a link leads to it")]
    BehindALink,
    /// A download that is under way, or that was killed.
    #[error("it is the draft of a download")]
    Draft,
}

/// The steps, as they are decided.
pub struct Steps(BoxStream<'static, Result<Step, ServiceError>>);

impl fmt::Debug for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Steps").finish_non_exhaustive()
    }
}

impl Steps {
    /// The next step; an error when a folder cannot be listed to its end, after which nothing may
    /// be removed, and nothing is.
    pub async fn next(&mut self) -> Result<Option<Step>, ServiceError> {
        self.0.next().await.transpose()
    }
}

impl DeltaService {
    /// What makes `to` like `from`.
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
                    Seen::Passed(path, _, why @ Passed::Draft) => {
                        left_out.push(Ok(Step::Passed(path, why)))
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
        // What comes after an error would be decided without what was not seen.
        let mut failed = false;
        let until_failed = futures::stream::iter(left_out)
            .chain(compared)
            .chain(removals)
            .take_while(move |step| {
                let goes_on = !failed;
                failed |= step.is_err();
                std::future::ready(goes_on)
            });
        Ok(Steps(until_failed.boxed()))
    }
}

/// A sync under way.
struct Comparison {
    service: DeltaService,
    from: Folder,
    to: Folder,
    options: SyncOptions,
    /// Files of the destination that the source has not shown yet.
    there: Mutex<BTreeMap<String, Entry>>,
    source: Mutex<Source>,
    /// Steps to paths where something else is.
    deferred: Mutex<Vec<Deferred>>,
}

/// What is known of the source so far.
#[derive(Default)]
struct Source {
    /// There is something.
    has_files: bool,
    /// Not all of it could be looked at.
    incomplete: bool,
    /// Names of files that end as those of deltas do, where the other side may have one of them.
    deltas: HashSet<String>,
    /// What may be files of these names that the other side has, while the listing calls them
    /// something else.
    undecided: HashMap<String, ObjectName>,
}

impl Comparison {
    async fn step(&self, seen: Seen) -> Result<Option<Step>, ServiceError> {
        let mut entry = match seen {
            Seen::File(entry) => entry,
            Seen::Undecided(relative, stored) => match self.undecided(relative, stored).await? {
                Some(entry) => entry,
                None => return Ok(None),
            },
            Seen::Marker(relative) => return Ok(self.marker(&relative)),
            Seen::Passed(path, relative, why) => {
                self.keep(&relative);
                return Ok(Some(Step::Passed(path, why)));
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
        // Whether the file of that name on the other side stays hangs on what this is. Where files
        // are compared, an index has told.
        let is_compared = self.options.compare != Compare::Never;
        let decides_removal = self.options.remove && !is_compared && self.is_there(&entry.relative);
        if !entry.is_decided()
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
        let may_be_delta = MayBeDelta(!entry.has_namesake);
        Ok(Some(match (&entry.at, &self.to) {
            (At::File(path), Folder::InBucket(..)) => match self.to.object(&entry.relative) {
                Ok(object) => Step::Upload(path.clone(), object, may_be_delta),
                Err(error) => failed(error),
            },
            (At::Object(from), _) => {
                let first = self.fetch(&from.name, &entry.relative, may_be_delta);
                match from.decided {
                    true => first,
                    // A file that is called as a delta has none of its own, nor is there a file
                    // whose delta it would be.
                    false => {
                        let second = self.fetch(&from.stored, &own_name, MayBeDelta(true));
                        Step::Either(Box::new(first), Box::new(second))
                    }
                }
            }
            // Folders of one disk are others' business.
            (At::File(path), Folder::Local(_)) => failed(ServiceError::NotInAStore(path.clone())),
        }))
    }

    /// Whether the other side has a file of this name that the source has not shown yet.
    pub(super) fn is_there(&self, relative: &str) -> bool {
        self.there.lock().unwrap_or_else(PoisonError::into_inner).contains_key(relative)
    }

    /// Keeps what the other side has under this name and below it: what the source has there cannot
    /// be read.
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

    /// Records that something of the source could not be looked at, so that nothing is removed.
    fn unseen(&self, what: String, error: ServiceError) -> Step {
        self.source.lock().unwrap_or_else(PoisonError::into_inner).incomplete = true;
        Step::Failed(what, error)
    }

    /// What brings an object to the other side under this name.
    fn fetch(&self, from: &ObjectName, relative: &str, may_be_delta: MayBeDelta) -> Step {
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

    /// An empty object that stands for a folder.
    fn marker(&self, relative: &str) -> Option<Step> {
        let Folder::Local(folder) = &self.to else {
            let (from, to) = (self.from.object(relative).ok()?, self.to.object(relative).ok()?);
            return (!relative.is_empty() && self.options.compare == Compare::Never)
                .then_some(Step::Copy(from, to, MayBeDelta(true)));
        };
        let Some(marked) = relative.strip_suffix('/') else {
            return Some(Step::MakeFolder(folder.clone()));
        };
        match paths::relative_path(marked) {
            Ok(path) => Some(Step::MakeFolder(folder.join(path))),
            Err(source) => {
                let object = self.from.object(relative).ok()?;
                Some(Step::Failed(object.to_string(), ServiceError::NoPath { object, source }))
            }
        }
    }

    /// The error for a file that cannot be on a disk beside another one.
    fn shadowed(&self, relative: &str, other: &str) -> Step {
        self.source.lock().unwrap_or_else(PoisonError::into_inner).has_files = true;
        match (self.from.object(relative), self.from.object(other)) {
            (Ok(object), Ok(other)) => {
                Step::Failed(object.to_string(), ServiceError::AlsoDirectory { object, other })
            }
            (Err(error), _) | (_, Err(error)) => Step::Failed(relative.to_owned(), error),
        }
    }

    /// What the source has not, once all of it was seen; or an error, after steps that say what
    /// could not be copied for it.
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
            let error =
                ServiceError::SourceUnseen { from: self.from.to_string(), to: self.to.to_string() };
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
        // What failed is known before anything is removed.
        steps.sort_by_key(Step::phase);
        let mut own_folders = BTreeSet::new();
        let removal = |entry: Entry| match entry.at {
            At::Object(object) => Step::RemoveObject(
                object.name,
                ListedWrite { tag: object.tag, modified: entry.modified },
            ),
            At::File(path) => match &self.to {
                Folder::Local(folder) if is_behind_a_link(folder, &path, &mut own_folders) => {
                    Step::Passed(path, Passed::BehindALink)
                }
                _ => Step::RemoveFile(path),
            },
        };
        steps.extend(absent.into_iter().map(removal));
        // Last: a failure before the removals would keep them from being carried out.
        steps.extend(unseen);
        Ok(steps)
    }
}

/// Leaves out files that cannot be on a disk with others.
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

/// Whether an error says that there is nothing, as of a link that leads nowhere.
fn is_absence(error: &ServiceError) -> bool {
    matches!(error, ServiceError::Local { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
}

/// Whether a folder between `folder` and the file is a link.
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

/// A folder that holds the other would be copied into itself again and again, or removed with what
/// is not in the other.
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
