//! What makes one folder like another, in a bucket or on a disk, decided file by file; whoever asked carries it out.
//!
//! A destination is looked at whole before the first step, the source is followed page by page. Nothing is removed before all of the
//! source was seen.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod compare;
mod decide;
mod entry;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::{BoxStream, StreamExt as _};

use super::error::ServiceError;
use super::{DeltaService, ListedWrite};
use crate::domain::metadata::DELTA_SUFFIX;
use crate::domain::{ObjectName, paths};
use decide::Extra;
use entry::{At, Entry, Seen};

pub use compare::Compare;
pub use entry::Folder;

/// Comparisons at once, each of which may ask the store or read a file.
const COMPARED_AT_ONCE: usize = 32;

/// Whether a file of this name, from the folder on, takes part.
pub type Filter = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// How two folders are compared, and what is done.
#[derive(Clone)]
pub struct SyncOptions {
    /// When two files of one name are the same.
    pub compare: Compare,
    /// Whether files that the source has not are removed.
    pub remove: bool,
    /// Which files take part, of both folders.
    pub filter: Filter,
}

impl fmt::Debug for SyncOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { compare, remove, .. } = self;
        f.debug_struct("SyncOptions").field("compare", compare).field("remove", remove).finish_non_exhaustive()
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
    /// To remove a file from the store, of which this write was listed.
    RemoveObject(ObjectName, ListedWrite),
    /// To remove a file.
    RemoveFile(PathBuf),
    /// To do the first or, where that finds no file, the second: whether an object called as a delta is one is seen when it is read.
    Either(Box<Step>, Box<Step>),
    /// Nothing: it is there.
    Unchanged,
    /// Nothing, though something is there that is no regular file, or that only a link leads to.
    Passed(PathBuf, Passed),
    /// Nothing: it cannot be looked at, or has no name on the other side.
    Failed(String, ServiceError),
}

/// Whether a file may be kept as a delta: not where the source has another file of the name that the delta would have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MayBeDelta(pub bool);

impl Step {
    /// Whether something is removed, for which it is time when all that was to be copied has been.
    pub fn removes(&self) -> bool {
        matches!(self, Self::RemoveObject(..) | Self::RemoveFile(_))
    }
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
    /// The next step; an error when a folder cannot be listed to its end, after which nothing may be removed, and nothing is.
    pub async fn next(&mut self) -> Result<Option<Step>, ServiceError> {
        self.0.next().await.transpose()
    }
}

impl DeltaService {
    /// What makes `to` like `from`.
    pub async fn sync(&self, from: &Folder, to: &Folder, options: SyncOptions) -> Result<Steps, ServiceError> {
        refuse_nested(from, to, options.remove)?;
        let (mut there, mut drafts) = (HashMap::new(), Vec::new());
        if options.compare != Compare::Never || options.remove {
            let mut entries = self.entries(to, false);
            while let Some(seen) = entries.next().await {
                match seen? {
                    Seen::File(entry) if (options.filter)(&entry.relative) => {
                        there.insert(entry.relative.clone(), entry);
                    }
                    Seen::Failed(_, error) => return Err(error),
                    Seen::Passed(path, why @ Passed::Draft) => drafts.push(Ok(Step::Passed(path, why))),
                    _ => {}
                }
            }
        }
        let source = self.entries(from, options.compare == Compare::Never);
        let sync = Arc::new(Comparison {
            service: self.clone(),
            from: from.clone(),
            to: to.clone(),
            options,
            there: Mutex::new(there),
            source: Mutex::default(),
        });
        let compared = {
            let sync = sync.clone();
            source
                .map(move |seen| {
                    let sync = sync.clone();
                    async move { sync.step(seen?).await }
                })
                .buffered(COMPARED_AT_ONCE)
                .filter_map(async |step| step.transpose())
        };
        let removals = futures::stream::once(async move { sync.removals().await }).flat_map(|steps| match steps {
            Ok(steps) => futures::stream::iter(steps).map(Ok).boxed(),
            Err(error) => futures::stream::iter([Err(error)]).boxed(),
        });
        // What comes after an error would be decided without what was not seen.
        let mut failed = false;
        let until_failed = futures::stream::iter(drafts).chain(compared).chain(removals).take_while(move |step| {
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
    there: Mutex<HashMap<String, Entry>>,
    source: Mutex<Source>,
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
    /// What may be files of these names that the other side has, while the listing calls them something else.
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
            Seen::Passed(path, why) => {
                self.keep_namesake(&path, why);
                return Ok(Some(Step::Passed(path, why)));
            }
            Seen::Failed(what, error) => return Ok(Some(self.unseen(what, error))),
        };
        let own_name = format!("{}{DELTA_SUFFIX}", entry.relative);
        if !entry.is_decided() && (self.options.filter)(&own_name) != (self.options.filter)(&entry.relative) {
            let stored = entry.to_string();
            match self.decided(entry).await {
                Ok(Some(decided)) => entry = decided,
                Ok(None) => return Ok(None),
                Err(error) => return Ok(Some(self.unseen(stored, error))),
            }
        }
        if !(self.options.filter)(&entry.relative) {
            return Ok(None);
        }
        self.see(&entry);
        self.source.lock().unwrap_or_else(PoisonError::into_inner).has_files = true;
        let there = self.there.lock().unwrap_or_else(PoisonError::into_inner).remove(&entry.relative);
        let failed = |error| Step::Failed(entry.to_string(), error);
        if let Some(there) = there {
            match compare::are_same(&self.service, &entry, &there, self.options.compare).await {
                Ok(true) => return Ok(Some(Step::Unchanged)),
                Ok(false) => {}
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
                    // A file that is called as a delta has none of its own, nor is there a file whose delta it would be.
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

    /// Keeps the object of the other side that has the name of a file which is left out as a draft.
    fn keep_namesake(&self, path: &Path, why: Passed) {
        let Folder::Local(folder) = &self.from else { return };
        if let (Passed::Draft, Ok(path)) = (why, path.strip_prefix(folder))
            && let Some(relative) = paths::relative_key(path)
        {
            self.there.lock().unwrap_or_else(PoisonError::into_inner).remove(&relative);
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
            return (!relative.is_empty() && self.options.compare == Compare::Never).then_some(Step::Copy(
                from,
                to,
                MayBeDelta(true),
            ));
        };
        let Some(marked) = relative.strip_suffix('/') else { return Some(Step::MakeFolder(folder.clone())) };
        match paths::relative_path(marked) {
            Ok(path) => Some(Step::MakeFolder(folder.join(path))),
            Err(source) => {
                let object = self.from.object(relative).ok()?;
                Some(Step::Failed(object.to_string(), ServiceError::NoPath { object, source }))
            }
        }
    }

    /// What the source has not, once all of it was seen.
    async fn removals(&self) -> Result<Vec<Step>, ServiceError> {
        if !self.options.remove {
            return Ok(Vec::new());
        }
        let there = std::mem::take(&mut *self.there.lock().unwrap_or_else(PoisonError::into_inner));
        let (has_files, incomplete) = {
            let source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
            (source.has_files, source.incomplete)
        };
        if there.is_empty() {
            return Ok(Vec::new());
        }
        if incomplete {
            return Err(ServiceError::SourceUnseen { from: self.from.to_string(), to: self.to.to_string() });
        }
        if !has_files {
            return Err(ServiceError::SourceEmpty { from: self.from.to_string(), to: self.to.to_string() });
        }
        let mut there: Vec<Entry> = there.into_values().collect();
        there.sort_by(|a, b| a.relative.cmp(&b.relative));
        let Extra { absent, copies: mut steps, unseen } = self.absent_from_source(there).await;
        let mut own_folders = BTreeSet::new();
        let removal = |entry: Entry| match entry.at {
            At::Object(object) => {
                Step::RemoveObject(object.name, ListedWrite { tag: object.tag, modified: entry.modified })
            }
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

/// A folder that holds the other would be copied into itself again and again, or removed with what is not in the other.
fn refuse_nested(from: &Folder, to: &Folder, remove: bool) -> Result<(), ServiceError> {
    let (Folder::InBucket(a, from_prefix), Folder::InBucket(b, to_prefix)) = (from, to) else { return Ok(()) };
    let nested = to_prefix.starts_with(from_prefix.as_str()) || remove && from_prefix.starts_with(to_prefix.as_str());
    if a == b && nested {
        return Err(ServiceError::Nested { from: from.to_string(), to: to.to_string() });
    }
    Ok(())
}
