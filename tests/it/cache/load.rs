//! Load test of a cache in memory: 64 tasks write, hold, read, abandon and replace references. The
//! cache never exceeds its limit, and finally accounts for exactly the entries it holds.
//!
//! `scripts/cache-load` runs it for a minute.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use deltaglider::cache::{CacheError, CachedReference, Limits, MemoryCache, ReferenceCache};
use deltaglider::domain::Sha256Digest;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

const TASKS: u64 = 64;
const LIMIT: u64 = 4 << 20;
/// A task without progress for this long is stuck.
const STUCK: Duration = Duration::from_secs(30);

/// Returns the bytes of an entry: header, chunks of 64 KiB, a tag for each (docs/cache.md,
/// "Format").
fn stored_len(len: usize) -> u64 {
    (135 + len + 16 * len.div_ceil(1 << 14).max(1)) as u64
}

struct Content {
    bytes: Vec<u8>,
    digest: Sha256Digest,
}

/// Returns contents that do not fit at once, from an empty one to one over the limit.
fn contents(random: &mut SmallRng) -> Vec<Content> {
    let lens = (0..48).map(|n| match n {
        0 => 0,
        1 => 1,
        2 => 1 << 16,
        3 => LIMIT as usize + 1,
        _ => random.random_range(1..600_000),
    });
    let content = |len: usize| {
        let mut bytes = vec![0; len];
        random_bytes(len as u64, &mut bytes);
        Content { digest: Sha256Digest::of(&bytes), bytes }
    };
    lens.collect::<Vec<usize>>().into_iter().map(content).collect()
}

fn random_bytes(seed: u64, bytes: &mut [u8]) {
    rand::Rng::fill_bytes(&mut SmallRng::seed_from_u64(seed), bytes);
}

/// The state of one task.
struct Task {
    cache: MemoryCache,
    contents: Arc<Vec<Content>>,
    random: SmallRng,
    held: Vec<(usize, CachedReference)>,
}

impl Task {
    fn step(&mut self) {
        let which = self.random.random_range(0..self.contents.len());
        match self.random.random_range(0..10) {
            0..4 => self
                .held
                .extend(self.cache.get(&self.contents[which].digest).map(|found| (which, found))),
            4..6 => self.keep(which),
            6 => self.fail_to_keep(which),
            _ => drop(self.held.pop()),
        }
        if self.held.len() > 3 {
            self.held.remove(0);
        }
        self.read();
    }

    fn keep(&mut self, which: usize) {
        let Content { bytes, digest } = &self.contents[which];
        let mut writer = self.cache.begin(digest, bytes.len() as u64).unwrap();
        let piece = self.random.random_range(1..300_000);
        bytes.chunks(piece).for_each(|piece| writer.write(piece).unwrap());
        self.held.push((which, writer.publish().unwrap()));
    }

    /// Abandons a reference half-way, or writes other bytes than announced.
    fn fail_to_keep(&mut self, which: usize) {
        let Content { bytes, digest } = &self.contents[which];
        let mut writer = self.cache.begin(digest, bytes.len() as u64).unwrap();
        writer.write(&bytes[..bytes.len() / 2]).unwrap();
        if self.random.random_bool(0.5) {
            return;
        }
        let wrong = vec![1; self.random.random_range(bytes.len() / 2 + 1..bytes.len() + 100_000)];
        writer.write(&wrong).unwrap();
        let rejected = writer.publish().map(drop);
        assert!(
            matches!(rejected, Err(CacheError::Mismatch { .. } | CacheError::Length { .. })),
            "{rejected:?}"
        );
    }

    fn read(&mut self) {
        let Some((which, reference)) = self.held.last() else { return };
        let expected = &self.contents[*which].bytes;
        assert_eq!(reference.len(), Some(expected.len() as u64));
        let at = self.random.random_range(0..=expected.len());
        let mut read = vec![0; self.random.random_range(0..200_000)];
        let n = reference.read_at(at as u64, &mut read).unwrap();
        assert!(read[..n] == expected[at..(at + read.len()).min(expected.len())]);
    }
}

/// The cache never exceeds its limit, and finally counts exactly the bytes of its entries.
#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_within_limit() {
    let setting =
        |name: &str, or: u64| std::env::var(name).map_or(or, |value| value.parse().unwrap());
    let (seconds, seed) = (setting("DGTEST_SECONDS", 2), setting("DGTEST_SEED", 1));
    let spill = tempfile::tempdir().unwrap();
    let limits = Limits { bytes: LIMIT, ttl: Duration::from_secs(3600) };
    let cache = MemoryCache::new(limits, spill.path()).unwrap();
    let contents = Arc::new(contents(&mut SmallRng::seed_from_u64(seed)));
    let over = Arc::new(AtomicBool::new(false));
    let steps: Arc<Vec<AtomicU64>> = Arc::new((0..TASKS).map(|_| AtomicU64::new(0)).collect());
    let tasks = (0..TASKS).map(|number| {
        let random = SmallRng::seed_from_u64(seed << 8 | number);
        let mut task =
            Task { cache: cache.clone(), contents: contents.clone(), random, held: Vec::new() };
        let (over, steps) = (over.clone(), steps.clone());
        tokio::task::spawn_blocking(move || {
            while !over.load(Ordering::Relaxed) {
                task.step();
                steps[number as usize].fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    let tasks: Vec<_> = tasks.collect();

    let (begun, mut looks, mut most) = (Instant::now(), 0u64, 0);
    let mut progress = vec![(0, Instant::now()); TASKS as usize];
    while begun.elapsed() < Duration::from_secs(seconds) {
        for _ in 0..1000 {
            most = most.max(cache.taken());
            looks += 1;
        }
        assert!(most <= LIMIT, "{most} of {LIMIT} bytes");
        for (number, (seen, at)) in progress.iter_mut().enumerate() {
            let now = steps[number].load(Ordering::Relaxed);
            if now != *seen {
                (*seen, *at) = (now, Instant::now());
            }
            assert!(at.elapsed() < STUCK, "task {number} has made no progress since step {seen}");
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    over.store(true, Ordering::Relaxed);
    for task in tasks {
        tokio::time::timeout(STUCK, task).await.unwrap().unwrap();
    }

    let there = contents.iter().filter(|content| cache.get(&content.digest).is_some());
    let expected: u64 = there.map(|content| stored_len(content.bytes.len())).sum();
    assert_eq!(cache.taken(), expected);
    let counts = cache.counts();
    assert!(
        counts.hits > 0 && counts.misses > 0 && counts.removed > 0 && counts.damaged == 0,
        "{counts:?}"
    );
    let steps: u64 = steps.iter().map(|steps| steps.load(Ordering::Relaxed)).sum();
    println!(
        "{TASKS} tasks, {steps} steps in {seconds} s, seed {seed}: \
         {looks} looks, at most {most} of {LIMIT} bytes; \
         at the end {expected}, exact; {} hits, {} removed",
        counts.hits, counts.removed
    );
}
