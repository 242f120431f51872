//! Presigned URLs: to read a file as it is stored, or to write one.

use std::time::Duration;

use rand::TryRng as _;
use rand::rngs::SysRng;

use super::DeltaService;
use super::clock::timestamp;
use super::error::ServiceError;
use super::get::StatedChecksums;
use super::objects::{Variants, whole};
use super::put::reject_occupied;
use crate::domain::metadata::{Kind, TemporaryMetadata};
use crate::domain::{Key, MAX_KEY_BYTES, ObjectName, deltaspace};
use crate::storage::{
    Attributes, MAX_PRESIGNED, Presigned, PutCondition, StorageError, StorageErrorKind,
};

/// A presigned URL, and the copy stored for it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PresignedUrl {
    /// The URL; it grants its operation to anyone who has it.
    pub url: String,
    /// The copy it leads to, if one was made. It can be removed after the URL has expired, which
    /// [`DeltaService::purge`] does.
    pub temporary: Option<ObjectName>,
}

impl DeltaService {
    /// Creates a URL to read a file, valid for 1 second to 7 days.
    ///
    /// A URL returns an object as it is stored. So for a delta a copy of the file must be stored
    /// first, which `rehydrate` allows.
    ///
    /// # Errors
    ///
    /// [`ServiceError::StoredAsDelta`] for a delta without `rehydrate`.
    pub async fn presign_get(
        &self,
        object: &ObjectName,
        expires_in: Duration,
        rehydrate: bool,
    ) -> Result<PresignedUrl, ServiceError> {
        check_duration(object, expires_in)?;
        let places = Variants::look_for_file(self.store(), object).await?;
        let variants = places.newest_first(self.store(), object).await?;
        let Some(served) = variants.first() else { return Err(ServiceError::absent(object)) };
        match &served.kind {
            Kind::Damaged(field) => {
                Err(ServiceError::Metadata { object: served.name.clone(), field: *field })
            }
            Kind::Delta(_) if !rehydrate => Err(ServiceError::StoredAsDelta(object.clone())),
            Kind::Delta(_) => {
                let kept = served.user_attributes();
                let temporary = self.store_copy(object, &served.name, kept, expires_in).await?;
                let disposition = Presigned::Get(Some(disposition(object.key.base_name())));
                let url = self.store().presign(&temporary, &disposition, expires_in).await?;
                Ok(PresignedUrl { url, temporary: Some(temporary) })
            }
            _ => {
                // Without this header a browser would save the file under the last part of its key.
                let disposition =
                    (served.name != *object).then(|| disposition(object.key.base_name()));
                let url = self
                    .store()
                    .presign(&served.name, &Presigned::Get(disposition), expires_in)
                    .await?;
                Ok(PresignedUrl { url, temporary: None })
            }
        }
    }

    /// Creates a URL to write a file, which is stored as it is sent.
    pub async fn presign_put(
        &self,
        object: &ObjectName,
        expires_in: Duration,
    ) -> Result<PresignedUrl, ServiceError> {
        check_duration(object, expires_in)?;
        let stored = whole(object)?;
        // No other file has an escaped key.
        if stored == *object {
            let places = Variants::look(self.store(), object).await?;
            reject_occupied(&self.objects, object, &places).await?;
        }
        let url = self.store().presign(&stored, &Presigned::Put, expires_in).await?;
        Ok(PresignedUrl { url, temporary: None })
    }

    /// Stores a copy of a delta's file beside its bucket's temporary copies, as an object of its
    /// own that any S3 client can read, and returns the name of the copy. It may be
    /// [purged](Self::purge) after `expires_in`. Returns the object itself if it is no delta.
    pub async fn rehydrate(
        &self,
        object: &ObjectName,
        expires_in: Duration,
    ) -> Result<ObjectName, ServiceError> {
        check_duration(object, expires_in)?;
        let places = Variants::look_for_file(self.store(), object).await?;
        let variants = places.newest_first(self.store(), object).await?;
        let Some(served) = variants.first() else { return Err(ServiceError::absent(object)) };
        match &served.kind {
            Kind::Damaged(field) => {
                Err(ServiceError::Metadata { object: served.name.clone(), field: *field })
            }
            Kind::Delta(_) => {
                let kept = served.user_attributes();
                self.store_copy(object, &served.name, kept, expires_in).await
            }
            _ => Ok(served.name.clone()),
        }
    }

    /// Stores a copy of the file in the bucket of its delta, to be purged when the URL has expired.
    async fn store_copy(
        &self,
        object: &ObjectName,
        stored: &ObjectName,
        kept: Attributes,
        expires_in: Duration,
    ) -> Result<ObjectName, ServiceError> {
        let (file, _) = self.restored(object, StatedChecksums::default()).await?;
        let created_at = timestamp();
        let metadata = TemporaryMetadata {
            original_key: stored.key.to_string(),
            original_name: object.key.base_name().to_owned(),
            created_at,
            expires_at: created_at.saturating_add(expires_in),
        };
        let mut random = [0; 16];
        SysRng.try_fill_bytes(&mut random).map_err(|error| {
            ServiceError::local("the random numbers of the system")(std::io::Error::other(error))
        })?;
        let random: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let key = temporary_key(&random, object.key.base_name());
        let named = |source| ServiceError::Name { object: key.clone(), source };
        let temporary = object.sibling(Key::new(key.as_str()).map_err(named)?);
        // A short-lived copy needs no user metadata, tags or storage class.
        let attributes = Attributes {
            metadata: metadata.write(),
            content_type: kept.content_type,
            content_encoding: kept.content_encoding,
            encryption: kept.encryption,
            ..Attributes::default()
        };
        let body = file.body(file.digest().await?);
        self.store().put(&temporary, body, &attributes, &PutCondition::IfAbsent.into()).await?;
        Ok(temporary)
    }
}

fn check_duration(object: &ObjectName, expires_in: Duration) -> Result<(), ServiceError> {
    if (Duration::from_secs(1)..=MAX_PRESIGNED).contains(&expires_in) {
        return Ok(());
    }
    let refused = StorageError::new(StorageErrorKind::Invalid, "Presign", object);
    let most = MAX_PRESIGNED.as_secs();
    Err(refused
        .because(format!("a URL lasts from 1 to {most} seconds, not {}", expires_in.as_secs()))
        .into())
}

/// Returns the key of a copy, where the Python tool keeps its own, with the name cut to fit in a
/// key.
fn temporary_key(random: &str, base_name: &str) -> String {
    let mut key = format!("{}{random}_{base_name}", deltaspace::TEMPORARIES);
    while key.len() > MAX_KEY_BYTES {
        key.pop();
    }
    key
}

/// Returns the `Content-Disposition` value that makes a browser save the file under its name (RFC
/// 6266, with the extended form of RFC 8187 where the name is not plain).
fn disposition(name: &str) -> String {
    let plain =
        |c: char| if c.is_ascii_graphic() && !"\"\\%".contains(c) || c == ' ' { c } else { '_' };
    let fallback: String = name.chars().map(plain).collect();
    if fallback == name {
        return format!("attachment; filename=\"{fallback}\"");
    }
    let kept = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte);
    let encoded: String = name
        .bytes()
        .map(|byte| if kept(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    format!("attachment; filename=\"{fallback}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_cannot_end_header() {
        assert_eq!(disposition("a b.zip"), "attachment; filename=\"a b.zip\"");
        let header = disposition("a\";\r\nx: y é.zip");
        assert!(header.is_ascii() && !header.contains(['\r', '\n']), "{header}");
        assert_eq!(header.matches('"').count(), 2);
        assert!(
            header.ends_with("filename*=UTF-8''a%22%3B%0D%0Ax%3A%20y%20%C3%A9.zip"),
            "{header}"
        );
    }

    #[test]
    fn temporary_key_fits_limit() {
        let key = temporary_key(&"0".repeat(32), &"é".repeat(512));
        assert!(key.len() <= MAX_KEY_BYTES && key.starts_with(".deltaglider/tmp/0000"));
    }
}
