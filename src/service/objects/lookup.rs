//! Which stored objects a file of a given name may come from, and which of them it comes from.

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

/// How every VCDIFF delta begins (RFC 3284, section 4.1), whatever its version.
const VCDIFF_MAGIC: [u8; 3] = [0xd6, 0xc3, 0xc4];

/// Times that a name is looked for before it is absent: an overwrite by another kind can hide it
/// from one look.
const LOOKS: usize = 2;

/// Keys that a listing of those behind a file's shows.
const BEHIND_KEY: u16 = 16;

/// A stored object.
#[derive(Debug, Clone)]
pub(crate) struct StoredObject {
    pub(crate) name: ObjectName,
    pub(crate) head: ObjectHead,
    pub(crate) kind: Kind,
    /// The store cannot read it: of the head only the tag is known.
    pub(crate) is_unreadable: bool,
}

impl StoredObject {
    pub(crate) fn new(name: ObjectName, head: ObjectHead) -> Self {
        let kind = Kind::of(&name.key, &head.attributes.metadata);
        Self { name, head, kind, is_unreadable: false }
    }

    /// Asks the store; `None` only if it said that there is no such object.
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

    /// Asks the store for who is about to replace or delete the object, and can do so by its tag
    /// even if nothing can be read of it.
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
            // Replaced since.
            None if page.objects.iter().any(|listed| listed.key == name.key) => {
                Self::look(store, name).await
            }
            None => Err(error),
        }
    }

    /// An object of which only the tag is known. Any other of its name counts as newer.
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

    /// Whether this is how a file of another name is stored: a delta, sound or damaged.
    pub(crate) fn is_delta(&self) -> bool {
        match self.kind {
            Kind::Delta(_) => true,
            Kind::Damaged(_) => self.name.key.as_str().ends_with(DELTA_SUFFIX),
            _ => false,
        }
    }

    /// What a user keeps beside it, under the user's own names.
    pub(crate) fn user_attributes(&self) -> Attributes {
        let attributes = self.head.attributes.clone();
        match self.kind {
            // Somebody else's names are theirs.
            Kind::Passthrough => attributes,
            _ => {
                Attributes { metadata: user_metadata::unescape(&attributes.metadata), ..attributes }
            }
        }
    }

    /// When its writer says it was made; finer than what the store keeps.
    pub(crate) fn created_at(&self) -> Option<Timestamp> {
        match &self.kind {
            Kind::Delta(delta) => delta.created_at,
            Kind::Direct(direct) => direct.created_at,
            Kind::Reference(_) | Kind::Passthrough | Kind::Damaged(_) => None,
        }
    }

    /// Which of two objects of one name is the file: the later one by the store, on a tie by its
    /// writer, on a tie a delta.
    pub(crate) fn newer_of_name(&self, other: &Self) -> Ordering {
        let by_store = self.head.last_modified.cmp(&other.head.last_modified);
        by_store
            .then(self.created_at().cmp(&other.created_at()))
            .then(self.is_delta().cmp(&other.is_delta()))
    }

    /// Whether this is a delta whose metadata is gone: its key says so, and its first bytes do.
    pub(crate) async fn is_delta_without_metadata(
        &self,
        store: &dyn ObjectStore,
    ) -> Result<bool, ServiceError> {
        let len = VCDIFF_MAGIC.len() as u64;
        let told_by_name =
            self.kind == Kind::Passthrough && self.name.key.as_str().ends_with(DELTA_SUFFIX);
        if !told_by_name || self.head.size < len {
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

/// Returns the object that a file of this name is stored as, where it is stored whole.
///
/// # Errors
///
/// [`ServiceError::EscapedTooLong`] if the name needs an escaped key, and that would be too long.
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

/// What stands at the two keys a file of one name can be stored at, or at the escaped key that a
/// name of ours has instead.
#[derive(Debug, Clone)]
pub(crate) struct Variants {
    /// At the name itself, or at its escaped key.
    pub(crate) plain: Option<StoredObject>,
    /// At the name with `.delta`; not necessarily a delta of ours.
    pub(crate) delta: Option<StoredObject>,
    /// Whether the store was asked: else nothing is known.
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
        // A name without room for the suffix has no delta.
        let delta = async {
            match deltaspace::delta_of(object) {
                Ok(name) => StoredObject::look(store, name).await,
                Err(_) => Ok(None),
            }
        };
        let (plain, delta) = futures::join!(plain, delta);
        Ok(Self { plain: plain?, delta: delta?, seen: true })
    }

    /// Looks at the escaped key of a name that needs one. `None` where the file is, if anywhere, at
    /// the name itself: another tool may have left it there.
    async fn escaped<L: Future<Output = Result<Option<StoredObject>, StorageError>>>(
        object: &ObjectName,
        look: impl FnOnce(ObjectName) -> L,
    ) -> Result<Option<Self>, ServiceError> {
        let plain = match escaped::key_of(&object.key) {
            Ok(None) => return Ok(None),
            Ok(Some(key)) => look(object.sibling(key)).await?,
            // Nothing can be stored there.
            Err(_) => None,
        };
        // The escaped key of a file is no further name of it.
        let is_no_name = escaped::file_at(&object.key).is_some();
        Ok((plain.is_some() || is_no_name).then_some(Self { plain, delta: None, seen: true }))
    }

    /// The same for who is about to write the file: a listing tells at once that there is nothing,
    /// which is so for most names. Where it does not tell, both are looked at.
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
        // Behind the key come all that begin with it; mostly there are none but the delta.
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

    /// Looks at both places for who is about to replace or delete what is there, readable or not.
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

    /// The same for who wants to read the file: what stands at the delta's key is asked for with
    /// its bytes, so that a delta, which is what most files are, comes with this look.
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

    /// Whether anything is stored at either place.
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
                // What cannot be read, being archived for example, matters only if it is what is
                // served.
                Err(_) => StoredObject::look(store, name).await.map(|found| (found, None)),
            }
        };
        let (plain, delta) = futures::join!(plain, delta);
        let plain = plain?;
        let (delta, body) = delta?;
        Ok((Self { plain, delta, seen: true }, body))
    }

    /// The same for who wants to read or remove the file, and must not take it for absent while it
    /// is overwritten by another kind: the new object may come at the one key after this has looked
    /// there, and the old one go before it looks at the other.
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

    /// The object at the name itself, if it is a file and not how DeltaGlider stores another one.
    pub(crate) fn file(&self) -> Option<&StoredObject> {
        self.plain
            .as_ref()
            .filter(|found| !found.is_delta() && !matches!(found.kind, Kind::Reference(_)))
    }

    /// Nothing is known of what is stored.
    pub(crate) fn unseen() -> Self {
        Self { plain: None, delta: None, seen: false }
    }

    /// How to store an object at a key where `found` was seen, so that nothing stored since the
    /// look is replaced.
    pub(crate) fn put_options(&self, found: Option<&StoredObject>) -> PutOptions {
        let condition = match found {
            _ if !self.seen => PutCondition::None,
            Some(found) => PutCondition::IfMatch(found.head.etag.clone()),
            None => PutCondition::IfAbsent,
        };
        PutOptions { condition, newer_than: self.newest() }
    }

    /// Returns when the newer of the two objects was stored; `None` if there is none.
    pub(crate) fn newest(&self) -> Option<SystemTime> {
        self.plain.iter().chain(&self.delta).map(|found| found.head.last_modified).max()
    }

    /// The delta of this name.
    fn own_delta(&self) -> Option<&StoredObject> {
        self.delta.as_ref().filter(|found| found.is_delta())
    }

    /// The objects that are the file of this name, the one to serve first.
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

    /// Why there is no file of this name.
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
