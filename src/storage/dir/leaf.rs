//! The leaves of a bucket: directories that each hold the objects of one range of keys, so that a
//! page of a listing reads few of them.
//!
//! A leaf is named after the smallest key it may hold and ends where the next one begins. The names
//! alone determine the leaf of a key; files in a leaf outside its range are leftovers of a split
//! and are ignored.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::fs::ReadDir;
use std::io;
use std::os::unix::fs::{DirEntryExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::domain::Key;
use crate::storage::listing::SortedKeys;

use super::fsync::{sync_folder, write_file};
use super::io_error::Fault;
use super::name::{CUT, PIECE, WHOLE, of_folder_name, path_of, unescape};
use super::record::Stored;

/// The file, in a leaf that a split created, with the tags of the objects that moved with it, one
/// per line. It is deleted once their names are deleted from the leaf they came from.
const MOVED: &str = "moved";

/// All leaves of a bucket at one instant.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Leaves {
    folder: PathBuf,
    /// Sorted in byte order; the first is empty.
    starts: Vec<Start>,
}

/// A directory that may be a leaf, and the start of its range.
#[derive(Debug)]
struct Start {
    bytes: Vec<u8>,
    inode: u64,
    is_leaf: OnceCell<bool>,
}

impl PartialEq for Start {
    fn eq(&self, other: &Self) -> bool {
        (&self.bytes, self.inode) == (&other.bytes, other.inode)
    }
}

impl Eq for Start {}

/// One leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) folder: PathBuf,
    start: Vec<u8>,
    end: Option<Vec<u8>>,
}

impl Leaves {
    /// Reads the leaves; `None` if the directory, and so the bucket, does not exist.
    pub(super) fn read(folder: PathBuf) -> Result<Option<Self>, Fault> {
        Self::read_by(|folder| std::fs::read_dir(folder), folder)
    }

    fn read_by(
        mut open: impl FnMut(&Path) -> io::Result<ReadDir>,
        folder: PathBuf,
    ) -> Result<Option<Self>, Fault> {
        loop {
            let Some(before) = identity(&folder)? else { return Ok(None) };
            let mut entries = match open(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                entries => entries.map_err(Fault::at(&folder))?,
            };
            let mut starts = Vec::new();
            for entry in entries.by_ref() {
                let entry = entry?;
                let Some(bytes) = entry.file_name().to_str().and_then(of_folder_name) else {
                    continue;
                };
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    starts.push(Start { bytes, inode: entry.ino(), is_leaf: OnceCell::new() });
                }
            }
            starts.sort_unstable_by(|a, b| a.bytes.cmp(&b.bytes));
            if starts.first().is_some_and(|start| start.bytes.is_empty()) {
                return Ok(Some(Self { folder, starts }));
            }
            // A deletion renames the bucket before its leaves vanish, and a new bucket may have the
            // name since.
            if identity(&folder)? == Some(before) {
                return Err(Fault::broken(&folder, "the first leaf is missing"));
            }
        }
    }

    /// Returns whether the directory at `index` is a leaf. The first one always is. An empty one is
    /// not, whichever process created it: a split creates a leaf with all its objects, and the
    /// deletion of the last object deletes the leaf.
    fn is_leaf(&self, index: usize) -> Result<bool, Fault> {
        let Some(start) = self.starts.get(index) else { return Ok(false) };
        if let Some(known) = start.is_leaf.get() {
            return Ok(*known);
        }
        let is_leaf = index == 0 || !is_empty(&self.folder_of(start))?;
        Ok(*start.is_leaf.get_or_init(|| is_leaf))
    }

    fn folder_of(&self, start: &Start) -> PathBuf {
        self.folder.join(format!("{WHOLE}{}", super::name::escape(&start.bytes)))
    }

    fn index_of(&self, key: &[u8]) -> Result<usize, Fault> {
        let mut index =
            self.starts.partition_point(|start| start.bytes.as_slice() <= key).saturating_sub(1);
        while index > 0 && !self.is_leaf(index)? {
            index -= 1;
        }
        Ok(index)
    }

    /// Returns the index of the first leaf at or after this index.
    fn next_leaf(&self, mut index: usize) -> Result<Option<usize>, Fault> {
        while index < self.starts.len() {
            if self.is_leaf(index)? {
                return Ok(Some(index));
            }
            index += 1;
        }
        Ok(None)
    }

    fn leaf(&self, index: usize) -> Result<Option<Leaf>, Fault> {
        let Some(start) = self.starts.get(index) else { return Ok(None) };
        let end = self
            .next_leaf(index + 1)?
            .and_then(|next| self.starts.get(next))
            .map(|next| next.bytes.clone());
        Ok(Some(Leaf { folder: self.folder_of(start), start: start.bytes.clone(), end }))
    }

    /// Returns the leaf that this key belongs to.
    pub(super) fn of(&self, key: &str) -> Result<Leaf, Fault> {
        self.leaf(self.index_of(key.as_bytes())?)?
            .ok_or_else(|| Fault::broken(&self.folder, "there is no leaf"))
    }

    /// Returns the leaf before this one; `None` for the first.
    pub(super) fn before(&self, leaf: &Leaf) -> Result<Option<Leaf>, Fault> {
        let place = self.starts.partition_point(|start| start.bytes < leaf.start);
        match place.checked_sub(1).and_then(|last| self.starts.get(last)) {
            Some(last) => self.leaf(self.index_of(&last.bytes)?),
            None => Ok(None),
        }
    }

    /// Returns all leaves, in order.
    pub(super) fn all(&self) -> Result<Vec<Leaf>, Fault> {
        let (mut leaves, mut index) = (Vec::new(), 0);
        while let Some(next) = self.next_leaf(index)? {
            leaves.extend(self.leaf(next)?);
            index = next + 1;
        }
        Ok(leaves)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the tags of all objects that moved in a split that may be incomplete.
    fn moved(&self) -> Result<HashSet<String>, Fault> {
        let mut moved = HashSet::new();
        for leaf in self.all()? {
            moved.extend(leaf.moved()?);
        }
        Ok(moved)
    }
}

impl Leaf {
    pub(super) fn path_of(&self, key: &str) -> PathBuf {
        self.folder.join(path_of(key))
    }

    fn holds(&self, key: &str) -> bool {
        key.as_bytes() >= self.start.as_slice()
            && self.end.as_deref().is_none_or(|end| key.as_bytes() < end)
    }

    /// Returns the keys of the leaf, in order.
    pub(super) fn keys(&self) -> Result<Vec<String>, Fault> {
        let mut keys = self.files()?;
        keys.retain(|key| self.holds(key));
        keys.sort_unstable();
        Ok(keys)
    }

    /// Deletes, durably, the leftovers of an interrupted split or write. Returns the keys of the
    /// leaf, in order.
    ///
    /// Deletes only files that are proven to be leftovers; a file that lies outside the range for
    /// another reason is kept.
    pub(super) fn purge(&self, leaves: &Leaves) -> Result<Vec<String>, Fault> {
        let (mut keys, outside): (Vec<_>, Vec<_>) =
            self.files()?.into_iter().partition(|key| self.holds(key));
        let mut leftovers = Vec::new();
        let moved = if outside.is_empty() { HashSet::new() } else { leaves.moved()? };
        for key in outside {
            if self.is_leftover(&key, leaves, &moved)? {
                leftovers.push(key);
            }
        }
        if !leftovers.is_empty() {
            self.remove(&leftovers)?;
            sync_folder(&self.folder)?;
        }
        if let Some(end) = &self.end {
            // The next leaf is the last one that was split off from this one.
            let split_off =
                self.folder.with_file_name(format!("{WHOLE}{}", super::name::escape(end)));
            forget_moved(&split_off)?;
        }
        remove_empty_folders(&self.folder).map_err(Fault::at(&self.folder))?;
        keys.sort_unstable();
        Ok(keys)
    }

    /// Returns whether the file of `key`, which lies outside this leaf's range, is a leftover of a
    /// split: the leaf that owns the key has the same file, or a leaf was created with it.
    fn is_leftover(
        &self,
        key: &str,
        leaves: &Leaves,
        moved: &HashSet<String>,
    ) -> Result<bool, Fault> {
        let (path, owner) = (self.path_of(key), leaves.of(key)?);
        let id = |path: &Path| {
            std::fs::symlink_metadata(path).ok().map(|there| (there.dev(), there.ino()))
        };
        let own = id(&path);
        if own.is_some() && own == id(&owner.path_of(key)) {
            return Ok(true);
        }
        match Stored::at(&path, key)? {
            Some(stored) => Ok(moved.contains(&stored.etag().0)),
            None => Ok(false),
        }
    }

    /// Returns the tags of the objects this leaf was created with, while its split may be
    /// incomplete.
    fn moved(&self) -> Result<HashSet<String>, Fault> {
        let path = self.folder.join(MOVED);
        match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(HashSet::new()),
            read => Ok(read.map_err(Fault::at(&path))?.lines().map(str::to_owned).collect()),
        }
    }

    /// Returns the files that lie outside the leaf's range and are not leftovers of a split.
    pub(super) fn misplaced(&self, leaves: &Leaves) -> Result<Vec<String>, Fault> {
        let mut misplaced = self.files()?;
        misplaced.retain(|key| !self.holds(key));
        if !misplaced.is_empty() {
            let moved = leaves.moved()?;
            for key in std::mem::take(&mut misplaced) {
                if !self.is_leftover(&key, leaves, &moved)? {
                    misplaced.push(key);
                }
            }
        }
        Ok(misplaced)
    }

    pub(super) fn remove(&self, keys: &[String]) -> Result<(), Fault> {
        for key in keys {
            let path = self.path_of(key);
            std::fs::remove_file(&path).map_err(Fault::at(&path))?;
            self.prune(&path);
        }
        Ok(())
    }

    /// Deletes the directories of long names that became empty. Returns the deepest one that is
    /// left.
    pub(super) fn prune<'a>(&self, path: &'a Path) -> &'a Path {
        let mut folder = path.parent().unwrap_or(path);
        while folder != self.folder && std::fs::remove_dir(folder).is_ok() {
            folder = folder.parent().unwrap_or(folder);
        }
        folder
    }

    /// Returns whether the leaf is empty except for its list of moved tags.
    pub(super) fn is_bare(&self) -> Result<bool, Fault> {
        for entry in std::fs::read_dir(&self.folder).map_err(Fault::at(&self.folder))? {
            if entry?.file_name() != MOVED {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns the number of all entries in the leaf, without the directories of long names.
    pub(super) fn count_of_files(&self) -> Result<usize, Fault> {
        let moved = usize::from(self.folder.join(MOVED).exists());
        Ok(count(&self.folder).map_err(Fault::at(&self.folder))? - moved)
    }

    /// Returns the keys of all files in the leaf, also of those outside its range. Ignores names
    /// that this store never uses.
    fn files(&self) -> Result<Vec<String>, Fault> {
        Ok(self.entries()?.into_iter().filter_map(|entry| entry.ok()).collect())
    }

    /// Returns everything in the leaf: keys, and paths whose names this store never uses.
    pub(super) fn entries(&self) -> Result<Vec<Result<String, PathBuf>>, Fault> {
        let mut entries = Vec::new();
        collect(&self.folder, "", Path::new(""), &mut entries).map_err(Fault::at(&self.folder))?;
        Ok(entries)
    }
}

/// Records in a new leaf which objects moved with it.
pub(super) fn note_moved(folder: &Path, tags: &[String]) -> io::Result<()> {
    write_file(&folder.join(MOVED), &tags.iter().map(|tag| format!("{tag}\n")).collect::<String>())
}

/// Completes a split, once nothing of this leaf is left in the one before it.
pub(super) fn forget_moved(leaf: &Path) -> Result<(), Fault> {
    match std::fs::remove_file(leaf.join(MOVED)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Fault::at(leaf)(error)),
        Ok(()) => Ok(sync_folder(leaf)?),
    }
}

/// Returns device, inode and time of change of a directory; `None` if it does not exist.
fn identity(folder: &Path) -> Result<Option<[i64; 4]>, Fault> {
    match std::fs::metadata(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        metadata => {
            let metadata = metadata.map_err(Fault::at(folder))?;
            let (device, inode) = (metadata.dev().cast_signed(), metadata.ino().cast_signed());
            Ok(Some([device, inode, metadata.ctime(), metadata.ctime_nsec()]))
        }
    }
}

fn is_empty(folder: &Path) -> Result<bool, Fault> {
    match std::fs::read_dir(folder) {
        // Deleted since its name was read: the leaves have changed.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        entries => Ok(entries.map_err(Fault::at(folder))?.next().is_none()),
    }
}

fn count(folder: &Path) -> io::Result<usize> {
    let mut files = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let is_piece = entry.file_name().to_str().is_some_and(|name| name.starts_with(CUT));
        files += if is_piece && entry.file_type()?.is_dir() { count(&entry.path())? } else { 1 };
    }
    Ok(files)
}

fn collect(
    folder: &Path,
    before: &str,
    below: &Path,
    entries: &mut Vec<Result<String, PathBuf>>,
) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let file_name = entry?.file_name();
        let (path, relative) = (folder.join(&file_name), below.join(&file_name));
        let name = file_name.to_str().unwrap_or_default();
        if let Some(piece) = name.strip_prefix(CUT).filter(|piece| piece.len() == PIECE)
            && path.is_dir()
        {
            match collect(&path, &format!("{before}{piece}"), &relative, entries) {
                // Deleted, since its name was read, with the last object in it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                collected => collected?,
            }
            continue;
        }
        if below == Path::new("") && name == MOVED {
            continue;
        }
        let escaped = name.strip_prefix(WHOLE).map(|last| format!("{before}{last}"));
        let bytes = escaped.as_deref().and_then(unescape);
        let key = bytes
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .filter(|key| Key::new(key.as_str()).is_ok());
        // A key that needs more pieces than this path has another path.
        entries.push(key.filter(|key| path_of(key) == relative).ok_or(path));
    }
    Ok(())
}

/// Deletes the directories of long names that hold no object.
fn remove_empty_folders(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(CUT))
            && entry.file_type()?.is_dir()
        {
            remove_empty_folders(&entry.path())?;
            match std::fs::remove_dir(entry.path()) {
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                removed => removed?,
            }
        }
    }
    Ok(())
}

/// The keys of a bucket, read one leaf at a time.
pub(super) struct LeafKeys<'a> {
    leaves: &'a Leaves,
    loaded: Option<(usize, Vec<String>)>,
}

impl<'a> LeafKeys<'a> {
    pub(super) fn new(leaves: &'a Leaves) -> Self {
        Self { leaves, loaded: None }
    }
}

impl SortedKeys for LeafKeys<'_> {
    type Error = Fault;

    fn first_from(&mut self, from: &[u8]) -> Result<Option<String>, Fault> {
        let mut next = Some(self.leaves.index_of(from)?);
        while let Some(index) = next {
            let keys = match self.loaded.take() {
                Some((loaded, keys)) if loaded == index => keys,
                _ => self.leaves.leaf(index)?.map_or_else(|| Ok(Vec::new()), |leaf| leaf.keys())?,
            };
            let found = keys.get(keys.partition_point(|key| key.as_bytes() < from)).cloned();
            self.loaded = Some((index, keys));
            if found.is_some() {
                return Ok(found);
            }
            next = self.leaves.next_leaf(index + 1)?;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recreated_bucket_is_intact() {
        let temporary = tempfile::tempdir().unwrap();
        let (folder, grave) = (temporary.path().join("leaves"), temporary.path().join("grave"));
        let make = || std::fs::create_dir_all(folder.join(WHOLE.to_string())).unwrap();
        make();
        let mut opened = 0;
        let leaves = Leaves::read_by(
            |path| {
                let entries = std::fs::read_dir(path)?;
                opened += 1;
                // On the first attempt, the bucket is deleted and created again before the first
                // entry is read.
                if opened == 1 {
                    std::fs::rename(path, &grave)?;
                    std::fs::remove_dir_all(&grave)?;
                    make();
                }
                Ok(entries)
            },
            folder.clone(),
        );
        assert_eq!(leaves.unwrap().unwrap().starts.len(), 1);
        assert_eq!(opened, 2);
    }

    #[test]
    fn missing_first_leaf_is_damage() {
        let temporary = tempfile::tempdir().unwrap();
        std::fs::create_dir(temporary.path().join("=b")).unwrap();
        assert!(Leaves::read(temporary.path().to_owned()).is_err());
        assert!(Leaves::read(temporary.path().join("absent")).unwrap().is_none());
    }
}
