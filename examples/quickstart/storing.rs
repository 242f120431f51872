//! Stores archives, restores them, and measures the objects of the store.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use deltaglider::domain::{BucketName, Key, ObjectName, Sha256Digest, Sha256Hasher};
use deltaglider::service::{DeltaService, GetOptions, Payload, PutOptions, StoredAs};
use deltaglider::storage::{ListRequest, ListedObject};

use super::{Failure, at};

/// The bucket and the folder of the archives: a single folder, so that they share a reference.
const BUCKET: &str = "releases";
const FOLDER: &str = "archives/";

/// An archive file with its size and the SHA-256 it had before it was stored.
#[derive(Debug, Clone)]
pub(crate) struct Archive {
    pub(crate) name: String,
    path: PathBuf,
    pub(crate) size: u64,
    sha256: Sha256Digest,
}

impl Archive {
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .ok_or("the name of an archive is not UTF-8")?;
        let (size, sha256) = digest(path)?;
        Ok(Self { name: name.to_owned(), path: path.to_owned(), size, sha256 })
    }
}

fn digest(path: &Path) -> Result<(u64, Sha256Digest), Failure> {
    let mut file = File::open(path).map_err(at(path))?;
    let mut hasher = Sha256Hasher::default();
    let mut chunk = vec![0; 1 << 20];
    let mut size = 0;
    loop {
        match file.read(&mut chunk).map_err(at(path))? {
            0 => return Ok((size, hasher.finish())),
            n => {
                hasher.update(&chunk[..n]);
                size += n as u64;
            }
        }
    }
}

/// An archive that was restored exactly.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) archive: Archive,
    pub(crate) stored_as: StoredAs,
    /// Bytes of its own object in the store's listing: a delta or the archive.
    pub(crate) stored: u64,
    pub(crate) put: Duration,
    pub(crate) get: Duration,
}

/// All archives, and the bytes stored for them.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) kept: Vec<Kept>,
    /// Bytes of the objects that belong to no single archive: the reference.
    pub(crate) reference: u64,
    /// Bytes of all objects.
    pub(crate) stored: u64,
}

/// Stores the archives in order and restores each into `folder`.
///
/// # Errors
///
/// Returns an error if an archive is not restored exactly.
pub(crate) async fn store_and_restore(
    service: &DeltaService,
    archives: Vec<Archive>,
    folder: &Path,
) -> Result<Outcome, Failure> {
    let bucket = BucketName::new(BUCKET)?;
    service.store().create_bucket(&bucket).await?;
    let object = |archive: &Archive| -> Result<ObjectName, Failure> {
        Ok(ObjectName::new(bucket.clone(), Key::new(format!("{FOLDER}{}", archive.name))?))
    };
    let mut put = Vec::new();
    for archive in &archives {
        let started = Instant::now();
        let file = Payload::open(&archive.path).await?;
        let report = service.put(&file, &object(archive)?, &PutOptions::default()).await?;
        put.push((report.stored_as, started.elapsed()));
    }
    let mut objects = objects(service, &bucket).await?;
    let stored = objects.iter().map(|object| object.size).sum();
    let mut kept = Vec::new();
    for (archive, (stored_as, put)) in archives.into_iter().zip(put) {
        let name = object(&archive)?;
        let keys = [name.key.to_string(), format!("{}.delta", name.key)];
        let own =
            objects.iter().position(|object| keys.iter().any(|key| key == object.key.as_str()));
        let own = own
            .map(|at| objects.swap_remove(at))
            .ok_or_else(|| format!("{name} is not in the store"))?;
        let started = Instant::now();
        let (restored, _) =
            service.get_to_file(&name, &folder.join(&archive.name), &GetOptions::default()).await?;
        let get = started.elapsed();
        if digest(&restored)? != (archive.size, archive.sha256) {
            return Err(
                format!("{name} was not restored exactly: its size or SHA-256 differs").into()
            );
        }
        std::fs::remove_file(&restored).map_err(at(&restored))?;
        kept.push(Kept { archive, stored_as, stored: own.size, put, get });
    }
    Ok(Outcome { kept, reference: objects.iter().map(|object| object.size).sum(), stored })
}

/// Lists all objects of the bucket.
async fn objects(
    service: &DeltaService,
    bucket: &BucketName,
) -> Result<Vec<ListedObject>, Failure> {
    let mut objects = Vec::new();
    let mut request = ListRequest::default();
    loop {
        let page = service.store().list(bucket, &request).await?;
        objects.extend(page.objects);
        request.continuation = page.continuation;
        if request.continuation.is_none() {
            return Ok(objects);
        }
    }
}
