//! Lookup of a name: which stored objects may be its file, and which one is served.

use std::cmp::Ordering;
use std::time::SystemTime;

use futures::StreamExt as _;

use crate::domain::metadata::{DELTA_SUFFIX, Field, Kind};
use crate::domain::{NameError, ObjectName, Timestamp, deltaspace, escaped, user_metadata};
use crate::service::error::ServiceError;
use crate::storage::{
    Attributes, ETag, ListRequest, ObjectBody, ObjectHead, ObjectStore, PutCondition, PutOptions,
    StorageError, StorageErrorKind,
};

/// The first bytes of every VCDIFF delta (RFC 3284, section 4.1), whatever its version.
const VCDIFF_MAGIC: [u8; 3] = [0xd6, 0xc3, 0xc4];

/// The number of lookups before a name counts as absent: an overwrite by another kind of object can
/// hide it from one lookup.
const LOOKS: usize = 2;

/// The maximum number of keys listed that start with the file's key.
const BEHIND_KEY: u16 = 16;

/// A stored object.
#[derive(Debug, Clone)]
pub(crate) struct StoredObject {
    pub(crate) name: ObjectName,
    pub(crate) head: ObjectHead,
    pub(crate) kind: Kind,
    /// The store cannot read the object, so only the tag of the head is known.
    pub(crate) is_unreadable: bool,
}

impl StoredObject {
    pub(crate) fn new(name: ObjectName, head: ObjectHead) -> Self {
        let kind = Kind::of(&name.key, &head.attributes.metadata);
        Self { name, head, kind, is_unreadable: false }
    }

    /// Looks up an object; returns `None` only if the store answers that it does not exist.
    pub(crate) async fn look(
        store: &dyn ObjectStore,
        name: ObjectName,
    ) -> Result<Option<Self>, StorageError> {
        match store.head(&name).await {
            Ok(head) => Ok(Some(Self::new(name, head))),
            Err(error) if error.kind == StorageErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Looks up an object that is about to be replaced or deleted, which its tag alone allows if
    /// the object is unreadable.
    pub(crate) async fn look_to_replace(
        store: &dyn ObjectStore,
        name: ObjectName,
    ) -> Result<Option<Self>, StorageError> {
        let error = match Self::look(store, name.clone()).await {
            Err(error) if error.kind == StorageErrorKind::Damaged => error,
            looked => return looked,
        };
        let request = ListRequest {
            prefix: name.key.to_string(),
            max_keys: Some(1),
            ..ListRequest::default()
        };
        let page = store.list(&name.bucket, &request).await?;
        match page.damaged.into_iter().find(|damaged| damaged.key == name.key) {
            Some(damaged) => Ok(Some(Self::unreadable(name, damaged.etag))),
            // It was replaced since the first request.
            None if page.objects.iter().any(|listed| listed.key == name.key) => {
                Self::look(store, name).await
            }
            None => Err(error),
        }
    }

    /// Creates an object of which only the tag is known. Any other object of its name counts as
    /// newer.
    fn unreadable(name: ObjectName, etag: ETag) -> Self {
        let (last_modified, attributes) = (SystemTime::UNIX_EPOCH, Attributes::default());
        let head = ObjectHead {
            size: 0,
            etag,
            sha256: None,
            stated: Vec::new(),
            last_modified,
            attributes,
        };
        Self { name, head, kind: Kind::Damaged(Field::FileSha256), is_unreadable: true }
    }

    /// Returns whether this is the delta of another name's file, intact or damaged.
    pub(crate) fn is_delta(&self) -> bool {
        match self.kind {
            Kind::Delta(_) => true,
            Kind::Damaged(_) => self.name.key.as_str().ends_with(DELTA_SUFFIX),
            _ => false,
        }
    }

    /// Returns the attributes of the file, with the user's metadata unescaped.
    pub(crate) fn user_attributes(&self) -> Attributes {
        let attributes = self.head.attributes.clone();
        match self.kind {
            // Other tools do not escape names.
            Kind::Passthrough => attributes,
            _ => {
                Attributes { metadata: user_metadata::unescape(&attributes.metadata), ..attributes }
            }
        }
    }

    /// Returns the creation time that the writer recorded, which is finer than the store's time.
    pub(crate) fn created_at(&self) -> Option<Timestamp> {
        match &self.kind {
            Kind::Delta(delta) => delta.created_at,
            Kind::Direct(direct) => direct.created_at,
            Kind::Reference(_) | Kind::Passthrough | Kind::Damaged(_) => None,
        }
    }

    /// Compares two objects of one name; the greater one is the file. Compares the store's times,
    /// then the writers' times; on a tie a delta is greater.
    pub(crate) fn newer_of_name(&self, other: &Self) -> Ordering {
        let by_store = self.head.last_modified.cmp(&other.head.last_modified);
        by_store
            .then(self.created_at().cmp(&other.created_at()))
            .then(self.is_delta().cmp(&other.is_delta()))
    }

    /// Returns whether this is a delta without metadata, by its key and its first bytes.
    pub(crate) async fn is_delta_without_metadata(
        &self,
        store: &dyn ObjectStore,
    ) -> Result<bool, ServiceError> {
        let len = VCDIFF_MAGIC.len() as u64;
        let has_delta_name =
            self.kind == Kind::Passthrough && self.name.key.as_str().ends_with(DELTA_SUFFIX);
        if !has_delta_name || self.head.size < len {
            return Ok(false);
        }
        let mut stream = store.get(&self.name, Some(0..len)).await?.stream;
        let mut beginning = Vec::new();
        while let Some(piece) = stream.next().await {
            beginning.extend_from_slice(&piece.map_err(ServiceError::local(&self.name))?);
        }
        Ok(beginning == VCDIFF_MAGIC)
    }
}

/// Returns the object that a file of this name has if it is stored whole: at the name itself, or at
/// its escaped key.
///
/// # Errors
///
/// [`ServiceError::EscapedTooLong`] if the name needs an escaped key that is too long.
pub(crate) fn whole(object: &ObjectName) -> Result<ObjectName, ServiceError> {
    match escaped::key_of(&object.key) {
        Ok(Some(key)) => Ok(object.sibling(key)),
        Ok(None) => Ok(object.clone()),
        Err(NameError::KeyTooLong(len)) => {
            Err(ServiceError::EscapedTooLong { object: object.clone(), len })
        }
        Err(source) => Err(ServiceError::Name { object: object.to_string(), source }),
    }
}

/// The objects at the two keys of a name, or at the escaped key that a reserved name has instead.
#[derive(Debug, Clone)]
pub(crate) struct Variants {
    /// The object at the name itself, or at its escaped key.
    pub(crate) plain: Option<StoredObject>,
    /// The object at the name with `.delta`; not necessarily a delta of DeltaGlider.
    pub(crate) delta: Option<StoredObject>,
    /// The store was asked; if false, nothing is known.
    pub(crate) seen: bool,
}

impl Variants {
    pub(crate) async fn look(
        store: &dyn ObjectStore,
        object: &ObjectName,
    ) -> Result<Self, ServiceError> {
        if let Some(escaped) = Self::escaped(object, |name| StoredObject::look(store, name)).await?
        {
            return Ok(escaped);
        }
        let plain = StoredObject::look(store, object.clone());
        // A name too long for the suffix has no delta.
        let delta = async {
            match deltaspace::delta_of(object) {
                Ok(name) => StoredObject::look(store, name).await,
                Err(_) => Ok(None),
            }
        };
        let (plain, delta) = futures::join!(plain, delta);
        Ok(Self { plain: plain?, delta: delta?, seen: true })
    }

    /// Looks up the escaped key of a name that needs one. Returns `None` if the file can only be at
    /// the name itself, where another tool may have left it.
    async fn escaped<L: Future<Output = Result<Option<StoredObject>, StorageError>>>(
        object: &ObjectName,
        look: impl FnOnce(ObjectName) -> L,
    ) -> Result<Option<Self>, ServiceError> {
        let plain = match escaped::key_of(&object.key) {
            Ok(None) => return Ok(None),
            Ok(Some(key)) => look(object.sibling(key)).await?,
            // No object can be stored there.
            Err(_) => None,
        };
        // An escaped key is not itself the name of a file.
        let is_no_name = escaped::file_at(&object.key).is_some();
        Ok((plain.is_some() || is_no_name).then_some(Self { plain, delta: None, seen: true }))
    }

    /// Looks up a name that is about to be written: one listing shows that nothing is stored, as
    /// for most names. If the listing does not settle it, looks up both keys.
    pub(crate) async fn look_to_write(
        store: &dyn ObjectStore,
        object: &ObjectName,
    ) -> Result<Self, ServiceError> {
        let stored = whole(object)?;
        if stored != *object {
            return Ok(Self {
                plain: StoredObject::look_to_replace(store, stored).await?,
                delta: None,
                seen: true,
            });
        }
        // All keys that start with the name follow it; mostly that is the delta alone.
        let prefix = object.key.to_string();
        let request = ListRequest { prefix, max_keys: Some(BEHIND_KEY), ..ListRequest::default() };
        match store.list(&object.bucket, &request).await {
            Ok(page) if page.continuation.is_none() => {
                let delta = deltaspace::delta_of(object).ok();
                let look = async |name: Option<ObjectName>| match name {
                    Some(name) if page.objects.iter().any(|listed| listed.key == name.key) => {
                        StoredObject::look_to_replace(store, name).await
                    }
                    Some(name) if page.damaged.iter().any(|damaged| damaged.key == name.key) => {
                        StoredObject::look_to_replace(store, name).await
                    }
                    _ => Ok(None),
                };
                let (plain, delta) = futures::join!(look(Some(object.clone())), look(delta));
                Ok(Self { plain: plain?, delta: delta?, seen: true })
            }
            Err(error) if error.kind == StorageErrorKind::Credentials => Err(error.into()),
            _ => Self::look_to_delete(store, object).await,
        }
    }

    /// Looks up both keys for a caller that will replace or delete the objects, readable or not.
    pub(crate) async fn look_to_delete(
        store: &dyn ObjectStore,
        object: &ObjectName,
    ) -> Result<Self, ServiceError> {
        if let Some(escaped) =
            Self::escaped(object, |name| StoredObject::look_to_replace(store, name)).await?
        {
            return Ok(escaped);
        }
        let plain = StoredObject::look_to_replace(store, object.clone());
        let delta = async {
            match deltaspace::delta_of(object) {
                Ok(name) => StoredObject::look_to_replace(store, name).await,
                Err(_) => Ok(None),
            }
        };
        let (plain, delta) = futures::join!(plain, delta);
        let places = Self { plain: plain?, delta: delta?, seen: true };
        if places.is_some() {
            return Ok(places);
        }
        Self::look_for_file(store, object).await
    }

    /// Looks up both keys for a reader. The object at the delta's key is requested with its bytes,
    /// so a delta, as most files are, needs no second request.
    pub(crate) async fn open_for_file(
        store: &dyn ObjectStore,
        object: &ObjectName,
    ) -> Result<(Self, Option<ObjectBody>), ServiceError> {
        let mut opened = Self::open(store, object).await?;
        for _ in 1..LOOKS {
            if opened.0.is_some() {
                break;
            }
            opened = Self::open(store, object).await?;
        }
        Ok(opened)
    }

    /// Returns whether an object is stored at either key.
    fn is_some(&self) -> bool {
        self.plain.is_some() || self.delta.is_some()
    }

    async fn open(
        store: &dyn ObjectStore,
        object: &ObjectName,
    ) -> Result<(Self, Option<ObjectBody>), ServiceError> {
        if let Some(escaped) = Self::escaped(object, |name| StoredObject::look(store, name)).await?
        {
            return Ok((escaped, None));
        }
        let plain = StoredObject::look(store, object.clone());
        let delta = async {
            let Ok(name) = deltaspace::delta_of(object) else { return Ok((None, None)) };
            match store.get(&name, None).await {
                Ok(body) => Ok((Some(StoredObject::new(name, body.head.clone())), Some(body))),
                Err(error) if error.kind == StorageErrorKind::NotFound => Ok((None, None)),
                // An unreadable object, such as an archived one, matters only if it is the one
                // served.
                Err(_) => StoredObject::look(store, name).await.map(|found| (found, None)),
            }
        };
        let (plain, delta) = futures::join!(plain, delta);
        let plain = plain?;
        let (delta, body) = delta?;
        Ok((Self { plain, delta, seen: true }, body))
    }

    /// Looks up both keys for a caller that must not take a file for absent while another kind
    /// overwrites it: the new object may appear at one key after the request for it, and the old
    /// one disappear before the request for the other key.
    pub(crate) async fn look_for_file(
        store: &dyn ObjectStore,
        object: &ObjectName,
    ) -> Result<Self, ServiceError> {
        let mut places = Self::look(store, object).await?;
        for _ in 1..LOOKS {
            if places.is_some() {
                break;
            }
            places = Self::look(store, object).await?;
        }
        Ok(places)
    }

    /// Returns the object at the name itself, if it is a file and not a delta or reference.
    pub(crate) fn file(&self) -> Option<&StoredObject> {
        self.plain
            .as_ref()
            .filter(|found| !found.is_delta() && !matches!(found.kind, Kind::Reference(_)))
    }

    /// Returns the state of a name that was not looked up.
    pub(crate) fn unseen() -> Self {
        Self { plain: None, delta: None, seen: false }
    }

    /// Returns options that store an object at the key of `found` without replacing anything stored
    /// since the lookup.
    pub(crate) fn put_options(&self, found: Option<&StoredObject>) -> PutOptions {
        let condition = match found {
            _ if !self.seen => PutCondition::None,
            Some(found) => PutCondition::IfMatch(found.head.etag.clone()),
            None => PutCondition::IfAbsent,
        };
        PutOptions { condition, newer_than: self.newest() }
    }

    /// Returns the store's time of the newer of the two objects; `None` if there is none.
    pub(crate) fn newest(&self) -> Option<SystemTime> {
        self.plain.iter().chain(&self.delta).map(|found| found.head.last_modified).max()
    }

    /// Returns the delta of this name.
    fn own_delta(&self) -> Option<&StoredObject> {
        self.delta.as_ref().filter(|found| found.is_delta())
    }

    /// Returns the objects that are the file of this name, the served one first.
    ///
    /// # Errors
    ///
    /// There is no file of this name; the error states what is there instead.
    pub(crate) async fn newest_first(
        &self,
        store: &dyn ObjectStore,
        object: &ObjectName,
    ) -> Result<Vec<&StoredObject>, ServiceError> {
        let mut variants: Vec<&StoredObject> =
            self.file().into_iter().chain(self.own_delta()).collect();
        variants.sort_by(|a, b| b.newer_of_name(a));
        if let Some(&found) = variants.first() {
            if found.is_delta_without_metadata(store).await? {
                return Err(ServiceError::LostMetadata(found.name.clone()));
            }
            return Ok(variants);
        }
        Err(self.no_file(store, object).await?)
    }

    /// Returns the error for a name without a file.
    async fn no_file(
        &self,
        store: &dyn ObjectStore,
        object: &ObjectName,
    ) -> Result<ServiceError, ServiceError> {
        if let Some(found) = &self.plain {
            return Ok(match (&found.kind, deltaspace::file_of(&object.key)) {
                (Kind::Damaged(field), Some(_)) => {
                    ServiceError::Metadata { object: object.clone(), field: *field }
                }
                (Kind::Delta(_), Some(file)) => {
                    ServiceError::IsDelta { object: object.clone(), file: object.sibling(file) }
                }
                _ => ServiceError::IsReference(object.clone()),
            });
        }
        if let Some(found) = &self.delta
            && found.is_delta_without_metadata(store).await?
        {
            return Ok(ServiceError::LostMetadata(found.name.clone()));
        }
        Ok(ServiceError::absent(object))
    }
}
