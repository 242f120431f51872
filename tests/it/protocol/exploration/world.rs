//! The store between two calls: the model store, with a clock for each name.
//!
//! With a clock of their own, calls on different names commute: they leave the same state in any
//! order. The two objects of one name share a clock, which every write advances, so that their ages
//! differ as in any store.
//!
//! Entity tags are made here: from the content alone, as in S3, or from the content and the write,
//! as in the embedded store.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use deltaglider::domain::ObjectName;
use deltaglider::storage::{
    Attributes, BucketAdmin as _, CopyOptions, ETag, ListPage, ListRequest, MemoryStore,
    ObjectBody, ObjectHead, ObjectStore as _, PutBody, PutCondition, StorageError,
    StorageErrorKind,
};
use futures::{FutureExt as _, TryStreamExt as _};

use super::{Kind, bucket, object};

pub(crate) const DAY: u64 = 86_400;

/// The time at which operations begin, in seconds: long after the initial state.
pub(crate) const BEGIN: u64 = 100 * DAY;

/// The length of a time step in seconds: the validity of a signed request, with a client clock that
/// may be wrong.
pub(crate) const STEP: u64 = 30 * 60;

/// One storage call with all of its arguments.
#[derive(Debug, Clone)]
pub(crate) enum Call {
    List(ListRequest),
    Head(ObjectName),
    Get(ObjectName, Option<Range<u64>>),
    /// A check before the write, on a store whose conditions are not atomic.
    IsThere(ObjectName),
    Put(ObjectName, Bytes, Arc<Attributes>, PutCondition),
    Copy(ObjectName, ObjectName, Option<Arc<Attributes>>, Option<ETag>),
    Tags(ObjectName),
    Delete(ObjectName, Option<ETag>),
    DeleteBucket,
    /// The deletion of a bucket that holds exactly these objects.
    DeleteBucketHolding(BTreeMap<String, String>),
}

/// The answer of the store.
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

/// Hashes all attributes but the writer's clock, which decides only where the store's does not.
fn print_of_attributes(attributes: &Attributes) -> u64 {
    let mut hasher = DefaultHasher::new();
    attributes
        .metadata
        .iter()
        .filter(|(name, _)| !name.ends_with("created-at"))
        .for_each(|of| of.hash(&mut hasher));
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
            Self::Put(object, bytes, attributes, condition) => print((
                5,
                object.key.as_str(),
                bytes,
                print_of_attributes(attributes),
                format!("{condition:?}"),
            )),
            Self::Copy(from, to, attributes, if_match) => {
                let attributes = attributes.as_deref().map(print_of_attributes);
                print((6, from.key.as_str(), to.key.as_str(), attributes, if_match))
            }
            Self::Tags(object) => print((7, object.key.as_str())),
            Self::Delete(object, if_match) => print((8, object.key.as_str(), if_match)),
            Self::DeleteBucket => 9,
            Self::DeleteBucketHolding(expected) => print((10, expected)),
        }
    }

    /// Returns whether the call leaves the store as it is.
    pub(crate) fn only_reads(&self) -> bool {
        !matches!(
            self,
            Self::Put(..)
                | Self::Copy(..)
                | Self::Delete(..)
                | Self::DeleteBucket
                | Self::DeleteBucketHolding(_)
        )
    }
}

impl Answer {
    pub(crate) fn print(&self) -> u64 {
        match self {
            Self::Page(Ok(page)) => {
                let objects =
                    page.objects.iter().map(|of| (of.key.as_str(), &of.etag.0, of.last_modified));
                print((1, objects.collect::<Vec<_>>(), &page.common_prefixes, &page.continuation))
            }
            Self::Head(Ok(head)) => print((2, print_of_head(head))),
            Self::Body(Ok((head, bytes))) => print((3, print_of_head(head), bytes)),
            Self::IsThere(is_there) => print((4, is_there)),
            Self::Stored(Ok(etag)) => print((5, &etag.0)),
            Self::Tags(Ok(tags)) => print((6, tags)),
            Self::Deleted(Ok(())) => 7,
            Self::Page(Err(kind))
            | Self::Head(Err(kind))
            | Self::Body(Err(kind))
            | Self::Stored(Err(kind)) => print((8, kind)),
            Self::Tags(Err(kind)) | Self::Deleted(Err(kind)) => print((9, kind)),
        }
    }
}

#[derive(Debug, Clone, Hash)]
struct Entry {
    /// A hash of content and attributes.
    print: u64,
    /// The time at which it was stored, by the clock of its name.
    at: u64,
    tag: Arc<str>,
}

#[derive(Clone)]
pub(crate) struct World {
    store: MemoryStore,
    kind: Kind,
    entries: BTreeMap<Arc<str>, Entry>,
    clocks: BTreeMap<Arc<str>, u64>,
    /// The number of time steps that have passed.
    steps: u64,
    bucket_is_gone: bool,
}

fn clock_of(key: &str) -> &str {
    key.strip_suffix(".delta").unwrap_or(key)
}

fn kind(error: StorageError) -> StorageErrorKind {
    error.kind
}

/// Returns the answer of the model store, which comes at once.
fn now<T>(call: impl Future<Output = Result<T, StorageError>>) -> Result<T, StorageErrorKind> {
    call.now_or_never().unwrap().map_err(kind)
}

impl World {
    /// Copies the content of a store into one that answers at once.
    pub(crate) async fn of(staged: &MemoryStore, kind: Kind) -> Self {
        let store = MemoryStore::new().with_content_tags();
        store.create_bucket(&bucket()).await.unwrap();
        let (entries, clocks) = (BTreeMap::new(), BTreeMap::new());
        let mut world = Self { store, kind, entries, clocks, steps: 0, bucket_is_gone: false };
        for listed in staged.list(&bucket(), &ListRequest::default()).await.unwrap().objects {
            let name = ObjectName::new(bucket(), listed.key.clone());
            let ObjectBody { head, stream } = staged.get(&name, None).await.unwrap();
            let bytes: Vec<Bytes> = stream.try_collect().await.unwrap();
            let body = PutBody::from_bytes(bytes.concat());
            world
                .store
                .put(&name, body, &head.attributes, &PutCondition::None.into())
                .await
                .unwrap();
            let at = head.last_modified.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
            let entry = world.entry(&head, at);
            world.entries.insert(Arc::from(listed.key.as_str()), entry);
        }
        world
    }

    pub(crate) fn print(&self) -> u64 {
        print((&self.entries, &self.clocks, self.steps, self.bucket_is_gone))
    }

    /// Returns the number of time steps that have passed.
    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    /// Lets one time step pass.
    pub(crate) fn pass(&mut self) {
        self.steps += 1;
    }

    /// Makes the older of the two objects of a name a day older.
    pub(crate) fn age_twin(&mut self, file: &ObjectName) {
        let keys = [file.key.to_string(), format!("{}.delta", file.key)];
        let older = keys.iter().min_by_key(|key| self.entries[key.as_str()].at).unwrap();
        self.entries.get_mut(older.as_str()).unwrap().at -= DAY;
    }

    fn entry(&self, head: &ObjectHead, at: u64) -> Entry {
        let tag = match self.kind {
            Kind::Atomic => format!("{}-{at}", head.etag),
            Kind::ContentTags | Kind::Unknown | Kind::Loose => head.etag.0.clone(),
        };
        Entry {
            print: print((&head.etag.0, print_of_attributes(&head.attributes))),
            at,
            tag: Arc::from(tag),
        }
    }

    fn dated(&self, object: &ObjectName, head: ObjectHead) -> ObjectHead {
        let entry = &self.entries[object.key.as_str()];
        ObjectHead { last_modified: time(entry.at), etag: ETag(entry.tag.to_string()), ..head }
    }

    fn stored(&mut self, object: &ObjectName) -> ETag {
        let key = object.key.as_str();
        let head = now(self.store.head(object)).unwrap();
        let begin = BEGIN + self.steps * STEP;
        let clock = self.clocks.entry(Arc::from(clock_of(key))).or_insert(begin);
        *clock = (*clock).max(begin) + 1;
        let at = *clock;
        let entry = self.entry(&head, at);
        let tag = ETag(entry.tag.to_string());
        self.entries.insert(Arc::from(key), entry);
        tag
    }

    fn check(&self, object: &ObjectName, condition: &PutCondition) -> Result<(), StorageErrorKind> {
        let entry = self.entries.get(object.key.as_str());
        match condition {
            _ if self.bucket_is_gone => Err(StorageErrorKind::NoSuchBucket),
            PutCondition::None => Ok(()),
            PutCondition::IfAbsent if entry.is_none() => Ok(()),
            PutCondition::IfAbsent => Err(StorageErrorKind::AlreadyExists),
            PutCondition::IfMatch(tag) if entry.is_some_and(|entry| *entry.tag == *tag.0) => Ok(()),
            PutCondition::IfMatch(_) => Err(StorageErrorKind::Precondition),
        }
    }

    fn check_match(
        &self,
        object: &ObjectName,
        if_match: Option<&ETag>,
    ) -> Result<(), StorageErrorKind> {
        self.check(object, &if_match.cloned().map_or(PutCondition::None, PutCondition::IfMatch))
    }

    /// Answers a call that only reads.
    pub(crate) fn ask(&self, call: &Call) -> Answer {
        match call {
            Call::List(request) => {
                Answer::Page(now(self.store.list(&bucket(), request)).map(|mut page| {
                    for listed in &mut page.objects {
                        let entry = &self.entries[listed.key.as_str()];
                        (listed.last_modified, listed.etag) =
                            (time(entry.at), ETag(entry.tag.to_string()));
                    }
                    page
                }))
            }
            Call::Head(object) => {
                Answer::Head(now(self.store.head(object)).map(|head| self.dated(object, head)))
            }
            Call::Get(object, range) => {
                let body = now(self.store.get(object, range.clone()));
                Answer::Body(body.map(|ObjectBody { head, stream }| {
                    let pieces: Vec<Bytes> = stream.try_collect().now_or_never().unwrap().unwrap();
                    (self.dated(object, head), pieces.concat().into())
                }))
            }
            Call::IsThere(object) => Answer::IsThere(now(self.store.head(object)).is_ok()),
            Call::Tags(object) => Answer::Tags(now(self.store.tags(object))),
            _ => unreachable!("{call:?} writes"),
        }
    }

    /// Answers any call and applies its effect.
    pub(crate) fn make(&mut self, call: &Call) -> Answer {
        match call {
            Call::Put(object, bytes, attributes, condition) => {
                let put = self.check(object, condition).and_then(|()| {
                    let body = PutBody::from_bytes(bytes.clone());
                    now(self.store.put(object, body, attributes, &PutCondition::None.into()))
                });
                Answer::Stored(put.map(|_| self.stored(object)))
            }
            Call::Copy(from, to, attributes, if_match) => {
                let source = now(self.store.head(from)).map(drop);
                let copied = source.and_then(|()| self.check_match(from, if_match.as_ref()));
                let attributes = attributes.as_deref().cloned();
                let options = CopyOptions { attributes, ..CopyOptions::default() };
                let copied = copied.and_then(|()| now(self.store.copy(from, to, &options)));
                Answer::Stored(copied.map(|_| self.stored(to)))
            }
            Call::Delete(object, if_match) => {
                let checked = self.check_match(object, if_match.as_ref());
                let deleted = checked.and_then(|()| now(self.store.delete(object, None)));
                if deleted.is_ok() {
                    self.entries.remove(object.key.as_str());
                }
                Answer::Deleted(deleted)
            }
            Call::DeleteBucket => {
                let deleted = now(self.store.delete_bucket(&bucket()));
                self.bucket_is_gone |= deleted.is_ok();
                Answer::Deleted(deleted)
            }
            Call::DeleteBucketHolding(expected) => {
                let there = self
                    .entries
                    .iter()
                    .map(|(key, entry)| (key.to_string(), entry.tag.to_string()));
                Answer::Deleted(
                    if there.collect::<BTreeMap<_, _>>() == *expected && !self.bucket_is_gone {
                        for key in std::mem::take(&mut self.entries).keys() {
                            now(self.store.delete(&object(key), None)).unwrap();
                        }
                        self.bucket_is_gone = true;
                        now(self.store.delete_bucket(&bucket()))
                    } else {
                        Err(StorageErrorKind::NotEmpty)
                    },
                )
            }
            call => self.ask(call),
        }
    }
}

fn time(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}
