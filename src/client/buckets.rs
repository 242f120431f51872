//! Buckets and their access control lists.

use super::DeltaGlider;
use super::error::Error;
use super::location::Location;
use crate::storage::{AccessControlPolicy, BucketAcl, ListedBucket};

const CREATE: &str = "create";
const REMOVE: &str = "remove";
const ACL: &str = "read the ACL of";
const SET_ACL: &str = "set the ACL of";

impl DeltaGlider {
    /// Creates a bucket: `name` or `s3://name`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AlreadyExists`](super::ErrorKind::AlreadyExists) if it exists.
    ///
    /// ```
    /// # use deltaglider::DeltaGlider;
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let dg = DeltaGlider::builder().embedded(folder.path()).build().await?;
    /// dg.create_bucket("releases").await?;
    /// assert_eq!(dg.list_buckets().await?[0].name.as_str(), "releases");
    /// dg.remove_bucket("s3://releases").await?;
    /// assert!(dg.list_buckets().await?.is_empty());
    /// # Ok(()) }
    /// ```
    pub async fn create_bucket(&self, bucket: impl Into<Location>) -> Result<(), Error> {
        let name = bucket.into().bucket(CREATE)?;
        self.service().store().create_bucket(&name).await.map_err(Error::of(CREATE, &name))
    }

    /// Removes a bucket without files. One that has references left is kept; `repair` removes them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotEmpty`](super::ErrorKind::NotEmpty) if it has files, or references that are
    /// left; see [`create_bucket`](Self::create_bucket) for an example.
    pub async fn remove_bucket(&self, bucket: impl Into<Location>) -> Result<(), Error> {
        let name = bucket.into().bucket(REMOVE)?;
        self.service().remove_bucket(&name, false).await.map_err(Error::of(REMOVE, &name))
    }

    /// Removes a bucket without files, with the references that are left in it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotEmpty`](super::ErrorKind::NotEmpty) if it has files.
    ///
    /// ```
    /// # use deltaglider::DeltaGlider;
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let dg = DeltaGlider::builder().embedded(folder.path()).build().await?;
    /// dg.create_bucket("releases").await?;
    /// dg.remove_bucket_with_references("releases").await?;
    /// # Ok(()) }
    /// ```
    pub async fn remove_bucket_with_references(
        &self,
        bucket: impl Into<Location>,
    ) -> Result<(), Error> {
        let name = bucket.into().bucket(REMOVE)?;
        self.service().remove_bucket(&name, true).await.map_err(Error::of(REMOVE, &name))
    }

    /// Returns all buckets of the caller; see [`create_bucket`](Self::create_bucket) for an
    /// example.
    pub async fn list_buckets(&self) -> Result<Vec<ListedBucket>, Error> {
        let listed = self.service().store().list_buckets().await;
        listed.map_err(Error::of("list", "the buckets"))
    }

    /// Returns the access control list of a bucket.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](super::ErrorKind::InvalidInput) if the store has none, as the
    /// embedded store.
    ///
    /// ```
    /// # use deltaglider::{DeltaGlider, ErrorKind};
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let dg = DeltaGlider::builder().embedded(folder.path()).build().await?;
    /// # dg.create_bucket("releases").await?;
    /// let error = dg.bucket_acl("releases").await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::InvalidInput);
    /// # Ok(()) }
    /// ```
    pub async fn bucket_acl(
        &self,
        bucket: impl Into<Location>,
    ) -> Result<AccessControlPolicy, Error> {
        let name = bucket.into().bucket(ACL)?;
        self.service().store().bucket_acl(&name).await.map_err(Error::of(ACL, &name))
    }

    /// Replaces the access control list of a bucket.
    ///
    /// ```
    /// # use deltaglider::{DeltaGlider, ErrorKind};
    /// use deltaglider::storage::{BucketAcl, CannedAcl};
    ///
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let dg = DeltaGlider::builder().embedded(folder.path()).build().await?;
    /// # dg.create_bucket("releases").await?;
    /// let acl = BucketAcl { canned: Some(CannedAcl::Private), ..BucketAcl::default() };
    /// let error = dg.set_bucket_acl("releases", &acl).await.unwrap_err();
    /// // The embedded store has no access control lists.
    /// assert_eq!(error.kind(), ErrorKind::InvalidInput);
    /// # Ok(()) }
    /// ```
    pub async fn set_bucket_acl(
        &self,
        bucket: impl Into<Location>,
        acl: &BucketAcl,
    ) -> Result<(), Error> {
        let name = bucket.into().bucket(SET_ACL)?;
        self.service().store().set_bucket_acl(&name, acl).await.map_err(Error::of(SET_ACL, &name))
    }
}
