//! Access control lists of buckets.

use aws_sdk_s3::error::BuildError;
use aws_sdk_s3::types::{
    AccessControlPolicy as SdkPolicy, BucketCannedAcl, Grant as SdkGrant, Grantee as SdkGrantee,
    Owner as SdkOwner, Permission, Type,
};

use crate::domain::BucketName;
use crate::storage::{
    AccessControlPolicy, BucketAcl, Grant, Grantee, Owner, StorageError, StorageErrorKind,
};

use super::S3Store;
use super::attempts::send;

impl S3Store {
    pub(super) async fn policy_of(
        &self,
        bucket: &BucketName,
    ) -> Result<AccessControlPolicy, StorageError> {
        let request = self.clients.calls.get_bucket_acl().bucket(bucket.as_str());
        let answer = send!(self.clients.attempts, bucket, request)
            .map_err(|failed| failed.at("GetBucketAcl", bucket))?;
        let owner =
            answer.owner.map(|owner| Owner { id: owner.id, display_name: owner.display_name });
        let grants = answer.grants.unwrap_or_default().into_iter().filter_map(grant_of).collect();
        Ok(AccessControlPolicy { owner, grants })
    }

    pub(super) async fn set_policy(
        &self,
        bucket: &BucketName,
        acl: &BucketAcl,
    ) -> Result<(), StorageError> {
        let malformed = |error: BuildError| {
            StorageError::new(StorageErrorKind::Invalid, "PutBucketAcl", bucket)
                .because(error.to_string())
        };
        let policy = acl.policy.clone().map(sdk_policy).transpose().map_err(malformed)?;
        let request = self.clients.calls.put_bucket_acl().bucket(bucket.as_str());
        let request = request
            .set_acl(acl.canned.map(|acl| BucketCannedAcl::from(acl.as_str())))
            .set_grant_full_control(acl.grant_full_control.clone())
            .set_grant_read(acl.grant_read.clone())
            .set_grant_read_acp(acl.grant_read_acp.clone())
            .set_grant_write(acl.grant_write.clone())
            .set_grant_write_acp(acl.grant_write_acp.clone())
            .set_access_control_policy(policy);
        send!(self.clients.attempts, bucket, request)
            .map_err(|failed| failed.at("PutBucketAcl", bucket))?;
        Ok(())
    }
}

fn grant_of(grant: SdkGrant) -> Option<Grant> {
    let (grantee, permission) = (grant.grantee?, grant.permission?);
    let grantee = Grantee {
        kind: grantee.r#type.as_str().to_owned(),
        id: grantee.id,
        display_name: grantee.display_name,
        email_address: grantee.email_address,
        uri: grantee.uri,
    };
    Some(Grant { grantee, permission: permission.as_str().to_owned() })
}

fn sdk_policy(policy: AccessControlPolicy) -> Result<SdkPolicy, BuildError> {
    let owner = policy.owner.map(|owner| {
        SdkOwner::builder().set_id(owner.id).set_display_name(owner.display_name).build()
    });
    let grants: Result<Vec<SdkGrant>, BuildError> =
        policy.grants.into_iter().map(sdk_grant).collect();
    Ok(SdkPolicy::builder().set_owner(owner).set_grants(Some(grants?)).build())
}

fn sdk_grant(grant: Grant) -> Result<SdkGrant, BuildError> {
    let grantee = SdkGrantee::builder()
        .r#type(Type::from(grant.grantee.kind.as_str()))
        .set_id(grant.grantee.id)
        .set_display_name(grant.grantee.display_name)
        .set_email_address(grant.grantee.email_address)
        .set_uri(grant.grantee.uri)
        .build()?;
    Ok(SdkGrant::builder()
        .grantee(grantee)
        .permission(Permission::from(grant.permission.as_str()))
        .build())
}
