//! Deletes the older object that a put replaces.

use std::time::Duration;

use super::report::PutWarning;
use crate::domain::ObjectName;
use crate::domain::metadata::Kind;
use crate::service::objects::{Objects, Overtaken, Variants};
use crate::service::references::{ReferenceWarning, References};

/// Deletes the delta that the plain object at `object` replaces, and its reference if no other
/// delta needs it. `begun` is when the plain object was sent.
///
/// # Errors
///
/// [`Overtaken`] if the delta was rewritten and is served: the plain object must be stored again.
pub(crate) async fn remove_older_delta(
    references: &References,
    places: &Variants,
    object: &ObjectName,
    begun: Duration,
) -> Result<Option<PutWarning>, Overtaken> {
    let Some(older) = places.delta.as_ref().filter(|found| found.is_delta()) else {
        return Ok(None);
    };
    if let Some(source) = references.objects().remove_older(older, object, begun).await? {
        return Ok(Some(PutWarning::OlderLeft { object: older.name.clone(), source }));
    }
    if let Kind::Delta(older) = &older.kind {
        let reference = object.sibling(older.ref_key.clone());
        if let Err(error) = references.remove_if_unreferenced(&reference).await {
            return Ok(Some(PutWarning::ReferenceLeft(ReferenceWarning {
                reference,
                source: Box::new(error),
            })));
        }
    }
    Ok(None)
}

/// Deletes the plain object that the delta at `stored` replaces. `begun` is when the delta was
/// sent.
pub(crate) async fn remove_older_plain(
    objects: &Objects,
    places: &Variants,
    stored: &ObjectName,
    begun: Duration,
) -> Option<PutWarning> {
    let older = places.file()?;
    // A plain object is never rewritten, so the delta is not overtaken.
    let source = objects.remove_older(older, stored, begun).await.ok().flatten()?;
    Some(PutWarning::OlderLeft { object: older.name.clone(), source })
}
