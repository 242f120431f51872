//! When two files of one name are the same.

use std::time::{SystemTime, UNIX_EPOCH};

use super::entry::{At, Entry, Object};
use crate::domain::Sha256Digest;
use crate::domain::metadata::{Kind, SOURCE_ETAG};
use crate::service::DeltaService;
use crate::service::error::ServiceError;
use crate::service::input::Input;
use crate::service::locate::Found;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// Nothing: every file is copied.
    Never,
    /// Size and time. What is stored is the same if it is not older than its source, and what is on a disk if it has the time of its
    /// source, as a download gives it; both in whole seconds.
    SizeAndTime,
    /// Size alone.
    Size,
    /// Content by SHA-256 or, where nobody left one, by the tag.
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
        Compare::SizeAndTime => from.size == to.size && has_time_of(from, to),
        Compare::Content => from.size == to.size && have_same_content(service, from, to).await?,
    })
}

fn has_time_of(from: &Entry, to: &Entry) -> bool {
    let (source, target) = (seconds(from.modified), seconds(to.modified));
    match to.at {
        At::Object(_) => target >= source,
        At::File(_) => target == source,
    }
}

/// Since 1970; before that, zero.
fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What tells content without reading it from the store.
struct Known {
    sha256: Option<Sha256Digest>,
    /// The tag, if it is one of the file and not of a delta.
    etag: Option<String>,
    /// The tag that the object had which this is a copy of.
    source_etag: Option<String>,
}

async fn have_same_content(service: &DeltaService, from: &Entry, to: &Entry) -> Result<bool, ServiceError> {
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
            let file = Input::open(path).await?;
            if let Some(sha256) = object.digest {
                return Ok(file.digest().await? == sha256);
            }
            let Some(known) = looked_at(service, object).await? else { return Ok(false) };
            if let Some(sha256) = known.sha256 {
                return Ok(file.digest().await? == sha256);
            }
            // The tag of what was not sent in parts and not encrypted with a key is its MD5 (S3 API reference, "Object"). A tag that is
            // none will not equal one.
            match known.etag {
                Some(etag) if etag.len() == 32 => Ok(file.md5().await? == etag.to_ascii_lowercase()),
                _ => Ok(false),
            }
        }
        (At::File(_), At::File(_)) => Ok(false),
    }
}

/// `None` when it was removed meanwhile.
async fn looked_at(service: &DeltaService, object: &Object) -> Result<Option<Known>, ServiceError> {
    let Some(found) = Found::look(service.store(), object.stored.clone()).await? else { return Ok(None) };
    let sha256 = match &found.kind {
        Kind::Delta(delta) => Some(delta.file_sha256),
        Kind::Direct(direct) => Some(direct.file_sha256),
        // Where a tag names a write, two objects of one content have two.
        _ => found.head.sha256.filter(|_| object.plain),
    };
    let etag = object.plain.then(|| found.head.etag.0.clone());
    let source_etag = found.head.attributes.metadata.get(SOURCE_ETAG).cloned();
    Ok(Some(Known { sha256, etag, source_etag }))
}
