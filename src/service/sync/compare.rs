//! Decides whether two files of one name are equal.

use std::time::{SystemTime, UNIX_EPOCH};

use super::entry::{At, Entry, Object};
use crate::domain::metadata::{Kind, SOURCE_ETAG};
use crate::domain::{FileStatus, Sha256Digest};
use crate::service::DeltaService;
use crate::service::error::ServiceError;
use crate::service::objects::StoredObject;
use crate::service::payload::Payload;

/// The criteria by which two files of one name are taken for equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// None: every file is copied.
    Never,
    /// Size and time, and content where the times do not decide.
    ///
    /// Upload: a file is equal if it was last written and changed before its object was stored;
    /// otherwise its SHA-256 decides, or its modification time if no digest is stored. Download: a
    /// file is equal if its time is that of the object or the one in the object's metadata; a time
    /// with whole seconds, as reproducible builds set it, also requires an equal SHA-256. Between
    /// buckets: an object is equal if it is not older than its source.
    SizeAndTime,
    /// Size alone.
    Size,
    /// Content, by SHA-256, or by ETag if no digest is stored.
    Content,
}

pub(super) async fn are_same(
    service: &DeltaService,
    from: &Entry,
    to: &Entry,
    compare: Compare,
) -> Result<bool, ServiceError> {
    Ok(match compare {
        Compare::Never => false,
        Compare::Size => from.size == to.size,
        Compare::SizeAndTime => from.size == to.size && are_same_by_time(service, from, to).await?,
        Compare::Content => from.size == to.size && have_same_content(service, from, to).await?,
    })
}

async fn are_same_by_time(
    service: &DeltaService,
    from: &Entry,
    to: &Entry,
) -> Result<bool, ServiceError> {
    let (source, target) = (seconds(from.modified), seconds(to.modified));
    match (&from.at, &to.at) {
        (At::File(path), At::Object(object)) => {
            if source < target && seconds(from.changed) < target {
                return Ok(true);
            }
            let sha256 = match object.digest {
                Some(sha256) => Some(sha256),
                None => match looked_at(service, object).await? {
                    Some(known) => known.sha256,
                    None => return Ok(false),
                },
            };
            match sha256 {
                Some(sha256) => Ok(Payload::open(path).await?.digest().await? == sha256),
                None => Ok(target >= source),
            }
        }
        (At::Object(object), At::File(path)) => {
            if target == source {
                return Ok(true);
            }
            let Some(known) = looked_at(service, object).await? else { return Ok(false) };
            if known.status.modified != Some(to.modified) {
                return Ok(false);
            }
            match known.sha256 {
                Some(sha256) if is_whole(to.modified) => {
                    Ok(Payload::open(path).await?.digest().await? == sha256)
                }
                _ => Ok(true),
            }
        }
        _ => Ok(target >= source),
    }
}

/// Returns whether a time has whole seconds, as one that was set rather than measured.
fn is_whole(at: SystemTime) -> bool {
    at.duration_since(UNIX_EPOCH).is_ok_and(|since| since.subsec_nanos() == 0)
}

/// Returns the seconds since 1970; 0 for earlier times.
fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Attributes that identify the content of an object without reading it.
struct Known {
    sha256: Option<Sha256Digest>,
    /// The ETag, if it is that of the file rather than of a delta.
    etag: Option<String>,
    /// The ETag of the object that this one is a copy of.
    source_etag: Option<String>,
    /// Modification time and mode of the file it was stored from.
    status: FileStatus,
}

async fn have_same_content(
    service: &DeltaService,
    from: &Entry,
    to: &Entry,
) -> Result<bool, ServiceError> {
    match (&from.at, &to.at) {
        (At::Object(a), At::Object(b)) => {
            if let (Some(a), Some(b)) = (a.digest, b.digest) {
                return Ok(a == b);
            }
            let (a, b) = futures::try_join!(looked_at(service, a), looked_at(service, b))?;
            let (Some(a), Some(b)) = (a, b) else { return Ok(false) };
            if let (Some(a), Some(b)) = (a.sha256, b.sha256) {
                return Ok(a == b);
            }
            Ok(a.etag.is_some() && (a.etag == b.etag || a.etag == b.source_etag))
        }
        (At::File(path), At::Object(object)) | (At::Object(object), At::File(path)) => {
            let file = Payload::open(path).await?;
            if let Some(sha256) = object.digest {
                return Ok(file.digest().await? == sha256);
            }
            let Some(known) = looked_at(service, object).await? else { return Ok(false) };
            if let Some(sha256) = known.sha256 {
                return Ok(file.digest().await? == sha256);
            }
            // The ETag of an object that was neither uploaded in parts nor encrypted with a
            // customer's key is its MD5 (S3 API reference, "Object"). Any other ETag equals no MD5.
            match known.etag {
                Some(etag) if etag.len() == 32 => {
                    Ok(file.md5().await? == etag.to_ascii_lowercase())
                }
                _ => Ok(false),
            }
        }
        (At::File(_), At::File(_)) => Ok(false),
    }
}

/// Queries the attributes of an object; `None` if it was deleted after it was listed.
async fn looked_at(service: &DeltaService, object: &Object) -> Result<Option<Known>, ServiceError> {
    let Some(found) = StoredObject::look(service.store(), object.stored.clone()).await? else {
        return Ok(None);
    };
    let sha256 = match &found.kind {
        Kind::Delta(delta) => Some(delta.file_sha256),
        Kind::Direct(direct) => Some(direct.file_sha256),
        // On stores whose ETag identifies a write, equal contents have different ETags.
        _ => found.head.sha256.filter(|_| object.plain),
    };
    let etag = object.plain.then(|| found.head.etag.0.clone());
    let source_etag = found.head.attributes.metadata.get(SOURCE_ETAG).cloned();
    let status = FileStatus::read(&found.head.attributes.metadata);
    Ok(Some(Known { sha256, etag, source_etag, status }))
}
