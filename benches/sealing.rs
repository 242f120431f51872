//! Benchmark of sealing: an 80 MB reference written into the cache and read back, compared with
//! plain files with a SHA-256 (a cache without encryption).
//!
//! `cargo bench --bench sealing`: 9 rounds, each of which measures every case once, and the
//! medians. A directory in memory (`/dev/shm`, else `TMPDIR`) excludes the disk.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::fs::File;
use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use deltaglider::cache::{CachedReference, FolderCache, Limits, MemoryCache, ReferenceCache};
use deltaglider::domain::{Sha256Digest, Sha256Hasher};

const LEN: usize = 80_000_000;
const ROUNDS: usize = 9;
/// Bytes of a piece, about as many as a store delivers at once.
const PIECE: usize = 1 << 16;

fn noise(len: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.rotate_left(17).to_le_bytes()
    };
    (0..len.div_ceil(8)).flat_map(|_| next()).take(len).collect()
}

fn plain_write(path: &Path, content: &[u8]) {
    let (mut file, mut hasher) = (File::create(path).unwrap(), Sha256Hasher::default());
    for piece in content.chunks(PIECE) {
        hasher.update(piece);
        file.write_all(piece).unwrap();
    }
    black_box(hasher.finish());
}

fn plain_read(path: &Path) {
    let (mut file, mut hasher) = (File::open(path).unwrap(), Sha256Hasher::default());
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece).unwrap() {
            0 => break,
            len => hasher.update(piece.get(..len).unwrap()),
        }
    }
    black_box(hasher.finish());
}

fn sealed_write(
    cache: &dyn ReferenceCache,
    digest: &Sha256Digest,
    content: &[u8],
) -> CachedReference {
    let mut writer = cache.begin(digest, content.len() as u64).unwrap();
    for piece in content.chunks(PIECE) {
        writer.write(piece).unwrap();
    }
    writer.publish().unwrap()
}

/// Reads the whole reference in `threads` threads, each of which reads one part.
fn sealed_read(reference: &CachedReference, threads: usize) {
    let part = LEN.div_ceil(threads).next_multiple_of(PIECE);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let mut piece = vec![0; PIECE];
                for at in (thread * part..LEN.min((thread + 1) * part)).step_by(PIECE) {
                    black_box(reference.read_at(at as u64, &mut piece).unwrap());
                }
            });
        }
    });
}

fn main() {
    let shared_memory = Path::new("/dev/shm");
    let parent =
        if shared_memory.is_dir() { shared_memory.to_owned() } else { std::env::temp_dir() };
    let folder = tempfile::tempdir_in(parent).unwrap();
    let limits = Limits { bytes: 1 << 30, ttl: Duration::from_secs(3600) };
    let content = noise(LEN);
    let digest = Sha256Digest::of(&content);
    let path = folder.path().join("plain");
    let mut times: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for _ in 0..ROUNDS {
        let mut timed = |what: &'static str, run: &mut dyn FnMut()| {
            let begun = Instant::now();
            run();
            times.entry(what).or_default().push(begun.elapsed());
        };
        timed("plain write", &mut || plain_write(&path, &content));
        timed("plain read", &mut || plain_read(&path));
        std::fs::remove_file(&path).unwrap();
        // A new cache each time: an entry that already exists would not be written.
        let files = FolderCache::ephemeral(folder.path(), limits).unwrap();
        let mut kept = None;
        timed("files: write", &mut || kept = Some(sealed_write(&files, &digest, &content)));
        timed("files: read, 1 thread", &mut || sealed_read(kept.as_ref().unwrap(), 1));
        timed("files: read, 2 threads", &mut || sealed_read(kept.as_ref().unwrap(), 2));
        timed("files: open", &mut || drop(files.get(&digest).unwrap()));
        drop((kept, files));
        let memory = MemoryCache::new(limits, folder.path()).unwrap();
        let mut kept = None;
        timed("memory: write", &mut || kept = Some(sealed_write(&memory, &digest, &content)));
        timed("memory: read, 1 thread", &mut || sealed_read(kept.as_ref().unwrap(), 1));
    }
    let median = |what: &str| {
        let mut all = times.get(what).unwrap().clone();
        all.sort();
        *all.get(ROUNDS / 2).unwrap()
    };
    println!("{LEN} bytes, median of {ROUNDS}");
    for what in times.keys() {
        let beside = if what.contains("write") { "plain write" } else { "plain read" };
        let ratio = median(what).as_secs_f64() / median(beside).as_secs_f64();
        println!(
            "{what:<24} {:>8.2} ms  {ratio:>5.2} of {beside}",
            median(what).as_secs_f64() * 1000.0
        );
    }
}
