//! Selects the checksums of an answer that cover the whole content.

use aws_sdk_s3::types::ChecksumType;
use aws_smithy_types::base64;
use bytes::Bytes;

use crate::domain::ObjectName;
use crate::storage::{ChecksumKind, Encryption, StatedChecksum};

use super::S3Store;

/// Suffixes of the names of buckets, on AWS, whose tags are not MD5: directory buckets, and access
/// points that transform the content (S3 user guide, "Differences for directory buckets" and
/// "Object Lambda access points").
const WITH_OTHER_TAGS: [&str; 2] = ["--x-s3", "--ol-s3"];

/// The trust in the checksums of answers for one object.
pub(super) struct Stated {
    is_reliable: bool,
    tags_are_md5: bool,
}

impl S3Store {
    pub(super) fn stated(&self, object: &ObjectName) -> Stated {
        let has_other_tags =
            WITH_OTHER_TAGS.iter().any(|end| object.bucket.as_str().ends_with(end));
        Stated { is_reliable: self.is_aws, tags_are_md5: !has_other_tags }
    }
}

impl Stated {
    /// Returns the checksums of the whole content: those in headers that are not composed of
    /// checksums of parts, and a tag in the form of an MD5, unless the object is encrypted with a
    /// key of KMS or of the customer.
    pub(super) fn of_answer(
        &self,
        tag: Option<&str>,
        encryption: Option<&Encryption>,
        composed: Option<&ChecksumType>,
        headers: [(ChecksumKind, Option<&str>); 5],
    ) -> Vec<StatedChecksum> {
        let is_of_parts =
            |value: &str| composed == Some(&ChecksumType::Composite) || value.contains('-');
        let of_headers = headers.into_iter().filter_map(|(kind, value)| {
            let value = base64::decode(value.filter(|value| !is_of_parts(value))?).ok()?;
            let fits = value.len() == StatedChecksum::of(kind, b"").value.len();
            fits.then(|| StatedChecksum {
                kind,
                value: value.into(),
                is_reliable: self.is_reliable,
            })
        });
        let is_encrypted = !matches!(encryption, None | Some(Encryption::Aes256));
        let md5 = tag.filter(|_| self.tags_are_md5 && !is_encrypted).and_then(md5_of);
        let of_tag = md5.map(|value| StatedChecksum {
            kind: ChecksumKind::Md5,
            value,
            is_reliable: self.is_reliable,
        });
        of_headers.chain(of_tag).collect()
    }
}

/// Returns the bytes of a tag of 32 hexadecimal digits. A weak tag does not promise equal bytes
/// (RFC 9110, section 8.8.1).
fn md5_of(tag: &str) -> Option<Bytes> {
    let digits = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or(tag);
    if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let pairs =
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok());
    pairs.collect::<Option<Vec<u8>>>().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::KmsKey;

    const NONE: [(ChecksumKind, Option<&str>); 5] = [
        (ChecksumKind::Sha256, None),
        (ChecksumKind::Sha1, None),
        (ChecksumKind::Crc64Nvme, None),
        (ChecksumKind::Crc32c, None),
        (ChecksumKind::Crc32, None),
    ];

    fn kinds(stated: &[StatedChecksum]) -> Vec<ChecksumKind> {
        stated.iter().map(|stated| stated.kind).collect()
    }

    #[test]
    fn md5_tags_are_recognized() {
        let stated = |tag: &str, encryption: Option<&Encryption>| {
            Stated { is_reliable: false, tags_are_md5: true }.of_answer(
                Some(tag),
                encryption,
                None,
                NONE,
            )
        };
        let md5 = "900150983cd24fb0d6963f7d28e17f72";
        assert_eq!(
            stated(&format!("\"{md5}\""), None),
            [StatedChecksum::of(ChecksumKind::Md5, b"abc")]
        );
        assert_eq!(
            kinds(&stated(&md5.to_uppercase(), Some(&Encryption::Aes256))),
            [ChecksumKind::Md5]
        );
        let key = Encryption::Customer { key_md5: "key".to_owned() };
        for encryption in
            [&Encryption::Kms(KmsKey::default()), &Encryption::KmsDsse(KmsKey::default()), &key]
        {
            assert_eq!(stated(md5, Some(encryption)), [], "{encryption:?}");
        }
        for tag in [
            &format!("W/\"{md5}\""),
            &format!("\"{md5}-2\""),
            &md5[1..],
            "",
            &md5.replace('0', "g"),
        ] {
            assert_eq!(stated(tag, None), [], "{tag}");
        }
        let other = Stated { is_reliable: true, tags_are_md5: false };
        assert_eq!(other.of_answer(Some(md5), None, None, NONE), []);
    }

    #[test]
    fn checksum_of_parts_is_ignored() {
        let stated = |composed: Option<&ChecksumType>, crc32: &str| {
            let mut headers = NONE;
            headers[4].1 = Some(crc32);
            Stated { is_reliable: true, tags_are_md5: true }
                .of_answer(None, None, composed, headers)
        };
        // The CRC-32 of "123456789".
        let right = "y/Q5Jg==";
        let expected = [StatedChecksum {
            is_reliable: true,
            ..StatedChecksum::of(ChecksumKind::Crc32, b"123456789")
        }];
        assert_eq!(stated(None, right), expected);
        assert_eq!(stated(Some(&ChecksumType::FullObject), right), expected);
        assert_eq!(stated(Some(&ChecksumType::Composite), right), []);
        assert_eq!(stated(None, "y/Q5Jg==-3"), []);
        assert_eq!(stated(None, "y/Q5"), []);
        assert_eq!(stated(None, "?"), []);
    }
}
