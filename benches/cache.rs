//! Benchmarks of four caches of references: plain files with a SHA-256 (a cache without
//! encryption), sealed files, memory, and no cache; and the time that a cache saves a put.
//!
//! `cargo bench --bench cache`. A directory in memory (`/dev/shm`, else `TMPDIR`) excludes the
//! disk. `cargo bench --bench sealing` measures the cost of sealing in the same rounds, as a ratio.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs::File;
use std::hint::black_box;
use std::io::{Cursor, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use deltaglider::cache::{
    CachedReference, FolderCache, Limits, MemoryCache, ReferenceCache, WorkingCopies,
};
use deltaglider::domain::{BucketName, Key, ObjectName, Sha256Digest, Sha256Hasher};
use deltaglider::service::{DeltaService, Payload, PutOptions, Settings, StoredAs};
use deltaglider::storage::{BucketAdmin as _, S3Store};
use s3_server::Server;

/// Limits that fit all references of a round.
const LIMITS: Limits = Limits { bytes: 2 << 30, ttl: Duration::from_secs(3600) };
/// The number and the size in bytes of the references of each round.
const ROUNDS: [(usize, usize); 2] = [(1_000, 1_000_000), (10, 100_000_000)];
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

/// References that differ in their first bytes. One at a time is in memory.
struct References {
    content: Vec<u8>,
    digests: Vec<Sha256Digest>,
}

impl References {
    fn new(count: usize, len: usize) -> Self {
        let mut references = Self { content: noise(len), digests: Vec::new() };
        for number in 0..count {
            references.become_number(number);
            references.digests.push(Sha256Digest::of(&references.content));
        }
        references
    }

    fn become_number(&mut self, number: usize) {
        self.content.splice(..8, (number as u64).to_le_bytes());
    }

    /// Passes each reference to `take`, one after the other.
    fn each(&mut self, mut take: impl FnMut(&Sha256Digest, &[u8])) {
        for number in 0..self.digests.len() {
            self.become_number(number);
            take(self.digests.get(number).unwrap(), &self.content);
        }
    }
}

fn plain_write(folder: &Path, digest: &Sha256Digest, content: &[u8]) {
    let (mut file, mut hasher) =
        (File::create(folder.join(digest.to_string())).unwrap(), Sha256Hasher::default());
    for piece in content.chunks(PIECE) {
        hasher.update(piece);
        file.write_all(piece).unwrap();
    }
    assert_eq!(hasher.finish(), *digest);
}

fn plain_read(folder: &Path, digest: &Sha256Digest) {
    let (mut file, mut hasher) =
        (File::open(folder.join(digest.to_string())).unwrap(), Sha256Hasher::default());
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece).unwrap() {
            0 => break,
            len => hasher.update(piece.get(..len).unwrap()),
        }
    }
    assert_eq!(hasher.finish(), *digest);
}

fn write(cache: &dyn ReferenceCache, digest: &Sha256Digest, content: &[u8]) -> CachedReference {
    let mut writer = cache.begin(digest, content.len() as u64).unwrap();
    for piece in content.chunks(PIECE) {
        writer.write(piece).unwrap();
    }
    writer.publish().unwrap()
}

/// Reads a reference from the cache; writes it first if it is not cached.
fn read(cache: &dyn ReferenceCache, digest: &Sha256Digest, content: &[u8]) {
    let reference = cache.get(digest).unwrap_or_else(|| write(cache, digest, content));
    let mut piece = vec![0; PIECE];
    for at in (0..content.len()).step_by(PIECE) {
        black_box(reference.read_at(at as u64, &mut piece).unwrap());
    }
}

/// A constructor of an empty cache in a directory.
type Make = fn(&Path) -> Arc<dyn ReferenceCache>;

const CACHES: [(&str, Make); 3] = [
    ("files", |folder| Arc::new(FolderCache::ephemeral(folder, LIMITS).unwrap())),
    ("memory", |folder| Arc::new(MemoryCache::new(LIMITS, folder).unwrap())),
    ("none", |folder| Arc::new(WorkingCopies::new(folder.to_owned()))),
];

fn parent() -> PathBuf {
    let shared_memory = Path::new("/dev/shm");
    if shared_memory.is_dir() { shared_memory.to_owned() } else { std::env::temp_dir() }
}

fn writes_and_reads(criterion: &mut Criterion) {
    for (count, len) in ROUNDS {
        let mut references = References::new(count, len);
        let folder = || tempfile::tempdir_in(parent()).unwrap();
        let mut group =
            criterion.benchmark_group(format!("{count} references of {} MB", len / 1_000_000));
        group.sample_size(10).throughput(Throughput::Bytes((count * len) as u64));
        group.bench_function("write, plain files", |bencher| {
            let write = |folder: tempfile::TempDir| {
                references.each(|digest, content| plain_write(folder.path(), digest, content));
                folder
            };
            bencher.iter_batched(folder, write, BatchSize::PerIteration);
        });
        for (name, make) in CACHES {
            group.bench_function(format!("write, {name}"), |bencher| {
                let empty = || {
                    let folder = folder();
                    (make(folder.path()), folder)
                };
                let write = |(cache, folder): (Arc<dyn ReferenceCache>, _)| {
                    references.each(|digest, content| drop(write(&*cache, digest, content)));
                    (cache, folder)
                };
                bencher.iter_batched(empty, write, BatchSize::PerIteration);
            });
        }
        let plain = folder();
        references.each(|digest, content| plain_write(plain.path(), digest, content));
        group.bench_function("read, plain files", |bencher| {
            bencher.iter(|| references.each(|digest, _| plain_read(plain.path(), digest)));
        });
        drop(plain);
        for (name, make) in CACHES {
            let folder = folder();
            let cache = make(folder.path());
            references.each(|digest, content| drop(write(&*cache, digest, content)));
            group.bench_function(format!("read, {name}"), |bencher| {
                bencher.iter(|| references.each(|digest, content| read(&*cache, digest, content)));
            });
        }
    }
}

fn object(key: &str) -> ObjectName {
    ObjectName::new(BucketName::new("releases").unwrap(), Key::new(key).unwrap())
}

/// Returns 80 MB of content whose middle byte depends on `number`.
fn version(number: u8) -> Vec<u8> {
    let mut content = noise(80_000_000);
    let middle = content.len() / 2;
    *content.get_mut(middle).unwrap() ^= number;
    content
}

/// Uploads the second version of a file of 80 MB to a store over HTTP.
fn puts(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = Server::memory().unwrap();
    let folder = tempfile::tempdir_in(parent()).unwrap();
    let path = folder.path();
    let store = Arc::new(runtime.block_on(S3Store::connect(server.config())).unwrap());
    let service = |cache: Arc<dyn ReferenceCache>| {
        let settings = Settings { policy: Default::default(), spool_dir: path.to_owned() };
        DeltaService::new(store.clone(), cache, settings)
    };
    let put = |service: &DeltaService, file: &Payload, name: &str| {
        let (name, options) = (object(name), PutOptions::default());
        runtime.block_on(service.put(file, &name, &options)).unwrap().stored_as
    };
    let [first, second] = [1, 2].map(|number| {
        let content = Cursor::new(version(number));
        runtime.block_on(Payload::spool(content, "file", path)).unwrap()
    });
    let empty =
        || -> Arc<dyn ReferenceCache> { Arc::new(FolderCache::ephemeral(path, LIMITS).unwrap()) };
    runtime.block_on(store.create_bucket(&object("x").bucket)).unwrap();
    let warm = service(empty());
    assert_eq!(put(&warm, &first, "app-1.zip"), StoredAs::Reference);
    assert_eq!(put(&warm, &second, "app-2.zip"), StoredAs::Delta);

    let mut group = criterion.benchmark_group("put of a second version of 80 MB");
    group.sample_size(10);
    group.bench_function("no reference in the cache", |bencher| {
        let put = |service: DeltaService| {
            put(&service, &second, "app-2.zip");
            service
        };
        bencher.iter_batched(|| service(empty()), put, BatchSize::PerIteration);
    });
    group.bench_function("its reference in the cache", |bencher| {
        bencher.iter(|| put(&warm, &second, "app-2.zip"))
    });
}

criterion_group!(benches, writes_and_reads, puts);
criterion_main!(benches);
