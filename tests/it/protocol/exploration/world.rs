//! The store between two calls: the model store, with a clock for each name.
//!
//! A clock of its own for each name makes calls on different names commute: whatever their order, they leave the same. The two
//! objects of one name share a clock, which every write moves on, so that their ages are told apart as in any store.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use deltaglider::domain::ObjectName;
use deltaglider::storage::{
    Attributes, ETag, ListPage, ListRequest, MemoryStore, ObjectBody, ObjectHead, ObjectStore as _, PutBody,
    PutCondition, StorageError, StorageErrorKind,
};
use futures::{FutureExt as _, TryStreamExt as _};

use super::bucket;

/// When operations begin, in seconds: long after what was there before.
pub(crate) const BEGIN: u64 = 100 * 86_400;

/// One storage call, with all that it says.
#[derive(Debug, Clone)]
pub(crate) enum Call {
    List(ListRequest),
    Head(ObjectName),
    Get(ObjectName, Option<Range<u64>>),
    /// Of a store whose conditions are not atomic: it looks first.
    IsThere(ObjectName),
    Put(ObjectName, Bytes, Arc<Attributes>, PutCondition),
    Copy(ObjectName, ObjectName, Option<Arc<Attributes>>, Option<ETag>),
    Tags(ObjectName),
    Delete(ObjectName, Option<ETag>),
}

/// What the store answers.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Page(Result<ListPage, StorageErrorKind>),
    Head(Result<ObjectHead, StorageErrorKind>),
    Body(Result<(ObjectHead, Bytes), StorageErrorKind>),
    IsThere(bool),
    Stored(Result<ETag, StorageErrorKind>),
    Tags(Result<BTreeMap<String, String>, StorageErrorKind>),
    Deleted(Result<(), StorageErrorKind>),
}

fn print(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Of all but the writer's clock, which only decides where the store's does not.
fn print_of_attributes(attributes: &Attributes) -> u64 {
    let mut hasher = DefaultHasher::new();
    attributes.metadata.iter().filter(|(name, _)| !name.ends_with("created-at")).for_each(|of| of.hash(&mut hasher));
    let Attributes { content_type, encryption, storage_class, tags, .. } = attributes;
    (content_type, format!("{encryption:?}{storage_class:?}"), tags).hash(&mut hasher);
    hasher.finish()
}

fn print_of_head(head: &ObjectHead) -> u64 {
    print((&head.etag.0, head.last_modified, print_of_attributes(&head.attributes)))
}

impl Call {
    pub(crate) fn print(&self) -> u64 {
        match self {
            Self::List(request) => print((1, format!("{request:?}"))),
            Self::Head(object) => print((2, object.key.as_str())),
            Self::Get(object, range) => print((3, object.key.as_str(), range)),
            Self::IsThere(object) => print((4, object.key.as_str())),
            Self::Put(object, bytes, attributes, condition) => {
                print((5, object.key.as_str(), bytes, print_of_attributes(attributes), format!("{condition:?}")))
            }
            Self::Copy(from, to, attributes, if_match) => {
                let attributes = attributes.as_deref().map(print_of_attributes);
                print((6, from.key.as_str(), to.key.as_str(), attributes, if_match))
            }
            Self::Tags(object) => print((7, object.key.as_str())),
            Self::Delete(object, if_match) => print((8, object.key.as_str(), if_match)),
        }
    }

    /// Whether it leaves the store as it is.
    pub(crate) fn only_reads(&self) -> bool {
        !matches!(self, Self::Put(..) | Self::Copy(..) | Self::Delete(..))
    }
}

impl Answer {
    pub(crate) fn print(&self) -> u64 {
        match self {
            Self::Page(Ok(page)) => {
                let objects = page.objects.iter().map(|of| (of.key.as_str(), &of.etag.0, of.last_modified));
                print((1, objects.collect::<Vec<_>>(), &page.common_prefixes, &page.continuation))
            }
            Self::Head(Ok(head)) => print((2, print_of_head(head))),
            Self::Body(Ok((head, bytes))) => print((3, print_of_head(head), bytes)),
            Self::IsThere(is_there) => print((4, is_there)),
            Self::Stored(Ok(etag)) => print((5, &etag.0)),
            Self::Tags(Ok(tags)) => print((6, tags)),
            Self::Deleted(Ok(())) => 7,
            Self::Page(Err(kind)) | Self::Head(Err(kind)) | Self::Body(Err(kind)) | Self::Stored(Err(kind)) => {
                print((8, kind))
            }
            Self::Tags(Err(kind)) | Self::Deleted(Err(kind)) => print((9, kind)),
        }
    }
}

#[derive(Debug, Clone, Copy, Hash)]
struct Entry {
    /// Of content and attributes.
    print: u64,
    /// When it was stored, by the clock of its name.
    at: u64,
}

#[derive(Clone)]
pub(crate) struct World {
    store: MemoryStore,
    entries: BTreeMap<Arc<str>, Entry>,
    clocks: BTreeMap<Arc<str>, u64>,
}

fn clock_of(key: &str) -> &str {
    key.strip_suffix(".delta").unwrap_or(key)
}

fn kind(error: StorageError) -> StorageErrorKind {
    error.kind
}

/// The model store answers at once.
fn now<T>(call: impl Future<Output = Result<T, StorageError>>) -> Result<T, StorageErrorKind> {
    call.now_or_never().unwrap().map_err(kind)
}

impl World {
    /// What stands in a store.
    pub(crate) fn of(store: MemoryStore) -> Self {
        let page = now(store.list(&bucket(), &ListRequest::default())).unwrap();
        let mut entries = BTreeMap::new();
        for listed in page.objects {
            let head = now(store.head(&ObjectName::new(bucket(), listed.key.clone()))).unwrap();
            let at = head.last_modified.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
            let print = print((&head.etag.0, print_of_attributes(&head.attributes)));
            entries.insert(Arc::from(listed.key.as_str()), Entry { print, at });
        }
        Self { store, entries, clocks: BTreeMap::new() }
    }

    pub(crate) fn print(&self) -> u64 {
        print((&self.entries, &self.clocks))
    }

    fn at(&self, key: &str) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.entries[key].at)
    }

    fn dated(&self, object: &ObjectName, head: ObjectHead) -> ObjectHead {
        ObjectHead { last_modified: self.at(object.key.as_str()), ..head }
    }

    fn stored(&mut self, object: &ObjectName) {
        let key = object.key.as_str();
        let head = now(self.store.head(object)).unwrap();
        let clock = self.clocks.entry(Arc::from(clock_of(key))).or_insert(BEGIN);
        *clock += 1;
        let entry = Entry { print: print((&head.etag.0, print_of_attributes(&head.attributes))), at: *clock };
        self.entries.insert(Arc::from(key), entry);
    }

    /// The answer to a call that only reads.
    pub(crate) fn ask(&self, call: &Call) -> Answer {
        match call {
            Call::List(request) => Answer::Page(now(self.store.list(&bucket(), request)).map(|mut page| {
                page.objects.iter_mut().for_each(|of| of.last_modified = self.at(of.key.as_str()));
                page
            })),
            Call::Head(object) => Answer::Head(now(self.store.head(object)).map(|head| self.dated(object, head))),
            Call::Get(object, range) => {
                let body = now(self.store.get(object, range.clone()));
                Answer::Body(body.map(|ObjectBody { head, stream }| {
                    let pieces: Vec<Bytes> = stream.try_collect().now_or_never().unwrap().unwrap();
                    (self.dated(object, head), pieces.concat().into())
                }))
            }
            Call::IsThere(object) => Answer::IsThere(now(self.store.head(object)).is_ok()),
            Call::Tags(object) => Answer::Tags(now(self.store.tags(object))),
            Call::Put(..) | Call::Copy(..) | Call::Delete(..) => unreachable!("{call:?} writes"),
        }
    }

    /// The answer to any call, which takes effect.
    pub(crate) fn make(&mut self, call: &Call) -> Answer {
        match call {
            Call::Put(object, bytes, attributes, condition) => {
                let options = condition.clone().into();
                let put = now(self.store.put(object, PutBody::from_bytes(bytes.clone()), attributes, &options));
                if put.is_ok() {
                    self.stored(object);
                }
                Answer::Stored(put)
            }
            Call::Copy(from, to, attributes, if_match) => {
                let copied = match attributes {
                    Some(attributes) => now(self.store.copy_as(from, to, attributes, if_match.as_ref())),
                    None => now(self.store.copy(from, to, if_match.as_ref())),
                };
                if copied.is_ok() {
                    self.stored(to);
                }
                Answer::Stored(copied)
            }
            Call::Delete(object, if_match) => {
                let deleted = now(self.store.delete(object, if_match.as_ref()));
                if deleted.is_ok() {
                    self.entries.remove(object.key.as_str());
                }
                Answer::Deleted(deleted)
            }
            call => self.ask(call),
        }
    }
}
