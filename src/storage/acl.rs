//! Access control lists: canned ones for objects and buckets, and full ones for buckets, in S3's
//! terms.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A predefined grant of access beside the owner's (Amazon S3 User Guide, "Canned ACL").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CannedAcl {
    /// No access for anyone but the owner.
    Private,
    /// Read access for everyone.
    PublicRead,
    /// Read and write access for everyone.
    PublicReadWrite,
    /// Read access for every AWS account.
    AuthenticatedRead,
    /// Read access for Amazon EC2, for machine images.
    AwsExecRead,
    /// Read access for the owner of the bucket.
    BucketOwnerRead,
    /// Full control for the owner of the bucket.
    BucketOwnerFullControl,
}

impl CannedAcl {
    /// All canned ACLs.
    pub const ALL: [Self; 7] = [
        Self::Private,
        Self::PublicRead,
        Self::PublicReadWrite,
        Self::AuthenticatedRead,
        Self::AwsExecRead,
        Self::BucketOwnerRead,
        Self::BucketOwnerFullControl,
    ];

    /// Returns S3's name of the ACL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::PublicRead => "public-read",
            Self::PublicReadWrite => "public-read-write",
            Self::AuthenticatedRead => "authenticated-read",
            Self::AwsExecRead => "aws-exec-read",
            Self::BucketOwnerRead => "bucket-owner-read",
            Self::BucketOwnerFullControl => "bucket-owner-full-control",
        }
    }
}

/// The error for a text that names no canned ACL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no canned ACL; it is one of {names}",
    names = CannedAcl::ALL.map(CannedAcl::as_str).join(", ")
)]
pub struct ParseCannedAclError(String);

impl FromStr for CannedAcl {
    type Err = ParseCannedAclError;

    fn from_str(text: &str) -> Result<Self, ParseCannedAclError> {
        Self::ALL
            .into_iter()
            .find(|acl| acl.as_str() == text)
            .ok_or_else(|| ParseCannedAclError(text.to_owned()))
    }
}

impl fmt::Display for CannedAcl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The access control list of a bucket, serialized as JSON with the names that `aws s3api` and
/// boto3 use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct AccessControlPolicy {
    /// The owner of the bucket.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub owner: Option<Owner>,
    /// The grants of the list.
    #[serde(default)]
    pub grants: Vec<Grant>,
}

/// The owner of a bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Owner {
    /// The canonical id of the account.
    #[serde(rename = "ID", skip_serializing_if = "Option::is_none", default)]
    pub id: Option<String>,
    /// The name of the account, where a store still reports it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub display_name: Option<String>,
}

/// A permission and its grantee.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Grant {
    /// The account or group that has the permission.
    pub grantee: Grantee,
    /// `FULL_CONTROL`, `READ`, `WRITE`, `READ_ACP` or `WRITE_ACP`.
    pub permission: String,
}

/// An account or group, identified as `Type` says: by id, e-mail address or URI.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Grantee {
    /// `CanonicalUser`, `AmazonCustomerByEmail` or `Group`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// The canonical id of an account.
    #[serde(rename = "ID", skip_serializing_if = "Option::is_none", default)]
    pub id: Option<String>,
    /// The name of the account.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub display_name: Option<String>,
    /// The e-mail address of an account.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub email_address: Option<String>,
    /// The URI of a group.
    #[serde(rename = "URI", skip_serializing_if = "Option::is_none", default)]
    pub uri: Option<String>,
}

/// A new access control list for a bucket. S3 accepts a canned one, grants or a whole list, and
/// rejects combinations it does not know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BucketAcl {
    /// The canned ACL.
    pub canned: Option<CannedAcl>,
    /// Grantees of `FULL_CONTROL`, as in the header: `id=…`, `emailAddress=…` or `uri=…`, separated
    /// by commas.
    pub grant_full_control: Option<String>,
    /// Grantees of `READ`, in the same form.
    pub grant_read: Option<String>,
    /// Grantees of `READ_ACP`, in the same form.
    pub grant_read_acp: Option<String>,
    /// Grantees of `WRITE`, in the same form.
    pub grant_write: Option<String>,
    /// Grantees of `WRITE_ACP`, in the same form.
    pub grant_write_acp: Option<String>,
    /// A whole access control list.
    pub policy: Option<AccessControlPolicy>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acls_have_their_s3_names() {
        for acl in CannedAcl::ALL {
            assert_eq!(acl.as_str().parse(), Ok(acl));
        }
        let error = "public".parse::<CannedAcl>().unwrap_err().to_string();
        assert!(
            error.contains("\"public\"") && error.contains("private, public-read, "),
            "{error}"
        );
    }
}
