//! Buckets, and what is in them beside objects.

use std::fmt;
use std::path::PathBuf;
use std::time::SystemTime;

use super::{AccessControlPolicy, BucketAcl, ETag, StorageError, StorageErrorKind};
use crate::domain::{BucketName, Key, ObjectName};

/// Something in the store's own directories that is no object the store can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Debris {
    /// Where it lies.
    pub path: PathBuf,
    /// The key of the object it is or hides, if there is one.
    pub key: Option<Key>,
    /// Why it is no object.
    pub why: String,
}

/// A multipart upload that was begun and neither completed nor aborted: its parts are stored, and
/// are no object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenUpload {
    /// The object it was to become.
    pub object: ObjectName,
    /// What the store calls it.
    pub id: String,
    /// When it was begun, if the store tells.
    pub initiated: Option<SystemTime>,
}

/// A rule of a bucket's lifecycle that is in force and does something to current versions of
/// objects without tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifecycleRule {
    /// What its owner calls it.
    pub id: String,
    /// It concerns keys that start with this text.
    pub prefix: String,
    /// It concerns only objects of more bytes than this.
    pub larger_than: Option<u64>,
    /// It concerns only objects of fewer bytes than this.
    pub smaller_than: Option<u64>,
    /// What it does.
    pub action: LifecycleAction,
}

/// What a [`LifecycleRule`] does to objects when their time has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LifecycleAction {
    /// Removes them.
    Expire,
    /// Moves them to this storage class.
    Transition(String),
}

impl LifecycleRule {
    /// Whether it concerns an object.
    pub fn concerns(&self, key: &Key, size: u64) -> bool {
        key.as_str().starts_with(&self.prefix)
            && self.larger_than.is_none_or(|bytes| size > bytes)
            && self.smaller_than.is_none_or(|bytes| size < bytes)
    }
}

/// A bucket in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedBucket {
    /// Its name.
    pub name: BucketName,
    /// When it was made, if the store tells.
    pub created: Option<SystemTime>,
}

/// The part of a store that is about buckets: the buckets themselves, uploads left open,
/// s3_semantics, access, debris.
///
/// Every method is cancel-safe, as those of [`ObjectStore`](super::ObjectStore) are.
#[async_trait::async_trait]
pub trait BucketAdmin: fmt::Debug + Send + Sync {
    /// Makes a bucket; [`StorageErrorKind::AlreadyExists`] when there is one of that name.
    async fn create_bucket(&self, bucket: &BucketName) -> Result<(), StorageError>;

    /// Removes an empty bucket; [`StorageErrorKind::NotEmpty`] when it holds an object.
    async fn delete_bucket(&self, bucket: &BucketName) -> Result<(), StorageError>;

    /// Deletes a bucket together with its objects if it holds exactly these (key and tag), decided
    /// and done as one step. The order of `expected` does not matter.
    ///
    /// # Errors
    /// [`StorageErrorKind::NotEmpty`] if the bucket holds anything else or less; nothing is deleted
    /// then. [`StorageErrorKind::Invalid`] if the store has no such operation.
    async fn delete_bucket_holding(
        &self,
        bucket: &BucketName,
        _expected: &[(Key, ETag)],
    ) -> Result<(), StorageError> {
        let refused = StorageError::new(StorageErrorKind::Invalid, "DeleteBucket", bucket);
        Err(refused.because("this store cannot delete a bucket together with its objects"))
    }

    /// All buckets of the caller, by name.
    async fn list_buckets(&self) -> Result<Vec<ListedBucket>, StorageError>;

    /// Returns what lies in a bucket's directories and is no object; nothing where there are none.
    async fn debris(&self, _bucket: &BucketName) -> Result<Vec<Debris>, StorageError> {
        Ok(Vec::new())
    }

    /// Moves debris out of the bucket, if it is still debris, and returns where it lies now.
    /// Nothing is deleted.
    ///
    /// # Errors
    /// [`StorageErrorKind::NotFound`] if it is debris no longer.
    async fn set_aside(
        &self,
        bucket: &BucketName,
        _debris: &Debris,
    ) -> Result<PathBuf, StorageError> {
        let refused = StorageError::new(StorageErrorKind::Invalid, "SetAside", bucket);
        Err(refused.because("this store has no directories"))
    }

    /// The multipart uploads of a bucket that are open; none where the store has no such thing.
    async fn list_uploads(&self, _bucket: &BucketName) -> Result<Vec<OpenUpload>, StorageError> {
        Ok(Vec::new())
    }

    /// Gives up a multipart upload; success when it is over already.
    async fn abort_upload(&self, _upload: &OpenUpload) -> Result<(), StorageError> {
        Ok(())
    }

    /// The rules of a bucket's lifecycle; none where the store has no such thing.
    async fn lifecycle(&self, _bucket: &BucketName) -> Result<Vec<LifecycleRule>, StorageError> {
        Ok(Vec::new())
    }

    /// Who may do what with a bucket. [`StorageErrorKind::Invalid`] where there is no such thing.
    async fn bucket_acl(&self, bucket: &BucketName) -> Result<AccessControlPolicy, StorageError> {
        let refused = StorageError::new(StorageErrorKind::Invalid, "GetBucketAcl", bucket);
        Err(refused.because("this store has no access control lists"))
    }

    /// Says who may do what with a bucket. [`StorageErrorKind::Invalid`] where there is no such
    /// thing.
    async fn set_bucket_acl(
        &self,
        bucket: &BucketName,
        _acl: &BucketAcl,
    ) -> Result<(), StorageError> {
        let refused = StorageError::new(StorageErrorKind::Invalid, "PutBucketAcl", bucket);
        Err(refused.because("this store has no access control lists"))
    }
}
