//! URLs for others: to read a file, which they get as it is stored, or to write one.

use std::time::Duration;

use rand::TryRng as _;
use rand::rngs::SysRng;

use super::DeltaService;
use super::clock::timestamp;
use super::error::ServiceError;
use super::get::StatedChecksums;
use super::objects::{Variants, whole};
use super::put::refuse_occupied;
use crate::domain::metadata::{Kind, TemporaryMetadata};
use crate::domain::{Key, MAX_KEY_BYTES, ObjectName, deltaspace};
use crate::storage::{
    Attributes, MAX_PRESIGNED, Presigned, PutCondition, StorageError, StorageErrorKind,
};

/// A URL, and what was stored for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresignedUrl {
    /// The URL; who has it may do what it allows.
    pub url: String,
    /// The copy it leads to, if one was made. It can be removed when the URL has expired, which
    /// [`DeltaService::purge`] does.
    pub temporary: Option<ObjectName>,
}

impl DeltaService {
    /// A URL to read a file, which lasts from a second to a week. With a URL a store gives what it
    /// stores, so of a delta a copy of the file must be made first: with `rehydrate`, else that is
    /// refused.
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
                let temporary = self.rehydrate(object, &served.name, kept, expires_in).await?;
                let disposition = Presigned::Get(Some(disposition(object.key.base_name())));
                let url = self.store().presign(&temporary, &disposition, expires_in).await?;
                Ok(PresignedUrl { url, temporary: Some(temporary) })
            }
            _ => {
                // A browser would save the file under the last part of its key.
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

    /// A URL to write a file, which is stored as it is sent.
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
            refuse_occupied(&self.objects, object, &places).await?;
        }
        let url = self.store().presign(&stored, &Presigned::Put, expires_in).await?;
        Ok(PresignedUrl { url, temporary: None })
    }

    /// Stores the file beside its delta, for as long as the URL lasts.
    async fn rehydrate(
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
        // Nobody looks for the user's metadata, tags or class at a copy that soon goes.
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

/// Where the Python tool keeps such copies, with as much of the name as a key has room for.
fn temporary_key(random: &str, base_name: &str) -> String {
    let mut key = format!("{}{random}_{base_name}", deltaspace::TEMPORARIES);
    while key.len() > MAX_KEY_BYTES {
        key.pop();
    }
    key
}

/// Lets a browser save the file under its name (RFC 6266, with the extended form of RFC 8187 where
/// the name is not plain).
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
    fn a_name_in_a_header_cannot_end_it() {
        assert_eq!(disposition("a b.zip"), "attachment; filename=\"a b.zip\"");
        let told = disposition("a\";\r\nx: y é.zip");
        assert!(told.is_ascii() && !told.contains(['\r', '\n']), "{told}");
        assert_eq!(told.matches('"').count(), 2);
        assert!(told.ends_with("filename*=UTF-8''a%22%3B%0D%0Ax%3A%20y%20%C3%A9.zip"), "{told}");
    }

    #[test]
    fn the_key_of_a_temporary_has_room_in_a_key() {
        let key = temporary_key(&"0".repeat(32), &"é".repeat(512));
        assert!(key.len() <= MAX_KEY_BYTES && key.starts_with(".deltaglider/tmp/0000"));
    }
}
