//! The bytes of a fetched reference, fetched again if their cached copy is damaged.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use deltaglider_vcdiff::Source;

use super::References;
use super::fetch::Keep;
use crate::cache::{CachedReference, CorruptChunk};
use crate::domain::ObjectName;
use crate::domain::packing::StoredForm;
use crate::service::error::ServiceError;
use crate::service::payload::Payload;

/// The verified content of a reference, unpacked if it is stored packed, to be read on threads that
/// may block.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    name: ObjectName,
    form: StoredForm,
    keep: Keep,
    bytes: Arc<Watched>,
}

impl Content {
    pub(super) fn new(
        name: &ObjectName,
        form: &StoredForm,
        keep: Keep,
        bytes: CachedReference,
    ) -> Self {
        let bytes = Arc::new(Watched { bytes, is_damaged: AtomicBool::new(false) });
        Self { name: name.clone(), form: *form, keep, bytes }
    }

    /// Returns the form in which the reference is stored.
    pub(crate) fn form(&self) -> StoredForm {
        self.form
    }

    /// Returns the bytes, readable by position.
    pub(crate) fn source(&self) -> CachedReference {
        self.bytes.clone()
    }

    /// Returns the number of bytes.
    pub(crate) fn len(&self) -> u64 {
        self.bytes.len().unwrap_or_default()
    }

    /// Returns the bytes as a file.
    pub(crate) fn to_payload(&self) -> Payload {
        Payload::of(&self.name.to_string(), self.len(), self.bytes.clone())
    }
}

/// The bytes of a reference, with a flag that a read has failed on damage.
struct Watched {
    bytes: CachedReference,
    is_damaged: AtomicBool,
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched").field("is_damaged", &self.is_damaged).finish_non_exhaustive()
    }
}

impl Source for Watched {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read_at(offset, buf);
        if let Err(error) = &read
            && error.get_ref().is_some_and(|cause| cause.is::<CorruptChunk>())
        {
            self.is_damaged.store(true, Ordering::Relaxed);
        }
        read
    }

    fn len(&self) -> Option<u64> {
        self.bytes.len()
    }

    fn bytes(&self) -> Option<&[u8]> {
        self.bytes.bytes()
    }
}

impl References {
    /// Fetches a reference again, bypassing the cache, after `error` of a reader of `content`.
    ///
    /// # Errors
    ///
    /// `error`, unless damage to a cached entry caused it; else the error of the second fetch.
    pub(crate) async fn refetch(
        &self,
        content: &Content,
        error: ServiceError,
    ) -> Result<Content, ServiceError> {
        if !matches!(content.keep, Keep::InCache)
            || !content.bytes.is_damaged.load(Ordering::Relaxed)
        {
            return Err(error);
        }
        tracing::warn!(
            reference = %content.name,
            "the cached reference is damaged; fetching it again"
        );
        self.fetch_for(&content.name, &content.form, Keep::WhileHeld).await
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::cache::WorkingCopies;
    use crate::domain::{S3Uri, Sha256Digest};
    use crate::service::clock::SystemClock;
    use crate::service::objects::Objects;
    use crate::storage::MemoryStore;

    /// A source whose reads fail: on damage if true, for another reason if false.
    struct Failing(bool);

    impl Source for Failing {
        fn read_at(&self, _: u64, _: &mut [u8]) -> io::Result<usize> {
            Err(if self.0 { CorruptChunk::Chunk(0).into() } else { io::Error::other("no damage") })
        }

        fn len(&self) -> Option<u64> {
            Some(1)
        }
    }

    #[tokio::test]
    async fn cache_damage_alone_refetches() {
        let store: Arc<MemoryStore> = Arc::default();
        let objects = Objects::new(store, Arc::new(SystemClock), Path::new("/nowhere"));
        let references = References::new(objects, Arc::new(WorkingCopies::new("/nowhere".into())));
        let name: S3Uri = "s3://bucket/reference.bin".parse().unwrap();
        let name = name.object().unwrap();
        for (keep, damage, fetches) in [
            (Keep::InCache, true, true),
            (Keep::InCache, false, false),
            (Keep::WhileHeld, true, false),
        ] {
            let form = StoredForm::plain(Sha256Digest::of(b"x"));
            let content = Content::new(&name, &form, keep, Arc::new(Failing(damage)));
            assert!(content.source().read_at(0, &mut [0]).is_err());
            let error = references
                .refetch(&content, ServiceError::Changed("x".to_owned()))
                .await
                .unwrap_err();
            assert_eq!(
                matches!(error, ServiceError::Changed(_)),
                !fetches,
                "{keep:?} {damage}: {error}"
            );
        }
    }
}
