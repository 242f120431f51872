//! One conformance suite for every cache, whatever stores its entries.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::*;

const LIMITS: Limits = Limits { bytes: 1 << 20, ttl: Duration::from_secs(3600) };

fn content(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|at| (at as u32).wrapping_mul(2_654_435_761).to_be_bytes()[1] ^ seed).collect()
}

fn keep(cache: &dyn ReferenceCache, content: &[u8]) -> CachedReference {
    let mut writer = cache.begin(&Sha256Digest::of(content), content.len() as u64).unwrap();
    content.chunks(50_000).for_each(|piece| writer.write(piece).unwrap());
    writer.publish().unwrap()
}

fn read(reference: &CachedReference) -> Vec<u8> {
    let mut bytes = vec![0; reference.len().unwrap() as usize];
    assert_eq!(reference.read_at(0, &mut bytes).unwrap(), bytes.len());
    bytes
}

fn in_each_cache(check: impl Fn(&dyn ReferenceCache, bool)) {
    let folder = tempfile::tempdir().unwrap();
    let key = CacheKey::random().unwrap();
    let path = folder.path();
    check(&WorkingCopies::new(path.to_owned()), false);
    check(&WorkingCopies::new(path.to_owned()).with_memory(1 << 20), false);
    check(&MemoryCache::new(LIMITS, path).unwrap(), true);
    check(&FolderCache::ephemeral(path, LIMITS).unwrap(), true);
    check(&FolderCache::persistent(&path.join("shared"), &key, LIMITS, path).unwrap(), true);
}

/// A published reference is readable by position while held, and the cache finds it again.
#[test]
fn kept_reference_is_found_again() {
    in_each_cache(|cache, keeps| {
        for len in [0, 1, 65_536, 200_000] {
            let content = content(len, 1);
            let digest = Sha256Digest::of(&content);
            assert!(cache.get(&digest).is_none());
            let reference = keep(cache, &content);
            assert!(read(&reference) == content);
            let mut part = [0; 10];
            let n = reference.read_at(len as u64 / 2, &mut part).unwrap();
            assert_eq!(part[..n], content[len / 2..][..n]);
            drop(reference);
            assert_eq!(
                cache.get(&digest).map(|found| read(&found) == content),
                keeps.then_some(true),
                "{cache:?}"
            );
        }
        assert_eq!(
            (cache.counts().hits, cache.counts().misses),
            if keeps { (4, 4) } else { (0, 8) }
        );
        assert_eq!(cache.counts().damaged, 0);
    });
}

/// Content of another digest or length is neither returned nor found later.
#[test]
fn wrong_bytes_are_rejected() {
    in_each_cache(|cache, _| {
        let digest = Sha256Digest::of(b"reference");
        for (bytes, len) in [(b"other....", 9), (b"reference", 8), (b"reference", 10)] {
            let mut writer = cache.begin(&digest, len).unwrap();
            writer.write(&bytes[..4]).unwrap();
            writer.write(&bytes[4..]).unwrap();
            match writer.publish().map(|_| ()) {
                Err(CacheError::Mismatch { expected, actual }) if len == 9 => {
                    assert_eq!((expected, actual), (digest, Sha256Digest::of(b"other....")));
                }
                Err(CacheError::Length { expected, actual: 9 }) => assert_eq!(expected, len),
                done => panic!("{done:?}"),
            }
            assert!(cache.get(&digest).is_none());
        }
        // A writer dropped before it is complete.
        drop(cache.begin(&digest, 9).unwrap());
        assert!(cache.get(&digest).is_none());
    });
}

/// Content over the limit is readable while held, is not kept, and evicts nothing.
#[test]
fn oversized_content_is_readable() {
    in_each_cache(|cache, keeps| {
        let small = content(1000, 1);
        keep(cache, &small);
        let large = content(2 << 20, 2);
        assert!(read(&keep(cache, &large)) == large);
        assert!(cache.get(&Sha256Digest::of(&large)).is_none());
        assert_eq!(
            cache.get(&Sha256Digest::of(&small)).is_some(),
            keeps,
            "oversized content evicts nothing"
        );
    });
}

/// Eviction takes the least recently used entry, and never one in use.
#[test]
fn least_recently_used_is_evicted() {
    in_each_cache(|cache, keeps| {
        if !keeps {
            return;
        }
        let contents: Vec<Vec<u8>> = (0..4).map(|seed| content(300_000, seed)).collect();
        let held = |index: usize| cache.get(&Sha256Digest::of(&contents[index]));
        contents[..3].iter().for_each(|content| drop(keep(cache, content)));
        let first = held(0).unwrap();
        drop(held(1).unwrap());
        drop(keep(cache, &contents[3]));
        assert!(held(2).is_none(), "least recently used");
        assert!(held(1).is_some() && held(3).is_some());
        drop(keep(cache, &contents[2]));
        assert!(
            read(&first) == contents[0] && held(0).is_some(),
            "in use, though least recently used"
        );
        assert_eq!(cache.counts().removed, 2);
        // All entries are in use: new content is readable, and nothing is evicted.
        let all: Vec<CachedReference> = (0..4).filter_map(held).collect();
        let another = content(300_000, 9);
        assert!(read(&keep(cache, &another)) == another);
        assert!(cache.get(&Sha256Digest::of(&another)).is_none());
        assert_eq!(all.len(), 3);
    });
}

#[test]
fn threads_share_one_cache() {
    in_each_cache(|cache, _| {
        std::thread::scope(|scope| {
            for thread in 0..4_u8 {
                scope.spawn(move || {
                    for round in 0..12 {
                        let content = content(150_000, (thread + round) % 9);
                        let found = cache
                            .get(&Sha256Digest::of(&content))
                            .unwrap_or_else(|| keep(cache, &content));
                        assert!(read(&found) == content);
                    }
                });
            }
        });
        assert_eq!(cache.counts().damaged, 0);
    });
}

/// An expired entry stays readable while held, and is deleted when released.
#[test]
fn expired_entry_is_not_found() {
    let folder = tempfile::tempdir().unwrap();
    let (path, limits) = (folder.path(), Limits { ttl: Duration::ZERO, ..LIMITS });
    let key = CacheKey::random().unwrap();
    let caches: [Arc<dyn ReferenceCache>; 3] = [
        Arc::new(MemoryCache::new(limits, path).unwrap()),
        Arc::new(FolderCache::ephemeral(path, limits).unwrap()),
        Arc::new(FolderCache::persistent(&path.join("shared"), &key, limits, path).unwrap()),
    ];
    let held: Vec<CachedReference> =
        caches.iter().map(|cache| keep(&**cache, b"reference")).collect();
    std::thread::sleep(Duration::from_millis(1100));
    for (cache, held) in caches.iter().zip(held) {
        assert!(cache.get(&Sha256Digest::of(b"reference")).is_none());
        assert_eq!(read(&held), b"reference", "a holder keeps reading");
        drop(held);
        assert!(cache.get(&Sha256Digest::of(b"reference")).is_none());
        assert_eq!(
            (cache.counts().removed, cache.counts().damaged),
            (1, 0),
            "deleted when released"
        );
    }
}

/// A cache of one process leaves no file behind, not even of an unfinished writer.
#[test]
fn process_exit_leaves_no_files() {
    let folder = tempfile::tempdir().unwrap();
    let names = |path: &Path| std::fs::read_dir(path).unwrap().count();
    in_each_cache_below(folder.path(), |cache| {
        drop(keep(cache, &content(100_000, 3)));
        let _unfinished = cache.begin(&Sha256Digest::of(b"x"), 1).unwrap();
    });
    assert_eq!(names(folder.path()), 0);
}

fn in_each_cache_below(path: &Path, check: impl Fn(&dyn ReferenceCache)) {
    check(&WorkingCopies::new(path.to_owned()));
    check(&MemoryCache::new(LIMITS, path).unwrap());
    check(&FolderCache::ephemeral(path, LIMITS).unwrap());
}

/// Without a cache, references are held in memory up to the limit, and lent there.
#[test]
fn working_copies_in_memory_have_limit() {
    let folder = tempfile::tempdir().unwrap();
    let copies = WorkingCopies::new(folder.path().to_owned()).with_memory(100);
    let (first, second) = (content(60, 1), content(60, 2));
    let held = keep(&copies, &first);
    assert_eq!(held.bytes(), Some(&first[..]));
    let in_file = keep(&copies, &second);
    assert!(in_file.bytes().is_none() && read(&in_file) == second);
    drop(held);
    assert_eq!(keep(&copies, &second).bytes(), Some(&second[..]));
}

#[test]
fn memory_is_counted_to_the_byte() {
    let folder = tempfile::tempdir().unwrap();
    let cache = MemoryCache::new(LIMITS, folder.path()).unwrap();
    let stored = |len: u64| 135 + len + 16 * len.div_ceil(16_384).max(1);
    drop(keep(&cache, &content(100_000, 1)));
    drop(keep(&cache, &content(100_000, 1)));
    assert_eq!(cache.taken(), stored(100_000), "one entry for one content");
    let writer = cache.begin(&Sha256Digest::of(b"x"), 5).unwrap();
    assert_eq!(cache.taken(), stored(100_000) + stored(5));
    drop(writer);
    drop(keep(&cache, b""));
    assert_eq!(cache.taken(), stored(100_000) + stored(0));
}
