//! The stored sizes of a file's earlier versions, which show whether its references are outgrown.

use super::{Reference, ReferenceSet, References};
use crate::domain::metadata::DELTA_SUFFIX;
use crate::domain::{Family, ObjectName};
use crate::service::error::ServiceError;
use crate::storage::ListRequest;

/// The maximum number of listing pages that are searched for earlier versions.
const PAGES: usize = 2;

/// The stored form of an earlier version of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Relative {
    /// The form.
    pub(crate) kind: RelativeKind,
    /// The number of bytes stored.
    pub(crate) size: u64,
}

/// The form in which an earlier version is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RelativeKind {
    /// The file as it is.
    Plain,
    /// A delta that is younger than the best reference.
    Delta,
    /// A delta that is older than the best reference.
    OlderDelta,
}

impl References {
    /// Returns the stored forms of a file's earlier versions, which are recognized by their names.
    pub(crate) async fn relatives(
        &self,
        set: &ReferenceSet,
        base: &Reference,
        object: &ObjectName,
    ) -> Result<Vec<Relative>, ServiceError> {
        let folder = set.deltaspace.folder();
        let below = |key: &str| key.strip_prefix(folder).map(Family::of);
        let own = object.key.as_str();
        let Some(family) = below(own) else { return Ok(Vec::new()) };
        let rest = own.strip_prefix(folder).unwrap_or_default();
        let prefix = format!("{folder}{}", Family::common_prefix(rest));
        let mut request = ListRequest { prefix, ..ListRequest::default() };
        let mut relatives = Vec::new();
        for _ in 0..PAGES {
            let page = self.store().list(&object.bucket, &request).await?;
            for listed in page.objects {
                let (key, kind) = match listed.key.as_str().strip_suffix(DELTA_SUFFIX) {
                    Some(key) if listed.last_modified < base.last_modified => {
                        (key, RelativeKind::OlderDelta)
                    }
                    Some(key) => (key, RelativeKind::Delta),
                    None => (listed.key.as_str(), RelativeKind::Plain),
                };
                if key != own && below(key).as_ref() == Some(&family) {
                    relatives.push(Relative { kind, size: listed.size });
                }
            }
            match page.continuation {
                Some(continuation) => request.continuation = Some(continuation),
                None => break,
            }
        }
        Ok(relatives)
    }
}
