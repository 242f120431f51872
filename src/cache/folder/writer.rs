//! The writer of an entry, which is invisible until it is complete and verified.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::sync::Arc;

use super::maintenance::{Depth, State};
use super::private::FileId;
use super::{FolderEntry, Held, Inner, at, now};
use crate::cache::key::{EntryName, fill_random};
use crate::cache::sealed::{EntryMetadata, Header, SealedSource, Sealer};
use crate::cache::{CacheError, CachedReference, ExpectedContent, ReferenceWriter};
use crate::domain::Sha256Digest;

/// A writer of one entry into a draft.
#[derive(Debug)]
pub(super) struct FolderWriter {
    claim: ExpectedContent,
    id: Sha256Digest,
    /// `None` once there are more bytes than announced.
    sealer: Option<Sealer<File>>,
    draft: Draft,
}

impl FolderWriter {
    /// Begins to write the entry `id`, whose content has this digest and length.
    pub(super) fn begin(
        cache: Arc<Inner>,
        id: Sha256Digest,
        digest: &Sha256Digest,
        len: u64,
    ) -> Result<Self, CacheError> {
        let dirs = cache.make_dirs().map_err(|error| failed(&cache, error))?;
        let begun = || {
            let mut random = [0; 16];
            fill_random(&mut random)?;
            let name = random.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            let file = dirs.new.create(&name)?;
            // An unlocked draft counts as that of a dead writer.
            file.try_lock_shared().map_err(io::Error::from)?;
            Ok((name, file))
        };
        let place = dirs.new.path().to_owned();
        let (name, file) = begun().map_err(at(&place))?;
        let created = now();
        let draft = Draft { cache, dirs, name: Some(name), created };
        let expires = created.saturating_add(draft.cache.limits.ttl.as_secs());
        // At least a second, so that its writer can read it.
        let expires = expires.max(created.saturating_add(1));
        let facts = EntryMetadata { digest: id, len, created, expires };
        let sealer = Some(Sealer::entry(&draft.cache.keys, facts, file).map_err(at(&place))?);
        Ok(Self { claim: ExpectedContent::new(digest, len), id, sealer, draft })
    }
}

fn failed(cache: &Inner, error: io::Error) -> CacheError {
    at(&cache.spill)(error)
}

impl ReferenceWriter for FolderWriter {
    fn write(&mut self, bytes: &[u8]) -> Result<(), CacheError> {
        if !self.claim.take(bytes) {
            // Content that is too long is still hashed to its end, for the message.
            self.sealer = None;
        }
        match &mut self.sealer {
            Some(sealer) => sealer.push(bytes).map_err(at(self.draft.dirs.new.path())),
            None => Ok(()),
        }
    }

    fn publish(mut self: Box<Self>) -> Result<CachedReference, CacheError> {
        self.claim.check()?;
        let Some(sealer) = self.sealer.take() else {
            return Err(CacheError::Length { expected: self.claim.len, actual: self.claim.taken });
        };
        let place = self.draft.dirs.entries.path().to_owned();
        let file = sealer.finish().map_err(at(&place))?;
        let name = self.draft.cache.keys.name(&self.id);
        let entry =
            self.draft.publish(&name, file, &self.id, self.claim.len).map_err(at(&place))?;
        Ok(entry)
    }
}

/// The file of a writer, deleted unless it is published.
struct Draft {
    cache: Arc<Inner>,
    dirs: Held,
    name: Option<String>,
    /// The start of its lifetime, in seconds since 1970: when it was begun. Its header is checked
    /// against this time, so that a slow store cannot make it expire before it is read.
    created: u64,
}

impl std::fmt::Debug for Draft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Draft").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Draft {
    /// Renames the file into place if it fits; otherwise it is readable while it is held, and
    /// deleted then. If a valid entry of this name exists, it stays and is returned.
    fn publish(
        &mut self,
        name: &EntryName,
        file: File,
        entry: &Sha256Digest,
        len: u64,
    ) -> io::Result<CachedReference> {
        if let Some(entry) = self.cache.find(entry).and_then(FolderEntry::verify) {
            return Ok(Arc::new(entry));
        }
        let (cache, dirs) = (&self.cache, &self.dirs);
        let id = FileId::of(&file)?;
        let header = cache.open_header(&file, entry, self.created).map_err(|invalid| {
            cache.discard_corrupt(dirs, name, Some(id), &invalid);
            io::Error::other("the entry was changed before it was published")
        })?;
        let needed = Header::stored_len(len).unwrap_or(u64::MAX);
        let place = name.to_string();
        let mut is_registered = false;
        {
            // Under the lock no other writer takes the space that is freed.
            let changes = dirs.change()?;
            let found = cache.examine(dirs, place.as_ref(), Depth::Header);
            if !matches!(found, Some(State::Sound(_)))
                && cache.make_room(&changes, place.as_ref(), needed)?
                && let Some(draft) = &self.name
            {
                let rename = || changes.publish(draft, name).map(|()| true);
                is_registered = cache.in_use.begin(name, id, header.facts().expires, rename)?;
            }
        }
        if is_registered {
            self.name = None;
            // Without the record of its use the entry may be evicted earlier; nothing else fails.
            dirs.use_now(name).ok();
        }
        let source = SealedSource::entry(file, header);
        let (cache, dirs) = (cache.clone(), dirs.clone());
        Ok(Arc::new(FolderEntry { source, cache, dirs, name: *name, file: id, is_registered }))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(name) = &self.name
            && let Err(error) = self.dirs.new.remove(OsStr::new(name))
        {
            tracing::debug!(%error, "a draft of the cache could not be removed");
        }
    }
}
