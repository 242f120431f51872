//! Copies inside the store: whole or in parts, of one version of the source.

use std::collections::BTreeMap;

use aws_sdk_s3::types::{MetadataDirective, TaggingDirective};

use crate::domain::ObjectName;
use crate::storage::{
    Attributes, ETag, Encryption, ObjectHead, ObjectStore as _, StorageError, StorageErrorKind,
};

use super::S3Store;
use super::attempts::send;
use super::attributes::{
    etag, quoted, set_expires, url_encoded, with_attributes, with_class, with_source_key,
};
use super::conditions::Conditional;
use super::put_failed::PutFailed;

const OPERATION: &str = "CopyObject";
/// The maximum number of attempts of a copy in parts while its source keeps changing, or its
/// outcome is unknown.
const ATTEMPTS: u32 = 5;

impl S3Store {
    /// Copies an object, with its own attributes or with new ones. Requests its size first, which
    /// decides between one request and parts.
    pub(super) async fn copy_inside(
        &self,
        from: &ObjectName,
        to: &ObjectName,
        attributes: Option<&Attributes>,
        if_match: Option<&ETag>,
    ) -> Result<ETag, StorageError> {
        let both = format!("{from} to {to}");
        let mut attempt = 1;
        loop {
            let head = self.head(from).await?;
            if if_match.is_some_and(|wanted| *wanted != head.etag) {
                return Err(StorageError::new(StorageErrorKind::Precondition, OPERATION, from));
            }
            let copied = if head.size > self.copy_part_size {
                let attributes = match attributes {
                    Some(attributes) => attributes.clone(),
                    None => Attributes { tags: self.tags(from).await?, ..head.attributes.clone() },
                };
                match self.upload(to, &attributes).await {
                    Ok(upload) => upload.copy(from, &head, self.copy_part_size).await,
                    Err(failed) => Err(failed),
                }
            } else {
                self.copy_whole(from, &head, to, attributes, if_match).await
            };
            let failed = match copied {
                Ok(etag) => return Ok(etag),
                Err(failed) => failed,
            };
            // The answer to the upload's end may have been lost.
            let ended = failed.is_no_such_upload();
            let error = failed.at(OPERATION, &both);
            // The parts are of one version. If it was replaced during the copy, the next one is
            // copied, unless the caller requires this one.
            let replaced = error.kind == StorageErrorKind::Precondition && if_match.is_none();
            if !(replaced || ended) || attempt == ATTEMPTS {
                return Err(error);
            }
            attempt += 1;
        }
    }

    async fn copy_whole(
        &self,
        from: &ObjectName,
        head: &ObjectHead,
        to: &ObjectName,
        attributes: Option<&Attributes>,
        if_match: Option<&ETag>,
    ) -> Result<ETag, PutFailed> {
        let conditional = if_match.map(|_| Conditional::CopyIfMatch);
        let send = |with: bool| {
            let send =
                move || self.copy_once(from, head, to, attributes, if_match.filter(|_| with));
            self.clients.attempts.send(Some(to.bucket.as_str()), send)
        };
        self.under_condition(conditional, if_match.map(|tag| (from, tag)), send).await
    }

    async fn copy_once(
        &self,
        from: &ObjectName,
        head: &ObjectHead,
        to: &ObjectName,
        attributes: Option<&Attributes>,
        if_match: Option<&ETag>,
    ) -> Result<ETag, PutFailed> {
        let key = self.customer_key.as_ref();
        let request =
            self.clients.copies.copy_object().bucket(to.bucket.as_str()).key(to.key.as_str());
        let request =
            request.copy_source(copy_source(from)).set_copy_source_if_match(if_match.map(quoted));
        let request = with_source_key!(request, key.filter(|_| is_by_customer(head)));
        let sent = match attributes {
            // Class and encryption are those of the request, whatever the directive.
            None => {
                let request = request.set_acl(self.acl_with(None));
                with_class!(request, &head.attributes, key)
                    .metadata_directive(MetadataDirective::Copy)
                    .send()
                    .await
            }
            Some(attributes) => {
                let request =
                    with_class!(with_attributes!(request, attributes, self), attributes, key);
                let request = request.metadata_directive(MetadataDirective::Replace);
                let request = request.tagging_directive(TaggingDirective::Replace);
                request.customize().mutate_request(set_expires(attributes)).send().await
            }
        };
        let answer = sent?;
        let result = answer
            .copy_object_result()
            .ok_or_else(|| PutFailed::answer("the store sent no result of the copy"))?;
        Ok(etag(result.e_tag())?)
    }

    /// Returns the tags of an object.
    pub(super) async fn tags_of(
        &self,
        object: &ObjectName,
    ) -> Result<BTreeMap<String, String>, StorageError> {
        const OPERATION: &str = "GetObjectTagging";
        let request = self.clients.calls.get_object_tagging();
        let request = request.bucket(object.bucket.as_str()).key(object.key.as_str());
        let answer = match send!(self.clients.attempts, object.bucket, request) {
            Ok(answer) => answer,
            Err(failed) => {
                // A store without support for tags has none.
                return if failed.is_unknown_call() {
                    Ok(BTreeMap::new())
                } else {
                    Err(failed.at(OPERATION, object))
                };
            }
        };
        Ok(answer.tag_set.into_iter().map(|tag| (tag.key, tag.value)).collect())
    }
}

/// Returns whether the object is encrypted with a customer's key.
pub(super) fn is_by_customer(head: &ObjectHead) -> bool {
    matches!(head.attributes.encryption, Some(Encryption::Customer { .. }))
}

/// Formats an object for the header `x-amz-copy-source`: URL-encoded except for the slashes (S3 API
/// reference, CopyObject).
pub(super) fn copy_source(object: &ObjectName) -> String {
    let key = url_encoded(object.key.as_str(), "/");
    match object.bucket.is_access_point() {
        true => format!("{}/object/{key}", object.bucket),
        false => format!("{}/{key}", url_encoded(object.bucket.as_str(), "")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{BucketName, Key};

    #[test]
    fn copy_source_is_encoded() {
        for (key, encoded) in [
            ("a/b-c.d_e~f", "bucket/a/b-c.d_e~f"),
            ("/a//b", "bucket//a//b"),
            ("a b+c%25?versionId=1", "bucket/a%20b%2Bc%2525%3FversionId%3D1"),
            ("\u{e9}\n", "bucket/%C3%A9%0A"),
        ] {
            let object =
                ObjectName::new(BucketName::new("bucket").unwrap(), Key::new(key).unwrap());
            assert_eq!(copy_source(&object), encoded);
        }
        let arn = "arn:aws:s3:us-west-2:123456789012:accesspoint/point";
        for (bucket, encoded) in
            [(arn, &*format!("{arn}/object/a/b")), ("tenant:bucket", "tenant%3Abucket/a/b")]
        {
            let object =
                ObjectName::new(BucketName::new(bucket).unwrap(), Key::new("a/b").unwrap());
            assert_eq!(copy_source(&object), encoded);
        }
    }
}
