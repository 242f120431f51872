//! The leaves of a bucket: folders that each hold the objects of one range of keys, so that a page reads few of them.
//!
//! A leaf is named by the smallest key it may hold and ends where the next one begins. The names alone say which leaf a key
//! belongs to; files that lie in a leaf outside its range are leftovers of a split and mean nothing.

use std::io;
use std::path::{Path, PathBuf};

use crate::storage::listing::SortedKeys;

use super::durable::sync_folder;
use super::fault::Fault;
use super::name::{CUT, PIECE, WHOLE, of_folder_name, path_of, unescape};

/// All leaves of a bucket at one instant.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Leaves {
    folder: PathBuf,
    /// Where each leaf begins, in byte order; the first is empty.
    starts: Vec<Vec<u8>>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) folder: PathBuf,
    start: Vec<u8>,
    end: Option<Vec<u8>>,
}

impl Leaves {
    /// Reads them; `None` when there is no such folder, and so no such bucket.
    pub(super) fn read(folder: PathBuf) -> Result<Option<Self>, Fault> {
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            entries => entries.map_err(Fault::at(&folder))?,
        };
        let mut starts = Vec::new();
        for entry in entries {
            starts.extend(entry?.file_name().to_str().and_then(of_folder_name));
        }
        starts.sort_unstable();
        match starts.first() {
            Some(start) if start.is_empty() => Ok(Some(Self { folder, starts })),
            // While a bucket is being removed its leaves vanish before their folder does.
            _ if !folder.exists() => Ok(None),
            _ => Err(Fault::damaged(&folder, "the first leaf is missing")),
        }
    }

    fn index_of(&self, key: &[u8]) -> usize {
        self.starts.partition_point(|start| start.as_slice() <= key).saturating_sub(1)
    }

    fn leaf(&self, index: usize) -> Option<Leaf> {
        let start = self.starts.get(index)?.clone();
        let folder = self.folder.join(super::name::folder_name(&start)?);
        Some(Leaf { folder, start, end: self.starts.get(index + 1).cloned() })
    }

    /// The leaf this key belongs to.
    pub(super) fn of(&self, key: &str) -> Result<Leaf, Fault> {
        self.leaf(self.index_of(key.as_bytes())).ok_or_else(|| Fault::damaged(&self.folder, "there is no leaf"))
    }

    /// The leaf before this one; the first has none.
    pub(super) fn before(&self, leaf: &Leaf) -> Option<Leaf> {
        self.leaf(self.index_of(&leaf.start).checked_sub(1)?)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Leaf> + '_ {
        (0..self.starts.len()).filter_map(|index| self.leaf(index))
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Leaf {
    pub(super) fn path_of(&self, key: &str) -> PathBuf {
        self.folder.join(path_of(key))
    }

    fn holds(&self, key: &str) -> bool {
        key.as_bytes() >= self.start.as_slice() && self.end.as_deref().is_none_or(|end| key.as_bytes() < end)
    }

    /// Its keys, in order.
    pub(super) fn keys(&self) -> Result<Vec<String>, Fault> {
        let mut keys = self.files()?;
        keys.retain(|key| self.holds(key));
        keys.sort_unstable();
        Ok(keys)
    }

    /// Removes, durably, what a split or a write that was cut short left behind. Gives its keys, in order.
    pub(super) fn purge(&self) -> Result<Vec<String>, Fault> {
        let (mut keys, leftovers): (Vec<_>, Vec<_>) = self.files()?.into_iter().partition(|key| self.holds(key));
        if !leftovers.is_empty() {
            self.remove(&leftovers)?;
            sync_folder(&self.folder)?;
        }
        remove_empty_folders(&self.folder).map_err(Fault::at(&self.folder))?;
        keys.sort_unstable();
        Ok(keys)
    }

    pub(super) fn remove(&self, keys: &[String]) -> Result<(), Fault> {
        for key in keys {
            let path = self.path_of(key);
            std::fs::remove_file(&path).map_err(Fault::at(&path))?;
            self.prune(&path);
        }
        Ok(())
    }

    /// Removes the folders of long names that became empty. Gives the folder that is left.
    pub(super) fn prune<'a>(&self, path: &'a Path) -> &'a Path {
        let mut folder = path.parent().unwrap_or(path);
        while folder != self.folder && std::fs::remove_dir(folder).is_ok() {
            folder = folder.parent().unwrap_or(folder);
        }
        folder
    }

    /// Whether nothing at all is left in it.
    pub(super) fn is_bare(&self) -> Result<bool, Fault> {
        Ok(std::fs::read_dir(&self.folder).map_err(Fault::at(&self.folder))?.next().is_none())
    }

    /// The number of entries in it, whatever they are, but for the folders of long names.
    pub(super) fn count_of_files(&self) -> Result<usize, Fault> {
        count(&self.folder).map_err(Fault::at(&self.folder))
    }

    /// The keys of all files in it, also of those out of its range. Names this store never gives are not its objects.
    fn files(&self) -> Result<Vec<String>, Fault> {
        let mut keys = Vec::new();
        collect(&self.folder, "", &mut keys).map_err(Fault::at(&self.folder))?;
        Ok(keys)
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

fn collect(folder: &Path, before: &str, keys: &mut Vec<String>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let Some(name) = name.to_str() else { continue };
        if let Some(last) = name.strip_prefix(WHOLE) {
            let escaped = format!("{before}{last}");
            keys.extend(unescape(&escaped).and_then(|bytes| String::from_utf8(bytes).ok()));
        } else if let Some(piece) = name.strip_prefix(CUT).filter(|piece| piece.len() == PIECE) {
            match collect(&folder.join(name), &format!("{before}{piece}"), keys) {
                // Removed meanwhile with the last object in it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                collected => collected?,
            }
        }
    }
    Ok(())
}

/// Removes the folders of long names in which no object lies.
fn remove_empty_folders(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(CUT)) && entry.file_type()?.is_dir() {
            remove_empty_folders(&entry.path())?;
            match std::fs::remove_dir(entry.path()) {
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                removed => removed?,
            }
        }
    }
    Ok(())
}

/// The keys of a bucket, of which one leaf at a time is read.
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
        let mut index = self.leaves.index_of(from);
        while let Some(leaf) = self.leaves.leaf(index) {
            let keys = match self.loaded.take() {
                Some((loaded, keys)) if loaded == index => keys,
                _ => leaf.keys()?,
            };
            let found = keys.get(keys.partition_point(|key| key.as_bytes() < from)).cloned();
            self.loaded = Some((index, keys));
            if found.is_some() {
                return Ok(found);
            }
            index += 1;
        }
        Ok(None)
    }
}
