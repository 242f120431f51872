//! Copies inside the store: whole or in parts, of one version of the source.

use std::fmt::Write as _;

use aws_sdk_s3::types::MetadataDirective;

use crate::domain::ObjectName;
use crate::storage::{ETag, ObjectStore as _, StorageError, StorageErrorKind};

use super::S3Store;
use super::attributes::{etag, quoted};
use super::put::PutFailed;

const OPERATION: &str = "CopyObject";
/// Times a copy in parts is begun while its source goes on being replaced.
const ATTEMPTS: u32 = 5;

impl S3Store {
    /// Copies an object. Its size, which decides how, is asked for first.
    pub(super) async fn copy_inside(
        &self,
        from: &ObjectName,
        to: &ObjectName,
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
                let client = &self.clients.copies;
                super::multipart::copy(client, from, &head, to, self.copy_part_size, &self.aborts).await
            } else {
                self.copy_whole(from, to, if_match).await
            };
            let error = match copied {
                Ok(etag) => return Ok(etag),
                Err(failed) => failed.at(OPERATION, &both),
            };
            // The parts are of one version: when it is replaced meanwhile, the next one is copied if any will do.
            let replaced = error.kind == StorageErrorKind::Precondition && if_match.is_none();
            if !replaced || attempt == ATTEMPTS {
                return Err(error);
            }
            attempt += 1;
        }
    }

    async fn copy_whole(&self, from: &ObjectName, to: &ObjectName, if_match: Option<&ETag>) -> Result<ETag, PutFailed> {
        let request = self.clients.copies.copy_object().bucket(to.bucket.as_str()).key(to.key.as_str());
        let answer = request
            .copy_source(copy_source(from))
            .set_copy_source_if_match(if_match.map(quoted))
            .metadata_directive(MetadataDirective::Copy)
            .send()
            .await?;
        let result =
            answer.copy_object_result().ok_or_else(|| PutFailed::answer("the store sent no result of the copy"))?;
        Ok(etag(result.e_tag())?)
    }
}

/// An object as the header `x-amz-copy-source` names it: URL-encoded but for the slashes (S3 API reference, CopyObject).
pub(super) fn copy_source(object: &ObjectName) -> String {
    let mut text = format!("{}/", object.bucket);
    for byte in object.key.as_str().bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => text.push(byte.into()),
            // Writing to a String does not fail.
            byte => drop(write!(text, "%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{BucketName, Key};

    #[test]
    fn a_copy_source_is_encoded_but_for_its_slashes() {
        for (key, encoded) in [
            ("a/b-c.d_e~f", "bucket/a/b-c.d_e~f"),
            ("/a//b", "bucket//a//b"),
            ("a b+c%25?versionId=1", "bucket/a%20b%2Bc%2525%3FversionId%3D1"),
            ("\u{e9}\n", "bucket/%C3%A9%0A"),
        ] {
            let object = ObjectName::new(BucketName::new("bucket").unwrap(), Key::new(key).unwrap());
            assert_eq!(copy_source(&object), encoded);
        }
    }
}
