//! Leaves that grew are cut in two, leaves that became empty go: both under the bucket's lock, both safe to be cut short.

use std::path::Path;

use super::durable::{make_folder, sync_folder};
use super::fault::Fault;
use super::leaf::{Leaf, Leaves};
use super::name::folder_name;
use super::temporaries::Temporaries;

/// Keys from which on a leaf is cut in two: a page of 1000 then reads two or three leaves.
pub(super) const MOST_KEYS: usize = 1000;

/// Cuts the leaf in two if it has grown.
///
/// The upper half is linked into a new leaf, which appears, whole and durable, by one rename: that is the instant at which those
/// keys belong to it. Cut short before it, the new leaf is a temporary; after it, the old names lie outside the range of
/// their leaf and mean nothing.
pub(super) fn split_if_grown(leaves: &Leaves, leaf: &Leaf, temporaries: &Temporaries) -> Result<(), Fault> {
    leaf.purge()?;
    let keys = leaf.keys()?;
    let (lower, upper) = keys.split_at(keys.len() / 2);
    let (Some(last), Some(first)) = (lower.last(), upper.first()) else { return Ok(()) };
    // Keys that share more than a file name can hold stay together.
    let Some(name) = folder_name(shortest_between(last, first)) else { return Ok(()) };
    if keys.len() <= MOST_KEYS {
        return Ok(());
    }
    let new = temporaries.folder()?;
    for key in upper {
        let path = super::name::path_of(key);
        make_parents(new.path(), &path)?;
        std::fs::hard_link(leaf.folder.join(&path), new.path().join(&path))?;
    }
    sync_tree(new.path())?;
    std::fs::rename(new.path(), leaves.folder().join(name))?;
    let _renamed = new.keep();
    sync_folder(leaves.folder())?;
    leaf.remove(upper)
}

/// Removes a leaf in which nothing is left. Its keys then belong to the leaf before it, where leftovers of a split would
/// come back to life: they are removed first.
pub(super) fn remove_if_bare(leaves: &Leaves, leaf: &Leaf) -> Result<(), Fault> {
    let Some(before) = leaves.before(leaf) else { return Ok(()) };
    if leaf.is_bare()? {
        before.purge()?;
        std::fs::remove_dir(&leaf.folder)?;
        sync_folder(leaves.folder())?;
    }
    Ok(())
}

/// Makes the folders of a long name below `folder`. Says whether any was made.
pub(super) fn make_parents(folder: &Path, path: &Path) -> Result<bool, Fault> {
    let mut made = false;
    let mut parents: Vec<&Path> = path.ancestors().skip(1).collect();
    parents.pop();
    for parent in parents.into_iter().rev() {
        made |= make_folder(&folder.join(parent))?;
    }
    Ok(made)
}

/// The shortest byte string that is greater than `low` and not greater than `high`.
fn shortest_between<'a>(low: &str, high: &'a str) -> &'a [u8] {
    let shared = low.bytes().zip(high.bytes()).take_while(|(a, b)| a == b).count();
    high.as_bytes().get(..=shared).unwrap_or(high.as_bytes())
}

fn sync_tree(folder: &Path) -> Result<(), Fault> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())?;
        }
    }
    Ok(sync_folder(folder)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_begin_with_the_shortest_text_that_tells_them_apart() {
        assert_eq!(shortest_between("alpha", "beta"), b"b");
        assert_eq!(shortest_between("file-0499", "file-0500"), b"file-05");
        assert_eq!(shortest_between("a", "a/b"), b"a/");
        assert_eq!(shortest_between("\u{e9}", "\u{ea}"), "\u{ea}".as_bytes());
    }
}
