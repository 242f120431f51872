//! Access control lists: canned ones, and those of buckets in the words of S3.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Who may do what with an object beside its owner (Amazon S3 User Guide, "Canned ACL").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CannedAcl {
    /// Nobody.
    Private,
    /// Everybody reads.
    PublicRead,
    /// Everybody reads and writes.
    PublicReadWrite,
    /// Everybody with an AWS account reads.
    AuthenticatedRead,
    /// Amazon EC2 reads, for machine images.
    AwsExecRead,
    /// The owner of the bucket reads.
    BucketOwnerRead,
    /// The owner of the bucket may do everything.
    BucketOwnerFullControl,
}

impl CannedAcl {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Private,
        Self::PublicRead,
        Self::PublicReadWrite,
        Self::AuthenticatedRead,
        Self::AwsExecRead,
        Self::BucketOwnerRead,
        Self::BucketOwnerFullControl,
    ];

    /// The name S3 has for it.
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

/// A text that names no canned ACL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no canned ACL; it is one of {names}", names = CannedAcl::ALL.map(CannedAcl::as_str).join(", "))]
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

/// The access control list of a bucket, as JSON with the names that `aws s3api` and boto3 have for
/// it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct AccessControlPolicy {
    /// Who owns the bucket.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub owner: Option<Owner>,
    /// Who may do what.
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
    /// Its name, where a store still tells it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub display_name: Option<String>,
}

/// What somebody may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Grant {
    /// Who.
    pub grantee: Grantee,
    /// `FULL_CONTROL`, `READ`, `WRITE`, `READ_ACP` or `WRITE_ACP`.
    pub permission: String,
}

/// Somebody, by what `Type` says: an account, an address or a group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Grantee {
    /// `CanonicalUser`, `AmazonCustomerByEmail` or `Group`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// The canonical id of an account.
    #[serde(rename = "ID", skip_serializing_if = "Option::is_none", default)]
    pub id: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub display_name: Option<String>,
    /// The address of an account.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub email_address: Option<String>,
    /// The URI of a group.
    #[serde(rename = "URI", skip_serializing_if = "Option::is_none", default)]
    pub uri: Option<String>,
}

/// What the access control list of a bucket becomes; S3 takes a canned one, grants or a whole list,
/// and refuses mixtures it does not know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BucketAcl {
    /// One that S3 has a name for.
    pub canned: Option<CannedAcl>,
    /// `FULL_CONTROL`, in the form of the header: `id=…`, `emailAddress=…` or `uri=…`, separated by
    /// commas.
    pub grant_full_control: Option<String>,
    /// `READ`, in the same form.
    pub grant_read: Option<String>,
    /// `READ_ACP`, in the same form.
    pub grant_read_acp: Option<String>,
    /// `WRITE`, in the same form.
    pub grant_write: Option<String>,
    /// `WRITE_ACP`, in the same form.
    pub grant_write_acp: Option<String>,
    /// The whole list.
    pub policy: Option<AccessControlPolicy>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acl_is_named_as_s3_names_it() {
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
