//! Splits leaves that have grown and deletes empty ones, both under the bucket's lock and both safe
//! to interrupt.

use std::path::Path;

use super::fsync::{make_folder, sync_folder};
use super::io_error::Fault;
use super::leaf::{Leaf, Leaves, forget_moved, note_moved};
use super::name::folder_name;
use super::record::Stored;
use super::temporaries::Temporaries;

/// The maximum number of keys in a leaf before a split: a page of 1000 then reads two or three
/// leaves.
pub(super) const MOST_KEYS: usize = 1000;

/// Splits the leaf in two if it has grown.
///
/// The upper half is linked into a new leaf, which appears, complete and durable, by one rename:
/// from that instant those keys belong to it. If interrupted before the rename, the new leaf is a
/// temporary; after it, the old names lie outside the range of their leaf and are ignored.
pub(super) fn split_if_grown(
    leaves: &Leaves,
    leaf: &Leaf,
    temporaries: &Temporaries,
) -> Result<(), Fault> {
    let keys = leaf.purge(leaves)?;
    if keys.len() <= MOST_KEYS {
        return Ok(());
    }
    let (lower, upper) = keys.split_at(keys.len() / 2);
    let (Some(last), Some(first)) = (lower.last(), upper.first()) else { return Ok(()) };
    // Keys that share a longer prefix than a file name can hold stay together.
    let Some(name) = folder_name(shortest_between(last, first)) else { return Ok(()) };
    let new = temporaries.folder()?;
    let mut tags = Vec::with_capacity(upper.len());
    for key in upper {
        let path = super::name::path_of(key);
        make_parents(new.path(), &path)?;
        std::fs::hard_link(leaf.folder.join(&path), new.path().join(&path))?;
        tags.extend(
            Stored::at(&leaf.folder.join(&path), key)?.map(|stored| stored.etag().0.clone()),
        );
    }
    note_moved(new.path(), &tags)?;
    sync_tree(new.path())?;
    let split_off = leaves.folder().join(name);
    std::fs::rename(new.path(), &split_off)?;
    let _renamed = new.keep();
    sync_folder(leaves.folder())?;
    leaf.remove(upper)?;
    sync_folder(&leaf.folder)?;
    forget_moved(&split_off)
}

/// Deletes an empty leaf. Its keys then belong to the leaf before it, where leftovers of a split
/// would reappear, so those are deleted first.
pub(super) fn remove_if_bare(leaves: &Leaves, leaf: &Leaf) -> Result<(), Fault> {
    let Some(before) = leaves.before(leaf)? else { return Ok(()) };
    if leaf.is_bare()? {
        before.purge(leaves)?;
        std::fs::remove_dir(&leaf.folder)?;
        sync_folder(leaves.folder())?;
    }
    Ok(())
}

/// Creates the directories of a long name below `folder`. Returns whether any was missing.
pub(super) fn make_parents(folder: &Path, path: &Path) -> Result<bool, Fault> {
    let mut made = false;
    let mut parents: Vec<&Path> = path.ancestors().skip(1).collect();
    parents.pop();
    for parent in parents.into_iter().rev() {
        made |= make_folder(&folder.join(parent))?;
    }
    Ok(made)
}

/// Returns the shortest byte string that is greater than `low` and not greater than `high`.
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
    use crate::domain::{BucketName, Key, ObjectName};
    use crate::storage::{
        Attributes, BucketAdmin as _, DirStore, ListRequest, ObjectStore as _, PutBody,
        PutCondition,
    };
    use futures::{StreamExt as _, TryStreamExt as _};
    use tempfile::TempDir;

    /// A new leaf is named by the shortest text that separates the two halves.
    #[test]
    fn leaf_starts_are_short() {
        assert_eq!(shortest_between("alpha", "beta"), b"b");
        assert_eq!(shortest_between("file-0499", "file-0500"), b"file-05");
        assert_eq!(shortest_between("a", "a/b"), b"a/");
        assert_eq!(shortest_between("\u{e9}", "\u{ea}"), "\u{ea}".as_bytes());
    }

    struct Stored {
        store: DirStore,
        bucket: BucketName,
        folder: TempDir,
    }

    impl Stored {
        async fn with(keys: &[String]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = DirStore::open(folder.path()).unwrap();
            let bucket = BucketName::new("bucket").unwrap();
            store.create_bucket(&bucket).await.unwrap();
            let stored = Self { store, bucket, folder };
            let puts = keys.iter().map(|key| stored.put(key, key));
            futures::stream::iter(puts).buffer_unordered(8).collect::<()>().await;
            stored
        }

        fn object(&self, key: &str) -> ObjectName {
            ObjectName::new(self.bucket.clone(), Key::new(key).unwrap())
        }

        async fn put(&self, key: &str, content: &str) {
            let body = PutBody::from_bytes(content.to_owned());
            self.store
                .put(&self.object(key), body, &Attributes::default(), &PutCondition::None.into())
                .await
                .unwrap();
        }

        async fn delete(&self, key: &str) {
            self.store.delete(&self.object(key), None).await.unwrap();
        }

        async fn read(&self, key: &str) -> Option<String> {
            let body = self.store.get(&self.object(key), None).await.ok()?;
            let content: Vec<u8> =
                body.stream.map_ok(|piece| piece.to_vec()).try_concat().await.unwrap();
            Some(String::from_utf8(content).unwrap())
        }

        async fn keys(&self) -> Vec<String> {
            let (mut keys, mut request) = (Vec::new(), ListRequest::default());
            loop {
                let page = self.store.list(&self.bucket, &request).await.unwrap();
                keys.extend(page.objects.into_iter().map(|object| object.key.as_str().to_owned()));
                request.continuation = page.continuation;
                if request.continuation.is_none() {
                    return keys;
                }
            }
        }

        fn leaves(&self) -> Leaves {
            Leaves::read(self.folder.path().join("buckets/=bucket/leaves")).unwrap().unwrap()
        }
    }

    /// A leaf with more than [`MOST_KEYS`] keys is split; empty leaves are deleted.
    #[tokio::test]
    async fn leaves_split_and_vanish() {
        let long = "long/".repeat(120);
        let mut keys: Vec<String> = (0..1300).map(|n| format!("key {n:04}")).collect();
        keys.extend((0..100).map(|n| format!("{long}{n:03}")));
        let stored = Stored::with(&keys).await;
        assert!(stored.leaves().all().unwrap().len() >= 2, "1400 keys in one leaf");
        assert!(
            stored.leaves().all().unwrap().iter().all(|leaf| leaf.keys().unwrap().len() < 1300)
        );
        keys.sort();
        assert_eq!(stored.keys().await, keys);
        for key in &keys {
            assert_eq!(stored.read(key).await.as_ref(), Some(key));
        }
        for key in &keys {
            stored.delete(key).await;
        }
        assert_eq!(stored.leaves().all().unwrap().len(), 1, "bare leaves are left");
        assert!(stored.keys().await.is_empty());
        stored.store.delete_bucket(&stored.bucket).await.unwrap();
    }

    /// Stores objects "a" to "f" in the state of a split at "d" that was interrupted after the new
    /// leaf appeared: the old names are still there.
    async fn interrupted_split() -> Stored {
        let stored = Stored::with(&["a", "b", "d", "e", "f"].map(str::to_owned)).await;
        let folder = stored.leaves().folder().to_owned();
        std::fs::create_dir(folder.join("=d")).unwrap();
        let mut tags = Vec::new();
        for name in ["=d", "=e", "=f"] {
            std::fs::hard_link(folder.join("=").join(name), folder.join("=d").join(name)).unwrap();
            let stored =
                crate::storage::dir::record::Stored::at(&folder.join("=").join(name), &name[1..])
                    .unwrap()
                    .unwrap();
            tags.push(stored.etag().0.clone());
        }
        note_moved(&folder.join("=d"), &tags).unwrap();
        stored
    }

    #[tokio::test]
    async fn split_leftovers_are_ignored() {
        let stored = interrupted_split().await;
        assert_eq!(stored.keys().await, ["a", "b", "d", "e", "f"]);
        stored.put("e", "new").await;
        stored.delete("f").await;
        assert_eq!(stored.read("e").await.as_deref(), Some("new"));
        assert_eq!(stored.read("f").await, None);
        assert_eq!(stored.keys().await, ["a", "b", "d", "e"]);
    }

    /// Not even when the new leaf becomes empty and is deleted.
    #[tokio::test]
    async fn split_leftovers_never_reappear() {
        let stored = interrupted_split().await;
        for key in ["d", "e", "f"] {
            stored.delete(key).await;
        }
        assert_eq!(stored.leaves().all().unwrap().len(), 1);
        assert_eq!(stored.keys().await, ["a", "b"]);
        assert_eq!(stored.read("d").await, None);
    }

    #[tokio::test]
    async fn bucket_of_leftovers_is_empty() {
        let stored = interrupted_split().await;
        for key in ["a", "b", "d", "e"] {
            stored.delete(key).await;
        }
        assert_eq!(stored.keys().await, ["f"]);
        assert!(stored.store.delete_bucket(&stored.bucket).await.is_err());
        stored.delete("f").await;
        stored.store.delete_bucket(&stored.bucket).await.unwrap();
    }

    /// A write that was interrupted after it created its directories leaves the bucket empty.
    #[tokio::test]
    async fn cut_write_blocks_nothing() {
        let stored = Stored::with(&[]).await;
        let key = "k".repeat(600);
        let leaf = stored.leaves().of(&key).unwrap();
        make_parents(&leaf.folder, &crate::storage::dir::name::path_of(&key)).unwrap();
        assert!(stored.keys().await.is_empty());
        stored.store.delete_bucket(&stored.bucket).await.unwrap();
    }
}
