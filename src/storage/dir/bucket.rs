//! One bucket on disk: locking for writers and consistent views for readers.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::domain::{BucketName, Key, Sha256Digest};
use crate::storage::listing::select;
use crate::storage::{
    DamagedObject, Debris, ETag, ListPage, ListRequest, ListedBucket, ListedObject, ObjectHead,
    PutCondition, StorageErrorKind,
};

use super::fsync::{lock, lock_shared, make_folder, sync_folder, write_file};
use super::io_error::Fault;
use super::leaf::{Leaf, LeafKeys, Leaves};
use super::name::{folder_name, of_folder_name};
use super::record::{Record, Sealed, Stored};
use super::root::Root;
use super::split::{make_parents, remove_if_bare, split_if_grown};

/// The file with the bucket's creation time, in nanoseconds since 1970.
const MARKER: &str = "bucket";
const LOCK: &str = "lock";
const LEAVES: &str = "leaves";
/// One write in this many checks whether its leaf has grown, chosen by the key's digest, because
/// counting a leaf requires reading it.
const LOOKS: u8 = 16;

#[derive(Debug)]
pub(super) struct Bucket {
    path: PathBuf,
}

impl Bucket {
    /// Returns the bucket with this name, which need not exist.
    pub(super) fn named(root: &Root, name: &BucketName) -> Result<Self, Fault> {
        if !root.exists()? {
            let why = format!(
                "there is no store at {} yet; its first bucket makes it",
                root.path().display()
            );
            return Err(Fault::because(StorageErrorKind::NoSuchBucket, why));
        }
        Ok(Self { path: Self::path(root, name)? })
    }

    fn path(root: &Root, name: &BucketName) -> Result<PathBuf, Fault> {
        let folder = folder_name(name.as_str().as_bytes()).ok_or(StorageErrorKind::Invalid)?;
        Ok(root.buckets().join(folder))
    }

    /// Creates the bucket atomically: it is assembled as a temporary and renamed.
    pub(super) fn create(root: &Root, name: &BucketName) -> Result<(), Fault> {
        root.establish()?;
        let temporaries = root.temporaries()?;
        let new = temporaries.folder()?;
        let leaves = new.path().join(LEAVES);
        make_folder(&leaves)?;
        make_folder(&leaves.join(folder_name(b"").ok_or(StorageErrorKind::Invalid)?))?;
        sync_folder(&leaves)?;
        write_file(&new.path().join(LOCK), "")?;
        let since_epoch =
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        write_file(&new.path().join(MARKER), &format!("created {}\n", since_epoch.as_nanos()))?;
        sync_folder(new.path())?;
        // A directory can only replace an empty one, and no bucket is empty.
        let path = Self::path(root, name)?;
        match std::fs::rename(new.path(), &path) {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
                ) =>
            {
                return Err(StorageErrorKind::AlreadyExists.into());
            }
            renamed => renamed.map_err(Fault::at(&path))?,
        }
        let _renamed = new.keep();
        Ok(sync_folder(&root.buckets())?)
    }

    /// Returns all buckets, sorted by name.
    pub(super) fn list(root: &Root) -> Result<Vec<ListedBucket>, Fault> {
        let folder = root.buckets();
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(Fault::at(&folder))?,
        };
        let mut buckets = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry
                .file_name()
                .to_str()
                .and_then(of_folder_name)
                .and_then(|name| String::from_utf8(name).ok());
            let Some(Ok(name)) = name.map(BucketName::new) else { continue };
            let marker = match std::fs::read_to_string(entry.path().join(MARKER)) {
                // Deleted since the directory was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                marker => marker.map_err(Fault::at(&entry.path()))?,
            };
            let nanoseconds =
                marker.trim_end().strip_prefix("created ").and_then(|text| text.parse().ok());
            let created = nanoseconds.map(|ns| SystemTime::UNIX_EPOCH + Duration::from_nanos(ns));
            buckets.push(ListedBucket { name, created });
        }
        buckets.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(buckets)
    }

    /// Deletes the bucket if it is empty. A rename to a temporary makes the deletion atomic.
    pub(super) fn remove(&self, root: &Root) -> Result<(), Fault> {
        let _lock = self.lock(lock)?;
        let leaves = self.leaves()?;
        for leaf in leaves.all()? {
            if !leaf.purge(&leaves)?.is_empty() {
                return Err(StorageErrorKind::NotEmpty.into());
            }
            if !leaf.is_bare()? {
                return Err(holds_strays(&leaf));
            }
        }
        self.bury(root)
    }

    /// Deletes the bucket together with its objects if it holds exactly these. One rename decides:
    /// before it the bucket is whole, after it only a temporary is left.
    pub(super) fn remove_holding(
        &self,
        root: &Root,
        expected: &[(Key, ETag)],
    ) -> Result<(), Fault> {
        let _lock = self.lock(lock)?;
        let expected: BTreeMap<&str, &ETag> =
            expected.iter().map(|(key, etag)| (key.as_str(), etag)).collect();
        let leaves = self.leaves()?;
        let mut held = 0;
        for leaf in leaves.all()? {
            let keys = leaf.purge(&leaves)?;
            for key in &keys {
                let etag = tag_at(&leaf.path_of(key), key)?;
                if etag.is_none() || etag.as_ref() != expected.get(key.as_str()).copied() {
                    return Err(StorageErrorKind::NotEmpty.into());
                }
            }
            if leaf.count_of_files()? != keys.len() {
                return Err(holds_strays(&leaf));
            }
            held += keys.len();
        }
        if held != expected.len() {
            return Err(StorageErrorKind::NotEmpty.into());
        }
        self.bury(root)
    }

    /// Deletes the bucket. A rename to a temporary makes the deletion atomic.
    fn bury(&self, root: &Root) -> Result<(), Fault> {
        let temporaries = root.temporaries()?;
        let grave = temporaries.folder()?;
        std::fs::rename(&self.path, grave.path().join(LEAVES))?;
        sync_folder(&root.buckets())?;
        Ok(grave.close()?)
    }

    /// Returns the entries of the leaves that are not readable objects.
    pub(super) fn debris(&self) -> Result<Vec<Debris>, Fault> {
        let _lock = self.lock(lock_shared)?;
        let leaves = self.leaves()?;
        let mut debris = Vec::new();
        for entry in std::fs::read_dir(leaves.folder())? {
            let entry = entry?;
            if !entry.file_type()?.is_dir()
                || entry.file_name().to_str().and_then(of_folder_name).is_none()
            {
                debris.push(Debris {
                    path: entry.path(),
                    key: None,
                    why: "not a leaf of this store".to_owned(),
                });
            }
        }
        for leaf in leaves.all()? {
            let misplaced = leaf.misplaced(&leaves)?;
            for entry in leaf.entries()? {
                match entry {
                    Err(path) => {
                        let why = "not a file name of this store".to_owned();
                        debris.push(Debris { path, key: None, why });
                    }
                    Ok(name) => {
                        let (path, key) = (leaf.path_of(&name), Key::new(name.as_str()).ok());
                        if misplaced.contains(&name) {
                            let why = "outside the key range of its leaf and therefore not listed"
                                .to_owned();
                            debris.push(Debris { path, key, why });
                        } else if let Some(Stored::Damaged(_, fault)) = Stored::at(&path, &name)? {
                            debris.push(Debris { path, key, why: fault.why() });
                        }
                    }
                }
            }
        }
        debris.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(debris)
    }

    /// Moves a piece of debris out of the bucket, if it is still debris.
    pub(super) fn set_aside(&self, root: &Root, debris: &Debris) -> Result<PathBuf, Fault> {
        if !self.debris()?.contains(debris) {
            return Err(StorageErrorKind::NotFound.into());
        }
        let _lock = self.lock(lock)?;
        // By now, the name may be that of a valid object.
        if let Some(key) = &debris.key
            && let Some(Stored::Sound(_)) = Stored::at(&debris.path, key.as_str())?
            && self.leaves()?.of(key.as_str())?.path_of(key.as_str()) == debris.path
        {
            return Err(StorageErrorKind::NotFound.into());
        }
        self.put_aside(root, &debris.path)
    }

    /// Moves the entry at a path to a directory of its own beside the buckets. Deletes nothing.
    fn put_aside(&self, root: &Root, path: &Path) -> Result<PathBuf, Fault> {
        let name = path.file_name().ok_or(StorageErrorKind::Invalid)?;
        let place = root.aside()?;
        let to = place.join(name);
        std::fs::rename(path, &to).map_err(Fault::at(path))?;
        sync_folder(&place)?;
        if let Some(parent) = path.parent() {
            sync_folder(parent).map_err(Fault::at(parent))?;
        }
        Ok(to)
    }

    fn leaves(&self) -> Result<Leaves, Fault> {
        Leaves::read(self.path.join(LEAVES))?.ok_or_else(|| StorageErrorKind::NoSuchBucket.into())
    }

    pub(super) fn must_exist(&self) -> Result<(), Fault> {
        self.leaves().map(drop)
    }

    /// Acquires the bucket's lock by `take`. If the bucket was deleted while this waited, the lock
    /// is on a file without a name; a new bucket of the same name has another lock file, so the
    /// loop compares the two and tries again.
    fn lock(&self, take: impl Fn(File) -> io::Result<File>) -> Result<File, Fault> {
        let path = self.path.join(LOCK);
        loop {
            let file = match OpenOptions::new().read(true).open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(StorageErrorKind::NoSuchBucket.into());
                }
                opened => opened.map_err(Fault::at(&path))?,
            };
            let held = take(file).map_err(Fault::at(&path))?;
            let id = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
            if std::fs::metadata(&path).map(id).ok() == Some(id(held.metadata()?)) {
                return Ok(held);
            }
        }
    }

    /// Runs `look` on the leaves. Readers take no lock: a result that is not `certain` in itself
    /// counts if the leaves did not change during `look`; otherwise `look` runs again under the
    /// shared lock.
    fn look<T>(
        &self,
        look: impl Fn(&Leaves) -> Result<T, Fault>,
        certain: impl FnOnce(&T) -> bool,
    ) -> Result<T, Fault> {
        let leaves = self.leaves()?;
        let found = look(&leaves);
        if found.as_ref().is_ok_and(certain) || self.leaves()? == leaves {
            return found;
        }
        let _lock = self.lock(lock_shared)?;
        look(&self.leaves()?)
    }

    /// Opens an object; `NotFound` if it does not exist.
    pub(super) fn open(&self, key: &str) -> Result<Record, Fault> {
        let record =
            self.look(|leaves| Record::open(leaves.of(key)?.path_of(key), key), Option::is_some)?;
        record.ok_or_else(|| StorageErrorKind::NotFound.into())
    }

    pub(super) fn page(&self, request: &ListRequest) -> Result<ListPage, Fault> {
        let page = |leaves: &Leaves| {
            let selection = select(&mut LeafKeys::new(leaves), request)?;
            let (mut objects, mut damaged) = (Vec::with_capacity(selection.keys.len()), Vec::new());
            for name in selection.keys {
                // Absent: deleted since, or moved, which the second read of the leaves detects.
                let Some(stored) = Stored::at(&leaves.of(&name)?.path_of(&name), &name)? else {
                    continue;
                };
                let key = Key::new(name)
                    .map_err(|error| Fault::because(StorageErrorKind::Other, error))?;
                match stored {
                    Stored::Sound(record) => {
                        let ObjectHead { size, etag, last_modified, .. } = record.head;
                        objects.push(ListedObject { key, size, etag, last_modified });
                    }
                    Stored::Damaged(etag, fault) => {
                        damaged.push(DamagedObject { key, etag, why: fault.why() })
                    }
                }
            }
            let (common_prefixes, continuation) =
                (selection.common_prefixes, selection.continuation);
            Ok(ListPage { objects, damaged, common_prefixes, continuation })
        };
        self.look(page, |_| false)
    }

    /// Renames a finished object to its final path if the condition holds. Directories are made
    /// durable under the lock, so that later changes never build on names that a power failure can
    /// undo.
    pub(super) fn commit(
        &self,
        root: &Root,
        key: &str,
        mut object: Sealed,
        condition: &PutCondition,
    ) -> Result<ETag, Fault> {
        let _lock = self.lock(lock)?;
        let leaves = self.leaves()?;
        let leaf = leaves.of(key)?;
        let path = leaf.path_of(key);
        if *condition != PutCondition::IfAbsent {
            let replaced = Stored::at(&path, key)?;
            condition.check(replaced.as_ref().map(Stored::etag))?;
            match replaced {
                Some(Stored::Sound(record)) => object.date_after(record.head.last_modified)?,
                // A damaged record has no time. A directory cannot be replaced by a file.
                Some(Stored::Damaged(..)) if is_dir(&path) => {
                    self.put_aside(root, &path).map(drop)?
                }
                _ => {}
            }
        }
        let made = make_parents(&leaf.folder, path.strip_prefix(&leaf.folder).unwrap_or(&path))?;
        let etag = object.etag.clone();
        let named = match condition {
            PutCondition::IfAbsent => object.link(&path),
            PutCondition::None | PutCondition::IfMatch(_) => object.rename(&path),
        };
        match named {
            Err(error)
                if *condition == PutCondition::IfAbsent
                    && error.kind() == io::ErrorKind::AlreadyExists =>
            {
                return Err(StorageErrorKind::AlreadyExists.into());
            }
            named => named.map_err(Fault::at(&path))?,
        }
        sync_up(&leaf, &path, made)?;
        if Sha256Digest::of(key.as_bytes()).as_bytes().first().is_some_and(|byte| byte % LOOKS == 0)
        {
            let split = root
                .temporaries()
                .and_then(|temporaries| split_if_grown(&leaves, &leaf, &temporaries));
            if let Err(fault) = split {
                // The object is stored; a leaf that stays large only slows down listings.
                tracing::warn!(
                    leaf = %leaf.folder.display(),
                    ?fault,
                    "a leaf could not be cut in two"
                );
            }
        }
        Ok(etag)
    }

    /// Deletes an object if the condition holds.
    pub(super) fn delete(
        &self,
        root: &Root,
        key: &str,
        if_match: Option<&ETag>,
    ) -> Result<(), Fault> {
        let _lock = self.lock(lock)?;
        let leaves = self.leaves()?;
        let leaf = leaves.of(key)?;
        let path = leaf.path_of(key);
        if let Some(wanted) = if_match
            && tag_at(&path, key)?.as_ref() != Some(wanted)
        {
            return Err(StorageErrorKind::Precondition.into());
        }
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            // The content of a directory is not an object and not ours to delete.
            Err(_) if is_dir(&path) => self.put_aside(root, &path).map(drop)?,
            removed => removed.map_err(Fault::at(&path))?,
        }
        sync_folder(leaf.prune(&path))?;
        remove_if_bare(&leaves, &leaf)
    }
}

fn holds_strays(leaf: &Leaf) -> Fault {
    let folder = leaf.folder.display();
    let why = format!(
        "{folder} holds files that are no objects; \
         `repair` lists them, `repair --fix` moves them aside"
    );
    Fault::because(StorageErrorKind::NotEmpty, why)
}

fn tag_at(path: &Path, key: &str) -> Result<Option<ETag>, Fault> {
    Ok(Stored::at(path, key)?.map(|stored| stored.etag().clone()))
}

fn is_dir(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|there| there.is_dir())
}

/// Makes the name of a file durable, and if `made`, also those of the directories above it.
fn sync_up(leaf: &Leaf, path: &Path, made: bool) -> Result<(), Fault> {
    for folder in path.ancestors().skip(1) {
        sync_folder(folder).map_err(Fault::at(folder))?;
        if !made || folder == leaf.folder {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::dir::root::Clock;

    /// The lock of a deleted bucket must not count as that of a new bucket with the same name.
    #[test]
    fn stale_bucket_lock_is_retaken() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::open(folder.path(), Clock::new(SystemTime::now)).unwrap();
        let name = BucketName::new("bucket").unwrap();
        Bucket::create(&root, &name).unwrap();
        let bucket = Bucket::named(&root, &name).unwrap();
        let held = bucket.lock(lock).unwrap();
        let (opened, waits) = std::sync::mpsc::channel();
        let id = |file: &File| file.metadata().unwrap().ino();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let take = |file| {
                    opened.send(()).unwrap();
                    lock(file)
                };
                bucket.lock(take)
            });
            waits.recv().unwrap();
            std::fs::rename(&bucket.path, folder.path().join("removed")).unwrap();
            Bucket::create(&root, &name).unwrap();
            let old = id(&held);
            drop(held);
            let taken = waiter.join().unwrap().unwrap();
            assert_ne!(id(&taken), old);
            assert_eq!(id(&taken), id(&File::open(bucket.path.join(LOCK)).unwrap()));
        });
    }
}
