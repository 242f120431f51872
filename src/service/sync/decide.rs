//! Resolves objects with ambiguous keys: a delta, a reference, or a file with the name of one.
//!
//! Keys and indexes may mislead: another writer may have written the index. So a HEAD request
//! decides for every key that a deletion depends on.

use std::sync::PoisonError;

use futures::stream::StreamExt as _;

use super::entry::{At, Entry, Object};
use super::{AllowDelta, COMPARED_AT_ONCE, Compare, Comparison, Step};
use crate::domain::ObjectName;
use crate::domain::metadata::{DELTA_SUFFIX, Kind};
use crate::service::error::ServiceError;
use crate::service::objects::StoredObject;

impl Entry {
    pub(super) fn is_resolved(&self) -> bool {
        match &self.at {
            At::File(_) => true,
            At::Object(object) => object.decided,
        }
    }
}

/// The kind of an object by a HEAD request.
enum Decided {
    /// It does not exist.
    Absent,
    /// A delta or a reference.
    Ours,
    /// A file of the name it is stored under.
    File(Box<StoredObject>),
}

/// Files of the destination that have no counterpart in the source listing.
#[derive(Default)]
pub(super) struct Extra {
    /// Files that the source lacks.
    pub(super) absent: Vec<Entry>,
    /// Copies of files that the source has after all, listed as something else.
    pub(super) copies: Vec<Step>,
    /// Failures of files that cannot be examined, which are kept.
    pub(super) unseen: Vec<Step>,
}

impl Comparison {
    /// Determines the kind of an object by a HEAD request.
    async fn decide(&self, stored: &ObjectName) -> Result<Decided, ServiceError> {
        Ok(match StoredObject::look(self.service.store(), stored.clone()).await? {
            None => Decided::Absent,
            Some(found) => match found.kind {
                Kind::Delta(_) | Kind::Reference(_) | Kind::Damaged(_) => Decided::Ours,
                Kind::Direct(_) | Kind::Passthrough => Decided::File(Box::new(found)),
            },
        })
    }

    /// Records a file of the source.
    pub(super) fn see(&self, entry: &Entry) {
        if self.options.remove && entry.relative.ends_with(DELTA_SUFFIX) {
            let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
            source.deltas.insert(entry.relative.clone());
        }
    }

    /// Records an object that may be a file of the source. Returns the file if nothing else would
    /// copy it.
    pub(super) async fn unresolved(
        &self,
        relative: String,
        stored: ObjectName,
    ) -> Result<Option<Entry>, ServiceError> {
        let is_delta = relative.ends_with(DELTA_SUFFIX);
        if !is_delta && self.options.compare == Compare::Content {
            // Few objects have the name of a reference, and a comparison of contents can afford a
            // request for each.
            return Ok(match self.decide(&stored).await? {
                Decided::File(found) => Some(own_file(relative, &found)),
                _ => None,
            });
        }
        if self.options.remove && self.is_there(&relative) {
            self.source
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .unresolved
                .insert(relative, stored);
        }
        Ok(None)
    }

    /// Returns the entry of an object as resolved by a HEAD request; `None` if it no longer exists.
    pub(super) async fn decided(&self, mut entry: Entry) -> Result<Option<Entry>, ServiceError> {
        let At::Object(object) = &mut entry.at else { return Ok(Some(entry)) };
        match self.decide(&object.stored).await? {
            Decided::Absent => Ok(None),
            Decided::Ours => {
                object.decided = true;
                Ok(Some(entry))
            }
            Decided::File(found) => {
                Ok(Some(own_file(format!("{}{DELTA_SUFFIX}", entry.relative), &found)))
            }
        }
    }

    /// Examines files of the destination that are missing from the source listing.
    pub(super) async fn absent_from_source(&self, files: Vec<Entry>) -> Extra {
        let look = async |entry: Entry| (entry.to_string(), self.is_absent(entry).await);
        let looks: Vec<_> = files.into_iter().map(look).collect();
        let mut looks = futures::stream::iter(looks).buffered(COMPARED_AT_ONCE);
        let mut extra = Extra::default();
        while let Some((name, looked)) = looks.next().await {
            match looked {
                Ok((absent, copy)) => {
                    extra.absent.extend(absent);
                    extra.copies.extend(copy);
                }
                Err(error) => extra.unseen.push(Step::Failed(name, error)),
            }
        }
        extra
    }

    /// Returns the entry if the source lacks it, and a step that copies it if the source has it
    /// after all.
    async fn is_absent(&self, entry: Entry) -> Result<(Option<Entry>, Option<Step>), ServiceError> {
        let in_source = {
            let source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
            source.unresolved.get(&entry.relative).cloned()
        };
        if let Some(stored) = in_source {
            match self.decide(&stored).await? {
                Decided::Ours => {}
                // It was deleted after it was listed; the next run handles it.
                Decided::Absent => return Ok((None, None)),
                Decided::File(_) => {
                    return Ok((
                        None,
                        Some(self.fetch(&stored, &entry.relative, AllowDelta(true))),
                    ));
                }
            }
        }
        if entry.is_resolved() {
            return Ok((Some(entry), None));
        }
        let Some(decided) = self.decided(entry).await? else { return Ok((None, None)) };
        let source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        let stays = source.deltas.contains(&decided.relative)
            || !self.options.filter.takes(&decided.relative);
        Ok(((!stays).then_some(decided), None))
    }
}

/// Returns the entry of a file that has the name of a delta or a reference.
fn own_file(relative: String, found: &StoredObject) -> Entry {
    let digest = match &found.kind {
        Kind::Direct(direct) => Some(direct.file_sha256),
        _ => None,
    };
    let (name, stored, tag) = (found.name.clone(), found.name.clone(), found.head.etag.clone());
    let at = At::Object(Box::new(Object { name, stored, tag, plain: true, digest, decided: true }));
    let (size, modified) = (found.head.size, found.head.last_modified);
    Entry { relative, size, modified, changed: modified, has_namesake: false, at }
}
