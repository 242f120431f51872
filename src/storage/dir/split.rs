//! Leaves that grew are cut in two, leaves that became empty go: both under the bucket's lock, both
//! safe to be cut short.

use std::path::Path;

use super::fsync::{make_folder, sync_folder};
use super::io_error::Fault;
use super::leaf::{Leaf, Leaves, forget_moved, note_moved};
use super::name::folder_name;
use super::record::Stored;
use super::temporaries::Temporaries;

/// Keys from which on a leaf is cut in two: a page of 1000 then reads two or three leaves.
pub(super) const MOST_KEYS: usize = 1000;

/// Cuts the leaf in two if it has grown.
///
/// The upper half is linked into a new leaf, which appears, whole and durable, by one rename: that
/// is the instant at which those keys belong to it. Cut short before it, the new leaf is a
/// temporary; after it, the old names lie outside the range of their leaf and mean nothing.
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
    // Keys that share more than a file name can hold stay together.
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

/// Removes a leaf in which nothing is left. Its keys then belong to the leaf before it, where
/// leftovers of a split would come back to life: they are removed first.
pub(super) fn remove_if_bare(leaves: &Leaves, leaf: &Leaf) -> Result<(), Fault> {
    let Some(before) = leaves.before(leaf)? else { return Ok(()) };
    if leaf.is_bare()? {
        before.purge(leaves)?;
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
    use crate::domain::{BucketName, Key, ObjectName};
    use crate::storage::{
        Attributes, BucketAdmin as _, DirStore, ListRequest, ObjectStore as _, PutBody,
        PutCondition,
    };
    use futures::{StreamExt as _, TryStreamExt as _};
    use tempfile::TempDir;

    #[test]
    fn leaves_begin_with_the_shortest_text_that_tells_them_apart() {
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

    #[tokio::test]
    async fn a_leaf_that_grew_is_cut_in_two_and_bare_leaves_go() {
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

    /// Leaves "a" to "f" as a split at "d" does that is cut short after the new leaf appeared: the
    /// old names stay.
    async fn split_cut_short() -> Stored {
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
    async fn what_a_split_cut_short_left_behind_means_nothing() {
        let stored = split_cut_short().await;
        assert_eq!(stored.keys().await, ["a", "b", "d", "e", "f"]);
        stored.put("e", "new").await;
        stored.delete("f").await;
        assert_eq!(stored.read("e").await.as_deref(), Some("new"));
        assert_eq!(stored.read("f").await, None);
        assert_eq!(stored.keys().await, ["a", "b", "d", "e"]);
    }

    #[tokio::test]
    async fn what_a_split_cut_short_left_behind_does_not_come_back_to_life() {
        let stored = split_cut_short().await;
        for key in ["d", "e", "f"] {
            stored.delete(key).await;
        }
        assert_eq!(stored.leaves().all().unwrap().len(), 1);
        assert_eq!(stored.keys().await, ["a", "b"]);
        assert_eq!(stored.read("d").await, None);
    }

    #[tokio::test]
    async fn a_bucket_with_only_leftovers_is_empty() {
        let stored = split_cut_short().await;
        for key in ["a", "b", "d", "e"] {
            stored.delete(key).await;
        }
        assert_eq!(stored.keys().await, ["f"]);
        assert!(stored.store.delete_bucket(&stored.bucket).await.is_err());
        stored.delete("f").await;
        stored.store.delete_bucket(&stored.bucket).await.unwrap();
    }

    #[tokio::test]
    async fn a_write_cut_short_after_making_its_folders_is_in_nobodys_way() {
        let stored = Stored::with(&[]).await;
        let key = "k".repeat(600);
        let leaf = stored.leaves().of(&key).unwrap();
        make_parents(&leaf.folder, &crate::storage::dir::name::path_of(&key)).unwrap();
        assert!(stored.keys().await.is_empty());
        stored.store.delete_bucket(&stored.bucket).await.unwrap();
    }
}
