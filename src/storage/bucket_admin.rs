//! Buckets and their contents other than objects.

use std::fmt;
use std::path::PathBuf;
use std::time::SystemTime;

use super::{AccessControlPolicy, BucketAcl, ETag, StorageError, StorageErrorKind};
use crate::domain::{BucketName, Key, ObjectName};

/// An entry in the store's own directories that is not a readable object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Debris {
    /// The path of the entry.
    pub path: PathBuf,
    /// The key of the object that it is or hides, if there is one.
    pub key: Option<Key>,
    /// The reason why it is not an object.
    pub why: String,
}

/// A multipart upload that was started and neither completed nor aborted: its parts are stored but
/// form no object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenUpload {
    /// The target object.
    pub object: ObjectName,
    /// The upload id.
    pub id: String,
    /// The start time, if the store reports it.
    pub initiated: Option<SystemTime>,
}

/// A rule of a bucket's lifecycle that is enabled and affects current versions of objects without
/// tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifecycleRule {
    /// The id of the rule.
    pub id: String,
    /// The prefix of the keys that the rule applies to.
    pub prefix: String,
    /// The size in bytes above which the rule applies.
    pub larger_than: Option<u64>,
    /// The size in bytes below which the rule applies.
    pub smaller_than: Option<u64>,
    /// The action on matching objects.
    pub action: LifecycleAction,
}

/// The action of a [`LifecycleRule`] on objects that are old enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LifecycleAction {
    /// Deletes the objects.
    Expire,
    /// Moves the objects to this storage class.
    Transition(String),
}

impl LifecycleRule {
    /// Returns whether the rule applies to an object of `size` bytes.
    pub fn concerns(&self, key: &Key, size: u64) -> bool {
        key.as_str().starts_with(&self.prefix)
            && self.larger_than.is_none_or(|bytes| size > bytes)
            && self.smaller_than.is_none_or(|bytes| size < bytes)
    }
}

/// A bucket in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedBucket {
    /// The name.
    pub name: BucketName,
    /// The creation time, if the store reports it.
    pub created: Option<SystemTime>,
}

/// The bucket operations of a store: buckets, open uploads, lifecycle rules, access control and
/// debris.
///
/// Every method is cancel-safe, like those of [`ObjectStore`](super::ObjectStore).
#[async_trait::async_trait]
pub trait BucketAdmin: fmt::Debug + Send + Sync {
    /// Creates a bucket; [`StorageErrorKind::AlreadyExists`] if one with that name exists.
    async fn create_bucket(&self, bucket: &BucketName) -> Result<(), StorageError>;

    /// Deletes an empty bucket; [`StorageErrorKind::NotEmpty`] if it holds an object.
    async fn delete_bucket(&self, bucket: &BucketName) -> Result<(), StorageError>;

    /// Deletes a bucket together with its objects if it holds exactly these (key and tag), as one
    /// atomic step. The order of `expected` does not matter.
    ///
    /// # Errors
    /// [`StorageErrorKind::NotEmpty`] if the bucket holds anything else; nothing is deleted then.
    /// [`StorageErrorKind::Invalid`] if the store does not support the operation.
    async fn delete_bucket_holding(
        &self,
        bucket: &BucketName,
        _expected: &[(Key, ETag)],
    ) -> Result<(), StorageError> {
        let refused = StorageError::new(StorageErrorKind::Invalid, "DeleteBucket", bucket);
        Err(refused.because("this store cannot delete a bucket together with its objects"))
    }

    /// Returns all buckets of the caller, sorted by name.
    async fn list_buckets(&self) -> Result<Vec<ListedBucket>, StorageError>;

    /// Returns the entries of a bucket's directories that are not objects; none if the store has no
    /// directories.
    async fn debris(&self, _bucket: &BucketName) -> Result<Vec<Debris>, StorageError> {
        Ok(Vec::new())
    }

    /// Moves debris out of the bucket, if it is still debris, and returns its new path. Deletes
    /// nothing.
    ///
    /// # Errors
    /// [`StorageErrorKind::NotFound`] if it is no longer debris.
    async fn set_aside(
        &self,
        bucket: &BucketName,
        _debris: &Debris,
    ) -> Result<PathBuf, StorageError> {
        let refused = StorageError::new(StorageErrorKind::Invalid, "SetAside", bucket);
        Err(refused.because("this store has no directories"))
    }

    /// Returns the open multipart uploads of a bucket; none if the store does not support them.
    async fn list_uploads(&self, _bucket: &BucketName) -> Result<Vec<OpenUpload>, StorageError> {
        Ok(Vec::new())
    }

    /// Aborts a multipart upload; succeeds if it has already ended.
    async fn abort_upload(&self, _upload: &OpenUpload) -> Result<(), StorageError> {
        Ok(())
    }

    /// Returns the lifecycle rules of a bucket; none if the store does not support them.
    async fn lifecycle(&self, _bucket: &BucketName) -> Result<Vec<LifecycleRule>, StorageError> {
        Ok(Vec::new())
    }

    /// Returns the access control list of a bucket. [`StorageErrorKind::Invalid`] if the store does
    /// not support them.
    async fn bucket_acl(&self, bucket: &BucketName) -> Result<AccessControlPolicy, StorageError> {
        let refused = StorageError::new(StorageErrorKind::Invalid, "GetBucketAcl", bucket);
        Err(refused.because("this store has no access control lists"))
    }

    /// Replaces the access control list of a bucket. [`StorageErrorKind::Invalid`] if the store
    /// does not support them.
    async fn set_bucket_acl(
        &self,
        bucket: &BucketName,
        _acl: &BucketAcl,
    ) -> Result<(), StorageError> {
        let refused = StorageError::new(StorageErrorKind::Invalid, "PutBucketAcl", bucket);
        Err(refused.because("this store has no access control lists"))
    }
}
