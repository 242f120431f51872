//! What an object is whose key leaves it open: a delta, a reference, or a file of its own called as
//! one.
//!
//! Keys and indexes may mislead, and another writer may have written the index. So nothing is
//! removed because of them: a HEAD decides, of the keys that a removal depends on.

use std::sync::PoisonError;

use futures::stream::StreamExt as _;

use super::entry::{At, Entry, Object};
use super::{COMPARED_AT_ONCE, Compare, Comparison, MayBeDelta, Step};
use crate::domain::ObjectName;
use crate::domain::metadata::{DELTA_SUFFIX, Kind};
use crate::service::error::ServiceError;
use crate::service::objects::StoredObject;

impl Entry {
    pub(super) fn is_decided(&self) -> bool {
        match &self.at {
            At::File(_) => true,
            At::Object(object) => object.decided,
        }
    }
}

/// What a HEAD says of an object.
enum Decided {
    /// It is gone.
    Absent,
    /// It is a delta or a reference.
    Ours,
    /// It is a file of the name it is stored under.
    File(Box<StoredObject>),
}

/// Files of the destination that the source does not show.
#[derive(Default)]
pub(super) struct Extra {
    /// Files that the source does not have.
    pub(super) absent: Vec<Entry>,
    /// Copies of files that the source has after all, listed as something else.
    pub(super) copies: Vec<Step>,
    /// Failures of files that cannot be looked at: they stay.
    pub(super) unseen: Vec<Step>,
}

impl Comparison {
    async fn decide(&self, stored: &ObjectName) -> Result<Decided, ServiceError> {
        Ok(match StoredObject::look(self.service.store(), stored.clone()).await? {
            None => Decided::Absent,
            Some(found) => match found.kind {
                Kind::Delta(_) | Kind::Reference(_) | Kind::Damaged(_) => Decided::Ours,
                Kind::Direct(_) | Kind::Passthrough => Decided::File(Box::new(found)),
            },
        })
    }

    /// Takes notice of a file of the source.
    pub(super) fn see(&self, entry: &Entry) {
        if self.options.remove && entry.relative.ends_with(DELTA_SUFFIX) {
            let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
            source.deltas.insert(entry.relative.clone());
        }
    }

    /// Takes notice of what may be a file of the source; the file, where it is one that would not
    /// be copied otherwise.
    pub(super) async fn undecided(
        &self,
        relative: String,
        stored: ObjectName,
    ) -> Result<Option<Entry>, ServiceError> {
        let is_delta = relative.ends_with(DELTA_SUFFIX);
        if !is_delta && self.options.compare == Compare::Content {
            // Few objects are called as a reference, and who compares contents does not mind a
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
                .undecided
                .insert(relative, stored);
        }
        Ok(None)
    }

    /// The entry of an object by a HEAD; `None` if it is gone.
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

    /// Looks at files of the destination that the source does not show.
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

    async fn is_absent(&self, entry: Entry) -> Result<(Option<Entry>, Option<Step>), ServiceError> {
        let in_source = {
            let source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
            source.undecided.get(&entry.relative).cloned()
        };
        if let Some(stored) = in_source {
            match self.decide(&stored).await? {
                Decided::Ours => {}
                // The next run sees what has become of it.
                Decided::Absent => return Ok((None, None)),
                Decided::File(_) => {
                    return Ok((None, Some(self.fetch(&stored, &entry.relative, MayBeDelta(true)))));
                }
            }
        }
        if entry.is_decided() {
            return Ok((Some(entry), None));
        }
        let Some(decided) = self.decided(entry).await? else { return Ok((None, None)) };
        let source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        let stays = source.deltas.contains(&decided.relative)
            || !self.options.filter.takes(&decided.relative);
        Ok(((!stays).then_some(decided), None))
    }
}

/// A file that is called as a delta or a reference is.
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
