//! Memory freed by the cache: it contains no opened chunk and no key.
#![allow(unsafe_code, reason = "an allocator that inspects freed blocks")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::OsString;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use deltaglider::cache::{CacheKey, CacheSettings, FolderCache, MemoryCache, ReferenceCache};
use deltaglider::domain::Sha256Digest;

use crate::stage::{LIMITS, keep};
use crate::support::noise;

/// Eight bytes to search for in freed blocks, by slot; 0 for none.
static WANTED: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];
/// The number of freed blocks that contained them, by slot.
static FOUND: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];

/// The system's allocator, with a search of each freed block.
struct Watching;

// SAFETY: all calls are passed to the system's allocator. A block is inspected before it is freed,
// while it is still valid.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller upholds the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, freed: *mut u8, layout: Layout) {
        for (wanted, found) in WANTED.iter().zip(&FOUND) {
            let wanted = wanted.load(Ordering::Relaxed);
            if wanted != 0 && layout.size() >= 8 {
                for at in 0..=layout.size() - 8 {
                    // SAFETY: the eight bytes are within the block.
                    if unsafe { freed.add(at).cast::<u64>().read_unaligned() } == wanted {
                        found.fetch_add(1, Ordering::Relaxed);
                        break;
                    }
                }
            }
        }
        // SAFETY: the caller upholds the contract.
        unsafe { System.dealloc(freed, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// Returns the number of blocks with these bytes that `work` frees. Each use has its own slot,
/// since tests run in parallel.
fn freed_with(slot: usize, bytes: &[u8], work: impl FnOnce()) -> usize {
    let wanted = u64::from_ne_bytes(bytes[..8].try_into().unwrap());
    WANTED[slot].store(wanted, Ordering::SeqCst);
    work();
    WANTED[slot].store(0, Ordering::SeqCst);
    FOUND[slot].swap(0, Ordering::SeqCst)
}

#[test]
fn opened_chunks_are_wiped() {
    let folder = tempfile::tempdir().unwrap();
    let content = noise(300_000, 0x5ec2e7);
    let (mut whole, mut part) = (vec![0; content.len()], vec![0; 100]);
    let digest = Sha256Digest::of(&content);
    for cache in [
        Box::new(FolderCache::ephemeral(folder.path(), LIMITS).unwrap()) as Box<dyn ReferenceCache>,
        Box::new(MemoryCache::new(LIMITS, folder.path()).unwrap()),
    ] {
        // Bytes of a chunk that is read in part, outside of the part read.
        let freed = freed_with(0, &content[70_000..], || {
            drop(keep(&*cache, &content));
            let reference = cache.get(&digest).unwrap();
            reference.read_at(0, &mut whole).unwrap();
            for offset in [100, 66_000, 140_000, 200_000, 262_200, 66_100] {
                reference.read_at(offset, &mut part).unwrap();
            }
            drop(reference);
            drop(cache);
        });
        assert_eq!(freed, 0, "blocks of plain text were freed");
    }
    assert!(whole == content);
    // Positive control: the search finds a block that is not wiped.
    assert_eq!(freed_with(0, &content[70_000..], || drop(content.clone())), 1);
}

/// Reads the key of a shared cache from the settings, and uses that cache.
fn use_a_key(text: &str) {
    let folder = tempfile::tempdir().unwrap();
    let settings = |name: &str| -> Option<OsString> {
        // The cache cannot wipe the environment's own copy, so this one is never freed.
        let text: &'static str = Box::leak(format!(" {text}").into_boxed_str());
        match name {
            "DG_CACHE_ENCRYPTION_KEY" => Some(OsString::from(text)),
            "DG_CACHE_DIR" => Some(folder.path().into()),
            _ => None,
        }
    };
    let read = CacheSettings::read(&settings).unwrap();
    let CacheSettings::Persistent { folder, key, limits, .. } = read else {
        unreachable!("{read:?}")
    };
    let cache = FolderCache::persistent(&folder, &key, limits, &folder).unwrap();
    drop(keep(&cache, b"content"));
}

#[test]
fn keys_are_wiped() {
    let text = "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k=";
    let raw = [0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89];
    // A value created on the stack where a key was would copy the key in its padding; the stack
    // layout varies, hence the rounds.
    for round in 0..30 {
        assert_eq!(
            freed_with(1, &raw, || use_a_key(text)),
            0,
            "blocks with the key were freed in round {round}"
        );
    }
    assert_eq!(
        freed_with(2, text.as_bytes(), || use_a_key(text)),
        0,
        "blocks with the key's text were freed"
    );
    // Positive controls: the searches find blocks that are not wiped.
    assert_eq!(freed_with(1, &raw, || drop(Box::new(raw))), 1);
    assert_eq!(freed_with(2, text.as_bytes(), || drop(text.to_owned())), 1);
    drop(CacheKey::parse(text).unwrap());
}
