//! The S3 implementation of the storage interface, over the AWS SDK, whose types stay private to
//! this module.

mod acl;
mod addressing;
mod again;
mod answer;
mod attempts;
mod attributes;
mod body;
mod checksum;
mod conditions;
mod config;
mod connect;
mod connector;
mod copy;
mod credential_process;
mod credentials;
mod delete;
mod error;
mod get;
mod hints;
mod lifecycle;
mod list;
mod multipart;
mod pages;
mod place;
mod presign;
mod profile_sources;
mod put;
mod put_failed;
mod ranges;
mod region;
mod retry;
mod role_with_code;
mod route;
mod seen_buckets;
mod services;
mod settings;
mod sign_in;
mod stated;
mod terminal;
mod tls;
mod uploads;
mod verifier;
mod x509;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration, ObjectCannedAcl};
use tokio::sync::Semaphore;

use crate::domain::{BucketName, ObjectName};

use super::{
    AccessControlPolicy, Attributes, BucketAcl, BucketAdmin, CannedAcl, CopyOptions, CustomerKey,
    ETag, Encryption, LifecycleRule, ListPage, ListRequest, ListedBucket, ObjectBody, ObjectHead,
    ObjectStore, OpenUpload, Presign, Presigned, PutBody, PutOptions, StorageError,
    StorageErrorKind, s3_semantics,
};
use attempts::send;
use attributes::{head_of, size, with_key};
use checksum::{Accepted, Checksum};
use conditions::Known;
use connect::Clients;
use error::Failed;
use multipart::Aborts;
use pages::Listings;
use ranges::{RANGE_SIZE, Ranges};
use seen_buckets::SeenBuckets;

pub use addressing::{AddressingStyle, NoAddressingStyle};
pub use config::{
    COPY_PART_SIZE, ConditionalWrites, CredentialsProvider, MULTIPART_THRESHOLD, MinRate,
    PART_SIZE, Patience, ProviderError, S3Config, S3Credentials, UnknownConditionalWrites,
};
pub use region::Regions;
pub use settings::S3SettingError;

/// Amazon S3 or an S3-compatible store. Sends requests again after transient failures, three times
/// in all or as often as `AWS_MAX_ATTEMPTS` says.
#[derive(Clone)]
pub struct S3Store {
    clients: Clients,
    endpoint: Option<String>,
    multipart_threshold: u64,
    part_size: u64,
    copy_part_size: u64,
    conditions_are_atomic: bool,
    known: Known,
    is_aws: bool,
    checksum: Accepted,
    owner_control: bool,
    customer_key: Option<CustomerKey>,
    aborts: Aborts,
    listings: Listings,
    seen_buckets: SeenBuckets,
    /// Set once a GET was refused by `AccessDenied` after a HEAD that was refused without a reason.
    denies_silently: Arc<AtomicBool>,
    /// One permit for each MiB of the parts of all uploads.
    held: Arc<Semaphore>,
    ranges: Ranges,
}

impl S3Store {
    /// Reads settings, profiles and certificates. Sends no request to the store and looks up no
    /// credentials yet.
    ///
    /// # Errors
    ///
    /// Fails if a setting of `config`, the environment or a profile file is invalid.
    pub async fn connect(config: S3Config) -> Result<Self, S3SettingError> {
        let clients = connect::connect(&config).await?;
        let is_aws = config.endpoint.as_deref().is_none_or(config::is_aws);
        let checksum = match clients.sdk_adds_checksums {
            true => Checksum::Sdk,
            false if is_aws => Checksum::Crc32,
            false => Checksum::Md5,
        };
        Ok(Self {
            clients,
            conditions_are_atomic: config
                .conditional_writes
                .are_atomic_at(config.endpoint.as_deref()),
            known: Known::default(),
            is_aws,
            checksum: Accepted::new(checksum),
            owner_control: config.owner_control,
            customer_key: config.customer_key,
            endpoint: config.endpoint,
            multipart_threshold: config.multipart_threshold,
            part_size: config.part_size,
            copy_part_size: config.copy_part_size,
            aborts: Aborts::default(),
            listings: Listings::default(),
            seen_buckets: SeenBuckets::default(),
            denies_silently: Arc::default(),
            held: Arc::new(Semaphore::new(multipart::HELD_MIB as usize)),
            ranges: Ranges::new(config.part_size.min(RANGE_SIZE)),
        })
    }

    /// Rejects attributes that cannot be sent, including those of an object with another customer's
    /// key than this store's.
    fn check_attributes(
        &self,
        attributes: &Attributes,
        operation: &'static str,
        object: &ObjectName,
    ) -> Result<(), StorageError> {
        let asked = attributes.encryption.as_ref().and_then(Encryption::customer_key_md5);
        if asked.is_some() && asked != self.customer_key().as_deref() {
            return Err(StorageError::new(StorageErrorKind::KeyNeeded, operation, object));
        }
        attributes.check(operation, object)
    }

    /// Returns whether a refusal of HEAD is known to be one of permission, since a GET has shown
    /// the reason of an earlier one.
    fn is_denied_silently(&self, failed: &Failed) -> bool {
        failed.status() == Some(403) && self.denies_silently.load(Ordering::Relaxed)
    }

    fn note_denial(&self, reason: &Failed) {
        if reason.code() == Some("AccessDenied") {
            self.denies_silently.store(true, Ordering::Relaxed);
        }
    }

    /// Returns the ACL to send for an object with its own ACL `own`.
    fn acl_with(&self, own: Option<CannedAcl>) -> Option<ObjectCannedAcl> {
        let owner = self.owner_control.then_some(CannedAcl::BucketOwnerFullControl);
        own.or(owner).map(|acl| ObjectCannedAcl::from(acl.as_str()))
    }

    /// Returns whether the bucket exists, as far as the store reports it.
    async fn bucket_exists(&self, bucket: &BucketName) -> Result<bool, Failed> {
        let request = self.clients.calls.head_bucket().bucket(bucket.as_str());
        match send!(self.clients.attempts, bucket, request).map_err(Failed::of_head) {
            Ok(_) => {
                self.seen_buckets.record(bucket);
                Ok(true)
            }
            Err(failed) if failed.is_404() => Ok(false),
            Err(failed) => Err(failed),
        }
    }
}

/// Rejects the keys that the SDK treats as missing.
fn check_key(operation: &'static str, object: &ObjectName) -> Result<(), StorageError> {
    if object.key.as_str().trim().is_empty() {
        let refused = StorageError::new(StorageErrorKind::Invalid, operation, object);
        return Err(refused.because("the AWS SDK does not accept a key of white space only"));
    }
    Ok(())
}

fn name_of(endpoint: Option<&str>) -> &str {
    endpoint.unwrap_or("Amazon S3")
}

impl fmt::Display for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(self.endpoint.as_deref()))
    }
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3Store({self})")
    }
}

#[async_trait::async_trait]
impl ObjectStore for S3Store {
    async fn list(
        &self,
        bucket: &BucketName,
        request: &ListRequest,
    ) -> Result<ListPage, StorageError> {
        self.list_page(bucket, request).await
    }

    async fn head(&self, object: &ObjectName) -> Result<ObjectHead, StorageError> {
        const OPERATION: &str = "HeadObject";
        check_key(OPERATION, object)?;
        let ask = |key| {
            let request = self
                .clients
                .calls
                .head_object()
                .bucket(object.bucket.as_str())
                .key(object.key.as_str());
            let request = with_key!(request, key);
            let send = move || {
                let request = request.clone();
                async move { request.send().await.map_err(|error| Failed::from(error).of_head()) }
            };
            self.clients.attempts.send(Some(object.bucket.as_str()), send)
        };
        let answer = match self.with_fitting_key(ask).await {
            Ok((answer, _)) => answer,
            // An answer to HEAD has no body and so no code: whether the bucket or the key is
            // missing takes another request.
            Err(failed) if failed.is_404() && !failed.is_no_such_key() => {
                let known = self.seen_buckets.is_fresh(&object.bucket);
                let kind =
                    match if known { Ok(true) } else { self.bucket_exists(&object.bucket).await } {
                        Ok(false) => StorageErrorKind::NoSuchBucket,
                        Ok(true) => StorageErrorKind::NotFound,
                        // The bucket may not be queried, so it exists; for the object the answer
                        // was 404.
                        Err(of_bucket) if of_bucket.kind() == StorageErrorKind::Denied => {
                            StorageErrorKind::NotFound
                        }
                        Err(of_bucket) => return Err(of_bucket.at("HeadBucket", object)),
                    };
                return Err(StorageError::new(kind, OPERATION, object));
            }
            Err(failed) if failed.is_silent() && !self.is_denied_silently(&failed) => {
                match self.reason_of(object).await {
                    Some(reason) if reason.is_404() => return Err(failed.at(OPERATION, object)),
                    Some(reason) => {
                        self.note_denial(&reason);
                        return Err(reason.at(OPERATION, object));
                    }
                    // The reason of the refusal has passed.
                    None => {
                        self.with_fitting_key(ask)
                            .await
                            .map_err(|failed| failed.at(OPERATION, object))?
                            .0
                    }
                }
            }
            Err(failed) => return Err(failed.at(OPERATION, object)),
        };
        let head = size(answer.content_length())
            .and_then(|size| head_of!(answer, size, self.stated(object)));
        head.map_err(|cause| {
            StorageError::new(StorageErrorKind::Other, OPERATION, object).because(cause)
        })
    }

    async fn get(
        &self,
        object: &ObjectName,
        range: Option<Range<u64>>,
    ) -> Result<ObjectBody, StorageError> {
        check_key("GetObject", object)?;
        self.open(object, range).await
    }

    async fn put(
        &self,
        object: &ObjectName,
        body: PutBody,
        attributes: &Attributes,
        options: &PutOptions,
    ) -> Result<ETag, StorageError> {
        check_key("PutObject", object)?;
        self.check_attributes(attributes, "PutObject", object)?;
        self.store(object, &body, attributes, &options.condition).await
    }

    async fn copy(
        &self,
        from: &ObjectName,
        to: &ObjectName,
        options: &CopyOptions,
    ) -> Result<ETag, StorageError> {
        check_key("CopyObject", from)?;
        check_key("CopyObject", to)?;
        s3_semantics::check_copy(from, to, options)?;
        if let Some(attributes) = &options.attributes {
            self.check_attributes(attributes, "CopyObject", to)?;
        }
        self.copy_inside(from, to, options.attributes.as_ref(), options.if_match.as_ref()).await
    }

    async fn tags(&self, object: &ObjectName) -> Result<BTreeMap<String, String>, StorageError> {
        check_key("GetObjectTagging", object)?;
        self.tags_of(object).await
    }

    fn customer_key(&self) -> Option<String> {
        self.customer_key.as_ref().map(CustomerKey::md5)
    }

    fn conditions_are_atomic(&self) -> bool {
        self.conditions_are_atomic
    }

    fn tags_name_writes(&self) -> bool {
        false
    }

    async fn delete(
        &self,
        object: &ObjectName,
        if_match: Option<&ETag>,
    ) -> Result<(), StorageError> {
        check_key("DeleteObject", object)?;
        self.remove(object, if_match).await
    }

    async fn settle(&self) {
        self.aborts.settle().await;
    }
}

#[async_trait::async_trait]
impl BucketAdmin for S3Store {
    async fn create_bucket(&self, bucket: &BucketName) -> Result<(), StorageError> {
        const OPERATION: &str = "CreateBucket";
        // In us-east-1 and in stores modelled on it, creating one's own bucket again succeeds.
        if let Ok(true) = self.bucket_exists(bucket).await {
            return Err(StorageError::new(StorageErrorKind::AlreadyExists, OPERATION, bucket));
        }
        let mut request = self.clients.calls.create_bucket().bucket(bucket.as_str());
        let region = self.clients.region.as_str();
        // The one region that must not be named.
        if region != "us-east-1" {
            let place = CreateBucketConfiguration::builder()
                .location_constraint(BucketLocationConstraint::from(region));
            request = request.create_bucket_configuration(place.build());
        }
        send!(self.clients.attempts, bucket, request)
            .map_err(|failed| failed.at(OPERATION, bucket))?;
        Ok(())
    }

    async fn delete_bucket(&self, bucket: &BucketName) -> Result<(), StorageError> {
        let request = self.clients.calls.delete_bucket().bucket(bucket.as_str());
        self.seen_buckets.forget(bucket);
        send!(self.clients.attempts, bucket, request)
            .map_err(|failed| failed.at("DeleteBucket", bucket))?;
        Ok(())
    }

    async fn list_buckets(&self) -> Result<Vec<ListedBucket>, StorageError> {
        self.list_all_buckets().await
    }

    async fn list_uploads(&self, bucket: &BucketName) -> Result<Vec<OpenUpload>, StorageError> {
        self.open_uploads(bucket).await
    }

    async fn abort_upload(&self, upload: &OpenUpload) -> Result<(), StorageError> {
        self.give_up(upload).await
    }

    async fn lifecycle(&self, bucket: &BucketName) -> Result<Vec<LifecycleRule>, StorageError> {
        self.lifecycle_rules(bucket).await
    }

    async fn bucket_acl(&self, bucket: &BucketName) -> Result<AccessControlPolicy, StorageError> {
        self.policy_of(bucket).await
    }

    async fn set_bucket_acl(
        &self,
        bucket: &BucketName,
        acl: &BucketAcl,
    ) -> Result<(), StorageError> {
        self.set_policy(bucket, acl).await
    }
}

#[async_trait::async_trait]
impl Presign for S3Store {
    async fn presign(
        &self,
        object: &ObjectName,
        allowed: &Presigned,
        expires_in: Duration,
    ) -> Result<String, StorageError> {
        check_key("Presign", object)?;
        self.presigned(object, allowed, expires_in).await
    }
}
