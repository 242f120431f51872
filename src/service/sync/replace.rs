//! Downloads to paths occupied by something else. They run after the whole source was seen, and
//! replace only paths that `--delete` would delete.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use super::entry::{At, Entry};
use super::{Comparison, Folder, Step, is_behind_a_link};
use crate::service::blocking;
use crate::service::error::ServiceError;
use crate::service::set_aside::{self, Obstacle};

/// A step to an occupied path, with the obstacle.
pub(super) struct Deferred {
    step: Step,
    obstacle: PathBuf,
}

impl Comparison {
    /// Defers a step if something else occupies the path it writes to.
    pub(super) async fn defer(&self, step: Step) -> Option<Step> {
        let Folder::Local(folder) = &self.to else { return Some(step) };
        let path = match &step {
            Step::Download(_, path) | Step::CreateDir(path) if self.options.remove => path.clone(),
            _ => return Some(step),
        };
        let (folder, is_directory) = (folder.clone(), matches!(step, Step::CreateDir(_)));
        let found = blocking::run(move |_| {
            let found = set_aside::obstacle(&folder, &path);
            found.map(|found| {
                found
                    .filter(|found| !(is_directory && found == &path && path.is_dir()))
                    .or_else(|| (is_directory && path.is_file()).then_some(path))
            })
        });
        match found.await {
            Ok(Some(obstacle)) => {
                self.deferred
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(Deferred { step, obstacle });
                None
            }
            // The step itself reports the error.
            Ok(None) | Err(_) => Some(step),
        }
    }

    /// Returns the deferred steps, and removes from `absent` the files that they delete.
    pub(super) async fn replacements(&self, absent: &mut Vec<Entry>) -> Vec<Step> {
        let deferred =
            std::mem::take(&mut *self.deferred.lock().unwrap_or_else(PoisonError::into_inner));
        let Folder::Local(folder) = &self.to else { return Vec::new() };
        if deferred.is_empty() {
            return Vec::new();
        }
        let path_of = |entry: &Entry| match &entry.at {
            At::File(path) => Some(path.clone()),
            At::Object(_) => None,
        };
        let (folder, deletable): (_, BTreeSet<PathBuf>) =
            (folder.clone(), absent.iter().filter_map(path_of).collect());
        let (steps, deleted) = blocking::run(move |_| decided(&folder, deferred, &deletable)).await;
        absent.retain(|entry| {
            path_of(entry)
                .is_none_or(|path| !deleted.iter().any(|deleted| path.starts_with(deleted)))
        });
        steps
    }

    /// Returns errors for the deferred steps, for a run in which nothing may be deleted.
    pub(super) fn refused(&self) -> Vec<Step> {
        let deferred =
            std::mem::take(&mut *self.deferred.lock().unwrap_or_else(PoisonError::into_inner));
        let refused = |Deferred { step, obstacle }| {
            let error = match &step {
                Step::Download(_, path) | Step::CreateDir(path) => {
                    set_aside::refuse(path, &obstacle)
                }
                _ => ServiceError::IsDirectory(obstacle),
            };
            Step::Failed(name_of(&step), error)
        };
        deferred.into_iter().map(refused).collect()
    }
}

/// Returns the deferred steps, and the obstacles they delete. `deletable` are the paths that may be
/// deleted.
fn decided(
    folder: &Path,
    deferred: Vec<Deferred>,
    deletable: &BTreeSet<PathBuf>,
) -> (Vec<Step>, Vec<PathBuf>) {
    let (mut ways, mut known) = (BTreeMap::<PathBuf, Obstacle>::new(), BTreeSet::new());
    let mut steps = Vec::new();
    for Deferred { step, obstacle } in deferred {
        let way = match ways.get(&obstacle) {
            Some(way) => Ok(way.clone()),
            None if is_behind_a_link(folder, &obstacle, &mut known) => {
                Err(ServiceError::NotDeletable { path: obstacle.clone(), kept: obstacle.clone() })
            }
            None => Obstacle::look(&obstacle, |file| deletable.contains(file)),
        };
        steps.push(match way {
            Ok(way) => {
                ways.insert(obstacle, way.clone());
                Step::Replace(Box::new(step), way)
            }
            Err(error) => Step::Failed(name_of(&step), error),
        });
    }
    (steps, ways.into_keys().collect())
}

/// Returns the name of the subject of a step, for messages.
fn name_of(step: &Step) -> String {
    match step {
        Step::Download(object, _) => object.to_string(),
        Step::CreateDir(path) => path.display().to_string(),
        _ => String::new(),
    }
}
